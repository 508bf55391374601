//! H.264 of a stream, encoded once however many outputs take it, and only while one does.

use super::backoff::Backoff;
use super::encoder::{Encoded, Encoder};
use super::{Hub, Next, Screen, Shown, Subscription, View};
use crate::sink::Speed;
use anyhow::Result;
use gstreamer as gst;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Pictures that wait for the encoder.
const PICTURES: usize = 2;
/// Time between looks whether somebody still takes.
const LOOK: Duration = Duration::from_millis(200);
/// From one keyframe to the next at most.
const KEYFRAME_NS: u64 = 1_000_000_000;

/// How to encode.
#[derive(Debug, Clone)]
pub(crate) struct CoderOptions {
    /// The stream's name, for messages.
    pub name: String,
    pub speed: Speed,
    /// Constant quality, 0 (best) to 51; x264's crf.
    pub quality: u32,
    /// Ceiling in kilobits a second over one second; none without it.
    pub kbps: Option<u32>,
    /// Threads; without a number, one for every 720 lines.
    pub threads: Option<usize>,
    /// An RGB colour for every id, for [`View::Classes`]; it may change while pictures come.
    pub palette: Arc<Mutex<[[u8; 3]; 256]>>,
}

impl Default for CoderOptions {
    fn default() -> Self {
        Self {
            name: "stream".into(),
            speed: Speed::default(),
            quality: 23,
            kbps: None,
            threads: None,
            palette: Arc::new(Mutex::new([[0; 3]; 256])),
        }
    }
}

/// One access unit of H.264: a byte stream (Annex B), with the parameter sets where it is a keyframe. Cloning it copies no
/// byte.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// Its PTS and DTS are [`Unit::pts_ns`]: no unit overtakes another.
    pub buffer: gst::Buffer,
    /// They change where the size does, always at a keyframe.
    pub caps: gst::Caps,
    /// As [`Shown::pts_ns`].
    pub pts_ns: u64,
    /// Decoding can begin here.
    pub keyframe: bool,
    /// As [`Shown::filler`]; it changes only at keyframes.
    pub filler: bool,
    /// As [`Shown::arrived`].
    pub arrived: Instant,
}

/// Encodes one view of a stream.
#[derive(Debug)]
pub(crate) struct Coder {
    screen: Arc<Screen>,
    view: View,
    options: CoderOptions,
    units: Hub<Unit>,
    /// Whether there is a thread.
    at_work: Mutex<bool>,
    keyframe_wanted: AtomicBool,
    failures: AtomicU64,
}

impl Coder {
    /// Nothing is done until somebody subscribes.
    pub(crate) fn new(screen: Arc<Screen>, view: View, options: CoderOptions) -> Arc<Self> {
        Arc::new(Self {
            screen,
            view,
            options,
            units: Hub::default(),
            at_work: Mutex::new(false),
            keyframe_wanted: AtomicBool::default(),
            failures: AtomicU64::default(),
        })
    }

    /// A queue for so many units, which begins with a keyframe. Where it overflows, the taker keeps what is in it and gets the
    /// next keyframe and what follows; it is never given a unit without those before it.
    pub(crate) fn subscribe(self: &Arc<Self>, depth: usize) -> Subscription<Unit> {
        let mut at_work = self.at_work();
        let subscription = self.units.subscribe(depth);
        self.want_keyframe();
        if !*at_work {
            let this = self.clone();
            let name = format!("coder-{}", self.view.name());
            match thread::Builder::new().name(name).spawn(move || this.work()) {
                Ok(_) => *at_work = true,
                Err(error) => tracing::error!(stream = self.options.name, "no thread for the encoder: {error}"),
            }
        }
        subscription
    }

    /// The next picture is going to be a keyframe: for a viewer who lost something.
    pub(crate) fn want_keyframe(&self) {
        self.keyframe_wanted.store(true, Ordering::Relaxed);
    }

    /// How often the encoder failed and was built anew.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn at_work(&self) -> MutexGuard<'_, bool> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes until nobody takes any more, or the stream ends.
    fn work(&self) {
        let _rest = AfterPanic(self);
        let pictures = self.screen.hub.subscribe(PICTURES);
        let _raw = (self.view == View::Raw).then(|| self.screen.want_raw());
        let mut work = Work::default();
        loop {
            match pictures.next(LOOK) {
                Next::Item(shown) => self.give(&mut work, &shown),
                Next::Nothing => {}
                Next::End => return self.units.end(),
            }
            if self.units.subscribers() == 0 {
                // Nobody subscribes between this look and the end of the thread.
                let mut at_work = self.at_work();
                if self.units.subscribers() == 0 {
                    *at_work = false;
                    return;
                }
            }
        }
    }

