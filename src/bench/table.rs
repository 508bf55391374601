//! The result for people.

use super::{BenchReport, StageCost, Step};
use std::fmt;

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, model, clip) = (&self.machine, &self.model, &self.clip);
        let sessions = count(self.sessions, "session");
        writeln!(f, "{machine} on {}, {sessions}", self.provider.taken)?;
        writeln!(
            f,
            "{} ({}) at {}x{}; {}: {}; {} rounds of {} frames\n",
            model.name,
            model.head,
            model.input_width,
            model.input_height,
            clip.name.as_deref().unwrap_or("a test pattern, encoded for this"),
            clip.description,
            self.rounds,
            self.frames
        )?;
        let head = ["stage", "wall ms", "p50 ms", "p95 ms", "CPU ms", "share"];
        writeln!(f, "{}", line(head.map(str::to_owned)))?;
        for cost in &self.stages {
            if cost.stage == Step::Whole {
                writeln!(f, "{}", self.sum())?;
            }
            writeln!(f, "{}", row(cost))?;
        }
        write!(f, "\n{}", self.verdict())
    }
}

impl BenchReport {
    fn whole(&self) -> Option<&StageCost> {
        self.stages.iter().find(|c| c.stage == Step::Whole)
    }

    /// The stages together, before the whole.
    fn sum(&self) -> String {
        let share = self.whole().map_or(f64::NAN, |whole| self.stages_cpu_ms / whole.cpu_ms);
        line(["sum", "", "", "", &format!("{:.2}", self.stages_cpu_ms), &percent(share)].map(str::to_owned))
    }

    fn verdict(&self) -> String {
        let whole = format!("whole: {:.1} frames/s", self.frames_per_s);
        let memory = format!("{:.0} MiB at most", self.peak_memory_mib);
        match (self.limit_frames_per_s, self.fraction) {
            (Some(limit), Some(fraction)) => format!(
                "limit: {limit:.1} frames/s = {} / CPU time of decode, infer and encode\n{whole} = {} of the limit, {memory}",
                count(self.machine.cores, "core"),
                percent(fraction)
            ),
            _ => format!(
                "limit: none by the CPU, since the net runs on {}; a frame takes {:.2} times as long in the whole as in the net alone\n{whole}, {memory}",
                self.provider.taken, self.whole_to_net
            ),
        }
    }
}

fn row(cost: &StageCost) -> String {
    let ms = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.2}"));
    line([
        cost.stage.to_string(),
        ms(Some(cost.wall_ms)),
        ms(cost.p50_ms),
        ms(cost.p95_ms),
        ms(Some(cost.cpu_ms)),
        percent(cost.share),
    ])
}

fn line([name, numbers @ ..]: [String; 6]) -> String {
    let numbers: String = numbers.iter().map(|n| format!("{n:>9}")).collect();
    format!("{name:<12}{numbers}")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
