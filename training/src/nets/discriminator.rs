//! The net that tells true class maps from predicted ones, for adversarial training.

use super::layers::Conv;
use crate::ops;
use burn::module::Module;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Tensor};

/// Judges class maps beside their picture (Luc et al. 2016), region by region: each level is a 3x3 convolution, a leaky ReLU and 2x2
/// pooling, without normalisation, so that one true and one predicted map never share statistics.
#[derive(Module, Debug)]
pub struct Discriminator {
    levels: Vec<Conv>,
    judgement: Conv,
}

const LEAK: f64 = 0.2; // Radford et al. 2015

impl Discriminator {
    /// With random weights, for that many classes; `widths` are the channels of its levels.
    pub fn new(classes: usize, widths: &[usize], device: &Device) -> Self {
        let inputs = std::iter::once(3 + classes).chain(widths.iter().copied());
        let level = |(input, output): (usize, &usize)| Conv::new([input, *output], 3, 2.0, true, device);
        let last = widths.last().map_or(3 + classes, |w| *w);
        Self {
            levels: inputs.zip(widths).map(level).collect(),
            judgement: Conv::new([last, 1], 1, 1.0, true, device),
        }
    }

    /// How true each region of class maps `[n, classes, h, w]` of pictures `[n, 3, h, w]` looks, as a logit: `[n, 1, h/k, w/k]`, where
    /// k doubles with every level and divides both sides.
    pub fn forward(&self, images: Tensor<4>, maps: Tensor<4>) -> Tensor<4> {
        let mut x = Tensor::cat(vec![images, maps], 1);
        for conv in &self.levels {
            x = ops::max_pool2x2(leaky_relu(conv.forward(x), LEAK));
        }
        self.judgement.forward(x)
    }
}
