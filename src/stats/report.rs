//! What a run did, for people and as JSON (docs/formats.md).

use crate::infer::{Provider, ProviderReport};
use crate::source::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this program.
    pub maskline: String,
    /// What was read.
    pub input: String,
    /// The masked video, where one was written.
    pub output: Option<String>,
    /// Everything that was written, the masked video first; not what went to standard output.
    pub written: Vec<String>,
    /// Width of the frames in pixels.
    pub width: u32,
    /// Height of the frames in pixels.
    pub height: u32,
    /// How it ended.
    pub ended_by: Ending,
    /// How many frames went where.
    pub frames: FrameCounts,
    /// Seconds from the start of the process (of the call, in a library) until the output was complete.
    pub wall_s: f64,
    /// Seconds of that in which frames flowed, finishing the file included.
    pub stream_s: f64,
    /// CPU seconds of the process, all threads.
    pub cpu_s: f64,
    /// Frames out per second of `stream_s`.
    pub frames_per_s: f64,
    /// Milliseconds from the start of the process until the first masked frame went to the output; `None` without a frame.
    pub first_frame_ms: Option<f64>,
    /// How long frames were on their way, from their arrival until the output had them; `None` without a frame.
    pub latency: Option<LatencyReport>,
    /// Most resident memory in MiB.
    pub peak_memory_mib: f64,
    /// The states of a live source; `None` for what is not live.
    #[serde(default)]
    pub source: Option<SourceReport>,
    /// The net.
    pub model: ModelUsed,
    /// What ran it.
    pub provider: ProviderUsed,
    /// How class maps were carried between inferred frames; `None` if every frame was inferred by itself.
    pub temporal: Option<TemporalReport>,
    /// How often each rule of a zone changed; empty without zones.
    pub rules: Vec<RuleReport>,
    /// Times and queues, in the order of the stages.
    pub stages: Vec<StageReport>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The input was over, or as many frames were done as were asked for.
    EndOfInput,
    /// Somebody asked to stop; what was read until then is in the output.
    Stopped,
    /// The input was over more than a second before the time that it promises.
    Damaged,
    /// A live source was lost, and as many attempts to connect again as were wanted brought no frame.
    Lost,
}

/// How many frames went where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FrameCounts {
    /// Came from the source.
    #[serde(rename = "in")]
    pub read: u64,
    /// Went to the output.
    #[serde(rename = "out")]
    pub written: u64,
    /// Went through the net.
    pub inferred: u64,
    /// Left out by a live source, for either of the two reasons below.
    pub dropped: u64,
    /// A newer one came before anybody took them.
    #[serde(default)]
    pub replaced: u64,
    /// They had arrived too long ago when they were taken.
    #[serde(default)]
    pub too_old: u64,
    /// Had some scores that were no numbers.
    pub nan: u64,
    /// So many were to come, as far as the input tells: exact for pictures, an estimate from time and rate for videos.
    pub expected: Option<u64>,
}

/// How long frames were on their way. Files come as fast as they are taken, so that most of it is waiting in queues.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyReport {
    /// Half of the frames took at most that.
    pub p50_ms: f64,
    /// 95 % of the frames took at most that.
    pub p95_ms: f64,
    /// 99 % of the frames took at most that.
    #[serde(default)]
    pub p99_ms: f64,
    /// The slowest frame.
    pub max_ms: f64,
}

/// The states that a live source went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The last hundred changes, in their order.
    pub states: Vec<StateChange>,
    /// How often each state began, all changes counted.
    pub counts: StateCounts,
}

/// A live source entered a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChange {
    /// Which.
    pub state: State,
    /// Milliseconds from the start of the process (of the call, in a library).
    pub at_ms: u64,
    /// One line.
    pub why: String,
}

/// How often a live source entered each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateCounts {
    /// Attempts to connect.
    pub connecting: u64,
    /// Attempts that brought frames.
    pub live: u64,
    /// Silences.
    pub stalled: u64,
    /// Losses, silences and failed attempts among them.
    pub lost: u64,
}

/// How class maps were carried between inferred frames.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TemporalReport {
    /// How often the net was asked to run: a number of frames or `auto`.
    pub every: String,
    /// How motion was found.
    pub motion: String,
    /// Frames per second that were asked for.
    pub hold_fps: Option<f64>,
    /// Weight of a pixel's earlier class.
    pub smooth: f32,
    /// The same for single classes.
    #[serde(default)]
    pub smooth_of: BTreeMap<String, f32>,
    /// Whether frames waited for the next key frame.
    pub lookahead: bool,
    /// Why frames were inferred.
    pub keys: KeyCounts,
    /// Half of the frames got their map from a key frame at most so many frames away.
    pub age_p50_frames: u64,
    /// 95 % of the frames.
    pub age_p95_frames: u64,
    /// The farthest.
    pub age_max_frames: u64,
    /// The same in time of the video.
    pub age_p50_ms: f64,
    /// 95 % of the frames.
    pub age_p95_ms: f64,
    /// The farthest.
    pub age_max_ms: f64,
    /// Mean share (0-1) of the picture whose motion did not hold both ways; `None` where motion was not looked for.
    pub unsure: Option<f64>,
    /// Mean share (0-1) of the picture that looks different as well, so that it matters.
    pub lost: Option<f64>,
    /// Mean share (0-1) of the pixels whose class is not that of the map before, moved as the picture moved.
    pub flicker: Option<f64>,
}

