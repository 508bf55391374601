//! What a run shall do: from a pipeline file, from flags, or from both.
//!
//! A pipeline file is TOML with the sections `[source]`, `[model]`, `[execution]`, `[temporal]`, `[messages]`,
//! `[overlay]` and `[output]`, and any number of `[[zone]]`.
//! Relative paths in it count from the folder of the file, so that it means the same from wherever it is run.

mod broker;
mod outputs;
mod paths;
mod places;
mod reader;
mod rtsp;
pub mod serve;
mod server;
pub mod values;
mod zones;

pub use places::Places;
pub use reader::Problem;

use crate::error::{Kind, WithKind, fault};
use crate::infer::{Provider, SessionOptions};
use crate::messages::{MessageOptions, Zone};
use crate::overlay::OverlayOptions;
use crate::privacy::Secret;
use crate::sink::Speed;
use crate::source::{Credentials, LiveOptions, Transport};
use crate::temporal::TemporalOptions;
use anyhow::{Context, Result};
use paths::{input, path};
use reader::{Document, Section};
use std::path::{Path, PathBuf};

/// Everything that a run needs to know, ready to use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PipelineConfig {
    /// Where frames come from.
    pub source: SourceConfig,
    /// Which net.
    pub model: ModelConfig,
    /// What runs it.
    pub session: SessionOptions,
    /// How class maps are carried between inferred frames.
    pub temporal: TemporalOptions,
    /// What JSON lines hold, and how often there is one.
    pub messages: MessageOptions,
    /// Parts of the picture in which classes are watched.
    pub zones: Vec<Zone>,
    /// How the classes are drawn.
    pub overlay: OverlayOptions,
    /// What is written.
    pub output: OutputConfig,
    /// Where all this was written, as far as it comes from a file.
    pub places: Places,
    /// The pipeline file that all this was read from, if it was.
    pub file: Option<PathBuf>,
}

/// Where frames come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceConfig {
    /// A file, a folder of pictures, a numbered sequence, `test:`, an address or `device:`. Empty until somebody names one.
    pub input: String,
    /// Where to begin, in nanoseconds from the start.
    pub start_ns: u64,
    /// At most so many frames.
    pub frames: Option<u64>,
    /// Frames per second of pictures, and those that a device shall give, as a fraction.
    pub image_rate: Option<(u32, u32)>,
    /// Threads of the video decoder; `None` for one a core.
    pub threads: Option<usize>,
    /// A file is read at its own pace, newest frame first.
    pub live: bool,
    /// How live sources are read; the rate that a device shall give is `image_rate`.
    pub live_options: LiveOptions,
}

/// Which net, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelConfig {
    /// `builtin:NAME`, the bare name of a built-in model, or a file; `None` for the default built-in one.
    pub name: Option<String>,
    /// A sidecar with the contract; `None` for that in the file or beside it.
    pub contract: Option<PathBuf>,
    /// Which of several outputs; `None` for the first.
    pub head: Option<String>,
    /// Width and height at which the net runs; `None` for what fits the frames.
    pub size: Option<(u32, u32)>,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutputConfig {
    /// The masked video.
    pub video: Option<PathBuf>,
    /// Folder for one indexed PNG a frame.
    pub masks: Option<PathBuf>,
    /// The class maps as a video without loss.
    pub class_video: Option<PathBuf>,
    /// JSON lines, one a frame or an interval.
    pub json: Option<PathBuf>,
    /// The end report as JSON.
    pub report: Option<PathBuf>,
    /// PNG with six frames of the masked video.
    pub sheet: Option<PathBuf>,
    /// Whether the masked video is shown in a window.
    pub window: bool,
    /// How much time H.264 takes for a smaller file; `None` for the default, which is the fastest where a rate is to be held.
    pub speed: Option<Speed>,
    /// Constant quality of the video, 0 (best) to 51; `None` for the default.
    pub quality: Option<u32>,
    /// Threads of the video encoder; `None` for one a core at most.
    pub threads: Option<usize>,
    /// What happens to a file that is there already.
    pub existing: OnExisting,
}

/// What happens to an output that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExisting {
    /// The run is refused before it begins.
    #[default]
    Refuse,
    /// The new one takes its place when it is complete; until then the old one stays.
    Replace,
}

impl PipelineConfig {
    /// Reads a pipeline file.
    ///
    /// # Errors
    /// Kind 65 if it cannot be read; kind 78 if it is no text, or with one line `FILE:LINE:COLUMN: ...` for every problem in it.
    pub fn load(path: &Path) -> Result<Self> {
        let mut config = load(path, "the pipeline ", Self::parse)?;
        config.places = config.places.in_file(path);
        config.file = Some(path.into());
        Ok(config)
    }

    /// Reads the text of a pipeline file; relative paths in it count from `base`.
    ///
    /// # Errors
    /// All problems, in the order of the lines.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Vec<Problem>> {
        let mut document = Document::parse(text)?;
        let mut config = Self {
            source: document.section("source", |s| source(s, base)),
            model: document.section("model", |s| model(s, base)),
            session: document.section("execution", |s| session(s, base)),
            temporal: document.section("temporal", temporal),
            messages: document.section("messages", messages),
            zones: zones::read(&mut document),
            overlay: document.section("overlay", overlay),
            output: document.section("output", |s| output(s, base)),
            places: Places::default(),
            file: None,
        };
        config.places = document.finish()?;
        Ok(config)
    }
}

