//! Weights of the classes, worked out from how often each occurs.

use crate::data::ClassCount;
use serde::{Deserialize, Serialize};

/// Weights of the classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "class_weights wants \"none\", \"log\", \"median-frequency\", \"effective-number\", or a list of numbers, one a class"
)]
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

/// How weights follow from counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// All 1.
    None,
    /// `1 / ln(c + share)` (Paszke et al. 2016).
    Log,
    /// Median of the frequencies over the frequency, which is the class's share in the pictures that have it (Eigen and Fergus
    /// 2015).
    MedianFrequency,
    /// `(1 - beta) / (1 - beta^pixels)` (Cui et al. 2019).
    EffectiveNumber,
}

impl Scheme {
    /// The weights, scaled so that their mean over all pixels is 1; `None` if all are 1. `offset` is the `c` of
    /// [`Scheme::Log`], `beta` that of [`Scheme::EffectiveNumber`]. A class without pixels weighs 1 before the scaling: it has
    /// no say.
    pub fn weights(self, counts: &[ClassCount], offset: f64, beta: f64) -> Option<Vec<f32>> {
        let total = counts.iter().map(|c| c.pixels).sum::<u64>().max(1) as f64;
        let shares: Vec<f64> = counts.iter().map(|c| c.pixels as f64 / total).collect();
        let each = |weight: &dyn Fn(&ClassCount) -> f64| -> Vec<f64> {
            counts.iter().map(|c| if c.pixels > 0 { weight(c) } else { 1.0 }).collect()
        };
        let raw = match self {
            Self::None => return None,
            Self::Log => shares.iter().map(|p| 1.0 / (offset + p).ln()).collect(),
            Self::MedianFrequency => {
                let frequency = |c: &ClassCount| c.pixels as f64 / c.around as f64;
                let median = median(counts.iter().filter(|c| c.pixels > 0).map(frequency).collect());
                each(&|c| median / frequency(c))
            }
            // expm1 keeps the digits where beta is near 1.
            Self::EffectiveNumber => each(&|c| (1.0 - beta) / -(c.pixels as f64 * beta.ln()).exp_m1()),
        };
        let mean: f64 = raw.iter().zip(&shares).map(|(w, p)| w * p).sum();
        let scale = if mean > 0.0 { 1.0 / mean } else { 1.0 };
        Some(raw.iter().map(|w| (w * scale) as f32).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 1.0,
        n if n.is_multiple_of(2) => f64::midpoint(values[n / 2 - 1], values[n / 2]),
        n => values[n / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [ClassCount; 3] = [
        ClassCount { pixels: 900, around: 1000 },
        ClassCount { pixels: 90, around: 200 },
        ClassCount { pixels: 10, around: 500 },
    ];

    fn weights(scheme: Scheme) -> Vec<f32> {
        scheme.weights(&COUNTS, 1.02, 0.99).unwrap()
    }

    #[test]
    fn rare_classes_weigh_more_under_every_scheme_and_the_mean_over_pixels_is_one() {
        for scheme in [Scheme::Log, Scheme::MedianFrequency, Scheme::EffectiveNumber] {
            let weights = weights(scheme);
            assert!(weights[0] < weights[1] && weights[1] < weights[2], "{scheme:?} {weights:?}");
            let mean = 0.9 * weights[0] + 0.09 * weights[1] + 0.01 * weights[2];
            assert!((mean - 1.0).abs() < 1e-5, "{scheme:?} {mean}");
        }
    }

    #[test]
    fn weights_are_in_the_ratios_of_their_formulas() {
        let ratio = |scheme| {
            let w = weights(scheme);
            [f64::from(w[1] / w[0]), f64::from(w[2] / w[0])]
        };
        let near = |found: [f64; 2], wanted: [f64; 2]| {
            for (f, w) in found.iter().zip(&wanted) {
                assert!((f / w - 1.0).abs() < 1e-5, "{found:?} {wanted:?}");
            }
        };
        // frequencies 0.9, 0.45 and 0.02: the weights are 0.45 / each of them
        near(ratio(Scheme::MedianFrequency), [2.0, 45.0]);
        let of = |pixels: i32| 1.0 - 0.99f64.powi(pixels);
        near(ratio(Scheme::EffectiveNumber), [of(900) / of(90), of(900) / of(10)]);
    }

    #[test]
    fn a_class_without_pixels_keeps_the_weights_finite() {
        let none = ClassCount { pixels: 0, around: 0 };
        for scheme in [Scheme::Log, Scheme::MedianFrequency, Scheme::EffectiveNumber] {
            for counts in [vec![COUNTS[0], none], vec![none, none]] {
                let weights = scheme.weights(&counts, 1.02, 0.99).unwrap();
                assert!(weights.iter().all(|w| w.is_finite()), "{scheme:?} {weights:?}");
            }
        }
    }

    #[test]
    fn an_even_number_of_frequencies_has_its_median_between_the_middle_ones() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 8.0]), 3.0);
    }
}
