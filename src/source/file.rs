//! Any file that GStreamer decodes.

use super::inside::{self, Sound};
use super::packets;
use super::stream::{Explain, Setup, Stream, tail};
use super::tracks::{Track, tracks};
use super::whole;
use super::{Opened, SourceOptions};
use crate::error::{Kind, fault};
use crate::frame::{EndMark, PacketStream};
use crate::media::{Side, Watch, chain, codec_name, element, location};
use anyhow::Result;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What the demuxer found, collected from its threads.
#[derive(Debug, Default)]
struct Found {
    /// Name of the demuxer's factory.
    demuxer: String,
    /// Codecs of all streams.
    streams: Vec<String>,
    /// The streams of sound.
    sound: Vec<Sound>,
    /// The video that is decoded.
    video: bool,
    /// Other streams of pictures, text and data.
    left_out: Vec<String>,
    /// All streams are known.
    complete: bool,
}

type Shared = Arc<Mutex<Found>>;

fn lock(found: &Shared) -> std::sync::MutexGuard<'_, Found> {
    // A list stays valid whatever happened to the thread that was adding to it.
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a video file.
///
/// # Errors
/// As [`super::open`].
pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Opened> {
    let name = path.display().to_string();
    if fs::metadata(path).map_or(0, |m| m.len()) == 0 {
        return Err(fault(Kind::BadInput, format!("{name} is empty: wanted a video file")));
    }
    if let Err(error) = File::open(path) {
        return Err(fault(Kind::BadInput, format!("{name} cannot be opened: {error}")));
    }
    let size = whole::difference(path);
    let watch = Watch::new(Side::Reading(name.clone()));
    let found = Shared::default();
    let tail = tail(&watch, false)?;
    build(&watch, path, options.threads, &found, &tail.first)?;
    let end = EndMark::default();
    let mut stream = Stream::start(Setup {
        watch,
        sink: tail.sink,
        start_ns: options.start_ns,
        // These two begin their clock before the first frame, by as much as their muxer liked.
        from_first: &|| matches!(lock(&found).demuxer.as_str(), "tsdemux" | "flvdemux"),
        frames: options.frames,
        stop: options.stop.clone(),
        end: end.clone(),
        explain: cut_off(path, size.missing),
        hopeless: &|| no_video(&found, &name),
        name: &name,
    })?;
    // All streams of a container are known once its video flows; a late one could not be muxed any more.
    let found = std::mem::take(&mut *lock(&found));
    let mut notes: Vec<_> = found
        .left_out
        .iter()
        .map(|s| format!("{name}: the stream {s} is left out"))
        .collect();
    if size.behind > 0 {
        notes.push(format!("{name}: {} bytes behind its end are no part of the video", size.behind));
    }
    let listed = tracks(path);
    let skipped = listed
        .iter()
        .filter(|t| &t.kind == b"soun")
        .count()
        .saturating_sub(found.sound.len());
    if found.demuxer == "qtdemux" && skipped > 0 {
        let text =
            format!("{name}: {skipped} of its streams of sound cannot be read, as GStreamer skips what is much shorter than the video");
        notes.push(text);
    }
    stream.promise(promised_ns(&stream, &found, &listed).map(|ns| ns.saturating_sub(options.start_ns)));
    let start_ns = match options.start_ns {
        0 => 0,
        start_ns => start_ns + stream.begin_ns(),
    };
    let mut sound = Vec::new();
    for stream in &found.sound {
        match packets::open(path, stream, start_ns, end.clone()) {
            Ok(Some(stream)) => sound.push(stream),
            Ok(None) => {}
            Err(error) => notes.push(format!("{name}: a stream of sound is left out: {error:#}")),
        }
    }
    Ok(describe(stream, &found, sound, notes, options))
}

/// A file that ends too early gives what it has and then says so.
fn cut_off(path: &Path, missing: u64) -> Option<Explain> {
    let name = path.display().to_string();
    (missing > 0).then(|| {
        Box::new(move |frames: u64| {
            let found = match frames {
                0 => "nothing can be read of it".to_owned(),
                frames => format!("only its first {frames} frames could be read"),
            };
            let text = format!("{name} is cut off, {missing} bytes are missing at its end: {found}; copy it again");
            Some(fault(Kind::BadInput, text))
        }) as Explain
    })
}

/// How long the pictures of the whole file last, where it is sure that they shall: a duration may as well be that of the
/// sound, or guessed from a bit rate.
fn promised_ns(stream: &Stream, found: &Found, listed: &[Track]) -> Option<u64> {
    match found.demuxer.as_str() {
        "qtdemux" => {
            let mut videos = listed.iter().filter(|t| &t.kind == b"vide");
            let only = videos.next().filter(|_| videos.next().is_none());
            only.and_then(|t| t.duration_ns)
        }
        "matroskademux" | "avidemux" if found.sound.is_empty() && found.left_out.is_empty() => stream.duration_ns(),
        _ => None,
    }
}