/// Reads a file that `parse` understands, which is given its text and its folder. `what` stands before its name in messages.
///
/// # Errors
/// Those of [`PipelineConfig::load`].
fn load<T>(path: &Path, what: &str, parse: impl FnOnce(&str, &Path) -> Result<T, Vec<Problem>>) -> Result<T> {
    let name = path.display();
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read {what}{name}"))
        .kind(Kind::BadInput)?;
    let text = String::from_utf8(bytes)
        .with_context(|| format!("{what}{name} is no UTF-8 text"))
        .kind(Kind::Config)?;
    parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|p| format!("{name}:{p}")).collect();
        fault(Kind::Config, lines.join("\n"))
    })
}

fn source(section: &mut Section<'_>, base: &Path) -> SourceConfig {
    let config = SourceConfig {
        input: section.text("input", values::not_empty).map_or(String::new(), |i| input(&i, base)),
        start_ns: section.text_or_number("start", values::time_ns).unwrap_or(0),
        frames: section.number("frames", values::frames),
        image_rate: section.text_or_number("rate", values::rate),
        threads: section.number("threads", values::threads),
        live: section.flag("live").unwrap_or_default(),
        live_options: live_options(section, base),
    };
    if config.input.is_empty() {
        section.require("input");
    }
    config
}

/// `user`, `password` and `password_file`.
fn credentials(section: &mut Section<'_>, base: &Path) -> Credentials {
    let credentials = Credentials {
        user: section.text("user", values::not_empty),
        password: section.text("password", values::not_empty).map(Secret::new),
        password_file: section.text("password_file", values::not_empty).map(|f| path(&f, base)),
    };
    if credentials.password.is_some() && credentials.password_file.is_some() {
        section.problem("password_file", "found both password and password_file, wanted one of them");
    }
    credentials
}

fn live_options(section: &mut Section<'_>, base: &Path) -> LiveOptions {
    let default = LiveOptions::default();
    LiveOptions {
        transport: section.text("rtsp_transport", Transport::parse).unwrap_or(default.transport),
        max_age: section.number("max_age_ms", values::max_age).unwrap_or(default.max_age),
        stall_after: section
            .text_or_number("stall_after", values::stall_after)
            .unwrap_or(default.stall_after),
        attempts: section.number("attempts", values::attempts),
        credentials: credentials(section, base),
        size: section.text("size", values::size),
        rate: None,
    }
}

fn model(section: &mut Section<'_>, base: &Path) -> ModelConfig {
    let name = section.text("name", values::not_empty);
    let file = section.text("file", values::not_empty).map(|f| path(&f, base));
    if name.is_some() && file.is_some() {
        section.problem("file", "found both name and file, wanted one of them");
    }
    ModelConfig {
        name: name.or_else(|| file.map(|f| f.to_string_lossy().into_owned())),
        contract: section.text("contract", values::not_empty).map(|c| path(&c, base)),
        head: section.text("head", values::not_empty),
        size: section.text("size", values::size),
    }
}

fn session(section: &mut Section<'_>, base: &Path) -> SessionOptions {
    SessionOptions {
        provider: section.text("provider", |p| p.parse::<Provider>()).unwrap_or_default(),
        threads: section.number("threads", values::threads),
        sessions: section.number("sessions", values::sessions),
        device: section.text("device", values::not_empty),
        confidence: false, // follows from the overlay
        cache_dir: section.text("cache", values::not_empty).map(|c| path(&c, base)),
    }
}

fn temporal(section: &mut Section<'_>) -> TemporalOptions {
    let default = TemporalOptions::default();
    TemporalOptions {
        every: section.text_or_number("every", values::every).unwrap_or(default.every),
        motion: section.text("motion", |m| m.parse()).unwrap_or(default.motion),
        hold_fps: section.number("hold_fps", values::fps).or(default.hold_fps),
        smooth: section.number("smooth", values::smooth).unwrap_or(default.smooth),
        smooth_of: section.numbers("smooth_of", values::smooth).unwrap_or_default(),
        lookahead: section.flag("lookahead").unwrap_or(default.lookahead),
        ..default
    }
}

fn messages(section: &mut Section<'_>) -> MessageOptions {
    let default = MessageOptions::default();
    MessageOptions {
        regions: section.flag("regions").unwrap_or(default.regions),
        min_area: section.number("min_area", values::share).unwrap_or(default.min_area),
        rle: section.flag("rle").unwrap_or(default.rle),
        every_ns: section.text("every", values::interval_ns).or(default.every_ns),
    }
}

fn overlay(section: &mut Section<'_>) -> OverlayOptions {
    let default = OverlayOptions::default();
    OverlayOptions {
        alpha: section.number("alpha", values::alpha).unwrap_or(default.alpha),
        only: section.texts("only").or(default.only),
        outlines: section.flag("outlines").unwrap_or(default.outlines),
        legend: section.flag("legend").unwrap_or(default.legend),
        confidence: section.flag("confidence").unwrap_or(default.confidence),
    }
}

fn output(section: &mut Section<'_>, base: &Path) -> OutputConfig {
    let mut file = |key| section.text(key, values::not_empty).map(|f| paths::output(&f, base));
    OutputConfig {
        video: file("video"),
        masks: file("masks"),
        class_video: file("class_video"),
        json: file("json"),
        report: file("report"),
        sheet: file("sheet"),
        window: section.flag("window").unwrap_or_default(),
        speed: section.text("speed", values::speed),
        quality: section.number("quality", values::quality),
        threads: section.number("threads", values::threads),
        existing: match section.flag("overwrite") {
            Some(true) => OnExisting::Replace,
            _ => OnExisting::Refuse,
        },
    }
}
