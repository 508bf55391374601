//! The whole way from an input to its outputs, for this program and for others that embed it.
//!
//! [`Pipeline`] says what is wanted, [`Pipeline::open`] opens and checks everything, [`Ready::run`] runs it: one thread a stage,
//! a bounded queue before each, order kept because there is only one way.

mod crew;
mod finish;
pub(crate) mod hosting;
mod inputs;
mod outputs;
mod queue;
mod record;
pub(crate) mod sessions;
mod summary;
#[cfg(test)]
mod tests;
mod trip;
mod unused;
mod wire;

pub(crate) use inputs::read_as;
pub(crate) use outputs::{Depth, problems as output_problems, same_file, same_name};

use self::hosting::Hosting;
use crate::config::{OnExisting, PipelineConfig};
use crate::error::{Kind, WithKind, fault, kind_of};
use crate::frame::{ClassMap, VideoFormat};
use crate::infer::{Provider, ProviderReport, SessionOptions, confidence_of};
use crate::messages::{self, Event, MessageOptions, Watch, Zone, unknown_classes};
use crate::overlay::{Overlay, OverlayOptions};
use crate::pending::PendingFile;
use crate::postprocess::Postprocessor;
use crate::preprocess::Preprocessor;
use crate::publish::window::Windowed;
use crate::sheet::ContactSheet;
use crate::sink::ClassVideo;
use crate::sink::masks::MaskWriter;
use crate::sink::{self, SinkOptions, Speed};
use crate::source::{self, LiveOptions, Notices, Paced, SourceOptions, StopFlag};
use crate::stats::{ModelUsed, Report};
use crate::temporal::{Carrier, Every, Lookout, TemporalOptions};
use anyhow::Result;
use maskline_models::classes::palette;
use maskline_models::{Class, Contract, Fit, Head, Model, builtin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What shall be done; nothing happens until [`Pipeline::open`] or [`Pipeline::run`].
///
/// ```no_run
/// let report = maskline::Pipeline::new("dashcam.mp4")
///     .video("masked.mp4")
///     .alpha(0.4)
///     .on_classes(|frame| {
///         for (class, share) in frame.shares() {
///             println!("frame {}: {:.0} % {}", frame.index, 100.0 * share, class.name);
///         }
///         Ok(())
///     })
///     .run()?;
/// println!("{report}");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Pipeline {
    config: PipelineConfig,
    on_classes: Option<OnClasses>,
    /// Frames per second at which frames come, however fast they could.
    pace: Option<f64>,
    notices: Notices,
    hosting: Option<Hosting>,
    stop: StopFlag,
    started: Instant,
}

/// Longer than any decoder needs for one frame.
const SOURCE_GRACE: Duration = Duration::from_secs(5);

type OnClasses = Box<dyn FnMut(&FrameClasses<'_>) -> Result<()> + Send>;
type OnEvent = Box<dyn FnMut(&Event) + Send>;

/// The class map of one frame, as [`Pipeline::on_classes`] gets it.
#[derive(Debug, Clone, Copy)]
pub struct FrameClasses<'a> {
    /// Number of the frame in the stream, from 0.
    pub index: u64,
    /// Presentation time in nanoseconds from the start of the output.
    pub pts_ns: u64,
    /// Size and colour of the frame.
    pub format: &'a VideoFormat,
    /// Class ids at the net's resolution; it covers exactly the frame.
    pub map: &'a ClassMap,
    /// What the ids mean.
    pub classes: &'a [Class],
    /// How long the net took; zero where the map was carried.
    pub inference: Duration,
    /// How many frames away the map was inferred; 0 if it was on this one.
    pub age_frames: u32,
}

impl<'a> FrameClasses<'a> {
    /// The share (0-1) of the frame of every class that counts, in the order of the contract.
    pub fn shares(&self) -> Vec<(&'a Class, f64)> {
        messages::shares(self.map, self.classes)
    }
}

impl Pipeline {
    /// Reads this input: a file, a folder of pictures, a numbered sequence such as `dir/%06d.png`, `test:`, an address such as
    /// `rtsp://HOST/PATH`, or `device:/dev/video0`.
    pub fn new(input: impl Into<String>) -> Self {
        let mut config = PipelineConfig::default();
        config.source.input = input.into();
        Self::from_config(config)
    }

    /// Does what a configuration says.
    pub fn from_config(config: PipelineConfig) -> Self {
        Self {
            config,
            on_classes: None,
            pace: None,
            notices: Notices::default(),
            hosting: None,
            stop: StopFlag::default(),
            started: Instant::now(),
        }
    }

