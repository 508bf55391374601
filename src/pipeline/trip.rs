//! What goes with a frame from stage to stage: the room that it takes, and its trace.

use crate::gate::Pass;
use crate::log::TRACES;
use crate::stats::Stage;
use tracing::Span;

/// It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Trip {
    passes: Vec<Pass>,
    /// Disabled where nobody collects traces.
    trace: Span,
}

/// What has a frame on its way in it.
pub(super) trait Travels {
    fn trip(&self) -> &Trip;
}

impl Trip {
    /// Of a frame of a stream; one that is not hosted has no name.
    pub fn begin(stream: &str, frame: u64, passes: Vec<Pass>) -> Self {
        Self {
            passes,
            trace: tracing::trace_span!(target: TRACES, parent: None, "frame", stream, frame),
        }
    }

    /// The part of its trace that is spent in a stage.
    pub fn within(&self, stage: Stage) -> Span {
        tracing::trace_span!(target: TRACES, parent: &self.trace, "stage", otel.name = stage.name())
    }

    /// Nothing ages any more behind it: there is room for the next frame.
    pub fn make_room(&mut self) {
        self.passes.clear();
    }
}
