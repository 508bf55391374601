//! Lets only so many frames of live sources on their way to the net as it can take: a frame that waits before it grows old,
//! while the source would have a newer one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Room for a few frames, for who came first. Clones share it.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Shared>);

/// The room of one frame; free again when it is dropped.
#[derive(Debug)]
pub struct Pass(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Numbers are given to all who come, and let in one after the other: a channel would let who comes just now overtake who
    /// has waited, and one stream could have many turns before another has its first.
    given: u64,
    let_in: u64,
}

impl Gate {
    /// Room for so many frames.
    pub fn new(frames: usize) -> Self {
        let state = State {
            free: frames,
            given: 0,
            let_in: 0,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// Waits for room.
    pub fn enter(&self) -> Pass {
        let mut state = self.0.state();
        let number = state.given;
        state.given += 1;
        let is_not_yet = |state: &mut State| state.free == 0 || state.let_in != number;
        let waited = self.0.changed.wait_while(state, is_not_yet);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.free -= 1;
        state.let_in += 1;
        // There may be room for the next one too.
        self.0.changed.notify_all();
        Pass(self.0.clone())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.state().free += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn no_more_come_in_than_there_is_room_for() {
        let gate = Gate::new(2);
        let (first, _second) = (gate.enter(), gate.enter());
        let (tell, told) = mpsc::channel();
        let same = gate.clone();
        let third = thread::spawn(move || {
            let pass = same.enter();
            tell.send(()).unwrap();
            pass
        });
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
        drop(first);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(gate);
        drop(third.join().unwrap());
    }

    #[test]
    fn who_came_first_is_let_in_first() {
        let gate = Gate::new(1);
        let inside = gate.enter();
        let order = Mutex::new(Vec::new());
        thread::scope(|threads| {
            for number in 0..4 {
                let (gate, order) = (&gate, &order);
                threads.spawn(move || {
                    let _pass = gate.enter();
                    order.lock().unwrap().push(number);
                });
                while gate.0.state().given < number + 2 {
                    thread::yield_now();
                }
            }
            drop(inside);
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3]);
    }
}
