//! What happens in the streams, told to message brokers: MQTT, NATS JetStream and Kafka.
//!
//! `send -> queue in memory -> spool on disk -> broker -> acknowledgement -> gone from the spool`: a message is kept until the
//! broker has said that it has it, so a broker that is away costs nothing as long as the spool has room (docs/operations.md).
// Without any of the protocols nothing gets as far as these.
#![cfg_attr(not(any(feature = "mqtt", feature = "nats", feature = "kafka")), allow(dead_code, unused_imports))]

mod address;
mod courier;
#[cfg(feature = "kafka")]
mod kafka;
mod link;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "nats")]
mod nats;
mod report;
mod segment;
mod spool;
mod topic;

pub use address::{Address, Protocol};
pub use courier::Courier;
pub use report::{Report, State};
pub use spool::SpoolOptions;
pub use topic::Topic;

use crate::source::Credentials;
use std::sync::Arc;

/// One broker, and what goes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerOptions {
    /// Where it is.
    pub address: Address,
    /// What the messages are called there.
    pub topic: Topic,
    /// Who logs in, where the address does not say it.
    pub credentials: Credentials,
    /// NATS: the JetStream stream that is made if the broker has none of that name; `None` for one that is there.
    pub create_stream: Option<String>,
    /// What is kept while the broker is away.
    pub spool: SpoolOptions,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Name of the stream that it is about.
    pub stream: Arc<str>,
    /// What it tells.
    pub kind: MessageKind,
    /// What is sent, as it is: one JSON object without a line end.
    pub bytes: Vec<u8>,
}

/// What a message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// What a frame shows: a JSON line (docs/schema/frame.v1.json).
    Frame,
    /// A rule of a zone began or ceased to hold.
    Event,
}

impl MessageKind {
    /// As it stands in topics: `frame` or `event`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Event => "event",
        }
    }
}
