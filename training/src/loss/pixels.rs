//! Losses that are a mean over pixels: cross-entropy with label smoothing, focal loss, and the hardest pixels alone.
//!
//! All take scores `[n, classes, h, w]`, class numbers `[n, h, w]` (or [`IGNORE`]: such pixels count for nothing) and a weight for
//! every class, give one element, and divide by the sum of the weights of the pixels that count.

use crate::metrics::IGNORE;
use crate::ops;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// Cross-entropy. With `smoothing` above 0 that share of the truth is spread evenly over all classes (Szegedy et al. 2016).
pub(super) fn cross_entropy(logits: Tensor<4>, labels: Tensor<3, Int>, class_weights: Option<Tensor<1>>, smoothing: f32) -> Tensor<1> {
    let hard = ops::cross_entropy(logits.clone(), labels.clone(), class_weights.clone(), Some(IGNORE));
    if smoothing == 0.0 {
        return hard;
    }
    let [n, classes, h, w] = logits.dims();
    let counts = labels.clone().not_equal_elem(i64::from(IGNORE)).float().reshape([n, 1, h, w]);
    let (_, weights) = weighted(labels, class_weights.clone(), &logits);
    let log_p = log_softmax(logits, 1);
    let log_p = match class_weights {
        Some(weights) => log_p * weights.reshape([1, classes, 1, 1]),
        None => log_p,
    };
    let even = (log_p.sum_dim(1) * counts).sum().div_scalar(-(classes as f32));
    hard.mul_scalar(1.0 - smoothing) + (even / total(weights)).mul_scalar(smoothing)
}

/// Focal loss: the cross-entropy of each pixel times `(1 - p)^gamma`, where `p` is the probability of its class, so that pixels
/// that are nearly right hardly count (Lin et al. 2017). The class weights are its alpha.
pub(super) fn focal(logits: Tensor<4>, labels: Tensor<3, Int>, class_weights: Option<Tensor<1>>, gamma: f32) -> Tensor<1> {
    let (labels, weights) = weighted(labels, class_weights, &logits);
    let log_p = log_likelihood(logits, labels);
    // Not quite 0, where the slope of a power below 1 would be infinite.
    let miss = log_p.clone().exp().neg().add_scalar(1.0).clamp_min(f32::EPSILON);
    (miss.powf_scalar(gamma) * log_p * weights.clone()).sum().neg() / total(weights)
}

/// Cross-entropy of the hardest pixels alone (online hard example mining, Shrivastava et al. 2016): those whose class has a
/// probability below `threshold`, and at least that `share` of all labelled pixels.
pub(super) fn ohem(logits: Tensor<4>, labels: Tensor<3, Int>, class_weights: Option<Tensor<1>>, threshold: f32, share: f32) -> Tensor<1> {
    let (known, _) = weighted(labels.clone(), None, &logits);
    let log_p = log_likelihood(logits.clone().inner(), known.inner());
    let log_p: Vec<f32> = log_p.into_data().iter::<f32>().collect();
    let shape = labels.dims();
    let mut ids: Vec<i32> = labels.into_data().iter::<i32>().collect();
    let ignored = i32::from(IGNORE);
    let mut labelled: Vec<f32> = ids.iter().zip(&log_p).filter(|(id, _)| **id != ignored).map(|(_, p)| *p).collect();
    let least = (share * labelled.len() as f32).ceil() as usize;
    let mut cut = threshold.ln();
    if let Some(last) = least.checked_sub(1).filter(|last| *last < labelled.len()) {
        cut = cut.max(*labelled.select_nth_unstable_by(last, f32::total_cmp).1);
    }
    for (id, p) in ids.iter_mut().zip(&log_p) {
        if *p > cut {
            *id = ignored;
        }
    }
    let hard = Tensor::from_data(TensorData::new(ids, shape), &logits.device());
    ops::cross_entropy(logits, hard, class_weights, Some(IGNORE))
}

/// Logarithm of the probability of each pixel's class, `[n * h * w]`.
fn log_likelihood(logits: Tensor<4>, labels: Tensor<3, Int>) -> Tensor<1> {
    let [n, _, h, w] = logits.dims();
    log_softmax(logits, 1).gather(1, labels.reshape([n, 1, h, w])).reshape([n * h * w])
}

/// Labels with any class in place of [`IGNORE`], and the weight of each pixel `[n * h * w]`: that of its class, 0 where ignored.
fn weighted(labels: Tensor<3, Int>, class_weights: Option<Tensor<1>>, like: &Tensor<4>) -> (Tensor<3, Int>, Tensor<1>) {
    let pixels = labels.shape().num_elements();
    let ignored = labels.clone().equal_elem(i64::from(IGNORE));
    let labels = labels.mask_fill(ignored.clone(), 0);
    let weights = match class_weights {
        Some(weights) => weights.gather(0, labels.clone().reshape([pixels])),
        None => Tensor::ones([pixels], &like.device()),
    };
    (labels, weights.mask_fill(ignored.reshape([pixels]), 0.0))
}

