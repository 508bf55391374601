//! Whether a pixel's highest probability is the share of such pixels that are right: expected calibration error, and the
//! temperature that corrects it best (Guo et al. 2017).

use crate::metrics::IGNORE;
use crate::random::Random;
use rayon::prelude::*;
use serde::Serialize;

/// Bins of the confidence.
pub const BINS: usize = 15;
/// Pixels of each picture that are drawn for the temperature, and how many of all drawn ones are kept.
const DRAWN: usize = 4096;
const KEPT: usize = 200_000;
/// Temperatures that are tried.
const RANGE: (f64, f64) = (0.05, 20.0);
const PURPOSE: u64 = 11;

/// Pixels whose confidence lies in one bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Bin {
    /// How many.
    pub pixels: u64,
    /// Their mean confidence, 0-1.
    pub confidence: f64,
    /// Share of them that are right, 0-1.
    pub accuracy: f64,
}

/// How calibrated a model is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error, 0-1: the mean over the pixels of the distance between confidence and accuracy of their bin.
    pub ece: f64,
    /// Mean negative log-likelihood of the true class, nats.
    pub nll: f64,
    /// Bins of equal width from 0 to 1.
    pub bins: Vec<Bin>,
    /// The best temperature, found on a sample of the pixels.
    pub temperature: Temperature,
}

/// Divides scores before the softmax.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Temperature {
    /// Its value: above 1 where the model is too certain.
    pub value: f64,
    /// Pixels that it was found on; the measures below are theirs.
    pub pixels: usize,
    /// Negative log-likelihood without it.
    pub nll_before: f64,
    /// Negative log-likelihood with it.
    pub nll_after: f64,
    /// Expected calibration error without it.
    pub ece_before: f64,
    /// Expected calibration error with it.
    pub ece_after: f64,
    /// The bins with it.
    pub bins_after: Vec<Bin>,
}

/// Counts picture by picture.
#[derive(Debug, Clone)]
pub struct CalibrationTally {
    classes: usize,
    bins: Reliability,
    nll: f64,
    sample: Sample,
}

/// Random pixels: `classes` scores and a label each.
#[derive(Debug, Clone)]
struct Sample {
    random: Random,
    drawn: usize,
    scores: Vec<f32>,
    labels: Vec<u8>,
}

/// Sums over the pixels of each bin.
#[derive(Debug, Clone, Copy, Default)]
struct Reliability {
    pixels: [u64; BINS],
    confidence: [f64; BINS],
    right: [u64; BINS],
}

impl Reliability {
    fn add(&mut self, confidence: f32, right: bool) {
        // (0, 1/15], (1/15, 2/15], ...
        let bin = ((confidence * BINS as f32).ceil() as usize).clamp(1, BINS) - 1;
        self.pixels[bin] += 1;
        self.confidence[bin] += f64::from(confidence);
        self.right[bin] += u64::from(right);
    }

    fn bins(&self) -> Vec<Bin> {
        let bin = |i: usize| {
            let pixels = self.pixels[i];
            let of = pixels.max(1) as f64;
            Bin {
                pixels,
                confidence: self.confidence[i] / of,
                accuracy: self.right[i] as f64 / of,
            }
        };
        (0..BINS).map(bin).collect()
    }

    fn ece(&self) -> f64 {
        let all = self.pixels.iter().sum::<u64>().max(1) as f64;
        let bins = self.bins();
        let part = |b: &Bin| b.pixels as f64 / all * (b.accuracy - b.confidence).abs();
        bins.iter().map(part).sum()
    }
}

