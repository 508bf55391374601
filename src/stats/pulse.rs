//! What a live stream does right now. Its stages write here while it runs; whoever is asked about it reads.

use super::LatencyReport;
use crate::source::State;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// Rates and latencies are those of so long a time.
const WINDOW: Duration = Duration::from_secs(10);
/// Frames that are remembered for them at most.
const WINDOW_FRAMES: usize = 2048;

/// Upper ends of the latency buckets, in seconds; one more takes what is longer.
pub const BUCKETS_S: [f64; 12] = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The numbers of one stream.
pub struct Pulse {
    now: Mutex<Now>,
    on_state: OnState,
    recent: Mutex<VecDeque<Journey>>,
    /// Frames that came out of the source and went on.
    read: AtomicU64,
    inferred: AtomicU64,
    shown: AtomicU64,
    filler: AtomicU64,
    replaced: AtomicU64,
    too_old: AtomicU64,
    connections: AtomicU64,
    failures: AtomicU64,
    latency_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS_S.len() + 1],
}

#[derive(Debug)]
struct Now {
    state: State,
    since: Instant,
    why: String,
    size: Option<(u32, u32)>,
    model: Option<String>,
    provider: Option<String>,
    shares: Vec<(String, f64)>,
    zones: Vec<ZoneNow>,
    pts_ns: u64,
    last_frame: Option<Instant>,
}

/// One frame that was shown.
#[derive(Debug, Clone, Copy)]
struct Journey {
    shown: Instant,
    latency: Duration,
    /// Zero where the map was carried.
    inference: Duration,
}

/// One zone as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ZoneNow {
    /// Its name.
    pub name: String,
    /// The rules that are on.
    pub on: Vec<String>,
}

/// The share of one class.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ShareNow {
    /// Name of the class.
    pub class: String,
    /// Share of the newest frame, 0-1.
    pub share: f64,
}

/// How a stream is at one moment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Vitals {
    /// `connecting`, `live`, `stalled` or `lost`.
    pub state: State,
    /// Seconds since the state began.
    pub since_s: f64,
    /// Why it is in this state, one line.
    pub why: String,
    /// Width of the frames in pixels; absent before the first.
    pub width: Option<u32>,
    /// Height of the frames in pixels.
    pub height: Option<u32>,
    /// The net.
    pub model: Option<String>,
    /// What runs it.
    pub provider: Option<String>,
    /// Frames shown a second, over the last 10 s.
    pub frames_per_s: f64,
    /// From arrival to publication, over the last 10 s.
    pub latency: Option<LatencyReport>,
    /// Mean time of an inference, over the last 10 s, in milliseconds.
    pub inference_ms: Option<f64>,
    /// Milliseconds since the newest frame was shown.
    pub age_ms: Option<f64>,
    /// Presentation time of the newest frame, in nanoseconds from the first.
    pub pts_ns: u64,
    /// Counts since the stream was added.
    pub frames: VitalCounts,
    /// Of the newest frame.
    pub shares: Vec<ShareNow>,
    /// Of the newest frame.
    pub zones: Vec<ZoneNow>,
}

/// Counts since a stream was added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct VitalCounts {
    /// Frames that were taken from the source.
    pub read: u64,
    /// Those that went through the net.
    pub inferred: u64,
    /// Those that were shown.
    pub shown: u64,
    /// Pictures with the mark "signal lost" in their stead.
    pub filler: u64,
    /// Frames that a newer one took the place of.
    pub replaced: u64,
    /// Frames that were older than `max_age_ms`.
    pub too_old: u64,
    /// How often the source was connected.
    pub connections: u64,
    /// How often the stream failed and was started anew.
    pub failures: u64,
}

type OnState = Box<dyn Fn(State, &str) + Send + Sync>;

