//! The states of a live source: `connecting -> live -> stalled -> lost -> connecting`.
//!
//! [`Machine`] is told what was seen and when, and says how the state changes. It has no thread, no clock and no connection of
//! its own.

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use utoipa::ToSchema;

/// What a live source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A connection is being made, and no frame has come over it yet.
    Connecting,
    /// Frames come.
    Live,
    /// Frames came, but none for a while; the connection is taken down.
    Stalled,
    /// There is no connection; the next one waits for its time.
    Lost,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Lost => "lost",
        })
    }
}

/// What was seen of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// A frame that arrived at this time.
    Frame(Duration),
    /// It ended or broke, for this reason.
    Failed(&'a str),
    Nothing,
}

/// What a machine goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// So long without a frame is a stall.
    pub stall_after: Duration,
    /// Gives up after so many attempts in a row without a frame.
    pub attempts: Option<u32>,
}

/// A connection that has brought no frame for so long never will, unless more patience was asked for.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// The first wait before another attempt; each is twice as long as the one before.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Waits differ by this share, so that many programs do not come back to one server at the same time.
const JITTER: f64 = 0.25;
/// After so long a time with frames, the waits begin anew.
const STEADY: Duration = Duration::from_secs(2);

/// The state and what decides about the next. Times count from any moment, the same for all.
#[derive(Debug)]
pub(super) struct Machine {
    policy: Policy,
    state: State,
    /// When the state began.
    since: Duration,
    last_frame: Duration,
    /// Attempts in a row that brought no frame.
    attempts: u32,
    /// How often the wait was doubled.
    doublings: u32,
    retry_at: Duration,
    given_up: bool,
    random: Rng,
}

