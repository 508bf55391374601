//! What happens to streams: kept for a while, and told to whoever listens.

use crate::privacy::shown;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Events that are kept.
const KEPT: usize = 1000;
/// Events that a listener may be behind before it misses some.
const BEHIND: usize = 256;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// The source of a stream is in another state.
    State {
        /// `connecting`, `live`, `stalled` or `lost`.
        state: String,
        /// One line.
        why: String,
    },
    /// A rule of a zone changed.
    Zone {
        /// Name of the zone.
        zone: String,
        /// Name of the rule.
        rule: String,
        /// `on` or `off`.
        state: String,
        /// Share of the zone that the class has, 0-1.
        share: f64,
    },
    /// A stream was added, changed or removed, or the pipeline file was read again.
    Config {
        /// What was done, one line.
        what: String,
    },
    /// An output has trouble, or has none any more.
    Output {
        /// One line.
        what: String,
    },
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ServeEvent {
    /// Grows by one with each event.
    pub id: u64,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// The stream, if it is about one.
    pub stream: Option<String>,
    /// Presentation time of the newest frame of the stream, in nanoseconds from its first.
    pub pts_ns: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// All events of a process.
pub struct Events {
    kept: Mutex<(u64, VecDeque<ServeEvent>)>,
    tell: broadcast::Sender<ServeEvent>,
    taker: OnceLock<Taker>,
}

/// Takes every event and does not wait.
type Taker = Box<dyn Fn(&ServeEvent) + Send + Sync>;

impl Default for Events {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            tell: broadcast::channel(BEHIND).0,
            taker: OnceLock::new(),
        }
    }
}

impl Events {
    /// Something happened to a stream whose newest frame has this time.
    pub fn add(&self, stream: Option<&str>, pts_ns: Option<u64>, what: Happening) {
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u64);
        let what = match what {
            Happening::State { state, why } => Happening::State { state, why: shown(&why) },
            Happening::Config { what } => Happening::Config { what: shown(&what) },
            Happening::Output { what } => Happening::Output { what: shown(&what) },
            zone @ Happening::Zone { .. } => zone,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let event = ServeEvent {
            id: kept.0,
            at_ms,
            stream: stream.map(str::to_owned),
            pts_ns,
            what,
        };
        kept.0 += 1;
        if kept.1.len() == KEPT {
            kept.1.pop_front();
        }
        kept.1.push_back(event.clone());
        if let Some(taker) = self.taker.get() {
            taker(&event);
        }
        // Told under the lock, so that listeners get them in order. Nobody may be listening.
        self.tell.send(event).ok();
    }

    /// From now on this takes every event as well. There is one at most.
    pub(super) fn hand_to(&self, taker: impl Fn(&ServeEvent) + Send + Sync + 'static) {
        self.taker.set(Box::new(taker)).ok();
    }

    /// The kept events from this id on, oldest first.
    pub fn since(&self, id: u64) -> Vec<ServeEvent> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.iter().filter(|e| e.id >= id).cloned().collect()
    }

    /// Hears every event from now on.
    pub fn listen(&self) -> broadcast::Receiver<ServeEvent> {
        self.tell.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_as_its_schema_says() {
        let schema = serde_json::from_str(include_str!("../../docs/schema/event.v1.json")).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let events = Events::default();
        let text = |text: &str| text.to_owned();
        let (state, why) = (text("lost"), text("gone"));
        events.add(Some("a"), Some(7), Happening::State { state, why });
        let (zone, rule, state, share) = (text("z"), text("r"), text("on"), 0.5);
        events.add(Some("a"), Some(7), Happening::Zone { zone, rule, state, share });
        events.add(None, None, Happening::Config { what: text("added") });
        events.add(None, None, Happening::Output { what: text("full") });
        for event in events.since(0) {
            let event = serde_json::to_value(event).unwrap();
            let problems: Vec<_> = schema.iter_errors(&event).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{event}: {problems:?}");
        }
        let wrong = serde_json::json!({"id": 1, "at_ms": 2, "stream": "a", "pts_ns": null, "kind": "state"});
        assert!(!schema.is_valid(&wrong), "a state has its name");
    }

    #[test]
    fn a_thousand_are_kept_listeners_hear_them_and_no_password_is_in_them() {
        let events = Events::default();
        let mut listener = events.listen();
        for n in 0..1100 {
            let what = format!("{n}: rtsp://me:hunter2@cam/1 went");
            events.add(Some("north"), Some(n), Happening::Output { what });
        }
        let kept = events.since(0);
        assert_eq!((kept.len(), kept[0].id, kept[999].id), (1000, 100, 1099));
        assert_eq!(events.since(1098).len(), 2);
        assert!(!format!("{kept:?}").contains("hunter2"));
        assert!(matches!(listener.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
        assert_eq!(listener.try_recv().unwrap().id, 1100 - BEHIND as u64);
    }
}
