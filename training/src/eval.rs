//! `eval`: how right a checkpoint, an ONNX file or a folder of class maps is on labelled pictures.

use crate::checkpoint::Checkpoint;
use crate::config::DataConfig;
use crate::data::{ClassTable, Sample, Source, read_ids};
use crate::error::{Kind, fault, io_fault};
use crate::metrics::{Confusion, Scores, scored_names};
use crate::onnx_run::OnnxNet;
use crate::predict::{NetSegmenter, Prepared, Segmenter, class_map, resize_ids};
use anyhow::Result;
use burn::tensor::Device;
use maskline_models::{Class, Input, Model};
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

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// A checkpoint, a model or a folder.
    pub model: String,
    /// The data.
    pub data: Vec<String>,
    /// Number of pictures.
    pub pictures: usize,
    /// The measures, at the labels' own size.
    pub scores: Scores,
    /// Pixels by true class (rows) and predicted class (columns).
    pub confusion: Confusion,
}

impl Subject {
    /// Opens a checkpoint (`.ckpt`), an ONNX file or `builtin:NAME`.
    ///
    /// # Errors
    /// If it cannot be used (exit code 78).
    pub fn open(model: &str, head: Option<&str>, device: &Device) -> Result<Self> {
        let path = Path::new(model);
        if path.extension().is_some_and(|e| e == "ckpt") {
            let checkpoint = Checkpoint::read(path)?;
            return Ok(Self::Net {
                name: model.into(),
                segmenter: Box::new(NetSegmenter {
                    net: checkpoint.best_net(device)?,
                    device: device.clone(),
                }),
                input: Box::new(checkpoint.head.config.contract_input()),
                classes: checkpoint.head.classes,
            });
        }
        let model = Model::open(model, None).map_err(|e| fault(Kind::Config, e))?;
        let segmenter = OnnxSegmenter::open(&model, head)?;
        let classes = segmenter.classes().to_vec();
        Ok(Self::Net {
            name: model.origin.clone(),
            segmenter: Box::new(segmenter),
            input: Box::new(model.contract.input.clone()),
            classes,
        })
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
    /// The model in ONNX Runtime; `head` chooses one of its heads, else the first.
    ///
    /// # Errors
    /// As [`OnnxNet::open`].
    pub fn open(model: &Model, head: Option<&str>) -> Result<Self> {
        let net = OnnxNet::open(model, head)?;
        let table = ClassTable::new(&net.head().classes);
        Ok(Self { net, table })
    }

    /// The classes that it answers with.
    pub fn classes(&self) -> &[Class] {
        &self.net.head().classes
    }
}

impl Segmenter for OnnxSegmenter {
    fn segment(&mut self, picture: &Prepared) -> Result<Vec<u8>> {
        let mut ids = self.net.class_map(&picture.tensor, picture.shape(self.net.layout()))?;
        let unknown = |id| {
            fault(
                Kind::Config,
                format!("the model answered with class id {id}, which its contract does not have"),
            )
        };
        self.table.apply(&mut ids).map_err(unknown)?;
        Ok(ids)
    }
}

/// Measures a subject on data. `size` is a size that the net shall run at.
///
/// # Errors
/// Data that cannot be used (exit code 65), or a model that does not run on it (78).
pub fn eval(subject: &mut Subject, data: &[DataConfig], size: Option<(u32, u32)>) -> Result<Report> {
    let nominal = (480, 360);
    let sources = Source::load_all(data, subject.classes(), nominal)?;
    let samples: Vec<&Sample> = sources.iter().flat_map(|s| &s.samples).collect();
    let names = scored_names(subject.classes());
    let mut confusion = Confusion::new(names.len());
    match subject {
        Subject::Net { segmenter, input, .. } => {
            for sample in &samples {
                confusion.add(&sample.labels, &class_map(segmenter.as_mut(), input, sample, size)?);
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
            for (sample, mask) in samples.iter().zip(&masks) {
                let (width, height, mut ids) = read_ids(mask)?;
                table
                    .apply(&mut ids)
                    .map_err(|id| fault(Kind::BadInput, format!("{} holds the id {id}, which is no class", mask.display())))?;
                confusion.add(&sample.labels, &resize_ids(&ids, (width, height), (sample.width, sample.height)));
            }
        }
    }
    Ok(Report {
        model: subject.name(),
        data: data.iter().map(DataConfig::describe).collect(),
        pictures: samples.len(),
        scores: confusion.scores(&names),
        confusion,
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
