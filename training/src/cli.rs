//! Arguments and help only; what they do is in [`crate::commands`].

use crate::config::{DataConfig, DataKind, TrainConfig};
use crate::error::{Kind, fault};
use crate::ops::Precision;
use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// Trains the segmentation models that maskline runs, and writes them as ONNX.
#[derive(Debug, Parser)]
#[command(name = "maskline-training", version, about)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train the net that a configuration describes
    Train(TrainArgs),
    /// Find a learning rate: train with growing rates and see how the loss goes
    TuneRate(TuneRateArgs),
    /// Cross-validate over drives: train without each in turn, and measure on it
    Kfold(KfoldArgs),
    /// Label pictures by a model wherever it is sure, to learn from them
    Label(LabelArgs),
    /// Measure a checkpoint, an ONNX file or a folder of class maps on labelled pictures
    Eval(Box<EvalArgs>),
    /// Draw how sure a checkpoint's net is of each pixel, where it is wrong, where it looks and what speaks for a class
    Explain(Box<ExplainArgs>),
    /// Write a checkpoint as an ONNX file with its contract inside, and prove that both agree
    Export(ExportArgs),
    /// Write the mean of exported models of one net, such as those of runs that began with each other
    Average(AverageArgs),
    /// Bring an ONNX file to int8 or 16-bit floats, and measure what that costs and saves
    Quantize(Box<QuantizeArgs>),
    /// Render labelled driving scenes
    Synth(maskline_synth::cli::Args),
    /// List the nets with their parameters and cost
    Nets(NetsArgs),
    /// Set models beside published ones: accuracy over cost
    Compare(CompareArgs),
    /// Look at data sets
    Data(DataArgs),
}

/// What computes.
#[derive(Debug, clap::Args)]
pub struct Compute {
    /// Where tensors live: cpu or cuda
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads for the arithmetic [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,
}

/// What stands in for the configuration's.
#[derive(Debug, clap::Args)]
pub struct Overrides {
    /// Epochs of a run, in place of the configuration's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Minutes after which a run ends, in place of the configuration's
    #[arg(long, value_name = "M", value_parser = minutes)]
    pub max_minutes: Option<f64>,
    /// What convolutions multiply, in place of the configuration's; bf16 is faster, on a CPU that has it
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|m: &f64| m.is_finite() && *m > 0.0);
    minutes.ok_or_else(|| "wanted a number of minutes above 0".into())
}

impl Overrides {
    /// Puts what was asked for in place of what the configuration says.
    pub fn put_into(&self, config: &mut TrainConfig) {
        config.epochs = self.epochs.unwrap_or(config.epochs);
        config.max_minutes = self.max_minutes.or(config.max_minutes);
        config.precision = self.precision.unwrap_or(config.precision);
    }
}

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// The configuration
    pub config: PathBuf,
    /// The run's folder [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on from the folder's last checkpoint
    #[arg(long)]
    pub resume: bool,
    /// What computes.
    #[command(flatten)]
    pub compute: Compute,
    /// What stands in for the configuration's.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Arguments of `tune-rate`.
#[derive(Debug, clap::Args)]
pub struct TuneRateArgs {
    /// The training configuration
    pub config: PathBuf,
    /// Rate of the first step
    #[arg(long, value_name = "RATE", default_value_t = 1e-6)]
    pub from: f64,
    /// Rate of the last step
    #[arg(long, value_name = "RATE", default_value_t = 1.0)]
    pub to: f64,
    /// Steps
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(20..))]
    pub steps: usize,
    /// What computes.
    #[command(flatten)]
    pub compute: Compute,
    /// Write rate, loss and smooth loss of every step
    #[arg(long, value_name = "FILE.csv")]
    pub csv: Option<PathBuf>,
    /// Draw them
    #[arg(long, value_name = "FILE.png")]
    pub plot: Option<PathBuf>,
}

