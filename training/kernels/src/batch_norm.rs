//! Batch normalisation in training, with the rectifier that usually follows it in the same pass.
//!
//! Ioffe and Szegedy, "Batch Normalization", 2015. Statistics are over images and pixels, the variance is the biased one (divided by
//! the number of values). Two reads of the input forward, two of input and output gradient backward; the rectifier's mask is computed
//! again from the input instead of being kept.

use crate::scratch::SharedOut;
use crate::simd::{Kernel, Simd};
use crate::{Isa, check_len};
use rayon::prelude::*;

/// The shape `[batch, channels, plane]`, where `plane` is height times width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormShape {
    /// Images.
    pub batch: usize,
    /// Channels, each with its own statistics.
    pub channels: usize,
    /// Pixels of a channel of an image.
    pub plane: usize,
    /// Whether `max(0, _)` follows.
    pub relu: bool,
}

impl NormShape {
    fn check(&self, name: &str, data: &[f32]) {
        check_len(name, data, self.batch * self.channels * self.plane);
    }

    /// The planes of one channel, image by image.
    fn planes<'a>(&self, channel: usize, data: &'a [f32]) -> impl Iterator<Item = (usize, &'a [f32])> {
        let Self {
            batch, channels, plane, ..
        } = *self;
        (0..batch).map(move |n| {
            let at = (n * channels + channel) * plane;
            (at, &data[at..at + plane])
        })
    }
}

/// What each channel was normalised by; kept for the gradient and for the running averages.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Biased variance of each channel.
    pub variance: Vec<f32>,
    /// `1 / sqrt(variance + epsilon)` of each channel.
    pub inverse_std: Vec<f32>,
}

/// The gradients of one batch normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterGradients {
    /// Of the scale, a value a channel.
    pub gamma: Vec<f32>,
    /// Of the offset, a value a channel.
    pub beta: Vec<f32>,
}

/// Writes `(x - mean) / sqrt(variance + epsilon) * gamma + beta`, rectified if the shape says so, into `y`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn forward(isa: Isa, shape: NormShape, x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, y: &mut [f32]) -> Stats {
    shape.check("x", x);
    shape.check("y", y);
    check_len("gamma", gamma, shape.channels);
    check_len("beta", beta, shape.channels);
    let out = SharedOut::new(y);
    let stats: Vec<_> = (0..shape.channels)
        .into_par_iter()
        .map(|c| {
            isa.launch(Forward {
                shape,
                channel: c,
                x,
                gamma: gamma[c],
                beta: beta[c],
                epsilon,
                out,
            })
        })
        .collect();
    Stats {
        mean: stats.iter().map(|s| s.0).collect(),
        variance: stats.iter().map(|s| s.1).collect(),
        inverse_std: stats.iter().map(|s| s.2).collect(),
    }
}

/// Writes the gradient of the input into `dx`, and returns those of the parameters. `x`, `gamma` and `beta` are those of [`forward`].
///
/// # Panics
/// If a slice does not fit `shape`.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    isa: Isa,
    shape: NormShape,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    stats: &Stats,
    dy: &[f32],
    dx: &mut [f32],
) -> ParameterGradients {
    shape.check("x", x);
    shape.check("dy", dy);
    shape.check("dx", dx);
    for (name, slice) in [
        ("gamma", gamma),
        ("beta", beta),
        ("mean", &stats.mean),
        ("inverse_std", &stats.inverse_std),
    ] {
        check_len(name, slice, shape.channels);
    }
    let out = SharedOut::new(dx);
    let (gamma, beta) = (0..shape.channels)
        .into_par_iter()
        .map(|c| {
            let affine = Affine::new(stats.mean[c], stats.inverse_std[c], gamma[c], beta[c]);
            isa.launch(Backward {
                shape,
                channel: c,
                x,
                dy,
                mean: stats.mean[c],
                inverse_std: stats.inverse_std[c],
                affine,
                out,
            })
        })
        .unzip();
    ParameterGradients { gamma, beta }
}

/// The sum of a slice, in f32 lanes that flow into an f64.
pub(crate) fn sum(isa: Isa, x: &[f32]) -> f64 {
    isa.launch(Sum(x))
}

/// Independent partial sums: enough for the adders of any instruction set to stay busy.
const LANES: usize = 64;
/// Values after which partial sums flow into f64.
const FLUSH: usize = 64 * LANES;

