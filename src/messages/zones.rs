//! Zones of the picture and rules about the classes in them. Time is that of the frames, so that a file and a live source give the
//! same events.

use super::area::Area;
use super::{count, share};
use crate::frame::ClassMap;
use crate::stats::RuleReport;
use maskline_models::Class;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;

/// A part of the picture, and what is looked for in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zone {
    /// What messages and the overlay call it; no two zones have one name.
    pub name: String,
    /// At least three corners `[x, y]` in shares (0-1) of the frame.
    pub polygon: Vec<[f64; 2]>,
    /// No two rules of a zone have one name.
    pub rules: Vec<Rule>,
}

/// What is looked for in a zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What messages call it.
    pub name: String,
    /// Name of the class whose share of the zone counts.
    pub class: String,
    /// When it is on.
    pub when: When,
    /// How many nanoseconds the opposite must hold until the rule changes.
    pub hold_ns: u64,
}

/// When a rule is on; a share (0-1) is that of its class in the zone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// The share is below this.
    Below(f64),
    /// The share is above this.
    Above(f64),
    /// The class has come in and is there: its share has risen above this. What is there in the first frame has not come in.
    Enters(f64),
    /// The class has gone and is not there: its share has fallen to this or below. What is not there in the first frame has not
    /// gone.
    Leaves(f64),
}

impl When {
    /// The share above which a class is there, unless somebody says another.
    pub const THERE: f64 = 0.01;

    fn holds(self, share: f64) -> bool {
        match self {
            Self::Below(limit) => share < limit,
            Self::Above(limit) | Self::Enters(limit) => share > limit,
            Self::Leaves(limit) => share <= limit,
        }
    }

    /// Whether only a change counts, not what is so from the start.
    fn is_event(self) -> bool {
        matches!(self, Self::Enters(_) | Self::Leaves(_))
    }

    /// The share at which it changes.
    pub fn limit(self) -> f64 {
        match self {
            Self::Below(limit) | Self::Above(limit) | Self::Enters(limit) | Self::Leaves(limit) => limit,
        }
    }

    /// Whether its limit can be crossed.
    ///
    /// # Errors
    /// If no share lies on one side of it.
    pub fn check(self) -> Result<(), String> {
        match self {
            Self::Below(limit) if !(limit > 0.0 && limit <= 1.0) => Err(format!("found {limit}, wanted a share above 0, at most 1")),
            Self::Above(limit) | Self::Enters(limit) | Self::Leaves(limit) if !(0.0..1.0).contains(&limit) => {
                Err(format!("found {limit}, wanted a share from 0 to below 1"))
            }
            _ => Ok(()),
        }
    }
}

impl Zone {
    /// Whether the polygon is one.
    ///
    /// # Errors
    /// If it has fewer than three corners, one outside the frame, or all of them on a line.
    pub fn check_polygon(polygon: &[[f64; 2]]) -> Result<(), String> {
        if polygon.len() < 3 {
            return Err(format!("found {} points, wanted at least 3", polygon.len()));
        }
        let inside = |p: &&[f64; 2]| p.iter().all(|c| (0.0..=1.0).contains(c));
        if let Some([x, y]) = polygon.iter().find(|p| !inside(p)) {
            return Err(format!("found the point [{x}, {y}], wanted shares of the frame from 0 to 1"));
        }
        let [x0, y0] = polygon[0];
        let far = polygon.iter().max_by(|a, b| {
            let distance = |p: &[f64; 2]| (p[0] - x0).hypot(p[1] - y0);
            distance(a).total_cmp(&distance(b))
        });
        let [x1, y1] = *far.unwrap_or(&polygon[0]);
        let beside = |[x, y]: &[f64; 2]| ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)).abs() > 1e-9;
        if !polygon.iter().any(beside) {
            return Err("found points on one line, wanted an area".into());
        }
        Ok(())
    }

    /// What is wrong with zones that no pipeline file has checked: one line, or nothing.
    ///
    /// # Errors
    /// With the name of the zone that is wrong.
    pub fn check_all(zones: &[Self]) -> Result<(), String> {
        let mut names = HashSet::new();
        for zone in zones {
            let wrong = |what: String| format!("zone {:?}: {what}", zone.name);
            if zone.name.is_empty() {
                return Err("a zone has no name".into());
            }
            if !names.insert(&zone.name) {
                return Err(wrong("there is another one of that name".into()));
            }
            Self::check_polygon(&zone.polygon).map_err(|e| wrong(format!("polygon: {e}")))?;
            let mut rules = HashSet::new();
            for rule in &zone.rules {
                if rule.name.is_empty() || !rules.insert(&rule.name) {
                    return Err(wrong(format!("found a second rule {:?}, wanted names of their own", rule.name)));
                }
                rule.when.check().map_err(|e| wrong(format!("rule {:?}: {e}", rule.name)))?;
            }
        }
        Ok(())
    }
}

