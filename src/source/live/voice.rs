//! What a source says while it runs.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Hears one line at a time; without a listener, nobody does.
#[derive(Clone, Default)]
pub struct Notices(Option<Listener>);

type Listener = Arc<dyn Fn(&str) + Send + Sync>;

impl Notices {
    /// Calls this with every line.
    pub fn to(listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Tells it, if somebody listens.
    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        if let Some(listener) = &self.0 {
            listener(&line.to_string());
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notices").field(&self.0.is_some()).finish()
    }
}

/// Says lines with the time and the name of the source.
#[derive(Debug, Clone)]
pub(super) struct Voice {
    notices: Notices,
    started: Instant,
    name: String,
}

impl Voice {
    pub fn new(notices: Notices, started: Instant, name: String) -> Self {
        Self { notices, started, name }
    }

    pub fn say(&self, text: impl fmt::Display) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.notices.say(format_args!("[{seconds:.1} s] {}: {text}", self.name));
    }
}
