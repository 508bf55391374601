//! Attention: gates on the skip connections, and self-attention over the coarsest level.

use super::layers::Conv;
use super::watch::Watch;
use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid, softmax};
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor};

/// Additive attention gate: `skip * sigmoid(psi(relu(W_x skip + W_g signal)))` (Oktay et al. 2018, eq. 1), with the gating
/// signal taken from the upsampled coarser level, so that nothing has to be resampled.
#[derive(Module, Debug)]
pub(super) struct Gate {
    skip: Conv,
    signal: Conv,
    psi: Conv,
}

/// Channels of the space in which a [`Gate`] compares skip and signal.
pub(super) fn gate_width(channels: usize) -> usize {
    channels.div_ceil(2)
}

impl Gate {
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        let inner = gate_width(channels);
        Self {
            skip: Conv::new([channels, inner], 1, 1.0, false, device), // its bias would double the other's
            signal: Conv::new([channels, inner], 1, 1.0, true, device),
            psi: Conv::new([inner, 1], 1, 1.0, true, device),
        }
    }

    /// `skip` and `signal` are `[n, c, h, w]`; the result is the weighted skip. `name` is for who watches.
    pub(super) fn forward(&self, skip: Tensor<4>, signal: Tensor<4>, name: &str, watch: &mut dyn Watch) -> Tensor<4> {
        let joint = relu(self.skip.forward(skip.clone()) + self.signal.forward(signal));
        let share = sigmoid(self.psi.forward(joint)); // [n, 1, h, w]
        watch.gate(name, &share);
        skip * share
    }
}

/// Multi-head self-attention over all pixels of a level with layer normalisation before and a residual connection around it
/// (Vaswani et al. 2017). Zero padding of the convolutions tells positions apart. With a reduction above 1, keys and values are
/// those of the means of squares of that side (Wang et al. 2022, PVT v2), so that large levels have few of them.
#[derive(Module, Debug)]
pub(super) struct SelfAttention {
    norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    reduction: usize,
}

impl SelfAttention {
    /// `heads` must divide `channels`, and `reduction` the sides of what comes in.
    pub(super) fn new(channels: usize, heads: usize, reduction: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(channels, channels).init(device);
        Self {
            norm: LayerNormConfig::new(channels).init(device),
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
            heads,
            reduction,
        }
    }

    /// `[n, c, h, w]` to the same. `name` is for who watches.
    pub(super) fn forward(&self, x: Tensor<4>, name: &str, watch: &mut dyn Watch) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        let depth = c / self.heads;
        let split = |t: Tensor<3>| {
            let tokens = t.dims()[1];
            t.reshape([n, tokens, self.heads, depth]).swap_dims(1, 2) // [n, heads, tokens, depth]
        };
        let tokens = self.tokens(x.clone()); // [n, hw, c]
        let seen = match self.reduction {
            1 => tokens.clone(),
            r => self.tokens(avg_pool2d(x.clone(), AvgPoolOptions::new([r, r]).with_stride([r, r]))), // [n, hw/rr, c]
        };
        let query = split(self.query.forward(tokens)) * (depth as f64).sqrt().recip();
        let key = split(self.key.forward(seen.clone()));
        let value = split(self.value.forward(seen));
        let share = softmax(query.matmul(key.swap_dims(2, 3)), 3); // [n, heads, hw, hw/rr]
        watch.self_attention(name, &share, [[h, w], [h / self.reduction, w / self.reduction]]);
        let mixed = share.matmul(value).swap_dims(1, 2).reshape([n, h * w, c]);
        x + self.output.forward(mixed).swap_dims(1, 2).reshape([n, c, h, w])
    }

    /// `[n, c, h, w]` to normalised `[n, hw, c]`
    fn tokens(&self, x: Tensor<4>) -> Tensor<3> {
        let [n, c, h, w] = x.dims();
        self.norm.forward(x.reshape([n, c, h * w]).swap_dims(1, 2))
    }
}
