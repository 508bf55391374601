//! Arguments and help only.

use crate::config::serve;
use crate::config::{ModelConfig, OnExisting, PipelineConfig, values};
use crate::error::{Fault, Kind, fault};
use crate::infer::Provider;
use crate::log::LogFormat;
use crate::sink::Speed;
use crate::source::Transport;
use crate::temporal::{Every, MotionMethod, TemporalOptions};
use crate::tune::Order;
use crate::tune::wish::{Floor, Goal, Wish};
use anyhow::Result;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Place in the help of what every command has: behind its own options.
const LAST: usize = 900;

/// The command line as typed.
#[derive(Debug, Parser)]
#[command(
    name = "maskline",
    version,
    about = "Streaming semantic segmentation: a video in, the segmented video out",
    after_help = "Examples:
  maskline run dashcam.mp4 -o masked.mp4
  maskline run dashcam.mp4 -o masked.mp4 --only road,car --alpha 0.4 --outlines
  maskline run pictures/ --masks masks/ --json frames.jsonl
  maskline run pipelines/zones.toml
  maskline run pipelines/file.toml
  maskline models list
  maskline bench --clip dashcam.mp4
  maskline tune --clip dashcam.mp4 --fps 25 --min-agreement 0.95 -o tuned.toml
  maskline doctor"
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Says more: why a provider was not taken, and where the time went
    #[arg(short, long, global = true, action = ArgAction::SetTrue, display_order = LAST)]
    pub verbose: bool,
    /// Says nothing but errors
    #[arg(short, long, global = true, action = ArgAction::SetTrue, conflicts_with = "verbose", display_order = LAST)]
    pub quiet: bool,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Segments a video, a folder of pictures or a test pattern
    Run(Box<RunArgs>),
    /// Runs many live streams until it is told to stop: page, API, metrics, recordings, messages
    Serve(ServeArgs),
    /// Measures the class maps of a clip against labels, and against those of a run that infers every frame
    Eval(Box<EvalArgs>),
    /// Checks pipeline files without running them; prints every problem with its line
    Check(CheckArgs),
    /// Shows and verifies models
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Measures each stage alone and all together, and says what of the CPU's limit is reached
    Bench(BenchArgs),
    /// Searches net, provider, size, threads, sessions and interval for a wanted rate or latency, and writes the pipeline file
    Tune(Box<TuneArgs>),
    /// Shows what this program needs and what it found, with the line that mends what is missing
    Doctor,
}

/// `maskline serve`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  maskline serve pipelines/live.toml
  maskline serve /etc/maskline/live.toml --log json

Signals: SIGHUP reads the file again, SIGINT and SIGTERM finish recordings and end.
Exit codes: 64 usage, 65 bad input, 69 a port or a display cannot be had, 70 internal, 74 reading or writing,
75 try later, 78 configuration, model or provider, 130/143 ended by a signal.")]
pub struct ServeArgs {
    /// The file with the streams (.toml)
    pub file: PathBuf,
    /// How the log is written to standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub log: LogFormat,
}

/// `maskline run`
#[derive(Debug, clap::Args, Default)]
#[command(after_help = "Examples:
  maskline run dashcam.mp4 -o masked.mp4
  maskline run dashcam.mp4 -o masked.mp4 --start 1:30 --frames 250
  maskline run 'frames/%05d.png' --rate 10 -o masked.mkv
  maskline run test: -o pattern.mp4 --frames 100
  maskline run rtsp://camera/stream1 -o masked.mp4
  maskline run selfie.mp4 -o out.mp4 --model portrait.onnx --contract models/sidecars/sinet_portrait_256_160.toml
  maskline run pipelines/file.toml --alpha 0.3