    /// Uses this model: `builtin:NAME`, the name of a built-in one, or a file. Without this call, the default built-in one.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.config.model.name = Some(name.into());
        self
    }

    /// Reads the model's contract from this sidecar.
    pub fn contract(mut self, sidecar: impl Into<PathBuf>) -> Self {
        self.config.model.contract = Some(sidecar.into());
        self
    }

    /// Uses this one of the model's outputs instead of the first.
    pub fn head(mut self, name: impl Into<String>) -> Self {
        self.config.model.head = Some(name.into());
        self
    }

    /// Runs the net at this width and height instead of what fits the frames.
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.config.model.size = Some((width, height));
        self
    }

    /// Runs the net there. `Auto` is the default.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.config.session.provider = provider;
        self
    }

    /// Uses this card (`0`, `1`, ...) or OpenVINO device (`CPU`, `GPU`, `NPU`).
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.config.session.device = Some(device.into());
        self
    }

    /// Runs the net in so many threads on the CPU, instead of one a core.
    pub fn threads(mut self, threads: usize) -> Self {
        self.config.session.threads = Some(threads);
        self
    }

    /// Runs so many sessions of the net that take frames in turn and share its threads, instead of what is best for throughput.
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.config.session.sessions = Some(sessions);
        self
    }

    /// Decodes the video in so many threads.
    pub fn decoder_threads(mut self, threads: usize) -> Self {
        self.config.source.threads = Some(threads);
        self
    }

    /// Encodes the masked video in so many threads.
    pub fn encoder_threads(mut self, threads: usize) -> Self {
        self.config.output.threads = Some(threads);
        self
    }

    /// Begins so many nanoseconds from the start.
    pub fn start_ns(mut self, start_ns: u64) -> Self {
        self.config.source.start_ns = start_ns;
        self
    }

    /// Ends after so many frames.
    pub fn frames(mut self, frames: u64) -> Self {
        self.config.source.frames = Some(frames);
        self
    }

    /// Infers some frames only and carries their class maps to the others.
    pub fn temporal(mut self, options: TemporalOptions) -> Self {
        self.config.temporal = options;
        self
    }

    /// Takes pictures at so many frames per second, as a fraction.
    pub fn rate(mut self, numerator: u32, denominator: u32) -> Self {
        self.config.source.image_rate = Some((numerator, denominator));
        self
    }

    /// Share of the class colour in the masked video, 0-1.
    pub fn alpha(mut self, alpha: f32) -> Self {
        self.config.overlay.alpha = alpha;
        self
    }

    /// Draws only these classes.
    pub fn only<S: Into<String>>(mut self, classes: impl IntoIterator<Item = S>) -> Self {
        self.config.overlay.only = Some(classes.into_iter().map(Into::into).collect());
        self
    }

    /// Draws borders between classes.
    pub fn outlines(mut self) -> Self {
        self.config.overlay.outlines = true;
        self
    }

    /// Darkens what the net is not sure of; the model must give its confidence.
    pub fn confidence(mut self) -> Self {
        self.config.overlay.confidence = true;
        self
    }

    /// Leaves the legend out.
    pub fn no_legend(mut self) -> Self {
        self.config.overlay.legend = false;
        self
    }

    /// Writes the masked video there: .mp4, .mkv or .webm.
    pub fn video(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.output.video = Some(path.into());
        self
    }

    /// Gives H.264 so much time for a smaller file.
    pub fn speed(mut self, speed: Speed) -> Self {
        self.config.output.speed = Some(speed);
        self
    }

    /// Constant quality of the masked video, 0 (best) to 51.
    pub fn quality(mut self, quality: u32) -> Self {
        self.config.output.quality = Some(quality);
        self
    }

    /// Writes one indexed PNG a frame into this folder.
    pub fn masks(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config.output.masks = Some(folder.into());
        self
    }

    /// Writes the class maps there as a video without loss, `.mkv`.
    pub fn class_video(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.output.class_video = Some(path.into());
        self
    }

    /// Writes a JSON line a frame there.
    pub fn json(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.output.json = Some(path.into());
        self
    }

    /// What the JSON lines hold, and how often there is one.
    pub fn messages(mut self, options: MessageOptions) -> Self {
        self.config.messages = options;
        self
    }

    /// Watches classes in one more part of the picture.
    pub fn zone(mut self, zone: Zone) -> Self {
        self.config.zones.push(zone);
        self
    }

    /// Writes the report there, as JSON.
    pub fn report(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.output.report = Some(path.into());
        self
    }

    /// Writes a PNG with six frames of the masked video there.
    pub fn sheet(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.output.sheet = Some(path.into());
        self
    }

    /// Replaces outputs that are there already, instead of refusing to run.
    pub fn overwrite(mut self) -> Self {
        self.config.output.existing = OnExisting::Replace;
        self
    }

    /// Calls this with the class map of every frame, in order, on a thread of its own. An error ends the run.
    pub fn on_classes(mut self, call: impl FnMut(&FrameClasses<'_>) -> Result<()> + Send + 'static) -> Self {
        self.on_classes = Some(Box::new(call));
        self
    }

    /// Reads a file at its own pace, newest frame first, as if it were a camera.
    pub fn live(mut self) -> Self {
        self.config.source.live = true;
        self
    }

    /// Reads live sources like this.
    pub fn live_options(mut self, options: LiveOptions) -> Self {
        self.config.source.live_options = options;
        self
    }

    /// Calls this with a line whenever the state or the format of a live source changes, from a thread that reads it.
    pub fn on_notice(mut self, call: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.notices = Notices::to(call);
        self
    }

    /// Lets frames come at this rate, as those of a camera do, instead of as fast as they are taken.
    pub(crate) fn paced(mut self, frames_per_s: f64) -> Self {
        self.pace = Some(frames_per_s);
        self
    }

    /// Runs as one of many: frames are shown where the host wants them, and go through a net that others use as well.
    pub(crate) fn hosted(mut self, hosting: Hosting) -> Self {
        self.hosting = Some(hosting);
        self
    }

    /// Ends the run early, as if the input were over, when this flag is raised.
    pub fn stop_with(mut self, stop: StopFlag) -> Self {
        self.stop = stop;
        self
    }

    /// Counts the times in the report from here instead of from the making of this value.
    pub fn started_at(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }

    /// Opens input, model and outputs and checks that they fit each other. Outputs get their names at the end of the run.
    ///
    /// # Errors
    /// One line with its kind ([`crate::error`]).
    pub fn open(self) -> Result<Ready> {
        let Self { mut config, stop, .. } = self;
        let live = config.source.live || source::is_address(&config.source.input);
        // Waiting for the next key frame makes maps better, and what is shown older.
        config.temporal.lookahead &= !live;
        // A run that ends by itself raises its flag, which must not end the next one.
        let stop = stop.inner();
        check_values(&config)?;
        let hosting = self.hosting;
        if (self.on_classes.is_none() && hosting.is_none()) || config.output != Default::default() {
            outputs::check(&config)?;
        }
        let model = open_model(&config)?;
        let head = model.contract.head(config.model.head.as_deref());
        let head = head.kind_config().at("model.head", &config)?.clone();
        let reading = SourceOptions {
            notices: self.notices,
            pulse: hosting.as_ref().map_or_else(Arc::default, |h| h.pulse.clone()),
            started: self.started,
            ..source_options(&config, &stop)
        };
        let source = source::open(&config.source.input, &reading);
        let mut source = source.at("source.input", &config)?;
        if let Some(frames_per_s) = self.pace {
            source.frames = Box::new(Paced::new(source.frames, frames_per_s));
        }
        let format = source.format.clone();
        let input = &model.contract.input;
        let fit = Fit::plan(input, format.width, format.height, config.model.size).kind_config();
        let fit = fit.at("model.size", &config)?;
        let is_seen = config.output.video.is_some() || config.output.window || hosting.is_some();
        let overlay = || overlay_of(&head.classes, &format, &config.overlay, &config.zones).at("overlay.only", &config);
        let overlay = is_seen.then(overlay).transpose()?;
        check_confidence(&config, &head).at("overlay.confidence", &config)?;
        check_zones(&config, &head.classes)?;
        if let Some((key, line)) = memory_problem(&model.contract, &config.temporal) {
            return Err(fault(Kind::Config, config.places.prefix(key) + &line));
        }
        let zones = (!config.zones.is_empty()).then(|| Watch::new(&config.zones, &head.classes));
        let one = live || config.temporal.is_sparse();
        let head_name = config.model.head.as_deref();
        let mut session = session_options(&config);
        session.confidence &= is_seen;
        let (segmenters, provider, turns) = match &hosting {
            Some(hosting) => {
                let lent = hosting.nets.lend(&model, head_name, fit, &session)?;
                (vec![lent.net], lent.provider, lent.turns)
            }
            None => {
                let (own, provider) = sessions::open(&model, head_name, fit, &session, one)?;
                (own, provider, None)
            }
        };
        let temporal = temporal(&config.temporal, &format, &model, &head.classes).at("temporal.smooth_of", &config)?;
        let masks = config.output.masks.as_deref();
        let masks = masks
            .map(|folder| MaskWriter::create(folder, &palette(&head.classes)))
            .transpose()?;
        let class_video = config.output.class_video.as_deref();
        let class_video = class_video.map(|path| ClassVideo::create(path, &format)).transpose()?;
        let json = config.output.json.as_deref().map(PendingFile::create).transpose()?;
        let json = json.map(|file| record::Lines::new(record::Paper::File(file), config.messages.clone()));
        let json = match &hosting {
            Some(hosting) if hosting.ear.wants_lines() => {
                let paper = record::Paper::Ear(hosting.ear.clone());
                Some(record::Lines::new(paper, config.messages.clone()))
            }
            _ => json,
        };
        let sheet = config
            .output
            .sheet
            .as_deref()
            .map(|path| ContactSheet::new(path, &format))
            .transpose()?;
        // Begun now, so that a place that cannot be written to is known before the work.
        let report = config.output.report.as_deref().map(PendingFile::create).transpose()?;
        let packets = std::mem::take(&mut source.packets);
        let sink = match &config.output.video {
            Some(video) => sink::create(video, &format, packets, &sink_options(&config))?,
            None => sink::null(),
        };
        let sink = match config.output.window {
            true => Box::new(Windowed::new(sink, &config.source.input, stop.clone())?),
            false => sink,
        };
        let model_used = ModelUsed {
            name: model.contract.name.clone(),
            origin: model.origin.clone(),
            sha256: model.sha256(),
            licence: model.contract.licence.clone(),
            head: head.name.clone(),
            input_width: fit.width,
            input_height: fit.height,
        };
        let mut notes = std::mem::take(&mut source.notes);
        notes.extend(sink.notes());
        notes.extend(unused::notes(&config, &provider.taken, model.contract.remembers()));
        let postprocess = Postprocessor::new(&head, &fit);
        let classes = Arc::new(head.classes);
        if let Some(hosting) = &hosting {
            hosting
                .pulse
                .opened((format.width, format.height), &model_used.name, &provider.taken);
            hosting.ear.classes(&classes);
        }
        Ok(Ready {
            plan: Plan {
                input: source.description.clone(),
                frames_total: source.frames_total,
                format: format.clone(),
                model: model_used,
                provider,
                notes,
            },
            stages: wire::Stages {
                source,
                preprocess: Preprocessor::new(input, &fit, &format)?,
                model: model.origin.clone(),
                segmenters,
                turns,
                temporal,
                postprocess,
                overlay,
                record: record::Recorder {
                    classes: classes.clone(),
                    masks,
                    class_video,
                    json,
                    zones,
                    on_classes: self.on_classes,
                    on_event: None,
                    hosting: hosting.clone(),
                    seen: 0,
                },
                classes,
                sheet,
                sink,
                live,
                hosting,
                source_grace: SOURCE_GRACE,
            },
            report,
            config,
            stop,
            started: self.started,
        })
    }

    /// Opens everything and runs it without a word.
    ///
    /// # Errors
    /// One line with its kind ([`crate::error`]).
    pub fn run(self) -> Result<Report> {
        self.open()?.run(|_| {})
    }
}

