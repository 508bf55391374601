//! Class maps carried from key frames to the frames between them.

use super::keys::KeyReason;
use super::motion::{Motion, MotionMethod};
use super::votes::Votes;
use super::{TemporalOptions, frames_waiting};
use crate::frame::{ClassMap, VideoFormat};
use crate::stats::{KeyCounts, TemporalReport};
use anyhow::Result;
use hdrhistogram::Histogram;
use maskline_models::Class;
use maskline_models::field::{Field, Warper};
use std::collections::VecDeque;

/// What is known of a frame before it is inferred.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Since the frame before, where it was looked for.
    pub motion: Option<Motion>,
    /// Why the frame is inferred; `None` if its map is carried.
    pub key: Option<KeyReason>,
    /// What was before has nothing to do with it: a net that remembers forgets.
    pub begins: bool,
}

/// A frame with its class map.
#[derive(Debug)]
pub struct Carried<T> {
    /// The frame.
    pub item: T,
    /// Its map.
    pub map: ClassMap,
    /// How many frames away the key frame is that the map comes from; 0 for a key frame.
    pub age_frames: u32,
}

struct Waiting<T> {
    item: T,
    pts_ns: u64,
    motion: Option<Motion>,
    /// From this frame to the key frame before.
    way: Field,
    age: u32,
}

struct Key {
    map: ClassMap,
    pts_ns: u64,
}

/// Gives every frame its class map, in order.
pub struct Carrier<T> {
    /// Whether frames wait for the next key frame, so that each gets what the nearer one or the one that sees it says.
    lookahead: bool,
    /// Whether maps are moved; else they are repeated, and motion only serves to measure.
    follow: bool,
    votes: Option<Votes>,
    warper: Warper,
    key: Option<Key>,
    /// From the newest frame to the key frame; `None` on the key frame itself.
    way: Option<Field>,
    age: u32,
    waiting: VecDeque<Waiting<T>>,
    /// More do not wait: the oldest then gets what the key frame before says, which is mostly the nearer one anyway.
    most_waiting: usize,
    measures: Measures,
}

impl<T> Carrier<T> {
    /// A carrier that does what these say, for frames of this format and maps of these classes.
    ///
    /// # Errors
    /// Kind 78 if the options name a class that there is not.
    pub fn new(options: &TemporalOptions, format: &VideoFormat, classes: &[Class]) -> Result<Self> {
        let follow = options.motion != MotionMethod::None;
        let smooth = options.smooth_by_id(classes)?;
        Ok(Self {
            lookahead: options.lookahead && follow,
            follow,
            votes: options.is_smoothed().then(|| Votes::new(smooth)),
            warper: Warper::default(),
            key: None,
            way: None,
            age: 0,
            waiting: VecDeque::new(),
            most_waiting: frames_waiting(format),
            measures: Measures::new(),
        })
    }

    /// Takes the next frame, with its map if it was inferred, and gives those whose maps are decided.
    pub fn next(&mut self, item: T, pts_ns: u64, sight: Sight, inferred: Option<ClassMap>) -> Vec<Carried<T>> {
        self.measures.sight(&sight);
        let cut = matches!(sight.key, Some(KeyReason::Cut | KeyReason::First));
        let way = self.step(sight.motion.as_ref().filter(|_| self.follow && !cut));
        let Some(mut map) = inferred else {
            self.age += 1;
            self.way = way.clone();
            let motion = sight.motion;
            let waiting = Waiting {
                item,
                pts_ns,
                // A map that is repeated has a way as well: a still one.
                way: way.unwrap_or_else(|| Field::still(1, 1)),
                motion,
                age: self.age,
            };
            if self.lookahead && waiting.motion.is_some() {
                self.waiting.push_back(waiting);
                let decided = self.waiting.len() > self.most_waiting;
                let oldest = self.waiting.pop_front_if(|_| decided);
                return oldest.into_iter().map(|w| self.behind(w)).collect();
            }
            return vec![self.behind(waiting)];
        };
        if let Some(votes) = &mut self.votes {
            if cut {
                votes.forget();
            }
            let earlier = self.key.as_ref().zip(way.as_ref()).map(|(key, way)| (&key.map, way));
            votes.cast(&mut map, earlier, &mut self.warper);
        }
        let key = Key { map, pts_ns };
        let mut carried = self.decide(sight.motion.as_ref().filter(|_| !cut), &key);
        (self.way, self.age) = (None, 0);
        let map = key.map.clone();
        self.key = Some(key);
        self.measures.shown(&map, sight.motion.as_ref().filter(|_| !cut), &mut self.warper);
        self.measures.age(0, 0);
        carried.push(Carried { item, map, age_frames: 0 });
        carried
    }

