//! Footage for tests of source and sink: every frame carries its number, and what comes out is read back by GStreamer alone.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::VideoInfo;
use maskline::frame::{Frame, OwnedPixels, Pixels, VideoFormat};
use maskline::source::{self, Opened, SourceOptions};
use std::path::Path;

/// Side of a block that shows one bit of a frame's number, in pixels; there are ten of them in a row at the top left.
const BLOCK: usize = 24;
const BITS: usize = 10;

/// Video and perhaps sound, to be made into a file.
#[derive(Debug, Clone)]
pub struct Footage {
    pub width: u32,
    pub height: u32,
    /// When each frame is shown, in nanoseconds, and when the last one ends.
    pub times_ns: Vec<u64>,
    pub end_ns: u64,
    /// Frames a second as the stream says; 0/1 for a variable rate.
    pub rate: (u64, u64),
    /// Seconds of sound.
    pub sound_s: Option<f64>,
    /// Elements that encode the pictures.
    pub encoder: &'static str,
    /// Elements that encode the sound.
    pub sound_encoder: &'static str,
    /// Fields of the pictures' caps.
    pub caps: &'static str,
    pub faststart: bool,
}

impl Footage {
    /// `frames` frames of `n/d` a second.
    pub fn regular(width: u32, height: u32, frames: u64, n: u64, d: u64) -> Self {
        let time = |k: u64| k * d * 1_000_000_000 / n;
        Self {
            width,
            height,
            times_ns: (0..frames).map(time).collect(),
            end_ns: time(frames),
            rate: (n, d),
            sound_s: None,
            encoder: "x264enc speed-preset=superfast key-int-max=12",
            sound_encoder: "avenc_aac",
            caps: "colorimetry=bt709",
            faststart: false,
        }
    }

    /// Frames at those times in milliseconds, the last one as the end of all.
    pub fn at_ms(width: u32, height: u32, times: &[u64]) -> Self {
        let (end, times) = times.split_last().expect("at least the end");
        Self {
            times_ns: times.iter().map(|t| t * 1_000_000).collect(),
            end_ns: end * 1_000_000,
            rate: (0, 1),
            ..Self::regular(width, height, 1, 25, 1)
        }
    }

    pub fn with_sound(self, seconds: f64) -> Self {
        Self {
            sound_s: Some(seconds),
            ..self
        }
    }

    /// Writes the file; its extension chooses the container (`.h264` is a bare stream).
    pub fn write(&self, path: &Path) {
        gst::init().expect("GStreamer is installed");
        let muxer = match path.extension().and_then(|e| e.to_str()) {
            Some("mp4") if self.faststart => "mp4mux name=mux faststart=true",
            Some("mp4") => "mp4mux name=mux",
            Some("mkv") => "matroskamux name=mux",
            Some("webm") => "webmmux name=mux",
            Some("ts") => "mpegtsmux name=mux",
            _ => "identity name=mux",
        };
        let parse = if muxer.starts_with("identity") {
            "video/x-h264,stream-format=byte-stream"
        } else {
            "queue"
        };
        let mut line = format!(
            "appsrc name=in format=time ! {} ! {parse} ! {muxer} ! filesink name=out",
            self.encoder
        );
        if let Some(seconds) = self.sound_s {
            let count = (seconds * 44_100.0 / 1024.0).round() as u64;
            line += &format!(
                " audiotestsrc wave=white-noise num-buffers={count} samplesperbuffer=1024 ! audio/x-raw,rate=44100 ! audioconvert ! \
                 audioresample ! {} ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! mux.",
                self.sound_encoder
            );
        }
        let pipeline = launch(&line);
        pipeline
            .by_name("out")
            .expect("named above")
            .set_property("location", path.to_str());
        let source = pipeline
            .by_name("in")
            .expect("named above")
            .downcast::<AppSrc>()
            .expect("an appsrc");
        let caps = format!(
            "video/x-raw,format=I420,width={},height={},framerate={}/{},{}",
            self.width, self.height, self.rate.0, self.rate.1, self.caps
        );
        let caps: gst::Caps = caps.parse().expect("caps as above");
        source.set_caps(Some(&caps));
        source.set_property("max-bytes", 0_u64);
        pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
        let info = VideoInfo::from_caps(&caps).expect("video caps");
        for (k, time) in self.times_ns.iter().enumerate() {
            let mut buffer = gst::Buffer::from_mut_slice(picture(&info, k as u64));
            let next = self.times_ns.get(k + 1).copied().unwrap_or(self.end_ns);
            let fields = buffer.get_mut().expect("nobody else has it yet");
            fields.set_pts(gst::ClockTime::from_nseconds(*time));
            fields.set_duration(gst::ClockTime::from_nseconds(next - time));
            source.push_buffer(buffer).expect("the pipeline takes it");
        }
        source.end_of_stream().expect("the pipeline takes it");
        run_out(&pipeline);
    }
}

