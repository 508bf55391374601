//! Files that appear under their names when they are complete.

use crate::error::{Kind, WithKind};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// A file that appears under its name when it is complete. Devices and pipes get what is written at once.
pub struct PendingFile {
    path: PathBuf,
    file: BufWriter<File>,
    /// What the file is called until then; nothing for devices and pipes.
    temporary: Option<TempPath>,
}

impl PendingFile {
    /// Opens a file beside `path`, or the device or pipe that `path` is.
    ///
    /// # Errors
    /// Kind 74 if it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let open = || {
            if is_stdout(path) {
                return Ok((File::from(io::stdout().as_fd().try_clone_to_owned()?), None));
            }
            if is_direct(path) {
                return Ok((File::options().append(true).open(path)?, None));
            }
            // 0666 less the umask, as any other new file; a temporary one would be private.
            let permissions = Permissions::from_mode(0o666);
            let named = tempfile::Builder::new()
                .prefix(".maskline-")
                .permissions(permissions)
                .tempfile_in(folder_of(path))?;
            let (file, temporary) = named.into_parts();
            Ok((file, Some(temporary)))
        };
        let (file, temporary) = named(path, open())?;
        Ok(Self {
            path: path.into(),
            file: BufWriter::new(file),
            temporary,
        })
    }

    /// Writes one value as JSON and a line end.
    ///
    /// # Errors
    /// Kind 74 if it cannot be written.
    pub fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let mut written = serde_json::to_writer(&mut self.file, value).map_err(io::Error::from);
        written = written.and_then(|()| self.file.write_all(b"\n"));
        if self.temporary.is_none() {
            written = written.and_then(|()| self.file.flush());
        }
        named(&self.path, written)
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// Kind 74 if they cannot be written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        named(&self.path, self.file.write_all(bytes))
    }

    /// Gives the file its name; one of that name is replaced.
    ///
    /// # Errors
    /// Kind 74 if it cannot be written to its end.
    pub fn finish(self) -> Result<()> {
        let Self { path, mut file, temporary } = self;
        let end = file.flush().and_then(|()| match temporary {
            Some(temporary) => temporary.persist(&path).map_err(|e| e.error),
            None => Ok(()),
        });
        named(&path, end)
    }
}

fn named<T>(path: &Path, outcome: io::Result<T>) -> Result<T> {
    let name = || match path {
        path if is_stdout(path) => "standard output".into(),
        path => path.display().to_string(),
    };
    outcome.with_context(|| format!("cannot write {}", name())).kind(Kind::Io)
}

/// `-` and the names that Linux has for standard output. It is written through the descriptor that this process got:
/// opened anew, a file behind it would be written from its start.
pub fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        .iter()
        .any(|name| path == Path::new(name))
}

/// Standard output, pipes and the like are written to, never replaced.
pub fn is_direct(path: &Path) -> bool {
    if is_stdout(path) {
        return true;
    }
    let special = (path.starts_with("/dev") && !path.starts_with("/dev/shm")) || path.starts_with("/proc");
    fs::metadata(path).is_ok_and(|m| special || is_device(&m))
}

/// Not a file, not a folder: a character device, a pipe or a socket.
pub fn is_device(metadata: &fs::Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_char_device() || kind.is_fifo() || kind.is_socket()
}

/// The folder that a file lies in; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_only_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, "old").unwrap();
        let mut file = PendingFile::create(&path).unwrap();
        file.line(&1).unwrap();
        file.bytes(b"x").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1\nx");
        drop(PendingFile::create(&path).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "an abandoned file leaves nothing");
    }
}
