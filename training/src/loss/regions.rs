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
/// Errors within 1/4096 of each other count as equal, which saves the sorting. Equal ones share what they add together: the mean
/// over the orders that begin with the pixels of the class and with the others. The slopes are found on the processor, whatever
/// the device.
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
    let pixels = |class: usize, picture: usize| {
        let p = &p[(picture * classes + class) * plane..][..plane];
        p.iter().copied().zip(ids[picture * plane..][..plane].iter().copied())
    };
    let mut tables: Vec<Option<Errors>> = (0..classes)
        .into_par_iter()
        .map(|class| Errors::count((0..n).flat_map(|picture| pixels(class, picture)), class as i32))
        .collect();
    let share = 1.0 / tables.iter().flatten().count().max(1) as f64;
    let constant: f64 = tables.iter_mut().flatten().map(|errors| errors.slopes(share)).sum();
    let mut slopes = vec![0.0; p.len()];
    slopes.par_chunks_mut(plane).enumerate().for_each(|(i, slopes)| {
        let class = i % classes;
        let Some(errors) = &tables[class] else { return };
        for (slope, (p, id)) in slopes.iter_mut().zip(pixels(class, i / classes)) {
            if id != i32::from(IGNORE) {
                *slope = errors.slope(p, id == class as i32);
            }
        }
    });
    (slopes, constant as f32)
}

/// How many errors count as different between 0 and 1.
const STEPS: usize = 4096;

/// The errors of a class by their size: at pixels of other classes, and at its own.
struct Errors {
    counts: Vec<[u32; 2]>,
    /// What one more of the class's probability adds to the loss, at errors of that size.
    slopes: Vec<[f32; 2]>,
}

impl Errors {
    /// Counts those of the pixels (probability of the class, class number); `None` where the class does not occur.
    fn count(pixels: impl Iterator<Item = (f32, i32)>, class: i32) -> Option<Self> {
        let mut counts = vec![[0; 2]; STEPS + 1];
        let mut occurs = false;
        for (p, id) in pixels {
            let own = id == class;
            occurs |= own;
            counts[step(p, own)][usize::from(own)] += u32::from(id != i32::from(IGNORE));
        }
        occurs.then(|| Self {
            counts,
            slopes: vec![[0.0; 2]; STEPS + 1],
        })
    }

    /// Finds the slopes, as `share` of the loss; what the class's own pixels give if all probabilities are 0.
    fn slopes(&mut self, share: f64) -> f64 {
        let own: f64 = self.counts.iter().map(|[_, own]| f64::from(*own)).sum();
        let loss = |missed: f64, alarms: f64| 1.0 - (own - missed) / (own + alarms);
        let (mut missed, mut alarms, mut constant) = (0.0, 0.0, 0.0);
        for (counts, slopes) in self.counts.iter().zip(&mut self.slopes).rev() {
            let [others, mine] = counts.map(f64::from);
            let (more_missed, more_alarms) = (missed + mine, alarms + others);
            let (before, after) = (loss(missed, alarms), loss(more_missed, more_alarms));
            let (mine_first, others_first) = (loss(more_missed, alarms), loss(missed, more_alarms));
            let by_mine = share * (mine_first - before + after - others_first) / 2.0;
            let by_others = share * (others_first - before + after - mine_first) / 2.0;
            *slopes = [(by_others / others.max(1.0)) as f32, (-by_mine / mine.max(1.0)) as f32];
            constant += by_mine;
            (missed, alarms) = (more_missed, more_alarms);
        }
        constant
    }

    fn slope(&self, p: f32, own: bool) -> f32 {
        self.slopes[step(p, own)][usize::from(own)]
    }
}

/// The size of a pixel's error, from the probability of the class.
fn step(p: f32, own: bool) -> usize {
    let p = p.clamp(0.0, 1.0);
    let error = if own { 1.0 - p } else { p };
    (error * STEPS as f32) as usize
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
    fn lovasz_is_near_that_of_sorted_errors() {
        const PIXELS: usize = 600;
        let labels: Vec<i32> = (0..PIXELS as i32).map(|i| if i % 11 == 0 { 255 } else { i * i / 2 % 3 }).collect();
        let scores: Vec<f32> = (0..3 * PIXELS as i32).map(|i| ((i * 7919 % 613) as f32 - 306.0) / 80.0).collect();
        let class_loss = |class: usize| {
            let mut errors: Vec<(f64, bool)> = (0..PIXELS)
                .filter(|i| labels[*i] != 255)
                .map(|i| {
                    let e = [0, 1, 2].map(|c| f64::from(scores[c * PIXELS + i]).exp());
                    let (p, own) = (e[class] / e.iter().sum::<f64>(), labels[i] == class as i32);
                    (if own { 1.0 - p } else { p }, own)
                })
                .collect();
            errors.sort_by(|a, b| b.0.total_cmp(&a.0));
            let all = errors.iter().filter(|(_, own)| *own).count() as f64;
            let (mut missed, mut alarms, mut before, mut sum) = (0.0, 0.0, 0.0, 0.0);
            for (error, own) in errors {
                *if own { &mut missed } else { &mut alarms } += 1.0;
                let loss = 1.0 - (all - missed) / (all + alarms);
                sum += error * (loss - before);
                before = loss;
            }
            sum
        };
        let wanted = (0..3).map(class_loss).sum::<f64>() / 3.0;
        let device = burn::tensor::Device::flex().autodiff();
        let logits = Tensor::from_data(TensorData::new(scores.clone(), [1, 3, 20, 30]), &device);
        let ids = Tensor::from_data(TensorData::new(labels.clone(), [1, 20, 30]), &device);
        let found = value(lovasz(logits, ids));
        assert!((found - wanted).abs() < 1e-4, "{found} {wanted}");
    }

    #[test]
    fn slopes_agree_with_small_differences() {
        let logits: Vec<f32> = (0..15).map(|i| ((i * 37 % 17) as f32 - 8.0) / 5.0).collect();
        let (logits, labels) = case(&logits, &[0, 2, 255, 1, 2]);
        assert_slopes(logits.clone(), |x| lovasz(x, labels.clone()));
        assert_slopes(logits, |x| dice(x, labels.clone()));
    }
}
