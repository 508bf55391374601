//! An encoded video file.
//!
//! It is written as `NAME.part` and gets its name when it is finished. Broken off at any moment, even by `kill -9`, the
//! partial file plays. A part file that is there already is never touched (docs/decisions/010).

use super::container::Container;
use super::sound::{self, Trouble};
use super::writing::Writing;
use super::{Sink, SinkOptions};
use crate::error::{Kind, fault};
use crate::frame::{EndMark, Frame, PacketStream, VideoFormat};
use crate::media::{buffer_of, chain, element, info_of, init, location};
use crate::pending::Unnamed;
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::VideoInfo;
use std::path::Path;
use std::sync::PoisonError;

pub(super) struct VideoSink {
    writing: Writing,
    format: VideoFormat,
    /// What is encoded: the format, perhaps with one more row or column.
    coded: VideoInfo,
    end_ns: u64,
    ends: Vec<EndMark>,
    trouble: Trouble,
    notes: Vec<String>,
}

impl VideoSink {
    /// As [`super::create`].
    pub(super) fn create(output: &Path, format: &VideoFormat, packets: Vec<PacketStream>, options: &SinkOptions) -> Result<Self> {
        init()?;
        let container = Container::of(output)?;
        let mut writing = Writing::create(output)?;
        let mut notes = Vec::new();
        let coded = coded(format, container, &mut notes)?;

        let source = writing.feed(&coded)?;
        let encoder = container.encoder(format, options)?;
        let muxer = container.muxer()?;
        let file = element("filesink")?;
        file.set_property("location", location(writing.part())?);
        // What is written is in the kernel's hands at once.
        file.set_property_from_str("buffer-mode", "unbuffered");
        let pipeline = writing.pipeline();
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
        writing.play()?;
        Ok(Self {
            writing,
            format: format.clone(),
            coded,
            end_ns: 0,
            ends,
            trouble,
            notes,
        })
    }
}

impl Sink for VideoSink {
    fn write(&mut self, frame: Frame) -> Result<()> {
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
        self.writing.write(buffer)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.complete()?.map_or(Ok(()), Unnamed::replace)
    }

    fn complete(mut self: Box<Self>) -> Result<Option<Unnamed>> {
        self.writing.close()?;
        if let Some(error) = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error.context("the sound ends early"));
        }
        self.writing.unnamed().map(Some)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn partial(&self) -> Option<&Path> {
        Some(self.writing.part())
    }
}

impl Drop for VideoSink {
    fn drop(&mut self) {
        if self.writing.is_open() {
            // Sound that runs on would only keep the file open.
            self.ends.iter().for_each(|end| end.set(self.end_ns));
        }
    }
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