    /// The frames that still wait, when no more will come.
    pub fn rest(&mut self) -> Vec<Carried<T>> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|w| self.behind(w)).collect()
    }

    /// What was measured so far.
    pub fn report(&self) -> TemporalReport {
        self.measures.report()
    }

    /// From the next frame to the last key frame.
    fn step(&self, motion: Option<&Motion>) -> Option<Field> {
        let motion = motion?;
        Some(match &self.way {
            Some(way) => motion.back.then(way),
            None if self.age > 0 => return None, // the way has been lost since the key frame
            None => motion.back.clone(),
        })
    }

    /// A frame that gets its map from the key frame before it alone.
    fn behind(&mut self, waiting: Waiting<T>) -> Carried<T> {
        // The first frame is always inferred.
        let empty = ClassMap {
            width: 0,
            height: 0,
            ids: Vec::new(),
        };
        let (map, since) = match &self.key {
            Some(key) => (moved(&mut self.warper, &waiting.way, &key.map), key.pts_ns),
            None => (empty, waiting.pts_ns),
        };
        self.measures.age(waiting.age, waiting.pts_ns - since.min(waiting.pts_ns));
        self.measures.shown(&map, waiting.motion.as_ref(), &mut self.warper);
        Carried {
            item: waiting.item,
            map,
            age_frames: waiting.age,
        }
    }

    /// The frames that wait get what the nearer key frame says, and where that is not sure, what the other one does.
    /// `motion` is that into the new key frame.
    fn decide(&mut self, motion: Option<&Motion>, next: &Key) -> Vec<Carried<T>> {
        let (Some(motion), false) = (motion, self.waiting.is_empty()) else {
            return self.rest();
        };
        let size = |k: &Key| (k.map.width, k.map.height);
        if self.key.as_ref().map(size) != Some(size(next)) {
            return self.rest();
        }
        // From each frame that waits to the new key frame, the last one first.
        let mut ahead = vec![motion.ahead.clone()];
        for waiting in self.waiting.iter().skip(1).rev() {
            let Some(motion) = &waiting.motion else { return self.rest() };
            let further = motion.ahead.then(&ahead[ahead.len() - 1]);
            ahead.push(further);
        }
        let gap = self.age + 1;
        let waiting = std::mem::take(&mut self.waiting);
        let decided = waiting.into_iter().zip(ahead.into_iter().rev());
        decided.map(|(waiting, ahead)| self.between(waiting, &ahead, next, gap)).collect()
    }

    fn between(&mut self, waiting: Waiting<T>, ahead: &Field, next: &Key, gap: u32) -> Carried<T> {
        let Some(key) = &self.key else { return self.behind(waiting) };
        let to_next = gap - waiting.age;
        let (near, far, age, from_ns) = if waiting.age <= to_next {
            ((&key.map, &waiting.way), (&next.map, ahead), waiting.age, key.pts_ns)
        } else {
            ((&next.map, ahead), (&key.map, &waiting.way), to_next, next.pts_ns)
        };
        let mut map = moved(&mut self.warper, near.1, near.0);
        // Only where the near one does not know and the far one does.
        let better: Vec<bool> = near.1.sure.iter().zip(&far.1.sure).map(|(near, far)| !near && *far).collect();
        if better.contains(&true) {
            self.warper.each(far.1, map.width as usize, map.height as usize, |run| {
                if better[run.cell] {
                    run.copy(&far.0.ids, &mut map.ids);
                }
            });
        }
        self.measures.age(age, waiting.pts_ns.abs_diff(from_ns));
        self.measures.shown(&map, waiting.motion.as_ref(), &mut self.warper);
        Carried {
            item: waiting.item,
            map,
            age_frames: age,
        }
    }
}

/// The class map that `map` becomes when its content moves as the field says.
fn moved(warper: &mut Warper, field: &Field, map: &ClassMap) -> ClassMap {
    let ids = warper.map(field, &map.ids, (map.width as usize, map.height as usize));
    ClassMap { ids, ..*map }
}

/// Counts for the end report.
struct Measures {
    keys: KeyCounts,
    ages_frames: Histogram<u32>,
    ages_us: Histogram<u32>,
    unsure: Mean,
    lost: Mean,
    flicker: Mean,
    previous: Option<ClassMap>,
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.sum / self.count as f64 * 1e6).round() / 1e6)
    }
}

impl Measures {
    fn new() -> Self {
        let histogram = |most| Histogram::new_with_bounds(1, most, 3).expect("bounds and digits are within what the histogram takes");
        Self {
            keys: KeyCounts::default(),
            ages_frames: histogram(10_000),
            ages_us: histogram(3_600_000_000),
            unsure: Mean::default(),
            lost: Mean::default(),
            flicker: Mean::default(),
            previous: None,
        }
    }

