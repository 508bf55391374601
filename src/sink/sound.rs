//! Streams of packets beside the video into the same file.

use super::container::Container;
use crate::frame::{EndMark, Packet, PacketStream};
use crate::media::{chain, codec_name, element};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSrc, AppSrcCallbacks};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a stream of packets ended early, if it did.
pub(super) type Trouble = Arc<Mutex<Option<anyhow::Error>>>;

/// Adds a stream to the file: untouched where the container holds its codec, else decoded and encoded anew. Gives the note
/// for the user, if there is something to tell.
///
/// # Errors
/// 70 where elements do not fit, 78 where one is missing.
pub(super) fn add(
    pipeline: &gst::Pipeline,
    muxer: &gst::Element,
    container: Container,
    stream: PacketStream,
    trouble: &Trouble,
) -> Result<Option<String>> {
    let caps = gst::Caps::from_str(&stream.caps).context("the sound's format")?;
    let name = codec_name(&caps);
    let aac = name == "aac";
    // The muxer takes AAC without the frame headers that it has in MPEG streams.
    let offered = if aac {
        gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4)
            .field("stream-format", "raw")
            .build()
    } else {
        caps.clone()
    };
    let end = stream.end.clone();
    let fits = holds(muxer, &offered);
    let source = feed(&caps, stream, trouble);
    if fits {
        pipeline.add(&source).context("the sound's source")?;
        let last = if aac {
            let parser = element("aacparse")?;
            pipeline.add(&parser)?;
            source.link(&parser)?;
            parser
        } else {
            source.upcast()
        };
        join(&last, muxer, end)?;
        return Ok(None);
    }
    let (codec, encoders, parser) = container.sound();
    let encoder = encoders.iter().find_map(|e| gst::ElementFactory::make(e).build().ok());
    let Some(encoder) = encoder else {
        return Ok(Some(format!("the sound ({name}) is left out: no {codec} encoder is installed")));
    };
    let (decoder, convert, resample) = (element("decodebin")?, element("audioconvert")?, element("audioresample")?);
    chain(pipeline.upcast_ref(), &[source.upcast_ref(), &decoder])?;
    let parser = element(parser)?;
    chain(pipeline.upcast_ref(), &[&convert, &resample, &encoder, &parser])?;
    let into = convert.downgrade();
    decoder.connect_pad_added(move |_, pad| {
        if let Some(sink) = into.upgrade().and_then(|c| c.static_pad("sink")) {
            // A second pad of one stream of sound has nowhere to go.
            pad.link(&sink).ok();
        }
    });
    join(&parser, muxer, end)?;
    Ok(Some(format!("this container cannot hold {name} sound: it becomes {codec}")))
}

/// Whether the muxer takes sound of that kind.
///
/// The factory is asked, since webmmux of GStreamer 1.22 keeps its own templates without a reference of their own: looking
/// at one takes it away.
fn holds(muxer: &gst::Element, caps: &gst::Caps) -> bool {
    let templates = muxer.factory().map(|f| f.static_pad_templates()).unwrap_or_default();
    templates
        .iter()
        .any(|t| t.name_template() == "audio_%u" && t.caps().can_intersect(caps))
}

/// Links to the muxer, and lets nothing through that begins behind the end of the video.
fn join(last: &gst::Element, muxer: &gst::Element, end: EndMark) -> Result<()> {
    let pad = muxer.request_pad_simple("audio_%u").context("the container takes no more sound")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let begin = info.buffer().and_then(|b| b.pts()).map_or(0, gst::ClockTime::nseconds);
        if end.admits(begin) {
            gst::PadProbeReturn::Ok
        } else {
            gst::PadProbeReturn::Drop
        }
    });
    let source = last.static_pad("src").context("sound has a way out")?;
    source.link(&pad).context("the muxer does not take the sound")?;
    Ok(())
}

/// Gives packets whenever the muxer wants one; so none wait anywhere.
fn feed(caps: &gst::Caps, stream: PacketStream, trouble: &Trouble) -> AppSrc {
    let (mut packets, trouble) = (stream.packets, trouble.clone());
    let callbacks = AppSrcCallbacks::builder().need_data(move |source, _| match packets.next() {
        // Both are refused only where the pipeline is being stopped anyway.
        Some(Ok(packet)) => {
            source.push_buffer(buffer(packet)).ok();
        }
        ended => {
            if let Some(Err(error)) = ended {
                *trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            source.end_of_stream().ok();
        }
    });
    AppSrc::builder()
        .caps(caps)
        .format(gst::Format::Time)
        .callbacks(callbacks.build())
        .build()
}

fn buffer(packet: Packet) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(packet.bytes);
    let fresh = buffer.get_mut().expect("nobody else has the new buffer");
    fresh.set_pts(gst::ClockTime::from_nseconds(packet.pts_ns));
    fresh.set_duration(packet.duration_ns.map(gst::ClockTime::from_nseconds));
    buffer
}
