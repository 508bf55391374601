//! `[adversarial]`: a second net learns to tell true class maps from predicted ones, and the first one to pass for true.

use crate::checkpoint::Checkpoint;
use crate::metrics::IGNORE;
use crate::nets::Discriminator;
use crate::optimizer::OptimizerConfig;
use anyhow::Result;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

/// `[adversarial]` of a training configuration (Luc et al. 2016).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdversarialConfig {
    /// Weight of the loss of not passing for true, beside the others.
    pub weight: f32,
    /// Full learning rate of the discriminator, which follows the schedule of the run.
    pub rate: f64,
    /// Channels of its levels; each halves the resolution.
    pub widths: Vec<usize>,
}

impl Default for AdversarialConfig {
    fn default() -> Self {
        Self {
            weight: 0.1,
            rate: 1e-4,
            widths: vec![16, 32, 64],
        }
    }
}

impl AdversarialConfig {
    /// Key, found and wanted of every value that is out of range.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut list = Vec::new();
        if !(self.weight > 0.0 && self.weight.is_finite()) {
            list.push(("weight", self.weight.to_string(), "more than 0"));
        }
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            list.push(("rate", self.rate.to_string(), "more than 0"));
        }
        if !(1..=6).contains(&self.widths.len()) || self.widths.iter().any(|w| !(1..=1024).contains(w)) {
            list.push(("widths", format!("{:?}", self.widths), "1 to 6 levels of 1 to 1024 channels"));
        }
        list
    }

    /// Both sides of what the nets see must be multiples of this.
    pub fn multiple(&self) -> u32 {
        1 << self.widths.len()
    }

    /// AdamW with the short memory that adversarial nets need (Radford et al. 2015), without decay.
    fn optimizer(&self, discriminator: &Discriminator) -> ModuleOptimizer {
        let config = OptimizerConfig {
            momentum: 0.5,
            weight_decay: 0.0,
            ..OptimizerConfig::default()
        };
        config.init(discriminator)
    }
}

/// The discriminator while it learns.
pub(super) struct Adversary {
    config: AdversarialConfig,
    pub(super) discriminator: Discriminator,
    pub(super) optimizer: ModuleOptimizer,
    gradients: GradientsAccumulator<Discriminator>,
}

impl Adversary {
    /// A new one, or that of a checkpoint. `device` is one with autodiff.
    ///
    /// # Errors
    /// If the checkpoint's does not fit (exit code 78).
    pub(super) fn new(config: &AdversarialConfig, classes: usize, checkpoint: Option<&Checkpoint>, device: &Device) -> Result<Self> {
        let mut discriminator = Discriminator::new(classes, &config.widths, device);
        // Draws its weights, which burn does when they are first read: before that, a copy without gradients takes them from all.
        let _ = discriminator.valid();
        let mut optimizer = config.optimizer(&discriminator);
        if let Some(checkpoint) = checkpoint {
            (discriminator, optimizer) = checkpoint.adversary(discriminator, |d| config.optimizer(d))?;
        }
        Ok(Self {
            config: config.clone(),
            discriminator,
            optimizer,
            gradients: GradientsAccumulator::new(),
        })
    }

    /// The weighted loss of predicted maps `[n, classes, h, w]` of pictures `[n, 3, h, w]` that do not pass for true: minus the
    /// logarithm of how true they look. Its gradients reach the maps and not the discriminator.
    pub(super) fn fool(&self, images: Tensor<4>, maps: Tensor<4>) -> Tensor<1> {
        let judge = self.discriminator.clone().no_grad();
        let looks = judge.forward(images, maps);
        softplus(looks.neg(), 1.0).mean().mul_scalar(self.config.weight)
    }

    /// Adds what there is to learn from true and predicted maps, `share` times, to the next step; `maps` carry no gradient.
    pub(super) fn study(&mut self, images: Tensor<4>, truth: Tensor<4>, maps: Tensor<4>, share: f32) {
        let real = softplus(self.discriminator.forward(images.clone(), truth).neg(), 1.0).mean();
        let fake = softplus(self.discriminator.forward(images, maps), 1.0).mean();
        let loss = (real + fake).mul_scalar(0.5 * share);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.discriminator);
        self.gradients.accumulate(&self.discriminator, gradients);
    }

    /// One step of the discriminator with what was studied, at that share of its full rate.
    pub(super) fn step(&mut self, share: f64) {
        let rate = self.config.rate * share;
        self.discriminator = self.optimizer.step(rate, self.discriminator.clone(), self.gradients.grads());
    }
}

/// Class maps `[n, classes, h, w]` of labels `[n, h, w]`: 1 for the class of the pixel, else 0; all 0 where it is ignored.
pub(super) fn one_hot(labels: Tensor<3, Int>, classes: usize) -> Tensor<4> {
    let [n, h, w] = labels.dims();
    let numbers: Tensor<4, Int> = Tensor::<1, Int>::arange(0..classes as i64, &labels.device()).reshape([1, classes, 1, 1]);
    numbers.equal(labels.reshape([n, 1, h, w])).float()
}

/// 1 where labels `[n, h, w]` say something and 0 where they are ignored, `[n, 1, h, w]`.
pub(super) fn labelled(labels: Tensor<3, Int>) -> Tensor<4> {
    let [n, h, w] = labels.dims();
    labels.not_equal_elem(i64::from(IGNORE)).float().reshape([n, 1, h, w])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use burn::tensor::activation::softmax;

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn one_hot_maps_have_a_one_at_the_class_and_none_where_ignored() {
        let device = Device::flex().autodiff();
        let labels = Tensor::<3, Int>::from_data(TensorData::new(vec![1, 255, 0, 2], [2, 1, 2]), &device);
        assert_eq!(
            values(one_hot(labels.clone(), 3)),
            [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
        );
        assert_eq!(values(labelled(labels)), [1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn the_discriminator_learns_to_tell_maps_apart_and_scores_that_follow_it_pass_for_true() {
        let device = Device::flex().autodiff();
        device.seed(5);
        let config = AdversarialConfig {
            weight: 1.0,
            rate: 1e-2,
            widths: vec![6, 8],
        };
        let mut adversary = Adversary::new(&config, 2, None, &device).unwrap();
        let images = Tensor::<4>::zeros([2, 3, 8, 8], &device);
        let labels: Vec<i32> = (0..128).map(|i| i32::from(i % 8 < 4)).collect(); // true maps: a left and a right half
        let truth = one_hot(Tensor::from_data(TensorData::new(labels, [2, 8, 8]), &device), 2);
        let mut scores = Tensor::<4>::zeros([2, 2, 8, 8], &device); // undecided everywhere
        let loss = |adversary: &Adversary, scores: &Tensor<4>| {
            let loss = adversary.fool(images.clone(), softmax(scores.clone(), 1));
            f64::from(loss.into_scalar::<f32>())
        };
        let before = loss(&adversary, &scores);
        for _ in 0..60 {
            adversary.study(images.clone(), truth.clone(), softmax(scores.clone(), 1), 1.0);
            adversary.step(1.0);
        }
        let found_out = loss(&adversary, &scores);
        assert!(found_out > before + 1.0, "{before} {found_out}");
        for _ in 0..60 {
            let leaf = scores.clone().require_grad();
            let mut grads = adversary.fool(images.clone(), softmax(leaf.clone(), 1)).backward();
            let slope = Tensor::from_inner(leaf.grad_remove(&mut grads).unwrap());
            scores = (scores - slope.mul_scalar(20.0)).detach();
        }
        let passed = loss(&adversary, &scores);
        assert!(passed < found_out - 1.0, "{found_out} {passed}");
    }
}
