//! Whatever moving pictures come from: a file, a sequence of pictures or a test pattern becomes [`Frame`]s.

mod file;
mod inside;
mod live;
mod paced;
mod packets;
mod pattern;
mod pictures;
mod stream;
mod tracks;
mod whole;

pub use live::{Credentials, LiveOptions, Notices, State, Transport};
pub(crate) use live::{Login, expand};
pub(crate) use paced::Paced;

use crate::error::{Kind, fault};
use crate::frame::{Frame, PacketStream, VideoFormat};
use crate::gate::{Gate, Pass};
use crate::media;
use crate::pending;
use crate::privacy::shown;
use crate::stats::SourceReport;
use crate::stats::pulse::Pulse;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

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

    /// Whether it was raised; then it is lowered again.
    pub fn taken(&self) -> bool {
        self.own.swap(false, Ordering::AcqRel)
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
    /// A file or a test pattern runs against the clock, and its newest frame wins. Addresses and devices always do.
    pub live: bool,
    /// How live sources are read.
    pub live_options: LiveOptions,
    /// Hears what a live source has to say.
    pub notices: Notices,
    /// Is told what a live source does while it does it.
    pub pulse: Arc<Pulse>,
    /// From when its times count.
    pub started: Instant,
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
            live_options: LiveOptions::default(),
            notices: Notices::default(),
            pulse: Arc::default(),
            started: Instant::now(),
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

    /// The next frame, once it is its turn. Nobody has the turn who only waits for a frame; a live source gives the newest that
    /// there is when the turn comes.
    ///
    /// # Errors
    /// Those of [`Self::next`].
    fn next_in_turn(&mut self, turns: &Gate) -> anyhow::Result<Option<(Frame, Pass)>> {
        Ok(self.next()?.map(|frame| (frame, turns.enter())))
    }

    /// How many frames a live source left out; 0 for anything else.
    fn dropped(&self) -> u64;

    /// How many of the dropped were too old; the others were replaced by newer ones.
    fn too_old(&self) -> u64 {
        0
    }

    /// After the last frame: whether a live source was lost and given up.
    fn is_lost(&self) -> bool {
        false
    }

    /// The states of a live source that may have to connect again.
    fn report(&self) -> Option<SourceReport> {
        None
    }

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

/// The files that an input is read from, as far as they are there; none for a test pattern or a live source.
pub fn files(input: &str) -> Vec<PathBuf> {
    let path = Path::new(input);
    let found = match path.metadata() {
        _ if input.starts_with("test:") || is_address(input) => Ok(Vec::new()),
        Ok(found) if found.is_dir() => pictures::in_folder(path),
        Ok(_) => Ok(vec![path.into()]),
        Err(_) => pictures::in_sequence(path).map(Option::unwrap_or_default),
    };
    found.unwrap_or_default() // whoever opens it says what is wrong
}

/// Whether `input` is by its form a source of the network or a device, so that it has no end of its own.
pub fn is_address(input: &str) -> bool {
    live::is_address(input)
}

/// Refuses what cannot be read twice alike, for those who measure.
///
/// # Errors
/// Kind 64 for a live source.
pub(crate) fn check_repeatable(clip: &str) -> anyhow::Result<()> {
    match is_address(clip) {
        true => {
            let text = format!(
                "found the live source {}, wanted a video file: it is read several times",
                shown(clip)
            );
            Err(fault(Kind::Usage, text))
        }
        false => Ok(()),
    }
}

/// Opens `input`: a file, a folder of pictures, a numbered sequence such as `dir/%06d.png`, `test:`, an address such as
/// `rtsp://`, or `device:`. What is live is waited for until its first frame has come.
///
/// # Errors
/// One line with its kind: 65 for an input that is missing, damaged or no video, 64 for options that make no sense with
/// it, 75 for a live source that never answered, 78 where a GStreamer plugin is missing or a login is refused.
pub fn open(input: &str, options: &SourceOptions) -> anyhow::Result<Opened> {
    media::init()?;
    if let Some(pattern) = input.strip_prefix("test:") {
        return pattern::open(input, pattern, options);
    }
    if let Some(refusal) = unsupported(input) {
        return Err(fault(Kind::BadInput, refusal));
    }
    if is_address(input) {
        return live::open(input, options);
    }
    let path = Path::new(input);
    let no_pace = || {
        let text = format!("{input} has no pace of its own: wanted a video file or test: with --live");
        Err(fault(Kind::Usage, text))
    };
    match path.metadata() {
        Ok(found) if found.is_file() && options.live => live::open(input, options),
        Ok(_) if options.live => no_pace(),
        Ok(found) if found.is_dir() => pictures::open(input, pictures::in_folder(path)?, options),
        Ok(_) => file::open(path, options),
        Err(error) => match pictures::in_sequence(path)? {
            Some(_) if options.live => no_pace(),
            Some(files) => pictures::open(input, files, options),
            None if error.kind() == std::io::ErrorKind::NotFound => {
                let text = format!(
                    "{input} does not exist: wanted a video file, a folder of pictures, test:, device: or an address such as rtsp://HOST/PATH"
                );
                Err(fault(Kind::BadInput, text))
            }
            None => Err(fault(Kind::BadInput, format!("{input} cannot be opened: {error}"))),
        },
    }
}

/// Why an input can never be read, whether it is there or not. What must not be shown of an address is left out.
pub fn unsupported(input: &str) -> Option<String> {
    const WANTED: &str = "wanted a video file, a folder of pictures, test:, device: or an address such as rtsp://HOST/PATH";
    if is_address(input) {
        return live::Address::parse(input).err();
    }
    if let Some(pattern) = input.strip_prefix("test:") {
        return pattern::parse(pattern).err().map(|why| format!("{input}: {why}"));
    }
    if let Some((scheme, _)) = input.split_once("://") {
        return Some(match scheme {
            "file" => "an input is named without file://, by its path alone".into(),
            _ => format!(
                "{} is of no known kind: wanted rtsp, rtsps, http, https, srt or udp before ://",
                shown(input)
            ),
        });
    }
    if input == "-" {
        return Some(format!("standard input cannot be read: {WANTED}"));
    }
    let is_device = Path::new(input).metadata().is_ok_and(|m| pending::is_device(&m));
    let is_device = is_device || ["/dev/video", "/dev/media"].iter().any(|camera| input.starts_with(camera));
    is_device.then(|| match input.starts_with("/dev/video") {
        true => format!("{input} is a device: name it device:{input}"),
        false => format!("{input} is a device or a pipe: {WANTED}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_answered_with_what_can_and_without_passwords() {
        for (input, part) in [
            ("rtmp://me:secret@camera/1", "wanted rtsp"),
            ("udp://me:secret@host", "no port"),
            ("/dev/video0", "device:/dev/video0"),
            ("/dev/null", "wanted a video file"),
            ("-", "wanted a video file"),
        ] {
            let text = unsupported(input).unwrap();
            assert!(text.contains(part) && !text.contains("secret"), "{text}");
        }
        assert!(unsupported("file:///tmp/a.mp4").unwrap().contains("without file://"));
        for input in [
            "test:",
            "rtsp://me:secret@camera/1",
            "https://a.b/c.mp4",
            "device:/dev/video0",
            "a.mp4",
            "frames/%05d.png",
            "missing.mp4",
        ] {
            assert_eq!(unsupported(input), None, "{input}");
        }
    }
}
