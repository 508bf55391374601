//! The files that a command writes: looked at before its work begins.

use crate::error::{Kind, fault, io_fault};
use anyhow::Result;
use serde::Serialize;
use std::fs::canonicalize;
use std::path::Path;

/// Refuses to write over a file that the command reads or into a folder that is not there: now, not after minutes of work.
///
/// # Errors
/// One line with exit code 64 for the first and 74 for the second.
pub fn check(outputs: &[Option<&Path>], inputs: &[&Path]) -> Result<()> {
    let inputs: Vec<_> = inputs.iter().filter_map(|input| canonicalize(input).ok()).collect();
    for output in outputs.iter().flatten() {
        if canonicalize(output).is_ok_and(|output| inputs.contains(&output)) {
            let line = format!(
                "{} is read by this command and would be lost: write to another file",
                output.display()
            );
            return Err(fault(Kind::Usage, line));
        }
        let folder = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(io_fault("write", output, format!("there is no folder {}", folder.display())));
        }
    }
    Ok(())
}

/// Writes a report.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn write_json(path: &Path, report: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    std::fs::write(path, json + "\n").map_err(|e| io_fault("write", path, e))
}
