//! The files that a command writes: looked at before its work begins.

use crate::error::{Kind, fault, io_fault};
use crate::files::write_whole;
use anyhow::Result;
use serde::Serialize;
use std::fs::canonicalize;
use std::path::{Path, PathBuf};

/// Refuses to write over a file that the command reads (a model's sidecar too), twice into one file, or into a folder that is not
/// there: now, not after minutes of work. Of an input that is a folder no picture may be written over.
///
/// # Errors
/// One line with exit code 64, or 74 for the last.
pub fn check(outputs: &[Option<&Path>], inputs: &[&Path]) -> Result<()> {
    let sidecars = inputs
        .iter()
        .filter(|i| i.extension().is_some_and(|e| e == "onnx"))
        .map(|i| i.with_extension("toml"));
    let inputs = inputs.iter().map(|input| input.to_path_buf()).chain(sidecars);
    let inputs: Vec<_> = inputs.filter_map(|input| canonicalize(input).ok()).collect();
    for (i, output) in outputs.iter().enumerate() {
        let Some(output) = output else { continue };
        let usage = |what: &str| fault(Kind::Usage, format!("{} {what}", output.display()));
        let lost = |there: &Path| {
            let picture = there
                .extension()
                .is_some_and(|e| ["png", "jpg", "jpeg"].iter().any(|known| e.eq_ignore_ascii_case(known)));
            inputs
                .iter()
                .any(|input| there == input || picture && there.is_file() && there.starts_with(input))
        };
        if canonicalize(output).is_ok_and(|there| lost(&there)) {
            return Err(usage("is read by this command and would be lost: write to another file"));
        }
        if outputs[..i].iter().flatten().any(|other| place(other) == place(output)) {
            return Err(usage("would be written twice: name another file for one of them"));
        }
        if output.is_dir() {
            return Err(usage("is a folder: name a file in it"));
        }
        let folder = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(io_fault("write", output, format!("there is no folder {}", folder.display())));
        }
    }
    Ok(())
}

/// Where a file lies or will lie.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = canonicalize(folder).unwrap_or_else(|_| folder.into());
    canonicalize(path).unwrap_or_else(|_| folder.join(path.file_name().unwrap_or_default()))
}

/// Writes a report.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn write_json(path: &Path, report: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    write_whole(path, (json + "\n").as_bytes())
}