/// A pipeline whose parts are open and fit each other.
pub struct Ready {
    plan: Plan,
    stages: wire::Stages,
    report: Option<PendingFile>,
    config: PipelineConfig,
    stop: StopFlag,
    started: Instant,
}

/// What is going to happen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The input in a few words.
    pub input: String,
    /// How many frames will come, as far as the input tells.
    pub frames_total: Option<u64>,
    /// Size and colour of the frames.
    pub format: Arc<VideoFormat>,
    /// The net.
    pub model: ModelUsed,
    /// What runs it.
    pub provider: ProviderReport,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
}

impl Ready {
    /// What is going to happen.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Calls this whenever a rule of a zone changes, on a thread of its own.
    pub fn on_event(mut self, call: impl FnMut(&Event) + Send + 'static) -> Self {
        self.stages.record.on_event = Some(Box::new(call));
        self
    }

    /// Runs it to its end. `progress` hears how many frames are done after each of them.
    ///
    /// # Errors
    /// The earliest failure of a stage, one line with its kind ([`crate::error`]); then no file has its final name. Kind 130
    /// if it was stopped before its first frame.
    pub fn run(self, progress: impl FnMut(u64) + Send + 'static) -> Result<Report> {
        let masks = self.stages.record.masks.as_ref().and_then(MaskWriter::partial);
        let maps = self.stages.record.class_video.as_ref().map(ClassVideo::partial);
        let partial = [self.stages.sink.partial(), masks, maps].into_iter().flatten();
        let partial: Vec<_> = partial.map(Path::to_path_buf).collect();
        let existing = self.config.output.existing;
        let (report, outputs) = self.complete(progress).map_err(|error| {
            let kept = partial.iter().filter(|p| holds_something(p)).map(|p| p.display().to_string());
            match kept.collect::<Vec<_>>().join(" and in ") {
                kept if kept.is_empty() => error,
                kept => fault(kind_of(&error), format!("{error:#}; what was written until then is in {kept}")),
            }
        })?;
        outputs.name(existing)?;
        Ok(report)
    }

