//! Frames that come at a given rate, as a camera gives them, for the measurement of latencies.

use super::Source;
use crate::frame::Frame;
use anyhow::Result;
use std::thread;
use std::time::{Duration, Instant};

/// Holds each frame of another source back until its time has come.
///
/// A frame arrives when it is due, also where nobody is ready to take it: a camera does not wait, and time that a frame
/// spends before a full queue counts.
pub(crate) struct Paced {
    source: Box<dyn Source>,
    frame: Duration,
    /// When the next frame arrives.
    due: Option<Instant>,
}

impl Paced {
    /// So many frames per second, above 0.
    pub fn new(source: Box<dyn Source>, frames_per_s: f64) -> Self {
        Self {
            source,
            frame: Duration::from_secs_f64(1.0 / frames_per_s),
            due: None,
        }
    }
}

impl Source for Paced {
    fn next(&mut self) -> Result<Option<Frame>> {
        let Some(frame) = self.source.next()? else { return Ok(None) };
        let now = Instant::now();
        let due = self.due.unwrap_or(now);
        thread::sleep(due.saturating_duration_since(now));
        self.due = Some(due + self.frame);
        Ok(Some(Frame { arrived: due, ..frame }))
    }

    fn dropped(&self) -> u64 {
        self.source.dropped()
    }

    fn too_old(&self) -> u64 {
        self.source.too_old()
    }

    fn lost_ns(&self) -> u64 {
        self.source.lost_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{self, SourceOptions};

    #[test]
    fn frames_come_when_they_are_due_and_wait_for_nobody() {
        let options = SourceOptions {
            frames: Some(6),
            ..SourceOptions::default()
        };
        let pattern = source::open("test:smpte?width=64&height=48", &options).unwrap();
        let mut paced = Paced::new(pattern.frames, 100.0);
        let mut frames = Vec::new();
        while let Some(frame) = paced.next().unwrap() {
            assert!(frame.arrived <= Instant::now(), "no frame comes before its time");
            if frames.is_empty() {
                thread::sleep(Duration::from_millis(30)); // whoever takes frames is busy
            }
            frames.push(frame);
        }
        assert_eq!(frames.len(), 6);
        for pair in frames.windows(2) {
            assert_eq!(pair[1].arrived - pair[0].arrived, Duration::from_millis(10));
        }
    }
}
