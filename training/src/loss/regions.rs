//! Losses of whole classes: soft Dice and Lovasz-softmax. Both take scores `[n, classes, h, w]` and class numbers `[n, h, w]` (or
//! [`IGNORE`]: such pixels count for nothing), and give one element.

use crate::metrics::IGNORE;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;

/// 1 minus the mean soft Dice coefficient of the classes that occur in the batch (Milletari et al. 2016).
pub fn dice(logits: Tensor<4>, labels: Tensor<3, Int>) -> Tensor<1> {
    let [n, classes, h, w] = logits.dims();
    let pixels = n * h * w;
    let ids = labels.reshape([1, pixels]);
    let numbers: Tensor<2, Int> = Tensor::<1, Int>::arange(0..classes as i64, &ids.device()).reshape([classes, 1]);
    let truth = numbers.equal(ids.clone()).float(); // [classes, pixels], all zero where ignored
    let valid = ids.not_equal_elem(i64::from(IGNORE)).float(); // [1, pixels]
    let scores = softmax(logits, 1).swap_dims(0, 1).reshape([classes, pixels]) * valid;
    let both = (scores.clone() * truth.clone()).sum_dim(1); // [classes, 1]
    let truth = truth.sum_dim(1);
    let sum = scores.sum_dim(1) + truth.clone();
    let present = truth.greater_elem(0.0).float();
    let coefficient = both.mul_scalar(2.0) / sum.clamp_min(1e-6) * present.clone();
    let mean = coefficient.sum() / present.sum().clamp_min(1.0);
    mean.neg().add_scalar(1.0)
}

/// The Lovasz extension of 1 minus IoU, mean over the classes that occur in the batch (Berman et al. 2018): the errors of a
/// class, from the largest down, times what each adds to 1 minus IoU if it and all larger ones are mistakes.
///
/// The order is found on the processor, whatever the device.
pub fn lovasz(logits: Tensor<4>, labels: Tensor<3, Int>) -> Tensor<1> {
    let shape = logits.dims();
    let ids: Vec<i32> = labels.into_data().iter::<i32>().collect();
    let p = softmax(logits, 1);
    let values = p.clone().inner().into_data().convert::<f32>().try_into_vec::<f32>();
    let (slopes, constant) = slopes(&values.expect("converted above"), &ids, shape);
    // An error is 1 - p at pixels of the class and p at all others: its sign is in the slope, and the ones are the constant.
    (p.clone() * Tensor::from_data(TensorData::new(slopes, shape), &p.device()))
        .sum()
        .add_scalar(constant)
}

/// What one more of each probability `[n, classes, h, w]` adds to the loss, and the loss if all of them were 0.
fn slopes(p: &[f32], ids: &[i32], [n, classes, h, w]: [usize; 4]) -> (Vec<f32>, f32) {
    let plane = h * w;
    let of_classes: Vec<Option<Vec<f32>>> = (0..classes)
        .into_par_iter()
        .map(|class| {
            let pictures = (0..n).map(|picture| &p[(picture * classes + class) * plane..][..plane]);
            class_slopes(pictures.flatten().copied(), ids, class as i32)
        })
        .collect();
    let present = of_classes.iter().flatten().count().max(1) as f32;
    let mut slopes = vec![0.0; p.len()];
    let mut constant = 0.0;
    for (class, of_class) in of_classes.iter().enumerate() {
        let Some(of_class) = of_class else { continue };
        for picture in 0..n {
            let target = &mut slopes[(picture * classes + class) * plane..][..plane];
            for (slope, from) in target.iter_mut().zip(&of_class[picture * plane..]) {
                *slope = from / present;
                constant += f64::from((-*slope).max(0.0));
            }
        }
    }
    (slopes, constant as f32)
}