    /// Encodes one moment and gives it to all takers; what fails is told and tried again later.
    fn give(&self, work: &mut Work, shown: &Shown) {
        match self.encode(work, shown) {
            Ok(Some(unit)) => self.units.give_in_order(&unit, unit.keyframe),
            Ok(None) => {}
            Err(error) => {
                work.encoder = None;
                self.failures.fetch_add(1, Ordering::Relaxed);
                let wait = work.backoff.failed().as_secs_f64();
                let stream = self.options.name.as_str();
                tracing::warn!(stream, "the encoder failed and is built anew in {wait:.1} s: {error:#}");
            }
        }
    }

    /// The unit of a moment; nothing where there is no picture, or no encoder for now.
    fn encode(&self, work: &mut Work, shown: &Shown) -> Result<Option<Unit>> {
        if work.encoder.is_none() && !work.backoff.is_due() {
            return Ok(None);
        }
        let palette = *self.options.palette.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(picture) = self.view.of(shown, &palette)? else {
            return Ok(None);
        };
        let encoder = match &mut work.encoder {
            Some(encoder) if **encoder.format() == **picture.format() => encoder,
            other => {
                // The old one goes first: its memory may be what the new one needs.
                *other = None;
                work.backoff.begin();
                work.keyframe_ns = None;
                other.insert(Encoder::new(picture.format(), &self.options)?)
            }
        };
        let wanted = self.keyframe_wanted.swap(false, Ordering::Relaxed);
        let due = work.keyframe_ns.is_some_and(|last| shown.pts_ns >= last + KEYFRAME_NS);
        let keyframe = wanted || due || work.filler != shown.filler;
        let Encoded { buffer, caps, keyframe } = encoder.encode(&picture, shown.pts_ns, keyframe)?;
        if keyframe {
            work.keyframe_ns = Some(shown.pts_ns);
        }
        work.filler = shown.filler;
        Ok(Some(Unit {
            buffer,
            caps,
            pts_ns: shown.pts_ns,
            keyframe,
            filler: shown.filler,
            arrived: shown.arrived,
        }))
    }
}

/// The coders of a stream: one for each view.
#[derive(Debug)]
pub(crate) struct Coders {
    masked: Arc<Coder>,
    raw: Arc<Coder>,
    classes: Arc<Coder>,
}

impl Coders {
    /// None of them does anything until somebody subscribes to it.
    pub(crate) fn new(screen: &Arc<Screen>, options: &CoderOptions) -> Self {
        let coder = |view| Coder::new(screen.clone(), view, options.clone());
        Self {
            masked: coder(View::Masked),
            raw: coder(View::Raw),
            classes: coder(View::Classes),
        }
    }

    /// That of a view.
    pub(crate) fn of(&self, view: View) -> &Arc<Coder> {
        match view {
            View::Masked => &self.masked,
            View::Raw => &self.raw,
            View::Classes => &self.classes,
        }
    }
}

/// What the thread keeps from picture to picture.
#[derive(Default)]
struct Work {
    encoder: Option<Encoder>,
    backoff: Backoff,
    /// Time of the last keyframe.
    keyframe_ns: Option<u64>,
    /// Whether the last picture was filler.
    filler: bool,
}

/// Says that there is no thread any more, so that the next taker finds a coder that works.
struct AfterPanic<'c>(&'c Coder);

