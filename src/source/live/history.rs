//! What states a live source went through.

use super::states::State;
use crate::stats::{SourceReport, StateChange, StateCounts};
use std::collections::VecDeque;
use std::time::Duration;

/// So many changes are kept; all are counted.
const KEPT: usize = 100;

/// The changes of state so far.
#[derive(Debug, Default)]
pub(super) struct History {
    changes: VecDeque<StateChange>,
    counts: StateCounts,
}

impl History {
    pub fn add(&mut self, state: State, at: Duration, why: &str) {
        let count = match state {
            State::Connecting => &mut self.counts.connecting,
            State::Live => &mut self.counts.live,
            State::Stalled => &mut self.counts.stalled,
            State::Lost => &mut self.counts.lost,
        };
        *count += 1;
        if self.changes.len() == KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back(StateChange {
            state,
            at_ms: at.as_millis() as u64,
            why: why.into(),
        });
    }

    /// Whether frames ever came.
    pub fn was_live(&self) -> bool {
        self.counts.live > 0
    }

    /// Why it is in its state.
    pub fn last_why(&self) -> &str {
        self.changes.back().map_or("", |change| &change.why)
    }

    pub fn report(&self) -> SourceReport {
        SourceReport {
            states: self.changes.iter().cloned().collect(),
            counts: self.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundred_are_kept_and_all_are_counted() {
        let mut history = History::default();
        assert!(!history.was_live());
        for n in 0..150 {
            history.add(State::Live, Duration::from_secs(n), "frames come");
            history.add(State::Lost, Duration::from_secs(n), "gone");
        }
        let report = history.report();
        assert_eq!((report.states.len(), report.states[0].at_ms), (100, 100_000));
        assert_eq!((report.counts.live, report.counts.lost, report.counts.stalled), (150, 150, 0));
        assert_eq!(history.last_why(), "gone");
    }
}
