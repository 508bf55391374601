//! How right class maps are: everything that can be read from a confusion matrix.

use crate::Class;
use serde::{Deserialize, Serialize};

/// A label without a class: never counted.
pub const IGNORE: u8 = 255;

/// Pixel counts by true and predicted class; classes are numbered in the order of the net's scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>, // [truth][prediction]
}

/// Measures of one class; `None` where the class occurs neither in truth nor in prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Its name.
    pub name: String,
    /// Intersection over union.
    pub iou: Option<f64>,
    /// Share of its predicted pixels that are right.
    pub precision: Option<f64>,
    /// Share of its true pixels that were found.
    pub recall: Option<f64>,
    /// Harmonic mean of both.
    pub f1: Option<f64>,
    /// Its share of all labelled pixels.
    pub share: f64,
}

/// All measures of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean IoU over the classes that occur in the labels.
    pub miou: f64,
    /// Share of labelled pixels that are right.
    pub pixel_accuracy: f64,
    /// Mean recall over the classes that occur in the labels.
    pub mean_accuracy: f64,
    /// Mean F1 over the classes that occur in the labels.
    pub mean_f1: f64,
    /// Mean IoU, each class weighted by its share of the labelled pixels (Long et al. 2015).
    #[serde(default)]
    pub frequency_weighted_iou: f64,
    /// Labelled pixels.
    pub pixels: u64,
    /// Each class.
    pub classes: Vec<ClassScores>,
}

impl Confusion {
    /// An empty matrix.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels of class `truth` that were predicted as `prediction`.
    pub fn count(&self, truth: usize, prediction: usize) -> u64 {
        self.counts[truth * self.classes + prediction]
    }

    /// Counts one picture. `truth` holds class numbers or [`IGNORE`]. A prediction that is no class counts as missed truth
    /// for the first other class, so that it can never be ignored away.
    ///
    /// # Panics
    /// If the lengths differ or a true class is out of range.
    pub fn add(&mut self, truth: &[u8], prediction: &[u8]) {
        assert_eq!(truth.len(), prediction.len(), "label and prediction have one size");
        for (&t, &p) in truth.iter().zip(prediction) {
            if t == IGNORE {
                continue;
            }
            let (t, mut p) = (usize::from(t), usize::from(p));
            if p >= self.classes {
                p = usize::from(t == 0);
            }
            self.counts[t * self.classes + p] += 1;
        }
    }

    /// Adds another matrix of the same classes.
    ///
    /// # Panics
    /// If the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.classes, other.classes, "both count the same classes");
        for (a, b) in self.counts.iter_mut().zip(&other.counts) {
            *a += b;
        }
    }

    /// All measures; `names` in the order of the classes.
    pub fn scores(&self, names: &[String]) -> Scores {
        let n = self.classes;
        let total: u64 = self.counts.iter().sum();
        let right: u64 = (0..n).map(|c| self.count(c, c)).sum();
        let ratio = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        let mut classes = Vec::with_capacity(n);
        let (mut iou, mut weighted_iou, mut recall, mut f1, mut present) = (0.0, 0.0, 0.0, 0.0, 0.0_f64);
        for c in 0..n {
            let hit = self.count(c, c);
            let truth: u64 = (0..n).map(|p| self.count(c, p)).sum();
            let predicted: u64 = (0..n).map(|t| self.count(t, c)).sum();
            let scores = ClassScores {
                name: names.get(c).cloned().unwrap_or_else(|| c.to_string()),
                iou: ratio(hit, truth + predicted - hit),
                precision: ratio(hit, predicted),
                recall: ratio(hit, truth),
                f1: ratio(2 * hit, truth + predicted),
                share: ratio(truth, total).unwrap_or(0.0),
            };
            if truth > 0 {
                present += 1.0;
                iou += scores.iou.unwrap_or(0.0);
                weighted_iou += scores.share * scores.iou.unwrap_or(0.0);
                recall += scores.recall.unwrap_or(0.0);
                f1 += scores.f1.unwrap_or(0.0);
            }
            classes.push(scores);
        }
        let present = present.max(1.0);
        Scores {
            miou: iou / present,
            pixel_accuracy: ratio(right, total).unwrap_or(0.0),
            mean_accuracy: recall / present,
            mean_f1: f1 / present,
            frequency_weighted_iou: weighted_iou,
            pixels: total,
            classes,
        }
    }
}