fn describe(stream: Stream, found: &Found, packets: Vec<PacketStream>, notes: Vec<String>, options: &SourceOptions) -> Opened {
    let format = stream.format().clone();
    let duration_ns = stream.duration_ns().map(|d| d.saturating_sub(options.start_ns));
    let counted = duration_ns.zip(format.rate).map(|(ns, (n, d))| {
        let frames = ns as f64 * f64::from(n) / (1e9 * f64::from(d));
        frames.round() as u64
    });
    let frames_total = match (counted, options.frames) {
        (Some(count), Some(limit)) => Some(count.min(limit)),
        (count, limit) => count.or(limit),
    };
    let rate = format.rate.map_or(String::new(), |(n, d)| {
        let fps = format!("{:.2}", f64::from(n) / f64::from(d));
        format!(" {} fps", fps.trim_end_matches('0').trim_end_matches('.'))
    });
    let codecs = found.streams.join(" + ");
    Opened {
        description: format!("{codecs}, {}x{}{rate}", format.width, format.height),
        format,
        frames: Box::new(stream),
        packets,
        frames_total,
        duration_ns,
        notes,
    }
}

fn no_video(found: &Shared, name: &str) -> Option<anyhow::Error> {
    let found = lock(found);
    (found.complete && !found.video).then(|| {
        let streams = match found.streams.as_slice() {
            [] => "nothing".to_owned(),
            some => some.join(", "),
        };
        fault(Kind::BadInput, format!("{name} has no video: found {streams}, wanted a video file"))
    })
}

/// `filesrc ! decodebin`, its first video into `video`.
fn build(watch: &Watch, path: &Path, threads: Option<usize>, found: &Shared, video: &gst::Element) -> Result<()> {
    let file = element("filesrc")?;
    file.set_property("location", location(path)?);
    let decode = element("decodebin")?;
    chain(watch.pipeline().upcast_ref(), &[&file, &decode])?;

    let seen = found.clone();
    decode.connect("autoplug-continue", false, move |args| {
        let caps = args[2].get::<gst::Caps>().ok();
        Some(caps.is_none_or(|caps| is_decoded(&caps, &seen)).to_value())
    });
    let seen = found.clone();
    watch.pipeline().connect_deep_element_added(move |_, _, element| {
        inside::limit_threads(element, threads);
        if let Some(demuxer) = inside::demuxer(element) {
            lock(&seen).demuxer = demuxer;
        }
        let seen = seen.clone();
        inside::watch_demuxer(element, move |codec, sound| {
            let mut seen = lock(&seen);
            seen.streams.push(codec);
            seen.sound.push(sound);
        });
    });

    let (seen, target, pipeline) = (found.clone(), video.downgrade(), watch.pipeline().downgrade());
    decode.connect_pad_added(move |_, pad| {
        if let (Some(target), Some(pipeline)) = (target.upgrade(), pipeline.upgrade()) {
            take_pad(pad, &target, &pipeline, &seen);
        }
    });
    let seen = found.clone();
    decode.connect_no_more_pads(move |_| lock(&seen).complete = true);
    Ok(())
}

/// Whether decodebin goes on with a stream: sound and text stay as they are.
fn is_decoded(caps: &gst::Caps, found: &Shared) -> bool {
    const CONTAINERS: [&str; 12] = [
        "video/quicktime",
        "video/x-matroska",
        "video/webm",
        "video/mpegts",
        "video/mpeg-ps",
        "video/x-msvideo",
        "video/x-flv",
        "video/ogg",
        "video/x-ms-asf",
        "application/",
        "video/x-raw",
        "image/x-raw",
    ];
    let name = caps.structure(0).map(|s| s.name().as_str()).unwrap_or_default();
    if inside::is_beside_pictures(name) {
        return false;
    }
    let (mut found, codec) = (lock(found), codec_name(caps));
    if !CONTAINERS.iter().any(|c| name.starts_with(c)) && !found.streams.contains(&codec) {
        // Pictures are named first.
        found.streams.insert(0, codec);
    }
    true
}

fn take_pad(pad: &gst::Pad, video: &gst::Element, pipeline: &gst::Pipeline, found: &Shared) {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let name = caps.structure(0).map(|s| s.name().to_string()).unwrap_or_default();
    let target = video.static_pad("sink").expect("a converter has a sink pad");
    let mut found = lock(found);
    if name == "video/x-raw" && !found.video {
        found.video = pad.link(&target).is_ok();
        return;
    }
    if !name.starts_with("audio/") {
        found.left_out.push(codec_name(&caps));
        found.streams.push(codec_name(&caps));
    }
    drop(found);
    // Read and forgotten here, so that no stream holds up another.
    discard(pad, pipeline);
}

/// Lets whatever comes out of `pad` vanish.
pub(super) fn discard(pad: &gst::Pad, pipeline: &gst::Pipeline) {
    let Ok(hole) = element("fakesink") else { return };
    hole.set_property("async", false);
    hole.set_property("sync", false);
    if pipeline.add(&hole).is_ok() {
        let sink = hole.static_pad("sink").expect("a fakesink has a sink pad");
        // Where this fails, the demuxer does without the stream.
        pad.link(&sink).ok();
        hole.sync_state_with_parent().ok();
    }
}
