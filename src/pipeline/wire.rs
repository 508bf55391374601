//! The stages of a run, each with its thread and the queue before it.

use super::crew::{Crew, Verdict};
use super::finish::Outputs;
use super::hosting::Hosting;
use super::overlay_of;
use super::queue::{Bypass, Inbox, Outbox, Put, Take, Way, queues};
use super::record::Recorder;
use super::trip::{Travels, Trip};
use crate::error::{Kind, fault, kind_of};
use crate::frame::{ClassMap, ConfidenceMap, Frame, Tensor};
use crate::gate::Gate;
use crate::infer::{Scores, Segmenter};
use crate::overlay::Overlay;
use crate::pending::{PendingFile, Unnamed};
use crate::postprocess::Postprocessor;
use crate::preprocess::{Preprocessor, TensorPool};
use crate::publish::Finished;
use crate::sheet::ContactSheet;
use crate::sink::ClassVideo;
use crate::sink::Sink;
use crate::sink::masks::MaskWriter;
use crate::source::{Opened, Source, StopFlag};
use crate::stats::{Ending, FrameCounts, Journeys, LatencyReport, Meter, RuleReport, SourceReport, Stage, StageReport, TemporalReport};
use crate::temporal::{Carried, Carrier, KeyReason, Lookout, Sight};
use anyhow::Result;
use maskline_models::Class;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Frames that fit into the queue before a stage. Two let a stage go on while the next one is busy; more only take memory.
const QUEUE_DEPTH_FRAMES: usize = 2;
/// The same for live sources, where a frame that waits only grows old.
const LIVE_QUEUE_DEPTH_FRAMES: usize = 1;

/// Everything that works on frames, in the order of their way.
pub(super) struct Stages {
    pub source: Opened,
    /// Only if frames are looked at before the net: where class maps are carried, or the net remembers.
    pub temporal: Option<Temporal>,
    pub preprocess: Preprocessor,
    /// What errors call the net.
    pub model: String,
    /// Sessions of one net that take frames in turn.
    pub segmenters: Vec<Box<dyn Segmenter>>,
    /// Only if others share the net: where frames of a live source wait for their turn.
    pub turns: Option<Gate>,
    pub postprocess: Postprocessor,
    pub record: Recorder,
    /// Those of the net, in the order of its contract.
    pub classes: Arc<Vec<Class>>,
    /// Only if somebody will see the frames.
    pub overlay: Option<Overlay>,
    pub sheet: Option<ContactSheet>,
    pub sink: Box<dyn Sink>,
    /// Frames come by the clock, and an old one is worth nothing: as few as can be are under way.
    pub live: bool,
    /// Only in a host: where frames are shown, and what may change while they come.
    pub hosting: Option<Hosting>,
    /// How long the source may take to hear "stop" before the run goes on without it.
    pub source_grace: Duration,
}

/// What is done about the time between frames.
pub(super) struct Temporal {
    pub lookout: Lookout,
    /// Only if class maps are carried between inferred frames; a net that remembers alone just has to hear of cuts.
    pub carry: Option<Carry>,
}

/// What carries class maps.
pub(super) struct Carry {
    pub carrier: Carrier<OnItsWay>,
    /// Frames that may wait on their way around the net.
    pub frames_around: usize,
    /// Frames of a live source that may be on their way until they have their maps.
    pub frames_live: usize,
}

/// What a run found out about itself.
pub(super) struct Done {
    pub stages: Vec<StageReport>,
    pub temporal: Option<TemporalReport>,
    pub source: Option<SourceReport>,
    pub rules: Vec<RuleReport>,
    pub ended_by: Ending,
    pub counts: FrameCounts,
    pub first_frame: Option<Instant>,
    pub latency: Option<LatencyReport>,
    pub began: Instant,
    pub outputs: Outputs,
}

/// A frame as it came.
struct Entered {
    frame: Frame,
    trip: Trip,
}

/// A frame, and whether it is inferred.
struct Sighted {
    frame: Frame,
    trip: Trip,
    sight: Sight,
}

struct Prepared {
    seen: Sighted,
    tensor: Tensor,
}

struct Inferred {
    seen: Sighted,
    scores: Scores,
    inference: Duration,
}

/// A frame, with a class map if it was inferred.
struct Mapped {
    seen: Sighted,
    map: Option<ClassMap>,
    confidence: Option<ConfidenceMap>,
    inference: Duration,
}

/// A frame that waits for the map that is carried to it.
pub(super) struct OnItsWay {
    frame: Frame,
    trip: Trip,
    inference: Duration,
}

