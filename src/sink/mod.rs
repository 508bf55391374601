//! Wherever frames go: a video file, a folder of class maps, or nowhere.

mod class_video;
mod container;
pub mod masks;
mod mend;
mod sample;
mod sound;
mod video;
mod writing;

pub use class_video::ClassVideo;
pub(crate) use class_video::check as check_class_video;
pub(crate) use container::live_mp4;

use crate::frame::{Frame, PacketStream, VideoFormat};
use crate::pending::Unnamed;
use anyhow::Result;
use std::path::Path;

/// How much time the H.264 encoder takes for a smaller file; the names of x264.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speed {
    /// A third of the time of `Superfast`, files twice as large.
    Ultrafast,
    /// Enough for most.
    #[default]
    Superfast,
    /// Twice the time of `Superfast`.
    Veryfast,
    /// Slower and smaller.
    Faster,
    /// Slower and smaller.
    Fast,
    /// x264's own default.
    Medium,
}

impl Speed {
    /// As x264 calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
        }
    }

    /// VP9's `cpu-used` at realtime, 9 the fastest.
    fn vp9(self) -> i32 {
        match self {
            Self::Ultrafast => 9,
            Self::Superfast => 8,
            Self::Veryfast => 7,
            Self::Faster => 6,
            Self::Fast | Self::Medium => 5,
        }
    }
}

/// How to write a video.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// Encoder speed.
    pub speed: Speed,
    /// Constant quality, 0 (best) to 51; x264's crf.
    pub quality: u32,
    /// Threads of the encoder; without a number, one a core at most.
    pub threads: Option<usize>,
    /// Frames from one keyframe to the next at most; without a number, about a second.
    pub keyframe_interval: Option<u32>,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            speed: Speed::default(),
            quality: 21,
            threads: None,
            keyframe_interval: None,
        }
    }
}

/// Where frames go.
pub trait Sink: Send {
    /// Takes one frame; frames come in the order of their times.
    ///
    /// # Errors
    /// One line with its kind; nothing can be written afterwards.
    fn write(&mut self, frame: Frame) -> Result<()>;

    /// Ends the output and gives it its name. Dropping a sink instead abandons the output.
    ///
    /// # Errors
    /// One line with its kind; then no file has the final name.
    fn finish(self: Box<Self>) -> Result<()>;

    /// Ends the output but leaves its name to be given, so that a run can complete all outputs before the first gets its name.
    /// `None` for an output without a name.
    ///
    /// # Errors
    /// As [`Sink::finish`].
    fn complete(self: Box<Self>) -> Result<Option<Unnamed>> {
        self.finish().map(|()| None)
    }

    /// What the user should know, one line each: an audio stream that had to be converted, for example.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The file that is written until the output gets its name; it remains if the sink is abandoned after a frame.
    fn partial(&self) -> Option<&Path> {
        None
    }
}

/// A sink that forgets every frame.
pub fn null() -> Box<dyn Sink> {
    struct Null;
    impl Sink for Null {
        fn write(&mut self, _: Frame) -> Result<()> {
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }
    Box::new(Null)
}

/// Whether the extension of an output names a form that can be written.
///
/// # Errors
/// 64 for one that does not, with those that do.
pub fn check(output: &Path) -> Result<()> {
    container::Container::of(output).map(|_| ())
}

/// Whether nobody else writes this video now, and no broken-off recording lies in the way.
///
/// # Errors
/// 64 with the name of the part file that is in the way.
pub fn is_free(output: &Path) -> Result<()> {
    writing::is_free(output)
}

/// Begins a video file; the extension of `output` chooses its form: .mp4 and .mkv (H.264) or .webm (VP9).
///
/// # Errors
/// One line with its kind: 64 for an extension it does not know, 74 where the file cannot be written, 78 where a GStreamer
/// plugin is missing.
pub fn create(output: &Path, format: &VideoFormat, packets: Vec<PacketStream>, options: &SinkOptions) -> Result<Box<dyn Sink>> {
    Ok(Box::new(video::VideoSink::create(output, format, packets, options)?))
}