impl Default for Pulse {
    fn default() -> Self {
        Self::new(|_, _| {})
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Pulse {
    /// The numbers of a stream that begins now. `on_state` hears every new state, and why.
    pub fn new(on_state: impl Fn(State, &str) + Send + Sync + 'static) -> Self {
        let now = Now {
            state: State::Connecting,
            since: Instant::now(),
            why: "it begins".into(),
            size: None,
            model: None,
            provider: None,
            shares: Vec::new(),
            zones: Vec::new(),
            pts_ns: 0,
            last_frame: None,
        };
        Self {
            now: Mutex::new(now),
            on_state: Box::new(on_state),
            recent: Mutex::default(),
            read: AtomicU64::default(),
            inferred: AtomicU64::default(),
            shown: AtomicU64::default(),
            filler: AtomicU64::default(),
            replaced: AtomicU64::default(),
            too_old: AtomicU64::default(),
            connections: AtomicU64::default(),
            failures: AtomicU64::default(),
            latency_us: AtomicU64::default(),
            buckets: Default::default(),
        }
    }
}

/// What a frame was like when it was shown.
#[derive(Debug, Clone, Copy)]
pub struct ShownFrame {
    /// Presentation time in nanoseconds.
    pub pts_ns: u64,
    /// When it came into this program.
    pub arrived: Instant,
    /// How long the net took; zero where the map was carried.
    pub inference: Duration,
}

impl Pulse {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Journey>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source is in this state now.
    pub fn enter(&self, state: State, why: &str) {
        {
            let mut now = self.now();
            (now.state, now.since, now.why) = (state, Instant::now(), why.to_owned());
        }
        (self.on_state)(state, why);
    }

    /// The state.
    pub fn state(&self) -> State {
        self.now().state
    }

    /// Since when it is in its state.
    pub fn since(&self) -> Instant {
        self.now().since
    }

    /// What runs, and how large its frames are.
    pub fn opened(&self, size: (u32, u32), model: &str, provider: &str) {
        let mut now = self.now();
        (now.size, now.model, now.provider) = (Some(size), Some(model.into()), Some(provider.into()));
    }

    /// A connection to the source was begun.
    pub fn connecting(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The stream failed and will be started anew.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame was taken from the source.
    pub fn read(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    /// Newer frames took the place of so many more.
    pub fn replaced(&self, frames: u64) {
        self.replaced.fetch_add(frames, Ordering::Relaxed);
    }

    /// A frame was left out since it was too old.
    pub fn too_old(&self) {
        self.too_old.fetch_add(1, Ordering::Relaxed);
    }

    /// What the newest frame shows.
    pub fn saw(&self, shares: Vec<(String, f64)>, zones: Vec<ZoneNow>) {
        let mut now = self.now();
        (now.shares, now.zones) = (shares, zones);
    }

    /// A frame was shown.
    pub fn shown(&self, frame: ShownFrame) {
        let (shown, latency) = (Instant::now(), frame.arrived.elapsed());
        self.shown.fetch_add(1, Ordering::Relaxed);
        if !frame.inference.is_zero() {
            self.inferred.fetch_add(1, Ordering::Relaxed);
        }
        self.latency_us.fetch_add(latency.as_micros() as u64, Ordering::Relaxed);
        let bucket = BUCKETS_S.iter().position(|end| latency.as_secs_f64() <= *end);
        self.buckets[bucket.unwrap_or(BUCKETS_S.len())].fetch_add(1, Ordering::Relaxed);
        {
            let mut now = self.now();
            (now.pts_ns, now.last_frame) = (frame.pts_ns, Some(shown));
        }
        let mut recent = self.recent();
        while recent.len() >= WINDOW_FRAMES || recent.front().is_some_and(|old| shown - old.shown > WINDOW) {
            recent.pop_front();
        }
        recent.push_back(Journey {
            shown,
            latency,
            inference: frame.inference,
        });
    }

    /// A picture was shown in the stead of a frame.
    pub fn filled(&self) {
        self.filler.fetch_add(1, Ordering::Relaxed);
    }

    /// When the newest frame was shown.
    pub fn last_frame(&self) -> Option<Instant> {
        self.now().last_frame
    }

    /// Latency for a histogram: how many frames took at most as long as each of [`BUCKETS_S`] (not cumulative; the last entry
    /// counts longer ones), and the sum in seconds.
    pub fn latencies(&self) -> (Vec<u64>, f64) {
        let counts = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        (counts, self.latency_us.load(Ordering::Relaxed) as f64 / 1e6)
    }

    /// How the stream is now.
    pub fn vitals(&self) -> Vitals {
        let at = Instant::now();
        let recent: Vec<_> = self.recent().iter().filter(|j| at - j.shown <= WINDOW).copied().collect();
        let window = recent.first().map_or(WINDOW, |first| (at - first.shown).min(WINDOW)).as_secs_f64();
        let inferences: Vec<_> = recent.iter().map(|j| j.inference).filter(|i| !i.is_zero()).collect();
        let now = self.now();
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Vitals {
            state: now.state,
            since_s: now.since.elapsed().as_secs_f64(),
            why: now.why.clone(),
            width: now.size.map(|(width, _)| width),
            height: now.size.map(|(_, height)| height),
            model: now.model.clone(),
            provider: now.provider.clone(),
            frames_per_s: if recent.len() < 2 {
                0.0
            } else {
                recent.len() as f64 / window.max(0.1)
            },
            latency: latency(recent.iter().map(|j| j.latency).collect()),
            inference_ms: (!inferences.is_empty())
                .then(|| 1e3 * inferences.iter().sum::<Duration>().as_secs_f64() / inferences.len() as f64),
            age_ms: now.last_frame.map(|last| 1e3 * (at - last).as_secs_f64()),
            pts_ns: now.pts_ns,
            frames: VitalCounts {
                read: count(&self.read),
                inferred: count(&self.inferred),
                shown: count(&self.shown),
                filler: count(&self.filler),
                replaced: count(&self.replaced),
                too_old: count(&self.too_old),
                connections: count(&self.connections),
                failures: count(&self.failures),
            },
            shares: now
                .shares
                .iter()
                .map(|(class, share)| ShareNow {
                    class: class.clone(),
                    share: *share,
                })
                .collect(),
            zones: now.zones.clone(),
        }
    }
}

/// Quantiles of these times; `None` of none.
fn latency(mut times: Vec<Duration>) -> Option<LatencyReport> {
    times.sort_unstable();
    let ms = |time: &Duration| 1e3 * time.as_secs_f64();
    let at = |share: f64| times.get(((times.len() as f64 * share).ceil() as usize).max(1) - 1).map_or(0.0, ms);
    times.last().map(|longest| LatencyReport {
        p50_ms: at(0.5),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        max_ms: ms(longest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_times() {
        let ms = |n: u64| Duration::from_millis(n);
        assert_eq!(latency(Vec::new()), None);
        let report = latency((1..=100).rev().map(ms).collect()).unwrap();
        assert_eq!(
            (report.p50_ms, report.p95_ms, report.p99_ms, report.max_ms),
            (50.0, 95.0, 99.0, 100.0)
        );
        let one = latency(vec![ms(7)]).unwrap();
        assert_eq!((one.p50_ms, one.max_ms), (7.0, 7.0));
    }

    #[test]
    fn what_was_written_is_read() {
        let pulse = Pulse::default();
        assert_eq!(pulse.vitals().state, State::Connecting);
        pulse.enter(State::Live, "frames come");
        pulse.opened((320, 240), "net", "cpu");
        let frame = |inference| ShownFrame {
            pts_ns: 5,
            arrived: Instant::now() - Duration::from_millis(30),
            inference,
        };
        pulse.shown(frame(Duration::from_millis(20)));
        pulse.shown(frame(Duration::ZERO));
        pulse.replaced(3);
        pulse.saw(vec![("road".into(), 0.25)], Vec::new());
        let vitals = pulse.vitals();
        assert_eq!(
            (vitals.state, vitals.width, vitals.why.as_str()),
            (State::Live, Some(320), "frames come")
        );
        assert_eq!((vitals.frames.shown, vitals.frames.inferred, vitals.frames.replaced), (2, 1, 3));
        assert_eq!(vitals.inference_ms, Some(20.0));
        assert!(vitals.latency.is_some_and(|l| l.p50_ms >= 30.0));
        let (buckets, sum_s) = pulse.latencies();
        assert_eq!(buckets.iter().sum::<u64>(), 2);
        assert_eq!(buckets[0] + buckets[1], 0, "both took longer than 20 ms");
        assert!(sum_s >= 0.06);
    }
}
