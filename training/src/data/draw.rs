//! Which samples an epoch draws, and in which order.

use super::Source;
use super::clips::{clips, sequence};
use crate::random::Random;
use std::ops::Range;

/// The order of one epoch: pairs of source and sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    draws: Vec<(usize, usize)>,
    /// Of each source.
    clips: Vec<Vec<Range<usize>>>,
}

const EPOCH: u64 = 1;

impl Plan {
    /// The order of epoch `epoch`. A source of weight 2.5 gives each sample twice and a random half of them once more.
    pub fn new(sources: &[Source], seed: u64, epoch: u32) -> Self {
        let mut random = Random::of(&[seed, EPOCH, u64::from(epoch)]);
        let mut draws = Vec::new();
        for (s, source) in sources.iter().enumerate() {
            let count = source.samples.len();
            let wanted = ((count as f64 * source.weight).round() as usize).max(1);
            while draws.iter().filter(|(i, _)| *i == s).count() < wanted {
                let mut round: Vec<usize> = (0..count).collect();
                random.shuffle(&mut round);
                let left = wanted - draws.iter().filter(|(i, _)| *i == s).count();
                draws.extend(round.into_iter().take(left).map(|i| (s, i)));
            }
        }
        random.shuffle(&mut draws);
        Self {
            draws,
            clips: sources.iter().map(|source| clips(&source.samples)).collect(),
        }
    }

    /// The samples of a sequence of `length` frames that begins with a drawn one, or a little before it where its clip ends.
    pub fn sequence(&self, source: usize, sample: usize, length: usize) -> impl Iterator<Item = usize> {
        sequence(&self.clips[source], sample, length)
    }

    /// Number of whole batches; at least one, which then repeats samples.
    pub fn steps(&self, batch: usize) -> usize {
        (self.draws.len() / batch).max(1)
    }

    /// The draws of one batch: their place in the epoch, their source and their sample.
    pub fn batch(&self, step: usize, batch: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (step * batch..(step + 1) * batch).map(|i| {
            let (source, sample) = self.draws[i % self.draws.len()];
            (i, source, sample)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sample;
    use super::*;

    fn source(count: usize, weight: f64) -> Source {
        Source {
            description: String::new(),
            weight,
            samples: vec![Sample::named(""); count],
        }
    }

    #[test]
    fn an_epoch_draws_each_source_by_its_weight() {
        let sources = [source(10, 1.0), source(10, 0.5), source(4, 2.5)];
        let plan = Plan::new(&sources, 1, 0);
        let count = |s: usize| plan.draws.iter().filter(|(i, _)| *i == s).count();
        assert_eq!((count(0), count(1), count(2)), (10, 5, 10));
        let mut whole: Vec<usize> = plan.draws.iter().filter(|(i, _)| *i == 0).map(|(_, j)| *j).collect();
        whole.sort_unstable();
        assert_eq!(whole, (0..10).collect::<Vec<_>>());
        assert_eq!(plan.steps(4), 6);
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_alone() {
        let sources = [source(10, 1.0)];
        assert_eq!(Plan::new(&sources, 1, 3), Plan::new(&sources, 1, 3));
        assert_ne!(Plan::new(&sources, 1, 3), Plan::new(&sources, 1, 4));
        assert_ne!(Plan::new(&sources, 1, 3), Plan::new(&sources, 2, 3));
    }

    #[test]
    fn a_batch_larger_than_the_data_repeats_samples() {
        let plan = Plan::new(&[source(2, 1.0)], 1, 0);
        assert_eq!((plan.steps(5), plan.batch(0, 5).count()), (1, 5));
    }
}
