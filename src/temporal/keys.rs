//! Which frames are inferred: the key frames.

use super::motion::Motion;
use std::fmt;
use std::time::{Duration, Instant};

/// Above this share of the picture whose motion is lost a map is not worth carrying on.
const LOST: f64 = 0.25;
/// `auto` infers again when what was lost and what has moved since the last key frame add up to this.
const STALE: f64 = 0.15;
/// How much a mean motion by one picture length counts in that sum.
const STALE_BY_LENGTH: f64 = 2.0;
/// The oldest key frame that is carried on, in frames; beyond, the queues would hold too many pictures.
pub const OLDEST_FRAMES: u32 = 24;
/// How much faster than the rate that shall be held a run aims to be: what is met on average is missed half of the time, and
/// the beginning and the end of a run take time without giving frames.
const MARGIN: f64 = 1.08;
/// How far a run may be ahead of the rate it shall hold. What was saved longer ago does not count.
const LEAD: Duration = Duration::from_millis(250);
/// How far behind it may fall; more could not be caught up with and would starve the net.
const LAG: Duration = Duration::from_millis(500);

/// How often the net runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// On every n-th frame, on cuts, and where motion is lost.
    Frames(u32),
    /// As often as scene and motion ask for it.
    Auto,
}

impl Default for Every {
    fn default() -> Self {
        Self::Frames(1)
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(n) => write!(f, "{n}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// Why a frame is inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyReason {
    /// It is the first.
    First,
    /// Its turn has come, by count or because the map has become stale.
    Due,
    /// Another scene begins.
    Cut,
    /// Too much of the motion does not hold.
    Lost,
}

/// Decides for each frame in its order.
#[derive(Debug)]
pub struct KeyPicker {
    every: Every,
    pace: Option<Pace>,
    age: u32,
    stale: f64,
    begun: bool,
}

impl KeyPicker {
    /// A picker that holds this rate in frames per second, where one is named.
    pub fn new(every: Every, hold_fps: Option<f64>) -> Self {
        Self {
            every,
            pace: hold_fps.map(Pace::new),
            age: 0,
            stale: 0.0,
            begun: false,
        }
    }

    /// Whether the next frame is inferred, and why. `motion` is that since the frame before, where it was looked for.
    pub fn next(&mut self, motion: Option<&Motion>, now: Instant) -> Option<KeyReason> {
        let may = self.pace.as_mut().is_none_or(|pace| pace.next(now));
        self.age += 1;
        let reason = self.reason(motion, may);
        if reason.is_some() {
            (self.age, self.stale, self.begun) = (0, 0.0, true);
        }
        reason
    }

    fn reason(&mut self, motion: Option<&Motion>, may: bool) -> Option<KeyReason> {
        if !self.begun {
            return Some(KeyReason::First);
        }
        if self.every == Every::Frames(1) && self.pace.is_none() {
            return Some(if motion.is_some_and(Motion::is_cut) {
                KeyReason::Cut
            } else {
                KeyReason::Due
            });
        }
        if let Some(motion) = motion {
            if motion.is_cut() {
                return Some(KeyReason::Cut);
            }
            if may && motion.lost > LOST {
                return Some(KeyReason::Lost);
            }
            self.stale += motion.lost + STALE_BY_LENGTH * motion.back.length();
        }
        let due = match self.every {
            Every::Frames(n) => self.age >= n,
            // Without motion nothing is known, and every frame may be anything.
            Every::Auto => motion.is_none() || self.stale >= STALE,
        };
        ((due && may) || self.age >= OLDEST_FRAMES).then_some(KeyReason::Due)
    }
}

/// Keeps account of the time that frames may take.
#[derive(Debug)]
struct Pace {
    frame: Duration,
    /// When the frame at hand should come at the latest.
    due: Option<Instant>,
}

impl Pace {
    fn new(fps: f64) -> Self {
        Self {
            frame: Duration::from_secs_f64(1.0 / (MARGIN * fps)),
            due: None,
        }
    }

    /// One more frame passes. True if it is in time, so that there is time for the net.
    fn next(&mut self, now: Instant) -> bool {
        let due = self.due.map_or(now, |due| due + self.frame);
        let due = due.min(now + LEAD).max(now.checked_sub(LAG).unwrap_or(now));
        self.due = Some(due);
        now <= due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maskline_models::field::Field;

    fn motion(unsure: usize, shift: f32, residual: f64) -> Motion {
        let mut back = Field::still(10, 10);
        back.shifts.fill([shift, 0.0]);
        back.sure[..unsure].fill(false);
        Motion {
            ahead: back.clone(),
            back,
            residual,
            lost: unsure as f64 / 100.0,
        }
    }

    fn keys(picker: &mut KeyPicker, motions: &[Motion]) -> Vec<usize> {
        let now = Instant::now();
        assert_eq!(picker.next(None, now), Some(KeyReason::First));
        let inferred = |(i, m): (usize, &Motion)| picker.next(Some(m), now).map(|_| i + 1);
        motions.iter().enumerate().filter_map(inferred).collect()
    }

    #[test]
    fn every_nth_frame_is_inferred() {
        let motions = vec![motion(0, 0.0, 1.0); 9];
        assert_eq!(keys(&mut KeyPicker::new(Every::Frames(3), None), &motions), [3, 6, 9]);
        assert_eq!(keys(&mut KeyPicker::new(Every::Frames(1), None), &motions).len(), 9);
    }

    #[test]
    fn a_cut_and_lost_motion_are_inferred_at_once_and_the_count_begins_anew() {
        let mut motions = vec![motion(0, 0.0, 1.0); 9];
        motions[3] = motion(0, 0.0, 90.0);
        assert_eq!(keys(&mut KeyPicker::new(Every::Frames(3), None), &motions), [3, 4, 7]);
        motions[3] = motion(40, 0.0, 5.0);
        let mut picker = KeyPicker::new(Every::Frames(100), None);
        assert_eq!(keys(&mut picker, &motions), [4]);
    }

    #[test]
    fn auto_follows_the_motion_and_lets_a_still_scene_rest() {
        let still = vec![motion(0, 0.0, 0.5); 60];
        let slow = vec![motion(2, 0.005, 2.0); 60];
        let fast = vec![motion(4, 0.02, 4.0); 60];
        let count = |motions: &[Motion]| keys(&mut KeyPicker::new(Every::Auto, None), motions).len();
        let (still, slow, fast) = (count(&still), count(&slow), count(&fast));
        assert_eq!(still, 60 / OLDEST_FRAMES as usize);
        assert!(still < slow && slow < fast && fast < 60, "{still} {slow} {fast}");
    }

    #[test]
    fn auto_without_motion_infers_every_frame() {
        let mut picker = KeyPicker::new(Every::Auto, None);
        assert!((0..5).all(|_| picker.next(None, Instant::now()).is_some()));
    }

    /// A machine that needs so long for a frame and so long more for the net; gives the frames per second.
    fn run(frame_ms: u64, net_ms: u64, hold: f64) -> f64 {
        let mut picker = KeyPicker::new(Every::Auto, Some(hold));
        let begin = Instant::now();
        let mut now = begin;
        for _ in 0..600 {
            now += Duration::from_millis(frame_ms);
            if picker.next(Some(&motion(30, 0.1, 3.0)), now).is_some() {
                now += Duration::from_millis(net_ms);
            }
        }
        600.0 / (now - begin).as_secs_f64()
    }

    #[test]
    fn a_rate_that_can_be_held_is_held_and_no_faster_than_it_must() {
        let rate = run(8, 40, 60.0);
        assert!((60.0..66.0).contains(&rate), "{rate}");
        let rate = run(4, 4, 60.0);
        assert!(rate > 110.0, "every frame is inferred when there is time: {rate}");
    }

    #[test]
    fn a_rate_that_cannot_be_held_does_not_starve_the_net() {
        let rate = run(30, 40, 60.0);
        assert!((28.0..34.0).contains(&rate), "{rate}");
    }
}
