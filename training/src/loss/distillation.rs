//! Learning from the scores of another net.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

/// Kullback-Leibler divergence of the softened probabilities of scores from those of a teacher, mean over all pixels, times the square
/// of the temperature, so that its slopes are as long at every temperature (Hinton et al. 2015).
///
/// Both are scores `[n, classes, h, w]`, on the same device; the teacher's carry no gradient. Gives one element.
pub fn distillation(logits: Tensor<4>, teacher: Tensor<4>, temperature: f32) -> Tensor<1> {
    let [n, _, h, w] = logits.dims();
    let ours = log_softmax(logits.div_scalar(temperature), 1);
    let theirs = log_softmax(teacher.div_scalar(temperature), 1);
    let divergence = (theirs.clone().exp() * (theirs - ours)).sum();
    divergence.mul_scalar(temperature * temperature / (n * h * w) as f32)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_slopes, case, value};
    use super::*;

    #[test]
    fn the_divergence_agrees_with_a_value_worked_out_by_hand() {
        let (ours, _) = case(&[1.0, 0.0, 0.0, 2.0], &[0, 0]); // pixel 0: 1 and 0, pixel 1: 0 and 2
        let (theirs, _) = case(&[3.0, 0.0, 0.0, 2.0], &[0, 0]);
        let p = |x: f64| 1.0 / (1.0 + (-x).exp());
        let kl = |a: f64, b: f64| a * (a / b).ln() + (1.0 - a) * ((1.0 - a) / (1.0 - b)).ln();
        for temperature in [1.0, 4.0] {
            let t = f64::from(temperature);
            let wanted = t * t * kl(p(3.0 / t), p(1.0 / t)) / 2.0;
            let found = value(distillation(ours.clone(), theirs.clone(), temperature));
            assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
        }
        assert_slopes(ours.clone(), |x| distillation(x, theirs.clone(), 2.0));
        assert!(value(distillation(ours.clone(), ours, 2.0)).abs() < 1e-6);
    }
}