/// Their sum, never 0.
fn total(weights: Tensor<1>) -> Tensor<1> {
    weights.sum().clamp_min(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_slopes, case, value};
    use super::*;
    use burn::tensor::Device;

    /// Three classes, four pixels, the third one ignored.
    const LOGITS: [f32; 12] = [2.0, 0.1, 9.0, -1.0, 0.0, 0.3, -9.0, 0.5, -0.7, 1.4, 3.0, 0.2];
    const LABELS: [i32; 4] = [0, 2, 255, 1];
    const WEIGHTS: [f64; 3] = [0.5, 1.0, 4.0];

    fn weights() -> Tensor<1> {
        Tensor::from_floats(WEIGHTS.map(|w| w as f32), &Device::flex().autodiff())
    }

    /// Log-probabilities of the classes at a pixel.
    fn log_p(pixel: usize) -> [f64; 3] {
        let x = [0, 1, 2].map(|c| f64::from(LOGITS[4 * c + pixel]));
        let sum = x.iter().map(|x| x.exp()).sum::<f64>().ln();
        x.map(|x| x - sum)
    }

    /// Mean of `loss(log-probabilities, class)` over the labelled pixels, `scale` times weighted.
    fn by_hand(weights: [f64; 3], loss: impl Fn([f64; 3], usize) -> f64) -> f64 {
        let labelled = [(0, 0), (1, 2), (3, 1)];
        let sum: f64 = labelled.iter().map(|(pixel, class)| loss(log_p(*pixel), *class)).sum();
        sum / labelled.iter().map(|(_, class)| weights[*class]).sum::<f64>()
    }

    #[track_caller]
    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-6 * wanted.abs().max(1.0), "{found} {wanted}");
    }

    #[test]
    fn smoothed_cross_entropy_agrees_with_its_formula() {
        let (logits, labels) = case(&LOGITS, &LABELS);
        let found = value(cross_entropy(logits.clone(), labels.clone(), Some(weights()), 0.1));
        let wanted = by_hand(WEIGHTS, |log_p, class| {
            let even: f64 = (0..3).map(|c| -WEIGHTS[c] * log_p[c] / 3.0).sum();
            -0.9 * WEIGHTS[class] * log_p[class] + 0.1 * even
        });
        close(found, wanted);
        assert_slopes(logits, |x| cross_entropy(x, labels.clone(), None, 0.2));
    }

    #[test]
    fn focal_agrees_with_its_formula_and_without_gamma_with_cross_entropy() {
        let (logits, labels) = case(&LOGITS, &LABELS);
        let found = value(focal(logits.clone(), labels.clone(), Some(weights()), 2.0));
        let wanted = by_hand(WEIGHTS, |log_p, class| {
            -WEIGHTS[class] * (1.0 - log_p[class].exp()).powi(2) * log_p[class]
        });
        close(found, wanted);
        let plain = value(focal(logits.clone(), labels.clone(), None, 0.0));
        close(plain, value(cross_entropy(logits.clone(), labels.clone(), None, 0.0)));
        assert_slopes(logits, |x| focal(x, labels.clone(), None, 1.5));
    }

    #[test]
    fn focal_has_slopes_where_a_pixel_is_certainly_right() {
        let (logits, labels) = case(&[90.0, 0.0, 0.0], &[0]);
        let logits = logits.require_grad();
        let grads = focal(logits.clone(), labels, None, 0.5).backward();
        let grad: Vec<f32> = logits.grad(&grads).unwrap().into_data().iter::<f32>().collect();
        assert!(grad.iter().all(|g| g.is_finite()), "{grad:?}");
    }

    #[test]
    fn ohem_is_the_cross_entropy_of_the_hardest_pixels() {
        let (logits, labels) = case(&LOGITS, &LABELS);
        let own = [log_p(0)[0], log_p(1)[2], log_p(3)[1]].map(f64::exp); // 0.83, 0.62, 0.51
        assert!(own[0] > 0.7 && own[1] < 0.7 && own[1] > 0.6 && own[2] < 0.6);
        let with = |threshold, share| value(ohem(logits.clone(), labels.clone(), None, threshold, share));
        let nll = own.map(|p| -p.ln());
        close(with(0.7, 0.0), (nll[1] + nll[2]) / 2.0);
        close(with(0.6, 0.0), nll[2]);
        close(with(0.6, 0.5), (nll[1] + nll[2]) / 2.0); // half of three pixels is two
        close(with(0.01, 1.0), nll.iter().sum::<f64>() / 3.0);
        close(with(0.01, 0.0), 0.0);
        assert_slopes(logits.clone(), |x| ohem(x, labels.clone(), None, 0.7, 0.0));
    }
}
