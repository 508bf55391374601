//! Queues between stages. Where several threads work at a stage, items are dealt to them in turn and taken back in turn, so
//! that order is kept by construction.

use crossbeam_channel::{Receiver, Sender, bounded, select};

/// One queue of this depth for each of so many threads.
pub(super) fn queues<T>(threads: usize, depth_frames: usize) -> (Vec<Sender<T>>, Vec<Receiver<T>>) {
    (0..threads).map(|_| bounded(depth_frames)).unzip()
}

/// Where a stage puts what it has made.
pub(super) struct Outbox<T> {
    queues: Vec<Sender<T>>,
    turn: usize,
}

impl<T> Outbox<T> {
    pub fn new(queues: Vec<Sender<T>>) -> Self {
        Self { queues, turn: 0 }
    }

    /// Waits for room. False when the next stage has left, which reports why itself.
    pub fn put(&mut self, item: T) -> bool {
        let queue = &self.queues[self.turn];
        self.turn = (self.turn + 1) % self.queues.len();
        queue.send(item).is_ok()
    }
}

/// Where a stage takes from.
pub(super) struct Inbox<T> {
    queues: Vec<Receiver<T>>,
    turn: usize,
    /// Closes when the stage shall take its queue for closed.
    unless: Option<Receiver<()>>,
}

impl<T> Inbox<T> {
    pub fn new(queues: Vec<Receiver<T>>) -> Self {
        Self {
            queues,
            turn: 0,
            unless: None,
        }
    }

    pub fn unless(mut self, closed: Receiver<()>) -> Self {
        self.unless = Some(closed);
        self
    }

    /// The next item, with the number of those that wait behind it; `None` when no more will come. Since items are dealt in
    /// turn, nothing can follow behind the first queue that is empty and closed.
    pub fn next(&mut self) -> Option<(T, usize)> {
        let queue = &self.queues[self.turn];
        self.turn = (self.turn + 1) % self.queues.len();
        let item = match &self.unless {
            None => queue.recv().ok(),
            Some(unless) => select! {
                recv(queue) -> item => item.ok(),
                recv(unless) -> _ => queue.try_recv().ok(),
            },
        };
        item.map(|item| (item, queue.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_any_speed_keep_the_order() {
        let (tx, rx) = queues(3, 1);
        let (done, back) = queues(3, 1);
        let mut outbox = Outbox::new(tx);
        let dealt = std::thread::spawn(move || (0..100).all(|n| outbox.put(n)));
        for (worker, (rx, done)) in rx.into_iter().zip(done).enumerate() {
            std::thread::spawn(move || {
                for n in rx {
                    (0..100 * worker).for_each(|_| std::thread::yield_now());
                    done.send(n).unwrap();
                }
            });
        }
        let mut inbox = Inbox::new(back);
        let order: Vec<i32> = std::iter::from_fn(|| inbox.next().map(|(n, _)| n)).collect();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        assert!(dealt.join().unwrap());
    }

    #[test]
    fn whoever_puts_learns_that_nobody_takes() {
        let (tx, rx) = queues(2, 1);
        drop(rx);
        assert!(!Outbox::new(tx).put(1));
    }
}
