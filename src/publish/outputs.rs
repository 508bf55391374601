//! What becomes of a stream beside the page: recordings, HLS, pushes. None of them can end another, or the stream.

use super::window::Window;
use super::{Coders, Hls, HlsOptions, HlsReport, Push, PushOptions, PushReport, RecordOptions, RecordReport, Recording, Screen};
use anyhow::Result;
use serde::Serialize;
use std::sync::Arc;
use std::thread;

/// Everything that shall become of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OutputOptions {
    pub record: Vec<RecordOptions>,
    pub hls: Option<HlsOptions>,
    pub push: Vec<PushOptions>,
    /// Whether it is shown on this machine's screen.
    pub window: bool,
}

/// All of them in numbers, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct OutputsReport {
    pub record: Vec<RecordReport>,
    pub hls: Option<HlsReport>,
    pub push: Vec<PushReport>,
}

/// They run until this is dropped, which finishes what is written.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    record: Vec<Recording>,
    hls: Option<Hls>,
    push: Vec<Push>,
    _window: Option<Window>,
}

impl Outputs {
    /// Starts them under the name of the stream.
    ///
    /// # Errors
    /// 70 where no thread can be had, 69 for a window where there is no display.
    pub(crate) fn start(screen: &Arc<Screen>, coders: &Coders, stream: &str, options: &OutputOptions) -> Result<Self> {
        let record = |options: &RecordOptions| Recording::start(coders.of(options.view), stream, options.clone());
        let hls = |options: &HlsOptions| Hls::start(coders.of(options.view), stream, options.clone());
        let push = |options: &PushOptions| Push::start(coders.of(options.view), stream, options.clone());
        Ok(Self {
            record: options.record.iter().map(record).collect::<Result<_>>()?,
            hls: options.hls.as_ref().map(hls).transpose()?,
            push: options.push.iter().map(push).collect::<Result<_>>()?,
            _window: options.window.then(|| Window::open(screen, stream)).transpose()?,
        })
    }

    /// What they have done until now.
    pub(crate) fn report(&self) -> OutputsReport {
        OutputsReport {
            record: self.record.iter().map(Recording::report).collect(),
            hls: self.hls.as_ref().map(Hls::report),
            push: self.push.iter().map(Push::report).collect(),
        }
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        // All at once: each may take its time.
        thread::scope(|threads| {
            for recording in self.record.drain(..) {
                threads.spawn(|| drop(recording));
            }
            for push in self.push.drain(..) {
                threads.spawn(|| drop(push));
            }
            self.hls = None;
        });
    }
}