impl CalibrationTally {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            bins: Reliability::default(),
            nll: 0.0,
            sample: Sample {
                random: Random::of(&[PURPOSE]),
                drawn: 0,
                scores: Vec::new(),
                labels: Vec::new(),
            },
        }
    }

    /// Counts one picture: `scores` and their softmax `probabilities`, both `[classes, pixels]`, predicted class numbers, and
    /// true ones or [`IGNORE`].
    pub fn add(&mut self, truth: &[u8], predicted: &[u8], scores: &[f32], probabilities: &[f32]) {
        let pixels = truth.len();
        for (i, (label, said)) in truth.iter().zip(predicted).enumerate() {
            if *label != IGNORE {
                self.bins.add(probabilities[usize::from(*said) * pixels + i], label == said);
                let p = probabilities[usize::from(*label) * pixels + i];
                self.nll -= f64::from(p.max(f32::MIN_POSITIVE).ln());
            }
        }
        for _ in 0..DRAWN.min(pixels) {
            let i = self.sample.random.below(pixels);
            if truth[i] != IGNORE {
                self.sample.take(truth[i], self.classes, |class| scores[class * pixels + i]);
            }
        }
    }

    /// The measures; `None` if no labelled pixel was counted.
    pub fn finish(&self) -> Option<Calibration> {
        let all: u64 = self.bins.pixels.iter().sum();
        (all > 0 && !self.sample.labels.is_empty()).then(|| Calibration {
            ece: self.bins.ece(),
            nll: self.nll / all as f64,
            bins: self.bins.bins(),
            temperature: self.sample.temperature(self.classes),
        })
    }
}

impl Sample {
    /// Keeps every pixel while there is room, and then one in ever more (reservoir sampling, Vitter 1985).
    fn take(&mut self, label: u8, classes: usize, score: impl Fn(usize) -> f32) {
        self.drawn += 1;
        if self.labels.len() < KEPT {
            self.labels.push(label);
            self.scores.extend((0..classes).map(score));
            return;
        }
        let at = self.random.below(self.drawn);
        if at < KEPT {
            self.labels[at] = label;
            let place = &mut self.scores[at * classes..][..classes];
            place.iter_mut().enumerate().for_each(|(class, value)| *value = score(class));
        }
    }

    fn temperature(&self, classes: usize) -> Temperature {
        let nll = |log_t: f64| self.measure(classes, log_t.exp()).0;
        // Convex in 1/T, so there is one minimum.
        let value = golden_section((RANGE.0.ln(), RANGE.1.ln()), 1e-4, nll).exp();
        let ((nll_before, before), (nll_after, after)) = (self.measure(classes, 1.0), self.measure(classes, value));
        Temperature {
            value,
            pixels: self.labels.len(),
            nll_before,
            nll_after,
            ece_before: before.ece(),
            ece_after: after.ece(),
            bins_after: after.bins(),
        }
    }

    /// Mean negative log-likelihood and reliability at a temperature.
    fn measure(&self, classes: usize, temperature: f64) -> (f64, Reliability) {
        const CHUNK: usize = 8192; // fixed, so that sums do not depend on the number of threads
        let factor = (1.0 / temperature) as f32;
        let parts: Vec<_> = self
            .labels
            .par_chunks(CHUNK)
            .zip(self.scores.par_chunks(CHUNK * classes))
            .map(|(labels, scores)| {
                let (mut nll, mut reliability) = (0.0, Reliability::default());
                for (label, scores) in labels.iter().zip(scores.chunks_exact(classes)) {
                    let (mut best, mut max) = (0, f32::NEG_INFINITY);
                    for (class, score) in scores.iter().enumerate() {
                        if *score > max {
                            (best, max) = (class, *score);
                        }
                    }
                    let sum: f32 = scores.iter().map(|s| ((s - max) * factor).exp()).sum();
                    nll += f64::from(sum.ln() + (max - scores[usize::from(*label)]) * factor);
                    reliability.add(1.0 / sum, best == usize::from(*label));
                }
                (nll, reliability)
            })
            .collect();
        let (mut nll, mut whole) = (0.0, Reliability::default());
        for (part, reliability) in &parts {
            nll += part;
            for bin in 0..BINS {
                whole.pixels[bin] += reliability.pixels[bin];
                whole.confidence[bin] += reliability.confidence[bin];
                whole.right[bin] += reliability.right[bin];
            }
        }
        (nll / self.labels.len().max(1) as f64, whole)
    }
}

