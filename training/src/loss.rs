//! What training minimises: weighted cross-entropy, soft Dice, or a weighted sum of both, at full resolution and at a coarser one.

use crate::metrics::IGNORE;
use crate::ops;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// `[loss]` of a training configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LossConfig {
    /// Weight of the cross-entropy; 0 for none.
    pub cross_entropy: f32,
    /// Weight of the Dice loss; 0 for none.
    pub dice: f32,
    /// How rare classes are made to count in the cross-entropy.
    pub class_weights: ClassWeights,
    /// `c` of the scheme `log`, `1 / ln(c + share)`: the nearer to 1, the more rare classes count.
    pub log_offset: f64,
    /// Weight of the same loss on scores of a coarser level of the decoder (deep supervision, Lee et al. 2015); 0 for none.
    pub auxiliary: f32,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            cross_entropy: 1.0,
            dice: 0.0,
            class_weights: ClassWeights::default(),
            log_offset: 1.02,
            auxiliary: 0.0,
        }
    }
}

/// Weights of the classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassWeights {
    /// Worked out from the class shares of the training data.
    Scheme(Scheme),
    /// One number a class, in the order of the class list without ignored classes.
    Explicit(Vec<f32>),
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Scheme(Scheme::None)
    }
}

/// How weights follow from class shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// All 1.
    None,
    /// `1 / ln(c + share)` (Paszke et al. 2016).
    Log,
    /// Median of the shares over the share (Eigen and Fergus 2015).
    MedianFrequency,
}

impl LossConfig {
    /// Key, found and wanted of every value that is out of range.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut list = Vec::new();
        if !(self.cross_entropy >= 0.0 && self.dice >= 0.0 && self.cross_entropy + self.dice > 0.0) {
            let found = format!("{} with dice {}", self.cross_entropy, self.dice);
            list.push(("cross_entropy", found, "weights of 0 or more, one of them above 0"));
        }
        if self.log_offset.partial_cmp(&1.0) != Some(std::cmp::Ordering::Greater) {
            list.push(("log_offset", self.log_offset.to_string(), "more than 1"));
        }
        if !(self.auxiliary >= 0.0 && self.auxiliary.is_finite()) {
            list.push(("auxiliary", self.auxiliary.to_string(), "0 or more"));
        }
        if let ClassWeights::Explicit(weights) = &self.class_weights
            && weights.iter().any(|w| !(*w >= 0.0 && w.is_finite()))
        {
            list.push(("class_weights", format!("{weights:?}"), "numbers of 0 or more"));
        }
        list
    }

    /// The class weights for these pixel counts, scaled so that their mean over all pixels is 1; `None` if all are 1.
    ///
    /// # Errors
    /// One line, if explicit weights are not as many as the classes.
    pub fn weights(&self, counts: &[u64]) -> Result<Option<Vec<f32>>, String> {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let shares: Vec<f64> = counts.iter().map(|c| *c as f64 / total).collect();
        let raw: Vec<f64> = match &self.class_weights {
            ClassWeights::Scheme(Scheme::None) => return Ok(None),
            ClassWeights::Explicit(weights) if weights.len() == counts.len() => return Ok(Some(weights.clone())),
            ClassWeights::Explicit(weights) => {
                return Err(format!(
                    "found {} class_weights, wanted {}, one a class",
                    weights.len(),
                    counts.len()
                ));
            }
            ClassWeights::Scheme(Scheme::Log) => shares.iter().map(|p| 1.0 / (self.log_offset + p).ln()).collect(),
            ClassWeights::Scheme(Scheme::MedianFrequency) => {
                let mut present: Vec<f64> = shares.iter().copied().filter(|p| *p > 0.0).collect();
                present.sort_by(f64::total_cmp);
                let median = present.get(present.len() / 2).copied().unwrap_or(1.0);
                // A class without pixels has no say; any finite number will do.
                shares.iter().map(|p| if *p > 0.0 { median / p } else { 1.0 }).collect()
            }
        };
        let mean: f64 = raw.iter().zip(&shares).map(|(w, p)| w * p).sum::<f64>();
        let scale = if mean > 0.0 { 1.0 / mean } else { 1.0 };
        Ok(Some(raw.iter().map(|w| (w * scale) as f32).collect()))
    }

    /// [`LossConfig::loss`], and the weighted one of auxiliary scores `[n, classes, h/k, w/k]` where there are any. Their pixels are
    /// compared with the label at the middle of the k x k that each covers.
    pub fn with_auxiliary(
        &self,
        logits: Tensor<4>,
        coarse: Option<Tensor<4>>,
        labels: Tensor<3, Int>,
        class_weights: Option<Tensor<1>>,
    ) -> Tensor<1> {
        let loss = self.loss(logits, labels.clone(), class_weights.clone());
        let Some(coarse) = coarse.filter(|_| self.auxiliary > 0.0) else {
            return loss;
        };
        let labels = shrunk(labels, coarse.dims()[2]);
        loss + self.loss(coarse, labels, class_weights).mul_scalar(self.auxiliary)
    }

    /// The loss of scores `[n, classes, h, w]` against class numbers `[n, h, w]` (or [`IGNORE`]); one element.
    pub fn loss(&self, logits: Tensor<4>, labels: Tensor<3, Int>, class_weights: Option<Tensor<1>>) -> Tensor<1> {
        let cross = (self.cross_entropy > 0.0).then(|| {
            let loss = ops::cross_entropy(logits.clone(), labels.clone(), class_weights, Some(IGNORE));
            loss.mul_scalar(self.cross_entropy)
        });
        let dice = (self.dice > 0.0).then(|| dice(logits, labels).mul_scalar(self.dice));
        match (cross, dice) {
            (Some(a), Some(b)) => a + b,
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => unreachable!("a configuration without any loss is refused"),
        }
    }
}

