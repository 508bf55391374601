//! Counts and times of each stage; the end report.

pub mod pulse;
pub mod report;
pub mod usage;

pub use report::{
    Ending, FrameCounts, KeyCounts, LatencyReport, ModelUsed, ProviderUsed, Refusal, Report, RuleReport, SourceReport, StageReport,
    StateChange, StateCounts, TemporalReport,
};

use hdrhistogram::Histogram;
use std::fmt;
use std::time::{Duration, Instant};

/// A step on the way of a frame, in the order of that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Waits for the next decoded frame.
    Source,
    /// Finds what moved and decides what is inferred.
    Motion,
    /// Planes to tensor.
    Preprocess,
    /// Runs the net.
    Infer,
    /// Scores to class map.
    Postprocess,
    /// Carries class maps to the frames that were not inferred.
    Carry,
    /// Watches zones, writes masks and JSON lines.
    Record,
    /// Draws the classes.
    Overlay,
    /// Hands the frame to the encoder.
    Sink,
}

impl Stage {
    /// Its name in reports and errors, and that of its thread.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Motion => "motion",
            Self::Preprocess => "preprocess",
            Self::Infer => "infer",
            Self::Postprocess => "postprocess",
            Self::Carry => "carry",
            Self::Record => "record",
            Self::Overlay => "overlay",
            Self::Sink => "sink",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Measures one stage. Its thread owns it.
#[derive(Debug, Clone)]
pub struct Meter {
    stage: Stage,
    threads: usize,
    /// Frames that fit into the queue before the stage; 0 for the source.
    capacity_frames: usize,
    times_us: Histogram<u32>,
    depth_sum: u64,
    depth_max: usize,
}

/// Longest time that is told from longer ones: one hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Times between 1 us and [`LONGEST_US`], to three digits.
fn times() -> Histogram<u32> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds and digits are within what the histogram takes")
}

/// Measures how long frames are on their way.
#[derive(Debug)]
pub struct Journeys(Histogram<u32>);

impl Default for Journeys {
    fn default() -> Self {
        Self(times())
    }
}

impl Journeys {
    /// One frame came in at `arrived` and has just gone out.
    pub fn record(&mut self, arrived: Instant) {
        self.0.saturating_record((arrived.elapsed().as_micros() as u64).max(1));
    }

    /// What it found; `None` without a frame.
    pub fn report(&self) -> Option<LatencyReport> {
        let ms = |us: u64| us as f64 / 1000.0;
        (!self.0.is_empty()).then(|| LatencyReport {
            p50_ms: ms(self.0.value_at_quantile(0.5)),
            p95_ms: ms(self.0.value_at_quantile(0.95)),
            p99_ms: ms(self.0.value_at_quantile(0.99)),
            max_ms: ms(self.0.max()),
        })
    }
}

impl Meter {
    /// A meter for a stage with so long a queue before it.
    pub fn new(stage: Stage, capacity_frames: usize) -> Self {
        Self {
            stage,
            threads: 1,
            capacity_frames,
            times_us: times(),
            depth_sum: 0,
            depth_max: 0,
        }
    }

    /// One frame took from `started` to now and found `depth_frames` others waiting behind it.
    pub fn record(&mut self, started: Instant, depth_frames: usize) -> Duration {
        let took = started.elapsed();
        self.times_us.saturating_record((took.as_micros() as u64).max(1));
        self.depth_sum += depth_frames as u64;
        self.depth_max = self.depth_max.max(depth_frames);
        took
    }

    /// The stage it measures.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Adds what another thread of the same stage measured.
    pub fn add(&mut self, other: &Self) {
        self.threads += other.threads;
        self.times_us.add(&other.times_us).expect("all meters have the same bounds");
        self.depth_sum += other.depth_sum;
        self.depth_max = self.depth_max.max(other.depth_max);
    }

    /// What it found.
    pub fn report(&self) -> StageReport {
        let frames = self.times_us.len();
        let ms = |us: u64| us as f64 / 1000.0;
        StageReport {
            stage: self.stage.name().into(),
            threads: self.threads,
            frames,
            mean_ms: round(self.times_us.mean() / 1000.0),
            p50_ms: ms(self.times_us.value_at_quantile(0.5)),
            p95_ms: ms(self.times_us.value_at_quantile(0.95)),
            max_ms: ms(self.times_us.max()),
            queue_mean_frames: round(self.depth_sum as f64 / frames.max(1) as f64),
            queue_max_frames: self.depth_max,
            queue_capacity_frames: self.capacity_frames,
        }
    }
}

/// Three digits behind the point are what people can read.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_a_stage_knows_median_and_extremes_and_its_queue() {
        let mut meter = Meter::new(Stage::Infer, 2);
        let now = Instant::now();
        for ms in 1..=100 {
            meter.record(now - Duration::from_millis(ms), usize::from(ms > 50));
        }
        let report = meter.report();
        assert_eq!((report.stage.as_str(), report.frames), ("infer", 100));
        assert!((50.0..60.0).contains(&report.p50_ms), "{report:?}");
        assert!((95.0..105.0).contains(&report.p95_ms) && report.max_ms >= 100.0, "{report:?}");
        assert_eq!((report.queue_mean_frames, report.queue_max_frames), (0.5, 1));
    }

    #[test]
    fn threads_of_one_stage_are_reported_together() {
        let mut meter = Meter::new(Stage::Infer, 2);
        let mut other = meter.clone();
        meter.record(Instant::now(), 0);
        other.record(Instant::now() - Duration::from_millis(100), 2);
        meter.add(&other);
        let report = meter.report();
        assert_eq!((report.threads, report.frames, report.queue_max_frames), (2, 2, 2));
        assert!(report.max_ms >= 100.0 && report.p50_ms < 100.0, "{report:?}");
    }

    #[test]
    fn the_way_of_a_frame_is_measured_from_its_arrival() {
        let mut journeys = Journeys::default();
        assert_eq!(journeys.report(), None);
        let now = Instant::now();
        for ms in 1..=100 {
            journeys.record(now - Duration::from_millis(ms));
        }
        let report = journeys.report().unwrap();
        assert!(
            (50.0..60.0).contains(&report.p50_ms) && (95.0..105.0).contains(&report.p95_ms),
            "{report:?}"
        );
        assert!((99.0..110.0).contains(&report.p99_ms) && report.max_ms >= 100.0, "{report:?}");
    }

    #[test]
    fn a_stage_without_frames_reports_zeros() {
        let report = Meter::new(Stage::Sink, 2).report();
        assert_eq!((report.frames, report.p50_ms, report.max_ms, report.mean_ms), (0, 0.0, 0.0, 0.0));
    }
}
