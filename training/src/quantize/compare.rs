//! How a quantized model compares with its float one: class maps, mean IoU and time.

use super::labelled::Labelled;
use crate::data::Sample;
use crate::eval::OnnxSegmenter;
use crate::metrics::{Confusion, Scores, scored_names};
use crate::onnx_run::OnnxNet;
use crate::onnx_time::median;
use crate::predict::{Prepared, class_map};
use anyhow::Result;
use maskline_models::{Class, Model};
use serde::Serialize;
use std::time::Instant;

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
    let mut segmenter = OnnxSegmenter::open(model, None)?;
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
    let mut nets = [OnnxNet::open(float, None)?, OnnxNet::open(quantized, None)?];
    let shape = picture.shape(float.contract.input.layout);
    let mut run = |which: usize| -> Result<f64> {
        let start = Instant::now();
        nets[which].class_map(&picture.tensor, shape)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    for which in [0, 1, 0, 1] {
        run(which)?; // the first runs allocate
    }
    let mut times = [Vec::new(), Vec::new(), Vec::new()]; // float, quantized, ratio
    for pair in 0..PAIRS {
        let mut both = [0.0; 2];
        for which in [pair % 2, 1 - pair % 2] {
            both[which] = run(which)?;
        }
        let all = [both[0], both[1], both[1] / both[0]];
        times.iter_mut().zip(all).for_each(|(list, time)| list.push(time));
    }
    let [float_ms, quantized_ms, ratio] = times.map(median);
    Ok(Speed {
        size: [picture.width, picture.height],
        float_ms,
        quantized_ms,
        ratio,
        pairs: PAIRS,
    })
}
