//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fall {
    /// Half a cosine from 1 to the final share (Loshchilov and Hutter 2016).
    #[default]
    Cosine,
    /// `(1 - progress)^power` (Chen et al. 2017).
    Poly,
    /// Stays at 1.
    Constant,
}

/// `[schedule]` of a training configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// How it falls.
    pub kind: Fall,
    /// Steps over which the rate climbs from near 0 to its full value.
    pub warmup_steps: u64,
    /// Exponent of `poly`.
    pub power: f64,
    /// Share of the full rate that is left at the end, 0-1.
    pub final_share: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            kind: Fall::Cosine,
            warmup_steps: 100,
            power: 0.9,
            final_share: 0.0,
        }
    }
}

impl Schedule {
    /// Factor on the full rate, 0-1, for step `step` (from 0) when `progress` (0-1) of the run is done.
    pub fn factor(&self, step: u64, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        let fall = match self.kind {
            Fall::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Fall::Poly => (1.0 - progress).powf(self.power),
            Fall::Constant => 1.0,
        };
        let warm = if step < self.warmup_steps {
            (step + 1) as f64 / self.warmup_steps as f64
        } else {
            1.0
        };
        warm * (self.final_share + (1.0 - self.final_share) * fall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: Fall) -> Schedule {
        Schedule {
            kind,
            warmup_steps: 0,
            ..Schedule::default()
        }
    }

    #[test]
    fn the_cosine_is_full_half_and_nothing_at_start_middle_and_end() {
        let cosine = schedule(Fall::Cosine);
        for (progress, wanted) in [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0), (2.0, 0.0)] {
            assert!((cosine.factor(0, progress) - wanted).abs() < 1e-12, "{progress}");
        }
    }

    #[test]
    fn poly_follows_its_power_and_ends_at_the_final_share() {
        let poly = Schedule {
            power: 2.0,
            final_share: 0.1,
            ..schedule(Fall::Poly)
        };
        assert!((poly.factor(0, 0.5) - (0.1 + 0.9 * 0.25)).abs() < 1e-12);
        assert!((poly.factor(0, 1.0) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn the_warm_up_climbs_evenly_and_is_over_after_its_steps() {
        let warm = Schedule {
            warmup_steps: 4,
            ..schedule(Fall::Constant)
        };
        let factors: Vec<f64> = (0..6).map(|step| warm.factor(step, 0.0)).collect();
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }
}
