//! A small transformer for CPUs: convolutions where the picture is large, self-attention where it is small, and a decoder of
//! layers that look at one place each.

use super::attention::SelfAttention;
use super::gru::{ConvGru, recall};
use super::layers::{Activation, Conv, Depthwise, Residual, Unit, Up};
use super::stem::{Head, space_to_depth};
use super::watch::Watch;
use super::{NetConfig, Seen};
use crate::ops;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// Hidden channels of a [`MixFfn`] for each channel that goes in.
pub(super) const EXPANSION: usize = 4;

/// SegFormer (Xie et al. 2021) in the size of an edge CPU. Its finest levels are residual convolutions, as attention pays off where
/// there are few places; keys and values of all levels have the coarsest one's resolution, as there; its GELU is a ReLU, which
/// CPUs compute many times as fast (as in TopFormer, Zhang et al. 2022). The decoder brings all levels to the finest one's width
/// and adds them up.
#[derive(Module, Debug)]
pub(super) struct Segformer {
    encoder: Vec<Level>,
    dropout: Dropout,
    pub(super) memory: Option<ConvGru>,
    /// From the coarsest level to the decoder's width.
    coarsest: Conv,
    /// The coarsest first.
    decoder: Vec<Step>,
    head: Head,
    stem_stride: usize,
}

/// One level of the encoder: a convolution, then blocks of one kind.
#[derive(Module, Debug)]
struct Level {
    first: Unit,
    blocks: Vec<Residual>,
    transformers: Vec<Transformer>,
}

/// One level of the decoder: what came so far doubled, and the encoder's level.
#[derive(Module, Debug)]
struct Step {
    up: Up,
    lateral: Conv,
    activation: Activation,
}

/// Self-attention, then a [`MixFfn`], each with a residual connection.
#[derive(Module, Debug)]
struct Transformer {
    attention: SelfAttention,
    mix: MixFfn,
}

/// Two layers on each place with a depthwise 3x3 convolution between them. Its zero padding tells positions apart, so that no
/// position codes tie the net to a size (Xie et al. 2021, eq. 3).
#[derive(Module, Debug)]
struct MixFfn {
    norm: LayerNorm,
    expand: Conv,
    depthwise: Depthwise,
    project: Conv,
}

impl Segformer {
    pub(super) fn new(config: &NetConfig, classes: usize, device: &Device) -> Self {
        let widths = &config.widths;
        let last = widths.len() - 1;
        let (width, pixels) = (widths[0], 3 * config.stem_stride * config.stem_stride);
        let level = |number: usize| {
            let (input, output) = (if number == 0 { pixels } else { widths[number - 1] }, widths[number]);
            let attends = config.attends(number);
            let [blocks, transformers] = if attends {
                [0, config.depths[number]]
            } else {
                [config.depths[number], 0]
            };
            Level {
                first: Unit::new(config, [input, output], device),
                blocks: (0..blocks).map(|_| Residual::new(config, output, device)).collect(),
                transformers: (0..transformers)
                    .map(|_| Transformer::new(output, output / config.head_width(), 1 << (last - number), device))
                    .collect(),
            }
        };
        let step = |channels: &usize| Step {
            up: Up::new([width; 2], 1.0, device),
            lateral: Conv::new([*channels, width], 1, 1.0, false, device), // the other's bias is enough for the sum
            activation: Activation::new(config.normalisation, width, device),
        };
        Self {
            encoder: (0..=last).map(level).collect(),
            dropout: DropoutConfig::new(config.dropout).init(),
            memory: ConvGru::of(config, device),
            coarsest: Conv::new([widths[last], width], 1, 1.0, true, device),
            decoder: widths[..last].iter().rev().map(step).collect(),
            head: Head::new(config, classes, device),
            stem_stride: config.stem_stride,
        }
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
            for (block, transformer) in level.transformers.iter().enumerate() {
                x = transformer.attention.forward(x, &format!("encoder.{number}.{block}"), watch);
                x = transformer.mix.forward(x);
            }
            x = watch.features(&format!("encoder.{number}"), x);
        }
        let (x, next) = recall(self.memory.as_ref(), self.dropout.forward(x), state);
        let mut x = self.coarsest.forward(x);
        for (number, (step, skip)) in self.decoder.iter().zip(skips.into_iter().rev()).enumerate() {
            x = step.activation.forward_add(step.lateral.forward(skip), step.up.forward(x));
            x = watch.features(&format!("decoder.{number}"), x);
        }
        Seen {
            scores: self.head.forward(x),
            auxiliary: None,
            state: next,
        }
    }
}

impl Transformer {
    fn new(channels: usize, heads: usize, reduction: usize, device: &Device) -> Self {
        Self {
            attention: SelfAttention::new(channels, heads, reduction, device),
            mix: MixFfn {
                norm: LayerNormConfig::new(channels).init(device),
                expand: Conv::new([channels, EXPANSION * channels], 1, 1.0, true, device),
                depthwise: Depthwise::new(EXPANSION * channels, device),
                project: Conv::new([EXPANSION * channels, channels], 1, 1.0, true, device),
            },
        }
    }
}

impl MixFfn {
    /// `[n, c, h, w]` to the same
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        let tokens = self.norm.forward(x.clone().reshape([n, c, h * w]).swap_dims(1, 2)); // [n, hw, c]
        let hidden = self.expand.forward(tokens.swap_dims(1, 2).reshape([n, c, h, w]));
        x + self.project.forward(relu(self.depthwise.forward(hidden)))
    }
}
