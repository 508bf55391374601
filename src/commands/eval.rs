//! `maskline eval`

use crate::cli::EvalArgs;
use crate::console::print;
use crate::evaluate::{Evaluation, Outcome};
use crate::pending::{PendingFile, check_free};
use crate::signals;
use crate::source::{self, StopFlag};
use anyhow::Result;
use maskline_models::metrics::table;
use serde::Serialize;

#[derive(Serialize)]
struct Json<'a> {
    maskline: &'a str,
    clip: &'a str,
    labels: Option<String>,
    outcomes: &'a [Outcome],
}

/// Runs the clip in every way that was asked for and prints a line for each.
///
/// # Errors
/// Those of [`Evaluation::run`].
pub fn run(args: &EvalArgs, quiet: bool) -> Result<()> {
    source::check_repeatable(&args.clip)?;
    args.json.as_deref().map_or(Ok(()), check_free)?;
    let stop = StopFlag::default();
    signals::watch(stop.clone(), quiet)?;
    let evaluation = Evaluation {
        config: args.config(),
        labels: args.labels.clone(),
        stop,
    };
    print(heading(args.labels.is_some()))?;
    let outcomes = evaluation.run(&args.ways(), |outcome| print(line(outcome)))?;
    if let (false, Some(truth)) = (quiet, outcomes.last().and_then(|o| o.truth.as_ref())) {
        print(format_args!("\nthe last of them, class by class\n{}", table(truth)))?;
    }
    if let Some(path) = &args.json {
        let mut file = PendingFile::create(path)?;
        file.line(&Json {
            maskline: env!("CARGO_PKG_VERSION"),
            clip: &args.clip,
            labels: args.labels.as_ref().map(|l| l.display().to_string()),
            outcomes: &outcomes,
        })?;
        file.complete()?.claim()?;
    }
    Ok(())
}

fn heading(labelled: bool) -> String {
    let mut text = format!(
        "{:<6}{:<9}{:>7}{:>8}{:>10}{:>9}{:>9}{:>9}{:>10}",
        "every", "motion", "smooth", "frames", "inferred", "agree %", "flicker", "frames/s", "CPU ms"
    );
    if labelled {
        text += &format!("{:>8}", "mIoU %");
    }
    text
}

fn line(outcome: &Outcome) -> String {
    let percent = |share: f64| format!("{:.2}", 100.0 * share);
    let mut text = format!(
        "{:<6}{:<9}{:>7}{:>8}{:>10}{:>9}{:>9}{:>9.1}{:>10.1}",
        outcome.every,
        outcome.motion,
        outcome.smooth,
        outcome.frames,
        outcome.inferred,
        percent(outcome.agreement),
        outcome.flicker.map_or_else(|| "-".into(), percent),
        outcome.frames_per_s,
        outcome.cpu_ms_per_frame
    );
    if let Some(truth) = &outcome.truth {
        text += &format!("{:>8}", percent(truth.miou));
    }
    text
}
