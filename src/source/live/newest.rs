//! A place for one thing: the newest.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Holds what was put there last.
#[derive(Debug)]
pub(super) struct Newest<T> {
    held: Mutex<Held<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Held<T> {
    item: Option<T>,
    replaced: u64,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self {
            held: Mutex::new(Held { item: None, replaced: 0 }),
            changed: Condvar::new(),
        }
    }
}

impl<T> Newest<T> {
    fn held(&self) -> MutexGuard<'_, Held<T>> {
        // It is whole whatever happened to the thread that put something there.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something there; what nobody took yet is gone.
    pub fn put(&self, item: T) {
        let mut held = self.held();
        if held.item.replace(item).is_some() {
            held.replaced += 1;
        }
        self.changed.notify_one();
    }

    /// Takes it, waiting so long for it.
    pub fn take(&self, wait: Duration) -> Option<T> {
        let waited = self.changed.wait_timeout_while(self.held(), wait, |held| held.item.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.item.take()
    }

    /// How many nobody took.
    pub fn replaced(&self) -> u64 {
        self.held().replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_there_and_the_others_are_counted() {
        let place = Newest::default();
        assert_eq!(place.take(Duration::ZERO), None);
        for n in 1..=3 {
            place.put(n);
        }
        assert_eq!((place.take(Duration::ZERO), place.replaced()), (Some(3), 2));
        assert_eq!(place.take(Duration::ZERO), None);
    }

    #[test]
    fn whoever_waits_gets_it_when_it_comes() {
        let place = Newest::default();
        std::thread::scope(|threads| {
            threads.spawn(|| place.put(1));
            assert_eq!(place.take(Duration::from_secs(10)), Some(1));
        });
    }
}
