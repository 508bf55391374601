//! Frames out of a running GStreamer pipeline, wherever its pictures come from.

use super::{Source, StopFlag};
use crate::error::{Kind, fault};
use crate::frame::{EndMark, Frame, VideoFormat};
use crate::media::{Event, GstPixels, Watch, chain, element, format_of};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use gstreamer_video::VideoInfo;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait for a frame before looking whether the pipeline failed or was asked to stop.
const LOOK: Duration = Duration::from_millis(50);
/// Frames that wait, decoded, until they are asked for.
const QUEUE_FRAMES: u32 = 3;
/// What containers say about their length is rounded, and sound may end a little later.
const TOLERANCE_NS: u64 = 1_000_000_000;
/// What stands for the rate where none is known.
const FALLBACK_RATE: (u32, u32) = (25, 1);

/// The end of every source pipeline: decoded video of any kind becomes upright I420 or NV12 of one size.
pub(super) struct Tail {
    pub(super) first: gst::Element,
    /// Decides the format.
    pub(super) filter: gst::Element,
    pub(super) sink: AppSink,
}

/// Adds a [`Tail`] to the pipeline of `watch`. A live one keeps only the newest frame.
///
/// # Errors
/// 78 where an element is missing.
pub(super) fn tail(watch: &Watch, live: bool) -> Result<Tail> {
    let convert = element("videoconvert")?;
    let upright = element("videoflip")?;
    upright.set_property_from_str("video-direction", "auto");
    let scale = element("videoscale")?;
    scale.set_property("add-borders", true);
    let filter = element("capsfilter")?;
    let planar = gst::Caps::builder("video/x-raw").field("format", gst::List::new(["I420", "NV12"]));
    filter.set_property("caps", planar.build());
    fix_format(&filter);
    let sink = AppSink::builder()
        .sync(false)
        .enable_last_sample(false)
        // It would keep a lock until everything is taken, which a change of state then waits for.
        .wait_on_eos(false)
        .max_buffers(if live { 1 } else { QUEUE_FRAMES })
        .drop(live)
        .build();
    chain(
        watch.pipeline().upcast_ref(),
        &[&convert, &upright, &scale, &filter, sink.upcast_ref()],
    )?;
    Ok(Tail {
        first: convert,
        filter,
        sink,
    })
}

/// Makes the format of the first picture the format of all: a stream that changes its size in the middle is scaled, since
/// no encoder and hardly a container follows such a change. (Before the first picture the format may still change: a file
/// tells after its size that it is to be turned.)
fn fix_format(filter: &gst::Element) {
    let pad = filter.static_pad("src").expect("a capsfilter has a source pad");
    let weak = filter.downgrade();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let caps = pad.current_caps();
        let (Some(filter), Some(found)) = (weak.upgrade(), caps.as_ref().and_then(|c| c.structure(0))) else {
            return gst::PadProbeReturn::Ok;
        };
        filter.set_property("caps", fixed_caps(found));
        gst::PadProbeReturn::Remove
    });
}

/// What all frames of a stream have in common: everything but their rate.
pub(super) fn fixed_caps(found: &gst::StructureRef) -> gst::Caps {
    let mut fixed = gst::Structure::new_empty("video/x-raw");
    for name in ["format", "width", "height", "pixel-aspect-ratio", "colorimetry"] {
        if let Ok(value) = found.value(name) {
            fixed.set_value(name, value.to_send_value());
        }
    }
    gst::Caps::from(fixed)
}

/// What a source may say about a failure that GStreamer cannot: given the number of frames so far, a better error.
pub(super) type Explain = Box<dyn Fn(u64) -> Option<anyhow::Error> + Send>;

/// Frames of a pipeline that ends in a [`Tail`].
pub(super) struct Stream {
    watch: Watch,
    sink: AppSink,
    info: VideoInfo,
    format: Arc<VideoFormat>,
    /// Read already, but not given: an appsink keeps hold of the buffer that it gave last, so that whoever writes into it
    /// at once would have to copy it.
    ahead: Option<gst::Sample>,
    /// What comes behind `ahead`.
    failure: Option<anyhow::Error>,
    ended: bool,
    index: u64,
    last_pts: Option<u64>,
    /// The longest time from one frame to the next.
    longest_ns: u64,
    /// When the last frame ended.
    end_ns: u64,
    promised_ns: Option<u64>,
    lost_ns: u64,
    /// Where the first frame of the whole input lies in it, if the start counts from there.
    begin_ns: u64,
    limit: u64,
    stop: StopFlag,
    end: EndMark,
    explain: Option<Explain>,
}

