//! Which encoder and muxer make which kind of file.

use super::SinkOptions;
use super::mend::mend;
use crate::error::{Kind, fault};
use crate::frame::VideoFormat;
use crate::media::element;
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::path::Path;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Mp4,
    Matroska,
    WebM,
}

impl Container {
    /// By the extension of the output.
    ///
    /// # Errors
    /// 64 for any other extension.
    pub(super) fn of(output: &Path) -> Result<Self> {
        let extension = output.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        match extension.as_str() {
            "mp4" | "m4v" | "mov" => Ok(Self::Mp4),
            "mkv" => Ok(Self::Matroska),
            "webm" => Ok(Self::WebM),
            _ => {
                let text = format!(
                    "{} has no extension that names a kind of video: use .mp4, .mkv or .webm",
                    output.display()
                );
                Err(fault(Kind::Usage, text))
            }
        }
    }

    /// Whether its video encoder takes pictures of odd width or height.
    pub(super) fn takes_odd_sizes(self) -> bool {
        self == Self::WebM
    }

    /// Whether its video encoder takes pictures of this size: what libx264 (interlaced or not) and libvpx refuse.
    ///
    /// # Errors
    /// 65 with the limits.
    pub(super) fn takes_size(self, format: &VideoFormat) -> Result<()> {
        let (codec, narrowest, lowest) = match self {
            Self::Mp4 | Self::Matroska => ("H.264", 1, 15),
            Self::WebM => ("VP9", 16, 16),
        };
        let (width, height) = (format.width, format.height);
        if (narrowest..=LARGEST).contains(&width) && (lowest..=LARGEST).contains(&height) {
            return Ok(());
        }
        let text = format!(
            "the frames are {width}x{height}, but {codec} takes {narrowest}x{lowest} to {LARGEST}x{LARGEST}: use --masks and --json without a video"
        );
        Err(fault(Kind::BadInput, text))
    }

