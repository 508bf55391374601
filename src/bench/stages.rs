//! Each stage alone, on frames that lie in memory, and the whole as `maskline run` does it.

use super::lap::{Clock, Lap, ms};
use crate::config::PipelineConfig;
use crate::error::{Kind, fault};
use crate::frame::{ClassMap, ConfidenceMap, Frame, Tensor};
use crate::infer::{Provider, ProviderReport, Scores, Segmenter};
use crate::overlay::Overlay;
use crate::pipeline::{Pipeline, Plan, open_model, session_options, sessions, sink_options, source_options};
use crate::postprocess::Postprocessor;
use crate::preprocess::Preprocessor;
use crate::sink::{self, SinkOptions};
use crate::source::{self, SourceOptions, StopFlag};
use crate::stats::usage;
use crate::temporal::Lookout;
use anyhow::Result;
use maskline_models::Fit;
use serde::Serialize;
use std::fmt;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

/// Decoded frames that are kept at most, and how many bytes they may take; with a memory they are kept twice, as decoded and masked.
const HELD_FRAMES: usize = 32;
const HELD_BYTES: usize = 64 << 20;
/// Frames of which input and output of the net are kept as well; their numbers do not change how long it takes.
const HELD_TENSORS: usize = 8;

/// What is measured, in the order of a frame's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The source, opened and read to the end; frames are dropped.
    Decode,
    /// What moved since the frame before, by which a net with a memory hears of cuts; others have no such stage.
    Motion,
    /// Planes to tensor.
    Preprocess,
    /// The sessions of the net, as many as a run has, each on its thread.
    Infer,
    /// Scores to class map.
    Postprocess,
    /// Class map over the frame.
    Overlay,
    /// The sink, from its creation to the finished file, fed with masked frames.
    Encode,
    /// Everything, as `maskline run` does it.
    Whole,
}

impl Step {
    /// The stages that make up the whole.
    pub const ALONE: [Self; 7] = [
        Self::Decode,
        Self::Motion,
        Self::Preprocess,
        Self::Infer,
        Self::Postprocess,
        Self::Overlay,
        Self::Encode,
    ];

    /// Its name in the table and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Motion => "motion",
            Self::Preprocess => "preprocess",
            Self::Infer => "infer",
            Self::Postprocess => "postprocess",
            Self::Overlay => "overlay",
            Self::Encode => "encode",
            Self::Whole => "whole",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The stages, apart, and what they work on.
pub(super) struct Stages {
    input: String,
    frames: usize,
    reading: SourceOptions,
    writing: SinkOptions,
    output: PathBuf,
    device: Option<String>,
    provider: ProviderReport,
    /// Where the net remembers.
    lookout: Option<Lookout>,
    preprocess: Preprocessor,
    nets: Vec<Box<dyn Segmenter>>,
    postprocess: Postprocessor,
    overlay: Overlay,
    held: Held,
}

/// What came out of each stage for the first frames of the clip.
#[derive(Default)]
struct Held {
    /// With the overlay. What a pixel shows makes no difference to preprocess and overlay, which get them as well.
    frames: Vec<Frame>,
    /// As they were decoded, for the motion stage alone: what moves in them decides how long it takes.
    decoded: Vec<Frame>,
    /// One for each frame.
    maps: Vec<(ClassMap, Option<ConfidenceMap>)>,
    tensors: Vec<Tensor>,
    scores: Vec<Scores>,
}

impl Stages {
    /// Opens everything that a run would open, but the outputs.
    ///
    /// # Errors
    /// Those of a run.
    pub fn open(config: &PipelineConfig, stop: &StopFlag) -> Result<Self> {
        let model = open_model(config)?;
        let (input, head) = (&model.contract.input, config.model.head.as_deref());
        let reading = source_options(config, stop);
        let mut source = source::open(&config.source.input, &reading)?;
        let format = source.format.clone();
        let wrong = |message| fault(Kind::Config, message);
        let fit = Fit::plan(input, format.width, format.height, config.model.size).map_err(wrong)?;
        let (nets, provider) = sessions::open(&model, head, fit, &session_options(config), false)?;
        let remembers = model.contract.remembers();
        let head = model.contract.head(head).map_err(wrong)?;
        let mut stages = Self {
            input: config.source.input.clone(),
            frames: reading.frames.unwrap_or(1) as usize,
            reading,
            writing: sink_options(config),
            output: config.output.video.clone().unwrap_or_default().with_file_name("encoded.mp4"),
            device: config.session.device.clone(),
            provider,
            lookout: remembers.then(|| Lookout::new(&config.temporal, &format)).transpose()?,
            preprocess: Preprocessor::new(input, &fit, &format)?,
            nets,
            postprocess: Postprocessor::new(head, &fit),
            overlay: Overlay::new(&head.classes, &format, config.overlay.clone())?,
            held: Held::default(),
        };
        let mut bytes = 0;
        while stages.held.frames.len() < HELD_FRAMES
            && bytes < HELD_BYTES
            && let Some(frame) = source.frames.next()?
        {
            bytes += (0..format.pixels.planes()).map(|p| frame.pixels.plane(p).len()).sum::<usize>();
            // A decoder may have only so many pictures to lend.
            stages.hold(copy_of(&frame)?)?;
        }
        Ok(stages)
    }

