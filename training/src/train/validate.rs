//! Measuring a net on labelled pictures, and a sheet of what it says beside the truth.

use crate::data::{Sample, Source};
use crate::metrics::{Confusion, Scores};
use crate::nets::Net;
use crate::predict::{NetSegmenter, Segmenter, class_map};
use anyhow::Result;
use burn::tensor::Device;
use maskline_models::{Class, Input};
use std::path::Path;

/// The measures of a net (without autodiff) on samples, each with whether a clip begins with it, at the labels' own size.
pub fn measure<'a>(
    net: Net,
    device: &Device,
    input: &Input,
    samples: impl IntoIterator<Item = (bool, &'a Sample)>,
    names: &[String],
) -> Result<Scores> {
    let mut segmenter = NetSegmenter::new(net, device);
    let mut confusion = Confusion::new(names.len());
    for (first, sample) in samples {
        if first {
            segmenter.reset();
        }
        confusion.add(&sample.labels, &class_map(&mut segmenter, input, sample, None)?);
    }
    Ok(confusion.scores(names))
}

/// So many samples, each as a clip of its own, spread evenly over what an epoch draws from: of a source with twice the weight
/// twice as many. All of them, each once, where there are no more.
pub fn spread(sources: &[Source], wanted: usize) -> Vec<(bool, &Sample)> {
    let all: usize = sources.iter().map(|source| source.samples.len()).sum();
    let weighted = |source: &Source| source.samples.len() as f64 * source.weight;
    let total: f64 = sources.iter().map(weighted).sum();
    if wanted >= all {
        return sources
            .iter()
            .flat_map(|source| &source.samples)
            .map(|sample| (true, sample))
            .collect();
    }
    let mut places: Vec<(usize, usize)> = (0..wanted)
        .filter_map(|k| {
            let mut at = total * (k as f64 + 0.5) / wanted as f64;
            sources.iter().enumerate().find_map(|(s, source)| {
                let inside = at < weighted(source);
                let place = (s, (at / source.weight) as usize);
                at -= weighted(source);
                inside.then_some(place)
            })
        })
        .collect();
    places.dedup(); // where a weight is above 1
    places
        .into_iter()
        .filter_map(|(s, i)| Some((true, sources[s].samples.get(i)?)))
        .collect()
}

/// Writes six samples with prediction and truth, each as the first frame of a clip.
pub fn sheet(net: Net, device: &Device, input: &Input, sources: &[Source], classes: &[Class], path: &Path) -> Result<()> {
    let mut segmenter = NetSegmenter::new(net, device);
    let all: Vec<&Sample> = sources.iter().flat_map(|s| &s.samples).collect();
    let wanted = all.len().min(6);
    let mut rows = Vec::new();
    for i in 0..wanted {
        let sample = all[i * all.len() / wanted];
        segmenter.reset();
        rows.push((sample, class_map(&mut segmenter, input, sample, None)?));
    }
    crate::plots::sheet(&rows, classes, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(count: usize, weight: f64) -> Source {
        Source {
            description: String::new(),
            weight,
            samples: (0..count).map(|i| Sample::named(&format!("{weight}/{i}"))).collect(),
        }
    }

    fn names(sources: &[Source], wanted: usize) -> Vec<String> {
        spread(sources, wanted).into_iter().map(|(_, sample)| sample.name.clone()).collect()
    }

    #[test]
    fn samples_are_taken_evenly_and_by_the_weight_of_their_source() {
        let sources = [source(20, 1.0), source(40, 0.25)];
        assert_eq!(names(&sources, 6), ["1/2", "1/7", "1/12", "1/17", "0.25/10", "0.25/30"]);
        assert_eq!(names(&sources, 0), [""; 0]);
    }

    #[test]
    fn no_sample_is_taken_twice() {
        assert_eq!(names(&[source(3, 1.0)], 7), ["1/0", "1/1", "1/2"]);
        assert_eq!(names(&[source(2, 5.0), source(2, 0.5)], 3), ["5/0", "5/1"]);
    }
}
