//! `train`

use super::{begin, read_config};
use crate::cli::TrainArgs;
use crate::error::fault;
use crate::metrics::table;
use crate::stop::Stop;
use crate::train;
use anyhow::Result;
use std::path::PathBuf;

/// Trains, and prints the best measures.
pub fn run(args: TrainArgs) -> Result<()> {
    let mut config = read_config(&args.config)?;
    args.overrides.put_into(&mut config.train);
    let options = train::Options {
        out: args.out.unwrap_or_else(|| PathBuf::from("runs").join(&config.name)),
        resume: args.resume,
        device: begin(&args.compute)?,
        device_name: args.compute.device,
        stop: Stop::on_signals()?,
    };
    // On a thread of the pool: handing every operation over from a thread outside costs two wake-ups, which a busy machine
    // turns into milliseconds.
    let outcome = rayon::scope(|_| train::run(&config, &options))?;
    if let Some(best) = &outcome.progress.best {
        println!("best epoch {}:\n{}", best.epoch, table(&best.scores));
    }
    println!("run folder: {}", options.out.display());
    if outcome.finished {
        Ok(())
    } else {
        Err(fault(options.stop.kind(), "interrupted; everything up to the last step is saved"))
    }
}
