//! Whether an ONNX file computes what its net computes.

use crate::onnx_run::{OnnxNet, ids_of};
use anyhow::{Result, anyhow};
use burn::tensor::{Device, Tensor, TensorData};
use maskline_models::Model;
use maskline_models::contract::Grid;
use std::fmt;

/// Largest difference of a score that is still rounding.
const MAX_DIFFERENCE: f32 = 1e-4;
/// Least share of pixels that must get the same class.
const MIN_AGREEMENT: f64 = 0.9999;

/// How well file and net agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Parity {
    /// One entry a size that was compared.
    pub sizes: Vec<SizeParity>,
}

/// Agreement at one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SizeParity {
    /// Batch, height, width.
    pub size: [usize; 3],
    /// Frames that were compared one after the other, with the state that each left for the next where there is one.
    pub frames: usize,
    /// Largest difference of a score.
    pub difference: f32,
    /// Share of pixels (0-1) with the same class.
    pub agreement: f64,
}

/// What both are run on: so many frames of that batch, height and width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clip {
    pub(super) size: [usize; 3],
    pub(super) frames: usize,
}

impl Parity {
    /// Largest difference of a score at any size.
    pub fn difference(&self) -> f32 {
        self.sizes.iter().map(|s| s.difference).fold(0.0, f32::max)
    }

    /// Share of all compared pixels with the same class. Where two classes tie, rounding decides; a share of many pixels tells
    /// such a pixel from a wrong file.
    pub fn agreement(&self) -> f64 {
        let pixels = |s: &SizeParity| (s.frames * s.size.iter().product::<usize>()) as f64;
        let equal: f64 = self.sizes.iter().map(|s| s.agreement * pixels(s)).sum();
        equal / self.sizes.iter().map(pixels).sum::<f64>()
    }

    /// Whether that is good enough.
    ///
    /// # Errors
    /// One line with the size where they differ most.
    pub fn check(&self) -> Result<(), String> {
        let worst = self.sizes.iter().max_by(|a, b| a.difference.total_cmp(&b.difference)); // a NaN is the largest
        let Some(SizeParity {
            size: [n, h, w],
            difference,
            ..
        }) = worst
        else {
            return Err("nothing was compared".into());
        };
        let agreement = self.agreement();
        if *difference <= MAX_DIFFERENCE && agreement >= MIN_AGREEMENT {
            return Ok(());
        }
        Err(format!(
            "the ONNX file does not compute what the net computes: scores differ by {difference:.1e} (at {n}x3x{h}x{w}; wanted {MAX_DIFFERENCE:e} or less) and {:.3} % of pixels get the same class (wanted {} %); nothing was written",
            agreement * 100.0,
            MIN_AGREEMENT * 100.0
        ))
    }
}

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "scores differ by {:.1e} at most, {:.3} % of pixels get the same class ({} sizes)",
            self.difference(),
            self.agreement() * 100.0,
            self.sizes.len()
        )
    }
}

/// Runs both on the same noise. `step` takes the images and, of a net with a memory, the state of that grid; it gives the scores and
/// the next state. `with_scores` is the file with its scores as output `logits`, `model` the file as it will be written; both are
/// compared.
///
/// # Errors
/// One line, if ONNX Runtime refuses a file.
pub(super) fn compare(
    step: &dyn Fn(Vec<Tensor<4>>) -> Vec<Tensor<4>>,
    memory: Option<Grid>,
    with_scores: &Model,
    model: &Model,
    clips: &[Clip],
) -> Result<Parity> {
    let mut logits = OnnxNet::open(with_scores, None)?;
    let mut written = OnnxNet::open(model, None)?;
    let ids: Vec<u8> = written.head().scored().map(|c| c.id).collect();
    let mut found = Vec::new();
    for (number, &Clip { size: [n, h, w], frames }) in clips.iter().enumerate() {
        let shape = [n, 3, h, w];
        logits.reset();
        written.reset();
        let mut state = memory.map(|grid| {
            let [_, channels, height, width] = grid.shape(w as u32, h as u32);
            Tensor::zeros([n, channels, height, width], &Device::flex())
        });
        let (mut difference, mut equal, mut pixels) = (0.0, 0, 0);
        for frame in 0..frames {
            let images = noise((1000 * number + frame + 1) as u32, n * 3, h, w);
            let picture = Tensor::from_data(TensorData::new(images.clone(), shape), &Device::flex());
            let mut said = step(std::iter::once(picture).chain(state).collect());
            state = memory.map(|_| said.remove(1));
            let wanted = said.remove(0);
            let wanted_shape = wanted.dims();
            let wanted = wanted.into_data().try_into_vec::<f32>().map_err(|e| anyhow!("{e}"))?;
            let (got, got_shape) = logits.floats(super::build::LOGITS, &images, shape)?;
            difference = if got_shape == wanted_shape {
                got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(difference, largest)
            } else {
                f32::NAN // sorts above every number
            };
            let map = written.class_map(&images, shape)?;
            let wanted_map = ids_of(&wanted, &wanted_shape, &ids)?;
            equal += map.iter().zip(&wanted_map).filter(|(a, b)| a == b).count();
            pixels += map.len().max(wanted_map.len());
        }
        found.push(SizeParity {
            size: [n, h, w],
            frames,
            difference,
            agreement: equal as f64 / pixels as f64,
        });
    }
    Ok(Parity { sizes: found })
}

/// The larger one, and NaN if one is.
fn largest(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) }
}

/// Values between -2 and 2, about the range of a normalised picture: blocks of 8x8 pixels with noise on them.
fn noise(seed: u32, planes: usize, h: usize, w: usize) -> Vec<f32> {
    let hash = |a: usize| {
        let mut x = (a as u32).wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
        x = (x ^ (x >> 15)).wrapping_mul(0x2c1b_3c6d);
        x = (x ^ (x >> 12)).wrapping_mul(0x297a_2d39);
        ((x ^ (x >> 15)) >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let value = |i: usize| {
        let (plane, y, x) = (i / (h * w), i / w % h, i % w);
        1.5 * hash((plane * h + y / 8) * w + x / 8) + 0.5 * hash(i + 0x5bd1_e995)
    };
    (0..planes * h * w).map(value).collect()
}
