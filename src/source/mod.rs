//! Whatever moving pictures come from: a file, a sequence of pictures or a test pattern becomes [`Frame`]s.

mod file;
mod inside;
mod paced;
mod packets;
mod pattern;
mod pictures;
mod stream;
mod tracks;
mod whole;

pub(crate) use paced::Paced;

use crate::error::{Kind, fault};
use crate::frame::{Frame, PacketStream, VideoFormat};
use crate::media;
use crate::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells a source to end its stream; everything behind it then drains and finishes by itself.
#[derive(Debug, Clone, Default)]
pub struct StopFlag {
    own: Arc<AtomicBool>,
    outer: Option<Arc<StopFlag>>,
}

impl StopFlag {
    /// Asks for the end. Safe in a signal handler.
    pub fn request(&self) {
        self.own.store(true, Ordering::Release);
    }

    /// Whether the end was asked for.
    pub fn requested(&self) -> bool {
        self.own.load(Ordering::Acquire) || self.outer.as_ref().is_some_and(|outer| outer.requested())
    }

    /// A flag for one of several runs: it is raised with this one, but not this one with it.
    #[must_use]
    pub fn inner(&self) -> Self {
        Self {
            own: Arc::default(),
            outer: Some(Arc::new(self.clone())),
        }
    }
}

/// How to read an input.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Where to begin, from the start of the input.
    pub start_ns: u64,
    /// How many frames to give at most.
    pub frames: Option<u64>,
    /// Ends the stream when requested.
    pub stop: StopFlag,
    /// Threads of the video decoder; without a number, as many as there are cores.
    pub threads: Option<usize>,
    /// Frames per second of a sequence of pictures, as a fraction.
    pub image_rate: (u32, u32),
    /// A test pattern runs against the clock, and its newest frame wins. Files never do.
    pub live: bool,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            start_ns: 0,
            frames: None,
            stop: StopFlag::default(),
            threads: None,
            image_rate: (25, 1),
            live: false,
        }
    }
}

/// Where frames come from.
pub trait Source: Send {
    /// The next frame; `None` after the last, for ever.
    ///
    /// # Errors
    /// One line with its kind, once; the frames before it are good, and afterwards the stream has ended.
    fn next(&mut self) -> anyhow::Result<Option<Frame>>;

    /// How many frames were replaced by newer ones; 0 for anything but a live source.
    fn dropped(&self) -> u64;

    /// After the last frame: how much of the time that the input promised did not come, in nanoseconds. 0 for less than a
    /// second, for what was cut short on request, and where nothing is promised.
    fn lost_ns(&self) -> u64 {
        0
    }
}

/// An input that is ready to give frames.
pub struct Opened {
    /// Size and colour of every frame.
    pub format: Arc<VideoFormat>,
    /// The frames.
    pub frames: Box<dyn Source>,
    /// Streams that pass untouched: hand them to the sink, or drop them.
    pub packets: Vec<PacketStream>,
    /// How many frames will come, as far as the input tells: an estimate for files, exact for pictures.
    pub frames_total: Option<u64>,
    /// How long they will last, as far as the input tells.
    pub duration_ns: Option<u64>,
    /// What it is, in a few words: codec, size, rate, audio.
    pub description: String,
    /// What the user should know, one line each: streams that are left out.
    pub notes: Vec<String>,
}

/// The files that an input is read from, as far as they are there; none for a test pattern.
pub fn files(input: &str) -> Vec<PathBuf> {
    let path = Path::new(input);
    let found = match path.metadata() {
        _ if input.starts_with("test:") => Ok(Vec::new()),
        Ok(found) if found.is_dir() => pictures::in_folder(path),
        Ok(_) => Ok(vec![path.into()]),
        Err(_) => pictures::in_sequence(path).map(Option::unwrap_or_default),
    };
    found.unwrap_or_default() // whoever opens it says what is wrong
}

/// Opens `input`: a file, a folder of pictures, a numbered sequence such as `dir/%06d.png`, or `test:`.
///
/// # Errors
/// One line with its kind: 65 for an input that is missing, damaged or no video, 64 for options that make no sense with
/// it, 78 where a GStreamer plugin is missing.
pub fn open(input: &str, options: &SourceOptions) -> anyhow::Result<Opened> {
    media::init()?;
    if let Some(pattern) = input.strip_prefix("test:") {
        return pattern::open(input, pattern, options);
    }
    if let Some(refusal) = unsupported(input) {
        return Err(fault(Kind::BadInput, refusal));
    }
    let path = Path::new(input);
    match path.metadata() {
        Ok(found) if found.is_dir() => pictures::open(input, pictures::in_folder(path)?, options),
        Ok(_) => file::open(path, options),
        Err(error) => match pictures::in_sequence(path)? {
            Some(files) => pictures::open(input, files, options),
            None if error.kind() == std::io::ErrorKind::NotFound => {
                let text = format!("{input} does not exist: wanted a video file, a folder of pictures, or test:");
                Err(fault(Kind::BadInput, text))
            }
            None => Err(fault(Kind::BadInput, format!("{input} cannot be opened: {error}"))),
        },
    }
}

/// Why an input is of a kind that cannot be read yet, whether it is there or not. Addresses are not repeated: they may hold
/// a password.
pub fn unsupported(input: &str) -> Option<String> {
    const WANTED: &str = "wanted a video file, a folder of pictures, or test:";
    if let Some((scheme, _)) = input.split_once("://") {
        return Some(match scheme {
            "file" => "an input is named without file://, by its path alone".into(),
            scheme => format!("live and network inputs such as {scheme}:// are not supported yet: {WANTED}"),
        });
    }
    if input == "-" {
        return Some(format!("standard input cannot be read: {WANTED}"));
    }
    let is_device = Path::new(input).metadata().is_ok_and(|m| pending::is_device(&m));
    let is_device = is_device || ["/dev/video", "/dev/media"].iter().any(|camera| input.starts_with(camera));
    is_device.then(|| format!("{input} is a device or a pipe, and live inputs are not supported yet: {WANTED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_inputs_are_answered_with_what_there_is_and_without_their_passwords() {
        for input in ["rtsp://me:secret@camera/1", "https://a.b/c.mp4", "/dev/video0", "/dev/null", "-"] {
            let text = unsupported(input).unwrap();
            assert!(text.contains("wanted a video file") && !text.contains("secret"), "{text}");
        }
        assert!(unsupported("file:///tmp/a.mp4").unwrap().contains("without file://"));
        for input in ["test:", "a.mp4", "frames/%05d.png", "missing.mp4"] {
            assert_eq!(unsupported(input), None, "{input}");
        }
    }
}