Exit codes: 0 done, 64 usage, 65 bad input, 70 internal, 74 reading or writing, 75 try later,
78 configuration, model or provider, 130/143 ended by a signal after finishing the file.")]
pub struct RunArgs {
    /// A video file, a folder of pictures of one kind (PNG or JPEG), a numbered sequence ('frames/%05d.png'), test:, rtsp://,
    /// http://, srt://, udp://HOST:PORT, device:/dev/video0 or a pipeline file (.toml)
    pub input: String,
    /// The masked video: .mp4, .mkv or .webm
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// A built-in model or an ONNX file [default: the first of `maskline models list`]
    #[arg(short, long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// The sidecar that says how to use the model [default: what is in the model, or NAME.toml beside it]
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// Which output of a model with several [default: the first]
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,
    /// The size at which the net runs [default: what fits the video]
    #[arg(long, value_name = "WxH", value_parser = values::size)]
    pub size: Option<(u32, u32)>,
    /// Writes one indexed PNG a frame into this folder; pixel values are class ids
    #[arg(long, value_name = "DIR")]
    pub masks: Option<PathBuf>,
    /// Writes the class maps as a video without loss, FFV1 in .mkv; grey values are class ids
    #[arg(long, value_name = "FILE")]
    pub class_video: Option<PathBuf>,
    /// Writes a JSON line a frame; - is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A JSON line an interval (1s, 500ms) instead of one a frame; events of zones are never left out
    #[arg(long, value_name = "TIME", value_parser = values::interval_ns)]
    pub json_every: Option<u64>,
    /// Lists connected regions in the JSON lines: class, size, box and outline
    #[arg(long)]
    pub regions: bool,
    /// The smallest region that is listed, as a share of the frame, 0 to 1 [default: 0.001]
    #[arg(long, value_name = "SHARE", value_parser = values::share, allow_negative_numbers = true)]
    pub min_area: Option<f64>,
    /// Puts the mask of every class into the JSON lines, as COCO run lengths at the size of the frame
    #[arg(long)]
    pub rle: bool,
    /// Writes what the run did and where its time went, as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Writes a PNG with six frames of the masked video
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
    /// Shows the masked video in a window; closing it ends the run
    #[arg(long)]
    pub window: bool,
    /// How much time H.264 takes for a smaller file: ultrafast to medium, as in x264 [default: superfast, with --hold-fps ultrafast]
    #[arg(long, value_name = "SPEED", value_parser = values::speed)]
    pub speed: Option<Speed>,
    /// Constant quality of the video, 0 (best) to 51 [default: 21]
    #[arg(long, value_name = "Q", value_parser = values::quality, allow_negative_numbers = true)]
    pub quality: Option<u32>,
    /// Replaces outputs that are there already, each at once when it is complete
    #[arg(long)]
    pub overwrite: bool,
    /// Share of the class colour, 0 to 1 [default: 0.5]
    #[arg(long, value_name = "A", value_parser = values::alpha, allow_negative_numbers = true)]
    pub alpha: Option<f32>,
    /// Draws only these classes
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    pub only: Option<Vec<String>>,
    /// Draws borders between classes
    #[arg(long)]
    pub outlines: bool,
    /// Darkens what the net is not sure of; the model must give its confidence
    #[arg(long)]
    pub confidence: bool,
    /// Leaves the legend out
    #[arg(long)]
    pub no_legend: bool,
    /// Begins there: seconds (12.5), M:S or H:M:S
    #[arg(long, value_name = "T", value_parser = values::time_ns, allow_negative_numbers = true)]
    pub start: Option<u64>,
    /// Ends after so many frames [default: the whole input; 250 of test:, and test:live has no end]
    #[arg(long, value_name = "N", value_parser = values::frames, allow_negative_numbers = true)]
    pub frames: Option<u64>,
    /// Frames per second of pictures [default: 25], or those that device: shall give [default: what it prefers]
    #[arg(long, value_name = "FPS", value_parser = values::rate)]
    pub rate: Option<(u32, u32)>,
    /// Reads a video file at its own pace, as if it were a camera: newest frame first, others are left out
    #[arg(long)]
    pub live: bool,
    /// How RTP packets of rtsp:// travel: tcp, udp or auto (udp, and tcp where nothing arrives) [default: tcp]
    #[arg(long, value_name = "HOW", value_parser = Transport::parse)]
    pub rtsp_transport: Option<Transport>,
    /// Leaves frames of a live source out that arrived longer ago when they are taken [default: 200]
    #[arg(long, value_name = "MS", value_parser = values::max_age, allow_negative_numbers = true)]
    pub max_age_ms: Option<Duration>,
    /// Connects a live source anew after so long without a frame: seconds or M:S [default: 5]
    #[arg(long, value_name = "T", value_parser = values::stall_after, allow_negative_numbers = true)]
    pub stall_after: Option<Duration>,
    /// Gives a live source up after so many attempts in a row without a frame [default: never]
    #[arg(long, value_name = "N", value_parser = values::attempts, allow_negative_numbers = true)]
    pub attempts: Option<u32>,
    /// What runs the net; a named one that cannot serve is an error [default: auto]
    #[arg(long, value_enum, value_name = "PROVIDER")]
    pub provider: Option<Provider>,
    /// The card (0, 1, ...) or the OpenVINO device (CPU, GPU, NPU)
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Threads for the net on the CPU [default: one a core]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
    /// Sessions of the net that take frames in turn and share its threads [default: 2 on a CPU where files are read and many frames inferred, else 1]
    #[arg(long, value_name = "N", value_parser = values::sessions, allow_negative_numbers = true)]
    pub sessions: Option<usize>,
    /// Threads of the video decoder [default: one a core]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub decoder_threads: Option<usize>,
    /// Threads of the video encoder [default: one a core]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub encoder_threads: Option<usize>,
    /// How class maps are carried between inferred frames.
    #[command(flatten)]
    pub temporal: TemporalArgs,
}

