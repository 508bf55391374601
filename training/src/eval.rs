//! `eval`: how right a checkpoint, an ONNX file or a folder of class maps is on labelled pictures.

mod boundary;
mod calibration;
mod flow;
mod measures;
mod ranking;
mod temporal;

pub use boundary::{Boundary, ClassBoundary};
pub use calibration::{Bin, Calibration, Temperature};
pub use measures::{Measures, Tally};
pub use ranking::{ClassRanking, Ranking};
pub use temporal::{ClassFlicker, Steadiness, Temporal, TemporalTally};

use crate::checkpoint::Checkpoint;
use crate::config::DataConfig;
use crate::data::{ClassTable, Sample, Source, in_order, read_ids};
use crate::error::{Kind, fault, io_fault};
use crate::metrics::{Confusion, scored_names};
use crate::onnx_run::OnnxNet;
use crate::predict::{Answer, NO_SCORES, NetSegmenter, Prediction, Prepared, Segmenter, Views, predict, predict_views};
use crate::scale::resize_nearest;
use anyhow::Result;
use burn::tensor::Device;
use maskline_models::contract::OutputKind;
use maskline_models::{Class, Input, Model};
use maskline_synth::Weather;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What is measured.
pub enum Subject {
    /// Something that segments pictures, with its input and classes.
    Net {
        /// What people call it.
        name: String,
        /// It.
        segmenter: Box<dyn Segmenter>,
        /// What it takes.
        input: Box<Input>,
        /// What it answers with.
        classes: Vec<Class>,
    },
    /// A folder of class maps, one a picture, in the order of the pictures.
    Masks {
        /// The folder.
        folder: PathBuf,
        /// What the ids mean.
        classes: Vec<Class>,
    },
}

/// How to measure.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalOptions {
    /// A size that the net shall run at, width and height; else as the runtime runs it.
    pub size: Option<(u32, u32)>,
    /// How far a contour may lie from the true one, as a share of the diagonal.
    pub tolerance: f64,
    /// Measure the mean of several views of each picture too.
    pub views: Option<Views>,
    /// How many of the worst pictures to keep.
    pub worst: usize,
    /// Measure with hard weather painted over the pictures too.
    pub weather: bool,
    /// The pictures are the frames of a clip in the order of their names: measure how steady class maps are too.
    pub clip: bool,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self {
            size: None,
            tolerance: 0.0075, // Csurka et al. 2013
            views: None,
            worst: 0,
            weather: false,
            clip: false,
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// A checkpoint, a model or a folder.
    pub model: String,
    /// The data.
    pub data: Vec<String>,
    /// Number of pictures.
    pub pictures: usize,
    /// The measures of one view a picture, as the runtime sees it.
    #[serde(flatten)]
    pub measures: Measures,
    /// The measures of several views a picture, where those were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_time: Option<TestTime>,
    /// The measures of the same pictures in each hard weather, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weather: Vec<InWeather>,
    /// How steady class maps are from frame to frame, where the pictures are said to be a clip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporal: Option<Temporal>,
    /// The worst pictures, the worst first, as many as were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<Frame>,
}

/// Measures with test-time augmentation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestTime {
    /// Which views were averaged.
    #[serde(flatten)]
    pub views: Views,
    /// The measures.
    #[serde(flatten)]
    pub measures: Measures,
}

/// Measures of pictures over which weather is painted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InWeather {
    /// `night`, `rain`, `fog`, `glare` or `motion-blur`.
    pub weather: &'static str,
    /// The measures, of one view a picture.
    #[serde(flatten)]
    pub measures: Measures,
}

/// One picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Frame {
    /// Its name.
    pub name: String,
    /// Mean IoU over the classes in its label.
    pub miou: f64,
    /// Share of its labelled pixels that are right.
    pub pixel_accuracy: f64,
    /// The picture.
    #[serde(skip)]
    pub sample: Sample,
    /// What was predicted, class numbers.
    #[serde(skip)]
    pub prediction: Vec<u8>,
}