/// Names of the classes that a net answers with, in the order of its scores.
pub fn scored_names(classes: &[Class]) -> Vec<String> {
    classes.iter().filter(|c| !c.ignore).map(|c| c.name.clone()).collect()
}

/// The measures as a table for people, percentages with one decimal.
pub fn table(scores: &Scores) -> String {
    let percent = |v: Option<f64>| v.map_or_else(|| "     -".into(), |v| format!("{:6.1}", 100.0 * v));
    let width = scores.classes.iter().map(|c| c.name.len()).max().unwrap_or(5).max(14);
    let mut text = format!("{:width$}    IoU   prec    rec     F1  share\n", "class, %");
    for class in &scores.classes {
        text += &format!(
            "{:width$} {} {} {} {} {}\n",
            class.name,
            percent(class.iou),
            percent(class.precision),
            percent(class.recall),
            percent(class.f1),
            percent(Some(class.share)),
        );
    }
    text + &format!(
        "{:width$} {}   (pixel accuracy {:.1}, mean class accuracy {:.1}, mean F1 {:.1}, frequency-weighted IoU {:.1}; {} labelled pixels)",
        "mean of present",
        percent(Some(scores.miou)),
        100.0 * scores.pixel_accuracy,
        100.0 * scores.mean_accuracy,
        100.0 * scores.mean_f1,
        100.0 * scores.frequency_weighted_iou,
        scores.pixels,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("c{i}")).collect()
    }

    #[test]
    fn the_measures_agree_with_numbers_worked_out_by_hand() {
        let mut confusion = Confusion::new(3);
        //                 hit hit miss(0->1) miss(1->0) hit ignored
        confusion.add(&[0, 0, 0, 1, 1, IGNORE], &[0, 0, 1, 0, 1, 2]);
        let scores = confusion.scores(&names(3));
        // class 0: hit 2, truth 3, predicted 3: IoU 2/4; class 1: hit 1, truth 2, predicted 2: IoU 1/3; class 2: absent
        assert_eq!(scores.classes[0].iou, Some(0.5));
        assert_eq!(scores.classes[1].iou, Some(1.0 / 3.0));
        assert_eq!(scores.classes[2].iou, None);
        assert_eq!(scores.classes[0].precision, Some(2.0 / 3.0));
        assert_eq!(scores.classes[1].recall, Some(0.5));
        assert_eq!(scores.classes[1].f1, Some(0.5));
        assert!((scores.miou - 5.0 / 12.0).abs() < 1e-12);
        assert!((scores.pixel_accuracy - 0.6).abs() < 1e-12);
        assert!((scores.mean_accuracy - (2.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
        assert!((scores.frequency_weighted_iou - (0.6 * 0.5 + 0.4 / 3.0)).abs() < 1e-12);
        assert_eq!(scores.pixels, 5);
    }

    #[test]
    fn a_class_that_is_only_predicted_lowers_no_mean_but_is_shown() {
        let mut confusion = Confusion::new(2);
        confusion.add(&[0, 0], &[0, 1]);
        let scores = confusion.scores(&names(2));
        assert_eq!(scores.classes[1].iou, Some(0.0));
        assert_eq!(scores.miou, 0.5);
    }

    #[test]
    fn a_prediction_outside_the_classes_is_a_mistake() {
        let mut confusion = Confusion::new(2);
        confusion.add(&[0, 1], &[11, 11]);
        assert_eq!(confusion.scores(&names(2)).pixel_accuracy, 0.0);
    }

    #[test]
    fn merging_counts_like_one_long_picture() {
        let (mut a, mut b, mut whole) = (Confusion::new(2), Confusion::new(2), Confusion::new(2));
        a.add(&[0, 1], &[0, 0]);
        b.add(&[1], &[1]);
        whole.add(&[0, 1, 1], &[0, 0, 1]);
        a.merge(&b);
        assert_eq!(a, whole);
    }
}
