//! Shows the frames of a stream, and holds the last one up while none comes.

use super::{Screen, Shown};
use crate::frame::{ClassMap, Frame};
use crate::media::Picture;
use crate::overlay::Sign;
use crate::stats::pulse::{Pulse, ShownFrame};
use anyhow::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is written over the last good frame while none comes.
const LOST: &str = "SIGNAL LOST";

/// Shows what a stream gives, run after run: times grow over all of them, and an outage takes as long as it took.
#[derive(Debug)]
pub(crate) struct Publisher {
    screen: Arc<Screen>,
    pulse: Arc<Pulse>,
    line: Mutex<Line>,
}

/// The line of time.
#[derive(Debug, Default)]
struct Line {
    /// Number of the next frame of the source, over all runs.
    frame: u64,
    /// Number of the next picture.
    index: u64,
    last: Option<Last>,
    /// What is added to the times of this run; `None` until its first frame.
    shift_ns: Option<i128>,
    /// The last good frame with the sign, made when it is first held up.
    held: Option<Picture>,
}

#[derive(Debug)]
struct Last {
    pts_ns: u64,
    at: Instant,
    /// The last good frame.
    masked: Picture,
}

/// A frame that has gone through all stages.
pub(crate) struct Finished {
    /// With its classes drawn over it.
    pub masked: Frame,
    /// As it came, if somebody wants that.
    pub raw: Option<Frame>,
    pub map: ClassMap,
    /// How long the net took; zero where the map was carried.
    pub inference: Duration,
}