/// Why frames were inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyCounts {
    /// It was their turn.
    pub due: u64,
    /// Another scene began.
    pub cut: u64,
    /// Too much of the motion did not hold.
    pub lost: u64,
}

/// How often one rule of a zone changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// Name of the zone.
    pub zone: String,
    /// Name of the rule.
    pub rule: String,
    /// How often it went on.
    pub on: u64,
    /// How often it went off.
    pub off: u64,
}

/// The net that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsed {
    /// Its name in the contract.
    pub name: String,
    /// Where it came from: a path or `builtin:NAME`.
    pub origin: String,
    /// SHA-256 of the ONNX file.
    pub sha256: String,
    /// The licence of its weights, as its contract states it; may be empty.
    pub licence: String,
    /// Which of its outputs.
    pub head: String,
    /// Width at which it ran.
    pub input_width: u32,
    /// Height at which it ran.
    pub input_height: u32,
}

/// The execution provider that ran it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderUsed {
    /// What was asked for.
    pub asked: String,
    /// What ran.
    pub taken: String,
    /// What was tried before, and why it could not.
    pub refused: Vec<Refusal>,
}

impl ProviderUsed {
    /// From what was asked for and what opening the net told.
    pub fn new(asked: Provider, report: &ProviderReport) -> Self {
        let refusal = |(provider, why): &(String, String)| Refusal {
            provider: provider.clone(),
            why: why.clone(),
        };
        Self {
            asked: asked.to_string(),
            taken: report.taken.clone(),
            refused: report.refused.iter().map(refusal).collect(),
        }
    }
}

/// Why a provider was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which.
    pub provider: String,
    /// One line.
    pub why: String,
}

/// Times and queue of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Its name.
    pub stage: String,
    /// Threads that took frames in turn.
    pub threads: usize,
    /// Frames that went through.
    pub frames: u64,
    /// Mean time for a frame.
    pub mean_ms: f64,
    /// Half of the frames took at most that.
    pub p50_ms: f64,
    /// 95 % of the frames took at most that.
    pub p95_ms: f64,
    /// The slowest frame.
    pub max_ms: f64,
    /// Frames that waited in the queue before the stage (before each of its threads) when it took one, on average.
    pub queue_mean_frames: f64,
    /// The most that ever waited.
    pub queue_max_frames: usize,
    /// The most that could.
    pub queue_capacity_frames: usize,
}

impl fmt::Display for Report {
    /// A few lines for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.frames;
        write!(
            f,
            "{} frames in {:.1} s: {:.1} frames/s",
            counts.written, self.stream_s, self.frames_per_s
        )?;
        if counts.dropped > 0 {
            write!(f, ", {} dropped", counts.dropped)?;
            if counts.too_old > 0 {
                write!(f, " ({} of them too old)", counts.too_old)?;
            }
        }
        if counts.inferred < counts.written {
            write!(f, ", {} inferred", counts.inferred)?;
        }
        if counts.nan > 0 {
            write!(f, ", {} with scores that are no numbers", counts.nan)?;
        }
        if self.ended_by == Ending::Stopped {
            write!(f, ", stopped before the end")?;
        }
        if self.ended_by == Ending::Lost {
            write!(f, ", the source was lost and not found again")?;
        }
        if self.ended_by == Ending::Damaged {
            let promised = counts.expected.map_or(String::new(), |n| format!(" of about {n} frames"));
            write!(f, ", the input is damaged: it ends before the time it promises{promised}")?;
        }
        let model = &self.model;
        write!(
            f,
            "\n{} at {}x{} on {}; {:.1} CPU s, {:.0} MiB",
            model.name, model.input_width, model.input_height, self.provider.taken, self.cpu_s, self.peak_memory_mib
        )?;
        if !self.rules.is_empty() {
            let rules = self.rules.iter().map(|r| format!("{:?} / {:?} {}x", r.zone, r.rule, r.on));
            write!(f, "\nrules went on: {}", rules.collect::<Vec<_>>().join(", "))?;
        }
        if !self.written.is_empty() {
            write!(f, "\nwritten to {}", self.written.join(", "))?;
        }
        Ok(())
    }
}

impl Report {
    /// A line a stage, for people who ask for more.
    pub fn stage_table(&self) -> String {
        let mut table = format!(
            "{:<12}{:>8}{:>8}{:>10}{:>10}{:>10}{:>18}",
            "stage", "threads", "frames", "p50 ms", "p95 ms", "max ms", "queue mean/max"
        );
        for s in &self.stages {
            table += &format!(
                "\n{:<12}{:>8}{:>8}{:>10.2}{:>10.2}{:>10.2}{:>16.1}/{}",
                s.stage, s.threads, s.frames, s.p50_ms, s.p95_ms, s.max_ms, s.queue_mean_frames, s.queue_max_frames
            );
        }
        table
    }
}
