//! `[distill]`: a trained net whose scores another one learns from.

use crate::checkpoint::Checkpoint;
use crate::config::RunConfig;
use crate::error::{Kind, fault};
use crate::exported::{Exported, is_model};
use crate::lineage::Lineage;
use crate::loss::distillation;
use crate::nets::{Net, NetConfig};
use crate::weights::Weights;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maskline_models::Class;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
    mean_and_std: ([f32; 3], [f32; 3]),
    lineage: Lineage,
}

impl Known {
    fn read(distill: &DistillConfig, device: &Device) -> Result<Self> {
        let wrong = |line: &str| fault(Kind::Config, format!("distill.teacher {} {line}", distill.teacher.display()));
        match (&distill.net, is_model(&distill.teacher)) {
            (None, false) => {
                let checkpoint = Checkpoint::read(&distill.teacher)?;
                let net = checkpoint.best_net(device)?;
                let run = checkpoint.head;
                Ok(Self {
                    net,
                    lineage: Lineage::of_run(&run.config).and(&run.lineage),
                    config: run.config.net,
                    classes: run.classes,
                    mean_and_std: (run.config.input.mean, run.config.input.std),
                })
            }
            (Some(config), true) => {
                let model = Exported::read("distill.teacher", &distill.teacher)?;
                let (lineage, input) = (model.lineage.clone(), model.contract.input.clone());
                let [head] = &model.contract.heads[..] else {
                    return Err(wrong("has several heads, wanted a model that the trainer exported"));
                };
                let classes = head.classes.clone();
                let net = config.init(classes.iter().filter(|c| !c.ignore).count(), &device.clone().autodiff());
                let (net, taken, _) = model.put_into(net, device);
                let net = net.valid(); // the normalisations of an exported model are as they are folded: it only infers
                let all = Weights::of(&net).len();
                if taken < all {
                    return Err(wrong(&format!(
                        "has {taken} of the {all} tensors of [distill.net]: give it the [net] of the configuration that trained it"
                    )));
                }
                Ok(Self {
                    net,
                    config: config.clone(),
                    classes,
                    mean_and_std: (input.mean, input.std),
                    lineage,
                })
            }
            (None, true) => Err(wrong(
                "is an exported model: give [distill.net] the [net] of the configuration that trained it",
            )),
            (Some(_), false) => Err(wrong("is a checkpoint, which knows its net: leave [distill.net] out")),
        }
    }
}

impl Teacher {
    /// Reads the net. `device` is one without autodiff: the teacher infers.
    ///
    /// # Errors
    /// If it cannot be read or does not fit the run (exit code 78).
    pub(super) fn open(distill: &DistillConfig, config: &RunConfig, classes: &[Class], device: &Device) -> Result<Self> {
        let wrong = |line: String| fault(Kind::Config, format!("distill.teacher {} {line}", distill.teacher.display()));
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
        if known.mean_and_std != (config.input.mean, config.input.std) {
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
