//! What a net costs, from its configuration alone. What is there for training only is not counted.

use super::attention::gate_width;
use super::fcn::SCORED;
use super::gru;
use super::segformer::EXPANSION;
use super::stem::quarter_width;
use super::vgg::Stages;
use super::{Encoder, Kind, NetConfig, Normalisation};

/// Size and work of a net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Trainable numbers (running statistics not counted).
    pub parameters: usize,
    /// Multiplications with additions in convolutions and matrix products for one picture.
    pub macs: u64,
}

impl Cost {
    /// [`Cost::macs`] in thousands of millions.
    pub fn gmacs(&self) -> f64 {
        self.macs as f64 / 1e9
    }

    /// `weights` used once for each of `pixels`, and `others` (biases, scales) that cost nothing worth counting.
    fn add(&mut self, weights: usize, others: usize, pixels: usize) {
        self.parameters += weights + others;
        self.macs += weights as u64 * pixels as u64;
    }

    fn unit(&mut self, config: &NetConfig, [input, output]: [usize; 2], pixels: usize) {
        let others = activation(config, output).max(if config.normalisation == Normalisation::None { output } else { 0 });
        if config.separable {
            self.add(9 * input, 0, pixels);
            self.add(input * output, others, pixels);
        } else {
            self.add(9 * input * output, others, pixels);
        }
    }

    fn block(&mut self, config: &NetConfig, [input, output]: [usize; 2], pixels: usize) {
        self.stage(config, [input, output], 2, pixels);
        if config.residual && input != output {
            self.add(input * output, 0, pixels); // its sum costs nothing worth counting
        }
    }

    fn stage(&mut self, config: &NetConfig, [input, output]: [usize; 2], depth: usize, pixels: usize) {
        for number in 0..depth {
            self.unit(config, [if number == 0 { input } else { output }, output], pixels);
        }
    }

    /// Four linear layers with biases and layer normalisation, the products of queries with keys, and those with values.
    fn attention(&mut self, c: usize, [queries, keys]: [usize; 2]) {
        self.add(2 * c * c, 4 * c, queries);
        self.add(2 * c * c, 2 * c, keys);
        self.macs += 2 * (queries * keys * c) as u64;
    }

    /// `pixels` before the doubling.
    fn up(&mut self, [input, output]: [usize; 2], pixels: usize) {
        self.add(4 * input * output, output, pixels);
    }
}

/// Scales and offsets of a normalisation.
fn activation(config: &NetConfig, channels: usize) -> usize {
    match config.normalisation {
        Normalisation::Batch => 2 * channels,
        Normalisation::None => 0,
    }
}

/// The cost of a net for pictures of `height` x `width`.
pub(super) fn of(config: &NetConfig, classes: usize, height: usize, width: usize) -> Cost {
    let mut cost = Cost::default();
    let stride = config.stem_stride;
    let pixels = |level: usize| ((height / stride) >> level) * ((width / stride) >> level);
    match config.kind {
        Kind::Unet if config.encoder != Encoder::Own => vgg_unet(&mut cost, config, pixels),
        Kind::Unet | Kind::AttentionUnet => unet(&mut cost, config, pixels),
        Kind::Fpn => fpn(&mut cost, config, pixels),
        Kind::Segformer => segformer(&mut cost, config, pixels),
        Kind::Fcn => fcn(&mut cost, config, classes, pixels),
    }
    if config.memory > 0 {
        let last = config.widths.len() - 1;
        let (weights, biases) = gru::cost(config.widths[last], config.memory);
        cost.add(weights, biases, pixels(last));
    }
    if config.kind == Kind::Fcn {
        return cost; // it has no head: its scores are made of the levels'
    }
    let features = config.widths[0];
    match stride {
        1 => cost.add(features * classes, classes, pixels(0)),
        2 => cost.up([features, classes], pixels(0)),
        _ => {
            let between = quarter_width(features);
            cost.up([features, between], pixels(0));
            cost.parameters += activation(config, between);
            cost.up([between, classes], 4 * pixels(0));
        }
    }
    cost
}

/// Channels that go into each level of the encoder, with those that come out of it.
fn encoder(config: &NetConfig) -> impl Iterator<Item = [usize; 2]> {
    let inputs = std::iter::once(3 * config.stem_stride * config.stem_stride).chain(config.widths.clone());
    inputs.zip(config.widths.clone()).map(|(input, output)| [input, output])
}