/// Labels `[n, h, w]` at a resolution of `rows` rows, a whole part of h: the one at the middle of each square.
fn shrunk(labels: Tensor<3, Int>, rows: usize) -> Tensor<3, Int> {
    let [n, h, w] = labels.dims();
    let k = h / rows;
    let squares = labels.reshape([n, h / k, k, w / k, k]);
    squares.narrow(2, k / 2, 1).narrow(4, k / 2, 1).reshape([n, h / k, w / k])
}

/// 1 minus the mean soft Dice coefficient of the classes that occur in the batch (Milletari et al. 2016); pixels labelled
/// [`IGNORE`] count for nothing. Same shapes as [`LossConfig::loss`].
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn case() -> (Tensor<4>, Tensor<3, Int>) {
        let device = Device::flex().autodiff();
        // Two pixels of two classes, and a third one that is ignored.
        let logits = Tensor::from_data(TensorData::new(vec![2.0_f32, 0.0, 9.0, 0.0, 0.0, -9.0], [1, 2, 1, 3]), &device);
        let labels = Tensor::from_data(TensorData::new(vec![0_i32, 1, i32::from(IGNORE)], [1, 1, 3]), &device);
        (logits, labels)
    }

    #[test]
    fn dice_agrees_with_a_value_worked_out_by_hand() {
        let (logits, labels) = case();
        let p = 1.0 / (1.0 + (-2.0_f64).exp()); // score of class 0 at pixel 0; 0.5 at pixel 1
        let class0 = 2.0 * p / (p + 0.5 + 1.0);
        let class1 = 2.0 * 0.5 / ((1.0 - p) + 0.5 + 1.0);
        let wanted = 1.0 - (class0 + class1) / 2.0;
        let found = f64::from(dice(logits, labels).into_scalar::<f32>());
        assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
    }

    #[test]
    fn dice_pulls_the_right_score_up_the_wrong_one_down_and_leaves_ignored_pixels_alone() {
        let (logits, labels) = case();
        let logits = logits.require_grad();
        let mut grads = dice(logits.clone(), labels).backward();
        let grad = logits.grad_remove(&mut grads).unwrap().into_data().try_into_vec::<f32>().unwrap();
        assert!(grad[0] < 0.0 && grad[3] > 0.0, "{grad:?}"); // pixel 0 is class 0: descent raises its score
        assert!(grad[1] > 0.0 && grad[4] < 0.0, "{grad:?}"); // pixel 1 is class 1
        assert_eq!((grad[2], grad[5]), (0.0, 0.0));
    }

    #[test]
    fn rare_classes_weigh_more_under_every_scheme() {
        for scheme in [Scheme::Log, Scheme::MedianFrequency] {
            let config = LossConfig {
                class_weights: ClassWeights::Scheme(scheme),
                ..LossConfig::default()
            };
            let weights = config.weights(&[900, 90, 10]).unwrap().unwrap();
            assert!(weights[0] < weights[1] && weights[1] < weights[2], "{scheme:?} {weights:?}");
            let mean = 0.9 * weights[0] + 0.09 * weights[1] + 0.01 * weights[2];
            assert!((mean - 1.0).abs() < 1e-5, "{scheme:?} {mean}");
        }
    }

    #[test]
    fn explicit_weights_must_be_as_many_as_the_classes() {
        let config = LossConfig {
            class_weights: ClassWeights::Explicit(vec![1.0, 2.0]),
            ..LossConfig::default()
        };
        assert_eq!(config.weights(&[1, 1]).unwrap(), Some(vec![1.0, 2.0]));
        assert!(config.weights(&[1, 1, 1]).unwrap_err().contains("wanted 3"));
    }

    #[test]
    fn the_auxiliary_loss_sees_the_label_at_the_middle_of_each_square() {
        let device = Device::flex().autodiff();
        let labels: Vec<i32> = (0..24).map(|i| i32::from(i == 13)).collect(); // row 2, column 1 of 4 x 6
        let labels = Tensor::<3, Int>::from_data(TensorData::new(labels, [1, 4, 6]), &device);
        let small = shrunk(labels.clone(), 2).into_data().convert::<i32>().try_into_vec::<i32>();
        assert_eq!(small.unwrap(), vec![0; 6], "the middle of a 2x2 square is its last pixel");
        let wide = shrunk(labels.clone().slice_dim(1, 1..4).slice_dim(2, 0..3), 1);
        assert_eq!(wide.into_data().convert::<i32>().try_into_vec::<i32>().unwrap(), [1]);

        let logits = Tensor::<4>::zeros([1, 2, 4, 6], &device);
        let coarse = Tensor::<4>::zeros([1, 2, 2, 3], &device).require_grad();
        let config = LossConfig {
            auxiliary: 0.5,
            ..LossConfig::default()
        };
        let loss = config.with_auxiliary(logits.clone(), Some(coarse.clone()), labels.clone(), None);
        let mut grads = loss.clone().backward();
        let value: f32 = loss.into_scalar();
        assert!((value - 1.5 * 2.0_f32.ln()).abs() < 1e-6, "{value}");
        let grad = coarse.grad_remove(&mut grads).unwrap().into_data().try_into_vec::<f32>().unwrap();
        assert!(grad[..6].iter().all(|g| *g < 0.0) && grad[6..].iter().all(|g| *g > 0.0), "{grad:?}");
        let alone: f32 = config.with_auxiliary(logits, None, labels, None).into_scalar();
        assert!((alone - 2.0_f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn the_sum_of_losses_is_their_weighted_sum() {
        let (logits, labels) = case();
        let both = LossConfig {
            cross_entropy: 0.5,
            dice: 2.0,
            ..LossConfig::default()
        };
        let sum: f32 = both.loss(logits.clone(), labels.clone(), None).into_scalar();
        let cross: f32 = ops::cross_entropy(logits.clone(), labels.clone(), None, Some(IGNORE)).into_scalar();
        let wanted = 0.5 * cross + 2.0 * dice(logits, labels).into_scalar::<f32>();
        assert!((sum - wanted).abs() < 1e-6);
    }
}
