//! Read arguments, do what they say, leave with the code that belongs to how it went.

use anyhow::Result;
use maskline::cli::{Args, Command};
use maskline::commands::{self, run::Talk};
use maskline::console::say;
use maskline::error::{Kind, code_of, fault};
use maskline::panics;
use maskline::privacy::shown;
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
            let names = std::env::args_os().map(|a| a.to_string_lossy().into_owned());
            // Several problems are several lines, and each stands alone.
            for line in printable(&shown(&format!("{error:#}")), names).lines() {
                say(format_args!("maskline: {line}"));
            }
            code_of(&error)
        }
    }
}

/// An error's text without what would break its lines or steer a terminal: names may hold anything. Line breaks stay, except
/// those of names on the command line.
fn printable(text: &str, names: impl Iterator<Item = String>) -> String {
    let shown = names.filter(|name| name.contains('\n')).fold(text.to_owned(), |text, name| {
        let line: Vec<_> = name.split('\n').collect();
        text.replace(&name, &line.join("\\n"))
    });
    let mut printable = String::new();
    for c in shown.chars() {
        match c.is_control() && c != '\n' {
            true => printable.extend(c.escape_default()),
            false => printable.push(c),
        }
    }
    printable
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
        Command::Serve(serve) => {
            let signal = commands::serve::run(serve, talk)?;
            return Ok(signal.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind as u8)));
        }
        Command::Eval(eval) => commands::eval::run(eval, args.quiet)?,
        Command::Check(check) => commands::check::run(check, args.quiet)?,
        Command::Models(command) => commands::models::run(command)?,
        Command::Bench(bench) => commands::bench::run(bench, talk)?,
        Command::Tune(tune) => commands::tune::run(tune, talk)?,
        Command::Doctor => commands::doctor::run()?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_line_or_steer_the_terminal() {
        let names = ["run", "a\nb.mp4"].map(String::from);
        let text = printable("a\nb.mp4 has \u{1b}[31m\rno video\nsecond problem", names.into_iter());
        assert_eq!(text, "a\\nb.mp4 has \\u{1b}[31m\\rno video\nsecond problem");
    }
}
