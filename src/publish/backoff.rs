//! When the next attempt of an output is due.

use crate::backoff::Waits;
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// What held so long is no failure in a row any more.
const HELD: Duration = Duration::from_secs(10);

/// When the next attempt is due.
#[derive(Debug)]
pub(super) struct Backoff {
    waits: Waits,
    begun: Instant,
    due: Instant,
}

impl Default for Backoff {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            waits: Waits::new(FIRST, LONGEST),
            begun: now,
            due: now,
        }
    }
}

impl Backoff {
    /// Whether an attempt may begin now.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// An attempt begins.
    pub fn begin(&mut self) {
        self.begun = Instant::now();
    }

    /// It failed; says how long to wait: half a second, doubled each time up to 30 s, varied by a quarter so that many do not
    /// come back at once.
    pub fn failed(&mut self) -> Duration {
        if self.begun.elapsed() >= HELD {
            self.waits.begin_anew();
        }
        let wait = self.waits.next();
        self.due = Instant::now() + wait;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew_after_what_held() {
        let mut backoff = Backoff::default();
        assert!(backoff.is_due());
        let mut wanted = FIRST;
        for _ in 0..10 {
            backoff.begin();
            let wait = backoff.failed();
            assert!(wait >= wanted.mul_f64(0.74) && wait <= wanted.mul_f64(1.26), "{wait:?} {wanted:?}");
            assert!(!backoff.is_due());
            wanted = (2 * wanted).min(LONGEST);
        }
        backoff.begun = Instant::now().checked_sub(HELD).unwrap();
        assert!(backoff.failed() < 2 * FIRST);
    }
}
