//! Read arguments, do what they say, leave with the code that belongs to how it went.

use anyhow::Result;
use maskline::cli::{Args, Command};
use maskline::commands::{self, run::Talk};
use maskline::console::say;
use maskline::error::{Kind, code_of, fault};
use maskline::panics;
use std::panic::catch_unwind;
use std::process::ExitCode;

fn main() -> ExitCode {
    panics::keep_quiet();
    let outcome = catch_unwind(run).unwrap_or_else(|payload| {
        let said = panics::describe(&*payload);
        Err(fault(
            Kind::Internal,
            format!("{said}; this is a defect of maskline, please report it"),
        ))
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Several problems are several lines, and each stands alone.
            for line in format!("{error:#}").lines() {
                say(format_args!("maskline: {line}"));
            }
            code_of(&error)
        }
    }
}

fn run() -> Result<ExitCode> {
    let Some(args) = Args::read()? else { return Ok(ExitCode::SUCCESS) };
    let talk = match (args.quiet, args.verbose) {
        (true, _) => Talk::Quiet,
        (_, true) => Talk::Verbose,
        _ => Talk::Normal,
    };
    match &args.command {
        Command::Run(run) => {
            let signal = commands::run::run(run, talk)?;
            return Ok(signal.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind as u8)));
        }
        Command::Eval(eval) => commands::eval::run(eval, args.quiet)?,
        Command::Check(check) => commands::check::run(check, args.quiet)?,
        Command::Models(command) => commands::models::run(command)?,
        Command::Bench(bench) => commands::bench::run(bench, talk)?,
        Command::Doctor => commands::doctor::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
