//! Files are complete or not there.

use crate::error::io_fault;
use anyhow::Result;
use std::path::Path;

/// Writes a file; under its own name it is complete or not there.
///
/// # Errors
/// One line with exit code 74, if the folder cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let done = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    done.map_err(|e| {
        let _ = std::fs::remove_file(&part); // the write's own error is the one to report
        io_fault("write", path, e)
    })
}