    fn hold(&mut self, mut frame: Frame) -> Result<()> {
        if self.lookout.is_some() {
            self.held.decoded.push(copy_of(&frame)?);
        }
        let tensor = self.preprocess.run(&frame)?;
        let scores = self.nets[0].infer(&tensor)?;
        let map = self.postprocess.run(&scores)?;
        let confidence = self.postprocess.confidence(&scores);
        self.overlay.draw(&mut frame, &map, confidence.as_ref())?;
        self.held.frames.push(frame);
        self.held.maps.push((map, confidence));
        if self.held.tensors.len() < HELD_TENSORS {
            self.held.tensors.push(tensor);
            self.held.scores.push(scores);
        }
        Ok(())
    }

    /// Whether the net runs on the CPU that everything else runs on.
    pub fn on_cpu(&self) -> bool {
        let taken = &self.provider.taken;
        let on_the_cpu = self.device.as_deref().is_none_or(|d| d == "CPU");
        taken == Provider::Cpu.as_str() || (taken == Provider::OpenVino.as_str() && on_the_cpu)
    }

    /// How many sessions of the net run side by side.
    pub fn sessions(&self) -> usize {
        self.nets.len()
    }

    /// The stages that a run with this net has, and at last the whole.
    pub fn steps(&self) -> Vec<Step> {
        let alone = Step::ALONE
            .into_iter()
            .filter(|step| *step != Step::Motion || self.lookout.is_some());
        alone.chain([Step::Whole]).collect()
    }

    /// Measures one stage on as many frames as the whole has.
    ///
    /// # Errors
    /// Those of the stage.
    pub fn lap(&mut self, step: Step) -> Result<Lap> {
        match step {
            Step::Decode => self.decode(),
            Step::Motion => self.motion(),
            Step::Preprocess => self.preprocess(),
            Step::Infer => self.infer(),
            Step::Postprocess => self.postprocess(),
            Step::Overlay => self.overlay(),
            Step::Encode => self.encode(),
            Step::Whole => Err(fault(Kind::Internal, "the whole is not measured as a stage")),
        }
    }

    /// Opening counts, as the pictures that a decoder has ready when it gives the first one would count for nothing else.
    fn decode(&self) -> Result<Lap> {
        let clock = Clock::start();
        let mut source = source::open(&self.input, &self.reading)?;
        let mut frames = 0;
        while let Some(frame) = source.frames.next()? {
            drop(frame);
            frames += 1;
        }
        drop(source);
        Ok(clock.stop(frames))
    }

    fn motion(&mut self) -> Result<Lap> {
        let Some(lookout) = &mut self.lookout else {
            return Err(fault(Kind::Internal, "a net without a memory has no motion stage"));
        };
        let (mut lap, held) = (Lap::default(), &self.held.decoded);
        lookout.look(&held[0])?; // it remembers where the lap before ended
        for index in 1..=self.frames as u64 {
            lap.call(|| lookout.look(&held[to_and_fro(index, held.len())]).map(drop))?;
        }
        Ok(lap)
    }

    fn preprocess(&mut self) -> Result<Lap> {
        let (mut lap, pool) = (Lap::default(), self.preprocess.pool());
        for frame in self.held.frames.iter().cycle().take(self.frames) {
            lap.call(|| self.preprocess.run(frame).map(|tensor| pool.recycle(tensor)))?;
        }
        Ok(lap)
    }

