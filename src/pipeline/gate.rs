//! Lets only so many frames of a live source on their way to the net as it can take: a frame that waits before it grows old,
//! while the source would have a newer one.

use crossbeam_channel::{Receiver, Sender, bounded};

/// A gate with room for a few frames between entry and exit.
pub(super) struct Gate {
    free: Sender<()>,
    room: Receiver<()>,
}

/// Where the source waits.
pub(super) struct Entry(Receiver<()>);

/// Where a frame leaves the room.
pub(super) struct Exit(Sender<()>);

impl Gate {
    /// Room for so many frames.
    pub fn new(frames: usize) -> Self {
        let (free, room) = bounded(frames);
        (0..frames).for_each(|_| free.send(()).expect("there is room for that many"));
        Self { free, room }
    }

    pub fn entry(&self) -> Entry {
        Entry(self.room.clone())
    }

    pub fn exit(&self) -> Exit {
        Exit(self.free.clone())
    }
}

impl Entry {
    /// Waits for room. False when no frame will ever leave any more.
    pub fn wait(&self) -> bool {
        self.0.recv().is_ok()
    }
}

impl Exit {
    /// A frame leaves, and makes room for the next.
    pub fn pass(&self) {
        // Full only if more leave than came in; then there is room anyway.
        self.0.try_send(()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn no_more_come_in_than_there_is_room_for() {
        let gate = Gate::new(2);
        let (entry, exit) = (gate.entry(), gate.exit());
        drop(gate);
        assert!(entry.wait() && entry.wait());
        let third = thread::spawn(move || (entry.wait(), entry.wait()));
        thread::sleep(Duration::from_millis(20));
        assert!(!third.is_finished());
        exit.pass();
        drop(exit);
        assert_eq!(third.join().unwrap(), (true, false), "one left, and then nobody could any more");
    }
}
