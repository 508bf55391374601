//! `maskline check`: pipeline files without running them.

use crate::cli::CheckArgs;
use crate::config::PipelineConfig;
use crate::error::{Kind, fault};
use crate::frame::{Matrix, PixelFormat, Range, VideoFormat};
use crate::overlay::Overlay;
use crate::pipeline::open_model;
use anyhow::Result;
use maskline_models::{Contract, Fit, builtin};
use std::path::Path;

/// Checks every file and prints one line a file that is right.
///
/// Media and foreign models may be on another machine, so they need not be there unless `--strict` says so; what is there is
/// checked.
///
/// # Errors
/// Kind 78 with one line for every problem in any of the files.
pub fn run(args: &CheckArgs, quiet: bool) -> Result<()> {
    let mut problems = Vec::new();
    for file in &args.files {
        let found = check(file, args.strict);
        if found.is_empty() && !quiet {
            println!("{}: ok", file.display());
        }
        problems.extend(found);
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(fault(Kind::Config, problems.join("\n")))
    }
}

fn check(file: &Path, strict: bool) -> Vec<String> {
    let config = match PipelineConfig::load(file) {
        Ok(config) => config,
        Err(error) => return vec![format!("{error:#}")], // has its name and lines
    };
    let mut problems = Vec::new();
    if let Err(problem) = check_model(&config, strict) {
        problems.push(problem);
    }
    let input = &config.source.input;
    let is_file = !input.starts_with("test:") && !input.contains(['%', '*']);
    if strict && is_file && !Path::new(input).exists() {
        problems.push(format!("the input {input} does not exist"));
    }
    problems.into_iter().map(|p| format!("{}: {p}", file.display())).collect()
}

fn check_model(config: &PipelineConfig, strict: bool) -> Result<(), String> {
    let Some(contract) = contract(config, strict)? else { return Ok(()) };
    let model = &config.model;
    let head = contract.head(model.head.as_deref())?;
    // Any frame will do: no input has been opened.
    let format = VideoFormat {
        width: 1280,
        height: 720,
        pixels: PixelFormat::I420,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        rate: None,
        pixel_aspect: (1, 1),
    };
    Fit::plan(&contract.input, format.width, format.height, model.size)?;
    let overlay = Overlay::new(&head.classes, &format, config.overlay.clone());
    overlay.map(|_| ()).map_err(|e| format!("{e:#}"))
}

/// The contract, as far as it can be had.
fn contract(config: &PipelineConfig, strict: bool) -> Result<Option<Contract>, String> {
    let model = &config.model;
    let missing = |path: &str| !path.starts_with("builtin:") && path.contains(['/', '.']) && !Path::new(path).exists();
    let unnamed = model.name.is_none() && builtin::default().is_none();
    let elsewhere = model.name.as_deref().is_some_and(missing);
    if strict || !(unnamed || elsewhere) {
        let opened = open_model(config).map_err(|e| format!("{e:#}"))?;
        return Ok(Some(opened.contract));
    }
    let Some(sidecar) = model.contract.as_deref().filter(|s| s.exists()) else {
        return Ok(None);
    };
    let named = |e: String| format!("{}: {e}", sidecar.display());
    let text = std::fs::read_to_string(sidecar).map_err(|e| named(e.to_string()))?;
    Contract::from_toml(&text).map(Some).map_err(named)
}