fn launch(line: &str) -> gst::Pipeline {
    gst::init().expect("GStreamer is installed");
    let pipeline = gst::parse::launch(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    pipeline.downcast().expect("a line with several elements is a pipeline")
}

fn run_out(pipeline: &gst::Pipeline) {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &[gst::MessageType::Eos, gst::MessageType::Error]);
    if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|m| m.view()) {
        panic!("{error:?}");
    }
    pipeline.set_state(gst::State::Null).expect("a pipeline can be stopped");
}

/// Grey of a pixel of frame `number`: its bits as blocks, and below a ramp so that rows and columns can be told apart.
pub fn grey(number: u64, x: usize, y: usize) -> u8 {
    if y < BLOCK && x < BITS * BLOCK {
        return if number >> (x / BLOCK) & 1 == 1 { 220 } else { 32 };
    }
    (40 + (x / 8 + y / 4) % 160) as u8
}

fn picture(info: &VideoInfo, number: u64) -> Vec<u8> {
    let mut bytes = vec![128; info.size()];
    let stride = info.stride()[0] as usize;
    for y in 0..info.height() as usize {
        for x in 0..info.width() as usize {
            bytes[y * stride + x] = grey(number, x, y);
        }
    }
    bytes
}

/// The number that a plane of luma shows.
pub fn number(luma: &[u8], stride: usize) -> u64 {
    let bit = |i: usize| u64::from(luma[BLOCK / 2 * stride + i * BLOCK + BLOCK / 2] > 126) << i;
    (0..BITS).map(bit).sum()
}

/// A frame as someone who embeds the library would make it.
pub fn own_frame(format: &VideoFormat, index: u64, pts_ns: u64, align: usize) -> Frame {
    let mut pixels = OwnedPixels::black(format, align);
    let stride = pixels.stride(0);
    let luma = pixels.plane_mut(0);
    for y in 0..format.height as usize {
        for x in 0..format.width as usize {
            luma[y * stride + x] = grey(index, x, y);
        }
    }
    Frame {
        index,
        pts_ns,
        duration_ns: Some(40_000_000),
        format: format.clone().into(),
        pixels: Box::new(pixels),
        arrived: std::time::Instant::now(),
    }
}

pub use maskline::testing::plain;

/// Opens a file, or fails the test.
pub fn open(path: &Path, options: &SourceOptions) -> Opened {
    let input = path.to_str().expect("temporary folders have plain names");
    source::open(input, options).unwrap_or_else(|e| panic!("{e:#}"))
}

/// Number, time and size of every frame of a file, through the source under test.
pub fn read(path: &Path, options: &SourceOptions) -> Vec<(u64, u64)> {
    drain(&mut open(path, options))
}

pub fn drain(opened: &mut Opened) -> Vec<(u64, u64)> {
    let mut frames = Vec::new();
    while let Some(frame) = opened.frames.next().unwrap_or_else(|e| panic!("{e:#}")) {
        assert_eq!(frame.index, frames.len() as u64, "indices have no gap");
        assert_eq!(frame.format, opened.format);
        frames.push((number(frame.pixels.plane(0), frame.pixels.stride(0)), frame.pts_ns));
    }
    frames
}

/// Sound packets of a file with their times: what its demuxer gives, without any of the code under test.
pub fn sound(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let demuxer = if path.to_string_lossy().contains(".mp4") {
        "qtdemux"
    } else {
        "matroskademux"
    };
    let pipeline = launch(&format!(
        "filesrc name=in ! {demuxer} name=d d.audio_0 ! queue ! appsink name=out sync=false d.video_0 ! queue ! fakesink async=false"
    ));
    pipeline.by_name("in").expect("named above").set_property("location", path.to_str());
    let out = pipeline
        .by_name("out")
        .expect("named above")
        .downcast::<AppSink>()
        .expect("an appsink");
    pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
    let packets = std::iter::from_fn(|| out.pull_sample().ok()).map(|sample| {
        let buffer = sample.buffer().expect("a sample has a buffer");
        let segment = sample
            .segment()
            .and_then(|s| s.downcast_ref::<gst::ClockTime>())
            .expect("a time segment");
        let time = segment.to_running_time(buffer.pts().expect("a packet has a time"));
        (
            time.map_or(0, gst::ClockTime::nseconds),
            buffer.map_readable().expect("memory can be read").to_vec(),
        )
    });
    let packets: Vec<_> = packets.collect();
    pipeline.set_state(gst::State::Null).expect("a pipeline can be stopped");
    packets
}

/// Copies the sound of a Matroska file into an MP4 of its own.
pub fn only_sound(from: &Path, to: &Path) {
    let pipeline = launch("filesrc name=in ! matroskademux name=d d.audio_0 ! queue ! aacparse ! mp4mux ! filesink name=out");
    pipeline.by_name("in").expect("named above").set_property("location", from.to_str());
    pipeline.by_name("out").expect("named above").set_property("location", to.to_str());
    pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
    run_out(&pipeline);
}
