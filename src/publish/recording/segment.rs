//! One recorded file: an MP4 that plays wherever it is broken off, and an ordinary one once it is finished.

use super::super::Unit;
use super::super::pipe::Pipe;
use super::keep::claim;
use super::names::{Names, stamp};
use crate::error::{Kind, WithKind};
use crate::media::{Side, chain, element, location};
use crate::pending::Unnamed;
use crate::sink::live_mp4;
use anyhow::{Context, Result};
use gstreamer::prelude::*;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    pub pipe: Pipe,
    path: PathBuf,
    part: PathBuf,
    /// Its lock says that the file is being written; it goes with the process, however that ends.
    file: File,
}

/// What a file became.
#[derive(Debug)]
pub(super) struct Finished {
    pub path: PathBuf,
    pub bytes: u64,
}

impl Segment {
    /// A file that begins with this unit, which must be a keyframe; it is still to be written.
    ///
    /// # Errors
    /// 74 where the file cannot be made, 78 where an element is missing.
    pub fn create(folder: &Path, names: &Names, first: &Unit) -> Result<Self> {
        let begun = SystemTime::now().checked_sub(first.arrived.elapsed());
        let (path, part, file) = claim(folder, names, &stamp(begun.unwrap_or_else(SystemTime::now))).kind(Kind::Io)?;
        let side = Side::Writing(path.display().to_string());
        let pipe = Pipe::new(side, first, first.pts_ns, |pipeline| {
            let parser = element("h264parse")?;
            let (muxer, video) = live_mp4()?;
            let disk = element("filesink")?;
            disk.set_property("location", location(&part)?);
            // What is written is in the kernel's hands at once.
            disk.set_property_from_str("buffer-mode", "unbuffered");
            pipeline.add(&parser).context("GStreamer elements cannot be added")?;
            chain(pipeline, &[&muxer, &disk])?;
            let parsed = parser.static_pad("src").context("a parser has a source pad")?;
            parsed.link(&video).context("the muxer does not take the video")?;
            parser.static_pad("sink").context("a parser has a sink pad")
        })?;
        Ok(Self { pipe, path, part, file })
    }

    /// Completes the file, down to the device, and gives it its name.
    ///
    /// # Errors
    /// 74 where that fails or takes too long; what was written stays, plays, and gets its name later.
    pub fn finish(mut self) -> Result<Finished> {
        let context = || format!("{} cannot be finished", self.path.display());
        self.pipe.finish().with_context(context)?;
        self.file.sync_all().with_context(context).kind(Kind::Io)?;
        let bytes = self.file.metadata().map_or(self.pipe.bytes(), |metadata| metadata.len());
        Unnamed::kept(&self.part, &self.path)?.claim()?;
        Ok(Finished { path: self.path, bytes })
    }
}