/// What names a class that the model does not have: the key of the value in a pipeline file, and one line about it.
pub fn unknown_classes(zones: &[Zone], classes: &[Class]) -> Vec<(String, String)> {
    let known: Vec<_> = classes.iter().filter(|c| !c.ignore).map(|c| c.name.as_str()).collect();
    let mut unknown = Vec::new();
    for (z, zone) in zones.iter().enumerate() {
        for (r, rule) in zone.rules.iter().enumerate() {
            if !known.contains(&rule.class.as_str()) {
                let line = format!("there is no class {:?}; the model has {}", rule.class, known.join(", "));
                unknown.push((format!("zone[{z}].rule[{r}].class"), line));
            }
        }
    }
    unknown
}

/// A rule has changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Presentation time of the frame at which it changed, in nanoseconds from the start of the output.
    pub pts_ns: u64,
    /// Number of that frame.
    pub frame: u64,
    /// Name of the zone.
    pub zone: String,
    /// Name of the rule.
    pub rule: String,
    /// Which way.
    pub state: RuleState,
    /// Share (0-1) of the rule's class in the zone at that frame.
    pub share: f64,
}

/// Which way a rule changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleState {
    /// What it looks for is so.
    On,
    /// It is so no longer.
    Off,
}

impl RuleState {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// What a frame shows in all zones.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// In the order of the zones.
    pub zones: Vec<ZoneLook>,
    /// Rules that changed at this frame.
    pub events: Vec<Event>,
}

/// What a frame shows in one zone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ZoneLook {
    /// Its name.
    pub name: Arc<str>,
    /// Share (0-1) of the zone of every class that counts, in the order of the contract.
    pub shares: Vec<f64>,
    /// Names of the rules that are on.
    pub on: Vec<Arc<str>>,
}

/// Watches zones from frame to frame.
#[derive(Debug)]
pub struct Watch {
    zones: Vec<Watched>,
    /// Ids of the classes that count.
    counted: Vec<u8>,
    /// Size of the class maps for which the areas are right.
    size: (u32, u32),
}

#[derive(Debug)]
struct Watched {
    name: Arc<str>,
    polygon: Vec<[f64; 2]>,
    area: Area,
    rules: Vec<Guard>,
}

/// A rule and where it stands.
#[derive(Debug)]
struct Guard {
    name: Arc<str>,
    /// Id of its class.
    class: u8,
    when: When,
    hold_ns: u64,
    /// Whether the condition counts as fulfilled; `None` before the first frame.
    holds: Option<bool>,
    /// Since when the opposite is seen.
    against_ns: Option<u64>,
    on: bool,
    /// How often it went on and off.
    counts: [u64; 2],
}

impl Guard {
    fn new(rule: &Rule, class: u8) -> Self {
        Self {
            name: rule.name.as_str().into(),
            class,
            when: rule.when,
            hold_ns: rule.hold_ns,
            holds: None,
            against_ns: None,
            on: false,
            counts: [0; 2],
        }
    }

    /// Takes the share of the next frame in; tells if the rule changes with it.
    fn look(&mut self, pts_ns: u64, share: f64) -> Option<RuleState> {
        let seen = self.when.holds(share);
        // A level that is there from the start counts from the first frame; an event needs a change.
        let held = *self.holds.get_or_insert(self.when.is_event() && seen);
        if seen == held {
            self.against_ns = None;
            return None;
        }
        let since = *self.against_ns.get_or_insert(pts_ns);
        if pts_ns.saturating_sub(since) < self.hold_ns {
            return None;
        }
        (self.holds, self.against_ns) = (Some(seen), None);
        if seen == self.on {
            return None; // what was there from the start has gone: nobody was told that it had come
        }
        self.on = seen;
        self.counts[usize::from(!seen)] += 1;
        Some(if seen { RuleState::On } else { RuleState::Off })
    }
}