impl Subject {
    /// Opens a checkpoint (`.ckpt`), an ONNX file or `builtin:NAME`; `threads` are those of ONNX Runtime, which has all cores else.
    ///
    /// # Errors
    /// If it cannot be used (exit code 78).
    pub fn open(model: &str, head: Option<&str>, device: &Device, threads: Option<usize>) -> Result<Self> {
        let path = Path::new(model);
        if path.extension().is_some_and(|e| e == "ckpt") {
            let checkpoint = Checkpoint::read(path)?;
            return Ok(Self::Net {
                name: model.into(),
                segmenter: Box::new(NetSegmenter::new(checkpoint.best_net(device)?, device)),
                input: Box::new(checkpoint.head.config.contract_input()),
                classes: checkpoint.head.classes,
            });
        }
        let model = Model::open(model, None).map_err(|e| fault(Kind::Config, e))?;
        let segmenter = OnnxSegmenter::open(&model, head, threads)?;
        let classes = segmenter.classes().to_vec();
        Ok(Self::Net {
            name: model.origin.clone(),
            segmenter: Box::new(segmenter),
            input: Box::new(model.contract.input.clone()),
            classes,
        })
    }

    /// Whether it gives scores of every class, not class ids alone.
    pub fn has_scores(&self) -> bool {
        match self {
            Self::Net { segmenter, .. } => segmenter.has_scores(),
            Self::Masks { .. } => false,
        }
    }

    /// What it answers with.
    pub fn classes(&self) -> &[Class] {
        match self {
            Self::Net { classes, .. } | Self::Masks { classes, .. } => classes,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Net { name, .. } => name.clone(),
            Self::Masks { folder, .. } => folder.display().to_string(),
        }
    }
}

/// A foreign or exported model; its class ids become class numbers.
pub struct OnnxSegmenter {
    net: OnnxNet,
    table: ClassTable,
}

impl OnnxSegmenter {
    /// The model in ONNX Runtime on so many threads, or all cores; `head` chooses one of its heads, else the first.
    ///
    /// # Errors
    /// As [`OnnxNet::open_on`].
    pub fn open(model: &Model, head: Option<&str>, threads: Option<usize>) -> Result<Self> {
        let net = OnnxNet::open_on(model, head, threads)?;
        let table = ClassTable::new(&net.head().classes);
        Ok(Self { net, table })
    }

    /// The classes that it answers with.
    pub fn classes(&self) -> &[Class] {
        &self.net.head().classes
    }
}

impl Segmenter for OnnxSegmenter {
    fn segment(&mut self, picture: &Prepared) -> Result<Answer> {
        let shape = picture.shape(self.net.layout());
        if self.net.head().kind != OutputKind::ClassIds {
            return Ok(Answer::Scores(self.net.scores(&picture.tensor, shape)?));
        }
        let mut ids = self.net.class_map(&picture.tensor, shape)?;
        let unknown = |id| {
            fault(
                Kind::Config,
                format!("the model answered with class id {id}, which its contract does not have"),
            )
        };
        self.table.apply(&mut ids).map_err(unknown)?;
        Ok(Answer::Classes(ids))
    }

    fn has_scores(&self) -> bool {
        self.net.head().kind != OutputKind::ClassIds
    }

    fn remembers(&self) -> bool {
        self.net.remembers()
    }

    fn reset(&mut self) {
        self.net.reset();
    }
}

/// Counts a frame of a clip. Names with numbers tell where another one begins; without numbers the order of the names is all there is.
fn follow(steady: &mut TemporalTally, first: bool, sample: &Sample, prediction: &Prediction) -> Result<()> {
    if first && sample.name.ends_with(|c: char| c.is_ascii_digit()) {
        steady.cut();
    }
    steady.add(sample, &prediction.classes)
}