/// How class maps are carried between inferred frames.
#[derive(Debug, clap::Args, Default)]
pub struct TemporalArgs {
    /// Runs the net on every n-th frame, or as often as scene and motion ask for it (auto); between, maps follow the motion
    /// [default: 1]
    #[arg(long, value_name = "N|auto", value_parser = values::every, allow_negative_numbers = true)]
    pub every: Option<Every>,
    /// Leaves the net out where there is no time for it at this rate in frames per second; alone, it means --every auto
    #[arg(long, value_name = "FPS", value_parser = values::fps, allow_negative_numbers = true)]
    pub hold_fps: Option<f64>,
    /// How motion is found: dis, dis-fast (a quarter of the time) or none (maps are repeated) [default: dis]
    #[arg(long, value_name = "METHOD")]
    pub motion: Option<MotionMethod>,
    /// How much an earlier class weighs against flicker, 0 to below 1 [default: 0]
    #[arg(long, value_name = "S", value_parser = values::smooth, allow_negative_numbers = true)]
    pub smooth: Option<f32>,
    /// The same for single classes: pedestrian=0.8,sign=0
    #[arg(long, value_name = "CLASS=S,...", value_parser = values::smooth_of, value_delimiter = ',')]
    pub smooth_of: Option<Vec<(String, f32)>>,
    /// Does not wait for the next inferred frame before a carried map is decided
    #[arg(long)]
    pub no_lookahead: bool,
}

impl TemporalArgs {
    /// Puts these on top of what a file says.
    pub fn override_in(&self, options: &mut TemporalOptions) {
        match (self.every, self.hold_fps) {
            (Some(every), _) => options.every = every,
            (None, Some(_)) => options.every = Every::Auto,
            (None, None) => {}
        }
        options.hold_fps = self.hold_fps.or(options.hold_fps);
        options.motion = self.motion.unwrap_or(options.motion);
        options.smooth = self.smooth.unwrap_or(options.smooth);
        if let Some(smooth_of) = &self.smooth_of {
            options.smooth_of = smooth_of.iter().cloned().collect();
        }
        options.lookahead &= !self.no_lookahead;
    }
}

/// `maskline eval`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  maskline eval --clip drive.mp4 --labels labels/ --every 1,2,4,8 --motion dis,none
  maskline eval --clip drive.mp4 --every auto --smooth 0.6 --json eval.json