impl Watch {
    /// Watches these zones. Rules about classes that there are not ([`unknown_classes`]) are left out.
    pub fn new(zones: &[Zone], classes: &[Class]) -> Self {
        let class_of = |rule: &Rule| classes.iter().find(|c| c.name == rule.class && !c.ignore);
        let watched = |zone: &Zone| Watched {
            name: zone.name.as_str().into(),
            polygon: zone.polygon.clone(),
            area: Area::new(&[], 0, 0),
            rules: zone.rules.iter().filter_map(|r| Some(Guard::new(r, class_of(r)?.id))).collect(),
        };
        Self {
            zones: zones.iter().map(watched).collect(),
            counted: classes.iter().filter(|c| !c.ignore).map(|c| c.id).collect(),
            size: (0, 0),
        }
    }

    /// Takes the next frame in.
    pub fn look(&mut self, frame: u64, pts_ns: u64, map: &ClassMap) -> Look {
        if self.size != (map.width, map.height) {
            self.size = (map.width, map.height);
            for zone in &mut self.zones {
                zone.area = Area::new(&zone.polygon, map.width, map.height);
            }
        }
        let mut look = Look::default();
        for zone in &mut self.zones {
            let mut counts = [0; 256];
            for run in &zone.area.runs {
                count(&map.ids[run.clone()], &mut counts);
            }
            let share_of = |class: u8| share(counts[usize::from(class)], zone.area.pixels);
            for rule in &mut zone.rules {
                let share = share_of(rule.class);
                look.events.extend(rule.look(pts_ns, share).map(|state| Event {
                    pts_ns,
                    frame,
                    zone: zone.name.to_string(),
                    rule: rule.name.to_string(),
                    state,
                    share: super::written(share),
                }));
            }
            look.zones.push(ZoneLook {
                name: zone.name.clone(),
                shares: self.counted.iter().map(|class| share_of(*class)).collect(),
                on: zone.rules.iter().filter(|r| r.on).map(|r| r.name.clone()).collect(),
            });
        }
        look
    }