/// A frame with its class map.
pub(super) struct Segmented {
    pub frame: Frame,
    /// The frame as it came, if somebody wants that beside the masked one.
    pub raw: Option<Frame>,
    pub map: ClassMap,
    /// Only if the net was asked for it.
    pub confidence: Option<ConfidenceMap>,
    pub inference: Duration,
    /// How many frames away the map was inferred.
    pub age_frames: u32,
    /// For every zone whether one of its rules is on; empty until they have been looked at.
    pub zones_on: Vec<bool>,
    pub trip: Trip,
}

impl Travels for Entered {
    fn trip(&self) -> &Trip {
        &self.trip
    }
}

impl Travels for Prepared {
    fn trip(&self) -> &Trip {
        &self.seen.trip
    }
}

impl Travels for Sighted {
    fn trip(&self) -> &Trip {
        &self.trip
    }
}

impl Travels for Way<Inferred, Sighted> {
    fn trip(&self) -> &Trip {
        match self {
            Self::Through(inferred) => &inferred.seen.trip,
            Self::Around(seen) => &seen.trip,
        }
    }
}

impl Travels for Segmented {
    fn trip(&self) -> &Trip {
        &self.trip
    }
}

/// What the stages tell at their end, and the outputs that only get their names when all went well.
#[derive(Default)]
pub(super) struct Tally {
    stages: Vec<Meter>,
    counts: FrameCounts,
    temporal: Option<TemporalReport>,
    source: Option<SourceReport>,
    stopped: bool,
    /// A live source was given up.
    lost: bool,
    /// The input ended before the time that it promised.
    damaged: bool,
    first_frame: Option<Instant>,
    latency: Option<LatencyReport>,
    pub json: Option<PendingFile>,
    pub masks: Option<MaskWriter>,
    pub class_video: Option<ClassVideo>,
    pub rules: Vec<RuleReport>,
    sheet: Option<ContactSheet>,
    video: Option<Unnamed>,
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

/// Runs the stages to the end and completes the outputs.
///
/// # Errors
/// The earliest failure of a stage, or kind 130 if it was stopped before its first frame; then every output is abandoned.
pub(super) fn run(stages: Stages, stop: StopFlag, progress: impl FnMut(u64) + Send + 'static) -> Result<Done> {
    let began = Instant::now();
    let tally = Shared::default();
    let mut crew = Crew::new(stop.clone(), stages.source_grace);
    let verdict = crew.verdict();

    let depth = if stages.live { LIVE_QUEUE_DEPTH_FRAMES } else { QUEUE_DEPTH_FRAMES };
    let carry = stages.temporal.as_ref().and_then(|t| t.carry.as_ref());
    let room = carry.map_or(stages.segmenters.len(), |c| c.frames_live);
    let around = carry.map_or(0, |c| c.frames_around);
    let room = stages.live.then(|| Gate::new(room));
    // Frames that get a carried map have no turn at the net.
    let turns = stages.turns.filter(|_| stages.live && stages.temporal.is_none());
    let (tx, frames) = queues(1, depth);
    let (mut source, mut tx) = (stages.source.frames, Outbox::new(tx));
    let mut meter = Meter::new(Stage::Source, 0);
    let told = tally.clone();
    let host = stages.hosting.clone();
    crew.spawn(Stage::Source, move || {
        let source = Gated {
            source: &mut *source,
            room: room.as_ref(),
            turns: turns.as_ref(),
            host: host.as_ref(),
        };
        read(source, &mut tx, &stop, &mut meter, &told)
    })?;

    let (nets, pool) = (stages.segmenters.len(), stages.preprocess.pool());
    let depth_of_net = (depth / nets).max(1);
    let (tx, prepared) = queues(nets, depth_of_net);
    let (done, inferred) = queues(nets, depth_of_net);
    let (fork, join) = Bypass::new(around).around(Outbox::new(tx), Inbox::new(inferred));

    let mut preprocess = stages.preprocess;
    let mut prepare = move |seen: Sighted| {
        if seen.sight.key.is_none() {
            return Ok(Way::Around(seen));
        }
        let tensor = preprocess.run(&seen.frame)?;
        Ok(Way::Through(Prepared { seen, tensor }))
    };
    let frames = Inbox::new(frames).unless(crew.source_left());
    let carrier = match stages.temporal {
        Some(Temporal { mut lookout, carry }) => {
            let (tx, seen) = queues(1, depth);
            let look = move |Entered { frame, trip }: Entered| {
                let sight = lookout.look(&frame)?;
                Ok(Sighted { frame, trip, sight })
            };
            relay(&mut crew, Stage::Motion, &tally, frames, Outbox::new(tx), look)?;
            relay(&mut crew, Stage::Preprocess, &tally, Inbox::new(seen), fork, prepare)?;
            carry.map(|c| c.carrier)
        }
        None => {
            let sight = Sight {
                key: Some(KeyReason::Due),
                ..Sight::default()
            };
            let prepare = move |Entered { frame, trip }: Entered| {
                prepare(Sighted {
                    frame,
                    trip,
                    sight: sight.clone(),
                })
            };
            relay(&mut crew, Stage::Preprocess, &tally, frames, fork, prepare)?;
            None
        }
    };

    for ((net, rx), tx) in stages.segmenters.into_iter().zip(prepared).zip(done) {
        let infer = infer_step(net, stages.model.clone(), pool.clone(), carrier.is_some());
        relay(&mut crew, Stage::Infer, &tally, Inbox::new(vec![rx]), Outbox::new(vec![tx]), infer)?;
    }

    let (tx, mut segmented) = queues(1, depth);
    let tx = Outbox::new(tx);
    let postprocess = Mapper::new(stages.postprocess);
    match carrier {
        Some(carrier) => {
            let (to_carry, mapped) = queues(1, depth);
            relay(&mut crew, Stage::Postprocess, &tally, join, Outbox::new(to_carry), postprocess)?;
            let told = tally.clone();
            let mut carry = Some((carrier, Inbox::new(mapped), tx));
            crew.spawn(Stage::Carry, move || {
                let (carrier, inbox, outbox) = carry.take().expect("the crew calls a body once");
                carry_maps(carrier, inbox, outbox, &told);
                Ok(())
            })?;
        }
        None => relay(&mut crew, Stage::Postprocess, &tally, join, tx, EveryFrame(postprocess))?,
    }

    if stages.record.has_work() {
        let (tx, recorded) = queues(1, depth);
        let inbox = Inbox::new(std::mem::replace(&mut segmented, recorded));
        relay(&mut crew, Stage::Record, &tally, inbox, Outbox::new(tx), stages.record)?;
    }

    if let Some(mut overlay) = stages.overlay {
        let (tx, drawn) = queues(1, depth);
        let inbox = Inbox::new(std::mem::replace(&mut segmented, drawn));
        let hosting = stages.hosting.clone();
        let (mut seen, classes) = (0, stages.classes);
        let draw = move |mut s: Segmented| {
            if let Some(hosting) = &hosting {
                if let Some(look) = hosting.looks.newer(&mut seen) {
                    overlay = overlay_of(&classes, &s.frame.format, &look.overlay, &look.zones)?;
                }
                s.raw = hosting.publisher.is_raw_wanted().then(|| s.frame.duplicate()).transpose()?;
            }
            overlay.draw(&mut s.frame, &s.map, s.confidence.as_ref())?;
            overlay.draw_zones(&mut s.frame, &s.zones_on)?;
            Ok(s)
        };
        relay(&mut crew, Stage::Overlay, &tally, inbox, Outbox::new(tx), draw)?;
    }

    let mut ending = Some((stages.sink, stages.sheet, stages.hosting));
    let (mut progress, mut segmented) = (progress, Inbox::new(segmented));
    let told = tally.clone();
    crew.spawn(Stage::Sink, move || {
        let (sink, sheet, hosting) = ending.take().expect("the crew calls a body once");
        write(sink, sheet, hosting, &mut segmented, &verdict, &told, &mut progress)
    })?;
    let joined = crew.join();
    // Taken even after a failure: a source that was left behind would keep the outputs from being abandoned.
    let mut tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    joined?;
    if tally.counts.written == 0 {
        let line = "stopped before the first frame: nothing was written, and what earlier runs wrote is as it was";
        return Err(fault(Kind::Interrupted, line));
    }
    let json = tally.json.map(PendingFile::complete).transpose()?;
    let class_video = tally.class_video.map(ClassVideo::complete).transpose()?;
    let sheet = tally.sheet.map(ContactSheet::complete).transpose()?.flatten();
    let outputs = Outputs {
        masks: tally.masks,
        files: [tally.video, class_video, json, sheet].into_iter().flatten().collect(),
    };
    tally.stages.sort_by_key(Meter::stage);
    let ended_by = match (tally.stopped, tally.lost, tally.damaged) {
        (true, ..) => Ending::Stopped,
        (false, true, _) => Ending::Lost,
        (false, false, true) => Ending::Damaged,
        (false, false, false) => Ending::EndOfInput,
    };
    Ok(Done {
        stages: tally.stages.iter().map(Meter::report).collect(),
        temporal: tally.temporal,
        source: tally.source,
        rules: tally.rules,
        ended_by,
        counts: tally.counts,
        first_frame: tally.first_frame,
        latency: tally.latency,
        began,
        outputs,
    })
}

/// Starts a stage that makes one item of each item.
fn relay<A: Travels + Send + 'static, B: Send + 'static>(
    crew: &mut Crew,
    stage: Stage,
    tally: &Shared,
    mut inbox: impl Take<A> + 'static,
    mut outbox: impl Put<B> + 'static,
    mut step: impl Step<A, B> + 'static,
) -> Result<()> {
    let mut meter = Meter::new(stage, QUEUE_DEPTH_FRAMES);
    let tally = tally.clone();
    crew.spawn(stage, move || {
        while let Some((item, waiting)) = inbox.take() {
            let started = Instant::now();
            let made = item.trip().within(stage).in_scope(|| step.step(item))?;
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
pub(super) trait Step<A, B>: Send {
    fn step(&mut self, item: A) -> Result<B>;

    /// Tells what it found, after the last item.
    fn end(&mut self, _tally: &mut Tally) {}
}

impl<A, B, F: FnMut(A) -> Result<B> + Send> Step<A, B> for F {
    fn step(&mut self, item: A) -> Result<B> {
        self(item)
    }
}

/// Scores to class maps; what was not inferred passes as it is.
struct Mapper {
    postprocess: Postprocessor,
    inferred: u64,
}

impl Mapper {
    fn new(postprocess: Postprocessor) -> Self {
        Self { postprocess, inferred: 0 }
    }

    fn map(&mut self, way: Way<Inferred, Sighted>) -> Result<Mapped> {
        let Inferred { seen, scores, inference } = match way {
            Way::Through(inferred) => inferred,
            Way::Around(seen) => {
                return Ok(Mapped {
                    seen,
                    map: None,
                    confidence: None,
                    inference: Duration::ZERO,
                });
            }
        };
        self.inferred += 1;
        let map = self.postprocess.run(&scores).map_err(|e| at_frame(seen.frame.index, &e))?;
        Ok(Mapped {
            seen,
            map: Some(map),
            confidence: self.postprocess.confidence(&scores),
            inference,
        })
    }
}

impl Step<Way<Inferred, Sighted>, Mapped> for Mapper {
    fn step(&mut self, way: Way<Inferred, Sighted>) -> Result<Mapped> {
        self.map(way)
    }

    fn end(&mut self, tally: &mut Tally) {
        tally.counts.nan = self.postprocess.nan_frames();
        tally.counts.inferred = self.inferred;
    }
}

/// The same where every frame is inferred, so that nothing has to be carried.
struct EveryFrame(Mapper);

impl Step<Way<Inferred, Sighted>, Segmented> for EveryFrame {
    fn step(&mut self, way: Way<Inferred, Sighted>) -> Result<Segmented> {
        let Mapped {
            seen,
            map,
            confidence,
            inference,
        } = self.0.map(way)?;
        let map = map.ok_or_else(|| fault(Kind::Internal, "a frame has no class map, wanted one for each"))?;
        Ok(Segmented {
            frame: seen.frame,
            map,
            confidence,
            inference,
            age_frames: 0,
            raw: None,
            zones_on: Vec::new(),
            trip: seen.trip,
        })
    }

    fn end(&mut self, tally: &mut Tally) {
        self.0.end(tally);
    }
}

/// Gives frames that were not inferred their class maps. A frame may wait for later ones.
fn carry_maps(mut carrier: Carrier<OnItsWay>, mut inbox: impl Take<Mapped>, mut outbox: impl Put<Segmented>, tally: &Shared) {
    let mut meter = Meter::new(Stage::Carry, QUEUE_DEPTH_FRAMES);
    let mut put = |carried: Carried<OnItsWay>| {
        let OnItsWay {
            frame,
            mut trip,
            inference,
        } = carried.item;
        trip.make_room();
        outbox.put(Segmented {
            frame,
            map: carried.map,
            confidence: None, // of inferred frames only, which is why nobody may ask for it here
            inference,
            age_frames: carried.age_frames,
            raw: None,
            zones_on: Vec::new(),
            trip,
        })
    };
    let mut taken = true;
    while let Some((mapped, waiting)) = inbox.take() {
        let started = Instant::now();
        let Mapped { seen, map, inference, .. } = mapped;
        let Sighted { frame, trip, sight } = seen;
        let pts_ns = frame.pts_ns;
        let carried = carrier.next(OnItsWay { frame, trip, inference }, pts_ns, sight, map);
        meter.record(started, waiting);
        taken = carried.into_iter().all(&mut put);
        if !taken {
            break;
        }
    }
    if taken {
        carrier.rest().into_iter().all(put);
    }
    tell(tally, |t| {
        t.add(&meter);
        t.temporal = Some(carrier.report());
    });
}

fn read(mut source: Gated<'_>, tx: &mut Outbox<Entered>, stop: &StopFlag, meter: &mut Meter, tally: &Shared) -> Result<()> {
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
    let source = source.source;
    tell(tally, |t| {
        t.counts.read = count;
        t.counts.dropped = source.dropped();
        t.counts.too_old = source.too_old();
        t.counts.replaced = t.counts.dropped - t.counts.too_old;
        t.source = source.report();
        t.lost = source.is_lost();
        t.stopped = stop.requested();
        t.damaged = source.lost_ns() > 0;
        t.add(meter);
    });
    if count == 0 && !stop.requested() {
        return Err(fault(Kind::BadInput, "the input has no frame to show from there on"));
    }
    Ok(())
}

/// A source behind gates.
struct Gated<'s> {
    source: &'s mut dyn Source,
    /// That of the stream itself, before anything is waited for.
    room: Option<&'s Gate>,
    /// The one that it shares with others, once there is a frame.
    turns: Option<&'s Gate>,
    host: Option<&'s Hosting>,
}

impl Gated<'_> {
    /// The next frame, once there is room for it.
    fn next(&mut self) -> Result<Option<Entered>> {
        let mut passes: Vec<_> = self.room.map(Gate::enter).into_iter().collect();
        let frame = match self.turns {
            None => self.source.next()?,
            Some(turns) => self.source.next_in_turn(turns)?.map(|(frame, turn)| {
                passes.push(turn);
                frame
            }),
        };
        let Some(mut frame) = frame else { return Ok(None) };
        if let Some(host) = self.host {
            host.pulse.read();
            host.publisher.stamp(&mut frame);
        }
        let trip = Trip::begin(self.host.map_or("", |host| host.ear.name()), frame.index, passes);
        Ok(Some(Entered { frame, trip }))
    }
}

/// The same failure with the number of the frame at which it came.
fn at_frame(index: u64, error: &anyhow::Error) -> anyhow::Error {
    fault(kind_of(error), format!("frame {index}: {error:#}"))
}

/// `carries`: a frame has its way behind it only when it has the map that is carried.
fn infer_step(
    mut segmenter: Box<dyn Segmenter>,
    model: String,
    pool: TensorPool,
    carries: bool,
) -> impl FnMut(Prepared) -> Result<Inferred> + Send {
    move |Prepared { mut seen, tensor }| {
        let started = Instant::now();
        if seen.sight.begins {
            segmenter.reset()?;
        }
        let scores = segmenter.infer(&tensor).map_err(|e| {
            let on = segmenter.provider();
            let line = format!("{model} failed on {on}: {e:#}; another --provider or --size may work");
            at_frame(seen.frame.index, &fault(kind_of(&e), line))
        })?;
        let inference = started.elapsed();
        if !carries {
            seen.trip.make_room();
        }
        pool.recycle(tensor);
        Ok(Inferred { seen, scores, inference })
    }
}

fn write(
    mut sink: Box<dyn Sink>,
    mut sheet: Option<ContactSheet>,
    hosting: Option<Hosting>,
    drawn: &mut Inbox<Segmented>,
    verdict: &Verdict,
    tally: &Shared,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut meter = Meter::new(Stage::Sink, QUEUE_DEPTH_FRAMES);
    let (mut count, mut first_frame, mut journeys) = (0, None, Journeys::default());
    while let Some((segmented, waiting)) = drawn.take() {
        let frame = segmented.frame;
        let started = Instant::now();
        let _within = segmented.trip.within(Stage::Sink).entered();
        first_frame.get_or_insert(started);
        if let Some(sheet) = &mut sheet {
            sheet.offer(&frame)?;
        }
        let arrived = frame.arrived;
        match &hosting {
            Some(hosting) => hosting.publisher.show(Finished {
                masked: frame,
                raw: segmented.raw,
                map: segmented.map,
                inference: segmented.inference,
            })?,
            None => sink.write(frame)?,
        }
        journeys.record(arrived);
        meter.record(started, waiting);
        count += 1;
        progress(count);
    }
    if verdict.failed() {
        return Ok(()); // dropping the sink abandons the output
    }
    let video = match count {
        0 => None,
        _ => sink.complete()?,
    };
    tell(tally, |t| {
        t.video = video;
        t.counts.written = count;
        t.first_frame = first_frame;
        t.latency = journeys.report();
        t.sheet = sheet;
        t.add(&meter);
    });
    Ok(())
}