Every combination of --every and --motion is run, after one run that infers every frame, which they are compared with.")]
pub struct EvalArgs {
    /// The clip: whatever `maskline run` takes
    #[arg(long, value_name = "INPUT")]
    pub clip: String,
    /// A folder with one PNG a frame in the order of their names, class ids as pixel values
    #[arg(long, value_name = "DIR")]
    pub labels: Option<PathBuf>,
    /// A built-in model or an ONNX file [default: the first of `maskline models list`]
    #[arg(short, long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// The sidecar that says how to use the model
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// Which output of a model with several [default: the first]
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,
    /// The size at which the net runs [default: what fits the video]
    #[arg(long, value_name = "WxH", value_parser = values::size)]
    pub size: Option<(u32, u32)>,
    /// Ends after so many frames
    #[arg(long, value_name = "N", value_parser = values::frames, allow_negative_numbers = true)]
    pub frames: Option<u64>,
    /// What runs the net [default: auto]
    #[arg(long, value_enum, value_name = "PROVIDER")]
    pub provider: Option<Provider>,
    /// Threads for the net on the CPU [default: one a core]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
    /// How often the net runs, one or several: 1,2,4,auto
    #[arg(long, value_name = "N|auto,...", value_parser = values::every, value_delimiter = ',', default_value = "1")]
    pub every: Vec<Every>,
    /// How motion is found, one or several: dis,dis-fast,none
    #[arg(long, value_name = "METHOD,...", value_delimiter = ',', default_value = "dis")]
    pub motion: Vec<MotionMethod>,
    /// How much an earlier class weighs against flicker, one or several
    #[arg(long, value_name = "S,...", value_parser = values::smooth, value_delimiter = ',', default_value = "0")]
    pub smooth: Vec<f32>,
    /// The same for single classes, in every run but the first: pedestrian=0.8,sign=0
    #[arg(long, value_name = "CLASS=S,...", value_parser = values::smooth_of, value_delimiter = ',')]
    pub smooth_of: Vec<(String, f32)>,
    /// Leaves the net out where there is no time for it at this rate in frames per second, which is easier to hold here, as
    /// nothing is drawn and encoded
    #[arg(long, value_name = "FPS", value_parser = values::fps, allow_negative_numbers = true)]
    pub hold_fps: Option<f64>,
    /// Does not wait for the next inferred frame before a carried map is decided
    #[arg(long)]
    pub no_lookahead: bool,
    /// Writes all measures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl EvalArgs {
    /// Input, model and what runs it.
    pub fn config(&self) -> PipelineConfig {
        let mut config = PipelineConfig::default();
        config.source.input.clone_from(&self.clip);
        config.source.frames = self.frames;
        config.model = ModelConfig {
            name: self.model.clone(),
            contract: self.contract.clone(),
            head: self.head.clone(),
            size: self.size,
        };
        config.session.provider = self.provider.unwrap_or_default();
        config.session.threads = self.threads;
        config
    }

    /// Every combination that was asked for.
    pub fn ways(&self) -> Vec<TemporalOptions> {
        let mut ways = Vec::new();
        for &motion in &self.motion {
            for &smooth in &self.smooth {
                ways.extend(self.every.iter().map(|&every| TemporalOptions {
                    every,
                    motion,
                    smooth,
                    smooth_of: self.smooth_of.iter().cloned().collect(),
                    hold_fps: self.hold_fps,
                    lookahead: !self.no_lookahead,
                    ..TemporalOptions::default()
                }));
            }
        }
        ways
    }
}

/// `maskline check`
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 every file is right, 78 there are problems, be it that a file or an input is missing.")]
pub struct CheckArgs {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE.toml")]
    pub files: Vec<PathBuf>,
    /// Also wants inputs, models, providers and folders of outputs to be there, and no output to be in the way
    #[arg(long)]
    pub strict: bool,
}

