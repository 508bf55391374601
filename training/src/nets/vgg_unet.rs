//! A U-Net over the encoder of VGG16.

use super::gru::{ConvGru, recall};
use super::layers::Block;
use super::stem::Head;
use super::unet::{Step, decode};
use super::vgg::{Stage, Stages};
use super::watch::Watch;
use super::{NetConfig, Seen};
use crate::ops;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};

/// The five stages of VGG16 as the encoder of a U-Net, a block behind their fifth pooling, and a decoder of its own widths
/// (TernausNet, Iglovikov and Shvets 2018).
#[derive(Module, Debug)]
pub(super) struct VggUnet {
    encoder: Vec<Stage>,
    centre: Block,
    dropout: Dropout,
    pub(super) memory: Option<ConvGru>,
    /// The coarsest first.
    decoder: Vec<Step>,
    head: Head,
}

impl VggUnet {
    pub(super) fn new(config: &NetConfig, classes: usize, device: &Device) -> Self {
        let stages = Stages::of(config).expect("the configuration names a VGG");
        let (skips, widths) = (&stages.widths, &config.widths);
        let coarsest = skips.len(); // one level more than there are stages
        let step = |level: usize| Step::new(config, [widths[level + 1], skips[level], widths[level]], device);
        Self {
            encoder: stages.init(3, device),
            centre: Block::new(config, [skips[coarsest - 1], widths[coarsest]], device),
            dropout: DropoutConfig::new(config.dropout).init(),
            memory: ConvGru::of(config, device),
            decoder: (0..coarsest).rev().map(step).collect(),
            head: Head::new(config, classes, device),
        }
    }

    /// See [`super::Net::step`].
    pub(super) fn step(&self, images: Tensor<4>, state: Option<Tensor<4>>, watch: &mut dyn Watch) -> Seen {
        let mut x = images;
        let mut skips = Vec::new();
        for (level, stage) in self.encoder.iter().enumerate() {
            let features = watch.features(&format!("encoder.{level}"), stage.forward(x));
            skips.push(features.clone());
            x = ops::max_pool2x2(features);
        }
        let x = watch.features("centre", self.centre.forward(x));
        let x = self.dropout.forward(x); // [n, c, h/32, w/32]
        let (x, next) = recall(self.memory.as_ref(), x, state);
        Seen {
            scores: self.head.forward(decode(&self.decoder, x, skips, watch)),
            auxiliary: None,
            state: next,
        }
    }
}
