//! What source and sink share of GStreamer: making elements, mapping buffers, and turning bus messages into errors.

pub(crate) mod inventory;
mod picture;
mod pixels;
mod watch;

pub(crate) use picture::Picture;
pub(crate) use pixels::{GstPixels, buffer_of, format_of, info_of};
pub(crate) use watch::{Event, Side, Watch};

use crate::error::{Kind, WithKind, fault};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::path::Path;

/// Starts GStreamer, once.
///
/// # Errors
/// 78 where it cannot be started.
pub(crate) fn init() -> Result<()> {
    gst::init()
        .context("GStreamer does not start: apt install libgstreamer1.0-0 gstreamer1.0-plugins-base")
        .kind(Kind::Config)
}

/// An element.
///
/// # Errors
/// 78 with the package to install.
pub(crate) fn element(factory: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        let text = format!("GStreamer has no element {factory}: apt install {}", package(factory));
        fault(Kind::Config, text)
    })
}

/// Adds the elements to `bin` and links them in their order.
///
/// # Errors
/// 70: they were chosen to fit.
pub(crate) fn chain(bin: &gst::Bin, elements: &[&gst::Element]) -> Result<()> {
    bin.add_many(elements.iter().copied())
        .context("GStreamer elements cannot be added")?;
    gst::Element::link_many(elements.iter().copied()).context("GStreamer elements cannot be linked")
}

/// A path as GStreamer's elements take it.
///
/// # Errors
/// 65 for a name that is not UTF-8.
pub(crate) fn location(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let text = format!("the file name {} is not UTF-8: rename it", path.display());
        fault(Kind::BadInput, text)
    })
}

/// A stream's codec as people call it: `h264`, `aac`, `opus`.
pub(crate) fn codec_name(caps: &gst::CapsRef) -> String {
    let Some(structure) = caps.structure(0) else {
        return "nothing".to_owned();
    };
    let version = structure.get::<i32>("mpegversion").ok();
    match (structure.name().as_str(), version) {
        ("audio/mpeg", Some(2 | 4)) => "aac".to_owned(),
        ("audio/mpeg", _) => "mp3".to_owned(),
        ("video/mpeg", Some(4)) => "mpeg4".to_owned(),
        ("video/mpeg", Some(version)) => format!("mpeg{version}video"),
        ("audio/x-raw", _) => "pcm".to_owned(),
        (name, _) => name.rsplit('/').next().unwrap_or(name).trim_start_matches("x-").to_owned(),
    }
}

/// Debian's package of an element.
fn package(factory: &str) -> &'static str {
    match factory {
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "fakesink" | "filesrc" | "filesink" | "capsfilter" => "libgstreamer1.0-0",
        name if name.starts_with("av") => "gstreamer1.0-libav",
        "aacparse" | "mp4mux" | "matroskamux" | "webmmux" | "vp8enc" | "vp9enc" | "pngdec" | "jpegdec" | "videoflip" => {
            "gstreamer1.0-plugins-good"
        }
        "rtspsrc" | "udpsrc" | "souphttpsrc" | "v4l2src" => "gstreamer1.0-plugins-good",
        "ximagesink" => "gstreamer1.0-x",
        "rtph264pay" | "jpegenc" | "flvmux" | "qtdemux" => "gstreamer1.0-plugins-good",
        // It needs the second for its connections.
        "webrtcbin" => "gstreamer1.0-plugins-bad gstreamer1.0-nice",
        "h264parse" | "srtsrc" | "tsdemux" | "hlsdemux" | "mpegtsmux" | "srtsink" | "rtmp2sink" => "gstreamer1.0-plugins-bad",
        _ => "gstreamer1.0-plugins-base",
    }
}

/// Debian's package of the decoder for a stream, by the name of its caps.
fn decoder_package(caps: &str) -> &'static str {
    match caps {
        name if name.contains("vp8") || name.contains("vp9") => "gstreamer1.0-plugins-good",
        name if name.contains("av1") => "gstreamer1.0-plugins-bad",
        name if name.contains("theora") || name.contains("vorbis") => "gstreamer1.0-plugins-base",
        _ => "gstreamer1.0-libav gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly",
    }
}