/// `maskline bench`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every stage is measured alone and in turn, for five rounds; what counts is the median. The limit is the number of
cores by the CPU time that decoding, the net and encoding take for a frame. Other work on the machine makes wall times
too long, and the load that is printed tells of it."
)]
pub struct BenchArgs {
    /// A built-in model or an ONNX file [default: the first of `maskline models list`]
    #[arg(short, long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// The video to measure on [default: a test pattern of 1280x720, encoded first]
    #[arg(long, value_name = "FILE", value_parser = values::not_empty)]
    pub clip: Option<String>,
    /// The size at which the net runs [default: what fits the video]
    #[arg(long, value_name = "WxH", value_parser = values::size)]
    pub size: Option<(u32, u32)>,
    /// Frames of one measurement [default: 60]
    #[arg(long, value_name = "N", value_parser = values::frames, allow_negative_numbers = true)]
    pub frames: Option<u64>,
    /// What runs the net; a named one that cannot serve is an error [default: auto]
    #[arg(long, value_enum, value_name = "PROVIDER")]
    pub provider: Option<Provider>,
    /// Threads for the net on the CPU [default: one a core]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
    /// Sessions of the net that take frames in turn and share its threads [default: 2 on a CPU where files are read and many frames inferred, else 1]
    #[arg(long, value_name = "N", value_parser = values::sessions, allow_negative_numbers = true)]
    pub sessions: Option<usize>,
    /// Gives JSON instead of the table, on standard output or into a file
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub json: Option<Option<PathBuf>>,
}

/// `maskline tune`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  maskline tune --clip drive.mp4                                  # the frontier: what rate costs which quality
  maskline tune --clip drive.mp4 --fps 25 --min-agreement 0.95 -o tuned.toml --plot frontier.png
  maskline tune --clip drive.mp4 --model unet-road --model unet-road.int8.onnx --fps 30 -o tuned.toml
  maskline tune --clip drive.mp4 --labels labels/ --max-loss 1 --latency-ms 80 --every 1,2

The first model with 32-bit floats, at its natural size and with every frame inferred, is what others are held against.
Every way is run on the clip, decoding and H.264 included. What is recommended is run once more and must hold what it
promises. Without -o the pipeline is printed.

Exit codes: 0 done, 64 usage, 65 bad input, 69 what is wanted cannot be had here (table and plot are given, no pipeline),
74 reading or writing, 78 model or provider, 130/143 ended by a signal.")]
pub struct TuneArgs {
    /// The clip to tune for: a video, a folder of pictures or a numbered sequence
    #[arg(long, value_name = "INPUT", value_parser = values::not_empty)]
    pub clip: String,
    /// A built-in model or an ONNX file; once for each [default: the first of `maskline models list`]
    #[arg(short, long, value_name = "NAME|FILE", value_parser = values::not_empty)]
    pub model: Vec<String>,
    /// Wants at least so many frames per second
    #[arg(long, value_name = "FPS", value_parser = values::fps, allow_negative_numbers = true, conflicts_with = "latency_ms")]
    pub fps: Option<f64>,
    /// Wants 95 % of the frames to be on their way for at most so many milliseconds
    #[arg(long, value_name = "MS", value_parser = values::milliseconds, allow_negative_numbers = true)]
    pub latency_ms: Option<f64>,
    /// Wants at least this share of pixels to have the class that the float net gives, 0 to 1
    #[arg(long, value_name = "A", value_parser = values::share, allow_negative_numbers = true, conflicts_with = "labels")]
    pub min_agreement: Option<f64>,
    /// Measures mIoU against this folder with one PNG a frame, class ids as pixel values, instead of agreement
    #[arg(long, value_name = "DIR")]
    pub labels: Option<PathBuf>,
    /// Wants at most so many points (per cent) of mIoU to be lost
    #[arg(long, value_name = "POINTS", value_parser = values::points, allow_negative_numbers = true, requires = "labels")]
    pub max_loss: Option<f64>,
    /// What may run the nets, one or several; a named one that cannot serve is an error [default: all there are]
    #[arg(long, value_enum, value_name = "PROVIDER,...", value_delimiter = ',')]
    pub provider: Vec<Provider>,
    /// Sizes at which nets run, one or several [default: what fits the video, 3/4 and 1/2 of it]
    #[arg(long, value_name = "WxH,...", value_parser = values::size, value_delimiter = ',')]
    pub sizes: Vec<(u32, u32)>,
    /// How often nets run, one or several
    #[arg(long, value_name = "N|auto,...", value_parser = values::every, value_delimiter = ',', default_value = "1,2,4,8,auto")]
    pub every: Vec<Every>,
    /// Threads for the net over all its sessions, one or several [default: one a core]
    #[arg(long, value_name = "N,...", value_parser = values::threads, value_delimiter = ',')]
    pub threads: Vec<usize>,
    /// Sessions of the net that take frames in turn, one or several [default: 1, 2, 4 and so on, up to the threads]
    #[arg(long, value_name = "N,...", value_parser = values::sessions, value_delimiter = ',')]
    pub sessions: Vec<usize>,
    /// Frames of the clip in every run, from its start
    #[arg(long, value_name = "N", value_parser = values::frames, allow_negative_numbers = true, default_value = "90")]
    pub frames: u64,
    /// Writes the pipeline that is recommended
    #[arg(short, long, value_name = "FILE.toml")]
    pub output: Option<PathBuf>,
    /// Draws all that was measured and the frontier
    #[arg(long, value_name = "FILE.png")]
    pub plot: Option<PathBuf>,
    /// Writes all that was measured as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Replaces outputs that are there already, each at once when it is complete
    #[arg(long)]
    pub overwrite: bool,
}

