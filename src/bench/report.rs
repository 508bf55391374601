//! What was found out: the limit that the CPU sets, and what is reached of it (docs/formats.md).

use super::{Machine, Step};
use crate::infer::Provider;
use crate::pipeline::Plan;
use crate::stats::{ModelUsed, ProviderUsed};
use serde::Serialize;

/// A benchmark's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// Version of this program.
    pub maskline: String,
    /// The machine.
    pub machine: Machine,
    /// What ran the net.
    pub provider: ProviderUsed,
    /// Sessions of the net, side by side.
    pub sessions: usize,
    /// The net.
    pub model: ModelUsed,
    /// What it ran on.
    pub clip: ClipUsed,
    /// How often each stage was measured.
    pub rounds: usize,
    /// Frames of one measurement.
    pub frames: u64,
    /// What a frame costs in each stage alone, and at last in the whole.
    pub stages: Vec<StageCost>,
    /// CPU milliseconds of a frame, summed over the stages without the whole.
    pub stages_cpu_ms: f64,
    /// Frames a second that all cores could do if there were only decoding, the net and encoding; `None` where the net does
    /// not run on the CPU.
    pub limit_frames_per_s: Option<f64>,
    /// Frames a second of the whole.
    pub frames_per_s: f64,
    /// The whole by the limit.
    pub fraction: Option<f64>,
    /// Wall time of a frame in the whole by that of the net alone.
    pub whole_to_net: f64,
    /// Most resident memory of a run, in MiB.
    pub peak_memory_mib: f64,
}

/// The clip that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClipUsed {
    /// Its name; `None` for a test pattern that this program has encoded.
    pub name: Option<String>,
    /// Codec, size and rate in words.
    pub description: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// What a frame costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageCost {
    /// Where.
    pub stage: Step,
    /// Milliseconds from one finished frame to the next.
    pub wall_ms: f64,
    /// Half of the calls for one frame took at most that; `None` where a frame is not one call.
    pub p50_ms: Option<f64>,
    /// 95 % of them took at most that.
    pub p95_ms: Option<f64>,
    /// CPU milliseconds, all threads.
    pub cpu_ms: f64,
    /// By the CPU time of the whole.
    pub share: f64,
}

/// What the report is made of.
pub(super) struct Facts {
    pub machine: Machine,
    pub plan: Plan,
    pub asked: Provider,
    /// Whether the net runs on the CPU.
    pub on_cpu: bool,
    pub sessions: usize,
    pub clip: String,
    pub made: bool,
    pub rounds: usize,
    pub frames: u64,
    pub peak_memory_mib: f64,
    /// One for each step, in their order.
    pub costs: Vec<StageCost>,
}

impl BenchReport {
    pub(super) fn new(facts: Facts) -> Self {
        let Facts { machine, plan, costs, .. } = facts;
        let wall_ms = |step| cost(&costs, step).map_or(f64::NAN, |c| c.wall_ms);
        let frames_per_s = 1e3 / wall_ms(Step::Whole);
        let limit = facts.on_cpu.then(|| limit(machine.cores, &costs));
        Self {
            maskline: env!("CARGO_PKG_VERSION").into(),
            provider: ProviderUsed::new(facts.asked, &plan.provider),
            sessions: facts.sessions,
            clip: ClipUsed {
                name: (!facts.made).then_some(facts.clip),
                description: plan.input,
                width: plan.format.width,
                height: plan.format.height,
            },
            model: plan.model,
            rounds: facts.rounds,
            frames: facts.frames,
            stages_cpu_ms: round(costs.iter().filter(|c| c.stage != Step::Whole).map(|c| c.cpu_ms).sum()),
            limit_frames_per_s: limit.map(round),
            frames_per_s: round(frames_per_s),
            fraction: limit.map(|limit| round(frames_per_s / limit)),
            whole_to_net: round(wall_ms(Step::Whole) / wall_ms(Step::Infer)),
            peak_memory_mib: facts.peak_memory_mib,
            stages: costs.into_iter().map(StageCost::rounded).collect(),
            machine,
        }
    }
}

impl StageCost {
    fn rounded(self) -> Self {
        Self {
            wall_ms: round(self.wall_ms),
            p50_ms: self.p50_ms.map(round),
            p95_ms: self.p95_ms.map(round),
            cpu_ms: round(self.cpu_ms),
            share: round(self.share),
            ..self
        }
    }
}

fn cost(costs: &[StageCost], step: Step) -> Option<&StageCost> {
    costs.iter().find(|c| c.stage == step)
}

/// Frames a second that `cores` could do if a frame cost no more than what nobody can do without.
fn limit(cores: usize, costs: &[StageCost]) -> f64 {
    let needed = [Step::Decode, Step::Infer, Step::Encode].map(|step| cost(costs, step).map_or(f64::NAN, |c| c.cpu_ms));
    cores as f64 / (needed.iter().sum::<f64>() / 1e3)
}

/// Four digits behind the point: a tenth of a microsecond.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(list: &[(Step, f64)]) -> Vec<StageCost> {
        let of = |&(stage, cpu_ms): &(Step, f64)| StageCost {
            stage,
            wall_ms: cpu_ms / 2.0,
            p50_ms: None,
            p95_ms: None,
            cpu_ms,
            share: cpu_ms / 60.0,
        };
        list.iter().map(of).collect()
    }

    fn all() -> Vec<StageCost> {
        costs(&[
            (Step::Decode, 4.0),
            (Step::Preprocess, 1.0),
            (Step::Infer, 38.0),
            (Step::Postprocess, 0.5),
            (Step::Overlay, 2.0),
            (Step::Encode, 8.0),
            (Step::Whole, 60.0),
        ])
    }

    #[test]
    fn the_limit_counts_cores_and_what_nobody_can_do_without() {
        assert_eq!(limit(2, &all()), 40.0);
        assert_eq!(limit(8, &all()), 160.0);
        assert!(
            limit(2, &costs(&[(Step::Infer, 1.0)])).is_nan(),
            "a stage that is missing costs something"
        );
    }
}
