//! `tune-rate`

use super::{begin, outputs, read_config};
use crate::cli::TuneRateArgs;
use crate::error::{Kind, fault};
use crate::files::write_whole;
use crate::plots;
use crate::stop::Stop;
use crate::train::sweep::{Sweep, csv, suggest};
use anyhow::Result;

/// Sweeps the learning rate and says which one to try.
pub fn run(args: &TuneRateArgs) -> Result<()> {
    if !(args.from >= 1e-12 && args.from < args.to && args.to <= 1e6) {
        let line = format!(
            "--from is {} and --to is {}, wanted numbers from 1e-12 to 1e6, the smaller first",
            args.from, args.to
        );
        return Err(fault(Kind::Usage, line));
    }
    let config = read_config(&args.config)?;
    outputs::check(&[args.csv.as_deref(), args.plot.as_deref()], &[&args.config])?;
    let device = begin(&args.compute)?;
    let sweep = Sweep {
        from: args.from,
        to: args.to,
        steps: args.steps,
    };
    let stop = Stop::on_signals()?;
    // On a thread of the pool, as `train`.
    let points = rayon::scope(|_| sweep.run(&config, &device, &stop))?;
    let found = suggest(&points);
    if let Some(path) = &args.csv {
        write_whole(path, csv(&points).as_bytes())?;
    }
    if let Some(path) = &args.plot {
        plots::rates(&points, found, path)?;
    }
    let last = points.last().map_or(0.0, |p| p.rate);
    println!("{} steps with rates from {:.1e} to {last:.1e}", points.len(), args.from);
    match found {
        Some(found) => println!(
            "rate = {:.1e}   the loss falls most steeply there; it is least at {:.1e}, and a tenth of that is {:.1e}",
            found.steepest,
            found.least,
            0.1 * found.least
        ),
        None => println!("the loss does not fall: begin lower with --from, or take more --steps"),
    }
    if stop.asked() {
        return Err(fault(stop.kind(), "interrupted: these are the rates up to here"));
    }
    Ok(())
}
