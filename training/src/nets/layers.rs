//! Convolutions with their weights, and the blocks that levels are made of.

use super::{NetConfig, Normalisation};
use crate::ops;
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor};

/// Normally distributed weights with variance `gain / fan_in` (He et al. 2015: gain 2 where a ReLU follows).
fn weights(shape: [usize; 4], fan_in: usize, gain: f64, device: &Device) -> Param<Tensor<4>> {
    let std = (gain / fan_in as f64).sqrt();
    Initializer::Normal { mean: 0.0, std }.init(shape, device)
}

fn zeros(channels: usize, device: &Device) -> Param<Tensor<1>> {
    Initializer::Zeros.init([channels], device)
}

/// A convolution that keeps height and width.
#[derive(Module, Debug)]
pub(super) struct Conv {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Conv {
    /// Kernel `k` x `k` (1 or 3); `gain` as in [`weights`].
    pub(super) fn new(io: [usize; 2], k: usize, gain: f64, bias: bool, device: &Device) -> Self {
        let [input, output] = io;
        Self {
            weight: weights([output, input, k, k], input * k * k, gain, device),
            bias: bias.then(|| zeros(output, device)),
        }
    }

    /// Whether its weights get gradients.
    fn learns(&self) -> bool {
        self.weight.val().is_require_grad()
    }

    /// `[n, in, h, w]` to `[n, out, h, w]`
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// A 3x3 convolution of each channel on its own.
#[derive(Module, Debug)]
pub(super) struct Depthwise {
    weight: Param<Tensor<4>>,
}

impl Depthwise {
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        Self {
            weight: weights([channels, 1, 3, 3], 9, 1.0, device),
        }
    }

    /// `[n, c, h, w]` to the same
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::depthwise_conv2d(x, self.weight.val(), None)
    }
}

/// A transposed convolution that doubles height and width.
#[derive(Module, Debug)]
pub(super) struct Up {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Up {
    pub(super) fn new(io: [usize; 2], gain: f64, device: &Device) -> Self {
        let [input, output] = io;
        Self {
            // patches do not overlap: every output value sums over `input` values
            weight: weights([input, output, 2, 2], input, gain, device),
            bias: zeros(output, device),
        }
    }

    /// `[n, in, h, w]` to `[n, out, 2h, 2w]`
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv_transpose2x2(x, self.weight.val(), Some(self.bias.val()))
    }
}

/// What follows a convolution: batch normalisation if there is one, what is to be added, and ReLU.
#[derive(Module, Debug)]
pub(super) struct Activation {
    norm: Option<BatchNorm>,
}

impl Activation {
    pub(super) fn new(normalisation: Normalisation, channels: usize, device: &Device) -> Self {
        let norm = match normalisation {
            Normalisation::Batch => Some(BatchNormConfig::new(channels).init(device)),
            Normalisation::None => None,
        };
        Self { norm }
    }

    /// `[n, c, h, w]` to the same
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.norm {
            None => relu(x),
            Some(norm) if !trains(norm, &x) => relu(norm.forward(x)), // running statistics
            Some(norm) => normalise(norm, x, true),
        }
    }

    /// ReLU of the normalised `x` and `skip`, both `[n, c, h, w]`
    pub(super) fn forward_add(&self, x: Tensor<4>, skip: Tensor<4>) -> Tensor<4> {
        ops::add_relu(self.normalised(x), skip)
    }

    /// `x` normalised, without a ReLU
    fn normalised(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.norm {
            None => x,
            Some(norm) if !trains(norm, &x) => norm.forward(x),
            Some(norm) => normalise(norm, x, false),
        }
    }
}

fn trains(norm: &BatchNorm, x: &Tensor<4>) -> bool {
    x.device().is_autodiff() && norm.training.is_enabled()
}

/// Normalises with the statistics of the batch, which the running ones follow.
fn normalise(norm: &BatchNorm, x: Tensor<4>, relu: bool) -> Tensor<4> {
    let device = x.device();
    let (y, mean, variance) = ops::batch_norm(x, norm.gamma.val(), norm.beta.val(), norm.epsilon, relu);
    for (state, batch) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
        let old = state.value_sync().to_device(&device);
        let new = old * (1.0 - norm.momentum) + batch.detach() * norm.momentum;
        state.update(new.detach());
    }
    y
}