impl Machine {
    /// Begins with connecting.
    pub fn new(policy: Policy, now: Duration, seed: u64) -> Self {
        Self {
            policy,
            state: State::Connecting,
            since: now,
            last_frame: now,
            attempts: 0,
            doublings: 0,
            retry_at: now,
            given_up: false,
            random: Rng::with_seed(seed),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether as many attempts as allowed have failed.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// Takes in what was seen at `now`; tells the new state and why, if it changes.
    pub fn step(&mut self, now: Duration, seen: Seen<'_>) -> Option<(State, String)> {
        match (self.state, seen) {
            (State::Connecting, Seen::Frame(at)) => {
                self.last_frame = at;
                self.attempts = 0;
                Some(self.enter(State::Live, now, "frames come".into()))
            }
            (State::Live, Seen::Frame(at)) => {
                self.last_frame = at;
                if now.saturating_sub(self.since) >= STEADY {
                    self.doublings = 0;
                }
                None
            }
            (State::Connecting, Seen::Failed(why)) => Some(self.fail(now, why)),
            (State::Live, Seen::Failed(why)) => Some(self.lose(now, why)),
            (State::Connecting, Seen::Nothing) => {
                let patience = CONNECT_WITHIN.max(self.policy.stall_after);
                let late = now.saturating_sub(self.since) >= patience;
                late.then(|| self.fail(now, &format!("no frame within {} s", patience.as_secs_f64())))
            }
            (State::Live, Seen::Nothing) => {
                let stalled = now.saturating_sub(self.last_frame) >= self.policy.stall_after;
                let why = format!("no frame for {} s", self.policy.stall_after.as_secs_f64());
                stalled.then(|| self.enter(State::Stalled, now, why))
            }
            (State::Stalled, _) => Some(self.lose(now, "the connection was taken down")),
            (State::Lost, _) => {
                let again = now >= self.retry_at && !self.given_up;
                again.then(|| self.enter(State::Connecting, now, format!("attempt {}", self.attempts + 1)))
            }
        }
    }

    /// An attempt brought no frame.
    fn fail(&mut self, now: Duration, why: &str) -> (State, String) {
        self.attempts += 1;
        if self.policy.attempts.is_some_and(|most| self.attempts >= most) {
            self.given_up = true;
            return self.enter(State::Lost, now, why.into());
        }
        self.lose(now, why)
    }

    fn lose(&mut self, now: Duration, why: &str) -> (State, String) {
        let wait = SHORTEST_WAIT.saturating_mul(1 << self.doublings.min(5)).min(LONGEST_WAIT);
        let jitter = 1.0 - JITTER + 2.0 * JITTER * self.random.f64();
        let wait = wait.mul_f64(jitter).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        self.doublings += 1;
        self.retry_at = now + wait;
        self.enter(State::Lost, now, format!("{why}; next attempt in {:.1} s", wait.as_secs_f64()))
    }

    fn enter(&mut self, state: State, now: Duration, why: String) -> (State, String) {
        self.state = state;
        self.since = now;
        (state, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn machine(attempts: Option<u32>) -> Machine {
        let policy = Policy {
            stall_after: s(5.0),
            attempts,
        };
        Machine::new(policy, s(0.0), 7)
    }

    fn state(change: Option<(State, String)>) -> Option<State> {
        change.map(|(state, _)| state)
    }

    /// Waits until it connects again; tells how long that took.
    fn reconnect(machine: &mut Machine, lost_at: f64) -> f64 {
        for tenths in 0..1000 {
            let now = lost_at + f64::from(tenths) / 10.0;
            if machine.step(s(now), Seen::Nothing).is_some() {
                assert_eq!(machine.state(), State::Connecting);
                return now - lost_at;
            }
        }
        panic!("it never tries again");
    }

    #[test]
    fn a_silence_is_a_stall_and_the_source_is_connected_again() {
        let mut machine = machine(None);
        assert_eq!(machine.step(s(1.0), Seen::Nothing), None);
        assert_eq!(state(machine.step(s(2.0), Seen::Frame(s(2.0)))), Some(State::Live));
        assert_eq!(machine.step(s(6.9), Seen::Nothing), None);
        let (stalled, why) = machine.step(s(7.0), Seen::Nothing).unwrap();
        assert_eq!((stalled, why.as_str()), (State::Stalled, "no frame for 5 s"));
        assert_eq!(state(machine.step(s(7.1), Seen::Nothing)), Some(State::Lost));
        let waited = reconnect(&mut machine, 7.1);
        assert!((0.9..=1.4).contains(&waited), "{waited}");
        assert_eq!(state(machine.step(s(9.0), Seen::Frame(s(9.0)))), Some(State::Live));
    }

    #[test]
    fn frames_that_come_in_time_keep_it_live() {
        let mut machine = machine(None);
        for second in 0..100 {
            let now = s(4.9 * f64::from(second));
            machine.step(now, Seen::Frame(now));
            assert_eq!(machine.step(now + s(4.8), Seen::Nothing), None);
        }
        assert_eq!(machine.state(), State::Live);
    }

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew_after_a_steady_time() {
        let mut machine = machine(None);
        let (mut now, mut waits) = (0.0, Vec::new());
        for _ in 0..8 {
            assert_eq!(state(machine.step(s(now), Seen::Failed("refused"))), Some(State::Lost));
            waits.push(reconnect(&mut machine, now));
            now += waits[waits.len() - 1];
        }
        for (wait, wanted) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0_f64]) {
            assert!((0.74 * wanted..=(1.26 * wanted).min(30.0) + 0.11).contains(wait), "{waits:?}");
        }
        machine.step(s(now), Seen::Frame(s(now)));
        machine.step(s(now + 2.1), Seen::Frame(s(now + 2.1)));
        machine.step(s(now + 3.0), Seen::Failed("the stream ended"));
        assert!(reconnect(&mut machine, now + 3.0) < 1.5);
    }

    #[test]
    fn two_programs_do_not_come_back_at_the_same_time() {
        let wait = |seed| {
            let mut machine = Machine::new(machine(None).policy, s(0.0), seed);
            for n in 0..3 {
                machine.step(s(f64::from(n) * 100.0), Seen::Failed("refused"));
                machine.step(s(f64::from(n) * 100.0 + 60.0), Seen::Nothing);
            }
            machine.step(s(300.0), Seen::Failed("refused"));
            machine.retry_at
        };
        assert_ne!(wait(1), wait(2));
    }

    #[test]
    fn a_connection_that_brings_nothing_fails_after_a_while() {
        let mut machine = machine(None);
        assert_eq!(machine.step(s(14.9), Seen::Nothing), None);
        assert_eq!(state(machine.step(s(15.0), Seen::Nothing)), Some(State::Lost));
    }

    #[test]
    fn so_many_attempts_without_a_frame_are_enough() {
        let mut machine = machine(Some(2));
        let (_, why) = machine.step(s(0.0), Seen::Failed("refused")).unwrap();
        assert!(why.starts_with("refused; next attempt in 1."), "{why}");
        assert!(!machine.has_given_up());
        machine.step(s(2.0), Seen::Nothing);
        machine.step(s(2.0), Seen::Frame(s(2.0)));
        machine.step(s(3.0), Seen::Failed("the stream ended"));
        assert!(!machine.has_given_up(), "a loss is no attempt");
        for now in [10.0, 20.0] {
            machine.step(s(now), Seen::Nothing);
            assert_eq!(state(machine.step(s(now), Seen::Failed("refused"))), Some(State::Lost));
        }
        assert!(machine.has_given_up());
        assert_eq!(machine.step(s(1000.0), Seen::Nothing), None, "it stays lost");
    }
}