    fn sight(&mut self, sight: &Sight) {
        match sight.key {
            Some(KeyReason::First | KeyReason::Due) => self.keys.due += 1,
            Some(KeyReason::Cut) => self.keys.cut += 1,
            Some(KeyReason::Lost) => self.keys.lost += 1,
            None => {}
        }
        if let (Some(motion), false) = (&sight.motion, sight.key == Some(KeyReason::Cut)) {
            self.unsure.add(motion.back.unsure());
            self.lost.add(motion.lost);
        }
    }

    fn age(&mut self, frames: u32, ns: u64) {
        self.ages_frames.saturating_record(u64::from(frames));
        self.ages_us.saturating_record(ns / 1000);
    }

    /// A frame's map, in the order in which they are shown, with the motion since the one before; none after a cut.
    fn shown(&mut self, map: &ClassMap, motion: Option<&Motion>, warper: &mut Warper) {
        let same_size = |p: &&ClassMap| p.ids.len() == map.ids.len() && !map.ids.is_empty();
        if let (Some(previous), Some(motion)) = (self.previous.as_ref().filter(same_size), motion) {
            let size = (map.width as usize, map.height as usize);
            self.flicker.add(warper.flicker(&motion.back, &previous.ids, &map.ids, size));
        }
        self.previous = Some(map.clone());
    }