/// Measures a subject on data.
///
/// # Errors
/// Data that cannot be used (exit code 65), or a model that does not run on it or has no scores for several views (78).
pub fn eval(subject: &mut Subject, data: &[DataConfig], options: &EvalOptions) -> Result<Report> {
    let nominal = (480, 360);
    let sources = Source::load_all(data, subject.classes(), nominal)?;
    let samples: Vec<(bool, &Sample)> = in_order(&sources).collect(); // with whether a clip begins
    let names = scored_names(subject.classes());
    let name = subject.name();
    let tally = || Tally::new(names.clone(), options.tolerance);
    let mut worst = Worst::new(options.worst, &names);
    let (mut one, mut several, mut in_weather) = (tally(), None, Vec::new());
    let mut steady = options.clip.then(|| TemporalTally::new(names.clone()));
    match subject {
        Subject::Net { segmenter, input, .. } => {
            if options.views.is_some() && !segmenter.has_scores() {
                return Err(fault(Kind::Config, NO_SCORES));
            }
            if options.views.is_some() && segmenter.remembers() {
                let line = "a net with a memory has one for one view of a clip: leave --flip and --scales out";
                return Err(fault(Kind::Usage, line));
            }
            for (first, sample) in &samples {
                if *first {
                    segmenter.reset();
                }
                let prediction = predict(segmenter.as_mut(), input, sample, options.size)?;
                one.add(sample, &prediction);
                if let Some(steady) = &mut steady {
                    follow(steady, *first, sample, &prediction)?;
                }
                worst.add(sample, prediction.classes);
            }
            if let Some(views) = &options.views {
                let mut augmented = tally();
                for (_, sample) in &samples {
                    augmented.add(sample, &predict_views(segmenter.as_mut(), input, sample, options.size, views)?);
                }
                several = Some((views.clone(), augmented));
            }
            if options.weather {
                for weather in Weather::ALL {
                    let mut tally = tally();
                    for (number, (first, sample)) in samples.iter().enumerate() {
                        if *first {
                            segmenter.reset();
                        }
                        let mut hard = Sample::clone(sample);
                        weather.apply(&mut hard.rgb, hard.width, hard.height, number as u64);
                        tally.add(&hard, &predict(segmenter.as_mut(), input, &hard, options.size)?);
                    }
                    in_weather.push((weather, tally));
                }
            }
        }
        Subject::Masks { folder, classes } => {
            let table = ClassTable::new(classes);
            let masks = mask_files(folder)?;
            if masks.len() != samples.len() {
                return Err(fault(
                    Kind::BadInput,
                    format!(
                        "{} holds {} class maps for {} labelled pictures; wanted one a picture, in the same order",
                        folder.display(),
                        masks.len(),
                        samples.len()
                    ),
                ));
            }
            for ((first, sample), mask) in samples.iter().zip(&masks) {
                let prediction = read_mask(mask, &table, sample)?;
                one.add(sample, &prediction);
                if let Some(steady) = &mut steady {
                    follow(steady, *first, sample, &prediction)?;
                }
                worst.add(sample, prediction.classes);
            }
        }
    }
    Ok(Report {
        model: name,
        data: data.iter().map(DataConfig::describe).collect(),
        pictures: samples.len(),
        measures: one.finish(),
        test_time: several.map(|(views, tally)| TestTime {
            views,
            measures: tally.finish(),
        }),
        weather: in_weather
            .into_iter()
            .map(|(weather, tally)| InWeather {
                weather: weather.name(),
                measures: tally.finish(),
            })
            .collect(),
        temporal: steady.map(TemporalTally::finish),
        worst: worst.frames,
    })
}

/// The pictures with the lowest mean IoU so far, the worst first.
struct Worst<'n> {
    wanted: usize,
    names: &'n [String],
    frames: Vec<Frame>,
}

impl<'n> Worst<'n> {
    fn new(wanted: usize, names: &'n [String]) -> Self {
        let frames = Vec::new();
        Self { wanted, names, frames }
    }

    fn add(&mut self, sample: &Sample, prediction: Vec<u8>) {
        let mut confusion = Confusion::new(self.names.len());
        confusion.add(&sample.labels, &prediction);
        let scores = confusion.scores(self.names);
        let place = self.frames.partition_point(|frame| frame.miou <= scores.miou);
        if place < self.wanted && scores.pixels > 0 {
            let frame = Frame {
                name: sample.name.clone(),
                miou: scores.miou,
                pixel_accuracy: scores.pixel_accuracy,
                sample: sample.clone(),
                prediction,
            };
            self.frames.insert(place, frame);
            self.frames.truncate(self.wanted);
        }
    }
}

/// A class map from a file, at the size of the sample.
fn read_mask(mask: &Path, table: &ClassTable, sample: &Sample) -> Result<Prediction> {
    let (width, height, mut ids) = read_ids(mask)?;
    table
        .apply(&mut ids)
        .map_err(|id| fault(Kind::BadInput, format!("{} holds the id {id}, which is no class", mask.display())))?;
    Ok(Prediction {
        classes: resize_nearest(&ids, (width, height), (sample.width, sample.height)),
        scores: None,
    })
}

fn mask_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| io_fault("read the folder", folder, e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")))
        .collect();
    files.sort();
    Ok(files)
}
