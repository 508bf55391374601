//! The stages of a run, each with its thread and the queue before it.

use super::crew::{Crew, Verdict};
use super::queue::{Inbox, Outbox, queues};
use super::record::json_line;
use super::{FrameClasses, OnClasses, Plan, outputs};
use crate::config::PipelineConfig;
use crate::error::{Kind, fault};
use crate::frame::{ClassMap, Frame, Tensor};
use crate::infer::{Scores, Segmenter};
use crate::overlay::Overlay;
use crate::pending::PendingFile;
use crate::postprocess::Postprocessor;
use crate::preprocess::{Preprocessor, TensorPool};
use crate::sheet::ContactSheet;
use crate::sink::Sink;
use crate::sink::masks::MaskWriter;
use crate::source::{Opened, Source, StopFlag};
use crate::stats::{Ending, FrameCounts, Meter, ProviderUsed, Refusal, Report, Stage, StageReport, usage};
use anyhow::Result;
use crossbeam_channel::Sender;
use maskline_models::{Class, Fit, Rect};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Frames that fit into the queue before a stage. Two let a stage go on while the next one is busy; more only take memory.
const QUEUE_DEPTH_FRAMES: usize = 2;

/// Everything that works on frames, in the order of their way.
pub(super) struct Stages {
    pub source: Opened,
    pub preprocess: Preprocessor,
    /// Sessions of one net that take frames in turn.
    pub segmenters: Vec<Box<dyn Segmenter>>,
    pub postprocess: Postprocessor,
    pub record: Recorder,
    /// Only if somebody will see the frames.
    pub overlay: Option<Overlay>,
    pub sheet: Option<ContactSheet>,
    pub sink: Box<dyn Sink>,
    /// How long the source may take to hear "stop" before the run goes on without it.
    pub source_grace: Duration,
}

/// What is written of class maps.
pub(super) struct Recorder {
    pub classes: Arc<Vec<Class>>,
    pub masks: Option<MaskWriter>,
    pub json: Option<PendingFile>,
    pub on_classes: Option<OnClasses>,
}

/// What a run found out about itself.
pub(super) struct Done {
    stages: Vec<StageReport>,
    ended_by: Ending,
    counts: FrameCounts,
    first_frame: Option<Instant>,
    began: Instant,
}

#[cfg(test)]
impl Done {
    pub fn counts(&self) -> FrameCounts {
        self.counts
    }

    pub fn stages(&self) -> &[StageReport] {
        &self.stages
    }
}

struct Prepared {
    frame: Frame,
    tensor: Tensor,
}

struct Inferred {
    frame: Frame,
    scores: Scores,
    inference: Duration,
}

struct Segmented {
    frame: Frame,
    map: ClassMap,
    inference: Duration,
}

/// What the stages tell at their end, and the outputs that only get their names when all went well.
#[derive(Default)]
struct Tally {
    stages: Vec<Meter>,
    counts: FrameCounts,
    stopped: bool,
    first_frame: Option<Instant>,
    json: Option<PendingFile>,
    masks: Option<MaskWriter>,
    sheet: Option<ContactSheet>,
}

impl Tally {
    /// Adds what one thread measured to what others of its stage did.
    fn add(&mut self, meter: &Meter) {
        match self.stages.iter_mut().find(|m| m.stage() == meter.stage()) {
            Some(same) => same.add(meter),
            None => self.stages.push(meter.clone()),
        }
    }
}

type Shared = Arc<Mutex<Tally>>;

