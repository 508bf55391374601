//! How good the class maps of a clip are: against labels, and against those of a run that infers every frame.

pub(crate) mod judge;
pub(crate) mod labels;
pub(crate) mod spool;

use crate::config::PipelineConfig;
use crate::error::{Kind, fault};
use crate::pipeline::Pipeline;
use crate::source::StopFlag;
use crate::stats::Report;
use crate::temporal::TemporalOptions;
use anyhow::Result;
use judge::Judge;
use maskline_models::metrics::Scores;
use serde::Serialize;
use spool::Spool;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What one way of running a clip gave.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// How often the net was asked to run: a number of frames or `auto`.
    pub every: String,
    /// How motion was found.
    pub motion: String,
    /// Weight of a pixel's earlier class.
    pub smooth: f32,
    /// Frames of the clip.
    pub frames: u64,
    /// Frames that went through the net.
    pub inferred: u64,
    /// Share (0-1) of the pixels whose class is that of the run that infers every frame.
    pub agreement: f64,
    /// Share (0-1) of the pixels that change their class beside the motion; `None` for frames too small for motion.
    pub flicker: Option<f64>,
    /// 95 % of the frames got their map from a key frame at most so many frames away.
    pub age_p95_frames: u64,
    /// Frames per second without drawing and encoding.
    pub frames_per_s: f64,
    /// CPU milliseconds a frame without drawing and encoding; opening the model is part of it.
    pub cpu_ms_per_frame: f64,
    /// Against the labels, where there are any.
    pub truth: Option<Scores>,
}

/// A clip and what it is compared with.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Input, model and what runs it; outputs are not written.
    pub config: PipelineConfig,
    /// Folder of labels.
    pub labels: Option<PathBuf>,
    /// Ends it early.
    pub stop: StopFlag,
}

impl Evaluation {
    /// Infers every frame, and then runs the clip in each of these ways. The first outcome is that of the run that infers
    /// every frame; `told` hears of each.
    ///
    /// # Errors
    /// Those of a run; kind 65 if labels cannot be read or are not one a frame.
    pub fn run(&self, ways: &[TemporalOptions], mut told: impl FnMut(&Outcome) -> Result<()>) -> Result<Vec<Outcome>> {
        let labels = self.labels.as_deref().map(labels::in_folder).transpose()?;
        let mut reference = None;
        let every_frame = TemporalOptions {
            measure: true,
            ..TemporalOptions::default()
        };
        let mut outcomes = Vec::new();
        let ways = ways.iter().filter(|way| way.is_wanted());
        for way in std::iter::once(&every_frame).chain(ways) {
            let outcome = self.one(way, labels.as_deref(), &mut reference)?;
            told(&outcome)?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Without a reference, the class maps of this run become it.
    fn one(&self, way: &TemporalOptions, labels: Option<&[PathBuf]>, reference: &mut Option<Spool>) -> Result<Outcome> {
        let mut config = self.config.clone();
        config.temporal = TemporalOptions {
            measure: true,
            ..way.clone()
        };
        let first = reference.is_none();
        let spool = reference.take().map_or_else(Spool::new, Ok)?;
        let hearing = Arc::new(Mutex::new(Some((spool, Judge::default()))));
        let (listening, files) = (hearing.clone(), labels.map(<[PathBuf]>::to_vec));
        let cpu_before = crate::stats::usage::cpu_seconds();
        let report = Pipeline::from_config(config)
            .stop_with(self.stop.clone())
            .on_classes(move |frame| {
                let label = files.as_deref().map(|files| labels::of_frame(files, frame.index)).transpose()?;
                let mut hearing = listening.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((spool, judge)) = hearing.as_mut() else { return Ok(()) };
                if first {
                    spool.push(frame.map)?;
                    judge.agree(frame.map, frame.map);
                } else if let Some(reference) = spool.next()? {
                    judge.agree(frame.map, &reference);
                }
                if let Some(label) = label {
                    judge.check(frame.map, frame.classes, &label);
                }
                Ok(())
            })
            .run()?;
        let cpu_s = crate::stats::usage::cpu_seconds() - cpu_before;
        let heard = hearing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (mut spool, judge) = heard.ok_or_else(|| fault(Kind::Internal, "the class maps of a run are gone"))?;
        if let Some(labels) = labels.filter(|l| l.len() as u64 > report.frames.written && self.config.source.frames.is_none()) {
            let (found, frames) = (labels.len(), report.frames.written);
            let line = format!("found {found} labels for {frames} frames, wanted one a frame in the order of their names");
            return Err(fault(Kind::BadInput, line));
        }
        spool.rewind()?;
        *reference = Some(spool);
        Ok(outcome(&report, way, cpu_s, &judge))
    }
}

fn outcome(report: &Report, way: &TemporalOptions, cpu_s: f64, judge: &Judge) -> Outcome {
    let temporal = report.temporal.clone().unwrap_or_default();
    let frames = report.frames.written;
    Outcome {
        every: temporal.every,
        motion: way.motion.to_string(),
        smooth: way.smooth,
        frames,
        inferred: report.frames.inferred,
        agreement: judge.agreement(),
        flicker: temporal.flicker,
        age_p95_frames: temporal.age_p95_frames,
        frames_per_s: report.frames_per_s,
        cpu_ms_per_frame: cpu_s * 1000.0 / frames.max(1) as f64,
        truth: judge.truth(),
    }
}
