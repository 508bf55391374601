//! H.264 of a coder inside a pipeline that somebody else runs: what RTSP and WebRTC begin with.

use super::{Coder, Next, Subscription, Unit};
use crate::media::element;
use anyhow::Result;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSrc, AppSrcCallbacks};
use gstreamer_video::ForceKeyUnitEvent;
use std::sync::Arc;
use std::time::Duration;

/// Units that wait for the network; one that is slower loses up to the next keyframe.
const UNITS: usize = 50;
/// How long a unit is waited for before looking whether the pipeline is being stopped.
const LOOK: Duration = Duration::from_millis(100);
/// A unit that waited so much longer than others did is not sent any more.
const OLD: Duration = Duration::from_secs(1);
/// A stream whose clock is off by so much is put where it belongs.
const OFF_NS: u64 = 1_000_000_000;
/// The step of RTP's clock, which no two units may share.
const TICK_NS: u64 = 11_112;

/// A source of the units of `coder`, by the clock of the pipeline it is in. It takes them only while that pipeline runs, asks
/// for a keyframe where a receiver does, and ends with the stream.
pub(super) fn source(coder: &Arc<Coder>) -> AppSrc {
    let (taken, asked) = (coder.clone(), coder.clone());
    let mut taking: Option<Taking> = None;
    let callbacks = AppSrcCallbacks::builder().need_data(move |source, _| {
        let current = taking.get_or_insert_with(|| Taking::new(&taken));
        // Without a unit the source would never ask again.
        loop {
            match current.next() {
                Next::Item(unit) => return current.push(source, &unit),
                Next::End => {
                    // Refused only where the pipeline is being stopped.
                    source.end_of_stream().ok();
                    return;
                }
                Next::Nothing if is_stopping(source) => break,
                Next::Nothing => {}
            }
        }
        taking = None;
    });
    let source = AppSrc::builder()
        .format(gst::Format::Time)
        .is_live(true)
        .callbacks(callbacks.build())
        .build();
    let pad = source.static_pad("src").expect("a source has a source pad");
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if info.event().is_some_and(|event| ForceKeyUnitEvent::is(event)) {
            asked.want_keyframe();
        }
        gst::PadProbeReturn::Ok
    });
    source
}

/// Cuts H.264 into RTP packets of this payload type, each with what a decoder needs to begin at the next keyframe.
///
/// # Errors
/// 78 where a GStreamer plugin is missing.
pub(super) fn payloader(payload: u32) -> Result<gst::Element> {
    let payloader = element("rtph264pay")?;
    payloader.set_property("pt", payload);
    payloader.set_property("config-interval", -1_i32);
    payloader.set_property_from_str("aggregate-mode", "zero-latency");
    // Leaves room for what encryption and tunnels add.
    payloader.set_property("mtu", 1200_u32);
    Ok(payloader)
}

fn is_stopping(source: &AppSrc) -> bool {
    let pad = source.static_pad("src");
    pad.is_none_or(|pad| pad.pad_flags().contains(gst::PadFlags::FLUSHING))
}

struct Taking {
    coder: Arc<Coder>,
    units: Subscription<Unit>,
    freshness: Freshness,
    timeline: Timeline,
}

impl Taking {
    fn new(coder: &Arc<Coder>) -> Self {
        Self {
            coder: coder.clone(),
            units: coder.subscribe(UNITS),
            freshness: Freshness::default(),
            timeline: Timeline::default(),
        }
    }

    /// The next unit that is worth sending.
    fn next(&mut self) -> Next<Unit> {
        let (next, waited) = match self.units.next(Duration::ZERO) {
            Next::Nothing => (self.units.next(LOOK), true),
            next => (next, false),
        };
        let Next::Item(unit) = next else { return next };
        let had_gap = self.freshness.gap;
        if self.freshness.admits(unit.arrived.elapsed(), unit.keyframe, waited) {
            return Next::Item(unit);
        }
        if !had_gap {
            self.coder.want_keyframe();
        }
        Next::Nothing
    }

