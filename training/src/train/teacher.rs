//! `[distill]`: a trained net whose scores another one learns from.

use crate::checkpoint::Checkpoint;
use crate::config::RunConfig;
use crate::data::{ClassTable, Sample};
use crate::error::{Kind, fault};
use crate::exported::{Exported, is_model};
use crate::lineage::Lineage;
use crate::loss::distillation;
use crate::nets::{Net, NetConfig};
use crate::predict::{NetSegmenter, class_map};
use crate::weights::Weights;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maskline_models::Class;
use maskline_models::contract::Input;
use maskline_models::golden::Golden;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The least share of a golden picture's pixels in which a net must have the classes of the exported model that it stands for.
const AGREEMENT: f64 = 0.99;

/// `[distill]` of a training configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistillConfig {
    /// A checkpoint, an ONNX file or `builtin:NAME` of ours with the same classes; any net.
    pub teacher: PathBuf,
    /// The net of an exported model: its file has the weights, and not what they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net: Option<NetConfig>,
    /// Weight of the divergence from the teacher's scores beside the loss.
    #[serde(default = "one")]
    pub weight: f32,
    /// What the scores of both are divided by first; above 1 the classes that are not the best count more.
    #[serde(default = "two")]
    pub temperature: f32,
}

fn one() -> f32 {
    1.0
}
fn two() -> f32 {
    2.0
}

impl DistillConfig {
    fn wrong(&self, line: &str) -> anyhow::Error {
        fault(Kind::Config, format!("distill.teacher {} {line}", self.teacher.display()))
    }

    /// Key, found and wanted of every value that is out of range.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        [("weight", self.weight), ("temperature", self.temperature)]
            .into_iter()
            .filter(|(_, value)| !(*value > 0.0 && value.is_finite()))
            .map(|(key, value)| (key, value.to_string(), "more than 0"))
            .collect()
    }
}

/// The net that is learnt from.
pub(super) struct Teacher {
    net: Net,
    lineage: Lineage,
    weight: f32,
    temperature: f32,
}

/// A net that was read, and what it expects.
struct Known {
    net: Net,
    config: NetConfig,
    classes: Vec<Class>,
    input: Input,
    lineage: Lineage,
}

impl Known {
    fn read(distill: &DistillConfig, device: &Device) -> Result<Self> {
        match (&distill.net, is_model(&distill.teacher)) {
            (None, false) => Self::of_checkpoint(Checkpoint::read(&distill.teacher)?, device),
            (Some(net), true) => Self::of_model(distill, net, device),
            (None, true) => Err(distill.wrong("is an exported model: give [distill.net] the [net] of the configuration that trained it")),
            (Some(_), false) => Err(distill.wrong("is a checkpoint, which knows its net: leave [distill.net] out")),
        }
    }

    fn of_checkpoint(checkpoint: Checkpoint, device: &Device) -> Result<Self> {
        Ok(Self {
            net: checkpoint.best_net(device)?,
            lineage: checkpoint.head.lineage(),
            input: checkpoint.head.config.contract_input(),
            config: checkpoint.head.config.net,
            classes: checkpoint.head.classes,
        })
    }

    /// Its normalisations stay as they are folded: it only infers.
    fn of_model(distill: &DistillConfig, config: &NetConfig, device: &Device) -> Result<Self> {
        let model = Exported::read("distill.teacher", &distill.teacher)?;
        let (contract, lineage) = (model.contract.clone(), model.lineage.clone());
        if contract.remembers() {
            return Err(distill.wrong("remembers earlier frames: take a teacher without a memory"));
        }
        let classes = contract.heads[0].classes.clone();
        let config = NetConfig {
            antialias: model.antialiased, // it can have come with the export
            ..config.clone()
        };
        config
            .check()
            .map_err(|e| distill.wrong(&format!("averages scores, but in [distill.net] {e}")))?;
        let net = config.init(classes.iter().filter(|c| !c.ignore).count(), &device.clone().autodiff());
        let (net, taken, _) = model.put_into(net, device);
        let known = Self {
            net: net.valid(),
            config,
            classes,
            input: contract.input,
            lineage,
        };
        let all = Weights::of(&known.net).len();
        let wanted = "give it the [net] of the configuration that trained it";
        if taken < all {
            return Err(distill.wrong(&format!("has {taken} of the {all} tensors of [distill.net]: {wanted}")));
        }
        let agreement = known.agreement(&contract.goldens, device)?;
        if agreement < AGREEMENT {
            return Err(distill.wrong(&format!(
                "is another net than [distill.net], which has {:.1} % of its golden pictures' pixels right: {wanted}",
                100.0 * agreement
            )));
        }
        Ok(known)
    }

