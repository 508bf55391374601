//! What a courier has done so far.

use serde::Serialize;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// Counts since the start of this program, and how things stand.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = BrokerReport)]
pub struct Report {
    /// The broker, without who logs in.
    pub address: String,
    /// Messages that were given to it.
    pub sent: u64,
    /// Acknowledgements of the broker, also for messages of a run before this one.
    pub acknowledged: u64,
    /// Messages that went to the broker once more after a connection was lost: at most so many duplicates.
    pub redelivered: u64,
    /// Messages that the broker will never take, such as too large ones. They are left out.
    pub refused: u64,
    /// Messages that were lost because the spool was full, the oldest first.
    pub lost_to_bound: u64,
    /// Messages that were lost because the disk was too slow for them.
    pub lost_to_queue: u64,
    /// Messages that could not be read from the spool again.
    pub damaged: u64,
    /// Bytes at the end of the spool that the run before this one did not write to their end.
    pub torn_bytes: u64,
    /// How often the disk failed to take something.
    pub disk_failures: u64,
    /// Messages that wait in the spool or for their acknowledgement.
    pub spooled_messages: u64,
    /// Bytes of the spool's files.
    pub spooled_bytes: u64,
    /// Bytes of the spool that are in memory, since the disk took nothing.
    pub memory_bytes: u64,
    /// How many connections there were.
    pub connections: u64,
    /// How the connection is.
    #[serde(flatten)]
    pub state: State,
}

/// How the connection to a broker is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
#[schema(as = BrokerState)]
pub enum State {
    /// Messages go to the broker.
    Connected {
        /// For so many seconds.
        #[serde(rename = "for_s", serialize_with = "seconds_since")]
        #[schema(value_type = f64)]
        since: Instant,
    },
    /// Messages wait.
    Disconnected {
        /// For so many seconds.
        #[serde(rename = "for_s", serialize_with = "seconds_since")]
        #[schema(value_type = f64)]
        since: Instant,
        /// One line.
        why: String,
    },
}

impl State {
    /// Whether messages go to the broker.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// For how long.
    pub fn age(&self) -> Duration {
        match self {
            Self::Connected { since } | Self::Disconnected { since, .. } => since.elapsed(),
        }
    }
}

fn seconds_since<S: serde::Serializer>(since: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((since.elapsed().as_secs_f64() * 10.0).round() / 10.0)
}

impl Report {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            sent: 0,
            acknowledged: 0,
            redelivered: 0,
            refused: 0,
            lost_to_bound: 0,
            lost_to_queue: 0,
            damaged: 0,
            torn_bytes: 0,
            disk_failures: 0,
            spooled_messages: 0,
            spooled_bytes: 0,
            memory_bytes: 0,
            connections: 0,
            state: State::Disconnected {
                since: Instant::now(),
                why: "not connected yet".into(),
            },
        }
    }
}