    fn report(&self) -> TemporalReport {
        let ms = |us: u64| us as f64 / 1000.0;
        TemporalReport {
            keys: self.keys,
            age_p50_frames: self.ages_frames.value_at_quantile(0.5),
            age_p95_frames: self.ages_frames.value_at_quantile(0.95),
            age_max_frames: self.ages_frames.max(),
            age_p50_ms: ms(self.ages_us.value_at_quantile(0.5)),
            age_p95_ms: ms(self.ages_us.value_at_quantile(0.95)),
            age_max_ms: ms(self.ages_us.max()),
            unsure: self.unsure.value(),
            lost: self.lost.value(),
            flicker: self.flicker.value(),
            ..TemporalReport::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plain;

    const SIZE: (u32, u32) = (16, 8);

    fn format((width, height): (u32, u32)) -> VideoFormat {
        VideoFormat {
            rate: None,
            ..plain(width, height)
        }
    }

    /// Everything moves one pixel to the right from frame to frame.
    fn pan() -> Motion {
        let shifted = |by: f32| Field {
            shifts: vec![[by / SIZE.0 as f32, 0.0]; 128],
            ..Field::still(16, 8)
        };
        let (mut back, mut ahead) = (shifted(-1.0), shifted(1.0));
        // What comes in at the left was not there before, and what leaves at the right is not there afterwards.
        (0..8).for_each(|row| {
            back.sure[16 * row] = false;
            ahead.sure[16 * row + 15] = false;
        });
        Motion {
            back,
            ahead,
            residual: 1.0,
            lost: 0.0,
        }
    }

    /// A world of stripes seen at time `t`.
    fn world(t: u32) -> ClassMap {
        let ids = (0..SIZE.1)
            .flat_map(|_| (0..SIZE.0).map(move |x| ((1000 + x - t) % 7) as u8))
            .collect();
        ClassMap {
            width: SIZE.0,
            height: SIZE.1,
            ids,
        }
    }

    fn carrier(lookahead: bool, smooth: f32) -> Carrier<u32> {
        let options = TemporalOptions {
            lookahead,
            smooth,
            ..TemporalOptions::default()
        };
        Carrier::new(&options, &format(SIZE), &[]).unwrap()
    }

    fn sight(t: u32, key: bool) -> Sight {
        Sight {
            motion: (t > 0).then(pan),
            key: key.then_some(if t == 0 { KeyReason::First } else { KeyReason::Due }),
            begins: false,
        }
    }

    fn run(lookahead: bool, frames: u32, every: u32) -> Vec<Carried<u32>> {
        let mut carrier = carrier(lookahead, 0.0);
        let mut all = Vec::new();
        for t in 0..frames {
            let key = t % every == 0;
            all.extend(carrier.next(t, u64::from(t) * 1_000_000, sight(t, key), key.then(|| world(t))));
        }
        all.extend(carrier.rest());
        all
    }

    #[test]
    fn maps_follow_the_motion_and_frames_keep_their_order() {
        for lookahead in [false, true] {
            let all = run(lookahead, 11, 4);
            assert_eq!(all.iter().map(|c| c.item).collect::<Vec<_>>(), (0..11).collect::<Vec<_>>());
            for Carried { item: t, map, age_frames } in all {
                let right = world(t);
                let seen = if lookahead && t < 8 { 0 } else { age_frames as usize };
                for row in 0..8 {
                    let row = row * 16;
                    assert_eq!(map.ids[row + seen..row + 16], right.ids[row + seen..row + 16], "frame {t}");
                }
            }
        }
    }

    #[test]
    fn with_lookahead_what_came_into_the_picture_is_taken_from_the_next_key_frame() {
        let all = run(true, 5, 4);
        assert_eq!(all[1].map, world(1));
        assert_eq!(all[3].map, world(3), "what leaves is taken from the key frame before");
        assert_eq!(all.iter().map(|c| c.age_frames).collect::<Vec<_>>(), [0, 1, 2, 1, 0]);
        assert_ne!(run(false, 5, 4)[3].map, world(3));
    }

    #[test]
    fn no_more_large_frames_wait_than_memory_allows_and_what_they_show_is_right() {
        let large = format((3840, 2160));
        let mut carrier = Carrier::new(&TemporalOptions::default(), &large, &[]).unwrap();
        let most = frames_waiting(&large) as u32;
        let mut all = Vec::new();
        for t in 0..=10 {
            let key = t % 10 == 0;
            all.extend(carrier.next(t, u64::from(t), sight(t, key), key.then(|| world(t))));
            assert!(t + 1 - all.len() as u32 <= most, "frame {t}: {} came out", all.len());
        }
        assert_eq!(all.iter().map(|c| c.item).collect::<Vec<_>>(), (0..=10).collect::<Vec<_>>());
        assert_eq!(all[1].map.ids[1..16], world(1).ids[1..16]);
        assert_eq!(all[9].map, world(9), "the last of them could wait");
    }

    #[test]
    fn nothing_is_carried_over_a_cut() {
        let mut carrier = carrier(true, 0.5);
        let constant = |class: u8| ClassMap {
            ids: vec![class; 128],
            ..world(0)
        };
        let mut all = carrier.next(0, 0, sight(0, true), Some(constant(1)));
        all.extend(carrier.next(1, 1, sight(1, false), None));
        let cut = Sight {
            motion: Some(pan()),
            key: Some(KeyReason::Cut),
            begins: true,
        };
        all.extend(carrier.next(2, 2, cut, Some(constant(2))));
        all.extend(carrier.next(3, 3, sight(3, false), None));
        all.extend(carrier.rest());
        let maps: Vec<_> = all.into_iter().map(|c| c.map).collect();
        assert_eq!(maps, [1, 1, 2, 2].map(constant));
        let report = carrier.report();
        assert_eq!((report.keys.due, report.keys.cut, report.flicker), (1, 1, Some(0.0)));
    }

    #[test]
    fn without_motion_the_last_map_is_repeated() {
        let mut carrier = carrier(true, 0.0);
        let blind = |key| Sight { key, ..Sight::default() };
        let first = carrier.next(0, 0, blind(Some(KeyReason::First)), Some(world(3)));
        let second = carrier.next(1, 40_000_000, blind(None), None);
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_eq!((&second[0].map, second[0].age_frames), (&world(3), 1));
        let report = carrier.report();
        assert_eq!((report.age_max_frames, report.flicker, report.unsure), (1, None, None));
        assert!((report.age_max_ms - 40.0).abs() < 0.1, "{report:?}");
    }

    #[test]
    fn motion_that_is_only_measured_moves_nothing() {
        let options = TemporalOptions {
            motion: MotionMethod::None,
            measure: true,
            ..TemporalOptions::default()
        };
        let mut carrier = Carrier::new(&options, &format(SIZE), &[]).unwrap();
        carrier.next(0, 0, sight(0, true), Some(world(0)));
        let second = carrier.next(1, 1, sight(1, false), None);
        assert_eq!(second[0].map, world(0));
        assert!(carrier.report().flicker.unwrap() > 0.5, "the picture moved on");
    }

    #[test]
    fn a_class_that_there_is_not_cannot_be_smoothed() {
        let options = TemporalOptions {
            smooth_of: [("cow".to_owned(), 0.5)].into(),
            ..TemporalOptions::default()
        };
        let error = Carrier::<u32>::new(&options, &format(SIZE), &[]).err().unwrap().to_string();
        assert!(options.is_wanted() && error.contains("\"cow\""), "{error}");
    }

    #[test]
    fn flicker_is_what_changes_beside_the_motion() {
        let mut carrier = carrier(false, 0.0);
        for t in 0..3 {
            let mut map = world(t);
            if t == 2 {
                (0..16).for_each(|x| map.ids[x] = 9); // one row of eight
            }
            let shown = carrier.next(t, 0, sight(t, true), Some(map));
            assert_eq!(shown.len(), 1);
        }
        let flicker = carrier.report().flicker.unwrap();
        // In each of two frames the column that comes in; in the second also one row, less that column's pixel.
        let wanted = (8.0 / 128.0 + (8.0 + 15.0) / 128.0) / 2.0;
        assert!((flicker - wanted).abs() < 0.02, "{flicker} {wanted}");
    }
}