/// Convolution, normalisation, ReLU.
#[derive(Module, Debug)]
pub(super) struct Unit {
    depthwise: Option<Depthwise>,
    conv: Conv,
    activation: Activation,
}

impl Unit {
    pub(super) fn new(config: &NetConfig, io: [usize; 2], device: &Device) -> Self {
        let bias = config.normalisation == Normalisation::None;
        let kernel = if config.separable { 1 } else { 3 };
        Self {
            depthwise: config.separable.then(|| Depthwise::new(io[0], device)),
            conv: Conv::new(io, kernel, 2.0, bias, device),
            activation: Activation::new(config.normalisation, io[1], device),
        }
    }

    /// `[n, in, h, w]` to `[n, out, h, w]`
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.activation.forward(self.convolve(x))
    }

    /// The same with `skip`, `[n, out, h, w]`, added before the ReLU
    fn forward_add(&self, x: Tensor<4>, skip: Tensor<4>) -> Tensor<4> {
        self.activation.forward_add(self.convolve(x), skip)
    }

    /// The same without a ReLU
    fn normalised(&self, x: Tensor<4>) -> Tensor<4> {
        self.activation.normalised(self.convolve(x))
    }

    fn convolve(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.depthwise {
            Some(depthwise) => depthwise.forward(x),
            None => x,
        };
        self.conv.forward(x)
    }
}

/// Two units: what every level of a U-Net does. With `residual = true` the input is added before the last ReLU, through a 1x1
/// convolution where the channels change (He et al. 2016; in U-Nets Zhang et al. 2018).
#[derive(Module, Debug)]
pub(super) struct Block {
    first: Unit,
    second: Unit,
    shortcut: Option<Conv>,
    residual: bool,
}

impl Block {
    pub(super) fn new(config: &NetConfig, io: [usize; 2], device: &Device) -> Self {
        Self {
            first: Unit::new(config, io, device),
            second: Unit::new(config, [io[1], io[1]], device),
            shortcut: (config.residual && io[0] != io[1]).then(|| Conv::new(io, 1, 1.0, false, device)),
            residual: config.residual,
        }
    }

    /// `[n, in, h, w]` to `[n, out, h, w]`
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if !self.residual {
            return self.second.forward(self.first.forward(x));
        }
        let y = self.first.forward(x.clone());
        let around = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        self.second.forward_add(y, around)
    }
}

/// Two units around which the input goes as well, the basic block of He et al. 2016: `relu(x + second(first(x)))`.
#[derive(Module, Debug)]
pub(super) struct Residual {
    first: Unit,
    second: Unit,
    /// How often the units are there in training, above 0 and up to 1.
    survival: f64,
}

impl Residual {
    pub(super) fn new(config: &NetConfig, channels: usize, device: &Device) -> Self {
        Self {
            first: Unit::new(config, [channels; 2], device),
            second: Unit::new(config, [channels; 2], device),
            survival: 1.0,
        }
    }

    /// The same block with stochastic depth (Huang et al. 2016): number `block` of `blocks` in the net, from 1, which are left out of
    /// training steps the more often the deeper they lie, the last one with the configuration's probability.
    pub(super) fn at_depth(mut self, config: &NetConfig, block: usize, blocks: usize) -> Self {
        self.survival = 1.0 - config.stochastic_depth * block as f64 / blocks as f64;
        self
    }

    /// `[n, c, h, w]` to the same
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        // A frozen block, or one that is only looked at, is whole too.
        if self.survival == 1.0 || !self.second.conv.learns() {
            return self.second.forward_add(self.first.forward(x.clone()), x);
        }
        // Of the device's generator, as dropout: the seed of the step decides.
        let drawn: f32 = Tensor::<1>::random([1], Distribution::Default, &x.device()).into_scalar();
        if f64::from(drawn) >= self.survival {
            return x; // what comes from a ReLU passes one unchanged
        }
        // What is missing at times counts more while it is there, so that nothing has to change after training.
        let y = self.second.normalised(self.first.forward(x.clone()));
        ops::add_relu(y.div_scalar(self.survival), x)
    }
}
