//! What the tests of the built program share: a folder with a tiny model, videos whose frames tell their own number, and a
//! reader for what comes out.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use maskline::testing::Brightness;
use maskline_models::library::find_onnxruntime;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_maskline");

pub const MS: u64 = 1_000_000;

/// A folder of a test's own with `brightness.onnx` in it: a net that tells dark from bright.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("the system's temporary folder can be written");
        Brightness::default().write(folder.path());
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a test's own folder can be written");
        path
    }

    /// The program, in this folder, waiting for arguments.
    pub fn command(&self) -> Command {
        self.prepare(Command::new(PROGRAM))
    }

    /// Runs a shell script in this folder; the program is `$0`.
    pub fn shell(&self, script: &str) -> Ran {
        let mut shell = self.prepare(Command::new("sh"));
        Ran::from(shell.args(["-c", script, PROGRAM]).output().expect("there is a shell"))
    }

    fn prepare(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Ok(library) = find_onnxruntime() {
            command.env("ORT_DYLIB_PATH", library); // found from the checkout, also where the program lies elsewhere
        }
        command
    }

    /// Runs the program in this folder.
    pub fn maskline<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::from(self.command().args(args).output().expect("the program can be started"))
    }

    /// The same with the arguments in one text, without `run` and with the tiny model on the CPU.
    pub fn run(&self, args: &str) -> Ran {
        let line = format!("run --model ./brightness.onnx --provider cpu {args}");
        self.maskline(line.split(' '))
    }

    /// Names in the folder, hidden ones too.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder is there");
        let mut names: Vec<_> = entries
            .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Fails the test unless the program was content.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Fails the test unless the program refused with this code and one line that holds this text.
    pub fn refused(&self, code: i32, part: &str) {
        let lines: Vec<_> = self.stderr.lines().filter(|l| l.starts_with("maskline: ")).collect();
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(lines.len(), 1, "wanted one line: {}", self.stderr);
        assert!(lines[0].contains(part), "wanted {part:?}: {}", lines[0]);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// A video whose frame k shows the number k in eight columns, dark for 0 and bright for 1.
pub struct Clip {
    pub width: u32,
    pub height: u32,
    /// When each frame is shown, in milliseconds.
    pub times_ms: Vec<u64>,
    pub audio: bool,
}

impl Clip {
    pub fn regular(width: u32, height: u32, frames: u64) -> Self {
        Self {
            width,
            height,
            times_ms: (0..frames).map(|k| 40 * k).collect(),
            audio: false,
        }
    }

    /// Writes it as H.264 in MP4 or Matroska, by the extension.
    pub fn write(&self, path: &Path) {
        gst::init().expect("GStreamer is installed");
        let muxer = if path.extension() == Some(OsStr::new("mkv")) {
            "matroskamux"
        } else {
            "mp4mux"
        };
        let mut line =
            format!("appsrc name=in format=time ! x264enc speed-preset=superfast key-int-max=20 ! {muxer} name=mux ! filesink name=out");
        if self.audio {
            line += " audiotestsrc num-buffers=60 samplesperbuffer=1024 ! audio/x-raw,rate=44100 ! avenc_aac ! aacparse ! queue ! mux.";
        }
        let pipeline = gst::parse::launch(&line).expect("the line above is right");
        let pipeline = pipeline
            .downcast::<gst::Pipeline>()
            .expect("a line with several elements is a pipeline");
        pipeline.by_name("out").expect("named above").set_property("location", path);
        let source = pipeline
            .by_name("in")
            .expect("named above")
            .downcast::<AppSrc>()
            .expect("an appsrc");
        let caps = format!(
            "video/x-raw,format=I420,width={},height={},framerate=0/1,colorimetry=bt601",
            self.width, self.height
        );
        source.set_caps(Some(&caps.parse().expect("caps as above")));
        pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
        for (k, time) in self.times_ms.iter().enumerate() {
            let mut buffer = gst::Buffer::from_mut_slice(self.picture(k as u8));
            let fields = buffer.get_mut().expect("nobody else has it yet");
            fields.set_pts(gst::ClockTime::from_mseconds(*time));
            let next = self.times_ms.get(k + 1).copied().unwrap_or(time + 40);
            fields.set_duration(gst::ClockTime::from_mseconds(next - time));
            source.push_buffer(buffer).expect("the pipeline takes it");
        }
        source.end_of_stream().expect("the pipeline takes it");
        wait(&pipeline);
    }

    fn picture(&self, number: u8) -> Vec<u8> {
        // GStreamer's I420: rows rounded up to 4 bytes.
        let (width, height) = (self.width as usize, self.height as usize);
        let stride = width.next_multiple_of(4);
        let chroma = width.div_ceil(2).next_multiple_of(4) * height.div_ceil(2);
        let row: Vec<u8> = (0..stride)
            .map(|x| if bit(number, x.min(width - 1), width) { 235 } else { 16 })
            .collect();
        // Two lines of chroma planes start at an even number of rows.
        let mut bytes = row.repeat(height.next_multiple_of(2));
        bytes.resize(bytes.len() + 2 * chroma, 128);
        bytes
    }
}

fn bit(number: u8, x: usize, width: usize) -> bool {
    number >> (x * 8 / width) & 1 == 1
}

/// Reads the number back: `bright(x)` tells whether the middle row is bright at column `x`.
pub fn number(width: usize, bright: impl Fn(usize) -> bool) -> u8 {
    (0..8).filter(|b| bright((2 * b + 1) * width / 16)).map(|b| 1 << b).sum()
}

fn wait(pipeline: &gst::Pipeline) {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &[gst::MessageType::Eos, gst::MessageType::Error]);
    if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|m| m.view()) {
        panic!("{error:?}");
    }
    pipeline.set_state(gst::State::Null).expect("a pipeline can be stopped");
}

