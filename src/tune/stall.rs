//! Notices that this process stood still: stopped by a signal, or on a machine that slept or had no time for it. Figures of
//! such a run say nothing.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it looks.
const TICK: Duration = Duration::from_millis(50);

/// Watches from its start to its end.
pub(super) struct StallWatch {
    end: Sender<()>,
    thread: JoinHandle<Duration>,
}

impl StallWatch {
    pub fn start() -> Self {
        let (end, ended) = channel();
        let watch = move || {
            let mut longest = Duration::ZERO;
            loop {
                let began = Instant::now();
                if ended.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                    return longest;
                }
                longest = longest.max(began.elapsed().saturating_sub(TICK));
            }
        };
        Self {
            end,
            thread: thread::spawn(watch),
        }
    }

    /// The longest time by which it woke up too late.
    pub fn end(self) -> Duration {
        drop(self.end);
        self.thread.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_has_not_stood_still_for_as_long_as_it_ran() {
        let began = Instant::now();
        let watch = StallWatch::start();
        thread::sleep(4 * TICK);
        let longest = watch.end();
        assert!(longest < began.elapsed() - TICK, "{longest:?}");
    }
}
