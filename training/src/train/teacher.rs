//! `[distill]`: a trained net whose scores another one learns from.

use crate::checkpoint::Checkpoint;
use crate::config::RunConfig;
use crate::error::{Kind, fault};
use crate::loss::distillation;
use crate::nets::Net;
use anyhow::Result;
use burn::tensor::{Device, Tensor};
use maskline_models::Class;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[distill]` of a training configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistillConfig {
    /// A checkpoint of ours with the same classes; any net.
    pub teacher: PathBuf,
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
    weight: f32,
    temperature: f32,
}

impl Teacher {
    /// Reads the checkpoint. `device` is one without autodiff: the teacher infers.
    ///
    /// # Errors
    /// If it cannot be read or does not fit the run (exit code 78).
    pub(super) fn open(distill: &DistillConfig, config: &RunConfig, classes: &[Class], device: &Device) -> Result<Self> {
        let checkpoint = Checkpoint::read(&distill.teacher)?;
        let wrong = |line: String| fault(Kind::Config, format!("distill.teacher {} {line}", distill.teacher.display()));
        let names = |classes: &[Class]| {
            let scored = classes.iter().filter(|c| !c.ignore);
            scored.map(|c| c.name.clone()).collect::<Vec<_>>().join(" ")
        };
        let (theirs, ours) = (names(&checkpoint.head.classes), names(classes));
        if theirs != ours {
            return Err(wrong(format!(
                "has the classes {theirs}, wanted those of this run in their order: {ours}"
            )));
        }
        let (theirs, ours) = (&checkpoint.head.config.input, &config.input);
        if (theirs.mean, theirs.std) != (ours.mean, ours.std) {
            return Err(wrong("was trained with another mean and std: give [input] the same".into()));
        }
        if checkpoint.head.config.net.memory > 0 {
            return Err(wrong("remembers earlier frames: take a teacher without a memory".into()));
        }
        let multiple = checkpoint.head.config.net.multiple();
        let seen = config.augment.crop.unwrap_or([ours.width, ours.height]);
        if seen.iter().any(|side| !side.is_multiple_of(multiple)) {
            return Err(wrong(format!(
                "needs multiples of {multiple}, found pictures of {}x{}: change augment.crop",
                seen[0], seen[1]
            )));
        }
        Ok(Self {
            net: checkpoint.best_net(device)?,
            weight: distill.weight,
            temperature: distill.temperature,
        })
    }

    /// The weighted divergence of scores `[n, classes, h, w]` from the teacher's for pictures `[n, 3, h, w]`, both with autodiff.
    pub(super) fn loss(&self, images: Tensor<4>, logits: Tensor<4>) -> Tensor<1> {
        let wanted = Tensor::from_inner(self.net.forward(images.inner()));
        distillation(logits, wanted, self.temperature).mul_scalar(self.weight)
    }
}
