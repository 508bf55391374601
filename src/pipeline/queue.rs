//! Queues between stages. Where several threads work at a stage, items are dealt to them in turn and taken back in turn, so
//! that order is kept by construction. What the stage has nothing to do with goes around it.

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};

/// One queue of this depth for each of so many threads.
pub(super) fn queues<T>(threads: usize, depth_frames: usize) -> (Vec<Sender<T>>, Vec<Receiver<T>>) {
    (0..threads).map(|_| bounded(depth_frames)).unzip()
}

/// Where a stage puts what it has made.
pub(super) trait Put<T>: Send {
    /// Waits for room. False when the next stage has left, which reports why itself.
    fn put(&mut self, item: T) -> bool;
}

/// Where a stage takes from.
pub(super) trait Take<T>: Send {
    /// The next item, with the number of those that wait behind it; `None` when no more will come.
    fn take(&mut self) -> Option<(T, usize)>;
}

/// Deals to the threads of the next stage in turn.
pub(super) struct Outbox<T> {
    queues: Vec<Sender<T>>,
    turn: usize,
}

impl<T> Outbox<T> {
    pub fn new(queues: Vec<Sender<T>>) -> Self {
        Self { queues, turn: 0 }
    }
}

impl<T: Send> Put<T> for Outbox<T> {
    fn put(&mut self, item: T) -> bool {
        let queue = &self.queues[self.turn];
        self.turn = (self.turn + 1) % self.queues.len();
        queue.send(item).is_ok()
    }
}

/// Takes from the threads of the stage before in turn.
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
}

impl<T: Send> Take<T> for Inbox<T> {
    /// Since items are dealt in turn, nothing can follow behind the first queue that is empty and closed.
    fn take(&mut self) -> Option<(T, usize)> {
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

/// Through a stage, or around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way<A, B> {
    Through(A),
    Around(B),
}

/// The way around a stage.
pub(super) struct Bypass<B> {
    tx: Sender<B>,
    rx: Receiver<B>,
    /// Whether each item in its turn goes around.
    order: (Sender<bool>, Receiver<bool>),
}

impl<B> Bypass<B> {
    /// A way around for at most so many items at once.
    pub fn new(depth_frames: usize) -> Self {
        let (tx, rx) = bounded(depth_frames);
        Self {
            tx,
            rx,
            order: unbounded(), // never longer than what is under way
        }
    }

    /// Its beginning, beside the queues of the stage, and its end, beside those behind it.
    pub fn around<A, C>(self, before: Outbox<A>, behind: Inbox<C>) -> (Fork<A, B>, Join<C, B>) {
        let fork = Fork {
            through: before,
            around: self.tx,
            order: self.order.0,
        };
        let join = Join {
            through: behind,
            around: self.rx,
            order: self.order.1,
        };
        (fork, join)
    }
}

/// Where ways part.
pub(super) struct Fork<A, B> {
    through: Outbox<A>,
    around: Sender<B>,
    order: Sender<bool>,
}

impl<A: Send, B: Send> Put<Way<A, B>> for Fork<A, B> {
    fn put(&mut self, item: Way<A, B>) -> bool {
        match item {
            Way::Through(item) => self.order.send(false).is_ok() && self.through.put(item),
            Way::Around(item) => self.order.send(true).is_ok() && self.around.send(item).is_ok(),
        }
    }
}

/// Where ways meet again, in the order in which they parted.
pub(super) struct Join<A, B> {
    through: Inbox<A>,
    around: Receiver<B>,
    order: Receiver<bool>,
}

impl<A: Send, B: Send> Take<Way<A, B>> for Join<A, B> {
    fn take(&mut self) -> Option<(Way<A, B>, usize)> {
        if self.order.recv().ok()? {
            let item = self.around.recv().ok()?;
            return Some((Way::Around(item), self.around.len()));
        }
        self.through.take().map(|(item, waiting)| (Way::Through(item), waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 0 to 99 through three threads of different speeds, those that `around` says around them; gives what comes out.
    fn through_three(around: fn(i32) -> bool) -> Vec<i32> {
        let (tx, rx) = queues(3, 1);
        let (done, back) = queues(3, 1);
        let (mut fork, mut join) = Bypass::new(4).around(Outbox::new(tx), Inbox::new(back));
        let dealt = std::thread::spawn(move || (0..100).all(|n| fork.put(if around(n) { Way::Around(n) } else { Way::Through(n) })));
        for (worker, (rx, done)) in rx.into_iter().zip(done).enumerate() {
            std::thread::spawn(move || {
                for n in rx {
                    (0..100 * worker).for_each(|_| std::thread::yield_now());
                    done.send(n).unwrap();
                }
            });
        }
        let out = std::iter::from_fn(|| join.take()).map(|(way, _)| match way {
            Way::Through(n) | Way::Around(n) => n,
        });
        let out = out.collect();
        assert!(dealt.join().unwrap());
        out
    }

    #[test]
    fn threads_of_any_speed_keep_the_order() {
        assert_eq!(through_three(|_| false), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_goes_around_keeps_its_place() {
        assert_eq!(through_three(|n| n % 7 != 0), (0..100).collect::<Vec<_>>());
        assert_eq!(through_three(|_| true), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_puts_learns_that_nobody_takes() {
        let (tx, rx) = queues(2, 1);
        drop(rx);
        assert!(!Outbox::new(tx).put(1));
    }
}
