//! What training minimises: any weighted sum of the losses here, at full resolution and at a coarser one.

mod boundary;
mod distance;
mod distillation;
mod pixels;
mod regions;
mod weights;

pub use boundary::boundary;
pub use distillation::distillation;
pub use regions::{dice, lovasz};
pub use weights::{ClassWeights, Scheme};

use crate::data::ClassCount;
use crate::defaults::is_default;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// `[loss]` of a training configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LossConfig {
    /// Weight of the cross-entropy; 0 for none.
    pub cross_entropy: f32,
    /// Share of the truth that the cross-entropy spreads over all classes (Szegedy et al. 2016).
    pub label_smoothing: f32,
    /// Weight of the focal loss (Lin et al. 2017); 0 for none.
    pub focal: f32,
    /// How little pixels that are nearly right count in it: the exponent of `1 - p`.
    pub focal_gamma: f32,
    /// Weight of the cross-entropy of the hardest pixels (Shrivastava et al. 2016); 0 for none.
    pub ohem: f32,
    /// A pixel is hard if its class has a probability below this.
    pub ohem_threshold: f32,
    /// At least this share of the pixels counts as hard.
    pub ohem_share: f32,
    /// Weight of the Dice loss (Milletari et al. 2016); 0 for none.
    pub dice: f32,
    /// Weight of the Lovasz-softmax loss (Berman et al. 2018); 0 for none.
    pub lovasz: f32,
    /// Weight of the boundary loss (Kervadec et al. 2019), beside others; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub boundary: f32,
    /// How rare classes are made to count in the cross-entropies and the focal loss.
    pub class_weights: ClassWeights,
    /// `c` of the scheme `log`, `1 / ln(c + share)`: the nearer to 1, the more rare classes count.
    pub log_offset: f64,
    /// Beta of the scheme `effective-number`: a class with many more pixels than `1 / (1 - beta)` counts like one with as many.
    pub effective_beta: f64,
    /// Weight of the same loss on scores of a coarser level of the decoder (deep supervision, Lee et al. 2015); 0 for none.
    pub auxiliary: f32,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            cross_entropy: 1.0,
            label_smoothing: 0.0,
            focal: 0.0,
            focal_gamma: 2.0,
            ohem: 0.0,
            ohem_threshold: 0.7,
            ohem_share: 0.0625,
            dice: 0.0,
            lovasz: 0.0,
            boundary: 0.0,
            class_weights: ClassWeights::default(),
            log_offset: 1.02,
            effective_beta: 0.9999999,
            auxiliary: 0.0,
        }
    }
}