fn unet(cost: &mut Cost, config: &NetConfig, pixels: impl Fn(usize) -> usize) {
    for (level, io) in encoder(config).enumerate() {
        cost.block(config, io, pixels(level));
    }
    let widths = &config.widths;
    let last = widths.len() - 1;
    if config.heads > 0 {
        cost.attention(widths[last], [pixels(last); 2]);
    }
    for level in (0..last).rev() {
        let (fine, coarse) = (widths[level], widths[level + 1]);
        cost.up([coarse, fine], pixels(level + 1));
        if config.kind == Kind::AttentionUnet {
            let inner = gate_width(fine);
            cost.add(2 * fine * inner + inner, inner + 1, pixels(level));
        }
        cost.block(config, [2 * fine, fine], pixels(level));
    }
}

fn fpn(cost: &mut Cost, config: &NetConfig, pixels: impl Fn(usize) -> usize) {
    for (level, (io, &depth)) in encoder(config).zip(&config.depths).enumerate() {
        cost.unit(config, io, pixels(level));
        for _ in 0..depth {
            cost.stage(config, [io[1]; 2], 2, pixels(level)); // its sum costs nothing worth counting
        }
    }
    let widths = &config.widths;
    let last = widths.len() - 1;
    cost.add(widths[last] * widths[last], widths[last], 1); // context
    for level in (0..last).rev() {
        let (fine, coarse) = (widths[level], widths[level + 1]);
        cost.up([coarse, fine], pixels(level + 1));
        cost.add(fine * fine, activation(config, fine), pixels(level));
        cost.unit(config, [fine, fine], pixels(level));
    }
}

/// The stages of an encoder in the manner of VGG.
fn stages(cost: &mut Cost, config: &NetConfig, pixels: impl Fn(usize) -> usize) -> Vec<usize> {
    let stages = Stages::of(config).expect("such a net has such an encoder");
    for (level, (io, depth)) in stages.each(3 * config.stem_stride * config.stem_stride).enumerate() {
        cost.stage(&stages.config, io, depth, pixels(level));
    }
    stages.widths
}

fn vgg_unet(cost: &mut Cost, config: &NetConfig, pixels: impl Fn(usize) -> usize) {
    let skips = stages(cost, config, &pixels);
    let (widths, last) = (&config.widths, skips.len());
    cost.block(config, [skips[last - 1], widths[last]], pixels(last));
    for level in (0..last).rev() {
        cost.up([widths[level + 1], widths[level]], pixels(level + 1));
        cost.block(config, [skips[level] + widths[level], widths[level]], pixels(level));
    }
}

/// Resizing scores costs nothing worth counting.
fn fcn(cost: &mut Cost, config: &NetConfig, classes: usize, pixels: impl Fn(usize) -> usize) {
    stages(cost, config, &pixels);
    let (widths, last) = (&config.widths, config.widths.len() - 1);
    cost.stage(config, [widths[last - 1], widths[last]], config.depths[last], pixels(last));
    cost.add(widths[last] * classes, classes, pixels(last));
    for level in (0..last - 1).rev().take(SCORED - 1) {
        cost.add(widths[level] * classes, 0, pixels(level + 1)); // scored behind its pooling
    }
}

fn segformer(cost: &mut Cost, config: &NetConfig, pixels: impl Fn(usize) -> usize) {
    let (width, last) = (config.widths[0], config.widths.len() - 1);
    for (level, (io, &depth)) in encoder(config).zip(&config.depths).enumerate() {
        let (c, places) = (io[1], pixels(level));
        cost.unit(config, io, places);
        for _ in 0..depth {
            if config.attends(level) {
                let hidden = EXPANSION * c;
                cost.attention(c, [places, pixels(last)]);
                cost.add((2 * c + 9) * hidden, hidden + 3 * c, places); // with layer normalisation
            } else {
                cost.block(config, [c; 2], places);
            }
        }
        if level < last {
            cost.up([width; 2], pixels(level + 1));
            cost.add(c * width, activation(config, width), places);
        } else {
            cost.add(c * width, width, places);
        }
    }
}