    /// How often each rule changed.
    pub fn report(&self) -> Vec<RuleReport> {
        let rules = self.zones.iter().flat_map(|zone| zone.rules.iter().map(move |rule| (zone, rule)));
        let report = |(zone, rule): (&Watched, &Guard)| RuleReport {
            zone: zone.name.to_string(),
            rule: rule.name.to_string(),
            on: rule.counts[0],
            off: rule.counts[1],
        };
        rules.map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn classes() -> Vec<Class> {
        let class = |id: u8, name: &str, ignore| Class {
            id,
            name: name.into(),
            color: "#ffffff".parse().unwrap(),
            ignore,
            background: false,
        };
        vec![class(0, "road", false), class(4, "car", false), class(7, "void", true)]
    }

    fn zone(when: When, hold_ms: u64) -> Zone {
        Zone {
            name: "lane".into(),
            polygon: vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]],
            rules: vec![Rule {
                name: "rule".into(),
                class: "car".into(),
                when,
                hold_ns: hold_ms * MS,
            }],
        }
    }

    /// A map of ten pixels, so many of them cars.
    fn cars(n: usize) -> ClassMap {
        let mut ids = vec![0; 10];
        ids[..n].fill(4);
        ClassMap { width: 10, height: 1, ids }
    }

    /// Shows so many cars of ten pixels a frame, 100 ms apart; gives the frames at which the rule changed, negative for off.
    fn changes(when: When, hold_ms: u64, shown: &[usize]) -> Vec<i64> {
        let mut watch = Watch::new(&[zone(when, hold_ms)], &classes());
        let mut changes = Vec::new();
        for (k, n) in shown.iter().enumerate() {
            for event in watch.look(k as u64, k as u64 * 100 * MS, &cars(*n)).events {
                assert_eq!((event.frame, event.pts_ns), (k as u64, k as u64 * 100 * MS));
                assert_eq!(event.share, *n as f64 / 10.0);
                changes.push(if event.state == RuleState::On { k as i64 } else { -(k as i64) });
            }
        }
        let report = watch.report();
        let count = |sign: bool| changes.iter().filter(|c| (**c >= 0) == sign).count() as u64;
        assert_eq!((report[0].on, report[0].off), (count(true), count(false)));
        changes
    }

    #[test]
    fn a_level_is_on_as_long_as_it_holds_also_from_the_first_frame() {
        assert_eq!(changes(When::Above(0.3), 0, &[4, 3, 2, 5, 5, 1]), [0, -1, 3, -5]);
        assert_eq!(
            changes(When::Below(0.3), 0, &[3, 2, 2, 3, 9]),
            [1, -3],
            "just the limit is not below it"
        );
    }

    #[test]
    fn a_rule_changes_after_the_opposite_held_long_enough_without_a_break() {
        let shown = [0, 5, 5, 0, 5, 5, 5, 5, 0, 0, 5, 0, 0, 0, 0];
        assert_eq!(changes(When::Above(0.3), 200, &shown), [6, -13]);
        assert_eq!(changes(When::Above(0.3), 201, &shown), [7, -14]);
        assert_eq!(changes(When::Above(0.3), 10_000, &shown), [0; 0]);
    }

    #[test]
    fn what_is_there_from_the_start_has_not_entered_and_what_is_not_has_not_left() {
        assert_eq!(changes(When::Enters(0.01), 0, &[3, 3, 0, 0, 3, 0]), [4, -5]);
        assert_eq!(changes(When::Leaves(0.01), 0, &[0, 0, 3, 0, 0, 3]), [3, -5]);
        assert_eq!(changes(When::Enters(0.01), 100, &[0, 3, 0, 3, 3, 3, 0, 3, 0, 0]), [4, -9]);
        assert_eq!(
            changes(When::Leaves(0.2), 100, &[9, 2, 2, 2, 9, 9]),
            [2, -5],
            "fallen to the limit is left"
        );
    }

    #[test]
    fn time_is_that_of_the_frames_not_their_number() {
        let mut watch = Watch::new(&[zone(When::Above(0.3), 1000)], &classes());
        let at = [(0, 0), (5, 100), (5, 1099), (5, 1100), (0, 1101), (0, 5000)];
        let events = at
            .iter()
            .enumerate()
            .flat_map(|(k, (n, ms))| watch.look(k as u64, ms * MS, &cars(*n)).events);
        assert_eq!(events.map(|e| e.frame).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn shares_are_those_of_the_zone_and_rules_on_are_named() {
        let mut half = zone(When::Above(0.5), 0);
        half.polygon = vec![[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]];
        let mut watch = Watch::new(&[half, zone(When::Above(0.5), 0)], &classes());
        let mut map = cars(4);
        map.ids[4] = 7;
        let look = watch.look(0, 0, &map);
        assert_eq!(look.zones[0].shares, [0.0, 0.8], "what does not count has no share but takes room");
        assert_eq!((look.zones[0].on.len(), look.zones[1].on.len(), look.events.len()), (1, 0, 1));
        // A map of another size is looked at with other pixels.
        let small = ClassMap {
            width: 2,
            height: 1,
            ids: vec![0, 4],
        };
        assert_eq!(watch.look(1, 1, &small).zones[0].shares, [1.0, 0.0]);
    }

    #[test]
    fn classes_that_there_are_not_are_told_with_those_there_are() {
        let mut zones = vec![zone(When::Above(0.5), 0), zone(When::Above(0.5), 0)];
        zones[1].rules[0].class = "void".into();
        let unknown = unknown_classes(&zones, &classes());
        let line = "there is no class \"void\"; the model has road, car";
        assert_eq!(unknown, [("zone[1].rule[0].class".to_owned(), line.to_owned())]);
    }

    #[test]
    fn zones_that_make_no_sense_are_refused() {
        let good = zone(When::Above(0.5), 0);
        let check = |change: &dyn Fn(&mut Zone)| {
            let mut bad = good.clone();
            change(&mut bad);
            Zone::check_all(&[bad]).unwrap_err()
        };
        Zone::check_all(std::slice::from_ref(&good)).unwrap();
        assert!(Zone::check_all(&[good.clone(), good.clone()]).unwrap_err().contains("another one"));
        assert!(check(&|z| z.polygon.truncate(2)).contains("at least 3"));
        assert!(check(&|z| z.polygon[1][0] = 1.5).contains("[1.5, 0]"));
        assert!(check(&|z| z.polygon[1][0] = f64::NAN).contains("from 0 to 1"));
        assert!(check(&|z| z.polygon = vec![[0.1, 0.1], [0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]).contains("one line"));
        assert!(check(&|z| z.name.clear()).contains("no name"));
        assert!(check(&|z| z.rules.push(z.rules[0].clone())).contains("names of their own"));
        assert!(check(&|z| z.rules[0].when = When::Below(0.0)).contains("above 0"));
        assert!(check(&|z| z.rules[0].when = When::Enters(1.0)).contains("below 1"));
    }
}