impl LossConfig {
    /// Key, found and wanted of every value that is out of range.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut list = Vec::new();
        let weights = [
            ("cross_entropy", self.cross_entropy),
            ("focal", self.focal),
            ("ohem", self.ohem),
            ("dice", self.dice),
            ("lovasz", self.lovasz),
        ];
        for (key, weight) in weights {
            if !(weight >= 0.0 && weight.is_finite()) {
                list.push((key, weight.to_string(), "a weight of 0 or more"));
            }
        }
        if weights.iter().all(|(_, weight)| *weight == 0.0) {
            // Not the boundary loss: alone it can be lowest where a class is nowhere.
            let wanted = "one of cross_entropy, focal, ohem, dice and lovasz above 0";
            list.push(("cross_entropy", "0 like all other losses".into(), wanted));
        }
        for (key, weight) in [("boundary", self.boundary), ("auxiliary", self.auxiliary)] {
            if !(weight >= 0.0 && weight.is_finite()) {
                list.push((key, weight.to_string(), "0 or more"));
            }
        }
        let plain = Self::default();
        let idle = [
            (
                "focal_gamma",
                self.focal_gamma,
                plain.focal_gamma,
                self.focal,
                "focal above 0 beside it",
            ),
            (
                "ohem_threshold",
                self.ohem_threshold,
                plain.ohem_threshold,
                self.ohem,
                "ohem above 0 beside it",
            ),
            ("ohem_share", self.ohem_share, plain.ohem_share, self.ohem, "ohem above 0 beside it"),
        ];
        for (key, value, of, loss, wanted) in idle {
            if value != of && loss == 0.0 {
                list.push((key, value.to_string(), wanted));
            }
        }
        let mut within = |key, value: f64, range: std::ops::Range<f64>, wanted| {
            if !range.contains(&value) {
                list.push((key, (value as f32).to_string(), wanted));
            }
        };
        within(
            "label_smoothing",
            self.label_smoothing.into(),
            0.0..1.0,
            "0 or more and less than 1",
        );
        within("focal_gamma", self.focal_gamma.into(), 0.0..f64::INFINITY, "0 or more");
        let share = 0.0..1.0 + f64::EPSILON;
        within("ohem_threshold", self.ohem_threshold.into(), share.clone(), "0 to 1");
        within("ohem_share", self.ohem_share.into(), share, "0 to 1");
        within("log_offset", self.log_offset, 1.0 + f64::EPSILON..f64::INFINITY, "more than 1");
        within(
            "effective_beta",
            self.effective_beta,
            f64::MIN_POSITIVE..1.0,
            "more than 0 and less than 1",
        );
        if let ClassWeights::Explicit(weights) = &self.class_weights
            && !(weights.iter().all(|w| *w >= 0.0 && w.is_finite()) && weights.iter().any(|w| *w > 0.0))
        {
            list.push(("class_weights", format!("{weights:?}"), "numbers of 0 or more, one of them above"));
        }
        list
    }

    /// The class weights for these counts: explicit ones as they are, others scaled so that their mean over all pixels is 1;
    /// `None` if all are 1.
    ///
    /// # Errors
    /// One line, if explicit weights are not as many as the classes.
    pub fn weights(&self, counts: &[ClassCount]) -> Result<Option<Vec<f32>>, String> {
        match &self.class_weights {
            ClassWeights::Scheme(scheme) => Ok(scheme.weights(counts, self.log_offset, self.effective_beta)),
            ClassWeights::Explicit(weights) if weights.len() == counts.len() => Ok(Some(weights.clone())),
            ClassWeights::Explicit(weights) => Err(format!(
                "found {} class_weights, wanted {}, one a class",
                weights.len(),
                counts.len()
            )),
        }
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

    /// The loss of scores `[n, classes, h, w]` against class numbers `[n, h, w]` (or [`crate::metrics::IGNORE`]); one element.
    pub fn loss(&self, logits: Tensor<4>, labels: Tensor<3, Int>, class_weights: Option<Tensor<1>>) -> Tensor<1> {
        let (x, y, w) = (&logits, &labels, &class_weights);
        let parts: [(f32, &dyn Fn() -> Tensor<1>); 6] = [
            (self.cross_entropy, &|| {
                pixels::cross_entropy(x.clone(), y.clone(), w.clone(), self.label_smoothing)
            }),
            (self.focal, &|| pixels::focal(x.clone(), y.clone(), w.clone(), self.focal_gamma)),
            (self.ohem, &|| {
                pixels::ohem(x.clone(), y.clone(), w.clone(), self.ohem_threshold, self.ohem_share)
            }),
            (self.dice, &|| dice(x.clone(), y.clone())),
            (self.lovasz, &|| lovasz(x.clone(), y.clone())),
            (self.boundary, &|| boundary(x.clone(), y.clone())),
        ];
        let wanted = parts.iter().filter(|(weight, _)| *weight > 0.0);
        let sum = wanted.map(|(weight, loss)| loss().mul_scalar(*weight)).reduce(|a, b| a + b);
        sum.expect("a configuration without any loss is refused")
    }
}