/// What a [`Stream`] is made with, once its pipeline is built.
pub(super) struct Setup<'a> {
    pub(super) watch: Watch,
    pub(super) sink: AppSink,
    pub(super) start_ns: u64,
    /// Asked once the first frame is there: whether the start counts from that frame and not from the clock of the container.
    pub(super) from_first: &'a dyn Fn() -> bool,
    pub(super) frames: Option<u64>,
    pub(super) stop: StopFlag,
    pub(super) end: EndMark,
    pub(super) explain: Option<Explain>,
    /// Asked while the first frame is waited for: whether none can come any more.
    pub(super) hopeless: &'a dyn Fn() -> Option<anyhow::Error>,
    /// Its name in errors.
    pub(super) name: &'a str,
}

impl Stream {
    /// Starts the pipeline and waits for the first frame at the asked time.
    ///
    /// # Errors
    /// What keeps it from coming.
    pub(super) fn start(mut setup: Setup) -> Result<Self> {
        setup.watch.play()?;
        let mut first = first_sample(&mut setup)?;
        let begin_ns = if (setup.from_first)() {
            position_ns(&first).unwrap_or(0)
        } else {
            0
        };
        if setup.start_ns > 0 {
            let start = gst::ClockTime::from_nseconds(setup.start_ns + begin_ns);
            let duration = setup.watch.pipeline().query_duration::<gst::ClockTime>();
            if let Some(duration) = duration.filter(|&d| d <= start) {
                let (asked, end) = (gst::ClockTime::from_nseconds(setup.start_ns), duration);
                let text = format!("{}: the start at {asked:.3} lies behind its end at {end:.3}", setup.name);
                return Err(fault(Kind::Usage, text));
            }
            drop(first);
            let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
            if setup.watch.pipeline().seek_simple(flags, start).is_err() {
                let text = format!(
                    "{} cannot be entered at {start:.3}: it has no index; leave the start out",
                    setup.name
                );
                return Err(fault(Kind::BadInput, text));
            }
            first = first_sample(&mut setup)?;
        }
        let info = VideoInfo::from_caps(first.caps().context("decoded video has no caps")?)?;
        let format = Arc::new(format_of(&info)?);
        Ok(Self {
            watch: setup.watch,
            sink: setup.sink,
            info,
            format,
            ahead: Some(first),
            failure: None,
            ended: false,
            index: 0,
            last_pts: None,
            longest_ns: 0,
            end_ns: 0,
            promised_ns: None,
            lost_ns: 0,
            begin_ns,
            limit: setup.frames.unwrap_or(u64::MAX),
            stop: setup.stop,
            end: setup.end,
            explain: setup.explain,
        })
    }

    pub(super) fn format(&self) -> &Arc<VideoFormat> {
        &self.format
    }

    /// Where the first frame of the whole input lies in it, if the start counts from there; else 0.
    pub(super) fn begin_ns(&self) -> u64 {
        self.begin_ns
    }

    /// From now on, an end before this time from the start of the output counts as a loss.
    pub(super) fn promise(&mut self, promised_ns: Option<u64>) {
        self.promised_ns = promised_ns;
    }

    /// How much is missing at the end of the stream. The last frame may last as long as any before it did.
    fn lost(&self) -> u64 {
        let missing = self.promised_ns.unwrap_or(0).saturating_sub(self.end_ns);
        if missing > TOLERANCE_NS + self.longest_ns { missing } else { 0 }
    }

    /// How long the whole input lasts, where its container tells.
    pub(super) fn duration_ns(&self) -> Option<u64> {
        self.watch
            .pipeline()
            .query_duration::<gst::ClockTime>()
            .map(gst::ClockTime::nseconds)
    }

    /// The next sample, waiting for it; `None` at the end of the stream or when it was asked to stop.
    fn pull(&mut self) -> Result<Option<gst::Sample>> {
        loop {
            if self.stop.requested() {
                return Ok(None);
            }
            let wait = gst::ClockTime::from_nseconds(LOOK.as_nanos() as u64);
            if let Some(sample) = self.sink.try_pull_sample(wait) {
                return Ok(Some(sample));
            }
            if let Some(Event::Failed(error)) = self.watch.poll(Duration::ZERO) {
                return Err(error);
            }
            if self.sink.is_eos() {
                return Ok(None);
            }
            if self.watch.is_dead() {
                return Err(self.watch.dead());
            }
        }
    }

    /// Cuts every stream off behind the last frame.
    fn cut(&mut self, next_ns: Option<u64>) {
        self.ended = true;
        let (n, d) = self.format.rate.unwrap_or(FALLBACK_RATE);
        let after = self.last_pts.map_or(0, |p| p + 1_000_000_000 * u64::from(d) / u64::from(n));
        self.end.set(next_ns.unwrap_or(after));
    }

