//! How good the class maps of a clip are: against labels, and against those of a run that infers every frame.

mod labels;

use crate::config::PipelineConfig;
use crate::error::{Kind, WithKind, fault};
use crate::frame::ClassMap;
use crate::pipeline::Pipeline;
use crate::postprocess::scale_nearest;
use crate::source::StopFlag;
use crate::stats::Report;
use crate::temporal::TemporalOptions;
use anyhow::{Context, Result};
use maskline_models::Class;
use maskline_models::metrics::{Confusion, IGNORE, Scores, scored_names};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
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
        let mut spool = Spool::default();
        let every_frame = TemporalOptions {
            measure: true,
            ..TemporalOptions::default()
        };
        let mut outcomes = Vec::new();
        let ways = ways.iter().filter(|way| way.is_wanted());
        for way in std::iter::once(&every_frame).chain(ways) {
            let outcome = self.one(way, labels.as_deref(), &mut spool)?;
            told(&outcome)?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn one(&self, way: &TemporalOptions, labels: Option<&[PathBuf]>, spool: &mut Spool) -> Result<Outcome> {
        let mut config = self.config.clone();
        config.temporal = TemporalOptions {
            measure: true,
            ..way.clone()
        };
        let judge = Arc::new(Mutex::new(Judge {
            spool: std::mem::take(spool),
            ..Judge::default()
        }));
        let (listening, files) = (judge.clone(), labels.map(<[PathBuf]>::to_vec));
        let cpu_before = crate::stats::usage::cpu_seconds();
        let report = Pipeline::from_config(config)
            .stop_with(self.stop.clone())
            .on_classes(move |frame| {
                let label = files.as_deref().map(|files| label(files, frame.index)).transpose()?;
                let mut judge = listening.lock().unwrap_or_else(PoisonError::into_inner);
                judge.hear(frame.map, frame.classes, label)
            })
            .run()?;
        let cpu_s = crate::stats::usage::cpu_seconds() - cpu_before;
        let mut judge = std::mem::take(&mut *judge.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(labels) = labels.filter(|l| l.len() as u64 > report.frames.written && self.config.source.frames.is_none()) {
            let (found, frames) = (labels.len(), report.frames.written);
            let line = format!("found {found} labels for {frames} frames, wanted one a frame in the order of their names");
            return Err(fault(Kind::BadInput, line));
        }
        judge.spool.rewind()?;
        *spool = judge.spool;
        Ok(outcome(&report, way, cpu_s, judge.agreed, judge.compared, judge.truth))
    }
}

fn outcome(
    report: &Report,
    way: &TemporalOptions,
    cpu_s: f64,
    agreed: u64,
    compared: u64,
    truth: Option<(Confusion, Vec<String>)>,
) -> Outcome {
    let temporal = report.temporal.clone().unwrap_or_default();
    let frames = report.frames.written;
    Outcome {
        every: temporal.every,
        motion: way.motion.to_string(),
        smooth: way.smooth,
        frames,
        inferred: report.frames.inferred,
        agreement: agreed as f64 / compared.max(1) as f64,
        flicker: temporal.flicker,
        age_p95_frames: temporal.age_p95_frames,
        frames_per_s: report.frames_per_s,
        cpu_ms_per_frame: cpu_s * 1000.0 / frames.max(1) as f64,
        truth: truth.map(|(confusion, names)| confusion.scores(&names)),
    }
}

fn label(files: &[PathBuf], index: u64) -> Result<ClassMap> {
    let file: Option<&Path> = usize::try_from(index).ok().and_then(|i| files.get(i)).map(PathBuf::as_path);
    labels::read(file.ok_or_else(|| {
        let line = format!("found {} labels, wanted one for each frame, of which there are more", files.len());
        fault(Kind::BadInput, line)
    })?)
}

/// Hears every class map of a run.
#[derive(Default)]
struct Judge {
    spool: Spool,
    agreed: u64,
    compared: u64,
    truth: Option<(Confusion, Vec<String>)>,
}

impl Judge {
    fn hear(&mut self, map: &ClassMap, classes: &[Class], label: Option<ClassMap>) -> Result<()> {
        let reference = self.spool.next(&map.ids)?;
        self.agreed += map.ids.iter().zip(&reference).filter(|(a, b)| a == b).count() as u64;
        self.compared += map.ids.len() as u64;
        let Some(label) = label else { return Ok(()) };
        let mut number = [IGNORE; 256];
        for (i, class) in classes.iter().filter(|c| !c.ignore).enumerate() {
            number[usize::from(class.id)] = i as u8;
        }
        let numbers = |ids: &[u8]| -> Vec<u8> { ids.iter().map(|id| number[usize::from(*id)]).collect() };
        let names = scored_names(classes);
        let (confusion, _) = self.truth.get_or_insert_with(|| (Confusion::new(names.len()), names));
        let map = scale_nearest(map, label.width, label.height);
        confusion.add(&numbers(&label.ids), &numbers(&map.ids));
        Ok(())
    }
}

/// Class maps of the run that infers every frame, on disk: a long clip has too many for the memory.
#[derive(Default)]
struct Spool {
    written: Option<BufWriter<File>>,
    read: Option<BufReader<File>>,
}

impl Spool {
    /// The map of the frame at hand: `ids` themselves in the first run, what they were then in later ones.
    fn next(&mut self, ids: &[u8]) -> Result<Vec<u8>> {
        let mut spool = || -> std::io::Result<Vec<u8>> {
            if let Some(read) = &mut self.read {
                let mut reference = vec![0; ids.len()];
                read.read_exact(&mut reference)?;
                return Ok(reference);
            }
            if self.written.is_none() {
                self.written = Some(BufWriter::new(tempfile::tempfile()?));
            }
            if let Some(written) = &mut self.written {
                written.write_all(ids)?;
            }
            Ok(ids.to_vec())
        };
        spool().context("cannot keep class maps in a temporary file").kind(Kind::Io)
    }

    /// Back to the first frame.
    fn rewind(&mut self) -> Result<()> {
        let mut back = || -> Result<File> {
            let mut file = match (self.written.take(), self.read.take()) {
                (Some(written), _) => written.into_inner().map_err(std::io::IntoInnerError::into_error)?,
                (None, Some(read)) => read.into_inner(),
                (None, None) => tempfile::tempfile()?,
            };
            file.rewind()?;
            Ok(file)
        };
        let file = back().context("cannot keep class maps in a temporary file").kind(Kind::Io)?;
        self.read = Some(BufReader::new(file));
        Ok(())
    }
}