/// Arguments of `kfold`.
#[derive(Debug, clap::Args)]
pub struct KfoldArgs {
    /// The training configuration; its [[validation]] plays no part
    pub config: PathBuf,
    /// Drives, as the beginnings of their pictures' names, e.g. 0001TP,0006R0 [default: what names begin with, up to the first _]
    #[arg(long, value_name = "PREFIXES", value_delimiter = ',')]
    pub drives: Vec<String>,
    /// Folder of the folds' runs, to go on in where it has some [default: runs/NAME-kfold]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What computes.
    #[command(flatten)]
    pub compute: Compute,
    /// What stands in for the configuration's.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Write all measures as JSON [default: kfold.json in the folder]
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Arguments of `label`.
#[derive(Debug, clap::Args)]
pub struct LabelArgs {
    /// A checkpoint (.ckpt), or an ONNX file that was exported with --logits
    pub model: String,
    /// Folder of pictures (PNG or JPEG), e.g. the frames of a video
    #[arg(long, value_name = "DIR")]
    pub images: PathBuf,
    /// Folder for the labels: a PNG of the same name for each picture
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Pixels whose best class has a lower probability get no label
    #[arg(long, value_name = "P", default_value_t = 0.9)]
    pub threshold: f32,
    /// What scores are divided by first, as `eval` finds it
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub temperature: f32,
    /// Size that the net runs at [default: as maskline runs it]
    #[arg(long, value_name = "WxH")]
    pub size: Option<Size>,
    /// Head of an ONNX file, e.g. logits
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,
    /// What computes.
    #[command(flatten)]
    pub compute: Compute,
}

/// Which labelled pictures.
#[derive(Debug, Clone, clap::Args)]
pub struct DataChoice {
    /// Folder of a data set: train/ and trainannot/ (CamVid), or images/ and labels/ (synth)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["images", "config"])]
    pub data: Option<PathBuf>,
    /// Split of the data set: train, val or test
    #[arg(long, default_value = "val", requires = "data")]
    pub split: String,
    /// Folder of pictures, with --labels
    #[arg(long, value_name = "DIR", requires = "labels")]
    pub images: Option<PathBuf>,
    /// Folder of labels, with --images
    #[arg(long, value_name = "DIR", requires = "images")]
    pub labels: Option<PathBuf>,
    /// The [[validation]] entries of a training configuration
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    pub config: Option<PathBuf>,
    /// Only pictures whose name begins like this; may be repeated
    #[arg(long, value_name = "PREFIX")]
    pub include_prefix: Vec<String>,
    /// No pictures whose name begins like this; may be repeated
    #[arg(long, value_name = "PREFIX")]
    pub exclude_prefix: Vec<String>,
    /// Every n-th picture only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub every: usize,
}

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// A checkpoint (.ckpt), an ONNX file or builtin:NAME
    #[arg(required_unless_present = "masks", conflicts_with = "masks")]
    pub model: Option<String>,
    /// A folder of class maps (PNG, ids as pixel values) in the order of the pictures, in place of a model
    #[arg(long, value_name = "DIR")]
    pub masks: Option<PathBuf>,
    /// Classes of the class maps [default: the driving classes]
    #[arg(long, value_name = "FILE", requires = "masks")]
    pub classes: Option<PathBuf>,
    /// The pictures; a checkpoint's own validation data where none are named
    #[command(flatten)]
    pub data: DataChoice,
    /// Size that the net runs at [default: as maskline runs it]
    #[arg(long, value_name = "WxH", conflicts_with = "masks")]
    pub size: Option<Size>,
    /// Head of the model
    #[arg(long, value_name = "NAME", conflicts_with = "masks")]
    pub head: Option<String>,
    /// What computes.
    #[command(flatten)]
    pub compute: Compute,
    /// How far a contour may lie from the true one and count as found, in % of the picture's diagonal, up to 5
    #[arg(long, value_name = "PERCENT", default_value_t = 0.75)]
    pub boundary_tolerance: f64,
    /// Measure the mean of each picture and its mirror image too, apart from the other measures
    #[arg(long, conflicts_with = "masks")]
    pub flip: bool,
    /// Measure the mean over these factors on the size that the net runs at too, e.g. 0.75,1,1.25
    #[arg(long, value_name = "FACTORS", value_delimiter = ',', conflicts_with = "masks")]
    pub scales: Vec<f64>,
    /// Measure with night, rain, fog, glare and motion blur painted over the pictures too, each apart
    #[arg(long, conflicts_with = "masks")]
    pub weather: bool,
    /// The pictures are the frames of a clip in the order of their names: measure how steady class maps are too
    #[arg(long)]
    pub clip: bool,
    /// Write all measures and the confusion matrix as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw the confusion matrix
    #[arg(long, value_name = "FILE.png")]
    pub confusion: Option<PathBuf>,
    /// Draw ROC and precision over recall of every class
    #[arg(long, value_name = "FILE.png", conflicts_with = "masks")]
    pub curves: Option<PathBuf>,
    /// Draw the reliability diagram
    #[arg(long, value_name = "FILE.png", conflicts_with = "masks")]
    pub reliability: Option<PathBuf>,
    /// Draw the N pictures with the lowest mean IoU: picture, truth, prediction, errors
    #[arg(long, num_args = 2, value_names = ["N", "FILE.png"])]
    pub worst: Vec<String>,
}

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The checkpoint, e.g. runs/unet-road/best.ckpt
    pub checkpoint: PathBuf,
    /// Pictures without labels, PNG or JPEG
    #[arg(conflicts_with_all = ["data", "images", "labels", "config", "include_prefix", "exclude_prefix", "every"])]
    pub pictures: Vec<PathBuf>,
    /// Folder for a sheet of each picture
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Pictures with labels
    #[command(flatten)]
    pub data: DataChoice,
    /// Show what speaks for this class (Grad-CAM); may be repeated
    #[arg(long = "class", value_name = "NAME")]
    pub classes: Vec<String>,
    /// The layer whose places are judged for --class [default: the coarsest]
    #[arg(long, value_name = "NAME", requires = "classes")]
    pub layer: Option<String>,
    /// One pixel of each picture: what it looks at, and what speaks for --class at it
    #[arg(long, value_name = "X,Y")]
    pub point: Option<Point>,
    /// Write each map of a sheet as a file of its own too
    #[arg(long)]
    pub maps: bool,
    /// JSON of `eval`, with whose temperature the confidence is made [default: as the scores are]
    #[arg(long, value_name = "FILE")]
    pub measured: Option<PathBuf>,
    /// Size that the net runs at [default: as maskline runs it]
    #[arg(long, value_name = "WxH")]
    pub size: Option<Size>,
    /// What computes.
    #[command(flatten)]
    pub compute: Compute,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The checkpoint, e.g. runs/unet-road/best.ckpt
    pub checkpoint: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE.onnx")]
    pub out: PathBuf,
    /// Give the scores of every class too
    #[arg(long)]
    pub logits: bool,
    /// Give a confidence for every pixel too
    #[arg(long)]
    pub confidence: bool,
    /// Average the scores of neighbouring pixels, as a net with antialias = true does, for a run without it
    #[arg(long)]
    pub antialias: bool,
    /// Take one picture of this size only
    #[arg(long, value_name = "WxH")]
    pub fixed: Option<Size>,
    /// The model's name [default: the run's]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Licence of the weights [default: the run's]
    #[arg(long)]
    pub licence: Option<String>,
    /// JSON of `eval`, whose mIoU and temperature go into the file [default: the mIoU of the run's best validation]
    #[arg(long, value_name = "FILE")]
    pub measured: Option<PathBuf>,
}

