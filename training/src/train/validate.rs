//! Measuring a net on labelled pictures, and a sheet of what it says beside the truth.

use crate::data::{Sample, Source, in_order};
use crate::metrics::{Confusion, Scores};
use crate::nets::Net;
use crate::predict::{NetSegmenter, Segmenter, class_map};
use anyhow::Result;
use burn::tensor::Device;
use maskline_models::{Class, Input};
use std::path::Path;

/// The measures of a net (without autodiff) at the labels' own size.
pub fn measure(net: Net, device: &Device, input: &Input, sources: &[Source], names: &[String]) -> Result<Scores> {
    let mut segmenter = NetSegmenter::new(net, device);
    let mut confusion = Confusion::new(names.len());
    for (first, sample) in in_order(sources) {
        if first {
            segmenter.reset();
        }
        confusion.add(&sample.labels, &class_map(&mut segmenter, input, sample, None)?);
    }
    Ok(confusion.scores(names))
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