    /// What becomes of sound that the container cannot hold: name, encoders to try in turn, and the parser behind them.
    pub(super) fn sound(self) -> (&'static str, &'static [&'static str], &'static str) {
        match self {
            Self::Mp4 => ("AAC", &["fdkaacenc", "avenc_aac", "voaacenc"], "aacparse"),
            Self::Matroska | Self::WebM => ("Opus", &["opusenc"], "opusparse"),
        }
    }

    /// The muxer. What it has written can be played at any time, whatever becomes of the program.
    ///
    /// # Errors
    /// 78 where its plugin is missing.
    pub(super) fn muxer(self) -> Result<gst::Element> {
        let muxer = element(match self {
            Self::Mp4 => "mp4mux",
            Self::Matroska => "matroskamux",
            Self::WebM => "webmmux",
        })?;
        if self == Self::Mp4 {
            // Fragments of a second while it runs, an ordinary file once it is finished.
            muxer.set_property("fragment-duration", 1000_u32);
            muxer.set_property_from_str("fragment-mode", "first-moov-then-finalise");
            muxer.set_property("movie-timescale", TIMESCALE);
            mend_output(&muxer);
        } else {
            muxer.set_property("writing-app", concat!("maskline ", env!("CARGO_PKG_VERSION")));
        }
        Ok(muxer)
    }

    /// The muxer's pad for the video, with a clock fine enough for every rate.
    pub(super) fn video_pad(self, muxer: &gst::Element, rate: Option<(u32, u32)>) -> Option<gst::Pad> {
        let pad = muxer.request_pad_simple("video_%u")?;
        if self == Self::Mp4 {
            let ticks = match rate {
                // 30000/1001 and the like, where a frame is a whole number of ticks.
                Some((n, _)) if n >= 10_000 && !TIMESCALE.is_multiple_of(n) => n,
                _ => TIMESCALE,
            };
            pad.set_property("trak-timescale", ticks);
        }
        Some(pad)
    }

    /// The video encoder. Its pictures leave it in the order in which they are shown.
    ///
    /// # Errors
    /// 78 where its plugin is missing.
    pub(super) fn encoder(self, format: &VideoFormat, options: &SinkOptions) -> Result<gst::Element> {
        let per_second = format.rate.map_or(30.0, |(n, d)| f64::from(n) / f64::from(d.max(1)));
        // A fragment ends at a keyframe; at low rates a group still has some frames to be worth its keyframe.
        let interval = options.keyframe_interval.unwrap_or((per_second.round() as u32).clamp(8, 250));
        match self {
            Self::Mp4 | Self::Matroska => h264(interval, format.height, options),
            Self::WebM => vp9(interval, options),
        }
    }
}

/// An MP4 muxer for a live stream of H.264, and its pad for it. Broken off, its file lacks half a second.
///
/// # Errors
/// 78 where its plugin is missing.
pub(crate) fn live_mp4() -> Result<(gst::Element, gst::Pad)> {
    let muxer = Container::Mp4.muxer()?;
    muxer.set_property("fragment-duration", 500_u32);
    let pad = Container::Mp4.video_pad(&muxer, None).context("the muxer takes no video")?;
    Ok((muxer, pad))
}

/// Lets [`mend`] see every box on its way into the file.
fn mend_output(muxer: &gst::Element) {
    let pad = muxer.static_pad("src").expect("a muxer has a source pad");
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            let mut head = [0; 8];
            let is_table = buffer.size() > 8 && buffer.copy_to_slice(0, &mut head).is_ok() && matches!(&head[4..], b"moov" | b"moof");
            if is_table && let Ok(mut bytes) = buffer.make_mut().map_writable() {
                mend(&mut bytes);
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// Ticks a second: 25, 30, 50, 60 and 30000/1001 frames a second are whole numbers of them.
const TIMESCALE: u32 = 90_000;

/// Width and height that both encoders stop at.
const LARGEST: u32 = 16_384;

/// x264 by itself takes half as many threads again as there are cores, since it waits for pictures at times; here others work
/// then. Every thread holds pictures of its own, and more than one for 32 rows only wait for each other.
fn h264_threads(height: u32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    cores.min((height as usize).div_ceil(32)).max(1)
}

fn h264(interval: u32, height: u32, options: &SinkOptions) -> Result<gst::Element> {
    let encoder = element("x264enc")?;
    encoder.set_property_from_str("speed-preset", options.speed.name());
    encoder.set_property_from_str("pass", "qual");
    encoder.set_property("quantizer", options.quality.min(50));
    // Without it, constant quality is bounded by a bitrate meant for a video call.
    encoder.set_property("vbv-buf-capacity", 0_u32);
    encoder.set_property("key-int-max", interval);
    encoder.set_property("threads", options.threads.unwrap_or_else(|| h264_threads(height)) as u32);
    // No pictures out of order: times are the same in a finished and in a broken-off file.
    encoder.set_property("option-string", "bframes=0");
    Ok(encoder)
}

fn vp9(interval: u32, options: &SinkOptions) -> Result<gst::Element> {
    let encoder = element("vp9enc")?;
    let threads = options
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get()));
    // 1 is "realtime": the only deadline at which VP9 keeps up with a video.
    encoder.set_property("deadline", 1_i64);
    encoder.set_property("cpu-used", options.speed.vp9());
    encoder.set_property("threads", threads.clamp(1, 64) as i32);
    encoder.set_property("row-mt", true);
    encoder.set_property("tile-columns", 2_i32);
    encoder.set_property("lag-in-frames", 0_i32);
    encoder.set_property_from_str("end-usage", "cq");
    // x264's 0-51 on VP9's 0-63; the bitrate is only the ceiling of constrained quality.
    encoder.set_property("cq-level", (options.quality.min(50) * 63 / 50) as i32);
    encoder.set_property("target-bitrate", 50_000_000_i32);
    encoder.set_property("keyframe-max-dist", interval as i32);
    // Two pictures of a variable rate may lie closer than the nominal rate says.
    encoder.set_property("timebase", gst::Fraction::new(1, 90_000));
    Ok(encoder)
}
