//! One H.264 encoder: a picture in, its access unit out, before the next one is asked for.

use super::CoderOptions;
use crate::error::{Kind, fault};
use crate::frame::VideoFormat;
use crate::media::{Event, Picture, Side, Watch, chain, element, info_of, init};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::{UpstreamForceKeyUnitEvent, VideoInfo};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between looks at what went wrong while a unit is waited for.
const LOOK: Duration = Duration::from_millis(50);
/// How long one picture may take. It takes milliseconds, but the machine may be suspended or overloaded.
const PATIENCE: Duration = Duration::from_secs(10);

/// One access unit as it left the encoder.
pub(super) struct Encoded {
    /// The unit; PTS and DTS are the same.
    pub buffer: gst::Buffer,
    pub caps: gst::Caps,
    pub keyframe: bool,
}

/// Encodes pictures of one format.
pub(super) struct Encoder {
    format: Arc<VideoFormat>,
    coded: VideoInfo,
    source: AppSrc,
    coder: gst::Pad,
    sink: AppSink,
    /// A picture has gone in.
    begun: bool,
    watch: Watch,
}

impl Encoder {
    /// An encoder for pictures of that format. Odd sizes become even: the last row or column is there twice.
    ///
    /// The units are a byte stream with the parameter sets before every keyframe, so that each keyframe is a beginning for
    /// whoever joins. MPEG-TS and RTP take that as it is; what wants `avc` (MP4, FLV) puts a parser in front of its muxer,
    /// which copies a few bytes. The other way round the parameter sets would live in caps that a late taker has to be told.
    ///
    /// # Errors
    /// 78 where an element is missing, 70 where it does not start.
    pub fn new(format: &Arc<VideoFormat>, options: &CoderOptions) -> Result<Self> {
        init()?;
        let even = VideoFormat {
            width: format.width.next_multiple_of(2),
            height: format.height.next_multiple_of(2),
            ..(**format).clone()
        };
        let coded = info_of(&even)?;
        let source = AppSrc::builder()
            .caps(&coded.to_caps().context("the video's format")?)
            .format(gst::Format::Time)
            .is_live(true)
            .build();
        let coder = x264(format.height, options)?;
        // What every browser and player takes.
        let caps = gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .field("profile", "constrained-baseline")
            .build();
        let sink = AppSink::builder().caps(&caps).sync(false).build();
        let mut watch = Watch::new(Side::Writing(options.name.clone()));
        chain(watch.pipeline().upcast_ref(), &[source.upcast_ref(), &coder, sink.upcast_ref()])?;
        watch.play()?;
        Ok(Self {
            format: format.clone(),
            coded,
            source,
            coder: coder.static_pad("src").context("an encoder has a source pad")?,
            sink,
            begun: false,
            watch,
        })
    }

    /// What it takes.
    pub fn format(&self) -> &Arc<VideoFormat> {
        &self.format
    }

    /// Encodes one picture; times must grow.
    ///
    /// # Errors
    /// What the encoder says, or 70 where it gives nothing for ten seconds.
    pub fn encode(&mut self, picture: &Picture, pts_ns: u64, keyframe: bool) -> Result<Encoded> {
        let pts = gst::ClockTime::from_nseconds(pts_ns);
        // The first is one by itself; GStreamer 1.22 counts a request for it as one in 1000 hours and refuses all others till then.
        if keyframe && self.begun {
            let event = UpstreamForceKeyUnitEvent::builder().running_time(pts).all_headers(true);
            self.coder.send_event(event.build());
        }
        self.begun = true;
        // Refused only after a failure, which is found below.
        self.source.push_buffer(picture.coded(&self.coded, pts_ns)?).ok();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let wait = gst::ClockTime::from_nseconds(LOOK.as_nanos() as u64);
            if let Some(sample) = self.sink.try_pull_sample(wait) {
                return encoded(&sample, pts);
            }
            if let Some(Event::Failed(error)) = self.watch.poll(Duration::ZERO) {
                return Err(error);
            }
        }
        Err(fault(
            Kind::Internal,
            format!("the encoder gave nothing for {} s", PATIENCE.as_secs()),
        ))
    }
}

/// The unit in a sample, which must be that of the picture with these times.
fn encoded(sample: &gst::Sample, pts: gst::ClockTime) -> Result<Encoded> {
    let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
    let mut buffer = sample.buffer_owned().context("a sample has a buffer")?;
    // x264enc counts from 1000 hours on, so that no time can be negative.
    let time = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
    if time != Some(pts) {
        return Err(fault(Kind::Internal, format!("the encoder gave a unit of {time:?}, wanted {pts}")));
    }
    let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let own = buffer.make_mut();
    own.set_pts(pts);
    own.set_dts(pts);
    own.set_duration(gst::ClockTime::NONE);
    let caps = sample.caps_owned().context("a sample has caps")?;
    Ok(Encoded { buffer, caps, keyframe })
}

fn x264(height: u32, options: &CoderOptions) -> Result<gst::Element> {
    let coder = element("x264enc")?;
    coder.set_property_from_str("tune", "zerolatency");
    coder.set_property_from_str("speed-preset", options.speed.name());
    coder.set_property_from_str("pass", "qual");
    coder.set_property("quantizer", options.quality.min(50));
    match options.kbps {
        Some(kbps) => {
            coder.set_property("bitrate", kbps);
            coder.set_property("vbv-buf-capacity", VBV_MS);
        }
        None => coder.set_property("vbv-buf-capacity", 0_u32),
    }
    coder.set_property("threads", options.threads.unwrap_or_else(|| threads(height)) as u32);
    // Keyframes come when they are asked for: once a second of time whatever the rate is, and where something begins.
    coder.set_property("key-int-max", i32::MAX as u32);
    coder.set_property("option-string", "bframes=0:scenecut=0");
    Ok(coder)
}

/// What a receiver may have to buffer at the highest rate.
const VBV_MS: u32 = 1000;

/// Without any delay, threads can only cut a picture in slices, which costs bits; one does 720 lines in real time.
fn threads(height: u32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    (height as usize).div_ceil(720).clamp(1, cores)
}
