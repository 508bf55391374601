//! `data check`

use super::{outputs, read_config};
use crate::cli::{DataArgs, DataCommand};
use crate::data::Sample;
use crate::data::check::{Found, check};
use crate::data::shared;
use crate::error::{Kind, fault};
use crate::plots;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Reads everything that a configuration names and lists what is there.
pub fn run(args: &DataArgs) -> Result<()> {
    let DataCommand::Check { config: path, sheet } = &args.command;
    let config = read_config(path)?;
    let entries = config.data.iter().chain(&config.validation);
    let inputs = entries.flat_map(|entry| [&entry.path, &entry.images, &entry.labels, &entry.map]);
    let inputs: Vec<&Path> = inputs
        .chain([&config.classes])
        .flatten()
        .map(PathBuf::as_path)
        .chain([&**path])
        .collect();
    outputs::check(&[sheet.as_deref()], &inputs)?;
    let classes = config.read_classes().map_err(|e| fault(Kind::Config, e))?;
    let (mut problems, mut samples) = (Vec::new(), Vec::new());
    for (section, entries) in [("data", &config.data), ("validation", &config.validation)] {
        for entry in entries {
            match check(entry, &classes, (config.input.width, config.input.height)) {
                Ok(found) => {
                    print(section, &found, config.train.sequence > 1);
                    let caption = |sample: &Sample| format!("{section}: {}: {}", found.description, sample.name);
                    samples.extend(found.samples.iter().map(|sample| (caption(sample), sample.clone())));
                }
                Err(e) => problems.push(format!("{section}: {e:#}")),
            }
        }
    }
    if let Some(path) = sheet.as_ref().filter(|_| !samples.is_empty()) {
        plots::samples(&samples, &classes, path)?;
    }
    if problems.is_empty() {
        let shared = shared(&config.data, &config.validation)?;
        if shared > 0 {
            println!("{shared} of the validation pictures are in [[data]] too, which flatters");
        }
        return Ok(());
    }
    Err(fault(Kind::BadInput, problems.join("\n")))
}

fn print(section: &str, found: &Found, in_clips: bool) {
    let clips = if in_clips {
        format!(" in {} clips", found.clips)
    } else {
        String::new()
    };
    println!(
        "{section}: {}: {} pictures{clips}, {}",
        found.description,
        found.pictures,
        found.sizes.join(", ")
    );
    for (name, share) in &found.shares {
        println!("  {name:14} {:6.2} %", 100.0 * share);
    }
    println!("  {:14} {:6.2} %", "not labelled", 100.0 * found.ignored);
}
