//! Measuring a net on labelled pictures, and a sheet of what it says beside the truth.

use crate::data::{Sample, Source};
use crate::metrics::{Confusion, Scores};
use crate::nets::Net;
use crate::predict::{NetSegmenter, class_map};
use anyhow::Result;
use burn::tensor::Device;
use maskline_models::{Class, Input};
use std::path::Path;

/// The measures of a net (without autodiff) at the labels' own size.
pub fn measure(net: Net, device: &Device, input: &Input, sources: &[Source], names: &[String]) -> Result<Scores> {
    let mut segmenter = NetSegmenter {
        net,
        device: device.clone(),
    };
    let mut confusion = Confusion::new(names.len());
    for sample in sources.iter().flat_map(|s| &s.samples) {
        confusion.add(&sample.labels, &class_map(&mut segmenter, input, sample, None)?);
    }
    Ok(confusion.scores(names))
}

/// Writes six samples with prediction and truth.
pub fn sheet(net: Net, device: &Device, input: &Input, sources: &[Source], classes: &[Class], path: &Path) -> Result<()> {
    let mut segmenter = NetSegmenter {
        net,
        device: device.clone(),
    };
    let all: Vec<&Sample> = sources.iter().flat_map(|s| &s.samples).collect();
    let wanted = all.len().min(6);
    let mut rows = Vec::new();
    for i in 0..wanted {
        let sample = all[i * all.len() / wanted];
        rows.push((sample, class_map(&mut segmenter, input, sample, None)?));
    }
    crate::plots::sheet(&rows, classes, path)
}
