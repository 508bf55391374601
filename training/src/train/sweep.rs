//! The learning rate range test: how the loss goes while the rate grows (Smith 2017). Leaves no run behind.

use super::learner::Learner;
use super::{recipe, step_of};
use crate::config::RunConfig;
use crate::data::{Loader, Plan};
use crate::error::{Kind, fault};
use crate::stop::Stop;
use anyhow::Result;
use burn::tensor::Device;
use std::sync::Arc;

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sweep {
    /// Rate of the first step.
    pub from: f64,
    /// Rate of the last step.
    pub to: f64,
    /// Number of steps; each rate is the one before times the same factor.
    pub steps: usize,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Its learning rate.
    pub rate: f64,
    /// Its loss.
    pub loss: f64,
    /// The exponential moving average of the losses so far, without the bias of its start.
    pub smooth: f64,
}

/// What the curve says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    /// Where the smooth loss falls most steeply: a full rate to try.
    pub steepest: f64,
    /// Where it is least: the rate beyond which nothing is learnt, ten times too much for a whole run.
    pub least: f64,
}

const MEMORY: f64 = 0.9; // of the moving average
const DIVERGED: f64 = 3.0; // times the first loss above the least one, which may be below 0

impl Sweep {
    fn rate(&self, step: usize) -> f64 {
        let share = step as f64 / (self.steps - 1).max(1) as f64;
        self.from * (self.to / self.from).powf(share)
    }

    /// Trains a new net with growing rates until the last one, until the loss runs away or is no number, or until `stop`.
    ///
    /// # Errors
    /// As [`super::run`].
    pub fn run(&self, config: &RunConfig, device: &Device, stop: &Stop) -> Result<Vec<Point>> {
        config.train.precision.check(device)?;
        let classes = config.read_classes().map_err(|e| fault(Kind::Config, e))?;
        let (recipe, class_weights) = recipe(config, &classes)?;
        let recipe = Arc::new(recipe);
        let mut learner = Learner::new(config, &classes, class_weights, None, device)?;
        if let Some(path) = &config.init {
            learner.take_weights(path)?;
        }
        if let Some(pretrained) = &config.pretrained {
            learner.take_pretrained(pretrained)?;
        }
        learner.freeze(0);
        let accumulate = config.train.accumulate;
        let mut curve = Curve::default();
        let _held = stop.hold();
        for epoch in 0.. {
            let steps = Plan::new(&recipe.sources, recipe.seed, epoch).steps(recipe.batch * accumulate);
            let mut loader = Loader::start(&recipe, epoch, 0..steps * accumulate, config.train.loaders);
            for _ in 0..steps {
                let step = curve.points.len();
                if step == self.steps || curve.diverged() || stop.asked() {
                    return Ok(curve.points);
                }
                let rate = self.rate(step);
                match learner.step(step_of(&mut loader, accumulate)?, step as u64, rate) {
                    Ok(loss) => curve.add(rate, f64::from(loss)),
                    // A rate this high is what the sweep looks for, once it has seen any.
                    Err(_) if !curve.points.is_empty() => return Ok(curve.points),
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(curve.points)
    }
}

/// The points so far.
#[derive(Default)]
struct Curve {
    points: Vec<Point>,
    sum: f64,
}

impl Curve {
    fn add(&mut self, rate: f64, loss: f64) {
        self.sum = MEMORY * self.sum + (1.0 - MEMORY) * loss;
        let smooth = self.sum / (1.0 - MEMORY.powi(self.points.len() as i32 + 1));
        self.points.push(Point { rate, loss, smooth });
    }

    fn diverged(&self) -> bool {
        let least = self.points.iter().map(|p| p.smooth).fold(f64::INFINITY, f64::min);
        let ends = self.points.first().zip(self.points.last());
        ends.is_some_and(|(first, last)| last.smooth - least > DIVERGED * first.smooth.abs())
    }
}

/// What the curve says; `None` where it never falls. The first tenth counts for nothing: there the average is still noise.
pub fn suggest(points: &[Point]) -> Option<Suggestion> {
    let settled = &points[points.len() / 10..];
    let least = settled.iter().min_by(|a, b| a.smooth.total_cmp(&b.smooth))?;
    let falling: Vec<&Point> = settled.iter().take_while(|p| p.rate <= least.rate).collect();
    // Over five points, so that one lucky batch is no slope.
    let slope = |part: &[&Point]| {
        let (first, last) = (part[0], part[part.len() - 1]);
        (last.smooth - first.smooth) / (last.rate / first.rate).ln()
    };
    let steepest = falling.windows(5).min_by(|a, b| slope(a).total_cmp(&slope(b)))?;
    (slope(steepest) < 0.0).then(|| Suggestion {
        steepest: steepest[2].rate,
        least: least.rate,
    })
}

/// The points as CSV.
pub fn csv(points: &[Point]) -> String {
    let mut text = String::from("rate,loss,smooth_loss\n");
    for point in points {
        text += &format!("{:.6e},{:.6},{:.6}\n", point.rate, point.loss, point.smooth);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_grow_by_one_factor_from_the_first_to_the_last() {
        let sweep = Sweep {
            from: 1e-4,
            to: 1.0,
            steps: 5,
        };
        for (step, wanted) in [1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter().enumerate() {
            assert!((sweep.rate(step) / wanted - 1.0).abs() < 1e-9);
        }
    }

    /// A loss that falls most steeply at a rate of 0.01 and climbs beyond 0.1.
    fn curve() -> Curve {
        let mut curve = Curve::default();
        for step in 0..100 {
            let decade = -5.0 + 6.0 * f64::from(step) / 99.0;
            let fall = 2.0 / (1.0 + (4.0 * (decade + 2.0)).exp());
            let climb = (5.0 * (decade + 1.0)).exp();
            curve.add(10f64.powf(decade), 0.5 + fall + if decade > -1.0 { climb - 1.0 } else { 0.0 });
        }
        curve
    }

    #[test]
    fn the_steepest_fall_and_the_least_loss_are_found() {
        let found = suggest(&curve().points).unwrap();
        assert!((0.005..0.05).contains(&found.steepest), "{found:?}");
        assert!((0.05..0.4).contains(&found.least), "{found:?}");
        assert!(curve().diverged());
    }

    #[test]
    fn a_loss_that_only_climbs_suggests_nothing() {
        let mut curve = Curve::default();
        (1..40).for_each(|i| curve.add(f64::from(i), f64::from(i)));
        assert_eq!(suggest(&curve.points), None);
        assert_eq!(suggest(&[]), None);
        assert_eq!(csv(&curve.points).lines().count(), 40);
    }
}