/// `maskline models`
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Lists the built-in models
    List,
    /// Shows what a model takes, what it gives and where it comes from
    Show(ModelArgs),
    /// Runs a model on the pictures in its contract and compares the class maps
    Verify(ModelArgs),
}

/// A model on the command line.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// A built-in model or an ONNX file
    #[arg(value_name = "NAME|FILE")]
    pub model: String,
    /// The sidecar that says how to use it
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// What runs the net
    #[arg(long, value_enum, value_name = "PROVIDER", default_value = "auto")]
    pub provider: Provider,
}

impl Args {
    /// Reads the command line. `Ok(None)` if it asked for help or the version, which is then printed.
    ///
    /// # Errors
    /// Kind 64 with one line.
    pub fn read() -> Result<Option<Self>> {
        match Self::try_parse() {
            Ok(args) => Ok(Some(args)),
            Err(e) if !e.use_stderr() => {
                e.print()?;
                Ok(None)
            }
            Err(e) => Err(fault(Kind::Usage, one_line(&e))),
        }
    }
}

/// What clap says in paragraphs, in one line.
fn one_line(error: &clap::Error) -> String {
    use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
    if matches!(error.kind(), DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand) {
        let names: Vec<_> = Args::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        return format!("found no command, wanted one of {}; see maskline --help", names.join(", "));
    }
    let text = error.render().to_string();
    let mut parts: Vec<_> = text
        .split("\n\n")
        .filter(|p| !p.trim_start().starts_with("Usage:") && !p.starts_with("For more information"))
        .map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|p| !p.is_empty())
        .collect();
    if let Some(first) = parts.first_mut() {
        *first = first.trim_start_matches("error: ").to_owned();
    }
    format!("{}; see maskline --help", parts.join("; "))
}

impl RunArgs {
    /// What to run: the pipeline file, if the input is one, with the flags on top.
    ///
    /// # Errors
    /// Those of [`PipelineConfig::load`].
    pub fn config(&self) -> Result<PipelineConfig> {
        let is_pipeline = Path::new(&self.input).extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
        let mut config = if is_pipeline {
            let file = Path::new(&self.input);
            if serve::is_one(file) {
                let text = format!(
                    "{} holds streams, wanted one pipeline: maskline serve {}",
                    file.display(),
                    file.display()
                );
                return Err(fault(Kind::Usage, text));
            }
            PipelineConfig::load(file)?
        } else if self.input.is_empty() {
            return Err(Fault {
                kind: Kind::Usage,
                message: "the input is empty, wanted a file, a folder of pictures, test: or a pipeline file".into(),
            }
            .into());
        } else {
            let mut config = PipelineConfig::default();
            config.source.input.clone_from(&self.input);
            config
        };
        self.override_in(&mut config);
        Ok(config)
    }

