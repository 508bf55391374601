//! What a run shows while it runs: a bar on a terminal, plain lines elsewhere. Both go to standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Where a run stands.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    pub epoch: u32,
    pub epochs: u32,
    pub step: usize,
    pub steps: usize,
    pub pictures: usize, // in a step
    pub loss: f32,
    pub rate: f64,
    pub miou: Option<f64>,
    pub left_s: f64,
    pub share: f64, // of the run, 0-1
}

/// Shows it.
#[derive(Debug)]
pub struct Live {
    bar: Option<ProgressBar>,
    line_every: Duration,
    last_line: Instant,
    last_step: Instant,
    images_per_s: f64,
    loss: f64,
}

const LINE_EVERY: Duration = Duration::from_secs(15);

impl Live {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{wide_bar} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar
        });
        Self {
            bar,
            line_every: LINE_EVERY,
            last_line: Instant::now(),
            last_step: Instant::now(),
            images_per_s: 0.0,
            loss: 0.0,
        }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// After a step.
    pub fn step(&mut self, status: Status) {
        let now = status.pictures as f64 / self.last_step.elapsed().as_secs_f64().max(1e-9);
        self.last_step = Instant::now();
        let fresh = status.step <= 1 || self.images_per_s == 0.0;
        let smooth = |old: f64, new: f64| if fresh { new } else { 0.9 * old + 0.1 * new };
        self.images_per_s = smooth(self.images_per_s, now);
        self.loss = smooth(self.loss, f64::from(status.loss));
        let miou = status.miou.map(|m| format!(", mIoU {:.1} %", 100.0 * m)).unwrap_or_default();
        let text = format!(
            "epoch {}/{} step {}/{}: loss {:.4}, rate {:.2e}, {:.1} images/s{miou}, {} left",
            status.epoch,
            status.epochs,
            status.step,
            status.steps,
            self.loss,
            status.rate,
            self.images_per_s,
            duration(status.left_s)
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position((1000.0 * status.share) as u64);
                bar.set_message(text);
            }
            None if self.last_line.elapsed() >= self.line_every => {
                self.last_line = Instant::now();
                eprintln!("{text}");
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `1:02:03` or `2:03`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_clock() {
        assert_eq!(duration(59.6), "1:00");
        assert_eq!(duration(3723.0), "1:02:03");
        assert_eq!(duration(-1.0), "0:00");
    }
}