/// Arguments of `average`.
#[derive(Debug, clap::Args)]
pub struct AverageArgs {
    /// ONNX files or builtin:NAME, two or more; name and golden pictures are the first one's
    #[arg(required = true, num_args = 2..)]
    pub models: Vec<String>,
    /// The file to write
    #[arg(short, long, value_name = "FILE.onnx")]
    pub out: PathBuf,
    /// Share of each model in the mean, of which the ratios count [default: equal]
    #[arg(long, value_name = "SHARES", value_delimiter = ',')]
    pub shares: Vec<f64>,
    /// The model's name [default: that of the first]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Licence of the weights [default: the models', where it is the same]
    #[arg(long)]
    pub licence: Option<String>,
    /// JSON of `eval`, whose mIoU and temperature go into the file
    #[arg(long, value_name = "FILE")]
    pub measured: Option<PathBuf>,
}

/// Arguments of `quantize`. The pictures that ranges are found with are those of --split, and --config's [[data]]; measured is
/// on --eval-split, and --config's [[validation]].
#[derive(Debug, clap::Args)]
#[command(mut_arg("split", |arg| arg.default_value("train").help("Split of the data set that ranges are found with")))]
#[command(mut_arg("config", |arg| arg.help("A training configuration: ranges from its [[data]], measured on its [[validation]]")))]
pub struct QuantizeArgs {
    /// The float model: an ONNX file or builtin:NAME
    pub model: String,
    /// The file to write
    #[arg(short, long, value_name = "FILE.onnx")]
    pub out: PathBuf,
    /// What it becomes
    #[arg(long, value_enum, default_value_t = QuantizeTo::Int8)]
    pub to: QuantizeTo,
    /// The pictures
    #[command(flatten)]
    pub data: DataChoice,
    /// Split of the data set to measure on; where the data have no splits, pictures that ranges were not found with
    #[arg(long, default_value = "val", requires = "data")]
    pub eval_split: String,
    /// Pictures to find ranges with, evenly spread over the data
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub samples: usize,
    /// Where the range of an activation ends [default: percentile]
    #[arg(long, value_enum)]
    pub ranges: Option<QuantizeRanges>,
    /// Percentage of values inside each end of a range, for --ranges percentile [default: 99.99]
    #[arg(long, value_name = "P")]
    pub percentile: Option<f64>,
    /// Bits of a weight: 7 gives the same on every processor, 8 is cut off on those without VNNI instructions [default: 7]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(7..=8))]
    pub weight_bits: Option<u32>,
    /// Integers of activations: u8 for CPUs, s8 for TensorRT [default: u8]
    #[arg(long, value_enum)]
    pub activations: Option<QuantizeActivations>,
    /// Leave that many of the most sensitive layers in float
    #[arg(long, value_name = "N", conflicts_with = "max_loss")]
    pub float_layers: Option<usize>,
    /// Leave as many of the most sensitive layers in float as keep the loss within that many points of mIoU
    #[arg(long, value_name = "POINTS")]
    pub max_loss: Option<f64>,
    /// Size that the net runs at [default: as maskline runs it]
    #[arg(long, value_name = "WxH")]
    pub size: Option<Size>,
    /// The new model's name [default: the model's with -int8, -f16 or -weights-int8]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Write all measures of both models as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What a model becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QuantizeTo {
    /// Weights and activations in int8: faster on CPUs
    Int8,
    /// 16-bit floats: for GPUs; half the size
    F16,
    /// Weights in int8, arithmetic in floats: a quarter of the size, slower on a CPU
    WeightsInt8,
}

