//! How long each stage takes alone, how long all of them together, and how near that comes to what the CPU allows.
//!
//! The stages run in turn, round after round, so that whatever else the machine does hits all of them alike; what counts is
//! the median over the rounds.

mod clip;
mod lap;
mod machine;
mod report;
mod stages;
mod table;

pub use machine::Machine;
pub use report::{BenchReport, ClipUsed, StageCost};
pub use stages::Step;

use crate::config::{OnExisting, PipelineConfig};
use crate::error::{Kind, fault};
use crate::source::StopFlag;
use crate::stats::usage;
use anyhow::{Context, Result};
use lap::Laps;
use stages::{Stages, whole};

/// Measurements of each stage.
const ROUNDS: usize = 5;
/// Frames of one measurement, if nobody says otherwise: enough to make little of opening and closing.
const FRAMES: u64 = 60;

/// Measures what `config` says: its source (a clip of a test pattern that is made first, where it names none), model and
/// execution. What it says about outputs does not matter: the whole writes a temporary .mp4. `say` hears what is being done.
///
/// # Errors
/// One line with its kind, as a run would give it; kind 130 if somebody asked to stop.
pub fn run(mut config: PipelineConfig, stop: &StopFlag, mut say: impl FnMut(&str)) -> Result<BenchReport> {
    let machine = Machine::look()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let frames = *config.source.frames.get_or_insert(FRAMES);
    let made = config.source.input.is_empty();
    if made {
        say("making a clip");
        config.source.input = clip::make(folder.path(), frames)?;
    } else {
        clip::check(&config.source.input)?;
    }
    config.output.video = Some(folder.path().join("masked.mp4"));
    config.output.existing = OnExisting::Replace;

    say("warming up");
    // First of all, so that nothing else counts as memory of a run.
    let (plan, first) = whole(&config, stop)?;
    let peak_memory_mib = usage::peak_memory_mib();
    config.source.frames = Some(first.frames);
    let mut stages = Stages::open(&config, stop)?;
    let steps = stages.steps();
    for step in steps.iter().copied().filter(|step| *step != Step::Whole) {
        go_on(stop)?;
        stages.lap(step)?;
    }
    let mut laps = Laps::default();
    for round in 1..=ROUNDS {
        for &step in &steps {
            say(&format!("round {round} of {ROUNDS}: {step}"));
            let lap = match step {
                Step::Whole => whole(&config, stop)?.1,
                _ => stages.lap(step)?,
            };
            go_on(stop)?;
            laps.add(step, lap);
        }
    }
    Ok(BenchReport::new(report::Facts {
        machine,
        plan,
        asked: config.session.provider,
        on_cpu: stages.on_cpu(),
        sessions: stages.sessions(),
        clip: config.source.input,
        made,
        rounds: ROUNDS,
        frames: first.frames,
        peak_memory_mib,
        costs: laps.costs(),
    }))
}

fn go_on(stop: &StopFlag) -> Result<()> {
    if stop.requested() {
        return Err(fault(Kind::Interrupted, "stopped before the measurement was over"));
    }
    Ok(())
}
