//! One line of `--json`, and when it is due.

use super::zones::{Event, Look, ZoneLook};
use super::{ClassMask, Regions, written};
use maskline_models::Class;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What stands in every line: which of docs/schema it follows.
pub const SCHEMA: &str = "maskline.frame/1";

/// One line of `--json` (docs/formats.md, docs/schema/frame.v1.json).
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    schema: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin<'a>>,
    index: u64,
    pts_ns: u64,
    width: u32,
    height: u32,
    share: Shares<'a>,
    inference_ms: f64,
    age_frames: u32,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    regions: Option<Regions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rle: Option<Vec<ClassMask>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    zones: Option<Zones<'a>>,
}

/// Where and when a line was written, where there are several streams.
#[derive(Debug, Serialize)]
struct Origin<'a> {
    stream: &'a str,
    /// Milliseconds since 1970, UTC.
    at_ms: u64,
}

#[derive(Debug, Serialize)]
struct Zones<'a> {
    zones: Vec<ZoneLine<'a>>,
    events: &'a [Event],
}

#[derive(Debug, Serialize)]
struct ZoneLine<'a> {
    name: &'a str,
    share: Shares<'a>,
    on: Vec<&'a str>,
}

/// An object with a key a class.
#[derive(Debug)]
struct Shares<'a>(Vec<(&'a Class, f64)>);

impl Serialize for Shares<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (class, share) in &self.0 {
            map.serialize_entry(&class.name, &written(*share))?;
        }
        map.end()
    }
}

impl<'a> Line<'a> {
    /// The line of a frame of this number, time and size in pixels, with the share of every class that counts.
    pub fn new(index: u64, pts_ns: u64, (width, height): (u32, u32), share: Vec<(&'a Class, f64)>) -> Self {
        Self {
            schema: SCHEMA,
            origin: None,
            index,
            pts_ns,
            width,
            height,
            share: Shares(share),
            inference_ms: 0.0,
            age_frames: 0,
            regions: None,
            rle: None,
            zones: None,
        }
    }

    /// As one of this stream, written now.
    pub fn of(self, stream: &'a str) -> Self {
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u64);
        let origin = Some(Origin { stream, at_ms });
        Self { origin, ..self }
    }

    /// How long the net took, and how many frames away that was.
    pub fn inferred(self, inference: Duration, age_frames: u32) -> Self {
        Self {
            inference_ms: (inference.as_secs_f64() * 1e6).round() / 1e3,
            age_frames,
            ..self
        }
    }

    /// With regions.
    pub fn regions(self, regions: Option<Regions>) -> Self {
        Self { regions, ..self }
    }

    /// With masks.
    pub fn rle(self, rle: Option<Vec<ClassMask>>) -> Self {
        Self { rle, ..self }
    }

    /// With what the zones show; the classes are those of the frame's shares.
    pub fn zones(self, look: Option<&'a Look>) -> Self {
        let classes: Vec<_> = self.share.0.iter().map(|(class, _)| *class).collect();
        let zone = |zone: &'a ZoneLook| ZoneLine {
            name: &zone.name,
            share: Shares(classes.iter().copied().zip(zone.shares.iter().copied()).collect()),
            on: zone.on.iter().map(|rule| &**rule).collect(),
        };
        let zones = look.map(|look| Zones {
            zones: look.zones.iter().map(zone).collect(),
            events: &look.events,
        });
        Self { zones, ..self }
    }
}

/// Decides which frames get a line: all, or the first of every interval and those with an event.
#[derive(Debug, Default)]
pub struct Schedule {
    every_ns: Option<u64>,
    /// Number of the interval of the last frame that was due.
    last: Option<u64>,
}

impl Schedule {
    /// A line every so many nanoseconds, or one a frame.
    pub fn new(every_ns: Option<u64>) -> Self {
        Self { every_ns, last: None }
    }

    /// Whether the frame of this time gets a line. Intervals count from the start, so that lines do not drift.
    pub fn due(&mut self, pts_ns: u64, has_event: bool) -> bool {
        let Some(every_ns) = self.every_ns else { return true };
        let interval = pts_ns / every_ns.max(1);
        let due = self.last.is_none_or(|last| interval > last);
        if due {
            self.last = Some(interval);
        }
        due || has_event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{Region, RuleState};
    use serde_json::{json, to_value};

    fn class(name: &str) -> Class {
        Class {
            id: 0,
            name: name.into(),
            color: "#ffffff".parse().unwrap(),
            ignore: false,
            background: false,
        }
    }

    #[test]
    fn a_line_holds_what_was_asked_for_and_nothing_else() {
        let (road, car) = (class("road"), class("car"));
        let line = || Line::new(7, 280, (64, 48), vec![(&road, 0.25), (&car, 1.0 / 3.0)]).inferred(Duration::from_micros(11_204), 2);
        let mut wanted = json!({
            "schema": "maskline.frame/1", "index": 7, "pts_ns": 280, "width": 64, "height": 48,
            "share": {"road": 0.25, "car": 0.333333}, "inference_ms": 11.204, "age_frames": 2,
        });
        assert_eq!(to_value(line()).unwrap(), wanted);

        let region = Region {
            class: 0,
            name: "road".into(),
            area: 768,
            share: 0.25,
            bounds: [0, 1, 2, 3],
            polygon: vec![[0, 1], [2, 1], [2, 4]],
        };
        let regions = Regions {
            regions: vec![region],
            regions_left_out: 1,
        };
        let look = Look {
            zones: vec![ZoneLook {
                name: "lane".into(),
                shares: vec![0.5, 0.0],
                on: vec!["blocked".into()],
            }],
            events: vec![Event {
                pts_ns: 280,
                frame: 7,
                zone: "lane".into(),
                rule: "blocked".into(),
                state: RuleState::On,
                share: 0.5,
            }],
        };
        wanted["regions"] =
            json!([{"class": 0, "name": "road", "area": 768, "share": 0.25, "box": [0, 1, 2, 3], "polygon": [[0, 1], [2, 1], [2, 4]]}]);
        wanted["regions_left_out"] = json!(1);
        wanted["rle"] = json!([]);
        wanted["zones"] = json!([{"name": "lane", "share": {"road": 0.5, "car": 0.0}, "on": ["blocked"]}]);
        wanted["events"] = json!([{"pts_ns": 280, "frame": 7, "zone": "lane", "rule": "blocked", "state": "on", "share": 0.5}]);
        let full = line().regions(Some(regions)).rle(Some(Vec::new())).zones(Some(&look));
        assert_eq!(to_value(full).unwrap(), wanted);
    }

    #[test]
    fn a_line_an_interval_does_not_drift_and_no_event_is_left_out() {
        let lines = |every_ns, event: Option<u64>| {
            let mut schedule = Schedule::new(every_ns);
            let frames = (0..12_u64).map(|k| 40 * k + 7);
            frames.filter(|t| schedule.due(*t, event == Some(*t))).collect::<Vec<_>>()
        };
        assert_eq!(lines(None, None).len(), 12);
        assert_eq!(lines(Some(100), None), [7, 127, 207, 327, 407]);
        assert_eq!(lines(Some(100), Some(247)), [7, 127, 207, 247, 327, 407]);
        assert_eq!(lines(Some(1000), None), [7]);
    }
}
