//! Pictures with labels: found, decoded once and kept in memory as bytes.

pub mod check;
mod draw;
mod layouts;
mod listing;
mod loader;
mod mapping;
mod picture;
mod synth;

pub use draw::Plan;
pub use listing::Pair;
pub use loader::{Batch, Loader, Recipe};
pub use picture::{ClassTable, read_ids, write_rgb};

use crate::config::{DataConfig, DataKind};
use crate::error::{Kind, fault};
use anyhow::Result;
use maskline_models::Class;
use rayon::prelude::*;

/// Lines about pictures that cannot be read, before the rest is only counted.
const MOST_NAMED: usize = 10;

/// A picture and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What people call it: the picture's file stem, or the number of a scene.
    pub name: String,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
    /// `width * height` class numbers in the order of the net's scores, or [`crate::metrics::IGNORE`].
    pub labels: Vec<u8>,
}

/// All samples of one `[[data]]` entry.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is, for people.
    pub description: String,
    /// How often each sample is drawn in an epoch.
    pub weight: f64,
    /// The samples, in the order of their names.
    pub samples: Vec<Sample>,
}

impl Source {
    /// Finds and decodes one entry. `size` is that of scenes rendered in memory when the entry names none.
    ///
    /// # Errors
    /// Bad input (exit code 65) in one line: a missing folder, a picture without label or the reverse, sizes that differ, an
    /// id that is no class, an empty list.
    pub fn load(config: &DataConfig, classes: &[Class], size: (u32, u32)) -> Result<Self> {
        let table = table(config, classes)?;
        let samples = match (config.kind, &config.path) {
            (DataKind::Synth, None) => synth::render(config, &table, size)?,
            _ => {
                let pairs = listing::pairs(config)?;
                let read = pairs.par_iter().map(|pair| picture::read_pair(pair, &table, config.size));
                whole(read.collect())?
            }
        };
        Ok(Self {
            description: config.describe(),
            weight: config.weight,
            samples,
        })
    }

    /// Loads all entries.
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn load_all(configs: &[DataConfig], classes: &[Class], size: (u32, u32)) -> Result<Vec<Self>> {
        configs.iter().map(|config| Self::load(config, classes, size)).collect()
    }
}

/// All samples, or what is wrong with those that could not be read.
fn whole(read: Vec<Result<Sample>>) -> Result<Vec<Sample>> {
    let (samples, failures): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
    let samples = samples.into_iter().flatten().collect();
    let failures: Vec<_> = failures.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() {
        return Ok(samples);
    }
    let named = failures.iter().take(MOST_NAMED).map(|e| format!("{e:#}"));
    let more = failures.len().saturating_sub(MOST_NAMED);
    let more = (more > 0).then(|| format!("and {more} more"));
    Err(bad(named.chain(more).collect::<Vec<_>>().join("\n")))
}

/// From the ids in an entry's files to the classes.
fn table(config: &DataConfig, classes: &[Class]) -> Result<ClassTable> {
    match mapping::Mapping::of(config)? {
        Some(mapping) => mapping
            .table(classes)
            .map_err(|e| fault(Kind::Config, format!("{}: {e}", config.describe()))),
        None => Ok(ClassTable::new(classes)),
    }
}

/// Labelled pixels of each class over all sources, weighted as they are drawn.
pub fn class_counts(sources: &[Source], classes: usize) -> Vec<u64> {
    let mut counts = vec![0_f64; classes];
    for source in sources {
        let part = source
            .samples
            .par_iter()
            .map(|sample| {
                let mut histogram = [0_u64; 256];
                sample.labels.iter().for_each(|id| histogram[usize::from(*id)] += 1);
                histogram
            })
            .reduce(|| [0; 256], |a, b| std::array::from_fn(|i| a[i] + b[i]));
        for (sum, count) in counts.iter_mut().zip(part) {
            *sum += count as f64 * source.weight;
        }
    }
    counts.iter().map(|c| *c as u64).collect()
}

/// A failure of data.
pub(crate) fn bad(message: impl std::fmt::Display) -> anyhow::Error {
    fault(Kind::BadInput, message)
}
