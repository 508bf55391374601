//! Convolution with stride 1, zero padding that keeps the size ("same"), and a 1x1 or 3x3 kernel.

use crate::engine::{self, Geometry, Packed};
use crate::scratch::SharedOut;
use crate::strip::{Planes, PlanesOut};
use crate::{Isa, check_len};

/// The shape of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows of input and output.
    pub height: usize,
    /// Columns of input and output.
    pub width: usize,
    /// Rows and columns of the kernel: 1 or 3.
    pub kernel: usize,
}

impl ConvShape {
    /// Floats of the input `[batch, in_channels, height, width]`.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.height * self.width
    }

    /// Floats of the output `[batch, out_channels, height, width]`.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.height * self.width
    }

    /// Floats of the weights `[out_channels, in_channels, kernel, kernel]`.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.in_channels * self.taps()
    }

    /// Floating point operations of one direction, a multiplication and an addition for each product.
    pub fn flops(&self) -> usize {
        2 * self.output_len() * self.in_channels * self.taps()
    }

    fn taps(&self) -> usize {
        assert!(
            self.kernel == 1 || self.kernel == 3,
            "kernel is {0}x{0}, only 1x1 and 3x3 are there",
            self.kernel
        );
        self.kernel * self.kernel
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            batch: self.batch,
            height: self.height,
            width: self.width,
            kernel: self.kernel,
        }
    }

    fn input<'a>(&self, data: &'a [f32]) -> Planes<'a> {
        Planes {
            data,
            channels: self.in_channels,
            height: self.height,
            width: self.width,
        }
    }

    fn output<'a>(&self, data: &'a [f32]) -> Planes<'a> {
        Planes {
            data,
            channels: self.out_channels,
            height: self.height,
            width: self.width,
        }
    }
}

/// Writes `x * weight + bias` into `y`.
///
/// # Panics
/// If a slice does not fit `shape`, or the kernel is neither 1x1 nor 3x3.
pub fn forward(isa: Isa, shape: ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    check_len("x", x, shape.input_len());
    check_len("weight", weight, shape.weight_len());
    check_len("y", y, shape.output_len());
    if let Some(bias) = bias {
        check_len("bias", bias, shape.out_channels);
    }
    let (taps, inputs) = (shape.taps(), shape.in_channels);
    let packed = Packed::new(isa, shape.out_channels, inputs, taps, |o, i, t| weight[(o * inputs + i) * taps + t]);
    let sink = PlanesOut {
        out: SharedOut::new(y),
        channels: shape.out_channels,
        height: shape.height,
        bias,
    };
    engine::forward(isa, shape.geometry(), &packed, &shape.input(x), &sink);
}

/// Writes the gradient of the input into `dx`, given that of the output: the same convolution with transposed, turned weights.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient(isa: Isa, shape: ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    check_len("dy", dy, shape.output_len());
    check_len("weight", weight, shape.weight_len());
    check_len("dx", dx, shape.input_len());
    let (taps, inputs) = (shape.taps(), shape.in_channels);
    let packed = Packed::new(isa, inputs, shape.out_channels, taps, |i, o, t| {
        weight[(o * inputs + i) * taps + taps - 1 - t]
    });
    let sink = PlanesOut {
        out: SharedOut::new(dx),
        channels: inputs,
        height: shape.height,
        bias: None,
    };
    engine::forward(isa, shape.geometry(), &packed, &shape.output(dy), &sink);
}

/// Writes the gradient of the weights into `dw`.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient(isa: Isa, shape: ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    check_len("x", x, shape.input_len());
    check_len("dy", dy, shape.output_len());
    check_len("dw", dw, shape.weight_len());
    let rows = (&shape.output(dy), shape.out_channels);
    engine::weight_gradient(isa, shape.geometry(), rows, (&shape.input(x), shape.in_channels), dw);
}

/// Writes the gradient of the bias, the sum of each channel of `dy` `[batch, channels, plane]`, into `db`.
///
/// # Panics
/// If `dy` does not have `batch * db.len() * plane` floats.
pub fn bias_gradient(isa: Isa, batch: usize, plane: usize, dy: &[f32], db: &mut [f32]) {
    let channels = db.len();
    check_len("dy", dy, batch * channels * plane);
    for (c, db) in db.iter_mut().enumerate() {
        *db = (0..batch)
            .map(|n| crate::batch_norm::sum(isa, &dy[(n * channels + c) * plane..][..plane]))
            .sum::<f64>() as f32;
    }
}
