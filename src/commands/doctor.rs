//! `maskline doctor`

use crate::console::print;
use crate::doctor::report;
use crate::error::{Kind, fault};
use anyhow::Result;

/// Prints what was found.
///
/// # Errors
/// Kind 78 if something that every run needs is missing.
pub fn run() -> Result<()> {
    let report = report();
    print(&report)?;
    if report.cpu_path_works() {
        return Ok(());
    }
    Err(fault(
        Kind::Config,
        "something that is needed is missing; the lines above say how to mend it",
    ))
}
