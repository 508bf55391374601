//! One giver, any number of takers, and none of them can hold up the giver or another taker.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Gives every item to every subscriber. A subscriber whose queue is full loses the oldest in it.
#[derive(Debug)]
pub(crate) struct Hub<T> {
    /// `None` after the end.
    desks: Mutex<Option<Vec<Desk<T>>>>,
}

#[derive(Debug)]
struct Desk<T> {
    tx: Sender<T>,
    /// The subscriber's own queue, to take the oldest out of it.
    rx: Receiver<T>,
    dropped: Arc<AtomicU64>,
    order: Order,
    /// Gone when the subscriber is.
    alive: std::sync::Weak<()>,
}

/// Whether a subscriber has what the next item builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Nothing yet.
    New,
    Whole,
    /// Something was lost.
    Broken,
}

/// The queue of one subscriber.
#[derive(Debug)]
pub(crate) struct Subscription<T> {
    rx: Receiver<T>,
    dropped: Arc<AtomicU64>,
    _alive: Arc<()>,
}

/// What a subscriber found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    Item(T),
    /// Nothing came in the time that it waited.
    Nothing,
    /// Nothing will come any more.
    End,
}

impl<T> Default for Hub<T> {
    fn default() -> Self {
        Self {
            desks: Mutex::new(Some(Vec::new())),
        }
    }
}

impl<T: Clone> Hub<T> {
    fn desks(&self) -> MutexGuard<'_, Option<Vec<Desk<T>>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A queue for so many items; what is given from now on comes there.
    pub fn subscribe(&self, depth: usize) -> Subscription<T> {
        let (tx, rx) = bounded(depth.max(1));
        let (dropped, alive) = (Arc::<AtomicU64>::default(), Arc::new(()));
        if let Some(desks) = &mut *self.desks() {
            desks.push(Desk {
                tx,
                rx: rx.clone(),
                dropped: dropped.clone(),
                order: Order::New,
                alive: Arc::downgrade(&alive),
            });
        }
        Subscription {
            rx,
            dropped,
            _alive: alive,
        }
    }

    /// Gives an item to everybody, at once.
    pub fn give(&self, item: &T) {
        let mut desks = self.desks();
        let Some(desks) = &mut *desks else { return };
        desks.retain(|desk| desk.alive.strong_count() > 0);
        for desk in desks {
            let mut item = item.clone();
            while let Err(TrySendError::Full(again)) = desk.tx.try_send(item) {
                if desk.rx.try_recv().is_ok() {
                    desk.dropped.fetch_add(1, Ordering::Relaxed);
                }
                item = again;
            }
        }
    }

    /// Gives an item that builds on those before it, unless it `begins` anew. A subscriber whose queue is full keeps what is
    /// in it and gets nothing more until an item that begins; neither does a new one.
    pub fn give_in_order(&self, item: &T, begins: bool) {
        let mut desks = self.desks();
        let Some(desks) = &mut *desks else { return };
        desks.retain(|desk| desk.alive.strong_count() > 0);
        for desk in desks {
            match desk.order {
                Order::New if !begins => continue,
                Order::Broken if !begins => {}
                _ if desk.tx.try_send(item.clone()).is_ok() => {
                    desk.order = Order::Whole;
                    continue;
                }
                _ => desk.order = Order::Broken,
            }
            desk.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        let alive = |desks: &Vec<Desk<T>>| desks.iter().filter(|desk| desk.alive.strong_count() > 0).count();
        self.desks().as_ref().map_or(0, alive)
    }

    /// Nothing will come any more: subscribers find the end behind what still waits for them.
    pub fn end(&self) {
        *self.desks() = None;
    }
}

impl<T> Subscription<T> {
    /// Waits so long for the next item.
    pub fn next(&self, wait: Duration) -> Next<T> {
        match self.rx.recv_timeout(wait) {
            Ok(item) => Next::Item(item),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    /// How many items were lost because they were not taken in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T>(of: &Subscription<T>) -> Vec<T> {
        let next = || match of.next(Duration::ZERO) {
            Next::Item(item) => Some(item),
            Next::Nothing | Next::End => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_slow_subscriber_loses_the_oldest_and_others_nothing() {
        let hub = Hub::default();
        let (slow, fast) = (hub.subscribe(2), hub.subscribe(8));
        (1..=5).for_each(|n| hub.give(&n));
        assert_eq!((all(&slow), slow.dropped()), (vec![4, 5], 3));
        assert_eq!((all(&fast), fast.dropped()), (vec![1, 2, 3, 4, 5], 0));
    }

    #[test]
    fn what_builds_on_something_lost_is_not_given() {
        let hub = Hub::default();
        let (slow, fast) = (hub.subscribe(2), hub.subscribe(8));
        let give = |n: &u32| hub.give_in_order(n, n.is_multiple_of(10));
        [9, 10, 11, 12, 13].iter().for_each(give);
        assert_eq!((all(&slow), slow.dropped()), (vec![10, 11], 2));
        [14, 20, 21].iter().for_each(give);
        assert_eq!((all(&slow), slow.dropped()), (vec![20, 21], 3));
        assert_eq!((all(&fast), fast.dropped()), (vec![10, 11, 12, 13, 14, 20, 21], 0));
    }

    #[test]
    fn whoever_leaves_is_forgotten_and_the_end_comes_behind_what_waits() {
        let hub = Hub::default();
        let (stays, leaves) = (hub.subscribe(4), hub.subscribe(4));
        assert_eq!(hub.subscribers(), 2);
        drop(leaves);
        assert_eq!(hub.subscribers(), 1);
        hub.give(&7);
        hub.end();
        hub.give(&8);
        assert_eq!(stays.next(Duration::ZERO), Next::Item(7));
        assert_eq!(stays.next(Duration::ZERO), Next::End);
        assert_eq!(hub.subscribe(1).next(Duration::ZERO), Next::End);
    }
}