impl Publisher {
    pub fn new(screen: Arc<Screen>, pulse: Arc<Pulse>) -> Self {
        Self {
            screen,
            pulse,
            line: Mutex::default(),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether frames as they came shall be kept.
    pub fn is_raw_wanted(&self) -> bool {
        self.screen.is_raw_wanted()
    }

    /// The source begins anew, and its times with it.
    pub fn begin(&self) {
        self.line().shift_ns = None;
    }

    /// Gives a frame that has just come its number and its time in the stream: both go on over all runs.
    pub fn stamp(&self, frame: &mut Frame) {
        let mut line = self.line();
        let due_ns = line.due_ns(Instant::now());
        let shift_ns = *line.shift_ns.get_or_insert(i128::from(due_ns) - i128::from(frame.pts_ns));
        frame.pts_ns = u64::try_from(i128::from(frame.pts_ns) + shift_ns).unwrap_or(0);
        frame.index = line.frame;
        line.frame += 1;
    }

    /// Shows a frame.
    ///
    /// # Errors
    /// 70 where memory cannot be had or mapped.
    pub fn show(&self, frame: Finished) -> Result<()> {
        let (told_ns, arrived) = (frame.masked.pts_ns, frame.masked.arrived);
        let masked = Picture::of(frame.masked)?;
        let raw = frame.raw.map(Picture::of).transpose()?;
        let mut line = self.line();
        let now = Instant::now();
        let least_ns = line.last.as_ref().map_or(0, |last| last.pts_ns + 1);
        let pts_ns = told_ns.max(least_ns);
        line.held = None;
        line.last = Some(Last {
            pts_ns,
            at: now,
            masked: masked.clone(),
        });
        // Told under the lock, so that subscribers get frames in order.
        self.screen.hub.give(&Shown {
            index: line.next(),
            pts_ns,
            arrived,
            masked,
            raw,
            map: Some(Arc::new(frame.map)),
            filler: false,
        });
        drop(line);
        self.pulse.shown(ShownFrame {
            pts_ns,
            arrived,
            inference: frame.inference,
        });
        Ok(())
    }

    /// Shows the last good frame once more, with the sign that the signal is lost, unless there was none yet. `since` is said
    /// with it.
    ///
    /// # Errors
    /// 70 where memory cannot be had, or the sign not be drawn.
    pub fn hold(&self, since: &str) -> Result<()> {
        let mut line = self.line();
        let now = Instant::now();
        let (pts_ns, Some(last)) = (line.due_ns(now), &line.last) else {
            return Ok(());
        };
        let held = match &line.held {
            Some(held) => held.clone(),
            None => {
                let mut frame = last.masked.to_frame()?;
                Sign::new(&frame.format, &format!("{LOST} since {since}"))?.draw(&mut frame);
                Picture::of(frame)?
            }
        };
        let pts_ns = pts_ns.max(last.pts_ns + 1);
        let last = Last {
            pts_ns,
            at: now,
            masked: last.masked.clone(),
        };
        (line.held, line.last) = (Some(held.clone()), Some(last));
        self.screen.hub.give(&Shown {
            index: line.next(),
            pts_ns,
            arrived: now,
            masked: held,
            raw: None,
            map: None,
            filler: true,
        });
        drop(line);
        self.pulse.filled();
        Ok(())
    }

    /// Nothing will be shown any more.
    pub fn end(&self) {
        self.screen.hub.end();
    }
}

impl Line {
    /// The time of a picture that is shown now, by the clock.
    fn due_ns(&self, now: Instant) -> u64 {
        self.last
            .as_ref()
            .map_or(0, |last| last.pts_ns + now.saturating_duration_since(last.at).as_nanos() as u64)
    }

    fn next(&mut self) -> u64 {
        self.index += 1;
        self.index - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::OwnedPixels;
    use crate::publish::Next;
    use crate::source::State;
    use crate::testing::plain;

    fn finished(publisher: &Publisher, pts_ns: u64) -> Finished {
        let format = Arc::new(plain(64, 48));
        let mut masked = Frame {
            index: 0,
            pts_ns,
            duration_ns: None,
            pixels: Box::new(OwnedPixels::black(&format, 1)),
            format,
            arrived: Instant::now(),
        };
        publisher.stamp(&mut masked);
        Finished {
            masked,
            raw: None,
            map: ClassMap {
                width: 1,
                height: 1,
                ids: vec![0],
            },
            inference: Duration::from_millis(1),
        }
    }

    #[test]
    fn times_grow_over_frames_filler_and_new_beginnings_and_filler_is_told_apart() {
        crate::media::init().unwrap();
        let (screen, pulse) = (Arc::<Screen>::default(), Arc::<Pulse>::default());
        let taker = screen.hub.subscribe(16);
        let publisher = Publisher::new(screen, pulse.clone());
        publisher.hold("now").unwrap();
        publisher.show(finished(&publisher, 7_000)).unwrap();
        publisher.show(finished(&publisher, 40_007_000)).unwrap();
        pulse.enter(State::Lost, "gone");
        publisher.hold("12:00:00").unwrap();
        publisher.hold("12:00:00").unwrap();
        publisher.begin();
        publisher.show(finished(&publisher, 0)).unwrap();
        publisher.show(finished(&publisher, 33_000_000)).unwrap();
        publisher.end();
        let mut all = Vec::new();
        while let Next::Item(shown) = taker.next(Duration::ZERO) {
            all.push(shown);
        }
        let filler: Vec<_> = all.iter().map(|s| s.filler).collect();
        assert_eq!(filler, [false, false, true, true, false, false]);
        assert!(all.is_sorted_by(|a, b| a.pts_ns < b.pts_ns && a.index + 1 == b.index));
        assert_eq!((all[0].pts_ns, all[1].pts_ns), (0, 40_000_000));
        assert_eq!(all[5].pts_ns - all[4].pts_ns, 33_000_000);
        assert!(all[2].map.is_none() && all[2].raw.is_none());
        let bright = |shown: &Shown| shown.masked.map().unwrap().plane(0).0.iter().filter(|y| **y > 200).count();
        assert_eq!(bright(&all[1]), 0);
        assert!(bright(&all[2]) > 20, "the sign is in the picture");
        assert_eq!(bright(&all[4]), 0);
        let counts = pulse.vitals().frames;
        assert_eq!((counts.shown, counts.filler), (4, 2));
    }
}
