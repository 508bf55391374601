//! What a run shares with the host that runs many.

use crate::gate::Gate;
use crate::infer::{ProviderReport, Segmenter, SessionOptions, SharedNet};
use crate::messages::{Event, MessageOptions, Zone};
use crate::overlay::OverlayOptions;
use crate::publish::Publisher;
use crate::stats::pulse::Pulse;
use anyhow::Result;
use maskline_models::{Class, Fit, Model};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a run shares with the host that runs many. Clones share it.
#[derive(Clone)]
pub(crate) struct Hosting {
    pub pulse: Arc<Pulse>,
    /// Where frames are shown.
    pub publisher: Arc<Publisher>,
    /// What may change while they come.
    pub looks: Arc<Looks>,
    pub nets: Arc<dyn Lender>,
    pub ear: Arc<dyn Ear>,
}

/// Has nets that several streams use together.
pub(crate) trait Lender: Send + Sync {
    /// This net at this size.
    ///
    /// # Errors
    /// Those of [`crate::infer::OnnxSegmenter::open`].
    fn lend(&self, model: &Model, head: Option<&str>, fit: Fit, options: &SessionOptions) -> Result<Lent>;
}

/// A net that others may use too.
pub(crate) struct Lent {
    pub net: Box<dyn Segmenter>,
    /// What runs it.
    pub provider: ProviderReport,
    /// Where frames wait for their turn, if it is shared.
    pub turns: Option<Gate>,
}

impl Lent {
    /// One more taker of a shared net.
    pub fn from_shared(net: &Arc<SharedNet>, provider: ProviderReport) -> Self {
        Self {
            net: net.client(),
            provider,
            turns: Some(net.turns()),
        }
    }
}

/// Hears what a stream has to say.
pub(crate) trait Ear: Send + Sync {
    /// Name of the stream.
    fn name(&self) -> &str;
    /// The classes of the net, before the first frame.
    fn classes(&self, classes: &[Class]);
    /// A rule of a zone changed.
    fn event(&self, event: &Event);
    /// Whether somebody wants lines at all.
    fn wants_lines(&self) -> bool;
    /// A line of JSON about one frame, without its end.
    fn line(&self, line: Vec<u8>);
}

/// What may change while frames come.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Look {
    pub overlay: OverlayOptions,
    pub zones: Vec<Zone>,
    pub messages: MessageOptions,
}

/// The newest [`Look`].
#[derive(Debug)]
pub(crate) struct Looks {
    now: Mutex<Look>,
    version: AtomicU64,
}

impl Looks {
    pub fn new(look: Look) -> Self {
        Self {
            now: Mutex::new(look),
            version: AtomicU64::new(1),
        }
    }

    /// From now on it is this.
    pub fn set(&self, look: Look) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = look;
        self.version.fetch_add(1, Ordering::Release);
    }

    pub fn get(&self) -> Look {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The look, if it is newer than the version that was `seen`.
    pub fn newer(&self, seen: &mut u64) -> Option<Look> {
        let version = self.version.load(Ordering::Acquire);
        (version != *seen).then(|| {
            *seen = version;
            self.get()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_by_everybody() {
        let looks = Looks::new(Look::default());
        let (mut one, mut other) = (0, 0);
        assert!(looks.newer(&mut one).is_some() && looks.newer(&mut one).is_none());
        let mut look = looks.get();
        look.overlay.alpha = 0.25;
        looks.set(look.clone());
        assert_eq!((looks.newer(&mut one), looks.newer(&mut one)), (Some(look.clone()), None));
        assert_eq!(looks.newer(&mut other), Some(look));
    }
}