    /// Runs the stages and writes everything to its end, under temporary names.
    fn complete(self, progress: impl FnMut(u64) + Send + 'static) -> Result<(Report, finish::Outputs)> {
        let mut done = wire::run(self.stages, self.stop, progress)?;
        let mut outputs = std::mem::take(&mut done.outputs);
        let report = summary::report(&self.plan, &self.config, done, self.started);
        if let Some(mut file) = self.report {
            file.line(&report)?;
            outputs.files.push(file.complete()?);
        }
        Ok((report, outputs))
    }
}

/// What draws these classes and zones over frames of this format.
///
/// # Errors
/// Those of [`Overlay::new`] and [`Overlay::with_zones`].
fn overlay_of(classes: &[Class], format: &VideoFormat, options: &OverlayOptions, zones: &[Zone]) -> Result<Overlay> {
    let zones = zones.iter().map(|z| (z.name.as_str(), z.polygon.as_slice()));
    Overlay::new(classes, format, options.clone())?.with_zones(zones)
}

/// Whether it is a file, or a folder with something in it.
fn holds_something(path: &Path) -> bool {
    match path.read_dir() {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    }
}

trait KindConfig<T> {
    fn kind_config(self) -> Result<T>;
}

impl<T> KindConfig<T> for Result<T, String> {
    fn kind_config(self) -> Result<T> {
        self.map_err(|message| fault(Kind::Config, message))
    }
}

