//! What the program does for each of its commands.

mod average;
mod compare;
mod data;
mod eval;
mod explain;
mod export;
mod kfold;
mod label;
mod nets;
mod outputs;
mod quantize;
mod train;
mod tune_rate;

use crate::cli::{Args, Command, Compute};
use crate::config::RunConfig;
use crate::device;
use crate::error::{Kind, fault};
use anyhow::Result;
use burn::tensor::Device;
use std::path::Path;

/// Does what the arguments say.
///
/// # Errors
/// One line with an exit code (see [`crate::error`]); for a configuration one line a problem.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Train(args) => train::run(args),
        Command::TuneRate(args) => tune_rate::run(&args),
        Command::Kfold(args) => kfold::run(&args),
        Command::Label(args) => label::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Average(args) => average::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Synth(args) => synth(&args),
        Command::Nets(args) => nets::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Data(args) => data::run(&args),
    }
}

fn synth(args: &maskline_synth::cli::Args) -> Result<()> {
    maskline_synth::cli::run(&args.command).map_err(|e| {
        let kind = match maskline_synth::cli::exit_code(&e) {
            64 => Kind::Usage,
            74 => Kind::Io,
            _ => Kind::Internal,
        };
        fault(kind, format!("{e:#}"))
    })
}

/// The device that was asked for, without autodiff; the arithmetic gets as many threads as were.
///
/// # Errors
/// If there is no such device (exit code 78).
fn begin(compute: &Compute) -> Result<Device> {
    if let Some(threads) = compute.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    device::choose(&compute.device).map_err(|e| fault(Kind::Config, e))
}

/// The same for a model that is named: an ONNX file has a device of its own.
///
/// # Errors
/// As [`begin`], and if a device is named for an ONNX file (exit code 64).
fn begin_with(compute: &Compute, model: &str) -> Result<Device> {
    if compute.device != "cpu" && !model.ends_with(".ckpt") {
        let line = format!(
            "--device is {}, but {model} is no checkpoint, and ONNX Runtime runs it on the CPU: leave --device out",
            compute.device
        );
        return Err(fault(Kind::Usage, line));
    }
    begin(compute)
}

/// A checkpoint has one net with one head, whose scores are all there.
///
/// # Errors
/// If a head of it is named (exit code 64).
fn no_head_of_a_checkpoint(head: Option<&str>, model: &str) -> Result<()> {
    match head {
        Some(head) if model.ends_with(".ckpt") => {
            let line = format!("--head is {head}, but {model} is a checkpoint, which has one head: leave --head out");
            Err(fault(Kind::Usage, line))
        }
        _ => Ok(()),
    }
}

/// Reads a training configuration.
///
/// # Errors
/// If it cannot be read (exit code 74) or used (78, a line a problem).
pub fn read_config(path: &Path) -> Result<RunConfig> {
    let bytes = std::fs::read(path).map_err(|e| crate::error::io_fault("read", path, e))?;
    let no_text = |_| {
        fault(
            Kind::Config,
            format!("{} is no text: wanted a training configuration in TOML", path.display()),
        )
    };
    let text = String::from_utf8(bytes).map_err(no_text)?;
    RunConfig::parse(&text).map_err(|e| {
        let lines: Vec<String> = e.lines().map(|line| format!("{}: {line}", path.display())).collect();
        fault(Kind::Config, lines.join("\n"))
    })
}
