//! `eval`

use super::{begin, begin_with, no_head_of_a_checkpoint, outputs};
use crate::checkpoint::Checkpoint;
use crate::cli::EvalArgs;
use crate::config::read_classes;
use crate::error::{Kind, fault};
use crate::eval::{EvalOptions, Report, Subject, eval};
use crate::metrics::scored_names;
use crate::plots;
use crate::predict::{NO_SCORES, Views};
use anyhow::Result;
use maskline_models::Class;
use std::path::Path;

/// Measures, prints the table and writes what was asked for.
pub fn run(args: &EvalArgs) -> Result<()> {
    let options = options(args)?;
    check_outputs(args)?;
    let mut data = args.data.configs()?;
    let mut subject = match (&args.masks, &args.model) {
        (Some(folder), _) => {
            begin(&args.compute)?;
            Subject::Masks {
                folder: folder.clone(),
                classes: read_classes(args.classes.as_deref()).map_err(|e| fault(Kind::Config, e))?,
            }
        }
        (None, Some(model)) => {
            no_head_of_a_checkpoint(args.head.as_deref(), model)?;
            if data.is_empty() && model.ends_with(".ckpt") {
                let own = Checkpoint::read(Path::new(model))?.head.config.validation;
                data = args.data.filtered(own)?;
            }
            let device = begin_with(&args.compute, model)?;
            Subject::open(model, args.head.as_deref(), &device, args.compute.threads)?
        }
        (None, None) => return Err(fault(Kind::Usage, "name a model or --masks DIR")),
    };
    if data.is_empty() {
        return Err(fault(
            Kind::Usage,
            "name the labelled pictures: --data DIR, --images DIR --labels DIR, or --config FILE",
        ));
    }
    if (args.curves.is_some() || args.reliability.is_some()) && !subject.has_scores() {
        return Err(fault(Kind::Config, NO_SCORES));
    }
    let report = eval(&mut subject, &data, &options)?;
    println!("{} on {} pictures: {}", report.model, report.pictures, report.data.join("; "));
    println!("{}", report.measures.table());
    if let Some(test_time) = &report.test_time {
        let scales: Vec<_> = test_time.views.scales.iter().map(f64::to_string).collect();
        let mirrored = if test_time.views.flip { ", each with its mirror image" } else { "" };
        println!("\nmean of the scales {}{mirrored}:", scales.join(", "));
        println!("{}", test_time.measures.table());
    }
    if !report.weather.is_empty() {
        println!("\nwith weather painted over the pictures   mIoU %   pixel accuracy %");
        let clear = ("as they are", &report.measures);
        let hard = report.weather.iter().map(|w| (w.weather, &w.measures));
        for (weather, measures) in std::iter::once(clear).chain(hard) {
            let scores = &measures.scores;
            println!("  {weather:36} {:8.1} {:18.1}", 100.0 * scores.miou, 100.0 * scores.pixel_accuracy);
        }
    }
    if let Some(temporal) = &report.temporal {
        println!("\n{}", temporal.table());
    }
    write(args, &report, subject.classes())
}

fn check_outputs(args: &EvalArgs) -> Result<()> {
    let worst = args.worst.get(1).map(Path::new);
    let drawn = [&args.confusion, &args.curves, &args.reliability].map(|path| path.as_deref());
    let inputs = [
        args.model.as_deref().map(Path::new),
        args.classes.as_deref(),
        args.data.config.as_deref(),
    ];
    let inputs: Vec<&Path> = inputs
        .into_iter()
        .flatten()
        .chain(args.data.folders())
        .chain(args.masks.as_deref())
        .collect();
    outputs::check(&[&[args.json.as_deref(), worst], &drawn[..]].concat(), &inputs)
}

fn options(args: &EvalArgs) -> Result<EvalOptions> {
    let usage = |line: String| fault(Kind::Usage, line);
    if !(0.0..=5.0).contains(&args.boundary_tolerance) {
        let line = format!("--boundary-tolerance is {}, wanted 0 to 5 %", args.boundary_tolerance);
        return Err(usage(line));
    }
    if let Some(scale) = args.scales.iter().find(|s| !(0.1..=10.0).contains(*s)) {
        return Err(usage(format!("--scales has {scale}, wanted factors from 0.1 to 10")));
    }
    let worst = match args.worst.first() {
        None => 0,
        Some(count) => count
            .parse()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| usage(format!("--worst has {count:?}, wanted a number of pictures of 1 or more")))?,
    };
    let scales = if args.scales.is_empty() { vec![1.0] } else { args.scales.clone() };
    Ok(EvalOptions {
        size: args.size.map(|s| (s.width, s.height)),
        tolerance: args.boundary_tolerance / 100.0,
        views: (args.flip || !args.scales.is_empty()).then_some(Views { flip: args.flip, scales }),
        worst,
        weather: args.weather,
        clip: args.clip,
    })
}

fn write(args: &EvalArgs, report: &Report, classes: &[Class]) -> Result<()> {
    let measures = &report.measures;
    if let Some(path) = &args.json {
        outputs::write_json(path, report)?;
    }
    if let Some(path) = &args.confusion {
        plots::confusion(&measures.confusion, &scored_names(classes), path)?;
    }
    if let (Some(path), Some(ranking)) = (&args.curves, &measures.ranking) {
        plots::ranking(ranking, path)?;
    }
    if let (Some(path), Some(calibration)) = (&args.reliability, &measures.calibration) {
        plots::reliability(calibration, path)?;
    }
    if let Some(path) = args.worst.get(1) {
        plots::worst(&report.worst, classes, Path::new(path))?;
    }
    Ok(())
}