    fn push(&mut self, source: &AppSrc, unit: &Unit) {
        let now = source.current_running_time().map_or(0, |time| time.nseconds());
        let mut buffer = unit.buffer.clone();
        let own = buffer.make_mut();
        let pts = gst::ClockTime::from_nseconds(self.timeline.place(unit.pts_ns, now));
        own.set_pts(pts);
        own.set_dts(pts);
        if source.caps().as_ref() != Some(&unit.caps) {
            source.set_caps(Some(&unit.caps));
        }
        // Refused only where the pipeline is being stopped.
        source.push_buffer(buffer).ok();
    }
}

/// Leaves out what a slow receiver would see too late, up to the next keyframe.
#[derive(Default)]
struct Freshness {
    /// How old the last unit was that did not wait here.
    usual: Duration,
    gap: bool,
}

impl Freshness {
    /// Whether a unit is sent; `fresh` is one that was waited for.
    fn admits(&mut self, age: Duration, keyframe: bool, fresh: bool) -> bool {
        if fresh {
            self.usual = age;
        }
        if age > self.usual + OLD {
            self.gap = true;
        } else if keyframe {
            self.gap = false;
        }
        !self.gap
    }
}

/// Puts the times of a stream where they are by another clock, without a jump unless the clocks are far apart.
#[derive(Default)]
struct Timeline {
    /// What is added to the stream's times.
    offset_ns: Option<i64>,
    last_ns: Option<u64>,
}

impl Timeline {
    /// Where a unit of the stream's time `pts_ns` belongs that came at `now_ns`: never before the one before it, and not in the
    /// future, which would have to be waited for.
    fn place(&mut self, pts_ns: u64, now_ns: u64) -> u64 {
        let fresh = now_ns as i64 - pts_ns as i64;
        let late = |offset: i64| fresh - offset > OFF_NS as i64;
        let offset = match self.offset_ns {
            Some(offset) if !late(offset) => offset.min(fresh),
            _ => fresh,
        };
        self.offset_ns = Some(offset);
        let earliest = self.last_ns.map_or(0, |last| last + TICK_NS);
        let placed = u64::try_from(pts_ns as i64 + offset).unwrap_or(0).max(earliest);
        self.last_ns = Some(placed);
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_distances_whatever_the_delay_and_never_lie_in_the_future() {
        const MS: u64 = 1_000_000;
        let mut timeline = Timeline::default();
        // The first came 30 ms late, the others less, one of them very late.
        let arrivals = [(5000, 130), (5040, 140), (5080, 185), (5120, 600), (5160, 601)];
        let placed = arrivals.map(|(pts, now)| timeline.place(pts * MS, now * MS) / MS);
        assert_eq!(placed, [130, 140, 180, 220, 260]);
    }

    #[test]
    fn what_waited_too_long_is_left_out_up_to_the_next_fresh_keyframe() {
        let mut freshness = Freshness::default();
        // Milliseconds, keyframe, whether it was waited for, whether it is sent.
        for (age, keyframe, fresh, wanted) in [
            (2000, true, true, true),
            (2900, false, false, true),
            (3100, false, false, false),
            (2100, false, false, false),
            (3200, true, false, false),
            (2000, true, false, true),
            (2000, false, false, true),
            // A net that became slower makes nothing old.
            (5000, false, true, true),
            (5500, false, false, true),
        ] {
            assert_eq!(freshness.admits(Duration::from_millis(age), keyframe, fresh), wanted, "{age}");
        }
    }

    #[test]
    fn a_clock_that_runs_away_is_followed_and_time_never_goes_back() {
        let mut timeline = Timeline::default();
        let second = 1_000_000_000;
        assert_eq!(timeline.place(0, 10 * second), 10 * second);
        assert_eq!(timeline.place(second, 13 * second), 13 * second, "three seconds late");
        let next = timeline.place(2 * second, 12 * second);
        assert_eq!(next, 13 * second + TICK_NS);
    }
}
