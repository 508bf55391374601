//! What comes of a search, in words.

use super::Tuned;
use super::point::{Barrier, Point, Shortfall};
use super::wish::Floor;
use maskline_models::Precision;

/// What comes of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was wanted but the frontier.
    Frontier,
    /// This is as wanted.
    Recommended {
        /// Which of the points.
        point: usize,
        /// The text of its pipeline file.
        pipeline: String,
    },
    /// Nothing is as wanted.
    Impossible(Shortfall),
}

impl Tuned {
    /// What was measured of a point, in a line.
    pub fn figures(&self, point: &Point) -> String {
        let latency = point
            .latency_p95_ms
            .map_or(String::new(), |ms| format!(", latency (p95) {ms:.0} ms"));
        let (rate, quality) = (point.frames_per_s, 100.0 * point.quality());
        format!("{rate:.1} frames/s{latency}, {} {quality:.1} %", self.quality_name())
    }

    /// What was wanted, in words.
    pub fn wanted(&self) -> String {
        let floor = self.limits.floor.map(|floor| {
            let above = format!("an {} of at least {:.1} %", self.quality_name(), 100.0 * floor);
            match self.wish.floor {
                Some(Floor::LossPoints(points)) => format!("{above} ({points} points below the reference)"),
                _ => above,
            }
        });
        let goal = self.limits.goal.map(|goal| goal.to_string());
        [goal, floor].into_iter().flatten().collect::<Vec<_>>().join(" with ")
    }

    /// Why it cannot be had, what is nearest and what to do, in a line.
    pub fn shortfall(&self, shortfall: &Shortfall) -> String {
        let nearest = &self.points[shortfall.nearest];
        let barrier = match shortfall.barrier {
            Barrier::Speed => "the speed stands in the way: nothing here is that fast".to_owned(),
            Barrier::Quality => format!("the {} stands in the way: nothing here is that good", self.quality_name()),
            Barrier::Both { fast } => format!(
                "each alone can be had, but what is fast enough has an {} of {:.1} % at most",
                self.quality_name(),
                100.0 * self.points[fast].quality()
            ),
        };
        let smaller = match self.nets.iter().any(|net| matches!(net.precision, Precision::Int8)) {
            true => "give a smaller net (--model) or smaller sizes (--sizes)",
            false => "give an int8 file of the net (maskline-training quantize) or a smaller net with --model, or smaller sizes (--sizes)",
        };
        let remedy = match shortfall.barrier {
            Barrier::Quality => "give a better net (--model) or let it run more often (--every 1)",
            _ => smaller,
        };
        format!(
            "found no way to {}: {barrier}; nearest is {}: {}; {remedy}, or want less",
            self.wanted(),
            self.describe(nearest),
            self.figures(nearest)
        )
    }
}
