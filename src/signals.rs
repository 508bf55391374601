//! Ctrl-C and SIGTERM: the first finishes the output, the second leaves at once.

use crate::console::say;
use crate::error::{Kind, WithKind};
use crate::source::StopFlag;
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Remembers which signal came.
#[derive(Debug, Clone, Default)]
pub struct Caught(Arc<AtomicI32>);

impl Caught {
    /// How the program ends because of it; `None` if there was none.
    pub fn kind(&self) -> Option<Kind> {
        match self.0.load(Ordering::Acquire) {
            SIGINT => Some(Kind::Interrupted),
            SIGTERM => Some(Kind::Terminated),
            _ => None,
        }
    }
}

/// The same as [`watch`], and SIGHUP raises `reload`.
///
/// # Errors
/// If the system refuses the handler.
pub fn watch_and_reload(stop: StopFlag, reload: StopFlag) -> Result<Caught> {
    let mut signals = Signals::new([SIGHUP]).context("cannot watch for signals").kind(Kind::Internal)?;
    let wait = move || signals.forever().for_each(|_| reload.request());
    std::thread::Builder::new()
        .name("reload".into())
        .spawn(wait)
        .context("cannot start the thread that waits for signals")
        .kind(Kind::Temporary)?;
    watch(stop, true)
}

/// From now on the first signal raises `stop`, and the second ends the process without a further step.
///
/// # Errors
/// If the system refuses the handler.
pub fn watch(stop: StopFlag, quiet: bool) -> Result<Caught> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .context("cannot watch for signals")
        .kind(Kind::Internal)?;
    let caught = Caught::default();
    let first = caught.clone();
    let wait = move || {
        for signal in signals.forever() {
            if first.0.swap(signal, Ordering::AcqRel) != 0 {
                low_level::exit(128 + signal);
            }
            stop.request();
            if !quiet {
                say("maskline: stopping; finishing the output (once more leaves at once)");
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
        .context("cannot start the thread that waits for signals")
        .kind(Kind::Temporary)?;
    Ok(caught)
}
