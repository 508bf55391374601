//! Compressed sound out of a file, untouched.
//!
//! It is read by a pipeline of its own, beside the one for the pictures: however slow the model and however far apart
//! sound and pictures lie in the file, neither ever waits for the other, and nothing piles up in memory.

use super::file::discard;
use super::inside::Sound;
use crate::frame::{EndMark, Packet, PacketStream};
use crate::media::{Event, Side, Watch, chain, codec_name, element, location};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use std::path::Path;
use std::time::Duration;

/// How long to wait for a packet before looking whether the pipeline failed.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// Packets read ahead.
const QUEUE_PACKETS: u32 = 32;
/// Times before the start by less than this are rounding.
const ROUNDING_NS: i64 = 50_000;

/// Opens a stream of a file for its packets from `start_ns` on; `None` where it has none.
///
/// # Errors
/// What keeps the file from being read.
pub(super) fn open(path: &Path, stream: &Sound, start_ns: u64, end: EndMark) -> Result<Option<PacketStream>> {
    let mut watch = Watch::new(Side::Reading(path.display().to_string()));
    let file = element("filesrc")?;
    file.set_property("location", location(path)?);
    let demuxer = element(&stream.demuxer)?;
    chain(watch.pipeline().upcast_ref(), &[&file, &demuxer])?;
    // Waiting at the end, it would keep a lock that a change of state needs.
    let sink = AppSink::builder()
        .wait_on_eos(false)
        .sync(false)
        .async_(false)
        .enable_last_sample(false)
        .max_buffers(QUEUE_PACKETS)
        .build();
    watch.pipeline().add(&sink).context("the sound's pipeline")?;
    let (wanted, target, pipeline) = (stream.id.clone(), sink.downgrade(), watch.pipeline().downgrade());
    demuxer.connect_pad_added(move |_, pad| {
        let (Some(target), Some(pipeline)) = (target.upgrade(), pipeline.upgrade()) else {
            return;
        };
        if pad.stream_id().is_some_and(|id| id == wanted) {
            // Where this fails, the demuxer says so on the bus.
            link(pad, &target, &pipeline).ok();
        } else {
            discard(pad, &pipeline);
        }
    });
    watch.play()?;
    let mut packets = Packets {
        watch,
        sink,
        end: end.clone(),
        ahead: None,
        last: None,
        ended: false,
    };
    let Some(mut first) = packets.pull()? else {
        return Ok(None);
    };
    if start_ns > 0 {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        drop(first);
        let start = gst::ClockTime::from_nseconds(start_ns);
        packets
            .watch
            .pipeline()
            .seek_simple(flags, start)
            .context("the file has no index")?;
        match packets.pull()? {
            Some(sample) => first = sample,
            None => return Ok(None),
        }
    }
    let caps = first.caps().context("a packet has no caps")?.to_string();
    packets.ahead = Some(first);
    Ok(Some(PacketStream {
        caps,
        packets: Box::new(packets),
        end,
    }))
}

/// Links a demuxer's pad to the sink, where necessary through a parser that finds the packets.
fn link(pad: &gst::Pad, sink: &AppSink, pipeline: &gst::Pipeline) -> Result<()> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let whole = caps
        .structure(0)
        .is_some_and(|s| s.get("framed") == Ok(true) || s.get("parsed") == Ok(true));
    let parser = match codec_name(&caps).as_str() {
        _ if whole => None,
        "aac" => Some("aacparse"),
        "mp3" => Some("mpegaudioparse"),
        "ac3" | "eac3" => Some("ac3parse"),
        "dts" => Some("dcaparse"),
        "flac" => Some("flacparse"),
        "vorbis" => Some("vorbisparse"),
        "opus" => Some("opusparse"),
        _ => None,
    };
    let last = sink.static_pad("sink").context("an appsink has a sink pad")?;
    let Some(parser) = parser else {
        pad.link(&last)?;
        return Ok(());
    };
    let parser = element(parser)?;
    pipeline.add(&parser)?;
    parser.link(sink)?;
    parser.sync_state_with_parent()?;
    pad.link(&parser.static_pad("sink").context("a parser has a sink pad")?)?;
    Ok(())
}

struct Packets {
    watch: Watch,
    sink: AppSink,
    end: EndMark,
    ahead: Option<gst::Sample>,
    /// Where the last packet ended.
    last: Option<u64>,
    ended: bool,
}

impl Packets {
    fn pull(&mut self) -> Result<Option<gst::Sample>> {
        loop {
            if let Some(sample) = self.sink.try_pull_sample(LOOK) {
                return Ok(Some(sample));
            }
            match self.watch.poll(Duration::ZERO) {
                Some(Event::Failed(error)) => return Err(error),
                Some(Event::End) => return Ok(None),
                None if self.sink.is_eos() => return Ok(None),
                None if self.watch.is_dead() => return Err(self.watch.dead()),
                None => {}
            }
        }
    }

    /// The packet of a sample; `None` for codec headers (the caps hold them) and for what lies before the start.
    fn packet(&mut self, sample: &gst::Sample) -> Result<Option<Packet>> {
        let buffer = sample.buffer().context("a sample without a buffer")?;
        let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
        let duration_ns = buffer.duration().map(gst::ClockTime::nseconds);
        let running = match (buffer.pts(), segment) {
            (Some(pts), Some(segment)) => segment.to_running_time_full(pts),
            _ => None,
        };
        let pts_ns = match running {
            Some(gst::Signed::Positive(time)) => time.nseconds(),
            Some(gst::Signed::Negative(time)) if (time.nseconds() as i64) < ROUNDING_NS => 0,
            Some(gst::Signed::Negative(_)) => return Ok(None),
            None if buffer.flags().contains(gst::BufferFlags::HEADER) => return Ok(None),
            None => match self.last {
                Some(last) => last,
                None => return Ok(None),
            },
        };
        self.last = Some(pts_ns + duration_ns.unwrap_or(0));
        let bytes = buffer.map_readable().context("a packet cannot be mapped")?.as_slice().to_vec();
        Ok(Some(Packet {
            pts_ns,
            duration_ns,
            bytes,
        }))
    }

    fn step(&mut self) -> Result<Option<Packet>> {
        loop {
            let sample = match self.ahead.take() {
                Some(sample) => Some(sample),
                None => self.pull()?,
            };
            let Some(sample) = sample else { return Ok(None) };
            if let Some(packet) = self.packet(&sample)? {
                return Ok(self.end.admits(packet.pts_ns).then_some(packet));
            }
        }
    }
}

impl Iterator for Packets {
    type Item = Result<Packet>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}
