//! How many sessions of a net run side by side.
//!
//! On the CPU two sessions with half of the threads each beat one with all of them: where the threads of one wait for each
//! other at the end of every operator, the other one computes (docs/decisions/008).

use crate::infer::{OnnxSegmenter, Provider, ProviderReport, Segmenter, SessionOptions};
use anyhow::Result;
use maskline_models::{Fit, Model};

/// Opens the sessions that take frames in turn, and says what runs them.
///
/// # Errors
/// Those of [`OnnxSegmenter::open`].
pub(crate) fn open(
    model: &Model,
    head: Option<&str>,
    fit: Fit,
    options: &SessionOptions,
) -> Result<(Vec<Box<dyn Segmenter>>, ProviderReport)> {
    let (sessions, threads) = match options.provider {
        Provider::Auto | Provider::Cpu => split(cores(options), model.contract.states.is_empty()),
        _ => (1, cores(options)),
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
    if sessions > 1 && report.taken == Provider::OpenVino.as_str() {
        first = open(model, Provider::OpenVino, cores(options))?; // it shares its threads among operators by itself
    }
    let mut all: Vec<Box<dyn Segmenter>> = vec![Box::new(first)];
    if sessions > 1 && report.taken == Provider::Cpu.as_str() {
        // The first has compared the golden samples; doing it again costs time and memory.
        let mut same = model.clone();
        same.contract.goldens.clear();
        all.push(Box::new(open(&same, Provider::Cpu, threads)?));
    }
    Ok((all, report))
}

/// Sessions, and threads for each. A net with a memory must see all frames in one session.
fn split(threads: usize, independent: bool) -> (usize, usize) {
    if independent && threads > 1 {
        (2, threads.div_ceil(2))
    } else {
        (1, threads)
    }
}

fn cores(options: &SessionOptions) -> usize {
    let here = || std::thread::available_parallelism().map_or(1, Into::into);
    options.threads.unwrap_or_else(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_are_used_and_a_net_with_a_memory_stays_in_one_session() {
        assert_eq!(split(1, true), (1, 1));
        assert_eq!(split(2, true), (2, 1));
        assert_eq!(split(5, true), (2, 3));
        assert_eq!(split(8, false), (1, 8));
    }
}
