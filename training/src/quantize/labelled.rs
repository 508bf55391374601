//! Labelled pictures and the size at which a net sees them.

use crate::data::Sample;
use crate::predict::{Prepared, prepare};
use anyhow::Result;
use maskline_models::Input;

/// Labelled pictures for one purpose.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// The pictures.
    pub samples: &'a [&'a Sample],
    /// Width and height that the net runs at; `None`: as the runtime runs it.
    pub size: Option<(u32, u32)>,
}

impl<'a> Labelled<'a> {
    /// The pictures as the net sees them.
    ///
    /// # Errors
    /// One line, if the net cannot take the size.
    pub fn prepared(&self, input: &Input) -> Result<Vec<Prepared>> {
        let one = |s: &&Sample| prepare(input, &s.rgb, s.width, s.height, self.size);
        self.samples.iter().map(one).collect()
    }

    /// The first `count` of them.
    pub fn first(self, count: usize) -> Self {
        let samples = &self.samples[..count.min(self.samples.len())];
        Self { samples, ..self }
    }
}

/// `count` of the samples, evenly spread over their order, and all others.
pub fn spread<'a>(samples: &[&'a Sample], count: usize) -> (Vec<&'a Sample>, Vec<&'a Sample>) {
    let chosen = |i: usize| (i * count) / samples.len() != ((i + 1) * count) / samples.len();
    let (mut taken, mut rest) = (Vec::new(), Vec::new());
    for (i, sample) in samples.iter().enumerate() {
        if count >= samples.len() || chosen(i) {
            taken.push(*sample);
        } else {
            rest.push(*sample);
        }
    }
    (taken, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_spread_evenly_and_none_is_lost() {
        let samples: Vec<Sample> = (0..10)
            .map(|i| Sample {
                name: i.to_string(),
                width: 1,
                height: 1,
                rgb: vec![0; 3],
                labels: vec![0],
            })
            .collect();
        let all: Vec<&Sample> = samples.iter().collect();
        let names = |list: &[&Sample]| list.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(" ");
        let (taken, rest) = spread(&all, 4);
        assert_eq!((names(&taken), rest.len()), ("2 4 7 9".into(), 6));
        let (taken, rest) = spread(&all, 20);
        assert_eq!((taken.len(), rest.len()), (10, 0));
    }
}
