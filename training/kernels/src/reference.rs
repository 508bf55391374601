//! The same operations as plain loops in f64: slow, obvious, and what the tests compare the kernels with.

use crate::conv_transpose::UpShape;
use crate::conv2d::ConvShape;

/// `y[n, o, r, c] = bias[o] + sum of weight[o, i, a, b] * x[n, i, r + a - pad, c + b - pad]`.
pub fn conv2d(shape: ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let ConvShape {
        batch,
        in_channels,
        out_channels,
        height,
        width,
        kernel,
    } = shape;
    let mut y = Vec::with_capacity(shape.output_len());
    for (n, o, r, c) in indices(batch, out_channels, height, width) {
        let mut sum = bias.map_or(0.0, |b| f64::from(b[o]));
        for (i, a, b) in (0..in_channels).flat_map(|i| (0..kernel * kernel).map(move |t| (i, t / kernel, t % kernel))) {
            let (yy, xx) = ((r + a).wrapping_sub(kernel / 2), (c + b).wrapping_sub(kernel / 2));
            if yy < height && xx < width {
                let tap = weight[((o * in_channels + i) * kernel + a) * kernel + b];
                sum += f64::from(tap) * f64::from(x[((n * in_channels + i) * height + yy) * width + xx]);
            }
        }
        y.push(sum as f32);
    }
    y
}

/// `y[n, o, 2r + a, 2c + b] = bias[o] + sum of weight[i, o, a, b] * x[n, i, r, c]`.
pub fn conv_transpose(shape: UpShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let UpShape {
        batch,
        in_channels,
        out_channels,
        height,
        width,
    } = shape;
    indices(batch, out_channels, 2 * height, 2 * width)
        .map(|(n, o, r, c)| {
            let mut sum = bias.map_or(0.0, |b| f64::from(b[o]));
            for i in 0..in_channels {
                let tap = weight[(i * out_channels + o) * 4 + r % 2 * 2 + c % 2];
                sum += f64::from(tap) * f64::from(x[((n * in_channels + i) * height + r / 2) * width + c / 2]);
            }
            sum as f32
        })
        .collect()
}

/// The gradients of `sum(y * dy)` for a `y` that is linear in `x`, by applying `f` to each unit vector. Only for tiny shapes.
pub fn linear_gradient(len: usize, dy: &[f32], f: impl Fn(&[f32]) -> Vec<f32>) -> Vec<f32> {
    let mut unit = vec![0.0; len];
    (0..len)
        .map(|i| {
            unit[i] = 1.0;
            let y = f(&unit);
            unit[i] = 0.0;
            y.iter().zip(dy).map(|(y, dy)| f64::from(*y) * f64::from(*dy)).sum::<f64>() as f32
        })
        .collect()
}

/// All indices of an NCHW tensor, in order.
fn indices(n: usize, c: usize, h: usize, w: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..n * c * h * w).map(move |i| (i / (c * h * w), i / (h * w) % c, i / w % h, i % w))
}
