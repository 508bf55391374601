//! `eval`

use crate::checkpoint::Checkpoint;
use crate::cli::EvalArgs;
use crate::config::read_classes;
use crate::error::{Kind, fault, io_fault};
use crate::eval::{Subject, eval};
use crate::metrics::{scored_names, table};
use crate::{device, plots};
use anyhow::Result;
use std::path::Path;

/// Measures, prints the table and writes what was asked for.
pub fn run(args: &EvalArgs) -> Result<()> {
    let mut data = args.data.configs()?;
    let mut subject = match (&args.masks, &args.model) {
        (Some(folder), _) => Subject::Masks {
            folder: folder.clone(),
            classes: read_classes(args.classes.as_deref()).map_err(|e| fault(Kind::Config, e))?,
        },
        (None, Some(model)) => {
            if data.is_empty() && model.ends_with(".ckpt") {
                data = Checkpoint::read(Path::new(model))?.head.config.validation;
            }
            let device = device::choose(&args.device).map_err(|e| fault(Kind::Config, e))?;
            Subject::open(model, args.head.as_deref(), &device)?
        }
        (None, None) => return Err(fault(Kind::Usage, "name a model or --masks DIR")),
    };
    if data.is_empty() {
        return Err(fault(
            Kind::Usage,
            "name the labelled pictures: --data DIR, --images DIR --labels DIR, or --config FILE",
        ));
    }
    let report = eval(&mut subject, &data, args.size.map(|s| (s.width, s.height)))?;
    println!("{} on {} pictures: {}", report.model, report.pictures, report.data.join("; "));
    println!("{}", table(&report.scores));
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, json + "\n").map_err(|e| io_fault("write", path, e))?;
    }
    if let Some(path) = &args.confusion {
        plots::confusion(&report.confusion, &scored_names(subject.classes()), path)?;
    }
    Ok(())
}