    /// Time of a sample from the start of the output, and how long it is shown.
    fn times(&self, sample: &gst::Sample) -> (u64, Option<u64>) {
        let buffer = sample.buffer();
        let (n, d) = self.format.rate.unwrap_or(FALLBACK_RATE);
        let guess = || self.last_pts.map_or(0, |p| p + 1_000_000_000 * u64::from(d) / u64::from(n));
        let pts_ns = running_ns(sample).unwrap_or_else(guess);
        // Two pictures at one time are a defect of the file; an encoder refuses them.
        let pts_ns = self.last_pts.map_or(pts_ns, |last| pts_ns.max(last + 1));
        // Where the rate varies, decoders say one nanosecond; the time since the frame before is a better guess.
        let duration = buffer
            .and_then(|b| b.duration())
            .map(gst::ClockTime::nseconds)
            .filter(|d| *d > 1000);
        (pts_ns, duration.or_else(|| self.last_pts.map(|last| pts_ns - last)))
    }

    fn frame(&mut self, sample: gst::Sample) -> Result<Frame> {
        let (pts_ns, duration_ns) = self.times(&sample);
        let buffer = sample.buffer_owned().context("a sample without a buffer")?;
        drop(sample);
        let frame = Frame {
            index: self.index,
            pts_ns,
            duration_ns,
            format: self.format.clone(),
            pixels: Box::new(GstPixels::map(buffer, &self.info)?),
            arrived: Instant::now(),
        };
        self.index += 1;
        self.longest_ns = self.longest_ns.max(pts_ns - self.last_pts.unwrap_or(pts_ns));
        self.end_ns = pts_ns + duration_ns.unwrap_or(0);
        self.last_pts = Some(pts_ns);
        Ok(frame)
    }

    fn step(&mut self) -> Result<Option<Frame>> {
        if self.stop.requested() || self.index == self.limit {
            let next = self.ahead.take().map(|s| self.times(&s).0);
            self.cut(next);
            return Ok(None);
        }
        let now = match (self.ahead.take(), self.failure.take()) {
            (Some(sample), failure) => {
                self.failure = failure;
                Some(sample)
            }
            (None, Some(failure)) => return Err(failure),
            (None, None) => self.pull()?,
        };
        let Some(now) = now else {
            if self.stop.requested() {
                self.cut(None);
            }
            self.ended = true;
            self.lost_ns = if self.stop.requested() { 0 } else { self.lost() };
            return match self.explain.as_ref().and_then(|explain| explain(self.index)) {
                Some(error) if !self.stop.requested() => Err(error),
                _ => Ok(None),
            };
        };
        if self.failure.is_none() {
            // A failure behind a good frame is told at the next call.
            match self.pull() {
                Ok(next) => self.ahead = next,
                Err(error) => self.failure = Some(error),
            }
        }
        self.frame(now).map(Some)
    }
}

impl Source for Stream {
    fn next(&mut self) -> Result<Option<Frame>> {
        if self.ended {
            return Ok(None);
        }
        self.step().inspect_err(|_| self.cut(None)).map_err(|error| {
            let better = self.explain.as_ref().and_then(|explain| explain(self.index));
            better.unwrap_or(error)
        })
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn lost_ns(&self) -> u64 {
        self.lost_ns
    }
}

/// When a sample is shown, from the start of the output.
pub(super) fn running_ns(sample: &gst::Sample) -> Option<u64> {
    let pts = sample.buffer()?.pts()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    // A picture that began before the segment is shown from the segment's beginning.
    let shown = segment.to_running_time(pts.max(segment.start().unwrap_or(pts)))?;
    Some(shown.nseconds())
}

/// Where a sample lies in its input, as a seek counts.
fn position_ns(sample: &gst::Sample) -> Option<u64> {
    let pts = sample.buffer()?.pts()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_stream_time(pts).map(gst::ClockTime::nseconds)
}

/// Waits for a frame of a pipeline that has just begun to play.
fn first_sample(setup: &mut Setup) -> Result<gst::Sample> {
    loop {
        let wait = gst::ClockTime::from_nseconds(LOOK.as_nanos() as u64);
        if let Some(sample) = setup.sink.try_pull_sample(wait) {
            return Ok(sample);
        }
        let failure = match setup.watch.poll(Duration::ZERO) {
            Some(Event::Failed(error)) => Some(error),
            _ if setup.watch.is_dead() && !setup.sink.is_eos() => Some(setup.watch.dead()),
            _ => None,
        };
        if let Some(error) = failure {
            let missing = setup.watch.missing_decoder();
            let explained = setup.explain.as_ref().and_then(|explain| explain(0));
            return Err(missing.or(explained).unwrap_or(error));
        }
        if let Some(error) = (setup.hopeless)() {
            return Err(setup.watch.missing_decoder().unwrap_or(error));
        }
        if setup.sink.is_eos() {
            let explained = setup.explain.as_ref().and_then(|explain| explain(0));
            return Err(explained.unwrap_or_else(|| {
                let text = format!("{} has no picture in its video stream: wanted a video with frames", setup.name);
                fault(Kind::BadInput, text)
            }));
        }
        if setup.stop.requested() {
            return Err(fault(Kind::Interrupted, format!("{}: stopped before its first frame", setup.name)));
        }
    }
}
