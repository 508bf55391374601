//! A video file on its way: `NAME.part` until it is finished (docs/decisions/010), and frames that wait to be encoded.

use crate::error::{Kind, WithKind, fault};
use crate::media::{Event, Side, Watch};
use crate::pending::Unnamed;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSrc, AppSrcCallbacks};
use gstreamer_video::VideoInfo;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Frames that wait for the encoder.
const QUEUE_FRAMES: usize = 3;
/// How long to wait for the encoder before looking whether the pipeline failed.
const LOOK: Duration = Duration::from_millis(50);
/// How long an abandoned file may take to be closed properly.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pipeline that writes a file. Dropped, it closes what was written, which stays as the part file.
pub(super) struct Writing {
    output: PathBuf,
    watch: Watch,
    /// To the encoder; closing it ends the video.
    frames: Option<Sender<gst::Buffer>>,
    written: u64,
    failed: bool,
    finished: bool,
    /// Last, so that it goes when nothing writes to it any more.
    part: Part,
}

/// The file until it has its name; it vanishes if nothing worth keeping is in it.
struct Part {
    path: PathBuf,
    kept: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        let empty = || fs::metadata(&self.path).is_ok_and(|m| m.len() == 0);
        if !self.kept || empty() {
            // Whatever prevents it, an empty file does no harm.
            fs::remove_file(&self.path).ok();
        }
    }
}

impl Writing {
    /// Makes the part file; the pipeline that writes it is still to be built.
    ///
    /// # Errors
    /// 64 where a part file is there already, 74 where none can be made.
    pub fn create(output: &Path) -> Result<Self> {
        let part = probe(output, part_of(output))?;
        Ok(Self {
            output: output.to_owned(),
            watch: Watch::new(Side::Writing(output.display().to_string())),
            frames: None,
            written: 0,
            failed: false,
            finished: false,
            part,
        })
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &gst::Pipeline {
        self.watch.pipeline()
    }

    /// The file until it has its name.
    pub fn part(&self) -> &Path {
        &self.part.path
    }

    /// Whether what was written is whole, only without an end.
    pub fn is_open(&self) -> bool {
        self.written > 0 && !self.failed && !self.finished && self.frames.is_some()
    }

    /// Where frames of this kind come into the pipeline.
    ///
    /// # Errors
    /// 70 for a format that GStreamer does not have.
    pub fn feed(&mut self, coded: &VideoInfo) -> Result<AppSrc> {
        let (frames, queue) = bounded(QUEUE_FRAMES);
        self.frames = Some(frames);
        feed(coded, queue)
    }

    /// Lets data flow.
    ///
    /// # Errors
    /// What the pipeline says about it.
    pub fn play(&mut self) -> Result<()> {
        self.watch.play()
    }

    /// Hands a frame to the encoder.
    ///
    /// # Errors
    /// If the pipeline has failed.
    pub fn write(&mut self, mut buffer: gst::Buffer) -> Result<()> {
        self.check()?;
        loop {
            let Some(frames) = &self.frames else {
                return Err(fault(Kind::Internal, "a frame came behind the end"));
            };
            match frames.send_timeout(buffer, LOOK) {
                Ok(()) => break,
                Err(SendTimeoutError::Timeout(again)) => buffer = again,
                Err(SendTimeoutError::Disconnected(_)) => {
                    self.check()?;
                    return Err(fault(Kind::Internal, format!("{}: the encoder has gone", self.output.display())));
                }
            }
            self.check()?;
        }
        self.written += 1;
        self.part.kept = true;
        Ok(())
    }

    /// Fails if the pipeline has.
    pub fn check(&mut self) -> Result<()> {
        match self.watch.poll(Duration::ZERO) {
            Some(Event::Failed(error)) => {
                self.failed = true;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Closes the input of the encoder and waits until the file is complete, at most until `deadline`.
    fn drain(&mut self, deadline: Option<Instant>) -> Result<()> {
        self.frames = None;
        loop {
            match self.watch.poll(LOOK) {
                Some(Event::End) => return Ok(()),
                Some(Event::Failed(error)) => {
                    self.failed = true;
                    return Err(error);
                }
                None if deadline.is_some_and(|d| Instant::now() > d) => {
                    return Err(fault(Kind::Io, format!("{} cannot be closed in time", self.part.path.display())));
                }
                None => {}
            }
        }
    }

    /// Writes the file to its end, down to the device; it is still called as the part is.
    ///
    /// # Errors
    /// 65 without a frame, else what the pipeline or the device says.
    pub fn close(&mut self) -> Result<()> {
        if self.written == 0 {
            let text = format!("{}: not a single frame came, so there is no file", self.output.display());
            return Err(fault(Kind::BadInput, text));
        }
        self.drain(None)?;
        let stopped = self.watch.pipeline().set_state(gst::State::Null);
        stopped.context("the pipeline cannot be stopped")?;
        let shown = self.output.display();
        let file = File::open(&self.part.path).with_context(|| format!("{shown} vanished while it was written"));
        file.and_then(|f| Ok(f.sync_all()?))
            .with_context(|| format!("{shown} cannot be written to the device"))
            .kind(Kind::Io)
    }

    /// The closed file, whose name is still to be given.
    ///
    /// # Errors
    /// As [`Unnamed::kept`].
    pub fn unnamed(&mut self) -> Result<Unnamed> {
        self.finished = true;
        Unnamed::kept(&self.part.path, &self.output)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.is_open() {
            // It plays even if this fails: that is what fragments and clusters are for.
            self.drain(Some(Instant::now() + PATIENCE)).ok();
        }
        self.frames = None;
        self.watch.pipeline().set_state(gst::State::Null).ok();
    }
}

/// `out.mp4.part`, beside the output, so that giving it its name is one step.
fn part_of(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// As [`super::is_free`].
pub(super) fn is_free(output: &Path) -> Result<()> {
    let part = part_of(output);
    if fs::symlink_metadata(&part).is_err() {
        return Ok(());
    }
    let (name, part) = (output.display(), part.display());
    let text = format!(
        "{part} is there already: another run writes {name} now, or one was broken off and left it; if none runs, rename or remove it"
    );
    Err(fault(Kind::Usage, text))
}

/// Finds out now what would otherwise fail after the work is done.
fn probe(output: &Path, part: PathBuf) -> Result<Part> {
    let shown = output.display();
    if output.is_dir() {
        return Err(fault(Kind::Io, format!("the output {shown} is a folder: name a file")));
    }
    match output.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => {
            let text = format!("the output {shown} cannot be written: there is no folder {}", folder.display());
            return Err(fault(Kind::Io, text));
        }
        _ => {}
    }
    is_free(output)?;
    // Never opens what is there: it may be a recording, a pipe or a link to the input.
    File::create_new(&part).map(|_| Part { path: part, kept: false }).map_err(|error| {
        fault(
            Kind::Io,
            format!("the output {shown} cannot be written ({error}): choose another place"),
        )
    })
}

fn feed(coded: &VideoInfo, queue: Receiver<gst::Buffer>) -> Result<AppSrc> {
    let callbacks = AppSrcCallbacks::builder().need_data(move |source, _| {
        let next = queue.recv();
        // Both are refused only where the pipeline is being stopped anyway.
        match next {
            Ok(buffer) => source.push_buffer(buffer),
            Err(_) => source.end_of_stream(),
        }
        .ok();
    });
    let caps = coded.to_caps().context("the video's format")?;
    Ok(AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .callbacks(callbacks.build())
        .build())
}
