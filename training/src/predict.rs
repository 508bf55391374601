//! From a picture to a class map the way the runtime does it: resize, normalise, net, best class, back to the picture's size.

mod views;

pub use views::{Views, predict_views};

use crate::data::Sample;
use crate::error::{Kind, fault};
use crate::nets::Net;
use crate::scale::{resize_nearest, resize_rgb};
use anyhow::{Result, anyhow};
use burn::tensor::{Device, Tensor, TensorData};
use maskline_models::contract::Layout;
use maskline_models::fill::Filler;
use maskline_models::{Fit, Input};

/// Why there are no scores, and the remedy.
pub const NO_SCORES: &str =
    "the model gives class ids and no scores: measure its checkpoint, or export it with --logits and name that head with --head logits";

/// A picture at the model's size.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[1, 3, height, width]` or, where the model wants it, `[1, height, width, 3]`; normalised.
    pub tensor: Vec<f32>,
    /// The same as RGB bytes.
    pub rgb: Vec<u8>,
}

impl Prepared {
    /// The tensor's shape in that layout.
    pub fn shape(&self, layout: Layout) -> [usize; 4] {
        match layout {
            Layout::Nchw => [1, 3, self.height, self.width],
            Layout::Nhwc => [1, self.height, self.width, 3],
        }
    }
}

/// Brings RGB bytes to the model's size and fills its tensor. `asked` is a size that the user wants.
///
/// # Errors
/// One line with exit code 64, if the net cannot take the size.
pub fn prepare(input: &Input, rgb: &[u8], width: usize, height: usize, asked: Option<(u32, u32)>) -> Result<Prepared> {
    let fit = Fit::plan(input, width as u32, height as u32, asked).map_err(|e| fault(Kind::Usage, e))?;
    let content = fit.content;
    let scaled = resize_rgb(rgb, (width, height), (content.width as usize, content.height as usize))?;
    let (fit_width, fit_height) = (fit.width as usize, fit.height as usize);
    let whole = if (content.width, content.height) == (fit.width, fit.height) {
        scaled
    } else {
        let mut canvas = vec![fit.pad; 3 * fit_width * fit_height];
        let (row, left, top) = (3 * content.width as usize, 3 * content.x as usize, content.y as usize);
        for (y, line) in scaled.chunks_exact(row).enumerate() {
            canvas[(y + top) * 3 * fit_width + left..][..row].copy_from_slice(line);
        }
        canvas
    };
    let mut tensor = vec![0.0; whole.len()];
    Filler::new(input).fill(&whole, fit_width, fit_height, &mut tensor);
    Ok(Prepared {
        width: fit_width,
        height: fit_height,
        tensor,
        rgb: whole,
    })
}

/// The best class of every pixel of `[classes, pixels]` scores; of equal ones the first, and a NaN loses against any other.
pub fn best_classes(scores: &[f32], pixels: usize) -> Vec<u8> {
    let mut best = vec![f32::NEG_INFINITY; pixels];
    let mut map = vec![0; pixels];
    for (class, plane) in scores.chunks_exact(pixels).enumerate() {
        for ((value, best), id) in plane.iter().zip(&mut best).zip(&mut map) {
            if value > best {
                (*best, *id) = (*value, class as u8);
            }
        }
    }
    map
}

/// The part of a plane at the model's size that the frame covers, with its size.
fn content<T: Copy>(fit: &Fit, plane: &[T]) -> (Vec<T>, (usize, usize)) {
    let c = fit.content;
    let (left, wide) = (c.x as usize, c.width as usize);
    let rows = plane.chunks_exact(fit.width as usize).skip(c.y as usize).take(c.height as usize);
    (
        rows.flat_map(|row| &row[left..left + wide]).copied().collect(),
        (wide, c.height as usize),
    )
}

/// What a net says about a prepared picture, at the picture's size.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A class number for every pixel.
    Classes(Vec<u8>),
    /// Unnormalised scores (logits), `[classes, height, width]`.
    Scores(Vec<f32>),
}

/// Something that segments pictures.
pub trait Segmenter {
    /// What it says about a prepared picture.
    ///
    /// # Errors
    /// Whatever keeps it from running.
    fn segment(&mut self, picture: &Prepared) -> Result<Answer>;

    /// Whether it answers with scores.
    fn has_scores(&self) -> bool;

    /// Whether what it says of a picture depends on those before it, which then must come in order.
    fn remembers(&self) -> bool {
        false
    }

    /// Forgets the pictures before: what comes next is the first of a clip.
    fn reset(&mut self) {}
}

/// A net of ours.
#[derive(Debug)]
pub struct NetSegmenter {
    net: Net,
    device: Device,
    /// What the picture before left, `[1, memory, h/m, w/m]`.
    state: Option<Tensor<4>>,
    /// Width and height of that picture.
    size: (usize, usize),
}

impl NetSegmenter {
    /// A net without autodiff, and where it lives.
    pub fn new(net: Net, device: &Device) -> Self {
        Self {
            net,
            device: device.clone(),
            state: None,
            size: (0, 0),
        }
    }
}

