//! `maskline-training`: reads the arguments, does it, and leaves with an exit code.

use clap::Parser;
use maskline_training::{cli, commands, error};
use std::process::ExitCode;

fn main() -> ExitCode {
    sigpipe::reset(); // a reader that leaves ends the program, as it ends any other
    let args = match cli::Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            // Help and version are no failures; if even printing fails there is nobody to tell.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { error::Kind::Usage as u8 } else { 0 });
        }
    };
    // The arithmetic library answers a defect with a panic, whose text is printed by then.
    match std::panic::catch_unwind(|| commands::run(args)) {
        Err(_) => ExitCode::from(error::Kind::Internal as u8),
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(e)) => {
            eprintln!("maskline-training: {e:#}");
            error::code_of(&e)
        }
    }
}
