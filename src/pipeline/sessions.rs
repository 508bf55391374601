//! How many sessions of a net run side by side.
//!
//! On the CPU two sessions with half of the threads each beat one with all of them: where the threads of one wait for each
//! other at the end of every operator, the other one computes (docs/decisions/008).

use crate::error::{Kind, fault};
use crate::infer::{OnnxSegmenter, Provider, ProviderReport, Segmenter, SessionOptions};
use anyhow::Result;
use maskline_models::{Fit, Model};

/// Sessions on the CPU where nobody says how many.
const SESSIONS_ON_CPU: usize = 2;

/// Opens the sessions that take frames in turn, and says what runs them. `sparse`: so few frames are inferred that two
/// inferences would hardly ever run at once; then one session with all threads gives each map sooner and takes less memory.
///
/// # Errors
/// Those of [`OnnxSegmenter::open`].
pub(crate) fn open(
    model: &Model,
    head: Option<&str>,
    fit: Fit,
    options: &SessionOptions,
    sparse: bool,
) -> Result<(Vec<Box<dyn Segmenter>>, ProviderReport)> {
    let independent = !model.contract.remembers();
    let wanted = options.sessions.filter(|_| independent);
    let on_cpu = wanted.unwrap_or(if independent && !sparse { SESSIONS_ON_CPU } else { 1 });
    let (sessions, threads) = match options.provider {
        Provider::Auto | Provider::Cpu => split(cores(options), on_cpu, options.sessions.is_some()),
        _ => (wanted.unwrap_or(1), cores(options)),
    };
    let open = |model: &Model, provider, threads| {
        let options = SessionOptions {
            provider,
            threads: Some(threads),
            ..options.clone()
        };
        OnnxSegmenter::open(model, head, fit, &options)
    };
    let mut first = open(model, options.provider, threads)?;
    let report = first.report().clone();
    let taken = report.taken.parse::<Provider>().map_err(|line| fault(Kind::Internal, line))?;
    let (sessions, threads) = match taken {
        Provider::Cpu => (sessions, threads),
        // It shares its threads among operators by itself, and a card has none.
        _ => (wanted.unwrap_or(1), cores(options)),
    };
    if taken == Provider::OpenVino && options.provider == Provider::Auto {
        first = open(model, taken, threads)?;
    }
    let mut all: Vec<Box<dyn Segmenter>> = vec![Box::new(first)];
    // The first has compared the golden samples; doing it again costs time and memory.
    let mut same = model.clone();
    same.contract.goldens.clear();
    for _ in 1..sessions {
        all.push(Box::new(open(&same, taken, threads)?));
    }
    Ok((all, report))
}

/// Sessions, and threads for each. Where nobody asked for so many, none of them gets less than a thread of its own.
fn split(threads: usize, sessions: usize, asked: bool) -> (usize, usize) {
    let sessions = if asked { sessions } else { sessions.min(threads) };
    (sessions, threads.div_ceil(sessions))
}

fn cores(options: &SessionOptions) -> usize {
    let here = || std::thread::available_parallelism().map_or(1, Into::into);
    options.threads.unwrap_or_else(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_are_used_and_no_session_is_without_one() {
        assert_eq!(split(1, 2, false), (1, 1));
        assert_eq!(split(2, 2, false), (2, 1));
        assert_eq!(split(5, 2, false), (2, 3));
        assert_eq!(split(8, 1, false), (1, 8));
        assert_eq!(split(2, 4, true), (4, 1));
    }
}