impl Segmenter for NetSegmenter {
    fn segment(&mut self, picture: &Prepared) -> Result<Answer> {
        let shape = [1, 3, picture.height, picture.width];
        let images = Tensor::<4>::from_data(TensorData::new(picture.tensor.clone(), shape), &self.device);
        let [_, _, height, width] = shape;
        // A picture of another size has nothing to do with the one before.
        let state = self.state.take().filter(|_| self.size == (width, height));
        let seen = self.net.step(images, state);
        (self.state, self.size) = (seen.state, (width, height));
        let scores = seen.scores.into_data().try_into_vec::<f32>();
        scores.map(Answer::Scores).map_err(|e| anyhow!("scores are not floats: {e:?}"))
    }

    fn has_scores(&self) -> bool {
        true
    }

    fn remembers(&self) -> bool {
        self.net.remembers()
    }

    fn reset(&mut self) {
        self.state = None;
    }
}

/// What is said about a sample, at the sample's own size.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// A class number for every pixel.
    pub classes: Vec<u8>,
    /// Unnormalised scores `[classes, height, width]`; `None` where the model gives classes only.
    pub scores: Option<Vec<f32>>,
}

/// What a model says about a sample. Classes and scores of a pixel are those that its centre falls on, so that both agree with
/// each other and with what the runtime draws.
///
/// # Errors
/// As [`prepare`] and the segmenter.
pub fn predict(segmenter: &mut dyn Segmenter, input: &Input, sample: &Sample, asked: Option<(u32, u32)>) -> Result<Prediction> {
    let picture = prepare(input, &sample.rgb, sample.width, sample.height, asked)?;
    Ok(match segmenter.segment(&picture)? {
        Answer::Classes(ids) => Prediction {
            classes: at_own_size(input, &ids, sample, asked)?,
            scores: None,
        },
        Answer::Scores(scores) => {
            let mut own = Vec::new();
            for plane in scores.chunks_exact(picture.width * picture.height) {
                own.append(&mut at_own_size(input, plane, sample, asked)?);
            }
            Prediction {
                classes: best_classes(&own, sample.width * sample.height),
                scores: Some(own),
            }
        }
    })
}

/// Class numbers of a sample at its own size.
///
/// # Errors
/// As [`predict`].
pub fn class_map(segmenter: &mut dyn Segmenter, input: &Input, sample: &Sample, asked: Option<(u32, u32)>) -> Result<Vec<u8>> {
    let picture = prepare(input, &sample.rgb, sample.width, sample.height, asked)?;
    let ids = match segmenter.segment(&picture)? {
        Answer::Classes(ids) => ids,
        Answer::Scores(scores) => best_classes(&scores, picture.width * picture.height),
    };
    at_own_size(input, &ids, sample, asked)
}

fn at_own_size<T: Copy>(input: &Input, plane: &[T], sample: &Sample, asked: Option<(u32, u32)>) -> Result<Vec<T>> {
    let fit = Fit::plan(input, sample.width as u32, sample.height as u32, asked).map_err(|e| fault(Kind::Usage, e))?;
    let (plane, size) = content(&fit, plane);
    Ok(resize_nearest(&plane, size, (sample.width, sample.height)))
}

/// Turns scores `[classes, pixels]` into probabilities, pixel by pixel and in place.
pub fn softmax(scores: &mut [f32], pixels: usize) {
    let mut max = vec![f32::NEG_INFINITY; pixels];
    for plane in scores.chunks_exact(pixels) {
        max.iter_mut().zip(plane).for_each(|(max, score)| *max = max.max(*score));
    }
    let mut sum = vec![0.0; pixels];
    for plane in scores.chunks_exact_mut(pixels) {
        for ((score, max), sum) in plane.iter_mut().zip(&max).zip(&mut sum) {
            *score = (*score - max).exp();
            *sum += *score;
        }
    }
    for plane in scores.chunks_exact_mut(pixels) {
        plane.iter_mut().zip(&sum).for_each(|(score, sum)| *score /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_class_is_the_first_of_equals_and_never_nan() {
        let scores = [1.0, f32::NAN, 0.0, 1.0, 2.0, f32::NAN, 0.5, 3.0, 0.0];
        assert_eq!(best_classes(&scores, 3), [0, 2, 0]);
    }

    #[test]
    fn softmax_agrees_with_its_formula_and_takes_large_scores() {
        let mut scores = [1.0, 500.0, 2.0, 400.0, 3.0, 0.0]; // 3 classes, 2 pixels
        softmax(&mut scores, 2);
        let sum = 1f32.exp() + 2f32.exp() + 3f32.exp();
        for (found, wanted) in scores
            .iter()
            .zip([1f32.exp() / sum, 1.0, 2f32.exp() / sum, 0.0, 3f32.exp() / sum, 0.0])
        {
            assert!((found - wanted).abs() < 1e-6, "{scores:?}");
        }
    }
}
