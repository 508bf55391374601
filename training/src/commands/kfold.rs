//! `kfold`

use super::{begin, outputs, read_config};
use crate::cli::KfoldArgs;
use crate::error::fault;
use crate::stop::Stop;
use crate::train::Options;
use crate::train::folds::{Folds, cross_validate, drives};
use anyhow::Result;
use std::path::PathBuf;

/// Trains and measures every fold, and prints a row for each.
pub fn run(args: &KfoldArgs) -> Result<()> {
    let mut config = read_config(&args.config)?;
    args.overrides.put_into(&mut config.train);
    let drives = if args.drives.is_empty() {
        drives(&config)?
    } else {
        args.drives.clone()
    };
    let options = Options {
        out: args
            .out
            .clone()
            .unwrap_or_else(|| PathBuf::from("runs").join(format!("{}-kfold", config.name))),
        resume: false,
        device: begin(&args.compute)?,
        device_name: args.compute.device.clone(),
        stop: Stop::on_signals()?,
    };
    // What lies in the runs' folder gets it from them.
    let json = args.json.as_deref().filter(|json| !json.starts_with(&options.out));
    outputs::check(&[json], &[&args.config])?;
    // On a thread of the pool, as `train`.
    let Some(folds) = rayon::scope(|_| cross_validate(&config, &drives, &options))? else {
        return Err(fault(
            options.stop.kind(),
            "interrupted; everything up to the last step is saved: the same command goes on",
        ));
    };
    let path = args.json.clone().unwrap_or_else(|| options.out.join("kfold.json"));
    outputs::write_json(&path, &folds)?;
    println!("{}", table(&folds));
    Ok(())
}

/// A row a fold, then their mean.
fn table(folds: &Folds) -> String {
    let mut text = format!(
        "{:20} {:>8} {:>8} {:>17} {:>14}\n",
        "held out", "pictures", "mIoU %", "pixel accuracy %", "best epoch %"
    );
    for fold in &folds.folds {
        text += &format!(
            "{:20} {:8} {:8.2} {:17.2} {:14.2}\n",
            fold.drive,
            fold.pictures,
            100.0 * fold.last.miou,
            100.0 * fold.last.pixel_accuracy,
            100.0 * fold.best.miou
        );
    }
    text + &format!(
        "{:20} {:>8} {:8.2} {:17.2}   deviation of the mIoU {:.2}",
        "mean",
        "",
        100.0 * folds.mean_miou,
        100.0 * folds.mean_pixel_accuracy,
        100.0 * folds.deviation
    )
}
