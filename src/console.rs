//! What is said to people: results on standard output, everything else on standard error.

use crate::error::io_fault;
use anyhow::Result;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// Prints a result and a line end. Where `println!` panics, as its reader has left (`| head -1`), this is an error.
///
/// # Errors
/// Kind 74 if standard output cannot be written.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|e| io_fault("write", Path::new("standard output"), e))
}

/// Says something on standard error. Nobody may be listening any more, which is no reason to end a run.
pub fn say(text: impl Display) {
    writeln!(io::stderr(), "{text}").ok();
}