    /// As in a run, each session takes the frames that are dealt to it on a thread of its own.
    fn infer(&mut self) -> Result<Lap> {
        let (sessions, tensors, frames) = (self.nets.len(), &self.held.tensors, self.frames);
        let clock = Clock::start();
        let calls = thread::scope(|scope| {
            let work = |(first, net): (usize, &mut Box<dyn Segmenter>)| {
                let mut calls = Vec::new();
                for tensor in tensors.iter().cycle().take(frames).skip(first).step_by(sessions) {
                    let started = Instant::now();
                    net.infer(tensor)?;
                    calls.push(ms(started.elapsed()));
                }
                anyhow::Ok(calls)
            };
            let threads: Vec<_> = self.nets.iter_mut().enumerate().map(|net| scope.spawn(move || work(net))).collect();
            let joined = threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.collect::<Result<Vec<_>>>()
        })?;
        Ok(Lap {
            calls_ms: calls.concat(),
            ..clock.stop(frames as u64)
        })
    }

    fn postprocess(&mut self) -> Result<Lap> {
        let mut lap = Lap::default();
        for scores in self.held.scores.iter().cycle().take(self.frames) {
            lap.call(|| self.postprocess.run(scores).map(drop))?;
        }
        Ok(lap)
    }

    fn overlay(&mut self) -> Result<Lap> {
        let mut lap = Lap::default();
        for (frame, (map, confidence)) in self.held.frames.iter().zip(&self.held.maps).cycle().take(self.frames) {
            // What the encoder will get must stay as it is.
            let mut frame = copy_of(frame)?;
            lap.call(|| self.overlay.draw(&mut frame, map, confidence.as_ref()))?;
        }
        Ok(lap)
    }

    fn encode(&self) -> Result<Lap> {
        let format = &self.held.frames[0].format;
        let (n, d) = format.rate.unwrap_or((25, 1));
        let time_ns = |index: u64| (u128::from(index) * u128::from(d) * 1_000_000_000 / u128::from(n)) as u64;
        let mut copying_s = 0.0;
        let clock = Clock::start();
        let mut sink = sink::create(&self.output, format, Vec::new(), &self.writing)?;
        for index in 0..self.frames as u64 {
            let begin_s = usage::thread_cpu_seconds();
            // The encoder keeps what it is given.
            let frame = copy_of(&self.held.frames[to_and_fro(index, self.held.frames.len())])?;
            copying_s += usage::thread_cpu_seconds() - begin_s;
            sink.write(Frame {
                index,
                pts_ns: time_ns(index),
                duration_ns: Some(time_ns(index + 1) - time_ns(index)),
                ..frame
            })?;
        }
        sink.finish()?;
        let lap = clock.stop(self.frames as u64);
        Ok(Lap {
            cpu_s: lap.cpu_s - copying_s,
            ..lap
        })
    }
}

/// Runs a pipeline and measures it from its first frame to the finished file; opening it does not count.
///
/// # Errors
/// Those of a run.
pub(super) fn whole(config: &PipelineConfig, stop: &StopFlag) -> Result<(Plan, Lap)> {
    let ready = Pipeline::from_config(config.clone()).stop_with(stop.clone()).open()?;
    let plan = ready.plan().clone();
    let clock = Clock::start();
    let report = ready.run(|_| {})?;
    Ok((plan, clock.stop(report.frames.written)))
}

fn copy_of(frame: &Frame) -> Result<Frame> {
    Ok(Frame {
        format: frame.format.clone(),
        pixels: frame.pixels.copy()?,
        ..*frame
    })
}

/// 0, 1, ... to `length - 1` and back again, for ever: without the jump that an encoder would take for a cut.
fn to_and_fro(index: u64, length: usize) -> usize {
    let last = length.saturating_sub(1) as u64;
    let at = index % (2 * last).max(1);
    at.min(2 * last - at) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_to_and_fro_without_a_jump() {
        let order = |length| (0..7).map(|i| to_and_fro(i, length)).collect::<Vec<_>>();
        assert_eq!(order(4), [0, 1, 2, 3, 2, 1, 0]);
        assert_eq!(order(2), [0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(order(1), [0; 7]);
    }

    #[test]
    fn steps_are_named_alike_in_the_table_and_in_json() {
        for step in Step::ALONE.into_iter().chain([Step::Whole]) {
            assert_eq!(serde_json::to_string(&step).unwrap(), format!("\"{step}\""));
        }
    }
}
