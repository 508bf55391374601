//! `maskline bench`

use crate::bench;
use crate::cli::BenchArgs;
use crate::commands::run::Talk;
use crate::console::{print, say};
use crate::error::{Kind, fault, kind_of};
use crate::pending::{PendingFile, check_free};
use crate::signals;
use crate::source::StopFlag;
use anyhow::Result;

/// Measures and prints what it found.
///
/// # Errors
/// Those of [`bench::run`]; kind 64 for a JSON file that is there already.
pub fn run(args: &BenchArgs, talk: Talk) -> Result<()> {
    let file = args.json.as_ref().and_then(Option::as_deref);
    file.map_or(Ok(()), check_free)?;
    let stop = StopFlag::default();
    let caught = signals::watch(stop.clone(), true)?;
    let outcome = bench::run(args.config(), &stop, |doing| {
        if talk != Talk::Quiet {
            say(doing);
        }
    });
    let report = match (outcome, caught.kind()) {
        (Err(error), Some(signal)) if kind_of(&error) == Kind::Interrupted => return Err(fault(signal, format!("{error:#}"))),
        (outcome, _) => outcome?,
    };
    match &args.json {
        None => print(report)?,
        Some(None) => print(serde_json::to_string(&report)?)?,
        Some(Some(path)) => {
            let mut json = PendingFile::create(path)?;
            json.line(&report)?;
            json.complete()?.claim()?;
        }
    }
    Ok(())
}
