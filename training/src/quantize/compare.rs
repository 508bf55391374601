//! How a quantized model compares with its float one: class maps, mean IoU and time.

use super::labelled::Labelled;
use crate::data::Sample;
use crate::eval::OnnxSegmenter;
use crate::metrics::{Confusion, Scores, scored_names};
use crate::onnx_time::{in_turn, median};
use crate::predict::{Prepared, class_map};
use anyhow::Result;
use maskline_models::{Class, Model};
use serde::Serialize;

/// Alternating pairs of runs that a speed is the median of.
const PAIRS: usize = 25;

/// Milliseconds of one picture, medians.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speed {
    /// Width and height of the picture that went in, pixels.
    pub size: [usize; 2],
    /// The float model.
    pub float_ms: f64,
    /// The quantized one.
    pub quantized_ms: f64,
    /// Median over the pairs of quantized time by float time: below 1 is faster. Steadier than the two times on a busy machine.
    pub ratio: f64,
    /// Pairs of runs.
    pub pairs: usize,
}

/// The class numbers that a model gives for labelled pictures, at each label's size.
///
/// # Errors
/// If ONNX Runtime refuses the model or a picture.
pub fn maps(model: &Model, pictures: Labelled<'_>) -> Result<Vec<Vec<u8>>> {
    let mut segmenter = OnnxSegmenter::open(model, None, None)?;
    let input = &model.contract.input;
    let map = |sample: &&Sample| class_map(&mut segmenter, input, sample, pictures.size);
    pictures.samples.iter().map(map).collect()
}

/// How right class maps are.
pub fn scores(classes: &[Class], samples: &[&Sample], maps: &[Vec<u8>]) -> Scores {
    let names = scored_names(classes);
    let mut confusion = Confusion::new(names.len());
    for (sample, map) in samples.iter().zip(maps) {
        confusion.add(&sample.labels, map);
    }
    confusion.scores(&names)
}

/// Share of pixels (0-1) that have the same class in both.
pub fn agreement(a: &[Vec<u8>], b: &[Vec<u8>]) -> f64 {
    let (mut equal, mut all) = (0, 0);
    for (a, b) in a.iter().zip(b) {
        equal += a.iter().zip(b).filter(|(a, b)| a == b).count();
        all += a.len();
    }
    equal as f64 / all.max(1) as f64
}

/// Times both on one picture, one run of each in turn, on all cores.
///
/// # Errors
/// If ONNX Runtime refuses a model or the picture.
pub fn speed(float: &Model, quantized: &Model, picture: &Prepared) -> Result<Speed> {
    let size = (picture.width, picture.height);
    let times = in_turn(&[float, quantized], &picture.tensor, size, None, PAIRS)?;
    let ratios = times[0].iter().zip(&times[1]).map(|(float, quantized)| quantized / float);
    Ok(Speed {
        size: [picture.width, picture.height],
        ratio: median(ratios.collect()),
        float_ms: median(times[0].clone()),
        quantized_ms: median(times[1].clone()),
        pairs: PAIRS,
    })
}
