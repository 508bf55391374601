//! Longer and longer waits between attempts.

use std::time::Duration;

/// Waits that double up to a longest, varied by a quarter so that many who wait do not come back at once.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Waits {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// How long to wait now.
    pub fn next(&mut self) -> Duration {
        let wait = self.next.mul_f64(fastrand::f64().mul_add(0.5, 0.75));
        self.next = (2 * self.next).min(self.longest);
        wait
    }

    /// The next wait is the first again.
    pub fn begin_anew(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let ms = Duration::from_millis;
        let mut waits = Waits::new(ms(100), ms(700));
        for wanted in [100, 200, 400, 700, 700] {
            let wait = waits.next();
            assert!(
                wait >= ms(wanted).mul_f64(0.74) && wait <= ms(wanted).mul_f64(1.26),
                "{wait:?} {wanted}"
            );
        }
        waits.begin_anew();
        assert!(waits.next() <= ms(126));
    }
}
