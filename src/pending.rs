//! Files that appear under their names when they are complete.

use crate::config::OnExisting;
use crate::error::{Kind, WithKind, fault};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::{PathPersistError, TempPath};

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

    /// Writes the file to its end, down to the device, and leaves it its temporary name.
    ///
    /// # Errors
    /// Kind 74 if it cannot be written to its end.
    pub fn complete(self) -> Result<Unnamed> {
        let Self { path, mut file, temporary } = self;
        let end = file.flush().and_then(|()| match temporary {
            Some(_) => file.get_ref().sync_all(),
            None => Ok(()),
        });
        named(&path, end)?;
        Ok(Unnamed { temporary, path })
    }
}

/// A complete file that has not got its name yet.
#[derive(Debug)]
pub struct Unnamed {
    /// Nothing for devices and pipes.
    temporary: Option<TempPath>,
    path: PathBuf,
}

impl Unnamed {
    /// A complete file that is called `part` until it gets the name `path`, and stays there if it never does.
    ///
    /// # Errors
    /// Kind 74 if `part` is relative to a folder that is gone.
    pub fn kept(part: &Path, path: &Path) -> Result<Self> {
        let mut temporary = named(path, TempPath::try_from_path(part))?;
        temporary.disable_cleanup(true);
        Ok(Self {
            temporary: Some(temporary),
            path: path.into(),
        })
    }

    /// The name it is going to have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name; a file of that name is replaced.
    ///
    /// # Errors
    /// Kind 74, with the place where the complete file remains.
    pub fn replace(self) -> Result<()> {
        self.place(|temporary, path| temporary.persist(path))
    }

    /// Gives it its name if nothing has that name yet.
    ///
    /// # Errors
    /// Kind 74, with the place where the complete file remains.
    pub fn claim(self) -> Result<()> {
        self.place(|temporary, path| temporary.persist_noclobber(path))
    }

    /// Gives it its name in the way that is wanted where something has it already.
    ///
    /// # Errors
    /// Those of [`Self::claim`] and [`Self::replace`].
    pub fn name(self, existing: OnExisting) -> Result<()> {
        match existing {
            OnExisting::Refuse => self.claim(),
            OnExisting::Replace => self.replace(),
        }
    }

    fn place(self, rename: impl FnOnce(TempPath, &Path) -> Result<(), PathPersistError>) -> Result<()> {
        let Self { temporary, path } = self;
        let Some(temporary) = temporary else { return Ok(()) };
        rename(temporary, &path).map_err(|PathPersistError { error, path: temporary }| {
            let why = match error.kind() {
                io::ErrorKind::AlreadyExists => "somebody else made a file of that name during this run".into(),
                _ => error.to_string(),
            };
            let kept = temporary.keep().unwrap_or_else(|e| e.path.to_path_buf());
            let (name, kept) = (path.display(), kept.display());
            fault(Kind::Io, format!("{name} cannot get its name: {why}; it is complete as {kept}"))
        })
    }
}

fn named<T>(path: &Path, outcome: io::Result<T>) -> Result<T> {
    let name = || match path {
        path if is_stdout(path) => "standard output".into(),
        path => path.display().to_string(),
    };
    outcome.with_context(|| format!("cannot write {}", name())).kind(Kind::Io)
}

/// Whether `path` can be written and nothing has its name: better known now than after the work.
///
/// # Errors
/// Kind 64 if a file of that name is there, kind 74 if it cannot be written.
pub fn check_free(path: &Path) -> Result<()> {
    if path.is_file() {
        let line = format!("{} exists already: give another name", path.display());
        return Err(fault(Kind::Usage, line));
    }
    PendingFile::create(path).map(drop)
}

/// The same for a command that has `--overwrite`.
///
/// # Errors
/// Those of [`check_free`] and kind 74 for a folder; with [`OnExisting::Replace`] a file may be there.
pub fn check_place(path: &Path, existing: OnExisting) -> Result<()> {
    if path.is_dir() {
        let line = format!("{} is a folder, wanted a file name", path.display());
        return Err(fault(Kind::Io, line));
    }
    if existing == OnExisting::Refuse && !is_direct(path) && fs::symlink_metadata(path).is_ok() {
        let line = format!("{} exists already: give another name, or --overwrite to replace it", path.display());
        return Err(fault(Kind::Usage, line));
    }
    PendingFile::create(path).map(drop)
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
        file.complete().unwrap().replace().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1\nx");
        drop(PendingFile::create(&path).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "an abandoned file leaves nothing");
    }

    #[test]
    fn a_name_that_somebody_else_took_meanwhile_is_left_to_him_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let mut file = PendingFile::create(&path).unwrap();
        file.bytes(b"ours").unwrap();
        fs::write(&path, "theirs").unwrap();
        let error = file.complete().unwrap().claim().unwrap_err().to_string();
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        let (_, kept) = error.split_once("complete as ").unwrap();
        assert_eq!(fs::read(kept).unwrap(), b"ours");
    }

    #[test]
    fn a_part_that_never_gets_its_name_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (part, path) = (folder.path().join("a.mp4.part"), folder.path().join("a.mp4"));
        fs::write(&part, "recorded").unwrap();
        drop(Unnamed::kept(&part, &path).unwrap());
        assert_eq!(fs::read(&part).unwrap(), b"recorded");
        Unnamed::kept(&part, &path).unwrap().claim().unwrap();
        assert!(path.exists() && !part.exists());
    }
}
