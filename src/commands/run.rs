//! `maskline run`

use crate::cli::RunArgs;
use crate::console::say;
use crate::error::{Kind, fault, kind_of};
use crate::messages::Event;
use crate::pipeline::{Pipeline, Plan};
use crate::progress::Progress;
use crate::signals;
use crate::source::StopFlag;
use crate::stats::usage;
use anyhow::Result;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// Errors only.
    Quiet,
    /// What happens and how it went.
    Normal,
    /// Also where the time went and why a provider was not taken.
    Verbose,
}

/// Runs a pipeline. Gives the signal's kind if one ended it.
///
/// # Errors
/// Those of [`Pipeline::open`] and of the run.
pub fn run(args: &RunArgs, talk: Talk) -> Result<Option<Kind>> {
    let quiet = talk == Talk::Quiet;
    let stop = StopFlag::default();
    let caught = signals::watch(stop.clone(), quiet)?;
    let pipeline = Pipeline::from_config(args.config()?)
        .stop_with(stop)
        .started_at(usage::process_start())
        .on_notice(move |line| {
            if !quiet {
                say(line);
            }
        });
    let outcome = pipeline.open().and_then(|ready| {
        if !quiet {
            say(announce(ready.plan(), talk));
        }
        let mut progress = Progress::new(quiet, ready.plan().frames_total);
        let ready = match talk {
            Talk::Verbose => {
                let teller = progress.teller();
                ready.on_event(move |event| teller(&tell(event)))
            }
            Talk::Quiet | Talk::Normal => ready,
        };
        ready.run(move |frames| progress.done(frames))
    });
    let report = match (outcome, caught.kind()) {
        // Stopped before there was anything to finish: the code is that of the signal.
        (Err(error), Some(signal)) if kind_of(&error) == Kind::Interrupted => return Err(fault(signal, format!("{error:#}"))),
        (outcome, _) => outcome?,
    };
    if !quiet {
        say(&report);
    }
    if talk == Talk::Verbose {
        say(report.stage_table());
    }
    Ok(caught.kind())
}

/// One line about a rule that changed.
fn tell(event: &Event) -> String {
    let Event { zone, rule, .. } = event;
    let seconds = event.pts_ns as f64 / 1e9;
    format!(
        "{seconds:.3} s, frame {}: {zone:?} / {rule:?} is {} at {:.1} %",
        event.frame,
        event.state.name(),
        100.0 * event.share
    )
}

fn announce(plan: &Plan, talk: Talk) -> String {
    let model = &plan.model;
    let licence = if model.licence.is_empty() { "not stated" } else { &model.licence };
    let mut text = format!(
        "{}\n{} ({}) at {}x{} on {}, licence: {}",
        plan.input, model.name, model.head, model.input_width, model.input_height, plan.provider.taken, licence
    );
    if talk == Talk::Verbose {
        text += &format!("\n{}", plan.provider.placement);
        for (provider, why) in &plan.provider.refused {
            text += &format!("\n{provider} not taken: {why}");
        }
    }
    for note in &plan.notes {
        text += &format!("\nnote: {note}");
    }
    text
}
