//! Softmax and weighted cross-entropy over the channels, value and gradient in one pass.

use crate::scratch::SharedOut;
use crate::simd::{Kernel, Simd};
use crate::{Isa, check_len};
use rayon::prelude::*;

/// The shape of the logits `[batch, classes, plane]`, where `plane` is height times width; the labels are `[batch, plane]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossShape {
    /// Images.
    pub batch: usize,
    /// Classes.
    pub classes: usize,
    /// Pixels of an image.
    pub plane: usize,
}

/// Pixels of one task.
const TASK: usize = 4096;
/// Pixels handled together: their maxima, sums and factors stay in the first-level cache.
const BLOCK: usize = 256;

/// The mean of `-log softmax(logits)[label]` over the pixels whose label is not `ignore`, weighted by the class of the label; zero if
/// there are none. Writes its gradient by the logits into `gradient`.
///
/// # Panics
/// If a slice does not fit `shape`, or a label is neither `ignore` nor below `classes`.
pub fn value_and_gradient<L: Copy + Sync + Into<i64>>(
    isa: Isa,
    shape: LossShape,
    logits: &[f32],
    labels: &[L],
    class_weights: Option<&[f32]>,
    ignore: Option<u8>,
    gradient: &mut [f32],
) -> f32 {
    let LossShape { batch, classes, plane } = shape;
    check_len("logits", logits, batch * classes * plane);
    check_len("gradient", gradient, batch * classes * plane);
    check_len("labels", labels, batch * plane);
    if let Some(weights) = class_weights {
        check_len("class_weights", weights, classes);
    }
    let mut counts = vec![0usize; classes];
    for label in labels {
        let label: i64 = (*label).into();
        match counts.get_mut(label as usize) {
            _ if ignore.map(i64::from) == Some(label) => {}
            Some(count) => *count += 1,
            None => panic!("label {label} is neither below the {classes} classes nor the ignored one ({ignore:?})"),
        }
    }
    let weight = |class: usize| class_weights.map_or(1.0, |w| w[class]);
    let total: f64 = counts
        .iter()
        .enumerate()
        .map(|(class, &count)| count as f64 * f64::from(weight(class)))
        .sum();
    let factor = if total > 0.0 { (1.0 / total) as f32 } else { 0.0 };
    let factors: Vec<f32> = (0..classes).map(|class| weight(class) * factor).collect();
    let out = SharedOut::new(gradient);
    let tasks: Vec<_> = (0..batch).flat_map(|n| (0..plane).step_by(TASK).map(move |p| (n, p))).collect();
    let parts: Vec<f64> = tasks
        .into_par_iter()
        .map(|(n, start)| {
            isa.launch(Task {
                shape,
                n,
                start,
                logits,
                labels,
                factors: &factors,
                ignore,
                out,
            })
        })
        .collect();
    parts.iter().sum::<f64>() as f32
}

struct Task<'a, L> {
    shape: LossShape,
    n: usize,
    start: usize,
    logits: &'a [f32],
    labels: &'a [L],
    factors: &'a [f32],
    ignore: Option<u8>,
    out: SharedOut,
}

impl<L: Copy + Into<i64>> Kernel for Task<'_, L> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let LossShape { classes, plane, .. } = self.shape;
        let mut loss = 0f64;
        for start in (self.start..(self.start + TASK).min(plane)).step_by(BLOCK) {
            let len = BLOCK.min(plane - start);
            let at = |class: usize| (self.n * classes + class) * plane + start;
            let mut max = [f32::NEG_INFINITY; BLOCK];
            for class in 0..classes {
                for (max, x) in max.iter_mut().zip(&self.logits[at(class)..at(class) + len]) {
                    *max = if *x > *max { *x } else { *max };
                }
            }
            let mut sum = [0f32; BLOCK];
            for class in 0..classes {
                // SAFETY: tasks own different pixels.
                let e = unsafe { self.out.row(at(class), len) };
                let x = &self.logits[at(class)..at(class) + len];
                for (((e, x), max), sum) in e.iter_mut().zip(x).zip(&max).zip(&mut sum) {
                    *e = exp_of_negative(x - max);
                    *sum += *e;
                }
            }
            let mut scale = [0f32; BLOCK];
            for (p, label) in self.labels[self.n * plane + start..][..len].iter().enumerate() {
                let label: i64 = (*label).into();
                if self.ignore.map(i64::from) != Some(label) {
                    let factor = self.factors[label as usize];
                    let nll = sum[p].ln() + max[p] - self.logits[at(label as usize) + p];
                    loss += f64::from(factor) * f64::from(nll);
                    scale[p] = factor / sum[p];
                }
            }
            for class in 0..classes {
                // SAFETY: tasks own different pixels.
                let g = unsafe { self.out.row(at(class), len) };
                g.iter_mut().zip(&scale).for_each(|(g, scale)| *g *= scale);
            }
            for (p, label) in self.labels[self.n * plane + start..][..len].iter().enumerate() {
                let label: i64 = (*label).into();
                if self.ignore.map(i64::from) != Some(label) {
                    // SAFETY: tasks own different pixels.
                    let g = unsafe { self.out.row(at(label as usize) + p, 1) };
                    g[0] -= self.factors[label as usize];
                }
            }
        }
        loss
    }
}

/// `exp(x)` for `x <= 0` to about 2 units in the last place, without branches: the method of Cephes' `expf`.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    /// Adding it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    let x = if x > -87.0 { x } else { -87.0 };
    let whole = x * std::f32::consts::LOG2_E + ROUND;
    let n = whole - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4; // ln 2 in two parts
    let mut p = 1.987_569_1e-4f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = p * r + c;
    }
    let two_to_n = f32::from_bits((whole.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    (p * r * r + r + 1.0) * two_to_n
}
