//! Test-time augmentation: the mean of what a net says about a picture at several sizes, and about its mirror image.

use super::{Answer, Prediction, Segmenter, best_classes, content, prepare, softmax};
use crate::data::Sample;
use crate::error::{Kind, fault};
use crate::scale::resize_plane;
use anyhow::{Result, anyhow};
use maskline_models::contract::Size;
use maskline_models::{Fit, Input};
use serde::Serialize;

/// Which views of a picture are averaged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Views {
    /// Every size mirrored left to right too.
    pub flip: bool,
    /// Factors on the size that the net runs at; the nearest size that it takes is used.
    pub scales: Vec<f64>,
}

/// What a model says about a sample: softmax scores of every view, brought to the sample's size (bilinear), averaged.
///
/// # Errors
/// As [`super::predict`]; or one line, if the model gives classes only (exit code 78).
pub fn predict_views(
    segmenter: &mut dyn Segmenter,
    input: &Input,
    sample: &Sample,
    asked: Option<(u32, u32)>,
    views: &Views,
) -> Result<Prediction> {
    let (width, height) = (sample.width, sample.height);
    let pixels = width * height;
    let mirrored = views.flip.then(|| mirror(&sample.rgb, 3 * width, 3));
    let mut mean: Vec<f32> = Vec::new();
    for scale in &views.scales {
        let size = scaled(input, sample, asked, *scale)?;
        for (rgb, flipped) in [(Some(&sample.rgb), false), (mirrored.as_ref(), true)] {
            let Some(rgb) = rgb else { continue };
            let picture = prepare(input, rgb, width, height, Some(size))?;
            let Answer::Scores(mut scores) = segmenter.segment(&picture)? else {
                return Err(fault(Kind::Config, super::NO_SCORES));
            };
            softmax(&mut scores, picture.width * picture.height);
            let fit = Fit::plan(input, width as u32, height as u32, Some(size)).map_err(|e| anyhow!(e))?;
            let planes = scores.chunks_exact(picture.width * picture.height);
            mean.resize(planes.len() * pixels, 0.0);
            for (plane, mean) in planes.zip(mean.chunks_exact_mut(pixels)) {
                let (plane, from) = content(&fit, plane);
                let plane = resize_plane(&plane, from, (width, height))?;
                let plane = if flipped { mirror(&plane, width, 1) } else { plane };
                mean.iter_mut().zip(plane).for_each(|(sum, p)| *sum += p);
            }
        }
    }
    // Logarithms of probabilities are scores whose softmax gives them back. No view is certain beyond what a float can say.
    let count = (views.scales.len() * (1 + usize::from(views.flip))) as f32;
    mean.iter_mut().for_each(|sum| *sum = (*sum / count).max(1e-12).ln());
    Ok(Prediction {
        classes: best_classes(&mean, pixels),
        scores: Some(mean),
    })
}

/// The size that the net takes next to `scale` times the one that it runs at otherwise.
fn scaled(input: &Input, sample: &Sample, asked: Option<(u32, u32)>, scale: f64) -> Result<(u32, u32)> {
    let fit = Fit::plan(input, sample.width as u32, sample.height as u32, asked).map_err(|e| anyhow!(e))?;
    let of = match input.size {
        Size::Fixed { .. } => 1,
        Size::Multiple { of, .. } => of,
    };
    let side = |side: u32| of * ((f64::from(side) * scale / f64::from(of)).round() as u32).max(1);
    Ok((side(fit.width), side(fit.height)))
}

/// Rows of `row` values reversed in groups of `group`.
fn mirror<T: Copy>(values: &[T], row: usize, group: usize) -> Vec<T> {
    let rows = values.chunks_exact(row);
    rows.flat_map(|row| row.chunks_exact(group).rev().flatten()).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::{Prepared, predict};
    use maskline_models::contract::{Channels, InputType, Layout, Resize};

    /// Scores that only depend on the red and green of a pixel.
    struct ByColour {
        sizes: Vec<(usize, usize)>,
    }

    impl Segmenter for ByColour {
        fn segment(&mut self, picture: &Prepared) -> Result<Answer> {
            self.sizes.push((picture.width, picture.height));
            let pixels = picture.width * picture.height;
            Ok(Answer::Scores(picture.tensor[..2 * pixels].to_vec()))
        }

        fn has_scores(&self) -> bool {
            true
        }
    }

    fn input() -> Input {
        Input {
            tensor: "image".into(),
            layout: Layout::Nchw,
            channels: Channels::Rgb,
            dtype: InputType::F32,
            size: Size::Multiple {
                of: 8,
                width: 16,
                height: 8,
            },
            resize: Resize::Stretch,
            scale: 1.0 / 255.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }

    fn sample() -> Sample {
        let rgb = (0..16 * 8)
            .flat_map(|i| if i % 16 < 5 { [255, 0, 0] } else { [0, 255, 0] })
            .collect();
        Sample {
            name: "a".into(),
            width: 16,
            height: 8,
            rgb,
            labels: vec![0; 16 * 8],
        }
    }

    #[test]
    fn one_view_says_what_the_net_says_and_a_mirrored_one_comes_back_the_right_way_round() {
        let mut net = ByColour { sizes: Vec::new() };
        let plain = predict(&mut net, &input(), &sample(), None).unwrap();
        for flip in [false, true] {
            let views = Views { flip, scales: vec![1.0] };
            let found = predict_views(&mut net, &input(), &sample(), None, &views).unwrap();
            assert_eq!(found.classes, plain.classes, "flip {flip}");
            let (mut a, mut b) = (found.scores.unwrap(), plain.scores.clone().unwrap());
            softmax(&mut a, 128);
            softmax(&mut b, 128);
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6));
        }
        assert_eq!(net.sizes.len(), 4);
    }

    #[test]
    fn scales_run_at_sizes_that_the_net_takes_and_are_averaged() {
        let mut net = ByColour { sizes: Vec::new() };
        let views = Views {
            flip: false,
            scales: vec![0.5, 1.0, 2.1],
        };
        let found = predict_views(&mut net, &input(), &sample(), None, &views).unwrap();
        assert_eq!(net.sizes, [(8, 8), (16, 8), (32, 16)]);
        assert_eq!((found.classes[0], found.classes[15]), (0, 1));
        let fixed = Input {
            size: Size::Fixed { width: 16, height: 8 },
            ..input()
        };
        let error = predict_views(&mut net, &fixed, &sample(), None, &views).unwrap_err().to_string();
        assert!(error.contains("takes only 16x8"), "{error}");
    }
}