    fn override_in(&self, config: &mut PipelineConfig) {
        fn set<T: Clone>(target: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                target.clone_from(value);
            }
        }
        fn set_some<T: Clone>(target: &mut Option<T>, flag: &Option<T>) {
            if flag.is_some() {
                target.clone_from(flag);
            }
        }
        set(&mut config.source.start_ns, &self.start);
        set_some(&mut config.source.frames, &self.frames);
        set_some(&mut config.source.image_rate, &self.rate);
        config.source.live |= self.live;
        let live = &mut config.source.live_options;
        set(&mut live.transport, &self.rtsp_transport);
        set(&mut live.max_age, &self.max_age_ms);
        set(&mut live.stall_after, &self.stall_after);
        set_some(&mut live.attempts, &self.attempts);
        if self.model.is_some() {
            // Contract, head and size belong to the model that the file names.
            config.model = ModelConfig::default();
        }
        set_some(&mut config.model.name, &self.model);
        set_some(&mut config.model.contract, &self.contract);
        set_some(&mut config.model.head, &self.head);
        set_some(&mut config.model.size, &self.size);
        set(&mut config.session.provider, &self.provider);
        set_some(&mut config.session.device, &self.device);
        set_some(&mut config.session.threads, &self.threads);
        set_some(&mut config.session.sessions, &self.sessions);
        set_some(&mut config.source.threads, &self.decoder_threads);
        set_some(&mut config.output.threads, &self.encoder_threads);
        self.temporal.override_in(&mut config.temporal);
        config.messages.regions |= self.regions;
        config.messages.rle |= self.rle;
        set(&mut config.messages.min_area, &self.min_area);
        set_some(&mut config.messages.every_ns, &self.json_every);
        set(&mut config.overlay.alpha, &self.alpha);
        set_some(&mut config.overlay.only, &self.only);
        config.overlay.outlines |= self.outlines;
        config.overlay.legend &= !self.no_legend;
        config.overlay.confidence |= self.confidence;
        set_some(&mut config.output.video, &self.output);
        set_some(&mut config.output.masks, &self.masks);
        set_some(&mut config.output.class_video, &self.class_video);
        set_some(&mut config.output.json, &self.json);
        set_some(&mut config.output.report, &self.report);
        set_some(&mut config.output.sheet, &self.sheet);
        config.output.window |= self.window;
        set_some(&mut config.output.speed, &self.speed);
        set_some(&mut config.output.quality, &self.quality);
        if self.overwrite {
            config.output.existing = OnExisting::Replace;
        }
        // A message about a value names the flag that set it, not the line that it replaced.
        for (given, key) in [
            (self.rate.is_some(), "source.rate"),
            (self.live, "source.live"),
            (self.rtsp_transport.is_some(), "source.rtsp_transport"),
            (self.max_age_ms.is_some(), "source.max_age_ms"),
            (self.stall_after.is_some(), "source.stall_after"),
            (self.attempts.is_some(), "source.attempts"),
            (self.head.is_some(), "model.head"),
            (self.regions, "messages.regions"),
            (self.rle, "messages.rle"),
            (self.min_area.is_some(), "messages.min_area"),
            (self.json_every.is_some(), "messages.every"),
            (self.size.is_some(), "model.size"),
            (self.device.is_some(), "execution.device"),
            (self.threads.is_some(), "execution.threads"),
            (self.sessions.is_some(), "execution.sessions"),
            (self.decoder_threads.is_some(), "source.threads"),
            (self.encoder_threads.is_some(), "output.threads"),
            (self.temporal.motion.is_some(), "temporal.motion"),
            (self.temporal.smooth_of.is_some(), "temporal.smooth_of"),
            (self.temporal.no_lookahead, "temporal.lookahead"),
            (self.alpha.is_some(), "overlay.alpha"),
            (self.only.is_some(), "overlay.only"),
            (self.outlines, "overlay.outlines"),
            (self.no_legend, "overlay.legend"),
            (self.confidence, "overlay.confidence"),
            (self.output.is_some(), "output.video"),
            (self.masks.is_some(), "output.masks"),
            (self.class_video.is_some(), "output.class_video"),
            (self.json.is_some(), "output.json"),
            (self.report.is_some(), "output.report"),
            (self.sheet.is_some(), "output.sheet"),
            (self.window, "output.window"),
            (self.speed.is_some(), "output.speed"),
            (self.quality.is_some(), "output.quality"),
        ] {
            if given {
                config.places.forget(key);
            }
        }
        for key in ["model.name", "model.file", "model.contract"] {
            if self.model.is_some() || self.contract.is_some() {
                config.places.forget(key);
            }
        }
    }
}

