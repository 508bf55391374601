//! `maskline tune`

use crate::cli::TuneArgs;
use crate::commands::run::Talk;
use crate::config::{OnExisting, PipelineConfig};
use crate::console::{print, say};
use crate::error::{Kind, fault, kind_of};
use crate::pending::{PendingFile, check_place, folder_of};
use crate::pipeline::{read_as, same_file, same_name};
use crate::signals;
use crate::source::StopFlag;
use crate::tune::{self, Order, Tuned, Verdict};
use anyhow::Result;
use std::path::Path;

/// Searches, prints what it found and writes what it recommends.
///
/// # Errors
/// Those of [`tune::run`]; kind 64 or 74 for outputs that cannot be written, before the search; kind 69 if what is wanted cannot
/// be had, after everything but the pipeline has been written.
pub fn run(args: &TuneArgs, talk: Talk) -> Result<()> {
    let order = args.order();
    let existing = if args.overwrite { OnExisting::Replace } else { OnExisting::Refuse };
    check(args, &order, existing)?;
    let stop = StopFlag::default();
    let caught = signals::watch(stop.clone(), true)?;
    let outcome = tune::run(&order, &stop, &mut |doing| {
        if talk != Talk::Quiet {
            say(doing);
        }
    });
    let tuned = match (outcome, caught.kind()) {
        (Err(error), Some(signal)) if kind_of(&error) == Kind::Interrupted => return Err(fault(signal, format!("{error:#}"))),
        (outcome, _) => outcome?,
    };
    print(&tuned)?;
    write(args, &tuned, existing)?;
    match &tuned.verdict {
        Verdict::Impossible(shortfall) => Err(fault(Kind::Unavailable, tuned.shortfall(shortfall))),
        Verdict::Frontier | Verdict::Recommended { .. } => Ok(()),
    }
}

/// Writes everything, and gives names when all of it is complete.
fn write(args: &TuneArgs, tuned: &Tuned, existing: OnExisting) -> Result<()> {
    let mut complete = Vec::new();
    if let Some(path) = &args.json {
        let mut file = PendingFile::create(path)?;
        file.line(&tune::report(tuned))?;
        complete.push(file.complete()?);
    }
    let mut bytes = |path: &Path, bytes: &[u8]| -> Result<()> {
        let mut file = PendingFile::create(path)?;
        file.bytes(bytes)?;
        complete.push(file.complete()?);
        Ok(())
    };
    if let Some(path) = &args.plot {
        bytes(path, &tune::plot(tuned)?)?;
    }
    if let Verdict::Recommended { pipeline, .. } = &tuned.verdict {
        match &args.output {
            Some(path) => bytes(path, pipeline.as_bytes())?,
            None => print(format_args!("\n{}", pipeline.trim_end()))?,
        }
    }
    complete.into_iter().try_for_each(|file| file.name(existing))
}

/// Looks at the outputs before the work.
fn check(args: &TuneArgs, order: &Order, existing: OnExisting) -> Result<()> {
    let usage = |line: String| Err(fault(Kind::Usage, line));
    if args.output.is_some() && order.wish == tune::wish::Wish::default() {
        let wanted = "wanted one of --fps, --latency-ms, --min-agreement, --max-loss to recommend something for";
        return usage(format!("--output names a pipeline, but nothing says what it shall reach: {wanted}"));
    }
    let outputs = [
        ("--output", &args.output, Some("toml")),
        ("--plot", &args.plot, Some("png")),
        ("--json", &args.json, None),
    ];
    let outputs: Vec<_> = outputs
        .into_iter()
        .filter_map(|(flag, path, end)| Some((flag, path.as_deref()?, end)))
        .collect();
    for (number, (flag, path, end)) in outputs.iter().enumerate() {
        if let Some(end) = end.filter(|end| path.extension().is_none_or(|e| !e.eq_ignore_ascii_case(end))) {
            return usage(format!("{flag} {} wants a name that ends in .{end}", path.display()));
        }
        if let Some((other, ..)) = outputs[..number].iter().find(|(_, p, _)| same_name(p, path) || same_file(p, path)) {
            return usage(format!("{flag} and {other} are the same file {}, wanted two", path.display()));
        }
        if let Some(what) = input(order, path) {
            return usage(format!("{flag} {} is {what}: give the output another name", path.display()));
        }
        check_place(path, existing)?;
    }
    Ok(())
}

/// What a file is that the search reads, or that a run would read if it were there.
fn input(order: &Order, path: &Path) -> Option<&'static str> {
    let mut config = PipelineConfig::default();
    config.source.input.clone_from(&order.clip);
    let models = order.models.iter().cloned().map(Some).chain([None]);
    let read = models.into_iter().find_map(|model| {
        let sidecar = model.as_ref().map(|m| Path::new(m).with_extension("toml"));
        config.model.name = model;
        read_as(&config, path).or_else(|| {
            sidecar
                .is_some_and(|s| same_name(&s, path))
                .then_some("the name of a model's sidecar")
        })
    });
    let label = || order.labels.as_deref().is_some_and(|labels| same_file(labels, folder_of(path)));
    read.or_else(|| label().then_some("in the folder of the labels"))
}
