//! Units on their way through a muxer into a file or to a receiver.

use super::Unit;
use crate::error::{Kind, fault};
use crate::media::{Event, Side, Watch, init};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use std::time::{Duration, Instant};

/// Units that wait for the muxer.
const QUEUE: u64 = 30;
/// Time between looks whether it has taken one.
const LOOK: Duration = Duration::from_millis(5);
/// Units that parser, muxer and sink may hold.
const BETWEEN: u64 = 10;
/// How long it may take for one, or for the end.
const PATIENCE: Duration = Duration::from_secs(4);

/// A pipeline that takes units.
#[derive(Debug)]
pub(super) struct Pipe {
    source: AppSrc,
    caps: gst::Caps,
    zero_ns: u64,
    first_ns: u64,
    last_ns: u64,
    bytes: u64,
    units: u64,
    watch: Watch,
}

impl Pipe {
    /// A pipeline for units like the first one, which is still to be written; times count from `zero_ns`. `build` adds what
    /// they go through and gives the pad that takes them.
    ///
    /// # Errors
    /// Those of `build`, and what the pipeline says when it starts.
    pub fn new(side: Side, first: &Unit, zero_ns: u64, build: impl FnOnce(&gst::Bin) -> Result<gst::Pad>) -> Result<Self> {
        init()?;
        let source = AppSrc::builder().caps(&first.caps).format(gst::Format::Time).build();
        let mut watch = Watch::new(side);
        let pipeline = watch.pipeline().upcast_ref();
        let pad = build(pipeline)?;
        pipeline.add(&source).context("GStreamer elements cannot be added")?;
        let units = source.static_pad("src").context("a source has a source pad")?;
        units.link(&pad).context("the muxer does not take the video")?;
        watch.play()?;
        Ok(Self {
            source,
            caps: first.caps.clone(),
            zero_ns,
            first_ns: first.pts_ns,
            last_ns: first.pts_ns,
            bytes: 0,
            units: 0,
            watch,
        })
    }

    /// Whether this unit can follow: it is of the same size.
    pub fn takes(&self, unit: &Unit) -> bool {
        self.caps == unit.caps
    }

    /// From the first unit to this one.
    pub fn span_to(&self, unit: &Unit) -> Duration {
        Duration::from_nanos(unit.pts_ns - self.first_ns)
    }

    /// From the first unit to the last.
    pub fn span(&self) -> Duration {
        Duration::from_nanos(self.last_ns - self.first_ns)
    }

    /// Of all units; what the muxer makes of them has some more.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether all units went through. A sink that waits for its connection stops them, behind the few that lie in between.
    pub fn flows(&self) -> bool {
        self.units > BETWEEN && self.source.current_level_buffers() == 0
    }

    /// Writes one unit behind the others; gives the time from the one before.
    ///
    /// # Errors
    /// What the pipeline says, or 74 where nothing is taken for four seconds.
    pub fn write(&mut self, unit: &Unit) -> Result<Duration> {
        let mut buffer = unit.buffer.clone();
        let time = gst::ClockTime::from_nseconds(unit.pts_ns - self.zero_ns);
        let own = buffer.make_mut();
        own.set_pts(time);
        own.set_dts(time);
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.check()?;
            if self.source.current_level_buffers() < QUEUE {
                break;
            }
            if Instant::now() > deadline {
                return Err(hangs());
            }
            std::thread::sleep(LOOK);
        }
        self.bytes += buffer.size() as u64;
        self.units += 1;
        // Refused only after a failure, which the next look finds.
        self.source.push_buffer(buffer).ok();
        let before_ns = std::mem::replace(&mut self.last_ns, unit.pts_ns);
        Ok(Duration::from_nanos(unit.pts_ns - before_ns))
    }

    /// # Errors
    /// If the pipeline has failed.
    pub fn check(&mut self) -> Result<()> {
        match self.watch.poll(Duration::ZERO) {
            Some(Event::Failed(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes everything to its end.
    ///
    /// # Errors
    /// What the pipeline says, or 74 where it takes longer than four seconds.
    pub fn finish(&mut self) -> Result<()> {
        self.source.end_of_stream().ok();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.watch.poll(10 * LOOK) {
                Some(Event::End) => break,
                Some(Event::Failed(error)) => return Err(error),
                None if Instant::now() > deadline => return Err(hangs()),
                None => {}
            }
        }
        let stopped = self.watch.pipeline().set_state(gst::State::Null);
        stopped.context("the pipeline cannot be stopped").map(drop)
    }
}

fn hangs() -> anyhow::Error {
    fault(Kind::Io, format!("nothing is taken for {} s", PATIENCE.as_secs()))
}
