//! The U-Net, with or without attention.

use super::attention::{Gate, SelfAttention};
use super::gru::ConvGru;
use super::layers::{Block, Up};
use super::stem::{Head, space_to_depth};
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
    memory: Option<ConvGru>,
    /// The coarsest first.
    decoder: Vec<Step>,
    head: Head,
    stem_stride: usize,
}

/// One level of the decoder.
#[derive(Module, Debug)]
struct Step {
    up: Up,
    gate: Option<Gate>,
    block: Block,
}

impl Unet {
    pub(super) fn new(config: &NetConfig, classes: usize, device: &Device) -> Self {
        let widths = &config.widths;
        let pixels = 3 * config.stem_stride * config.stem_stride;
        let inputs = std::iter::once(&pixels).chain(widths);
        let step = |pair: &[usize]| Step {
            up: Up::new([pair[1], pair[0]], 1.0, device),
            gate: (config.kind == Kind::AttentionUnet).then(|| Gate::new(pair[0], device)),
            block: Block::new(config, [2 * pair[0], pair[0]], device),
        };
        Self {
            encoder: inputs.zip(widths).map(|(i, o)| Block::new(config, [*i, *o], device)).collect(),
            attention: (config.heads > 0).then(|| SelfAttention::new(widths[widths.len() - 1], config.heads, device)),
            dropout: DropoutConfig::new(config.dropout).init(),
            memory: (config.memory > 0).then(|| ConvGru::new(widths[widths.len() - 1], config.memory, device)),
            decoder: widths.windows(2).rev().map(step).collect(),
            head: Head::new(config, classes, device),
            stem_stride: config.stem_stride,
        }
    }

    /// See [`super::Net::remembers`].
    pub(super) fn remembers(&self) -> bool {
        self.memory.is_some()
    }

    /// See [`super::Net::step`].
    pub(super) fn step(&self, images: Tensor<4>, state: Option<Tensor<4>>) -> Seen {
        let mut x = space_to_depth(images, self.stem_stride); // [n, 3ss, h/s, w/s]
        let mut skips = Vec::new();
        for (level, block) in self.encoder.iter().enumerate() {
            if level > 0 {
                skips.push(x.clone());
                x = ops::max_pool2x2(x);
            }
            x = block.forward(x);
        }
        if let Some(attention) = &self.attention {
            x = attention.forward(x);
        }
        x = self.dropout.forward(x);
        let mut next = None;
        if let Some(memory) = &self.memory {
            let (features, state) = memory.forward(x, state);
            (x, next) = (features, Some(state));
        }
        for (step, skip) in self.decoder.iter().zip(skips.into_iter().rev()) {
            x = step.up.forward(x);
            let skip = match &step.gate {
                Some(gate) => gate.forward(skip, x.clone()),
                None => skip,
            };
            x = step.block.forward(Tensor::cat(vec![skip, x], 1));
        }
        Seen {
            scores: self.head.forward(x),
            auxiliary: None,
            state: next,
        }
    }
}
