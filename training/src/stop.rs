//! Ctrl-C and the like: at once, or after what has to be saved.

use crate::error::Kind;
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What SIGINT and SIGTERM do. The first one leaves at once (exit code 130 or 143), unless something is [held](Stop::hold) that it can be
/// asked to end; the second one always does.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

impl Stop {
    /// That no signal reaches. With `asked` it is as after the first one.
    pub fn deaf(asked: bool) -> Self {
        Self {
            asked: Arc::new(AtomicBool::new(asked)),
            terminated: Arc::new(AtomicBool::new(false)),
            at_once: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Of this process.
    ///
    /// # Errors
    /// If the system takes no handler.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::deaf(false);
        let signals = [
            (signal_hook::consts::SIGINT, Kind::Interrupted),
            (signal_hook::consts::SIGTERM, Kind::Terminated),
        ];
        signal_hook::flag::register(signal_hook::consts::SIGTERM, stop.terminated.clone())?;
        for (signal, kind) in signals {
            // In this order: what the first signal sets is for the second one.
            signal_hook::flag::register_conditional_shutdown(signal, kind as i32, stop.at_once.clone())?;
            signal_hook::flag::register(signal, stop.asked.clone())?;
            signal_hook::flag::register(signal, stop.at_once.clone())?;
        }
        Ok(stop)
    }

    /// Whether somebody wants an end.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// How a command ends that was asked to.
    pub fn kind(&self) -> Kind {
        if self.terminated.load(Ordering::SeqCst) {
            Kind::Terminated
        } else {
            Kind::Interrupted
        }
    }

    /// Until this is dropped the first signal only asks.
    pub fn hold(&self) -> Held<'_> {
        self.at_once.store(self.asked(), Ordering::SeqCst);
        Held(self)
    }
}

/// While it lives, whoever holds it looks at [`Stop::asked`] and ends.
#[derive(Debug)]
#[must_use = "it ends where it is dropped"]
pub struct Held<'a>(&'a Stop);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.at_once.store(true, Ordering::SeqCst);
    }
}
