//! An encoded video file.
//!
//! It is written as `NAME.part` and gets its name when it is finished. Broken off at any moment, even by `kill -9`, the
//! partial file plays. A part file that is there already is never touched (docs/decisions/010).

use super::container::Container;
use super::sound::{self, Trouble};
use super::{Sink, SinkOptions};
use crate::error::{Kind, WithKind, fault};
use crate::frame::{EndMark, Frame, PacketStream, VideoFormat};
use crate::media::{Event, Side, Watch, buffer_of, chain, element, info_of, init, location};
use crate::pending::Unnamed;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSrc, AppSrcCallbacks};
use gstreamer_video::VideoInfo;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Frames that wait for the encoder.
const QUEUE_FRAMES: usize = 3;
/// How long to wait for the encoder before looking whether the pipeline failed.
const LOOK: Duration = Duration::from_millis(50);
/// How long an abandoned file may take to be closed properly.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct VideoSink {
    output: PathBuf,
    watch: Watch,
    /// To the encoder; closing it ends the video.
    frames: Option<Sender<gst::Buffer>>,
    format: VideoFormat,
    /// What is encoded: the format, perhaps with one more row or column.
    coded: VideoInfo,
    written: u64,
    end_ns: u64,
    ends: Vec<EndMark>,
    trouble: Trouble,
    notes: Vec<String>,
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

impl VideoSink {
    /// As [`super::create`].
    pub(super) fn create(output: &Path, format: &VideoFormat, packets: Vec<PacketStream>, options: &SinkOptions) -> Result<Self> {
        init()?;
        let container = Container::of(output)?;
        let part = probe(output, part_of(output))?;
        let mut notes = Vec::new();
        let coded = coded(format, container, &mut notes)?;

        let watch = Watch::new(Side::Writing(output.display().to_string()));
        let (frames, queue) = bounded(QUEUE_FRAMES);
        let source = feed(&coded, queue)?;
        let encoder = container.encoder(format, options)?;
        let muxer = container.muxer()?;
        let file = element("filesink")?;
        file.set_property("location", location(&part.path)?);
        // What is written is in the kernel's hands at once.
        file.set_property_from_str("buffer-mode", "unbuffered");
        let pipeline = watch.pipeline();
        chain(pipeline.upcast_ref(), &[source.upcast_ref(), &encoder])?;
        chain(pipeline.upcast_ref(), &[&muxer, &file])?;
        let pad = container.video_pad(&muxer, format.rate).context("the muxer takes no video")?;
        let coder = encoder.static_pad("src").context("an encoder has a source pad")?;
        coder.link(&pad).context("the muxer does not take the video")?;

        let trouble = Trouble::default();
        let ends = packets.iter().map(|p| p.end.clone()).collect();
        for stream in packets {
            notes.extend(sound::add(pipeline, &muxer, container, stream, &trouble)?);
        }
        let mut sink = Self {
            output: output.to_owned(),
            watch,
            frames: Some(frames),
            format: format.clone(),
            coded,
            written: 0,
            end_ns: 0,
            ends,
            trouble,
            notes,
            failed: false,
            finished: false,
            part,
        };
        sink.watch.play()?;
        Ok(sink)
    }

    /// Fails if the pipeline has.
    fn check(&mut self) -> Result<()> {
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

    /// Writes the file to its end, down to the device.
    fn close(&mut self) -> Result<()> {
        if self.written == 0 {
            let text = format!("{}: not a single frame came, so there is no file", self.output.display());
            return Err(fault(Kind::BadInput, text));
        }
        self.drain(None)?;
        if let Some(error) = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error.context("the sound ends early"));
        }
        self.watch
            .pipeline()
            .set_state(gst::State::Null)
            .context("the pipeline cannot be stopped")?;
        let shown = self.output.display();
        let file = File::open(&self.part.path).with_context(|| format!("{shown} vanished while it was written"));
        file.and_then(|f| Ok(f.sync_all()?))
            .with_context(|| format!("{shown} cannot be written to the device"))
            .kind(Kind::Io)
    }
}

impl Sink for VideoSink {
    fn write(&mut self, frame: Frame) -> Result<()> {
        self.check()?;
        if (frame.format.width, frame.format.height, frame.format.pixels) != (self.format.width, self.format.height, self.format.pixels) {
            return Err(fault(Kind::Internal, "a frame differs in size or layout from the first"));
        }
        let (pts_ns, duration_ns) = (frame.pts_ns, frame.duration_ns);
        let mut buffer = buffer_of(frame, &self.coded)?;
        {
            let fresh = buffer.make_mut();
            fresh.set_pts(gst::ClockTime::from_nseconds(pts_ns));
            fresh.set_dts(gst::ClockTime::NONE);
            fresh.set_duration(duration_ns.map(gst::ClockTime::from_nseconds));
            fresh.unset_flags(gst::BufferFlags::all());
        }
        self.end_ns = pts_ns + duration_ns.unwrap_or(0);
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

    fn finish(self: Box<Self>) -> Result<()> {
        self.complete()?.map_or(Ok(()), Unnamed::replace)
    }

    fn complete(mut self: Box<Self>) -> Result<Option<Unnamed>> {
        self.close()?;
        self.finished = true;
        Unnamed::kept(&self.part.path, &self.output).map(Some)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn partial(&self) -> Option<&Path> {
        Some(&self.part.path)
    }
}

impl Drop for VideoSink {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if self.written > 0 && !self.failed && self.frames.is_some() {
            // Sound that runs on would only keep the file open.
            self.ends.iter().for_each(|end| end.set(self.end_ns));
            // It plays even if this fails: that is what the fragments are for.
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

fn coded(format: &VideoFormat, container: Container, notes: &mut Vec<String>) -> Result<VideoInfo> {
    container.takes_size(format)?;
    let even = VideoFormat {
        width: format.width.next_multiple_of(2),
        height: format.height.next_multiple_of(2),
        ..format.clone()
    };
    if container.takes_odd_sizes() || even == *format {
        return info_of(format);
    }
    let (w, h) = (format.width, format.height);
    notes.push(format!(
        "H.264 needs even sizes: {w}x{h} becomes {}x{} by repeating the last row or column",
        even.width, even.height
    ));
    info_of(&even)
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
