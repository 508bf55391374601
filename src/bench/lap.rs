//! What one measurement took, and what several say together.

use super::{StageCost, Step};
use crate::stats::usage;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Wall and CPU time of a number of frames.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Lap {
    pub frames: u64,
    pub wall_s: f64,
    /// Of all threads of this process.
    pub cpu_s: f64,
    /// Wall time of each frame in milliseconds, where a frame is one call.
    pub calls_ms: Vec<f64>,
}

impl Lap {
    /// Adds one call for one frame.
    pub fn call<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let clock = Clock::start();
        let result = work();
        let call = clock.stop(1);
        self.frames += 1;
        self.wall_s += call.wall_s;
        self.cpu_s += call.cpu_s;
        self.calls_ms.push(call.wall_s * 1e3);
        result
    }
}

/// Runs from its start to its stop.
pub(super) struct Clock {
    wall: Instant,
    cpu_s: f64,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu_s: usage::cpu_seconds(),
        }
    }

    pub fn stop(self, frames: u64) -> Lap {
        Lap {
            frames,
            cpu_s: usage::cpu_seconds() - self.cpu_s,
            wall_s: self.wall.elapsed().as_secs_f64(),
            calls_ms: Vec::new(),
        }
    }
}

/// All laps of all steps.
#[derive(Debug, Default)]
pub(super) struct Laps(BTreeMap<Step, Vec<Lap>>);

impl Laps {
    pub fn add(&mut self, step: Step, lap: Lap) {
        self.0.entry(step).or_default().push(lap);
    }

    /// Per step, in the order of the way: medians over the laps of the times of a frame, quantiles over all calls. The shares
    /// are those of the CPU time of the whole.
    pub fn costs(&self) -> Vec<StageCost> {
        let a_frame = |laps: &[Lap], of: fn(&Lap) -> f64| median(laps.iter().map(|l| of(l) * 1e3 / l.frames as f64).collect());
        let whole_cpu_ms = self.0.get(&Step::Whole).map_or(f64::NAN, |laps| a_frame(laps, |l| l.cpu_s));
        let cost = |(step, laps): (&Step, &Vec<Lap>)| {
            let mut calls: Vec<f64> = laps.iter().flat_map(|l| &l.calls_ms).copied().collect();
            calls.sort_by(f64::total_cmp);
            let cpu_ms = a_frame(laps, |l| l.cpu_s);
            StageCost {
                stage: *step,
                wall_ms: a_frame(laps, |l| l.wall_s),
                p50_ms: quantile(&calls, 0.5),
                p95_ms: quantile(&calls, 0.95),
                cpu_ms,
                share: cpu_ms / whole_cpu_ms,
            }
        };
        self.0.iter().map(cost).collect()
    }
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

/// The smallest of the sorted values that at least a share `q` of them does not exceed; nothing without values.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The time as milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lap(wall_s: f64, cpu_s: f64, calls_ms: &[f64]) -> Lap {
        Lap {
            frames: 10,
            wall_s,
            cpu_s,
            calls_ms: calls_ms.to_vec(),
        }
    }

    #[test]
    fn a_median_ignores_the_round_that_something_else_disturbed() {
        assert_eq!(median(vec![3.0, 900.0, 1.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 900.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&hundred, 0.5), quantile(&hundred, 0.95)), (Some(50.0), Some(95.0)));
        assert_eq!((quantile(&[7.0], 0.95), quantile(&[], 0.5)), (Some(7.0), None));
    }

    #[test]
    fn costs_are_per_frame_in_the_order_of_the_way_and_shares_are_of_the_whole() {
        let mut laps = Laps::default();
        for (wall_s, cpu_s) in [(0.2, 0.4), (0.1, 0.2), (9.0, 9.0)] {
            laps.add(Step::Whole, lap(wall_s, cpu_s, &[]));
            laps.add(Step::Infer, lap(wall_s / 2.0, cpu_s / 4.0, &[1.0, 3.0]));
        }
        let costs = laps.costs();
        assert_eq!([costs[0].stage, costs[1].stage], [Step::Infer, Step::Whole]);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(costs[1].wall_ms, 20.0) && near(costs[1].cpu_ms, 40.0), "{costs:?}");
        assert!(near(costs[0].wall_ms, 10.0) && near(costs[0].cpu_ms, 10.0), "{costs:?}");
        assert!(near(costs[0].share, 0.25) && near(costs[1].share, 1.0), "{costs:?}");
        assert_eq!((costs[0].p50_ms, costs[0].p95_ms, costs[1].p95_ms), (Some(1.0), Some(3.0), None));
    }

    #[test]
    fn calls_add_up_and_what_lies_between_them_does_not_count() {
        let mut lap = Lap::default();
        for _ in 0..3 {
            lap.call(|| std::thread::sleep(Duration::from_millis(2)));
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!((lap.frames, lap.calls_ms.len()), (3, 3));
        let sum: f64 = lap.calls_ms.iter().sum();
        assert!(sum >= 6.0 && (sum - lap.wall_s * 1e3).abs() < 1e-6 && lap.calls_ms.iter().all(|c| *c < 50.0));
    }
}