/// Where the range of an activation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QuantizeRanges {
    /// At the lowest and the highest value
    Minmax,
    /// At a percentile of the values
    Percentile,
    /// Where most of the information is kept
    Entropy,
}

/// Integers of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QuantizeActivations {
    /// 0 to 255 with a zero point
    U8,
    /// -128 to 127 around 0
    S8,
}

/// Arguments of `nets`.
#[derive(Debug, clap::Args)]
pub struct NetsArgs {
    /// Training configurations (.toml), ONNX files or builtin:NAME to list besides the default nets
    pub nets: Vec<String>,
    /// List only what is named
    #[arg(long, requires = "nets")]
    pub only: bool,
    /// Picture size that the cost is worked out for; may be repeated
    #[arg(long = "size", value_name = "WxH", default_values = ["480x352", "960x704"])]
    pub sizes: Vec<Size>,
    /// Measure how long ONNX Runtime takes for a picture too: nets of configurations are exported with random weights for it
    #[arg(long)]
    pub time: bool,
    /// Threads of ONNX Runtime [default: all cores]
    #[arg(long, value_name = "N", requires = "time", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,
    /// Rounds, in each of which every net runs once; the median counts
    #[arg(long, value_name = "N", default_value_t = 9, requires = "time", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub rounds: usize,
    /// Write the list as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// ONNX files or builtin:NAME, with the mIoU of their contracts; or the JSON of `eval`, whose model lies where it lay then
    /// [default: the built-in models]
    pub models: Vec<String>,
    /// Size that the models' cost is worked out for, and others' is scaled to by the number of pixels
    #[arg(long, value_name = "WxH", default_value = "480x352")]
    pub size: Size,
    /// A TOML of published results [default: the one that comes with the program]
    #[arg(long, value_name = "FILE.toml")]
    pub papers: Option<PathBuf>,
    /// Draw accuracy over cost
    #[arg(long, value_name = "FILE.png")]
    pub plot: Option<PathBuf>,
    /// Write the table as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Arguments of `data`.
#[derive(Debug, clap::Args)]
pub struct DataArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// What to do with data sets.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Read every picture and label of a training configuration; list sizes and class shares
    Check {
        /// The configuration
        config: PathBuf,
        /// Draw samples of every entry: picture, labels over it, labels
        #[arg(long, value_name = "FILE.png")]
        sheet: Option<PathBuf>,
    },
}

