//! Batch norm, pooling, means of neighbours, the sum of a residual block and cross-entropy agree with their definitions on every
//! instruction set.

mod common;

use common::{assert_close, numbers};
use maskline_kernels::Isa;
use maskline_kernels::batch_norm::{self, NormShape};
use maskline_kernels::cross_entropy::{self, LossShape};
use maskline_kernels::pool::{self, PoolShape};
use maskline_kernels::residual;
use maskline_kernels::smooth;

/// The central difference of `f` at `x` by each element, in f64.
fn differences(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f32> {
    let mut at = x.to_vec();
    (0..x.len())
        .map(|i| {
            at[i] = x[i] + 1e-6;
            let up = f(&at);
            at[i] = x[i] - 1e-6;
            let down = f(&at);
            at[i] = x[i];
            ((up - down) / 2e-6) as f32
        })
        .collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Batch norm by definition.
fn norm(shape: NormShape, x: &[f64], gamma: &[f64], beta: &[f64], epsilon: f64) -> Vec<f64> {
    let NormShape {
        batch,
        channels,
        plane,
        relu,
    } = shape;
    let mut y = vec![0.0; x.len()];
    for c in 0..channels {
        let at: Vec<usize> = (0..batch).flat_map(|n| ((n * channels + c) * plane..).take(plane)).collect();
        let mean = at.iter().map(|&i| x[i]).sum::<f64>() / at.len() as f64;
        let variance = at.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / at.len() as f64;
        for i in at {
            let v = (x[i] - mean) / (variance + epsilon).sqrt() * gamma[c] + beta[c];
            y[i] = if relu { v.max(0.0) } else { v };
        }
    }
    y
}

#[test]
fn batch_norm_agrees_with_its_definition_and_its_gradients_with_differences() {
    for relu in [false, true] {
        let shape = NormShape {
            batch: 3,
            channels: 2,
            plane: 35,
            relu,
        };
        let x: Vec<f32> = numbers(3 * 2 * 35, 1).iter().map(|x| 3.0 + 2.0 * x).collect();
        let (gamma, beta, dy) = (numbers(2, 2), numbers(2, 3), numbers(x.len(), 4));
        let (wx, wg, wb, wdy) = (wide(&x), wide(&gamma), wide(&beta), wide(&dy));
        let value = |x: &[f64], g: &[f64], b: &[f64]| norm(shape, x, g, b, 1e-5).iter().zip(&wdy).map(|(y, dy)| y * dy).sum::<f64>();
        let wanted: Vec<f32> = norm(shape, &wx, &wg, &wb, 1e-5).iter().map(|&y| y as f32).collect();
        for isa in Isa::available() {
            let (mut y, mut dx) = (vec![7.5; x.len()], vec![7.5; x.len()]);
            let stats = batch_norm::forward(isa, shape, &x, &gamma, &beta, 1e-5, &mut y);
            assert_close(&y, &wanted, 2e-6, isa);
            let gradients = batch_norm::backward(isa, shape, &x, &gamma, &beta, &stats, &dy, &mut dx);
            assert_close(&dx, &differences(&wx, |x| value(x, &wg, &wb)), 1e-5, (isa, "dx"));
            assert_close(&gradients.gamma, &differences(&wg, |g| value(&wx, g, &wb)), 1e-5, (isa, "dgamma"));
            assert_close(&gradients.beta, &differences(&wb, |b| value(&wx, &wg, b)), 1e-5, (isa, "dbeta"));
        }
    }
}

#[test]
fn batch_norm_keeps_a_small_variance_around_a_large_mean() {
    let shape = NormShape {
        batch: 2,
        channels: 1,
        plane: 5000,
        relu: false,
    };
    let x: Vec<f32> = numbers(10_000, 1).iter().map(|x| 1000.0 + 0.5 * x).collect();
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e4;
    let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 1e4;
    for isa in Isa::available() {
        let stats = batch_norm::forward(isa, shape, &x, &[1.0], &[0.0], 1e-5, &mut vec![0.0; 10_000]);
        assert!(
            (f64::from(stats.variance[0]) / variance - 1.0).abs() < 1e-5,
            "{isa:?}: {} instead of {variance}",
            stats.variance[0]
        );
    }
}

#[test]
fn pooling_takes_the_first_maximum_of_each_square_and_sends_the_gradient_back_there() {
    #[rustfmt::skip]
    let x = [
        1.0, 5.0, 2.0, 2.0, 9.0,
        3.0, 4.0, 2.0, 2.0, 9.0,
        0.0, -1.0, -4.0, -2.0, 9.0,
        7.0, 8.0, -1.0, -3.0, 9.0,
        9.0, 9.0, 9.0, 9.0, 9.0,
    ];
    let shape = PoolShape {
        planes: 1,
        height: 5,
        width: 5,
    };
    for isa in Isa::available() {
        let (mut y, mut corner, mut dx) = ([0.0; 4], [9; 4], [7.5; 25]);
        pool::forward(isa, shape, &x, &mut y, &mut corner);
        assert_eq!((y, corner), ([5.0, 2.0, 8.0, -1.0], [1, 0, 3, 2]), "{isa:?}");
        pool::backward(isa, shape, &[1.0, 2.0, 3.0, 4.0], &corner, &mut dx);
        let mut wanted = [0.0; 25];
        (wanted[1], wanted[2], wanted[16], wanted[17]) = (1.0, 2.0, 3.0, 4.0);
        assert_eq!(dx, wanted, "{isa:?}");
    }
}

#[test]
fn pooling_works_plane_by_plane_at_any_width() {
    for (planes, height, width) in [(3, 4, 70), (2, 7, 33), (5, 2, 2), (2, 1, 9)] {
        let shape = PoolShape { planes, height, width };
        let x = numbers(shape.input_len(), 1);
        let (h, w) = (height / 2, width / 2);
        let at = |i: usize| (i / (h * w).max(1), i / w.max(1) % h.max(1), i % w.max(1));
        let wanted: Vec<f32> = (0..shape.output_len())
            .map(|i| {
                let (p, r, c) = at(i);
                let from = |a: usize, b: usize| x[(p * height + 2 * r + a) * width + 2 * c + b];
                from(0, 0).max(from(0, 1)).max(from(1, 0)).max(from(1, 1))
            })
            .collect();
        for isa in Isa::available() {
            let (mut y, mut corner, mut dx) = (vec![7.5; wanted.len()], vec![9; wanted.len()], vec![7.5; x.len()]);
            pool::forward(isa, shape, &x, &mut y, &mut corner);
            assert_eq!(y, wanted, "{isa:?} {shape:?}");
            pool::backward(isa, shape, &y, &corner, &mut dx);
            let kept: usize = dx.iter().zip(&x).filter(|(dx, x)| dx == x).count();
            assert_eq!(kept, wanted.len(), "{isa:?} {shape:?}: each maximum returns to its own pixel");
            assert_eq!(
                dx.iter().filter(|&&dx| dx == 0.0).count(),
                x.len() - kept,
                "{isa:?} {shape:?}: all else is zero"
            );
        }
    }
}

#[test]
fn the_sum_of_a_residual_block_is_rectified_and_its_gradient_passes_where_it_is_positive() {
    let len = 40_001; // several tasks, the last one short
    let (a, b, dy) = (numbers(len, 1), numbers(len, 2), numbers(len, 3));
    let sums: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    let wanted: Vec<f32> = sums.iter().map(|s| s.max(0.0)).collect();
    let wanted_gradient: Vec<f32> = sums.iter().zip(&dy).map(|(s, dy)| if *s > 0.0 { *dy } else { 0.0 }).collect();
    for isa in Isa::available() {
        let (mut y, mut dx) = (vec![7.5; len], vec![7.5; len]);
        residual::forward(isa, &a, &b, &mut y);
        residual::backward(isa, &y, &dy, &mut dx);
        assert_eq!(y, wanted, "{isa:?}");
        assert_eq!(dx, wanted_gradient, "{isa:?}");
    }
}

/// Weighted cross-entropy by definition.
fn entropy(shape: LossShape, logits: &[f64], labels: &[i32], weights: &[f64], ignore: i32) -> f64 {
    let LossShape { batch, classes, plane } = shape;
    let (mut sum, mut total) = (0.0, 0.0);
    for (n, p) in (0..batch).flat_map(|n| (0..plane).map(move |p| (n, p))) {
        let label = labels[n * plane + p];
        if label != ignore {
            let x: Vec<f64> = (0..classes).map(|c| logits[(n * classes + c) * plane + p]).collect();
            let log_sum = x.iter().map(|x| x.exp()).sum::<f64>().ln();
            sum += weights[label as usize] * (log_sum - x[label as usize]);
            total += weights[label as usize];
        }
    }
    sum / total
}

#[test]
fn cross_entropy_agrees_with_its_definition_and_its_gradient_with_differences() {
    let shape = LossShape {
        batch: 2,
        classes: 5,
        plane: 37,
    };
    let logits: Vec<f32> = numbers(2 * 5 * 37, 1).iter().map(|x| 6.0 * x).collect();
    let labels: Vec<i32> = (0..74).map(|i| [0, 4, 2, 255, 1, 3, 4][i * 5 % 7]).collect();
    let weights = [0.5, 2.0, 1.0, 0.1, 3.0];
    let (wl, ww) = (wide(&logits), wide(&weights));
    let wanted = entropy(shape, &wl, &labels, &ww, 255) as f32;
    let wanted_gradient = differences(&wl, |x| entropy(shape, x, &labels, &ww, 255));
    for isa in Isa::available() {
        let mut gradient = vec![7.5; logits.len()];
        let value = cross_entropy::value_and_gradient(isa, shape, &logits, &labels, Some(&weights), Some(255), &mut gradient);
        assert!((value / wanted - 1.0).abs() < 1e-6, "{isa:?}: {value} instead of {wanted}");
        assert_close(&gradient, &wanted_gradient, 1e-5, isa);
    }
}

#[test]
fn cross_entropy_survives_extreme_logits_and_several_tasks() {
    let shape = LossShape {
        batch: 1,
        classes: 2,
        plane: 10_000,
    };
    let logits: Vec<f32> = (0..20_000).map(|i| if i < 10_000 { 300.0 } else { -300.0 }).collect();
    let labels: Vec<u8> = (0..10_000).map(|i| u8::from(i % 2 == 0)).collect();
    for isa in Isa::available() {
        let mut gradient = vec![7.5; logits.len()];
        let value = cross_entropy::value_and_gradient(isa, shape, &logits, &labels, None, None, &mut gradient);
        assert!((value - 300.0).abs() < 1e-2, "{isa:?}: {value}");
        assert!(gradient.iter().all(|g| g.abs() <= 1e-4), "{isa:?}");
    }
}

#[test]
fn pixels_that_are_all_ignored_give_no_loss_and_no_gradient() {
    let shape = LossShape {
        batch: 1,
        classes: 3,
        plane: 4,
    };
    let mut gradient = vec![7.5; 12];
    let value = cross_entropy::value_and_gradient(Isa::best(), shape, &numbers(12, 1), &[9u8; 4], None, Some(9), &mut gradient);
    assert_eq!((value, gradient), (0.0, vec![0.0; 12]));
}

#[test]
#[should_panic(expected = "label 3 is neither below the 3 classes nor the ignored one")]
fn a_label_beyond_the_classes_is_refused() {
    let shape = LossShape {
        batch: 1,
        classes: 3,
        plane: 2,
    };
    cross_entropy::value_and_gradient(Isa::best(), shape, &[0.0; 6], &[0u8, 3], None, Some(9), &mut [0.0; 6]);
}

#[test]
fn a_point_spreads_to_its_neighbours_and_an_edge_keeps_what_would_leave() {
    for isa in Isa::available() {
        let (mut x, mut y) = (vec![0.0; 2 * 4 * 5], vec![9.0; 2 * 4 * 5]);
        x[5 + 2] = 16.0; // inside the first plane
        x[20] = 16.0; // a corner of the second
        smooth::smooth(isa, [4, 5], &x, &mut y);
        let first = [
            [0.0, 1.0, 2.0, 1.0, 0.0],
            [0.0, 2.0, 4.0, 2.0, 0.0],
            [0.0, 1.0, 2.0, 1.0, 0.0],
            [0.0; 5],
        ];
        let second = [[9.0, 3.0, 0.0, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0, 0.0], [0.0; 5], [0.0; 5]];
        assert_eq!(y, [first, second].concat().concat(), "{isa:?}");
    }
}