trait At<T> {
    /// Says where in a pipeline file the value stands that this failure is about, if it comes from one.
    fn at(self, key: &str, config: &PipelineConfig) -> Result<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, key: &str, config: &PipelineConfig) -> Result<T> {
        self.map_err(|error| match config.places.prefix(key).as_str() {
            "" => error,
            place => fault(kind_of(&error), format!("{place}{error:#}")),
        })
    }
}

/// What flags and files have checked already, for those who fill a configuration by themselves.
fn check_values(config: &PipelineConfig) -> Result<()> {
    let alpha = config.overlay.alpha;
    if !(0.0..=1.0).contains(&alpha) {
        return Err(fault(Kind::Usage, format!("alpha is {alpha}, wanted 0 to 1")));
    }
    if config.source.frames == Some(0) {
        return Err(fault(Kind::Usage, "frames is 0, wanted at least 1"));
    }
    let live = &config.source.live_options;
    if live.max_age.is_zero() || live.stall_after.is_zero() || live.attempts == Some(0) {
        return Err(fault(Kind::Usage, "max age, stall after or attempts is 0, wanted more"));
    }
    let counts = [
        ("threads", config.session.threads),
        ("sessions", config.session.sessions),
        ("decoder threads", config.source.threads),
        ("encoder threads", config.output.threads),
    ];
    if let Some((what, _)) = counts.iter().find(|(_, count)| *count == Some(0)) {
        return Err(fault(Kind::Usage, format!("{what} is 0, wanted at least 1")));
    }
    let messages = &config.messages;
    if !(0.0..=1.0).contains(&messages.min_area) {
        return Err(fault(Kind::Usage, format!("min_area is {}, wanted 0 to 1", messages.min_area)));
    }
    if messages.every_ns == Some(0) {
        return Err(fault(Kind::Usage, "the interval of messages is 0, wanted more"));
    }
    Zone::check_all(&config.zones).map_err(|message| fault(Kind::Usage, message))?;
    let temporal = &config.temporal;
    let smooth = std::iter::once(&temporal.smooth).chain(temporal.smooth_of.values());
    if let Some(smooth) = smooth.into_iter().find(|s| !(0.0..1.0).contains(*s)) {
        return Err(fault(Kind::Usage, format!("smooth is {smooth}, wanted 0 to below 1")));
    }
    Ok(())
}