/// Two numbers written `480x352`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("size is {text:?}, wanted WIDTHxHEIGHT such as 480x352");
        let (width, height) = text.split_once('x').ok_or_else(wrong)?;
        let side = |s: &str| s.parse().ok().filter(|n| (1..=16384).contains(n)).ok_or_else(wrong);
        Ok(Self {
            width: side(width)?,
            height: side(height)?,
        })
    }
}

/// A pixel written `120,88`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Pixels from the left.
    pub x: usize,
    /// Pixels from the top.
    pub y: usize,
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("point is {text:?}, wanted X,Y such as 120,88");
        let (x, y) = text.split_once(',').ok_or_else(wrong)?;
        let place = |s: &str| s.trim().parse().map_err(|_| wrong());
        Ok(Self {
            x: place(x)?,
            y: place(y)?,
        })
    }
}

impl DataChoice {
    /// The data sets that were chosen; none if nothing was.
    ///
    /// # Errors
    /// If a folder has no layout that is known (exit code 65), or the configuration cannot be used (78).
    pub fn configs(&self) -> Result<Vec<DataConfig>> {
        let entries = if let Some(config) = &self.config {
            crate::commands::read_config(config)?.validation
        } else if let (Some(images), Some(labels)) = (&self.images, &self.labels) {
            let mut entry = DataConfig::new(DataKind::Folders);
            (entry.images, entry.labels) = (Some(images.clone()), Some(labels.clone()));
            vec![entry]
        } else if let Some(path) = &self.data {
            vec![self.recognise(path)?]
        } else {
            Vec::new()
        };
        self.filtered(entries)
    }

    /// The data sets to learn something from and those to measure it on: two splits, or the two lists of a configuration. Both
    /// are the same where the data have no splits.
    ///
    /// # Errors
    /// As [`Self::configs`].
    pub fn pair(&self, measured: &str) -> Result<[Vec<DataConfig>; 2]> {
        if let Some(config) = &self.config {
            let config = crate::commands::read_config(config)?;
            return Ok([self.filtered(config.data)?, self.filtered(config.validation)?]);
        }
        let other = Self {
            split: measured.into(),
            ..self.clone()
        };
        Ok([self.configs()?, other.configs()?])
    }

    /// The folders that pictures and labels are read from.
    pub fn folders(&self) -> impl Iterator<Item = &std::path::Path> {
        [&self.data, &self.images, &self.labels].into_iter().flatten().map(PathBuf::as_path)
    }

    /// What the filters leave of data sets; those of which nothing is left are left out.
    ///
    /// # Errors
    /// If a prefix begins no name (exit code 65), or data cannot be listed.
    pub fn filtered(&self, mut entries: Vec<DataConfig>) -> Result<Vec<DataConfig>> {
        let (include, exclude) = (&self.include_prefix, &self.exclude_prefix);
        if !(entries.is_empty() || include.is_empty() && exclude.is_empty()) {
            let listed = entries.iter().map(crate::data::listed).collect::<Result<Vec<_>>>()?;
            let begins = |names: &[String], prefix: &String| names.iter().any(|name| name.starts_with(prefix));
            // One of all data sets is enough: a drive may lie in one of them alone.
            if let Some(prefix) = include
                .iter()
                .chain(exclude)
                .find(|prefix| !listed.iter().any(|names| begins(names, prefix)))
            {
                let first = listed
                    .iter()
                    .flatten()
                    .next()
                    .map_or("there are no files".into(), |name| format!("the first is {name}"));
                let line = format!("no picture has a name that begins like {prefix:?} ({first}): look at the prefixes");
                return Err(fault(Kind::BadInput, line));
            }
            let mut listed = listed.iter();
            entries.retain_mut(|entry| {
                let names = listed.next().map_or(&[][..], |names| names);
                let here =
                    |prefixes: &[String]| -> Vec<String> { prefixes.iter().filter(|prefix| begins(names, prefix)).cloned().collect() };
                entry.exclude_prefix.extend(here(exclude));
                let begins_like = |prefixes: &[String], name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
                let stays = |name: &String| !begins_like(exclude, name) && (include.is_empty() || begins_like(include, name));
                let left = names.is_empty() || names.iter().any(stays);
                left && (include.is_empty() || (!here(include).is_empty() && entry.narrow(&here(include))))
            });
            if entries.is_empty() {
                return Err(fault(
                    Kind::BadInput,
                    "the prefixes leave no picture: look at --include-prefix and --exclude-prefix",
                ));
            }
        }
        if self.every > 1 {
            entries.iter_mut().for_each(|entry| entry.every = self.every);
        }
        Ok(entries)
    }