impl Drop for AfterPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            *self.0.at_work() = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FRAME_NS, Stage, all, decoded, format, shown, until};
    use super::*;

    #[test]
    fn every_frame_is_encoded_once_for_all_takers_with_a_keyframe_a_second_and_parameters_in_it() {
        let mut stage = Stage::new(View::Masked);
        let other = stage.coder.subscribe(100);
        let units = stage.show(60, (64, 48), false);
        assert_eq!(
            units.iter().map(|u| u.pts_ns).collect::<Vec<_>>(),
            (0..60).map(|n| n * FRAME_NS).collect::<Vec<_>>()
        );
        let keys: Vec<_> = units.iter().filter(|u| u.keyframe).map(|u| u.pts_ns / FRAME_NS).collect();
        assert_eq!(keys, [0, 25, 50]);
        for unit in &units {
            let bytes = unit.buffer.map_readable().unwrap();
            // 7 and 8 are the parameter sets, 5 a picture that needs no other.
            let has = |kind: u8| bytes.windows(4).any(|w| w[..3] == [0, 0, 1] && w[3] & 31 == kind);
            assert_eq!([7, 8, 5].map(has), [unit.keyframe; 3]);
        }
        let others = all(&other);
        assert_eq!(others.len(), 60);
        assert!(
            others[7].buffer.as_ptr() == units[7].buffer.as_ptr(),
            "the same unit, not a second one"
        );
        assert_eq!(decoded(&units), (60, 64, 48));
        // From any keyframe on.
        assert_eq!(decoded(&units[25..]), (35, 64, 48));
    }

    #[test]
    fn who_comes_later_gets_a_keyframe_at_once() {
        let mut stage = Stage::new(View::Masked);
        stage.show(5, (64, 48), false);
        let late = stage.coder.subscribe(8);
        stage.show(1, (64, 48), false);
        let units = all(&late);
        assert!(units[0].keyframe && units[0].pts_ns == 5 * FRAME_NS);
    }

    #[test]
    fn a_taker_that_overflowed_gets_whole_groups_and_no_other_is_slower() {
        let mut stage = Stage::new(View::Masked);
        let slow = stage.coder.subscribe(10);
        let units = stage.show(30, (64, 48), false);
        assert_eq!(units.len(), 30);
        let first = all(&slow);
        assert_eq!(
            first.iter().map(|u| u.pts_ns / FRAME_NS).collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
        stage.show(10, (64, 48), false);
        let then = all(&slow);
        assert!(then[0].keyframe, "{then:?}");
        assert_eq!(decoded(&then).0, then.len());
        assert!(slow.dropped() >= 15);
    }

    #[test]
    fn filler_begins_and_ends_with_a_keyframe_and_a_new_size_is_taken() {
        let mut stage = Stage::new(View::Masked);
        let taker = stage.coder.subscribe(100);
        stage.show(3, (64, 48), false);
        stage.show(3, (64, 48), true);
        stage.show(3, (64, 48), false);
        stage.show(3, (67, 33), false);
        let units = all(&taker);
        assert_eq!(
            units.iter().map(|u| u.filler).collect::<Vec<_>>(),
            [[false; 3], [true; 3], [false; 3], [false; 3]].concat()
        );
        assert!([0, 3, 6, 9].iter().all(|&n| units[n].keyframe));
        assert_eq!(decoded(&units[9..]), (3, 68, 34));
        assert_eq!(stage.coder.failures(), 0);
    }

    #[test]
    fn nothing_is_encoded_and_no_frame_copied_while_nobody_takes() {
        let mut stage = Stage::new(View::Raw);
        assert_eq!(stage.screen.hub.subscribers(), 0);
        let taker = stage.coder.subscribe(4);
        while !stage.screen.is_raw_wanted() {
            thread::yield_now();
        }
        drop(taker);
        while *stage.coder.at_work() {
            thread::yield_now();
        }
        // It is given back just behind the word that the work is over.
        until("frames are no longer copied", || !stage.screen.is_raw_wanted());
        let again = stage.coder.subscribe(4);
        while stage.screen.hub.subscribers() == 0 {
            thread::yield_now();
        }
        let raw = shown(0, 0, &format(64, 48));
        let raw = Shown {
            raw: Some(raw.masked.clone()),
            ..raw
        };
        stage.screen.hub.give(&raw);
        assert!(matches!(again.next(Duration::from_secs(20)), Next::Item(unit) if unit.keyframe));
        stage.shown = 1;
        stage.screen.hub.end();
        assert!(matches!(again.next(Duration::from_secs(20)), Next::End));
        assert!(matches!(stage.coder.subscribe(1).next(Duration::ZERO), Next::End));
    }

    #[test]
    fn a_size_that_cannot_be_encoded_is_counted_and_does_not_end_the_stream() {
        let mut stage = Stage::new(View::Masked);
        let taker = stage.coder.subscribe(4);
        while stage.screen.hub.subscribers() == 0 {
            thread::yield_now();
        }
        stage.screen.hub.give(&shown(0, 0, &format(16_400, 16)));
        until("a failure", || stage.coder.failures() > 0);
        stage.shown = 1;
        let mut tries = 0;
        loop {
            let moment = shown(stage.shown, stage.shown * FRAME_NS, &format(64, 48));
            stage.shown += 1;
            stage.screen.hub.give(&moment);
            match taker.next(Duration::from_millis(100)) {
                Next::Item(unit) => break assert!(unit.keyframe),
                _ => tries += 1,
            }
            assert!(tries < 100, "the encoder is not built anew");
        }
    }
}
