//! One way of running a net, and what was measured of it.

use super::wish::{Aim, Goal, Limits};
use crate::infer::Provider;
use crate::temporal::Every;
use std::cmp::Ordering;

/// A net, what runs it and how, without how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Which of the nets.
    pub net: usize,
    /// What runs it.
    pub provider: Provider,
    /// Width and height at which it runs, in pixels.
    pub size: (u32, u32),
    /// Sessions that take frames in turn.
    pub sessions: usize,
    /// Threads over all sessions.
    pub threads: usize,
}

/// A way of running that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// What ran.
    pub setup: Setup,
    /// How often the net ran.
    pub every: Every,
    /// Frames per second of a whole run.
    pub frames_per_s: f64,
    /// 95 % of the frames were on their way for at most so many milliseconds; `None` where it was not asked for.
    pub latency_p95_ms: Option<f64>,
    /// Share (0-1) of the pixels that have the class of the reference.
    pub agreement: f64,
    /// Mean IoU (0-1) against the labels, where there are any.
    pub miou: Option<f64>,
    /// Whether the speed was measured again on a run of the pipeline that is recommended.
    pub confirmed: bool,
}

/// A tenth: what one run of a clip may be off by on a machine with other work.
const NOISE: f64 = 1.1;
/// A setup whose maps are so much worse (share, 0-1) is not better with fewer of them inferred.
const CLEARLY: f64 = 0.02;
/// What providers may differ in by rounding (share, 0-1).
const ROUNDING: f64 = 0.002;

impl Point {
    /// What counts as quality: mIoU with labels, else agreement.
    pub fn quality(&self) -> f64 {
        self.miou.unwrap_or(self.agreement)
    }

    /// Quality and speeds; more is better.
    fn gains(&self, aim: Aim) -> [f64; 3] {
        let (rate, latency) = (self.frames_per_s, -self.latency_p95_ms.unwrap_or(f64::INFINITY));
        match aim {
            Aim::Rate => [self.quality(), rate, 0.0],
            Aim::Latency => [self.quality(), 0.0, latency],
            Aim::Both => [self.quality(), rate, latency],
        }
    }

    /// Whether this one is nowhere worse than the other and somewhere better.
    pub fn dominates(&self, other: &Self, aim: Aim) -> bool {
        let (mine, theirs) = (self.gains(aim), other.gains(aim));
        mine.iter().zip(&theirs).all(|(a, b)| a >= b) && mine != theirs
    }

    /// Whether it is fast enough.
    pub fn is_fast(&self, limits: &Limits) -> bool {
        match limits.goal {
            Some(Goal::FramesPerS(rate)) => self.frames_per_s >= rate,
            Some(Goal::LatencyMs(most)) => self.latency_p95_ms.is_some_and(|ms| ms <= most),
            None => true,
        }
    }

    /// Whether it is good enough.
    pub fn is_good(&self, limits: &Limits) -> bool {
        limits.floor.is_none_or(|floor| self.quality() >= floor)
    }

    /// Which of two is faster, as `Greater`.
    pub fn faster(&self, other: &Self, aim: Aim) -> Ordering {
        let speed = |p: &Self| match p.gains(aim) {
            [_, rate, latency] if aim == Aim::Latency => (latency, rate),
            [_, rate, latency] => (rate, latency),
        };
        let (a, b) = (speed(self), speed(other));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    }
}

/// Which points no other dominates. Equal ones stand side by side.
pub fn frontier(points: &[Point], aim: Aim) -> Vec<bool> {
    let free = |p: &Point| !points.iter().any(|other| other.dominates(p, aim));
    points.iter().map(free).collect()
}

/// Whether a setup need not be run with fewer inferred frames, as another one makes it pointless: `point` and `other` are both
/// at the same interval, and the other one is faster by more than noise and better by more than carried maps could make up for.
/// The same net at the same size gives the same maps, so that there its speed alone decides.
pub fn is_pointless(point: &Point, other: &Point, aim: Aim) -> bool {
    let same_maps = (point.setup.net, point.setup.size) == (other.setup.net, other.setup.size);
    let lead = if same_maps { -ROUNDING } else { CLEARLY };
    let rate = other.frames_per_s > NOISE * point.frames_per_s;
    let latency = match (other.latency_p95_ms, point.latency_p95_ms) {
        (Some(other), Some(point)) => NOISE * other < point,
        _ => false,
    };
    let faster = match aim {
        Aim::Rate => rate,
        Aim::Latency => latency,
        Aim::Both => rate && latency,
    };
    point.every == other.every && faster && other.quality() > point.quality() + lead
}

