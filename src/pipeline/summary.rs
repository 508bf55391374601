//! The end report of a run, put together.

use super::wire::Done;
use super::{Plan, outputs};
use crate::config::PipelineConfig;
use crate::privacy::shown;
use crate::stats::{FrameCounts, ProviderUsed, Refusal, Report, TemporalReport, usage};
use crate::temporal::TemporalOptions;
use std::time::Instant;

/// Puts everything together for the end report.
pub(super) fn report(plan: &Plan, config: &PipelineConfig, done: Done, started: Instant) -> Report {
    let stream_s = done.began.elapsed().as_secs_f64();
    let ms = |s: f64| (s * 1e3).round() / 1e3;
    Report {
        maskline: env!("CARGO_PKG_VERSION").into(),
        input: shown(&config.source.input),
        output: config.output.video.as_ref().map(|v| v.display().to_string()),
        written: outputs::written(&config.output, done.counts.written),
        width: plan.format.width,
        height: plan.format.height,
        ended_by: done.ended_by,
        frames: FrameCounts {
            expected: plan.frames_total,
            ..done.counts
        },
        wall_s: ms(started.elapsed().as_secs_f64()),
        stream_s: ms(stream_s),
        cpu_s: ms(usage::cpu_seconds()),
        frames_per_s: ms(done.counts.written as f64 / stream_s),
        first_frame_ms: done.first_frame.map(|at| ms((at - started).as_secs_f64() * 1e3)),
        latency: done.latency,
        peak_memory_mib: usage::peak_memory_mib(),
        source: done.source,
        model: plan.model.clone(),
        provider: ProviderUsed {
            asked: config.session.provider.to_string(),
            taken: plan.provider.taken.clone(),
            refused: plan
                .provider
                .refused
                .iter()
                .map(|(provider, why)| Refusal {
                    provider: provider.clone(),
                    why: why.clone(),
                })
                .collect(),
        },
        temporal: done.temporal.map(|measured| temporal(&config.temporal, measured)),
        rules: done.rules,
        stages: done.stages,
    }
}

/// What was asked for beside what was measured.
fn temporal(options: &TemporalOptions, measured: TemporalReport) -> TemporalReport {
    TemporalReport {
        every: options.every.to_string(),
        motion: options.motion.to_string(),
        hold_fps: options.hold_fps,
        smooth: options.smooth,
        smooth_of: options.smooth_of.clone(),
        lookahead: options.lookahead,
        ..measured
    }
}