/// Sums `K` functions of the index over `0..len`.
#[inline(always)]
fn sums<const K: usize>(len: usize, f: impl Fn(usize) -> [f32; K]) -> [f64; K] {
    let mut totals = [0f64; K];
    for start in (0..len).step_by(FLUSH) {
        let end = (start + FLUSH).min(len);
        let mut lanes = [[0f32; LANES]; K];
        let mut i = start;
        while i + LANES <= end {
            #[allow(clippy::needless_range_loop)] // an iterator over `lanes` could not walk all K at once
            for l in 0..LANES {
                let values = f(i + l);
                for k in 0..K {
                    lanes[k][l] += values[k];
                }
            }
            i += LANES;
        }
        for i in i..end {
            let values = f(i);
            for k in 0..K {
                lanes[k][i % LANES] += values[k];
            }
        }
        for k in 0..K {
            totals[k] += lanes[k].iter().map(|&x| f64::from(x)).sum::<f64>();
        }
    }
    totals
}

struct Sum<'a>(&'a [f32]);

impl Kernel for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let x = self.0;
        sums(x.len(), |i| [x[i]])[0]
    }
}

/// Normalisation as `x * scale + shift`. Both directions use this very expression, so that they agree on what the rectifier cut off.
#[derive(Clone, Copy)]
struct Affine {
    scale: f32,
    shift: f32,
}

impl Affine {
    #[inline(always)]
    fn new(mean: f32, inverse_std: f32, gamma: f32, beta: f32) -> Self {
        let scale = gamma * inverse_std;
        Self {
            scale,
            shift: beta - mean * scale,
        }
    }

    #[inline(always)]
    fn apply(self, x: f32) -> f32 {
        x * self.scale + self.shift
    }
}

struct Forward<'a> {
    shape: NormShape,
    channel: usize,
    x: &'a [f32],
    gamma: f32,
    beta: f32,
    epsilon: f32,
    out: SharedOut,
}

impl Kernel for Forward<'_> {
    type Output = (f32, f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let Self {
            shape,
            channel,
            x,
            gamma,
            beta,
            epsilon,
            out,
        } = self;
        let count = (shape.batch * shape.plane).max(1) as f64;
        // Sums of squares around one of the values: what is left of a large mean does not eat the variance.
        let origin = shape.planes(channel, x).find_map(|(_, x)| x.first().copied()).unwrap_or(0.0);
        let mut totals = [0f64; 2];
        for (_, x) in shape.planes(channel, x) {
            let [first, second] = sums(x.len(), |i| {
                let d = x[i] - origin;
                [d, d * d]
            });
            totals[0] += first;
            totals[1] += second;
        }
        let offset = totals[0] / count;
        let variance = (totals[1] / count - offset * offset).max(0.0) as f32;
        let mean = (f64::from(origin) + offset) as f32;
        let inverse_std = 1.0 / (variance + epsilon).sqrt();
        let affine = Affine::new(mean, inverse_std, gamma, beta);
        for (at, x) in shape.planes(channel, x) {
            // SAFETY: tasks own different channels.
            let y = unsafe { out.row(at, x.len()) };
            if shape.relu {
                y.iter_mut().zip(x).for_each(|(y, x)| {
                    let v = affine.apply(*x);
                    *y = if v > 0.0 { v } else { 0.0 };
                });
            } else {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = affine.apply(*x));
            }
        }
        (mean, variance, inverse_std)
    }
}

struct Backward<'a> {
    shape: NormShape,
    channel: usize,
    x: &'a [f32],
    dy: &'a [f32],
    mean: f32,
    inverse_std: f32,
    affine: Affine,
    out: SharedOut,
}

impl Kernel for Backward<'_> {
    /// Gradients of gamma and beta.
    type Output = (f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        let Self {
            shape,
            channel,
            x,
            dy,
            mean,
            inverse_std,
            affine,
            out,
        } = self;
        let count = (shape.batch * shape.plane).max(1) as f64;
        let relu = shape.relu;
        let passed = move |x: f32, dy: f32| if !relu || affine.apply(x) > 0.0 { dy } else { 0.0 };
        let mut totals = [0f64; 2];
        for (at, x) in shape.planes(channel, x) {
            let dy = &dy[at..at + x.len()];
            let [first, second] = sums(x.len(), |i| {
                let g = passed(x[i], dy[i]);
                [g, g * (x[i] - mean)]
            });
            totals[0] += first;
            totals[1] += second;
        }
        // dx = scale * (g - mean(g) - xhat * mean(g * xhat)), with xhat = (x - mean) * inverse_std
        let of_gamma = totals[1] * f64::from(inverse_std);
        let mean_g = (totals[0] / count) as f32;
        let slope = (of_gamma / count * f64::from(inverse_std)) as f32;
        for (at, x) in shape.planes(channel, x) {
            let dy = &dy[at..at + x.len()];
            // SAFETY: tasks own different channels.
            let dx = unsafe { out.row(at, x.len()) };
            for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = affine.scale * (passed(*x, *dy) - mean_g - (*x - mean) * slope);
            }
        }
        (of_gamma as f32, totals[0] as f32)
    }
}
