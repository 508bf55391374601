//! Files are complete or not there.

use crate::error::io_fault;
use anyhow::Result;
use std::io;
use std::path::Path;

/// Writes a file; under its own name it is complete or not there. Of a link to a file, that file is written; a device or a pipe, such as
/// `/dev/stdout`, stays what it is and takes the bytes.
///
/// # Errors
/// One line with exit code 74, if the file cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let done = match path.metadata() {
        Ok(there) if !there.is_file() => std::fs::write(path, bytes),
        Ok(_) => path.canonicalize().and_then(|target| put(&target, bytes)),
        Err(_) => put(path, bytes),
    };
    done.map_err(|e| io_fault("write", path, e))
}

/// Puts a file in the place of another one, or of none.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let done = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    done.inspect_err(|_| drop(std::fs::remove_file(&part))) // the write's own error is the one to report
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, symlink};

    #[test]
    fn links_and_pipes_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write_whole(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left");
    }
}
