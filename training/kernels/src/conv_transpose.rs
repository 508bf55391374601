//! Transposed convolution 2x2 with stride 2, which doubles the size: a 1x1 convolution to four channels for each output channel, whose
//! pixels are then dealt out to the four corners.

use crate::engine::{self, Geometry, Packed};
use crate::scratch::SharedOut;
use crate::strip::{Planes, Sink, Source, Strip};
use crate::{Isa, check_len};

/// The shape of one 2x2 transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpShape {
    /// Images.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows of the input; the output has twice as many.
    pub height: usize,
    /// Columns of the input; the output has twice as many.
    pub width: usize,
}

impl UpShape {
    /// Floats of the input `[batch, in_channels, height, width]`.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.height * self.width
    }

    /// Floats of the output `[batch, out_channels, 2 * height, 2 * width]`.
    pub fn output_len(&self) -> usize {
        4 * self.batch * self.out_channels * self.height * self.width
    }

    /// Floats of the weights `[in_channels, out_channels, 2, 2]`.
    pub fn weight_len(&self) -> usize {
        4 * self.in_channels * self.out_channels
    }

    /// Floating point operations of one direction.
    pub fn flops(&self) -> usize {
        2 * self.output_len() * self.in_channels
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            batch: self.batch,
            height: self.height,
            width: self.width,
            kernel: 1,
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
}

/// Reads an output-sized tensor as four channels (corner (a, b) is channel `4 c + 2 a + b`) of input-sized planes.
struct Corners<'a> {
    data: &'a [f32],
    shape: UpShape,
}

impl Source for Corners<'_> {
    #[inline(always)]
    fn row(&self, n: usize, c: usize, y: usize, dst: &mut [f32]) {
        let UpShape {
            out_channels,
            height,
            width,
            ..
        } = self.shape;
        let at = ((n * out_channels + c / 4) * 2 * height + 2 * y + c % 4 / 2) * 2 * width;
        let pairs = self.data[at..at + 2 * width].chunks_exact(2);
        // A constant index compiles to shuffles, a variable one to gathers.
        match c % 2 {
            0 => dst.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]),
            _ => dst.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[1]),
        }
    }
}

/// Deals four channels out to the corners, and adds the bias.
struct CornersOut<'a> {
    out: SharedOut,
    shape: UpShape,
    bias: Option<&'a [f32]>,
}

impl Sink for CornersOut<'_> {
    #[inline(always)]
    fn take(&self, n: usize, y0: usize, strip: &Strip, data: &[f32]) {
        let UpShape {
            out_channels,
            height,
            width,
            ..
        } = self.shape;
        for c in 0..out_channels {
            let bias = self.bias.map_or(0.0, |b| b[c]);
            for r in 0..strip.rows {
                for a in 0..2 {
                    let left = &data[(4 * c + 2 * a) * strip.out_plane + r * strip.stride..][..width];
                    let right = &data[(4 * c + 2 * a + 1) * strip.out_plane + r * strip.stride..][..width];
                    let at = ((n * out_channels + c) * 2 * height + 2 * (y0 + r) + a) * 2 * width;
                    // SAFETY: tasks own different rows of different images.
                    let to = unsafe { self.out.row(at, 2 * width) };
                    for ((to, left), right) in to.chunks_exact_mut(2).zip(left).zip(right) {
                        to[0] = left + bias;
                        to[1] = right + bias;
                    }
                }
            }
        }
    }
}

/// Writes the doubled image into `y`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn forward(isa: Isa, shape: UpShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    check_len("x", x, shape.input_len());
    check_len("weight", weight, shape.weight_len());
    check_len("y", y, shape.output_len());
    if let Some(bias) = bias {
        check_len("bias", bias, shape.out_channels);
    }
    let outputs = 4 * shape.out_channels;
    let packed = Packed::new(isa, outputs, shape.in_channels, 1, |o, i, _| weight[i * outputs + o]);
    engine::forward(
        isa,
        shape.geometry(),
        &packed,
        &shape.input(x),
        &CornersOut {
            out: SharedOut::new(y),
            shape,
            bias,
        },
    );
}

/// Writes the gradient of the input into `dx`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn input_gradient(isa: Isa, shape: UpShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    check_len("dy", dy, shape.output_len());
    check_len("weight", weight, shape.weight_len());
    check_len("dx", dx, shape.input_len());
    let corners = 4 * shape.out_channels;
    let packed = Packed::new(isa, shape.in_channels, corners, 1, |o, i, _| weight[o * corners + i]);
    let sink = crate::strip::PlanesOut {
        out: SharedOut::new(dx),
        channels: shape.in_channels,
        height: shape.height,
        bias: None,
    };
    engine::forward(isa, shape.geometry(), &packed, &Corners { data: dy, shape }, &sink);
}

/// Writes the gradient of the weights into `dw`. That of the bias is [`crate::conv2d::bias_gradient`].
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn weight_gradient(isa: Isa, shape: UpShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    check_len("x", x, shape.input_len());
    check_len("dy", dy, shape.output_len());
    check_len("dw", dw, shape.weight_len());
    let cols = (&Corners { data: dy, shape }, 4 * shape.out_channels);
    engine::weight_gradient(isa, shape.geometry(), (&shape.input(x), shape.in_channels), cols, dw);
}