/// Labels `[n, h, w]` at a resolution of `rows` rows, a whole part of h: the one at the middle of each square.
fn shrunk(labels: Tensor<3, Int>, rows: usize) -> Tensor<3, Int> {
    let [n, h, w] = labels.dims();
    let k = h / rows;
    let squares = labels.reshape([n, h / k, k, w / k, k]);
    squares.narrow(2, k / 2, 1).narrow(4, k / 2, 1).reshape([n, h / k, w / k])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    /// Scores `[1, classes, 1, pixels]` and labels `[1, 1, pixels]`.
    pub(super) fn case(logits: &[f32], labels: &[i32]) -> (Tensor<4>, Tensor<3, Int>) {
        let device = Device::flex().autodiff();
        let (pixels, classes) = (labels.len(), logits.len() / labels.len());
        (
            Tensor::from_data(TensorData::new(logits.to_vec(), [1, classes, 1, pixels]), &device),
            Tensor::from_data(TensorData::new(labels.to_vec(), [1, 1, pixels]), &device),
        )
    }

    pub(super) fn value(loss: Tensor<1>) -> f64 {
        f64::from(loss.into_scalar::<f32>())
    }

    /// The gradient of a loss agrees with differences of its values.
    #[track_caller]
    pub(super) fn assert_slopes(logits: Tensor<4>, loss: impl Fn(Tensor<4>) -> Tensor<1>) {
        const STEP: f32 = 4e-3;
        let (shape, device) = (logits.dims(), logits.device());
        let leaf = logits.clone().require_grad();
        let grads = loss(leaf.clone()).backward();
        let grad: Vec<f32> = leaf.grad(&grads).unwrap().into_data().iter::<f32>().collect();
        let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for (i, grad) in grad.iter().enumerate() {
            let at = |step: f32| {
                let mut values = values.clone();
                values[i] += step;
                value(loss(Tensor::from_data(TensorData::new(values, shape), &device)))
            };
            let slope = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
            assert!(
                (f64::from(*grad) - slope).abs() < 2e-4,
                "element {i}: gradient {grad}, differences {slope}"
            );
        }
        assert!(grad.iter().any(|g| g.abs() > 1e-3), "{grad:?}");
    }

    #[test]
    fn explicit_weights_must_be_as_many_as_the_classes() {
        let config = LossConfig {
            class_weights: ClassWeights::Explicit(vec![1.0, 2.0]),
            ..LossConfig::default()
        };
        let count = ClassCount { pixels: 1, around: 2 };
        assert_eq!(config.weights(&[count; 2]).unwrap(), Some(vec![1.0, 2.0]));
        assert!(config.weights(&[count; 3]).unwrap_err().contains("wanted 3"));
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
        let (logits, labels) = case(&[2.0, 0.0, 9.0, 0.0, 0.0, -9.0], &[0, 1, 255]);
        let of = |config: &LossConfig| value(config.loss(logits.clone(), labels.clone(), None));
        let none = LossConfig {
            cross_entropy: 0.0,
            ..LossConfig::default()
        };
        let all = LossConfig {
            cross_entropy: 0.5,
            focal: 3.0,
            ohem: 0.25,
            dice: 2.0,
            lovasz: 1.5,
            boundary: 0.75,
            ..none.clone()
        };
        let alone: [(f64, LossConfig); 6] = [
            (
                0.5,
                LossConfig {
                    cross_entropy: 1.0,
                    ..none.clone()
                },
            ),
            (
                3.0,
                LossConfig {
                    focal: 1.0,
                    ..none.clone()
                },
            ),
            (0.25, LossConfig { ohem: 1.0, ..none.clone() }),
            (2.0, LossConfig { dice: 1.0, ..none.clone() }),
            (
                1.5,
                LossConfig {
                    lovasz: 1.0,
                    ..none.clone()
                },
            ),
            (
                0.75,
                LossConfig {
                    boundary: 1.0,
                    ..none.clone()
                },
            ),
        ];
        let values: Vec<f64> = alone.iter().map(|(_, config)| of(config)).collect();
        assert!(values.iter().all(|v| *v > 0.01), "{values:?}");
        let wanted: f64 = alone.iter().zip(&values).map(|((weight, _), value)| weight * value).sum();
        assert!((of(&all) - wanted).abs() < 1e-5, "{} {wanted}", of(&all));
    }

    #[test]
    fn every_value_out_of_range_is_a_problem() {
        let keys = |config: &LossConfig| config.problems().iter().map(|p| p.0).collect::<Vec<_>>();
        assert!(keys(&LossConfig::default()).is_empty());
        let none = LossConfig {
            cross_entropy: 0.0,
            ..LossConfig::default()
        };
        assert_eq!(keys(&none), ["cross_entropy"]);
        let bad = LossConfig {
            cross_entropy: -1.0,
            label_smoothing: 1.0,
            focal: f32::NAN,
            focal_gamma: -0.5,
            ohem: 1.0,
            ohem_threshold: 1.5,
            ohem_share: -0.1,
            dice: f32::INFINITY,
            lovasz: -2.0,
            boundary: -0.5,
            class_weights: ClassWeights::Explicit(vec![-1.0]),
            log_offset: 1.0,
            effective_beta: 1.0,
            auxiliary: -1.0,
        };
        assert_eq!(
            keys(&bad),
            [
                "cross_entropy",
                "focal",
                "dice",
                "lovasz",
                "boundary",
                "auxiliary",
                "label_smoothing",
                "focal_gamma",
                "ohem_threshold",
                "ohem_share",
                "log_offset",
                "effective_beta",
                "class_weights"
            ]
        );
    }
}