    /// The least share of a golden picture's pixels in which the net has the classes of the exported model; 1 without such a picture.
    /// A net of other layers may find all of its tensors in the file and still compute something else.
    fn agreement(&self, goldens: &[Golden], device: &Device) -> Result<f64> {
        let mut segmenter = NetSegmenter::new(self.net.clone(), device);
        let (table, mut least) = (ClassTable::new(&self.classes), 1.0_f64);
        for golden in goldens {
            let golden = golden.unpack().map_err(|e| fault(Kind::Config, e))?;
            let mut sample = Sample {
                name: "golden picture".into(),
                width: golden.width as usize,
                height: golden.height as usize,
                rgb: golden.rgb,
                labels: golden.ids,
            };
            let unknown = |id| {
                fault(
                    Kind::Config,
                    format!("the golden class map has the class id {id}, which is no class"),
                )
            };
            table.apply(&mut sample.labels).map_err(unknown)?;
            let size = (golden.width, golden.height);
            let map = class_map(&mut segmenter, &self.input, &sample, Some(size))?;
            let same = map.iter().zip(&sample.labels).filter(|(ours, theirs)| ours == theirs).count();
            least = least.min(same as f64 / map.len() as f64);
        }
        Ok(least)
    }
}

impl Teacher {
    /// Reads the net. `device` is one without autodiff: the teacher infers.
    ///
    /// # Errors
    /// If it cannot be read or does not fit the run (exit code 78).
    pub(super) fn open(distill: &DistillConfig, config: &RunConfig, classes: &[Class], device: &Device) -> Result<Self> {
        let wrong = |line: String| distill.wrong(&line);
        let known = Known::read(distill, device)?;
        let names = |classes: &[Class]| {
            let scored = classes.iter().filter(|c| !c.ignore);
            scored.map(|c| c.name.clone()).collect::<Vec<_>>().join(" ")
        };
        let (theirs, ours) = (names(&known.classes), names(classes));
        if theirs != ours {
            return Err(wrong(format!(
                "has the classes {theirs}, wanted those of this run in their order: {ours}"
            )));
        }
        if (known.input.mean, known.input.std) != (config.input.mean, config.input.std) {
            return Err(wrong("was trained with another mean and std: give [input] the same".into()));
        }
        if known.config.memory > 0 {
            return Err(wrong("remembers earlier frames: take a teacher without a memory".into()));
        }
        let multiple = known.config.multiple();
        let seen = config.augment.crop.unwrap_or([config.input.width, config.input.height]);
        if seen.iter().any(|side| !side.is_multiple_of(multiple)) {
            return Err(wrong(format!(
                "needs multiples of {multiple}, found pictures of {}x{}: change augment.crop",
                seen[0], seen[1]
            )));
        }
        Ok(Self {
            net: known.net,
            lineage: known.lineage,
            weight: distill.weight,
            temperature: distill.temperature,
        })
    }

    /// What its weights come from.
    pub(super) fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The weighted divergence of scores `[n, classes, h, w]` from the teacher's for pictures `[n, 3, h, w]`, both with autodiff.
    pub(super) fn loss(&self, images: Tensor<4>, logits: Tensor<4>) -> Tensor<1> {
        let wanted = Tensor::from_inner(self.net.forward(images.inner()));
        distillation(logits, wanted, self.temperature).mul_scalar(self.weight)
    }
}
