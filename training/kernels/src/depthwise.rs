//! Depthwise 3x3 convolution with zero padding that keeps the size: every channel has a kernel of its own.

use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::strip::{Planes, Strip};
use crate::{Isa, check_len};
use rayon::prelude::*;

/// The shape `[batch, channels, height, width]` of input and output; the weights are `[channels, 1, 3, 3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseShape {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl DepthwiseShape {
    /// Floats of input and output.
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.height * self.width
    }

    /// True if there is no pixel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn planes<'a>(&self, data: &'a [f32]) -> Planes<'a> {
        Planes {
            data,
            channels: self.channels,
            height: self.height,
            width: self.width,
        }
    }
}

/// Writes `x * weight + bias`, channel by channel, into `y`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn forward(isa: Isa, shape: DepthwiseShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    check_len("x", x, shape.len());
    check_len("weight", weight, shape.channels * 9);
    check_len("y", y, shape.len());
    if let Some(bias) = bias {
        check_len("bias", bias, shape.channels);
    }
    convolve(isa, shape, x, y, |c| {
        let taps = std::array::from_fn(|t| weight[c * 9 + t]);
        (taps, bias.map_or(0.0, |b| b[c]))
    });
}

/// Writes the gradient of the input into `dx`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn input_gradient(isa: Isa, shape: DepthwiseShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    check_len("dy", dy, shape.len());
    check_len("weight", weight, shape.channels * 9);
    check_len("dx", dx, shape.len());
    convolve(isa, shape, dy, dx, |c| (std::array::from_fn(|t| weight[c * 9 + 8 - t]), 0.0));
}

/// Writes the gradient of the weights into `dw`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn weight_gradient(isa: Isa, shape: DepthwiseShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    check_len("x", x, shape.len());
    check_len("dy", dy, shape.len());
    check_len("dw", dw, shape.channels * 9);
    dw.par_chunks_mut(9)
        .enumerate()
        .for_each(|(channel, dw)| isa.launch(Taps { shape, channel, x, dy, dw }));
}

fn convolve(isa: Isa, shape: DepthwiseShape, x: &[f32], y: &mut [f32], kernel: impl Fn(usize) -> ([f32; 9], f32) + Sync) {
    if shape.is_empty() {
        return;
    }
    y.par_chunks_mut(shape.height * shape.width).enumerate().for_each(|(plane, y)| {
        let (taps, bias) = kernel(plane % shape.channels);
        isa.launch(Plane {
            shape,
            plane,
            x,
            taps,
            bias,
            y,
        });
    });
}

/// One channel of one image.
struct Plane<'a> {
    shape: DepthwiseShape,
    plane: usize,
    x: &'a [f32],
    taps: [f32; 9],
    bias: f32,
    y: &'a mut [f32],
}

impl Kernel for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let DepthwiseShape {
            channels, height, width, ..
        } = self.shape;
        let strip = Strip::new(width, height, 3, S::LANES);
        let mut scratch = Scratch::new(strip.in_plane + strip.out_plane);
        let (input, output) = scratch.floats().split_at_mut(strip.in_plane);
        fill_plane(
            &strip,
            &self.shape.planes(self.x),
            self.plane / channels,
            self.plane % channels,
            input,
        );
        // SAFETY: tap (2, 2) of the last register still lies inside the input plane.
        unsafe {
            let taps = self.taps.map(|t| S::splat(t));
            for p in (0..strip.len).step_by(S::LANES) {
                let at = input.as_ptr().add(p);
                let mut sum = S::splat(self.bias);
                for (t, tap) in taps.iter().enumerate() {
                    sum = S::fma(S::load(at.add(t / 3 * strip.stride + t % 3)), *tap, sum);
                }
                S::store(output.as_mut_ptr().add(p), sum);
            }
        }
        for (to, from) in self.y.chunks_exact_mut(width).zip(output.chunks(strip.stride)) {
            to.copy_from_slice(&from[..width]);
        }
    }
}

/// The nine weights of one channel, over all images.
struct Taps<'a> {
    shape: DepthwiseShape,
    channel: usize,
    x: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl Kernel for Taps<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let DepthwiseShape { batch, height, width, .. } = self.shape;
        let strip = Strip::new(width, height, 3, S::LANES);
        let mut totals = [0f64; 9];
        let mut scratch = Scratch::new(strip.in_plane + strip.out_plane);
        let (input, grad) = scratch.floats().split_at_mut(strip.in_plane);
        for n in 0..batch {
            fill_plane(&strip, &self.shape.planes(self.x), n, self.channel, input);
            strip.fill_output(&self.shape.planes(self.dy), n, self.channel..self.channel + 1, 0, grad);
            // SAFETY: tap (2, 2) of the last register still lies inside the input plane.
            unsafe {
                let mut sums = [S::splat(0.0); 9];
                for p in (0..strip.len).step_by(S::LANES) {
                    let dy = S::load(grad.as_ptr().add(p));
                    let at = input.as_ptr().add(p);
                    for (t, sum) in sums.iter_mut().enumerate() {
                        *sum = S::fma(S::load(at.add(t / 3 * strip.stride + t % 3)), dy, *sum);
                    }
                }
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total += f64::from(S::sum(sum));
                }
            }
        }
        self.dw.iter_mut().zip(totals).for_each(|(dw, total)| *dw = total as f32);
    }
}

/// Fills the input plane of a strip that is the whole image from one channel.
#[inline(always)]
fn fill_plane(strip: &Strip, source: &Planes<'_>, n: usize, channel: usize, plane: &mut [f32]) {
    let one = Planes {
        data: &source.data[(n * source.channels + channel) * source.height * source.width..],
        channels: 1,
        ..*source
    };
    strip.fill_input(&one, 0, 1, 0, source.height, plane);
}
