//! A feature pyramid net for edge CPUs: a residual encoder, a look at the whole picture, and a decoder that adds.

use super::gru::{ConvGru, recall};
use super::layers::{Activation, Conv, Residual, Unit, Up};
use super::stem::{Head, space_to_depth};
use super::watch::Watch;
use super::{NetConfig, Seen};
use crate::ops;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Device, Tensor};

/// A residual encoder (He et al. 2016) whose levels a top-down path takes up through 1x1 convolutions and sums (Lin et al. 2017,
/// as used by SwiftNet, Orsic et al. 2019), with the mean of the coarsest level as global context (Liu et al. 2015). A sum has
/// half the channels of the U-Net's concatenation, and its residual blocks fuse to two operators in ONNX Runtime.
#[derive(Module, Debug)]
pub(super) struct Fpn {
    encoder: Vec<Level>,
    context: Conv,
    dropout: Dropout,
    pub(super) memory: Option<ConvGru>,
    /// The coarsest first.
    decoder: Vec<Step>,
    head: Head,
    /// Scores of the second decoder step, for training only.
    auxiliary: Option<Conv>,
    stem_stride: usize,
}

/// One level of the encoder.
#[derive(Module, Debug)]
struct Level {
    first: Unit,
    blocks: Vec<Residual>,
}

/// One level of the decoder.
#[derive(Module, Debug)]
struct Step {
    up: Up,
    lateral: Conv,
    activation: Activation,
    blend: Unit,
}

impl Fpn {
    pub(super) fn new(config: &NetConfig, classes: usize, device: &Device) -> Self {
        let widths = &config.widths;
        let deepest = widths[widths.len() - 1];
        let pixels = 3 * config.stem_stride * config.stem_stride;
        let inputs = std::iter::once(&pixels).chain(widths);
        let all = config.depths.iter().sum();
        let mut block = 0;
        let mut residual = |channels| {
            block += 1;
            Residual::new(config, channels, device).at_depth(config, block, all)
        };
        let level = |((input, output), depth): ((&usize, &usize), &usize)| Level {
            first: Unit::new(config, [*input, *output], device),
            blocks: (0..*depth).map(|_| residual(*output)).collect(),
        };
        let step = |pair: &[usize]| Step {
            up: Up::new([pair[1], pair[0]], 1.0, device),
            lateral: Conv::new([pair[0]; 2], 1, 1.0, false, device), // the other's bias is enough for the sum
            activation: Activation::new(config.normalisation, pair[0], device),
            blend: Unit::new(config, [pair[0]; 2], device),
        };
        Self {
            encoder: inputs.zip(widths).zip(&config.depths).map(level).collect(),
            context: Conv::new([deepest; 2], 1, 1.0, true, device),
            dropout: DropoutConfig::new(config.dropout).init(),
            memory: ConvGru::of(config, device),
            decoder: widths.windows(2).rev().map(step).collect(),
            head: Head::new(config, classes, device),
            auxiliary: None,
            stem_stride: config.stem_stride,
        }
    }

    /// The same net with a head for auxiliary scores.
    pub(super) fn with_auxiliary(mut self, config: &NetConfig, classes: usize, device: &Device) -> Self {
        let step = auxiliary_step(self.decoder.len());
        let features = config.widths[self.decoder.len() - 1 - step];
        self.auxiliary = Some(Conv::new([features, classes], 1, 1.0, true, device));
        self
    }

    /// See [`super::Net::step`].
    pub(super) fn step(&self, images: Tensor<4>, state: Option<Tensor<4>>, watch: &mut dyn Watch) -> Seen {
        let mut x = space_to_depth(images, self.stem_stride); // [n, 3ss, h/s, w/s]
        let mut skips = Vec::new();
        for (number, level) in self.encoder.iter().enumerate() {
            if number > 0 {
                skips.push(x.clone());
                x = ops::max_pool2x2(x);
            }
            x = level.first.forward(x);
            for block in &level.blocks {
                x = block.forward(x);
            }
            x = watch.features(&format!("encoder.{number}"), x);
        }
        let mean = adaptive_avg_pool2d(x.clone(), [1, 1]); // [n, c, 1, 1]
        let x = self.dropout.forward(x + self.context.forward(mean));
        let (mut x, next) = recall(self.memory.as_ref(), x, state);
        let mut coarse = x.clone();
        for (number, (step, skip)) in self.decoder.iter().zip(skips.into_iter().rev()).enumerate() {
            let sum = step.activation.forward_add(step.lateral.forward(skip), step.up.forward(x));
            x = watch.features(&format!("decoder.{number}"), step.blend.forward(sum));
            if number == auxiliary_step(self.decoder.len()) {
                coarse = x.clone();
            }
        }
        Seen {
            scores: self.head.forward(x),
            auxiliary: self.auxiliary.as_ref().map(|head| head.forward(coarse)),
            state: next,
        }
    }
}

/// The decoder step that the auxiliary head reads: the second, 1/8 of the picture's resolution in a net of five levels behind a stem
/// of 2.
fn auxiliary_step(steps: usize) -> usize {
    1.min(steps - 1)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, NetConfig};
    use crate::weights::Weights;
    use burn::module::Module;
    use burn::tensor::{Device, Distribution, Tensor};
    use std::collections::BTreeSet;

    #[test]
    fn blocks_are_missing_at_times_in_training_and_never_after_it() {
        let plain = Device::flex();
        let config = NetConfig {
            widths: vec![4, 6],
            depths: vec![0, 2],
            stochastic_depth: 0.6,
            ..NetConfig::new(Kind::Fpn)
        };
        let net = config.init(3, &plain.clone().autodiff());
        let whole = NetConfig {
            stochastic_depth: 0.0,
            ..config
        };
        let whole = whole.init(3, &plain);
        let (whole, taken) = Weights::of(&net.valid()).put_into(whole);
        assert_eq!(taken, Weights::of(&whole).len());
        let images = Tensor::<4>::random([1, 3, 8, 8], Distribution::Normal(0.0, 1.0), &plain);
        let bits = |x: Tensor<4>| x.into_data().iter::<f32>().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(net.valid().forward(images.clone())), bits(whole.forward(images.clone())));

        // Either block there or not, the second with 0.4: of four ways, drawn anew for each pass and again the same for one seed.
        let pass = |seed: u64| {
            let device = plain.clone().autodiff();
            device.seed(seed);
            bits(net.forward(Tensor::from_inner(images.clone())))
        };
        let ways: BTreeSet<Vec<u32>> = (0..40).map(pass).collect();
        assert_eq!(ways.len(), 4);
        assert_eq!(pass(7), pass(7));
    }
}