/// Where a function with one minimum in `(low, high)` is smallest, to `precision` (Kiefer 1953).
fn golden_section((mut low, mut high): (f64, f64), precision: f64, f: impl Fn(f64) -> f64) -> f64 {
    let share = (5f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = (high - share * (high - low), low + share * (high - low));
    let (mut at_a, mut at_b) = (f(a), f(b));
    while high - low > precision {
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - share * (high - low);
            at_a = f(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + share * (high - low);
            at_b = f(b);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::{best_classes, softmax};

    fn add(tally: &mut CalibrationTally, truth: &[u8], scores: &[f32]) {
        let mut probabilities = scores.to_vec();
        softmax(&mut probabilities, truth.len());
        tally.add(truth, &best_classes(scores, truth.len()), scores, &probabilities);
    }

    #[test]
    fn the_error_agrees_with_a_value_worked_out_by_hand() {
        // Four pixels of confidence 0.9, three of them right; one of 0.6, which is right; one ignored.
        let nine = (0.9f32 / 0.1).ln();
        let six = (0.6f32 / 0.4).ln();
        let scores = [[nine, nine, nine, nine, six, 3.0], [0.0; 6]].concat();
        let mut tally = CalibrationTally::new(2);
        add(&mut tally, &[0, 0, 0, 1, 0, IGNORE], &scores);
        let found = tally.finish().unwrap();
        let wanted = 0.8 * (0.9 - 0.75) + 0.2 * (1.0 - 0.6);
        assert!((found.ece - wanted).abs() < 1e-6, "{} {wanted}", found.ece);
        let nll = -(3.0 * 0.9f64.ln() + 0.1f64.ln() + 0.6f64.ln()) / 5.0;
        assert!((found.nll - nll).abs() < 1e-6, "{} {nll}", found.nll);
        assert_eq!(found.bins[13].pixels, 4); // (13/15, 14/15]
        assert_eq!(found.bins[8].pixels, 1);
    }

    /// Pictures with labels drawn from the softmax of scores, and these scores times `factor`.
    fn drawn(factor: f32) -> Calibration {
        const PIXELS: usize = 5000;
        let mut tally = CalibrationTally::new(3);
        for picture in 0..20 {
            let mut random = Random::of(&[3, picture]);
            let scores: Vec<f32> = (0..3 * PIXELS).map(|_| random.range(-3.0, 3.0)).collect();
            let mut p = scores.clone();
            softmax(&mut p, PIXELS);
            let label = |i: usize, u: f32| u8::from(u > p[i]) + u8::from(u > p[i] + p[PIXELS + i]);
            let truth: Vec<u8> = (0..PIXELS).map(|i| label(i, random.unit())).collect();
            add(&mut tally, &truth, &scores.iter().map(|s| s * factor).collect::<Vec<_>>());
        }
        tally.finish().unwrap()
    }

    #[test]
    fn the_temperature_undoes_a_factor_on_calibrated_scores() {
        for factor in [0.5, 1.0, 2.5] {
            let found = drawn(factor).temperature;
            assert!((found.value / f64::from(factor) - 1.0).abs() < 0.03, "{factor}: {}", found.value);
            assert!(found.nll_after <= found.nll_before && found.pixels == 20 * DRAWN);
        }
        let found = drawn(2.5);
        assert!(found.ece > 0.1, "{}", found.ece);
        assert!(found.temperature.ece_after < 0.02, "{:?}", found.temperature);
    }

    #[test]
    fn the_kept_pixels_are_bounded_and_of_all_pictures() {
        let mut sample = CalibrationTally::new(1).sample;
        for i in 0..3 * KEPT {
            sample.take((i / KEPT) as u8, 1, |_| i as f32);
        }
        assert_eq!((sample.labels.len(), sample.scores.len()), (KEPT, KEPT));
        for third in 0..3u8 {
            let share = sample.labels.iter().filter(|l| **l == third).count() as f64 / KEPT as f64;
            assert!((share - 1.0 / 3.0).abs() < 0.01, "{third}: {share}");
        }
    }

    #[test]
    fn the_search_finds_a_minimum_to_its_precision() {
        let found = golden_section((-3.0, 5.0), 1e-6, |x| (x - 1.25).powi(2));
        assert!((found - 1.25).abs() < 1e-6, "{found}");
    }
}
