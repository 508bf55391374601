//! What a data set holds.

use super::{Sample, Source, clips};
use crate::config::DataConfig;
use crate::metrics::{IGNORE, scored_names};
use anyhow::Result;
use maskline_models::Class;
use std::collections::BTreeMap;

/// What was found in one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What it is.
    pub description: String,
    /// Number of pictures.
    pub pictures: usize,
    /// Number of clips that they make, for nets with a memory.
    pub clips: usize,
    /// `WIDTHxHEIGHT (count)`, each size once.
    pub sizes: Vec<String>,
    /// Each class with its share of the labelled pixels, 0-1.
    pub shares: Vec<(String, f64)>,
    /// Share of all pixels without a label.
    pub ignored: f64,
    /// A few of its pictures, from all over it.
    pub samples: Vec<Sample>,
}

/// Pictures of an entry that are kept to be looked at.
const KEPT: usize = 6;

/// Reads every picture and label of an entry.
///
/// # Errors
/// As [`Source::load`].
pub fn check(config: &DataConfig, classes: &[Class], size: (u32, u32)) -> Result<Found> {
    let source = Source::load(config, classes, size)?;
    let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut counts = [0_u64; 256];
    for sample in &source.samples {
        *sizes.entry((sample.width, sample.height)).or_default() += 1;
        sample.labels.iter().for_each(|id| counts[usize::from(*id)] += 1);
    }
    let names = scored_names(classes);
    let labelled: u64 = counts[..names.len()].iter().sum();
    let share = |count: u64, of: u64| count as f64 / of.max(1) as f64;
    Ok(Found {
        description: source.description,
        pictures: source.samples.len(),
        clips: clips(&source.samples).len(),
        sizes: sizes.iter().map(|((w, h), n)| format!("{w}x{h} ({n})")).collect(),
        shares: names
            .into_iter()
            .zip(counts)
            .map(|(name, count)| (name, share(count, labelled)))
            .collect(),
        ignored: share(counts[usize::from(IGNORE)], labelled + counts[usize::from(IGNORE)]),
        samples: {
            let step = source.samples.len().div_ceil(KEPT).max(1);
            source.samples.into_iter().step_by(step).collect()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use maskline_models::classes::driving_classes;

    #[test]
    fn shares_of_the_classes_add_up_to_one() {
        let config: DataConfig = toml::from_str("kind = \"synth\"\ncount = 2\nsize = [64, 48]").unwrap();
        let found = check(&config, &driving_classes(), (480, 352)).unwrap();
        assert_eq!((found.pictures, found.sizes), (2, vec!["64x48 (2)".to_string()]));
        let sum: f64 = found.shares.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-9 && found.shares.len() == 11);
        assert_eq!((found.samples.len(), found.clips), (2, 2));
    }
}
