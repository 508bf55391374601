//! One recorded file: an MP4 that plays wherever it is broken off, and an ordinary one once it is finished.

use super::super::Unit;
use super::keep::claim;
use super::names::{Names, stamp};
use crate::error::{Kind, WithKind, fault};
use crate::media::{Event, Side, Watch, chain, element, init, location};
use crate::pending::Unnamed;
use crate::sink::live_mp4;
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Units between this thread and the disk.
const QUEUE: u64 = 30;
/// Time between looks whether the disk has taken one.
const LOOK: Duration = Duration::from_millis(5);
/// How long the disk may take for one, or for the end of a file.
const PATIENCE: Duration = Duration::from_secs(4);

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    part: PathBuf,
    caps: gst::Caps,
    source: AppSrc,
    first_ns: u64,
    last_ns: u64,
    bytes: u64,
    watch: Watch,
    /// Its lock says that the file is being written; it goes with the process, however that ends.
    file: File,
}

/// What a file became.
#[derive(Debug)]
pub(super) struct Finished {
    pub path: PathBuf,
    pub bytes: u64,
    pub span_ns: u64,
}

impl Segment {
    /// A file that begins with this unit, which must be a keyframe; it is still to be written.
    ///
    /// # Errors
    /// 74 where the file cannot be made, 78 where an element is missing.
    pub fn create(folder: &Path, names: &Names, first: &Unit) -> Result<Self> {
        init()?;
        let begun = SystemTime::now().checked_sub(first.arrived.elapsed());
        let (path, part, file) = claim(folder, names, &stamp(begun.unwrap_or_else(SystemTime::now))).kind(Kind::Io)?;
        let source = AppSrc::builder().caps(&first.caps).format(gst::Format::Time).build();
        let parser = element("h264parse")?;
        let (muxer, video) = live_mp4()?;
        let disk = element("filesink")?;
        disk.set_property("location", location(&part)?);
        // What is written is in the kernel's hands at once.
        disk.set_property_from_str("buffer-mode", "unbuffered");
        disk.set_property("async", false);
        let mut watch = Watch::new(Side::Writing(path.display().to_string()));
        let pipeline = watch.pipeline().upcast_ref();
        chain(pipeline, &[source.upcast_ref(), &parser])?;
        chain(pipeline, &[&muxer, &disk])?;
        let parsed = parser.static_pad("src").context("a parser has a source pad")?;
        parsed.link(&video).context("the muxer does not take the video")?;
        watch.play()?;
        Ok(Self {
            path,
            part,
            caps: first.caps.clone(),
            source,
            first_ns: first.pts_ns,
            last_ns: first.pts_ns,
            bytes: 0,
            watch,
            file,
        })
    }

    /// Whether this unit can stand in the same file.
    pub fn takes(&self, unit: &Unit) -> bool {
        self.caps == unit.caps
    }

    /// From the first unit to the last.
    pub fn span_ns(&self) -> u64 {
        self.last_ns - self.first_ns
    }

    /// Of all units; the file has some more.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes one unit behind the others.
    ///
    /// # Errors
    /// 74 with what the disk says, or where it takes nothing for four seconds.
    pub fn write(&mut self, unit: &Unit) -> Result<()> {
        let mut buffer = unit.buffer.clone();
        let time = gst::ClockTime::from_nseconds(unit.pts_ns - self.first_ns);
        let own = buffer.make_mut();
        own.set_pts(time);
        own.set_dts(time);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(Event::Failed(error)) = self.watch.poll(Duration::ZERO) {
                return Err(error);
            }
            if self.source.current_level_buffers() < QUEUE {
                break;
            }
            if Instant::now() > deadline {
                return Err(self.hangs());
            }
            std::thread::sleep(LOOK);
        }
        self.bytes += buffer.size() as u64;
        self.last_ns = unit.pts_ns;
        // Refused only after a failure, which the next look finds.
        self.source.push_buffer(buffer).ok();
        Ok(())
    }

    /// Completes the file, down to the device, and gives it its name.
    ///
    /// # Errors
    /// 74 where that fails or takes too long; what was written stays, plays, and gets its name later.
    pub fn finish(mut self) -> Result<Finished> {
        self.source.end_of_stream().ok();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.watch.poll(10 * LOOK) {
                Some(Event::End) => break,
                Some(Event::Failed(error)) => return Err(error),
                None if Instant::now() > deadline => return Err(self.hangs()),
                None => {}
            }
        }
        let stopped = self.watch.pipeline().set_state(gst::State::Null);
        stopped.context("the pipeline cannot be stopped")?;
        let context = || format!("{} cannot be written to the device", self.path.display());
        self.file.sync_all().with_context(context).kind(Kind::Io)?;
        let bytes = self.file.metadata().map_or(self.bytes, |metadata| metadata.len());
        Unnamed::kept(&self.part, &self.path)?.claim()?;
        Ok(Finished {
            span_ns: self.span_ns(),
            path: self.path,
            bytes,
        })
    }

    fn hangs(&self) -> anyhow::Error {
        let (name, seconds) = (self.path.display(), PATIENCE.as_secs());
        fault(Kind::Io, format!("{name}: the disk takes nothing for {seconds} s"))
    }
}