/// A frame that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub pts_ns: u64,
    pub number: u8,
    pub size: (usize, usize),
}

/// Decodes a video: when each frame is shown and which number it shows.
pub fn read_video(path: &Path) -> Vec<Shown> {
    let samples = pull(path, "video", "decodebin ! videoconvert ! video/x-raw,format=I420");
    samples
        .iter()
        .map(|sample| {
            let caps = sample.caps().expect("a sample has caps");
            let info = gstreamer_video::VideoInfo::from_caps(caps).expect("video caps");
            let (width, height, stride) = (info.width() as usize, info.height() as usize, info.stride()[0] as usize);
            let buffer = sample.buffer().expect("a sample has a buffer");
            let map = buffer.map_readable().expect("memory can be read");
            Shown {
                pts_ns: running_time(sample),
                number: number(width, |x| map[height / 2 * stride + x] > 110),
                size: (width, height),
            }
        })
        .collect()
}

/// Takes the compressed audio packets out of an MP4, as they are.
pub fn read_audio(path: &Path) -> Vec<Vec<u8>> {
    let samples = pull(path, "audio", "qtdemux name=d d.audio_0");
    samples
        .iter()
        .map(|s| {
            s.buffer()
                .expect("a sample has a buffer")
                .map_readable()
                .expect("memory can be read")
                .to_vec()
        })
        .collect()
}

fn running_time(sample: &gst::Sample) -> u64 {
    let pts = sample.buffer().and_then(gst::BufferRef::pts).expect("a frame has a time");
    let segment = sample
        .segment()
        .and_then(|s| s.downcast_ref::<gst::ClockTime>())
        .expect("a time segment");
    segment.to_running_time(pts).expect("shown frames lie in the segment").nseconds()
}

fn pull(path: &Path, what: &str, middle: &str) -> Vec<gst::Sample> {
    gst::init().expect("GStreamer is installed");
    let line = format!("filesrc name=file ! {middle} ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&line).expect("the line above is right");
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .expect("a line with several elements is a pipeline");
    pipeline.by_name("file").expect("named above").set_property("location", path);
    let out = pipeline
        .by_name("out")
        .expect("named above")
        .downcast::<AppSink>()
        .expect("an appsink");
    pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
    let samples: Vec<_> = std::iter::from_fn(|| out.pull_sample().ok()).collect();
    let bus = pipeline.bus().expect("a pipeline has a bus");
    if let Some(error) = bus.pop_filtered(&[gst::MessageType::Error]) {
        panic!("{what} of {}: {error:?}", path.display());
    }
    pipeline.set_state(gst::State::Null).expect("a pipeline can be stopped");
    samples
}
