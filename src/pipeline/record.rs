//! What is written of every class map: masks, JSON lines, and what an embedding program wants of it.

use super::FrameClasses;
use super::outputs::{folder_of, is_direct};
use crate::error::{Kind, WithKind};
use anyhow::{Context, Result};
use maskline_models::Class;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// A text file that appears under its name when it is complete. Devices and pipes get every line at once.
pub(super) struct PendingFile {
    path: PathBuf,
    file: BufWriter<File>,
    /// What the file is called until then; nothing for devices and pipes.
    temporary: Option<TempPath>,
}

impl PendingFile {
    pub fn create(path: &Path) -> Result<Self> {
        let open = || {
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

    /// Writes one value and a line end.
    pub fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let mut written = serde_json::to_writer(&mut self.file, value).map_err(io::Error::from);
        written = written.and_then(|()| self.file.write_all(b"\n"));
        if self.temporary.is_none() {
            written = written.and_then(|()| self.file.flush());
        }
        named(&self.path, written)
    }

    /// Gives the file its name; one of that name is replaced.
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
    outcome.with_context(|| format!("cannot write {}", path.display())).kind(Kind::Io)
}

/// One line of `--json` (docs/formats.md).
#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    pts_ns: u64,
    #[serde(serialize_with = "by_name")]
    share: &'a FrameClasses<'a>,
    inference_ms: f64,
}

fn by_name<S: Serializer>(frame: &FrameClasses<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let shares = frame.shares();
    let mut map = serializer.serialize_map(Some(shares.len()))?;
    for (class, share) in shares {
        map.serialize_entry(&class.name, &((share * 1e6).round() / 1e6))?;
    }
    map.end()
}

/// Writes the line of one frame.
pub(super) fn json_line(file: &mut PendingFile, frame: &FrameClasses<'_>) -> Result<()> {
    file.line(&Line {
        index: frame.index,
        pts_ns: frame.pts_ns,
        share: frame,
        inference_ms: (frame.inference.as_secs_f64() * 1e6).round() / 1e3,
    })
}

/// The share of every class that counts, in the order of the contract.
pub(super) fn shares<'a>(ids: &[u8], classes: &'a [Class]) -> Vec<(&'a Class, f64)> {
    let mut counts = [0_u64; 256];
    for id in ids {
        counts[usize::from(*id)] += 1;
    }
    let pixels = ids.len().max(1) as f64;
    let counted = classes.iter().filter(|c| !c.ignore);
    counted.map(|c| (c, counts[usize::from(c.id)] as f64 / pixels)).collect()
}