fn tell(tally: &Shared, change: impl FnOnce(&mut Tally)) {
    change(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Runs the stages to the end and gives the outputs their names.
pub(super) fn run(stages: Stages, stop: StopFlag, progress: impl FnMut(u64) + Send + 'static) -> Result<Done> {
    let began = Instant::now();
    let tally = Shared::default();
    let mut crew = Crew::new(stop.clone(), stages.source_grace);
    let verdict = crew.verdict();

    let (tx, frames) = queues(1, QUEUE_DEPTH_FRAMES);
    let (mut source, mut tx) = (stages.source.frames, Outbox::new(tx));
    let mut meter = Meter::new(Stage::Source, 0);
    let told = tally.clone();
    crew.spawn(Stage::Source, move || read(&mut *source, &mut tx, &stop, &mut meter, &told))?;

    let nets = stages.segmenters.len();
    let depth = (QUEUE_DEPTH_FRAMES / nets).max(1);
    let (tx, prepared) = queues(nets, depth);
    let mut preprocess = stages.preprocess;
    let pool = preprocess.pool();
    let prepare = move |frame: Frame| {
        let tensor = preprocess.run(&frame)?;
        Ok(Prepared { frame, tensor })
    };
    let inbox = Inbox::new(frames).unless(crew.source_left());
    relay(&mut crew, Stage::Preprocess, &tally, inbox, tx, prepare)?;

    let (tx, inferred) = queues(nets, depth);
    for ((net, rx), tx) in stages.segmenters.into_iter().zip(prepared).zip(tx) {
        let infer = infer_step(net, pool.clone());
        relay(&mut crew, Stage::Infer, &tally, Inbox::new(vec![rx]), vec![tx], infer)?;
    }

    let (tx, mut segmented) = queues(1, QUEUE_DEPTH_FRAMES);
    relay(&mut crew, Stage::Postprocess, &tally, Inbox::new(inferred), tx, stages.postprocess)?;

    if stages.record.has_work() {
        let (tx, recorded) = queues(1, QUEUE_DEPTH_FRAMES);
        let inbox = Inbox::new(std::mem::replace(&mut segmented, recorded));
        relay(&mut crew, Stage::Record, &tally, inbox, tx, stages.record)?;
    }

    if let Some(mut overlay) = stages.overlay {
        let (tx, drawn) = queues(1, QUEUE_DEPTH_FRAMES);
        let inbox = Inbox::new(std::mem::replace(&mut segmented, drawn));
        let draw = move |mut s: Segmented| {
            overlay.draw(&mut s.frame, &s.map)?;
            Ok(s)
        };
        relay(&mut crew, Stage::Overlay, &tally, inbox, tx, draw)?;
    }

    let mut ending = Some((stages.sink, stages.sheet));
    let (mut progress, mut segmented) = (progress, Inbox::new(segmented));
    let told = tally.clone();
    crew.spawn(Stage::Sink, move || {
        let (sink, sheet) = ending.take().expect("the crew calls a body once");
        write(sink, sheet, &mut segmented, &verdict, &told, &mut progress)
    })?;
    crew.join()?;

    let mut tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    tally.json.map_or(Ok(()), PendingFile::finish)?;
    tally.masks.map_or(Ok(()), MaskWriter::finish)?;
    tally.sheet.map_or(Ok(()), ContactSheet::finish)?;
    tally.stages.sort_by_key(Meter::stage);
    let ended_by = if tally.stopped { Ending::Stopped } else { Ending::EndOfInput };
    Ok(Done {
        stages: tally.stages.iter().map(Meter::report).collect(),
        ended_by,
        counts: tally.counts,
        first_frame: tally.first_frame,
        began,
    })
}

/// Starts a stage that makes one item of each item.
fn relay<A: Send + 'static, B: Send + 'static>(
    crew: &mut Crew,
    stage: Stage,
    tally: &Shared,
    mut inbox: Inbox<A>,
    tx: Vec<Sender<B>>,
    mut step: impl Step<A, B> + 'static,
) -> Result<()> {
    let mut meter = Meter::new(stage, QUEUE_DEPTH_FRAMES);
    let (tally, mut outbox) = (tally.clone(), Outbox::new(tx));
    crew.spawn(stage, move || {
        while let Some((item, waiting)) = inbox.next() {
            let started = Instant::now();
            let made = step.step(item)?;
            meter.record(started, waiting);
            if !outbox.put(made) {
                break;
            }
        }
        tell(&tally, |t| {
            t.add(&meter);
            step.end(t);
        });
        Ok(())
    })
}

/// What a stage does with each item.
trait Step<A, B>: Send {
    fn step(&mut self, item: A) -> Result<B>;

    /// Tells what it found, after the last item.
    fn end(&mut self, _tally: &mut Tally) {}
}

impl<A, B, F: FnMut(A) -> Result<B> + Send> Step<A, B> for F {
    fn step(&mut self, item: A) -> Result<B> {
        self(item)
    }
}

impl Step<Inferred, Segmented> for Postprocessor {
    fn step(&mut self, Inferred { frame, scores, inference }: Inferred) -> Result<Segmented> {
        let map = self.run(&scores)?;
        Ok(Segmented { frame, map, inference })
    }

    fn end(&mut self, tally: &mut Tally) {
        tally.counts.nan = self.nan_frames();
    }
}

impl Step<Segmented, Segmented> for Recorder {
    fn step(&mut self, segmented: Segmented) -> Result<Segmented> {
        self.record(&segmented)?;
        Ok(segmented)
    }

    fn end(&mut self, tally: &mut Tally) {
        tally.json = self.json.take();
        tally.masks = self.masks.take();
    }
}

fn read(source: &mut dyn Source, tx: &mut Outbox<Frame>, stop: &StopFlag, meter: &mut Meter, tally: &Shared) -> Result<()> {
    let mut count = 0;
    loop {
        let started = Instant::now();
        let Some(frame) = source.next()? else { break };
        meter.record(started, 0);
        count += 1;
        if !tx.put(frame) {
            break;
        }
    }
    tell(tally, |t| {
        t.counts.read = count;
        t.counts.dropped = source.dropped();
        t.stopped = stop.requested();
        t.add(meter);
    });
    if count == 0 && !stop.requested() {
        return Err(fault(Kind::BadInput, "the input has no frame to show from there on"));
    }
    Ok(())
}

fn infer_step(mut segmenter: Box<dyn Segmenter>, pool: TensorPool) -> impl FnMut(Prepared) -> Result<Inferred> + Send {
    move |Prepared { frame, tensor }| {
        let started = Instant::now();
        let scores = segmenter.infer(&tensor)?;
        let inference = started.elapsed();
        pool.recycle(tensor);
        Ok(Inferred { frame, scores, inference })
    }
}

/// A class map covers exactly the frame: what a letterbox added is gone already.
fn whole(map: &ClassMap) -> Fit {
    let (width, height) = (map.width, map.height);
    Fit {
        width,
        height,
        content: Rect { x: 0, y: 0, width, height },
        pad: 0,
    }
}

impl Recorder {
    fn has_work(&self) -> bool {
        self.json.is_some() || self.masks.is_some() || self.on_classes.is_some()
    }

    fn record(&mut self, segmented: &Segmented) -> Result<()> {
        let Segmented { frame, map, inference } = segmented;
        let classes = FrameClasses {
            index: frame.index,
            pts_ns: frame.pts_ns,
            format: &frame.format,
            map,
            classes: &self.classes,
            inference: *inference,
        };
        if let Some(masks) = &mut self.masks {
            masks.write(frame.index, map, &whole(map), frame.format.width, frame.format.height)?;
        }
        if let Some(json) = &mut self.json {
            json_line(json, &classes)?;
        }
        self.on_classes.as_mut().map_or(Ok(()), |call| call(&classes))
    }
}

fn write(
    mut sink: Box<dyn Sink>,
    mut sheet: Option<ContactSheet>,
    drawn: &mut Inbox<Segmented>,
    verdict: &Verdict,
    tally: &Shared,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut meter = Meter::new(Stage::Sink, QUEUE_DEPTH_FRAMES);
    let (mut count, mut first_frame) = (0, None);
    while let Some((Segmented { frame, .. }, waiting)) = drawn.next() {
        let started = Instant::now();
        first_frame.get_or_insert(started);
        if let Some(sheet) = &mut sheet {
            sheet.offer(&frame)?;
        }
        sink.write(frame)?;
        meter.record(started, waiting);
        count += 1;
        progress(count);
    }
    if verdict.failed() {
        return Ok(()); // dropping the sink abandons the output
    }
    if count > 0 {
        sink.finish()?;
    }
    tell(tally, |t| {
        t.counts.written = count;
        t.counts.inferred = count;
        t.first_frame = first_frame;
        t.sheet = sheet;
        t.add(&meter);
    });
    Ok(())
}

/// Puts everything together for the end report.
pub(super) fn report(plan: &Plan, config: &PipelineConfig, done: Done, started: Instant) -> Report {
    let stream_s = done.began.elapsed().as_secs_f64();
    let ms = |s: f64| (s * 1e3).round() / 1e3;
    Report {
        maskline: env!("CARGO_PKG_VERSION").into(),
        input: config.source.input.clone(),
        output: config.output.video.as_ref().map(|v| v.display().to_string()),
        written: outputs::written(&config.output, done.counts.written),
        width: plan.format.width,
        height: plan.format.height,
        ended_by: done.ended_by,
        frames: done.counts,
        wall_s: ms(started.elapsed().as_secs_f64()),
        stream_s: ms(stream_s),
        cpu_s: ms(usage::cpu_seconds()),
        frames_per_s: ms(done.counts.written as f64 / stream_s),
        first_frame_ms: done.first_frame.map(|at| ms((at - started).as_secs_f64() * 1e3)),
        peak_memory_mib: usage::peak_memory_mib(),
        model: plan.model.clone(),
        provider: ProviderUsed {
            asked: config.session.provider.to_string(),
            taken: plan.provider.taken.clone(),
            refused: plan
                .provider
                .refused
                .iter()
                .map(|(provider, why)| Refusal {
                    provider: provider.clone(),
                    why: why.clone(),
                })
                .collect(),
        },
        stages: done.stages,
    }
}