impl BenchArgs {
    /// What to measure.
    pub fn config(&self) -> PipelineConfig {
        let mut config = PipelineConfig::default();
        config.source.input = self.clip.clone().unwrap_or_default();
        config.source.frames = self.frames;
        config.model.name.clone_from(&self.model);
        config.model.size = self.size;
        config.session.provider = self.provider.unwrap_or_default();
        config.session.threads = self.threads;
        config.session.sessions = self.sessions;
        config
    }
}

impl TuneArgs {
    /// What to search, and for what.
    pub fn order(&self) -> Order {
        let rate = self.fps.map(Goal::FramesPerS);
        let agreement = self.min_agreement.map(Floor::Agreement);
        Order {
            clip: self.clip.clone(),
            models: self.model.clone(),
            wish: Wish {
                goal: rate.or(self.latency_ms.map(Goal::LatencyMs)),
                floor: agreement.or(self.max_loss.map(Floor::LossPoints)),
            },
            labels: self.labels.clone(),
            providers: self.provider.clone(),
            sizes: self.sizes.clone(),
            every: self.every.clone(),
            threads: self.threads.clone(),
            sessions: self.sessions.clone(),
            frames: self.frames,
            output: self.output.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_refusal_is_one_line_that_says_what_was_found() {
        for (line, part) in [
            ("maskline run a.mp4 --alhpa 1", "--alhpa"),
            ("maskline run a.mp4 --alpha 2", "from 0"),
            ("maskline run a.mp4 --alpha -1", "from 0"),
            ("maskline run a.mp4 --frames 0", "at least 1"),
            ("maskline run a.mp4 --size 5", "WIDTHxHEIGHT"),
            ("maskline run a.mp4 --provider rocm", "openvino"),
            ("maskline run a.mp4 --every 0", "auto or a whole number"),
            ("maskline run a.mp4 --json-every 0s", "above 0"),
            ("maskline run a.mp4 --json-every 3", "2s or 500ms"),
            ("maskline run a.mp4 --min-area 2", "from 0 to 1"),
            ("maskline run a.mp4 --hold-fps 0", "above 0"),
            ("maskline run a.mp4 --smooth 1", "below 1"),
            ("maskline run a --rtsp-transport smoke", "tcp, udp or auto"),
            ("maskline run a --stall-after 0", "0.1 seconds"),
            ("maskline run a --attempts 0", "at least 1"),
            ("maskline run a --max-age-ms 0", "above 0"),
            ("maskline run a.mp4 --motion magic", "dis-fast"),
            ("maskline run", "<INPUT>"),
            ("maskline fly", "fly"),
            ("maskline", "run, serve, eval, check, models, bench, tune, doctor"),
            ("maskline check", "FILE.toml"),
            ("maskline tune --fps 25", "--clip"),
            ("maskline tune --clip a.mp4 --fps 25 --latency-ms 80", "--latency-ms"),
            ("maskline tune --clip a.mp4 --latency-ms 0", "above 0"),
            ("maskline tune --clip a.mp4 --min-agreement 95", "from 0 to 1"),
            ("maskline tune --clip a.mp4 --min-agreement 0.9 --labels l", "--labels"),
            ("maskline tune --clip a.mp4 --max-loss 1", "--labels"),
            ("maskline tune --clip a.mp4 --sizes=", "WIDTHxHEIGHT"),
            ("maskline tune --clip a.mp4 --every=", "auto or a whole number"),
            ("maskline tune --clip a.mp4 --provider=", "openvino"),
            ("maskline tune --clip a.mp4 --model=", "a name or a path"),
        ] {
            let text = one_line(&parse(line).unwrap_err());
            assert!(
                text.contains(part) && !text.contains('\n') && !text.starts_with("error"),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn another_model_on_the_command_line_forgets_the_files_contract_head_and_size() {
        let mut config = PipelineConfig::default();
        config.model.head = Some("lanes".into());
        config.model.size = Some((640, 360));
        RunArgs {
            model: Some("other.onnx".into()),
            ..RunArgs::default()
        }
        .override_in(&mut config);
        assert_eq!((config.model.head, config.model.size), (None, None));
        assert_eq!(config.model.name.as_deref(), Some("other.onnx"));
    }
}
