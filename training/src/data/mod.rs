//! Pictures with labels: found, decoded once and kept in memory as bytes.

pub mod check;
mod clips;
mod draw;
mod layouts;
mod listing;
mod loader;
mod mapping;
mod picture;
mod synth;

pub use clips::{clips, clips_of, in_order};
pub use draw::Plan;
use listing::Listing;
pub use listing::{Pair, pictures};
pub use loader::{Batch, Loader, Recipe, Second};
pub use picture::{ClassTable, new_folder, read_ids, read_picture, write_ids, write_rgb};

use crate::config::{DataConfig, DataKind};
use crate::error::{Kind, fault};
use anyhow::Result;
use maskline_models::Class;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Lines about pictures that cannot be used, before the rest is only counted.
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

#[cfg(test)]
impl Sample {
    /// A sample without pixels.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            width: 0,
            height: 0,
            rgb: Vec::new(),
            labels: Vec::new(),
        }
    }
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
    /// Bad input (exit code 65): a missing folder, an empty list; and together, ten lines of each and how many more there are, pictures
    /// without label, labels without picture, and those with sizes that differ or ids that are no class.
    pub fn load(config: &DataConfig, classes: &[Class], size: (u32, u32)) -> Result<Self> {
        let table = table(config, classes)?;
        let samples = match (config.kind, &config.path) {
            (DataKind::Synth, None) => synth::render(config, &table, size)?,
            _ => {
                let Listing { pairs, unpaired } = listing::pairs(config)?;
                let read = pairs.par_iter().map(|pair| picture::read_pair(pair, &table, config.size));
                whole(read.collect(), unpaired)?
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

/// All samples, or what is wrong with the files: those without a partner, and those that could not be read.
fn whole(read: Vec<Result<Sample>>, unpaired: Vec<String>) -> Result<Vec<Sample>> {
    let (samples, failures): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
    let failures: Vec<_> = failures.into_iter().filter_map(Result::err).map(|e| format!("{e:#}")).collect();
    let problems = [unpaired, some_of(&failures)].concat();
    if problems.is_empty() {
        Ok(samples.into_iter().flatten().collect())
    } else {
        Err(bad(problems.join("\n")))
    }
}

/// The first lines, and how many more there are.
fn some_of(lines: &[String]) -> Vec<String> {
    let named = lines.iter().take(MOST_NAMED).cloned();
    let more = lines.len().saturating_sub(MOST_NAMED);
    let more = (more > 0).then(|| format!("and {more} more"));
    named.chain(more).collect()
}

/// The names of the pictures of an entry that is on disk.
///
/// # Errors
/// As [`Source::load`], as far as no picture is read.
pub fn names(config: &DataConfig) -> Result<Vec<String>> {
    Ok(listing::pairs(config)?.complete()?.iter().map(Pair::name).collect())
}

/// The names of all pictures that an entry's own prefixes leave; none of what is rendered in memory.
///
/// # Errors
/// As [`find`].
pub fn listed(config: &DataConfig) -> Result<Vec<String>> {
    if config.rendered() > 0 {
        return Ok(Vec::new());
    }
    let all = DataConfig {
        every: 1,
        ..config.clone()
    };
    Ok(listing::pairs(&all)?.pairs.iter().map(Pair::name).collect())
}

/// Refuses folders and lists that are not there, without a look into pictures and labels.
///
/// # Errors
/// As those of [`names`], but for files without a partner.
pub fn find(config: &DataConfig) -> Result<()> {
    match config.rendered() {
        0 => listing::pairs(config).map(drop),
        _ => Ok(()),
    }
}

/// How many pictures of the second entries are in the first ones too.
///
/// # Errors
/// As [`names`].
pub fn shared(learned: &[DataConfig], measured: &[DataConfig]) -> Result<usize> {
    let pictures = |entries: &[DataConfig]| -> Result<BTreeSet<PathBuf>> {
        let on_disk = entries.iter().filter(|entry| entry.rendered() == 0);
        let pairs = on_disk.map(|entry| listing::pairs(entry)?.complete()).collect::<Result<Vec<_>>>()?;
        let real = |pair: Pair| std::fs::canonicalize(&pair.picture).unwrap_or(pair.picture);
        Ok(pairs.into_iter().flatten().map(real).collect())
    };
    Ok(pictures(learned)?.intersection(&pictures(measured)?).count())
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

/// How often a class occurs in the pictures that are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassCount {
    /// Its pixels.
    pub pixels: u64,
    /// All labelled pixels of the pictures that it occurs in.
    pub around: u64,
}

/// How often each class occurs over all sources, weighted as they are drawn.
pub fn class_counts(sources: &[Source], classes: usize) -> Vec<ClassCount> {
    let mut counts = vec![[0.0; 2]; classes];
    for source in sources {
        let of_pictures: Vec<[u64; 256]> = source
            .samples
            .par_iter()
            .map(|sample| {
                let mut histogram = [0; 256];
                sample.labels.iter().for_each(|id| histogram[usize::from(*id)] += 1);
                histogram
            })
            .collect();
        for histogram in of_pictures {
            let labelled: u64 = histogram[..classes].iter().sum();
            for (sums, pixels) in counts.iter_mut().zip(histogram).filter(|(_, pixels)| *pixels > 0) {
                for (sum, count) in sums.iter_mut().zip([pixels, labelled]) {
                    *sum += count as f64 * source.weight;
                }
            }
        }
    }
    let count = |[pixels, around]: [f64; 2]| ClassCount {
        pixels: pixels as u64,
        around: around as u64,
    };
    counts.into_iter().map(count).collect()
}

/// A failure of data.
pub(crate) fn bad(message: impl std::fmt::Display) -> anyhow::Error {
    fault(Kind::BadInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::IGNORE;

    #[test]
    fn classes_are_counted_with_the_pictures_that_have_them_as_often_as_they_are_drawn() {
        let source = |weight, labels: [[u8; 4]; 2]| Source {
            description: String::new(),
            weight,
            samples: labels
                .map(|labels| Sample {
                    name: String::new(),
                    width: 4,
                    height: 1,
                    rgb: vec![0; 12],
                    labels: labels.to_vec(),
                })
                .into(),
        };
        let sources = [
            source(1.0, [[0, 0, 0, 1], [0, 0, IGNORE, IGNORE]]),
            source(2.0, [[1, 1, 1, IGNORE], [0, 0, 0, 0]]),
        ];
        let count = |pixels, around| ClassCount { pixels, around };
        assert_eq!(class_counts(&sources, 3), [count(13, 14), count(7, 10), count(0, 0)]);
    }
}
