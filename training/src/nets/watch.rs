//! What goes on inside a net, for whoever wants to see it.

use burn::tensor::Tensor;

/// Sees a forward pass from inside ([`super::Net::forward_watched`]). Layers are named as `encoder.0` (the finest level) and
/// `decoder.0` (the coarsest step), parts of them as `encoder.2.0` and `decoder.1.gate`.
pub trait Watch {
    /// What a layer gives, `[n, c, h, w]`; the net goes on with what comes back.
    fn features(&mut self, _layer: &str, x: Tensor<4>) -> Tensor<4> {
        x
    }

    /// How much of each place an attention gate lets through, `[n, 1, h, w]`, 0 to 1.
    fn gate(&mut self, _layer: &str, _share: &Tensor<4>) {}

    /// How much each place looks at each other one, `[n, heads, queries, keys]`; the keys of a query sum to 1. `grids` are rows and
    /// columns of the queries and of the keys.
    fn self_attention(&mut self, _layer: &str, _share: &Tensor<4>, _grids: [[usize; 2]; 2]) {}
}

/// Nobody looks.
pub(super) struct Unwatched;

impl Watch for Unwatched {}
