//! What each protocol has to do: connect, send, and say what the broker has.

use super::MessageKind;
use anyhow::Result;
use std::time::Duration;

/// Most messages that were sent and not answered yet.
pub(super) const WINDOW: usize = 128;
/// A broker that takes longer than this to answer has gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A message on its way to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parcel {
    /// What its receipt names.
    pub number: u64,
    /// What consumers tell duplicates by.
    pub id: String,
    pub stream: String,
    pub kind: MessageKind,
    pub bytes: Vec<u8>,
}

/// What the broker says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Receipt {
    /// It has it.
    Acknowledged(u64),
    /// It will never take it, for this reason.
    Refused(u64, String),
}

/// A broker that can be connected to, over and over.
pub(super) trait Broker {
    type Link: Link;

    /// Connects and logs in.
    ///
    /// # Errors
    /// One line on why it could not be done now.
    async fn connect(&mut self) -> Result<Self::Link>;
}

/// One connection. After an error it is of no use any more.
pub(super) trait Link {
    /// Sends a message, behind those before it.
    ///
    /// # Errors
    /// One line on why the connection is over.
    async fn publish(&mut self, parcel: Parcel) -> Result<()>;

    /// Waits for what the broker says next, of any message. What it waited for is not lost when it is cancelled.
    ///
    /// # Errors
    /// One line on why the connection is over.
    async fn receipt(&mut self) -> Result<Receipt>;
}
