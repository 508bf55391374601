//! The U-Net, with or without attention.

use super::attention::{Gate, SelfAttention};
use super::gru::{ConvGru, recall};
use super::layers::{Block, Up};
use super::stem::{Head, space_to_depth};
use super::watch::Watch;
use super::{Kind, NetConfig, Seen};
use crate::ops;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};

/// A U-Net (Ronneberger et al. 2015), with or without attention.
#[derive(Module, Debug)]
pub(super) struct Unet {
    encoder: Vec<Block>,
    attention: Option<SelfAttention>,
    dropout: Dropout,
    pub(super) memory: Option<ConvGru>,
    /// The coarsest first.
    decoder: Vec<Step>,
    head: Head,
    stem_stride: usize,
}

/// One level of the decoder.
#[derive(Module, Debug)]
pub(super) struct Step {
    up: Up,
    gate: Option<Gate>,
    block: Block,
}

impl Step {
    /// From the `coarse` channels of the level below and the `skip` channels of the encoder to `fine` ones.
    pub(super) fn new(config: &NetConfig, [coarse, skip, fine]: [usize; 3], device: &Device) -> Self {
        Self {
            up: Up::new([coarse, fine], 1.0, device),
            gate: (config.kind == Kind::AttentionUnet).then(|| Gate::new(fine, device)),
            block: Block::new(config, [skip + fine, fine], device),
        }
    }
}

/// Goes up from the coarsest level with what the encoder kept, the finest first.
pub(super) fn decode(steps: &[Step], mut x: Tensor<4>, skips: Vec<Tensor<4>>, watch: &mut dyn Watch) -> Tensor<4> {
    for (number, (step, skip)) in steps.iter().zip(skips.into_iter().rev()).enumerate() {
        x = step.up.forward(x);
        let skip = match &step.gate {
            Some(gate) => gate.forward(skip, x.clone(), &format!("decoder.{number}.gate"), watch),
            None => skip,
        };
        x = step.block.forward(Tensor::cat(vec![skip, x], 1));
        x = watch.features(&format!("decoder.{number}"), x);
    }
    x
}

impl Unet {
    pub(super) fn new(config: &NetConfig, classes: usize, device: &Device) -> Self {
        let widths = &config.widths;
        let pixels = 3 * config.stem_stride * config.stem_stride;
        let inputs = std::iter::once(&pixels).chain(widths);
        let step = |pair: &[usize]| Step::new(config, [pair[1], pair[0], pair[0]], device);
        Self {
            encoder: inputs.zip(widths).map(|(i, o)| Block::new(config, [*i, *o], device)).collect(),
            attention: (config.heads > 0).then(|| SelfAttention::new(widths[widths.len() - 1], config.heads, 1, device)),
            dropout: DropoutConfig::new(config.dropout).init(),
            memory: ConvGru::of(config, device),
            decoder: widths.windows(2).rev().map(step).collect(),
            head: Head::new(config, classes, device),
            stem_stride: config.stem_stride,
        }
    }

    /// See [`super::Net::step`].
    pub(super) fn step(&self, images: Tensor<4>, state: Option<Tensor<4>>, watch: &mut dyn Watch) -> Seen {
        let mut x = space_to_depth(images, self.stem_stride); // [n, 3ss, h/s, w/s]
        let mut skips = Vec::new();
        for (level, block) in self.encoder.iter().enumerate() {
            if level > 0 {
                skips.push(x.clone());
                x = ops::max_pool2x2(x);
            }
            x = watch.features(&format!("encoder.{level}"), block.forward(x));
        }
        if let Some(attention) = &self.attention {
            x = attention.forward(x, "attention", watch);
            x = watch.features("attention", x);
        }
        let (x, next) = recall(self.memory.as_ref(), self.dropout.forward(x), state);
        Seen {
            scores: self.head.forward(decode(&self.decoder, x, skips, watch)),
            auxiliary: None,
            state: next,
        }
    }
}