    fn recognise(&self, path: &std::path::Path) -> Result<DataConfig> {
        let list = path.join(format!("{}.txt", self.split)).is_file();
        let (kind, split) = if path.join("images").is_dir() && path.join("labels").is_dir() {
            (DataKind::Synth, list.then(|| self.split.clone()))
        } else if list || path.join(&self.split).is_dir() {
            (DataKind::Camvid, Some(self.split.clone()))
        } else {
            let split = &self.split;
            let line = format!(
                "{} has neither {split}/ and {split}annot/, nor {split}.txt, nor images/ and labels/: name its folders with --images and --labels",
                path.display()
            );
            return Err(fault(Kind::BadInput, line));
        };
        let mut entry = DataConfig::new(kind);
        (entry.path, entry.split) = (Some(path.to_path_buf()), split);
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_point_is_two_numbers() {
        assert_eq!("120, 88".parse(), Ok(Point { x: 120, y: 88 }));
        for bad in ["120", "-1,5", "x", "1,2,3"] {
            assert!(bad.parse::<Point>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_is_two_numbers() {
        assert_eq!("480x352".parse(), Ok(Size { width: 480, height: 352 }));
        for bad in ["480", "0x5", "x", "480x352x2", "99999x1"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_count_over_all_data_sets() {
        let root = tempfile::tempdir().unwrap();
        let entry = |name: &str, pictures: &[&str]| {
            let mut entry = DataConfig::new(DataKind::Folders);
            for (side, path) in [("images", &mut entry.images), ("labels", &mut entry.labels)] {
                let folder = root.path().join(name).join(side);
                std::fs::create_dir_all(&folder).unwrap();
                for picture in pictures {
                    std::fs::write(folder.join(format!("{picture}.png")), "").unwrap(); // only listed
                }
                *path = Some(folder);
            }
            entry
        };
        let both = [
            entry("day", &["hall1_1", "hall1_2", "yard_1"]),
            entry("dark", &["night_1", "night_2"]),
        ];
        let left = |include: &[&str], exclude: &[&str]| -> Result<Vec<usize>> {
            let own = |prefixes: &[&str]| prefixes.iter().map(|prefix| prefix.to_string()).collect();
            let choice = DataChoice {
                data: None,
                split: "val".into(),
                images: None,
                labels: None,
                config: None,
                include_prefix: own(include),
                exclude_prefix: own(exclude),
                every: 1,
            };
            let entries = choice.filtered(both.to_vec())?;
            entries.iter().map(|entry| Ok(crate::data::names(entry)?.len())).collect()
        };
        assert_eq!(left(&[], &[]).unwrap(), [3, 2]);
        assert_eq!(left(&["hall1_", "night_1"], &[]).unwrap(), [2, 1]);
        assert_eq!(left(&["night_"], &[]).unwrap(), [2]);
        assert_eq!(left(&[], &["night_"]).unwrap(), [3]);
        assert_eq!(left(&[], &["night_1"]).unwrap(), [3, 1]);
        let error = |include: &[&str], exclude: &[&str]| left(include, exclude).unwrap_err().to_string();
        assert!(error(&["nihgt_"], &[]).contains("begins like \"nihgt_\" (the first is"));
        assert!(error(&["hall1_"], &["hall"]).contains("leave no picture"));
    }
}
