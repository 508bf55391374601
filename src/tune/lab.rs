//! Runs of the clip that are measured.

use super::net::Net;
use super::point::Setup;
use super::stall::StallWatch;
use super::truth::Truth;
use crate::config::{OnExisting, PipelineConfig};
use crate::error::{Kind, fault};
use crate::evaluate::spool::Spool;
use crate::pipeline::{Pipeline, Ready};
use crate::progress::clock;
use crate::source::StopFlag;
use crate::stats::Report;
use crate::temporal::{Every, TemporalOptions};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Of the frames per second that a way of running reaches: at more, frames wait for each other however short their way is.
const PACE: f64 = 0.8;

/// A run in which the process stood still for so long does not count.
const STALL: Duration = Duration::from_millis(500);
/// How often a run is made at most until it counts.
const TRIES: usize = 3;

/// Where runs are made: they read the clip, and write a video that nobody keeps.
pub(super) struct Lab<'a> {
    /// The clip, how many frames of it, and where the video goes.
    base: PipelineConfig,
    lookahead: bool,
    /// Frames per second of the clip, where known.
    clip_fps: Option<f64>,
    stop: &'a StopFlag,
    ticker: Ticker,
    disturbed: u64,
    _folder: TempDir,
}

/// What one run gave.
pub(super) struct Run {
    pub report: Report,
    pub maps: Option<Spool>,
}

impl<'a> Lab<'a> {
    pub fn new(clip: &str, frames: u64, lookahead: bool, stop: &'a StopFlag) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let mut base = PipelineConfig::default();
        base.source.input = clip.into();
        base.source.frames = Some(frames);
        base.output.video = Some(folder.path().join("masked.mp4"));
        base.output.existing = OnExisting::Replace;
        Ok(Self {
            base,
            lookahead,
            clip_fps: None,
            stop,
            ticker: Ticker::new(),
            disturbed: 0,
            _folder: folder,
        })
    }

    /// The clip has so many frames per second.
    pub fn clip_runs_at(&mut self, fps: Option<f64>) {
        self.clip_fps = fps;
    }

    /// The clip ends after so many frames already.
    pub fn clip_has(&mut self, frames: u64) {
        self.base.source.frames = Some(frames);
    }

    /// How much of the clip is run.
    pub fn frames(&self) -> u64 {
        self.base.source.frames.unwrap_or(0)
    }

    /// So many frames are still to be run, as far as is known.
    pub fn plan(&mut self, frames: u64) {
        self.ticker.left = frames;
    }

    /// What remains, for people.
    pub fn left(&self) -> String {
        self.ticker.left()
    }

    /// The pipeline of a way of running.
    pub fn config(&self, net: &Net, setup: &Setup, every: Every) -> PipelineConfig {
        let mut config = self.base.clone();
        config.model = net.config.clone();
        config.model.size = Some(setup.size);
        config.session.provider = setup.provider;
        config.session.sessions = Some(setup.sessions);
        config.session.threads = Some(setup.threads);
        config.temporal = TemporalOptions {
            every,
            lookahead: self.lookahead || every == Every::Frames(1),
            ..TemporalOptions::default()
        };
        config
    }

    /// The same on so many frames.
    pub fn short(&self, mut config: PipelineConfig, frames: u64) -> PipelineConfig {
        config.source.frames = Some(frames);
        config
    }

    /// Where the videos go.
    pub fn video(&self) -> Option<PathBuf> {
        self.base.output.video.clone()
    }

    /// Runs as fast as it goes, with the class maps if they are wanted.
    pub fn run(&mut self, config: &PipelineConfig, maps: bool) -> Result<Run> {
        self.undisturbed(|lab| {
            let heard = maps.then(Spool::new).transpose()?.map(|spool| Arc::new(Mutex::new(spool)));
            let mut pipeline = Pipeline::from_config(config.clone()).stop_with(lab.stop.clone());
            if let Some(listening) = heard.clone() {
                pipeline = pipeline.on_classes(move |frame| {
                    let mut spool = listening.lock().unwrap_or_else(PoisonError::into_inner);
                    spool.push(frame.map)
                });
            }
            let report = lab.finish(pipeline.open()?)?;
            let maps = heard.and_then(Arc::into_inner);
            let maps = maps.map(|spool| spool.into_inner().unwrap_or_else(PoisonError::into_inner));
            Ok(Run { report, maps })
        })
    }

    /// The latency (p95) in milliseconds where frames come at the clip's rate, or somewhat slower than a way of running can
    /// take them.
    pub fn latency(&mut self, config: &PipelineConfig, frames_per_s: f64) -> Result<f64> {
        let can = PACE * frames_per_s;
        let pace = self.clip_fps.map_or(can, |fps| fps.min(can));
        self.undisturbed(|lab| {
            let pipeline = Pipeline::from_config(config.clone()).paced(pace).stop_with(lab.stop.clone());
            let report = lab.finish(pipeline.open()?)?;
            let latency = report.latency.context("a run without a frame has no latency")?;
            Ok(latency.p95_ms)
        })
    }

    /// Makes a run again if this process stood still meanwhile.
    fn undisturbed<T>(&mut self, run: impl Fn(&mut Self) -> Result<T>) -> Result<T> {
        for _ in 1..TRIES {
            let watch = StallWatch::start();
            let made = run(self)?;
            if watch.end() < STALL {
                return Ok(made);
            }
            self.disturbed += 1;
        }
        run(self)
    }

    /// Runs that did not count, as the process stood still.
    pub fn disturbed(&self) -> u64 {
        self.disturbed
    }

    /// How well these maps of a net agree.
    pub fn judge(&self, truth: &mut Truth, net: &Net, maps: Option<Spool>) -> Result<(f64, Option<f64>)> {
        let maps = maps.ok_or_else(|| fault(Kind::Internal, "the class maps of a run are gone"))?;
        truth.judge(net, maps)
    }

    fn finish(&mut self, ready: Ready) -> Result<Report> {
        let report = ready.run(|_| {})?;
        if self.stop.requested() {
            return Err(fault(Kind::Interrupted, "stopped before the search was over; nothing was written"));
        }
        self.ticker.spent(report.frames.written);
        Ok(report)
    }
}

/// Tells what remains, by the frames that were run so far.
struct Ticker {
    started: Instant,
    done: u64,
    left: u64,
}

impl Ticker {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            done: 0,
            left: 0,
        }
    }

    fn spent(&mut self, frames: u64) {
        self.done += frames;
        self.left = self.left.saturating_sub(frames);
    }

    fn left(&self) -> String {
        let a_frame = self.started.elapsed().as_secs_f64() / self.done.max(1) as f64;
        format!("about {} left", clock(a_frame * self.left as f64))
    }
}
