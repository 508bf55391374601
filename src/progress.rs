//! Tells how far a run is: a bar on a terminal, plain lines elsewhere. Everything goes to standard error.

use crate::console::say;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Shows how many frames are done.
pub enum Progress {
    /// Says nothing.
    Silent,
    /// Draws a bar.
    Bar(ProgressBar),
    /// Prints lines.
    Lines(Lines),
}

impl Progress {
    /// What fits where standard error goes. `total` is the number of frames, where known.
    pub fn new(quiet: bool, total: Option<u64>) -> Self {
        if quiet {
            Self::Silent
        } else if std::io::stderr().is_terminal() {
            Self::Bar(bar(total))
        } else {
            Self::Lines(Lines::new(total))
        }
    }

    /// So many frames are done.
    pub fn done(&mut self, frames: u64) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => bar.set_position(frames),
            Self::Lines(lines) => {
                if let Some(line) = lines.due(frames, Instant::now()) {
                    say(line);
                }
            }
        }
    }

    /// Says lines while the run goes on, above the bar if there is one.
    pub fn teller(&self) -> Box<dyn Fn(&str) + Send> {
        match self {
            Self::Silent => Box::new(|_| {}),
            Self::Bar(bar) => {
                let bar = bar.clone();
                Box::new(move |line| bar.println(line))
            }
            Self::Lines(_) => Box::new(|line| say(line)),
        }
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let rate = |state: &ProgressState, text: &mut dyn Write| {
        write!(text, "{:.1} frames/s", state.per_sec()).expect("a text takes everything");
    };
    let style = |text: &str| {
        let style = ProgressStyle::with_template(text).expect("a literal template that a test covers");
        style.with_key("rate", rate)
    };
    match total {
        Some(total) => ProgressBar::new(total).with_style(style(KNOWN)),
        None => ProgressBar::new_spinner().with_style(style(UNKNOWN)),
    }
}

const KNOWN: &str = "{bar:40} {pos}/{len} frames  {rate}  {eta} left";
const UNKNOWN: &str = "{spinner} {pos} frames  {rate}  {elapsed}";

/// Decides when a line is due: at the first frame after two seconds, then every two seconds or tenth of the whole, whichever
/// is rarer.
pub struct Lines {
    total: Option<u64>,
    started: Option<Instant>,
    last: Option<(Instant, u64)>,
}

const EVERY: Duration = Duration::from_secs(2);

impl Lines {
    fn new(total: Option<u64>) -> Self {
        Self {
            total,
            started: None,
            last: None,
        }
    }

    fn due(&mut self, frames: u64, now: Instant) -> Option<String> {
        let started = *self.started.get_or_insert(now);
        let (last, shown) = *self.last.get_or_insert((now, 0));
        let tenth = self.total.map_or(0, |t| t / 10);
        if now - last < EVERY || frames - shown < tenth {
            return None;
        }
        self.last = Some((now, frames));
        let rate = frames as f64 / (now - started).as_secs_f64().max(1e-6);
        Some(match self.total {
            Some(total) => {
                let left = total.saturating_sub(frames) as f64 / rate.max(1e-6);
                let percent = 100 * frames / total.max(1);
                format!("{frames}/{total} frames ({percent} %), {rate:.1} frames/s, {} left", clock(left))
            }
            None => format!("{frames} frames, {rate:.1} frames/s"),
        })
    }
}

/// A duration as people say it.
pub(crate) fn clock(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02} h", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_every_two_seconds_or_tenth_and_tell_the_time_left() {
        let mut lines = Lines::new(Some(100));
        let start = Instant::now();
        let at = |s: f64| start + Duration::from_secs_f64(s);
        assert_eq!(lines.due(1, at(0.0)), None);
        assert_eq!(lines.due(20, at(1.9)), None);
        assert_eq!(lines.due(25, at(2.5)).unwrap(), "25/100 frames (25 %), 10.0 frames/s, 8 s left");
        assert_eq!(lines.due(30, at(6.0)), None, "less than a tenth since the last line");
        assert!(lines.due(35, at(7.0)).is_some());
    }

    #[test]
    fn without_a_total_no_time_left_is_made_up() {
        let mut lines = Lines::new(None);
        let start = Instant::now();
        lines.due(1, start);
        assert_eq!(lines.due(20, start + Duration::from_secs(2)).unwrap(), "20 frames, 10.0 frames/s");
    }

    #[test]
    fn both_bars_have_valid_templates() {
        bar(Some(5)).set_position(1);
        bar(None).set_position(1);
    }
}
