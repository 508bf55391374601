//! All measures of one evaluation, counted picture by picture.

use super::boundary::{Boundary, BoundaryTally};
use super::calibration::{Calibration, CalibrationTally};
use super::ranking::{Ranking, RankingTally};
use crate::data::Sample;
use crate::metrics::{Confusion, Scores, table};
use crate::predict::{Prediction, softmax};
use serde::Serialize;

/// What was measured, at the labels' own size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measures {
    /// What follows from the confusion matrix.
    pub scores: Scores,
    /// How near contours lie to the true ones.
    pub boundary: Boundary,
    /// How well scores rank pixels; `None` for class maps without scores.
    pub ranking: Option<Ranking>,
    /// How calibrated probabilities are; `None` for class maps without scores.
    pub calibration: Option<Calibration>,
    /// Pixels by true class (rows) and predicted class (columns).
    pub confusion: Confusion,
}

/// Counts.
#[derive(Debug)]
pub struct Tally {
    names: Vec<String>,
    confusion: Confusion,
    boundary: BoundaryTally,
    scored: Option<(RankingTally, CalibrationTally)>,
}

impl Tally {
    /// Nothing counted yet; `names` in the order of the classes, `tolerance` of contours as a share of the diagonal.
    pub fn new(names: Vec<String>, tolerance: f64) -> Self {
        Self {
            confusion: Confusion::new(names.len()),
            boundary: BoundaryTally::new(names.len(), tolerance),
            scored: None,
            names,
        }
    }

    /// Counts one picture.
    pub fn add(&mut self, sample: &Sample, prediction: &Prediction) {
        self.confusion.add(&sample.labels, &prediction.classes);
        self.boundary
            .add(&sample.labels, &prediction.classes, (sample.width, sample.height));
        if let Some(scores) = &prediction.scores {
            let n = self.names.len();
            let (ranking, calibration) = self.scored.get_or_insert_with(|| (RankingTally::new(n), CalibrationTally::new(n)));
            let mut probabilities = scores.clone();
            softmax(&mut probabilities, sample.labels.len());
            ranking.add(&sample.labels, &probabilities);
            calibration.add(&sample.labels, &prediction.classes, scores, &probabilities);
        }
    }

    /// The measures.
    pub fn finish(self) -> Measures {
        Measures {
            scores: self.confusion.scores(&self.names),
            boundary: self.boundary.finish(&self.names),
            ranking: self.scored.as_ref().map(|(ranking, _)| ranking.finish(&self.names)),
            calibration: self.scored.as_ref().and_then(|(_, calibration)| calibration.finish()),
            confusion: self.confusion,
        }
    }
}

impl Measures {
    /// The measures as tables for people.
    pub fn table(&self) -> String {
        let mut text = table(&self.scores);
        let percent = |v: Option<f64>| v.map_or_else(|| "     -".into(), |v| format!("{:6.1}", 100.0 * v));
        // One digit more: areas of large classes come near to 100.
        let area = |v: Option<f64>| v.map_or_else(|| "     -".into(), |v| format!("{:6.2}", 100.0 * v));
        let width = self.scores.classes.iter().map(|c| c.name.len()).max().unwrap_or(5).max(14);
        text += &format!("\n\n{:width$} bound.", "class, %");
        text += if self.ranking.is_some() { "    AUC     AP\n" } else { "\n" };
        for (i, class) in self.boundary.classes.iter().enumerate() {
            text += &format!("{:width$} {}", class.name, percent(class.f1));
            if let Some(ranking) = &self.ranking {
                let class = &ranking.classes[i];
                text += &format!(" {} {}", area(class.auc), percent(class.average_precision));
            }
            text.push('\n');
        }
        text += &format!("{:width$} {}", "mean", percent(self.boundary.mean_f1));
        if let Some(ranking) = &self.ranking {
            text += &format!(" {} {}", area(ranking.mean_auc), percent(ranking.mean_average_precision));
        }
        text += &format!(
            "   (bound.: boundary F1 within {:.2} % of the diagonal)",
            100.0 * self.boundary.tolerance
        );
        if let Some(calibration) = &self.calibration {
            let t = &calibration.temperature;
            text += &format!(
                "\ncalibration error {:.2} %; temperature {:.2}, at which the labels are likeliest, takes it from {:.2} to {:.2} % on {} drawn pixels",
                100.0 * calibration.ece,
                t.value,
                100.0 * t.ece_before,
                100.0 * t.ece_after,
                t.pixels
            );
        }
        text
    }
}