/// The slopes of one class, whose probabilities are `p`, by pixel: below 0 at its own pixels; `None` where it does not occur.
fn class_slopes(p: impl Iterator<Item = f32>, ids: &[i32], class: i32) -> Option<Vec<f32>> {
    let own = ids.iter().filter(|id| **id == class).count() as f64;
    if own == 0.0 {
        return None;
    }
    let mut order: Vec<(u32, u32)> = Vec::with_capacity(ids.len()); // by falling error, with the pixel
    order.extend(
        (0..)
            .zip(ids.iter().zip(p))
            .filter(|(_, (id, _))| **id != i32::from(IGNORE))
            .map(|(i, (id, p))| {
                let p = p.clamp(0.0, 1.0);
                let error: f32 = if *id == class { 1.0 - p } else { p };
                (!error.to_bits(), i) // the bits of positive floats are in the order of their values
            }),
    );
    radsort::sort_by_key(&mut order, |(error, _)| *error);
    let mut slopes = vec![0.0; ids.len()];
    let (mut missed, mut alarms, mut before) = (0.0, 0.0, 0.0);
    for (_, i) in order {
        let i = i as usize;
        let mine = ids[i] == class;
        if mine {
            missed += 1.0;
        } else {
            alarms += 1.0;
        }
        let loss = 1.0 - (own - missed) / (own + alarms);
        let slope = (loss - before) as f32;
        slopes[i] = if mine { -slope } else { slope };
        before = loss;
    }
    Some(slopes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_slopes, case, value};
    use super::*;

    /// Two pixels of two classes, and a third one that is ignored.
    const LOGITS: [f32; 6] = [2.0, 0.0, 9.0, 0.0, 0.0, -9.0];
    const LABELS: [i32; 3] = [0, 1, 255];

    #[test]
    fn dice_agrees_with_a_value_worked_out_by_hand() {
        let (logits, labels) = case(&LOGITS, &LABELS);
        let p = 1.0 / (1.0 + (-2.0_f64).exp()); // score of class 0 at pixel 0; 0.5 at pixel 1
        let class0 = 2.0 * p / (p + 0.5 + 1.0);
        let class1 = 2.0 * 0.5 / ((1.0 - p) + 0.5 + 1.0);
        let wanted = 1.0 - (class0 + class1) / 2.0;
        let found = value(dice(logits, labels));
        assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
    }

    #[test]
    fn dice_pulls_the_right_score_up_the_wrong_one_down_and_leaves_ignored_pixels_alone() {
        let (logits, labels) = case(&LOGITS, &LABELS);
        let logits = logits.require_grad();
        let mut grads = dice(logits.clone(), labels).backward();
        let grad = logits.grad_remove(&mut grads).unwrap().into_data().try_into_vec::<f32>().unwrap();
        assert!(grad[0] < 0.0 && grad[3] > 0.0, "{grad:?}"); // pixel 0 is class 0: descent raises its score
        assert!(grad[1] > 0.0 && grad[4] < 0.0, "{grad:?}"); // pixel 1 is class 1
        assert_eq!((grad[2], grad[5]), (0.0, 0.0));
    }

    #[test]
    fn lovasz_agrees_with_a_value_worked_out_by_hand() {
        let (logits, labels) = case(&LOGITS, &LABELS);
        let p = 1.0 / (1.0 + (-2.0_f64).exp()); // of class 0 at pixel 0; 0.5 at pixel 1
        // Class 0: errors 0.5 (another's pixel) and 1 - p (its own): 1 - IoU goes 0, 1 - 1/2, 1.
        let class0 = 0.5 * 0.5 + 0.5 * (1.0 - p);
        // Class 1: errors 0.5 (its own pixel) and 1 - p: 1 - IoU goes 0, 1, 1.
        let class1 = 0.5;
        let found = value(lovasz(logits, labels));
        let wanted = (class0 + class1) / 2.0;
        assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
    }

    #[test]
    fn lovasz_of_certain_scores_is_one_minus_the_mean_iou() {
        // Two pictures of 2x2 pixels; predicted: class 0 everywhere but at the last pixel.
        let labels = [0, 0, 1, 255, 0, 2, 2, 2];
        let mut logits = vec![-40.0; 2 * 3 * 4];
        for (i, class) in [0, 0, 0, 0, 0, 0, 0, 2].into_iter().enumerate() {
            logits[(i / 4 * 3 + class) * 4 + i % 4] = 40.0;
        }
        let device = burn::tensor::Device::flex().autodiff();
        let logits = Tensor::from_data(TensorData::new(logits, [2, 3, 2, 2]), &device);
        let labels = Tensor::from_data(TensorData::new(labels.to_vec(), [2, 2, 2]), &device);
        // IoU: class 0 3 of 6, class 1 0 of 1, class 2 1 of 3
        let wanted = 1.0 - (0.5 + 0.0 + 1.0 / 3.0) / 3.0;
        let found = value(lovasz(logits, labels));
        assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
    }

    #[test]
    fn slopes_agree_with_small_differences() {
        let logits: Vec<f32> = (0..15).map(|i| ((i * 37 % 17) as f32 - 8.0) / 5.0).collect();
        let (logits, labels) = case(&logits, &[0, 2, 255, 1, 2]);
        assert_slopes(logits.clone(), |x| lovasz(x, labels.clone()));
        assert_slopes(logits, |x| dice(x, labels.clone()));
    }
}
