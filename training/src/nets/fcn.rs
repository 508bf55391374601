//! The fully convolutional net FCN-8s.

use super::gru::{ConvGru, recall};
use super::layers::Conv;
use super::stem::space_to_depth;
use super::vgg::{Stage, Stages};
use super::watch::Watch;
use super::{NetConfig, Seen};
use crate::ops;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};

/// FCN-8s (Long et al. 2015): a VGG encoder whose last three poolings are scored by 1x1 convolutions; coarser scores are resized
/// to the finer ones and added to them, and the sum is resized to the picture. With five poolings the strides are 8, 16 and 32.
///
/// Two things differ from the paper. Scores are resized bilinearly, which is what its transposed convolutions begin with. And the
/// convolutions behind the last pooling, its fc6 and fc7, are 3x3 and as wide as the last of the widths: the originals have 4096
/// channels and 119 million parameters, seven eighths of the net, made for the thousand classes of ImageNet.
#[derive(Module, Debug)]
pub(super) struct Fcn {
    encoder: Vec<Stage>,
    centre: Stage,
    dropout: Dropout,
    pub(super) memory: Option<ConvGru>,
    /// The coarsest first.
    scores: Vec<Conv>,
    stem_stride: usize,
}

/// How many levels are scored.
pub(super) const SCORED: usize = 3;

impl Fcn {
    pub(super) fn new(config: &NetConfig, classes: usize, device: &Device) -> Self {
        let stages = Stages::of(config).expect("an FCN has the encoder of a VGG");
        let widths = &config.widths;
        let last = widths.len() - 1;
        // the centre stands for the last pooling; of the others the last two are scored
        let scored = std::iter::once(widths[last]).chain(widths[..last - 1].iter().rev().copied());
        Self {
            encoder: stages.init(3 * config.stem_stride * config.stem_stride, device),
            centre: Stage::new(config, [widths[last - 1], widths[last]], config.depths[last], device),
            dropout: DropoutConfig::new(config.dropout).init(),
            memory: ConvGru::of(config, device),
            scores: scored
                .take(SCORED)
                .enumerate()
                .map(|(number, width)| Conv::new([width, classes], 1, 1.0, number == 0, device)) // one bias is enough for the sum
                .collect(),
            stem_stride: config.stem_stride,
        }
    }

    /// See [`super::Net::step`].
    pub(super) fn step(&self, images: Tensor<4>, state: Option<Tensor<4>>, watch: &mut dyn Watch) -> Seen {
        let [_, _, height, width] = images.dims();
        let mut x = space_to_depth(images, self.stem_stride); // [n, 3ss, h/s, w/s]
        let mut pooled = Vec::new();
        for (level, stage) in self.encoder.iter().enumerate() {
            x = ops::max_pool2x2(watch.features(&format!("encoder.{level}"), stage.forward(x)));
            pooled.push(x.clone());
        }
        let centre = watch.features("centre", self.centre.forward(x));
        let centre = self.dropout.forward(centre); // [n, c, h/32s, w/32s]
        let (centre, next) = recall(self.memory.as_ref(), centre, state);
        let mut sum = self.scores[0].forward(centre);
        for (score, x) in self.scores[1..].iter().zip(pooled.into_iter().rev().skip(1)) {
            let finer = score.forward(x); // [n, classes, h/16s, w/16s], then 8s
            let [_, _, h, w] = finer.dims();
            sum = resized(sum, [h, w]) + finer;
        }
        Seen {
            scores: resized(sum, [height, width]),
            auxiliary: None,
            state: next,
        }
    }
}

fn resized(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let options = InterpolateOptions::new(InterpolateMode::Bilinear);
    interpolate(x, options.with_align_corners(false).with_output_size(size))
}