/// Why nothing is as wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// Nothing is that fast, however bad.
    Speed,
    /// Nothing is that good, however slow.
    Quality,
    /// One is fast enough and another one good enough.
    Both {
        /// The best of those that are fast enough.
        fast: usize,
    },
}

/// What is nearest to a wish that nothing fulfils.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortfall {
    /// The fastest that is good enough; where nothing is, the best.
    pub nearest: usize,
    /// What stands in the way.
    pub barrier: Barrier,
}

/// The point that fulfils a wish best: where a speed is wanted, the best that has it, else the fastest; or what is nearest.
/// `None` without points.
pub fn recommend(points: &[Point], limits: &Limits, aim: Aim) -> Option<Result<usize, Shortfall>> {
    // Differences of less than a tenth of a point are noise, and then speed counts.
    let tenths = |p: &Point| (1000.0 * p.quality()).round();
    let better = |a: &Point, b: &Point| tenths(a).total_cmp(&tenths(b)).then(a.faster(b, aim));
    let most = |is: &dyn Fn(&Point) -> bool, order: &dyn Fn(&Point, &Point) -> Ordering| {
        let found = points.iter().enumerate().filter(|(_, p)| is(p));
        found.max_by(|(_, a), (_, b)| order(a, b)).map(|(i, _)| i)
    };
    let faster = |a: &Point, b: &Point| a.faster(b, aim).then(tenths(a).total_cmp(&tenths(b)));
    let order: &dyn Fn(&Point, &Point) -> Ordering = if limits.goal.is_some() { &better } else { &faster };
    if let Some(found) = most(&|p| p.is_fast(limits) && p.is_good(limits), order) {
        return Some(Ok(found));
    }
    let fast = most(&|p| p.is_fast(limits), &better);
    let good = most(&|p| p.is_good(limits), &faster);
    let nearest = good.or_else(|| most(&|_| true, &better))?;
    let barrier = match (fast, good) {
        (Some(fast), Some(_)) => Barrier::Both { fast },
        (None, _) => Barrier::Speed,
        (_, None) => Barrier::Quality,
    };
    Some(Err(Shortfall { nearest, barrier }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(frames_per_s: f64, agreement: f64) -> Point {
        Point {
            setup: Setup {
                net: 0,
                provider: Provider::Cpu,
                size: (64, 48),
                sessions: 2,
                threads: 2,
            },
            every: Every::Frames(1),
            frames_per_s,
            latency_p95_ms: None,
            agreement,
            miou: None,
            confirmed: false,
        }
    }

    fn with_latency(frames_per_s: f64, agreement: f64, ms: f64) -> Point {
        Point {
            latency_p95_ms: Some(ms),
            ..point(frames_per_s, agreement)
        }
    }

    fn limits(goal: Option<Goal>, floor: Option<f64>) -> Limits {
        Limits { goal, floor }
    }

    #[test]
    fn the_frontier_is_what_nothing_dominates_and_equal_points_stand_side_by_side() {
        let points = [
            point(10.0, 1.0),
            point(20.0, 0.9),
            point(15.0, 0.8),
            point(20.0, 0.9),
            point(20.0, 0.85),
        ];
        assert_eq!(frontier(&points, Aim::Rate), [true, true, false, true, false]);
        assert!(!points[1].dominates(&points[3], Aim::Rate) && points[1].dominates(&points[4], Aim::Rate));
        assert_eq!(frontier(&[], Aim::Rate), [false; 0]);
    }

    #[test]
    fn what_counts_as_fast_follows_the_wish() {
        let points = [
            with_latency(10.0, 0.9, 50.0),
            with_latency(20.0, 0.9, 80.0),
            with_latency(9.0, 0.9, 90.0),
        ];
        assert_eq!(frontier(&points, Aim::Rate), [false, true, false]);
        assert_eq!(frontier(&points, Aim::Latency), [true, false, false]);
        assert_eq!(frontier(&points, Aim::Both), [true, true, false]);
        let unmeasured = point(99.0, 0.9);
        assert!(
            points[2].dominates(&unmeasured, Aim::Latency),
            "a latency that nobody measured is none"
        );
    }

    #[test]
    fn mean_iou_counts_where_there_are_labels() {
        let labelled = |miou| Point {
            miou: Some(miou),
            ..point(10.0, 1.0)
        };
        assert!(labelled(0.6).dominates(&labelled(0.5), Aim::Rate));
        assert!(labelled(0.6).is_good(&limits(None, Some(0.6))) && !labelled(0.5).is_good(&limits(None, Some(0.6))));
    }

    #[test]
    fn a_setup_is_given_up_only_for_one_that_is_clearly_faster_and_better() {
        let other_size = |p: Point| Point {
            setup: Setup { size: (32, 24), ..p.setup },
            ..p
        };
        let slow = other_size(point(10.0, 0.90));
        assert!(is_pointless(&slow, &point(12.0, 0.95), Aim::Rate));
        assert!(!is_pointless(&slow, &point(10.5, 0.95), Aim::Rate), "within the noise");
        assert!(
            !is_pointless(&slow, &point(12.0, 0.91), Aim::Rate),
            "carried maps could make up for it"
        );
        assert!(!is_pointless(&slow, &point(12.0, 0.85), Aim::Rate));
        let same = point(10.0, 0.90);
        assert!(is_pointless(&same, &point(12.0, 0.899), Aim::Rate), "the same maps, only later");
        assert!(!is_pointless(&same, &point(12.0, 0.899), Aim::Latency), "nobody measured latencies");
        let (late, soon) = (with_latency(10.0, 0.9, 90.0), with_latency(12.0, 0.9, 50.0));
        assert!(is_pointless(&late, &soon, Aim::Both) && !is_pointless(&soon, &late, Aim::Both));
        assert!(!is_pointless(&late, &with_latency(12.0, 0.9, 89.0), Aim::Both));
    }

    #[test]
    fn with_a_rate_the_best_that_reaches_it_is_recommended_and_without_one_the_fastest() {
        let points = [point(10.0, 1.0), point(26.0, 0.96), point(40.0, 0.9604), point(60.0, 0.8)];
        let rate = |rate, floor| recommend(&points, &limits(Some(Goal::FramesPerS(rate)), floor), Aim::Rate).unwrap();
        assert_eq!(rate(5.0, None), Ok(0));
        assert_eq!(rate(25.0, None), Ok(2), "of equally good ones the faster");
        assert_eq!(rate(25.0, Some(0.95)), Ok(2));
        assert_eq!(rate(60.0, None), Ok(3));
        assert_eq!(recommend(&points, &limits(None, Some(0.95)), Aim::Rate), Some(Ok(2)));
        assert_eq!(recommend(&points, &limits(None, Some(1.0)), Aim::Rate), Some(Ok(0)));
    }

    #[test]
    fn with_a_latency_the_best_within_it_is_recommended() {
        let points = [
            with_latency(9.0, 1.0, 120.0),
            with_latency(20.0, 0.95, 60.0),
            with_latency(50.0, 0.9, 40.0),
        ];
        let within = |ms| recommend(&points, &limits(Some(Goal::LatencyMs(ms)), None), Aim::Latency).unwrap();
        assert_eq!((within(200.0), within(100.0), within(40.0)), (Ok(0), Ok(1), Ok(2)));
        let shortfall = within(10.0).unwrap_err();
        assert_eq!(shortfall.barrier, Barrier::Speed);
        assert_eq!(shortfall.nearest, 2, "the shortest there is");
    }

    #[test]
    fn an_impossible_wish_says_what_stands_in_the_way_and_what_is_nearest() {
        let points = [point(10.0, 1.0), point(20.0, 0.96), point(40.0, 0.8)];
        let at = |rate, floor| recommend(&points, &limits(Some(Goal::FramesPerS(rate)), Some(floor)), Aim::Rate);
        let found = |nearest, barrier| Some(Err(Shortfall { nearest, barrier }));
        assert_eq!(at(25.0, 0.95), found(1, Barrier::Both { fast: 2 }));
        assert_eq!(at(50.0, 0.7), found(2, Barrier::Speed));
        assert_eq!(at(50.0, 0.98), found(0, Barrier::Speed));
        assert_eq!(at(15.0, 1.1), found(0, Barrier::Quality));
        let floor = recommend(&points, &limits(None, Some(1.1)), Aim::Rate);
        assert_eq!(floor, found(0, Barrier::Quality));
        assert_eq!(recommend(&[], &Limits::default(), Aim::Rate), None);
    }
}
