//! How well the scores of each class rank its pixels before all others: ROC, precision over recall, and the areas under both.
//!
//! Counted in bins of the score, so that no pixel has to be kept. The bins are even in the log-odds of the probability: ranks are
//! the same as by probability, and both ends, where nearly all pixels lie, are resolved.

use crate::metrics::IGNORE;
use rayon::prelude::*;
use serde::Serialize;

/// Bins of a score.
pub const BINS: usize = 1000;
/// Log-odds at both ends; a 32-bit float cannot tell probabilities beyond them from 0 and 1.
const RANGE: f32 = 15.0;

/// One class against all others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassRanking {
    /// Its name.
    pub name: String,
    /// Area under the ROC curve: how likely a pixel of the class has a higher score than one of another class. `None` where
    /// one of both does not occur.
    pub auc: Option<f64>,
    /// Average precision: the mean precision over the recall steps, without interpolation. `None` where the class does not occur.
    pub average_precision: Option<f64>,
    /// The ROC curve: false positive rate and true positive rate, from the strictest threshold to the laxest.
    #[serde(skip)]
    pub roc: Vec<(f64, f64)>,
    /// Recall and precision at the same thresholds.
    #[serde(skip)]
    pub precision_recall: Vec<(f64, f64)>,
}

/// All classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// Bins that scores were counted in.
    pub bins: usize,
    /// Mean over the classes that have one.
    pub mean_auc: Option<f64>,
    /// Mean over the classes that have one.
    pub mean_average_precision: Option<f64>,
    /// Each class.
    pub classes: Vec<ClassRanking>,
}

/// Counts picture by picture.
#[derive(Debug, Clone)]
pub struct RankingTally {
    classes: Vec<Histogram>,
}

/// Pixels by score: of the class, and of all others.
#[derive(Debug, Clone)]
struct Histogram {
    positive: Vec<u64>,
    negative: Vec<u64>,
}

impl RankingTally {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        let empty = Histogram {
            positive: vec![0; BINS],
            negative: vec![0; BINS],
        };
        Self {
            classes: vec![empty; classes],
        }
    }

    /// Counts one picture: `probabilities` `[classes, pixels]`, and class numbers or [`IGNORE`].
    pub fn add(&mut self, truth: &[u8], probabilities: &[f32]) {
        let planes = probabilities.par_chunks_exact(truth.len());
        self.classes
            .par_iter_mut()
            .zip(planes)
            .enumerate()
            .for_each(|(class, (histogram, plane))| {
                for (label, p) in truth.iter().zip(plane) {
                    if *label != IGNORE {
                        let side = if usize::from(*label) == class {
                            &mut histogram.positive
                        } else {
                            &mut histogram.negative
                        };
                        side[bin(*p)] += 1;
                    }
                }
            });
    }

    /// The measures; `names` in the order of the classes.
    pub fn finish(&self, names: &[String]) -> Ranking {
        let classes: Vec<_> = names.iter().zip(&self.classes).map(|(name, counts)| counts.ranking(name)).collect();
        let mean = |value: fn(&ClassRanking) -> Option<f64>| {
            let values: Vec<f64> = classes.iter().filter_map(value).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Ranking {
            bins: BINS,
            mean_auc: mean(|c| c.auc),
            mean_average_precision: mean(|c| c.average_precision),
            classes,
        }
    }
}

fn bin(probability: f32) -> usize {
    let odds = (probability / (1.0 - probability)).ln(); // infinite at both ends
    let place = (odds + RANGE) / (2.0 * RANGE) * BINS as f32;
    (place.max(0.0) as usize).min(BINS - 1)
}

impl Histogram {
    fn ranking(&self, name: &str) -> ClassRanking {
        let total = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
        let (positives, negatives) = (total(&self.positive), total(&self.negative));
        let (mut hits, mut alarms) = (0.0, 0.0);
        let (mut area, mut average_precision) = (0.0, 0.0);
        let (mut roc, mut precision_recall) = (vec![(0.0, 0.0)], Vec::new());
        for (p, n) in self.positive.iter().zip(&self.negative).rev().filter(|(p, n)| *p + *n > 0) {
            let (p, n) = (*p as f64, *n as f64);
            area += n * (hits + p / 2.0); // pixels of one bin count as ties
            hits += p;
            alarms += n;
            let precision = hits / (hits + alarms);
            average_precision += p * precision;
            roc.push((alarms / negatives.max(1.0), hits / positives.max(1.0)));
            precision_recall.push((hits / positives.max(1.0), precision));
        }
        ClassRanking {
            name: name.into(),
            auc: (positives > 0.0 && negatives > 0.0).then(|| area / (positives * negatives)),
            average_precision: (positives > 0.0).then(|| average_precision / positives),
            roc,
            precision_recall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn ranking(truth: &[u8], of_class_0: &[f32]) -> ClassRanking {
        let mut tally = RankingTally::new(2);
        let other = of_class_0.iter().map(|p| 1.0 - p);
        tally.add(truth, &of_class_0.iter().copied().chain(other).collect::<Vec<_>>());
        tally.finish(&["a".into(), "b".into()]).classes.remove(0)
    }

    #[test]
    fn areas_agree_with_numbers_worked_out_by_hand() {
        // By falling score: hit, miss, hit, miss; 3 of 4 pairs are in order.
        let found = ranking(&[0, 1, 0, 1, IGNORE], &[0.9, 0.8, 0.7, 0.1, 0.99]);
        assert_eq!(found.auc, Some(0.75));
        let wanted = (1.0 + 2.0 / 3.0) / 2.0; // precision at both hits
        assert!((found.average_precision.unwrap() - wanted).abs() < 1e-12);
        assert_eq!(found.roc, [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]);
        // Equal scores say nothing.
        assert_eq!(ranking(&[0, 1, 0, 1], &[0.5; 4]).auc, Some(0.5));
    }

    #[test]
    fn bins_lose_less_than_a_thousandth_against_all_pairs() {
        let mut random = Random::of(&[9]);
        let (mut truth, mut scores) = (Vec::new(), Vec::new());
        for _ in 0..3000 {
            let of_class = random.chance(0.2);
            // Crowded at both ends, as softmax scores are.
            let odds = random.range(-9.0, 3.0) + if of_class { 6.0 } else { 0.0 };
            truth.push(u8::from(!of_class));
            scores.push(1.0 / (1.0 + (-odds).exp()));
        }
        let (mut ordered, mut pairs) = (0.0, 0.0);
        for (_, a) in truth.iter().zip(&scores).filter(|(t, _)| **t == 0) {
            for (_, b) in truth.iter().zip(&scores).filter(|(t, _)| **t == 1) {
                ordered += if a > b { 1.0 } else { 0.5 * f64::from(u8::from(a == b)) };
                pairs += 1.0;
            }
        }
        let found = ranking(&truth, &scores).auc.unwrap();
        assert!((found - ordered / pairs).abs() < 1e-3, "{found} {}", ordered / pairs);
    }

    #[test]
    fn a_class_that_does_not_occur_has_no_areas_and_certain_scores_stay_in_the_bins() {
        let found = ranking(&[1, 1], &[0.0, 1.0]);
        assert_eq!((found.auc, found.average_precision), (None, None));
        assert_eq!((bin(0.0), bin(1.0), bin(0.5)), (0, BINS - 1, BINS / 2));
    }
}
