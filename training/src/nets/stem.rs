//! Between the picture's resolution and that of the finest level.

use super::NetConfig;
use super::layers::{Activation, Conv, Up};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// Folds each `s` x `s` patch into channels, `[n, c, h, w]` to `[n, s s c, h/s, w/s]`, in the order of ONNX's
/// `SpaceToDepth`: first by row in the patch, then by column, then by channel.
pub(super) fn space_to_depth(x: Tensor<4>, s: usize) -> Tensor<4> {
    if s == 1 {
        return x;
    }
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h / s, s, w / s, s])
        .permute([0, 3, 5, 1, 2, 4])
        .reshape([n, c * s * s, h / s, w / s])
}

/// From the finest level's features to scores at the picture's resolution.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // there is one in a net
pub(super) enum Head {
    /// The finest level has the picture's resolution.
    Full(Conv),
    /// It has half of it.
    Half(Up),
    /// It has a quarter of it.
    Quarter(Quarter),
}

/// Two steps of doubling.
#[derive(Module, Debug)]
pub(super) struct Quarter {
    first: Up,
    activation: Activation,
    second: Up,
}

/// Channels between the two steps of a [`Quarter`] head.
pub(super) fn quarter_width(features: usize) -> usize {
    features.div_ceil(2)
}

impl Head {
    pub(super) fn new(config: &NetConfig, classes: usize, device: &Device) -> Self {
        let features = config.widths[0];
        let between = quarter_width(features);
        match config.stem_stride {
            1 => Self::Full(Conv::new([features, classes], 1, 1.0, true, device)),
            2 => Self::Half(Up::new([features, classes], 1.0, device)),
            _ => Self::Quarter(Quarter {
                first: Up::new([features, between], 2.0, device),
                activation: Activation::new(config.normalisation, between, device),
                second: Up::new([between, classes], 1.0, device),
            }),
        }
    }

    /// `[n, features, h/s, w/s]` to `[n, classes, h, w]`
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Full(conv) => conv.forward(x),
            Self::Half(up) => up.forward(x),
            Self::Quarter(q) => q.second.forward(q.activation.forward(q.first.forward(x))),
        }
    }
}
