//! `train CONFIG.toml`: what to train, on what and how. Unknown keys are refused and all problems are reported at once, which
//! is why the types do not say `deny_unknown_fields` (that stops at the first): [`RunConfig::parse`] collects them.

mod check;
mod data;
mod problems;

use crate::augment::Augment;
use crate::defaults::is_default;
use crate::freeze::FreezeConfig;
use crate::loss::LossConfig;
use crate::nets::{Net, NetConfig};
use crate::ops::Precision;
use crate::optimizer::OptimizerConfig;
use crate::pretrained::PretrainedConfig;
use crate::schedule::Schedule;
use crate::train::{AdversarialConfig, DistillConfig};
use burn::tensor::Device;
pub use data::{DataConfig, DataKind, Ids};
use maskline_models::Class;
use maskline_models::contract::{Channels, Input, InputType, Layout, Resize, Size};
use problems::Problems;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A training configuration. Paths in it are relative to the folder that the program is started in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The model's name, e.g. `unet-road`.
    pub name: String,
    /// One sentence for people, kept in the exported model.
    #[serde(default)]
    pub description: String,
    /// Licence of the weights, kept in the exported model.
    #[serde(default)]
    pub licence: String,
    /// Decides the first weights, the order of the pictures and every augmentation.
    #[serde(default = "one")]
    pub seed: u64,
    /// A classes TOML; the 11 driving classes where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<PathBuf>,
    /// A checkpoint, an ONNX file or `builtin:NAME` whose tensors are taken wherever path and shape agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// The net.
    pub net: NetConfig,
    /// Weights of its encoder from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PretrainedConfig>,
    /// Parts of it that do not learn at first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<FreezeConfig>,
    /// What the net sees.
    #[serde(default)]
    pub input: InputConfig,
    /// Pictures to learn from.
    pub data: Vec<DataConfig>,
    /// Pictures to measure on.
    #[serde(default)]
    pub validation: Vec<DataConfig>,
    /// When to measure.
    #[serde(default)]
    pub validate: ValidateConfig,
    /// Changes of the pictures while learning.
    #[serde(default)]
    pub augment: Augment,
    /// What is minimised.
    #[serde(default)]
    pub loss: LossConfig,
    /// How it is minimised.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The learning rate over the run.
    #[serde(default)]
    pub schedule: Schedule,
    /// Length and batch.
    pub train: TrainConfig,
    /// A discriminator that the net has to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adversarial: Option<AdversarialConfig>,
    /// A trained net to learn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<DistillConfig>,
}

/// `[input]`: the size that the model is made for, and its normalisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputConfig {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Mean of each channel, RGB, of pixels scaled to 0-1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
}

impl InputConfig {
    /// The contract's input section for a net whose pictures have sides that are multiples of `of`.
    pub fn contract_input(&self, of: u32) -> Input {
        Input {
            tensor: "image".into(),
            layout: Layout::Nchw,
            channels: Channels::Rgb,
            dtype: InputType::F32,
            size: Size::Multiple {
                of,
                width: self.width,
                height: self.height,
            },
            resize: Resize::Stretch,
            scale: 1.0 / 255.0,
            mean: self.mean,
            std: self.std,
        }
    }
}

impl Default for InputConfig {
    fn default() -> Self {
        // The statistics of ImageNet, which every toolkit knows.
        Self {
            width: 480,
            height: 352,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

/// `[validate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValidateConfig {
    /// Measure after every n-th epoch, and after the last one.
    pub every_epochs: u32,
    /// Measure on so many of the pictures that are learned from too.
    pub training_pictures: usize,
}

impl Default for ValidateConfig {
    fn default() -> Self {
        Self {
            every_epochs: 1,
            training_pictures: 32,
        }
    }
}

/// `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Number of epochs.
    pub epochs: u32,
    /// Pictures in a batch.
    pub batch: usize,
    /// Batches in a step, whose gradients are added up.
    #[serde(default = "one_usize", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Ends the run after so many validations in a row without a better mIoU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Ends earlier, with the learning rate following the clock where it runs ahead of the epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_minutes: Option<f64>,
    /// A checkpoint at least this often, besides the one after each epoch.
    #[serde(default = "ten")]
    pub checkpoint_minutes: f64,
    /// Threads that prepare pictures.
    #[serde(default = "one_usize")]
    pub loaders: usize,
    /// What convolutions multiply.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// Frames of each sequence that a net with a memory learns from; 1 for single pictures.
    #[serde(default = "one_usize", skip_serializing_if = "is_one")]
    pub sequence: usize,
}

fn is_one(value: &usize) -> bool {
    *value == 1
}
fn one() -> u64 {
    1
}
fn one_usize() -> usize {
    1
}
fn ten() -> f64 {
    10.0
}

impl RunConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// All problems, one a line, each with its line and column where it has one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut problems = Problems::new(text);
        let config: Option<Self> = problems.read();
        if let Some(config) = &config {
            config.check(&mut problems);
        }
        match (config, problems.into_text()) {
            (Some(config), None) => Ok(config),
            (_, text) => Err(text.unwrap_or_else(|| "not a training configuration".into())),
        }
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration holds only tables, lists, strings and numbers")
    }

    /// The class list.
    ///
    /// # Errors
    /// One line, if the file cannot be read or is not a class list.
    pub fn read_classes(&self) -> Result<Vec<Class>, String> {
        read_classes(self.classes.as_deref())
    }

    /// The contract's input section for this net.
    pub fn contract_input(&self) -> Input {
        self.input.contract_input(self.net.multiple())
    }

    /// A new net for this run: with a head for auxiliary scores where the loss has a weight for them.
    pub fn init_net(&self, classes: usize, device: &Device) -> Net {
        if self.loss.auxiliary > 0.0 {
            self.net.init_with_auxiliary(classes, device)
        } else {
            self.net.init(classes, device)
        }
    }
}

/// Reads a classes TOML, or gives the driving classes.
///
/// # Errors
/// One line, if the file cannot be read or is not a class list.
pub fn read_classes(path: Option<&Path>) -> Result<Vec<Class>, String> {
    let Some(path) = path else {
        return Ok(maskline_models::classes::driving_classes());
    };
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read the classes {}: {e}", path.display()))?;
    maskline_models::classes::parse_classes(&text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests;
