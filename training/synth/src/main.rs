//! `maskline-synth`: renders labelled driving scenes.

use clap::Parser;
use maskline_synth::cli::{Args, exit_code, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let help = !error.use_stderr();
            let _ = error.print(); // help that cannot be printed leaves nothing to say it with
            return ExitCode::from(if help { 0 } else { 64 });
        }
    };
    match run(&args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maskline-synth: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}