/// How sessions are made: the net is only asked for its confidence where that is drawn.
pub(crate) fn session_options(config: &PipelineConfig) -> SessionOptions {
    SessionOptions {
        confidence: config.overlay.confidence,
        ..config.session.clone()
    }
}

/// Whether the net's confidence can be drawn, if it shall be.
///
/// # Errors
/// Kind 78 if the head has none, or maps are carried to frames of which nobody knows it.
pub(crate) fn check_confidence(config: &PipelineConfig, head: &Head) -> Result<()> {
    if !config.overlay.confidence {
        return Ok(());
    }
    confidence_of(head)?;
    if config.temporal.is_wanted() {
        let line = "confidence is known of inferred frames only: leave it out, or every, hold_fps and smooth in [temporal]";
        return Err(fault(Kind::Config, line));
    }
    Ok(())
}

/// Whether the model has the classes of all rules.
///
/// # Errors
/// Kind 78 with one line for every rule whose class it does not have.
fn check_zones(config: &PipelineConfig, classes: &[Class]) -> Result<()> {
    let unknown = unknown_classes(&config.zones, classes);
    let lines: Vec<_> = unknown.into_iter().map(|(key, line)| config.places.prefix(&key) + &line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(fault(Kind::Config, lines.join("\n")))
}

/// The option, by its key, that leaves frames out for a net that must see all of them, and what to do about it.
pub(crate) fn memory_problem(contract: &Contract, options: &TemporalOptions) -> Option<(&'static str, String)> {
    let key = match options {
        _ if !contract.remembers() => None,
        _ if options.every != Every::default() => Some("temporal.every"),
        _ => options.hold_fps.map(|_| "temporal.hold_fps"),
    }?;
    let line = format!(
        "{} remembers what it saw, so it must see every frame: leave --every and --hold-fps out",
        contract.name
    );
    Some((key, line))
}

/// What is done about the time between frames, if anything is.
fn temporal(options: &TemporalOptions, format: &VideoFormat, model: &Model, classes: &[Class]) -> Result<Option<wire::Temporal>> {
    if !options.is_wanted() && !model.contract.remembers() {
        return Ok(None);
    }
    let carry = || -> Result<_> {
        Ok(wire::Carry {
            carrier: Carrier::new(options, format, classes)?,
            frames_around: options.frames_around(format),
            frames_live: options.frames_live(),
        })
    };
    Ok(Some(wire::Temporal {
        lookout: Lookout::new(options, format)?,
        carry: options.is_wanted().then(carry).transpose()?,
    }))
}

/// How the source of a configuration is read.
pub(crate) fn source_options(config: &PipelineConfig, stop: &StopFlag) -> SourceOptions {
    let default = SourceOptions::default();
    SourceOptions {
        start_ns: config.source.start_ns,
        frames: config.source.frames,
        stop: stop.clone(),
        image_rate: config.source.image_rate.unwrap_or(default.image_rate),
        threads: config.source.threads,
        live: config.source.live,
        live_options: LiveOptions {
            rate: config.source.image_rate,
            ..config.source.live_options.clone()
        },
        ..default
    }
}

/// How the video of a configuration is written.
pub(crate) fn sink_options(config: &PipelineConfig) -> SinkOptions {
    let default = SinkOptions::default();
    // Whoever asks for a rate cares more for it than for a smaller file.
    let usual = match config.temporal.hold_fps {
        Some(_) => Speed::Ultrafast,
        None => Speed::default(),
    };
    SinkOptions {
        speed: config.output.speed.unwrap_or(usual),
        quality: config.output.quality.unwrap_or(default.quality),
        threads: config.output.threads,
        ..default
    }
}

/// The model of a configuration: the one it names, or the default built-in one.
pub(crate) fn open_model(config: &PipelineConfig) -> Result<Model> {
    let name = config.model.name.as_deref().or(builtin::default());
    let name = name.ok_or_else(|| {
        fault(
            Kind::Config,
            "this build has no built-in model: name an ONNX file with --model (or name, file in [model])",
        )
    })?;
    let model = Model::open(name, config.model.contract.as_deref()).kind(Kind::Config);
    model.at("model.name", config).at("model.file", config)
}
