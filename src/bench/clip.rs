//! The clip that everything is measured on.

use crate::error::{Kind, WithKind, fault};
use crate::sink::{self, SinkOptions};
use crate::source::{self, SourceOptions};
use anyhow::{Context, Result};
use std::path::Path;

/// What stands for a camera's picture where nobody names a clip. It is encoded first, so that there is something to decode.
const PATTERN: &str = "test:smpte?width=1280&height=720";

/// Encodes a test pattern of so many frames into the folder and gives the file's name.
///
/// # Errors
/// Those of source and sink.
pub(super) fn make(folder: &Path, frames: u64) -> Result<String> {
    let options = SourceOptions {
        frames: Some(frames),
        ..SourceOptions::default()
    };
    let mut pattern = source::open(PATTERN, &options)?;
    let path = folder.join("pattern.mp4");
    let mut sink = sink::create(&path, &pattern.format, Vec::new(), &SinkOptions::default())?;
    while let Some(frame) = pattern.frames.next()? {
        sink.write(frame)?;
    }
    sink.finish()?;
    let name = path.into_os_string().into_string();
    name.map_err(|name| anyhow::anyhow!("the temporary folder {} is not UTF-8: set TMPDIR", name.display()))
        .kind(Kind::Io)
        .context("cannot make a clip")
}

/// Whether a clip can be measured: one that is generated has nothing to decode.
///
/// # Errors
/// Kind 64 for a test pattern or a live source.
pub(super) fn check(clip: &str) -> Result<()> {
    if clip.starts_with("test:") {
        let text = format!("found the test pattern {clip}, wanted a video file; without --clip a test pattern is encoded and taken");
        return Err(fault(Kind::Usage, text));
    }
    source::check_repeatable(clip)
}
