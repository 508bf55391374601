//! Golden samples: what the trainer saw the net answer, the provider must answer too.

use super::Segmenter;
use crate::frame::Tensor;
use crate::postprocess::Postprocessor;
use anyhow::{Context, Result, ensure};
use maskline_models::contract::{Contract, Size};
use maskline_models::fill::Filler;
use maskline_models::{Fit, Head, Rect};

/// Runs the samples of a head in their order and compares; gives how many there were. A net of one size leaves out samples of
/// another. To a net that remembers they are one clip, from its first frame on.
///
/// # Errors
/// One line with the shares of pixels that agree and that were wanted.
pub(super) fn check_goldens(segmenter: &mut dyn Segmenter, contract: &Contract, head: &Head) -> Result<usize> {
    let mut count = 0;
    for (number, golden) in contract.goldens.iter().filter(|g| g.head == head.name).enumerate() {
        let sample = golden.unpack().map_err(anyhow::Error::msg)?;
        let (width, height) = (sample.width, sample.height);
        let possible = match contract.input.size {
            Size::Fixed { width: w, height: h } => (w, h) == (width, height),
            Size::Multiple { of, .. } => width.is_multiple_of(of) && height.is_multiple_of(of),
        };
        if !possible {
            continue;
        }
        let fit = Fit {
            width,
            height,
            content: Rect { x: 0, y: 0, width, height },
            pad: 0,
        };
        let mut values = vec![0.0; sample.rgb.len()];
        Filler::new(&contract.input).fill(&sample.rgb, width as usize, height as usize, &mut values);
        let scores = segmenter
            .infer(&Tensor { values, fit })
            .with_context(|| format!("golden sample {}", number + 1))?;
        let map = Postprocessor::new(head, &fit).run(&scores)?;
        let map = crate::postprocess::scale_nearest(&map, width, height);
        let same = map.ids.iter().zip(&sample.ids).filter(|(a, b)| a == b).count();
        let share = same as f64 / sample.ids.len() as f64;
        ensure!(
            share >= golden.agreement,
            "golden sample {} agrees in {:.2} % of its pixels, wanted {:.2} %: the provider computes wrongly or the file was changed; try the provider cpu",
            number + 1,
            100.0 * share,
            100.0 * golden.agreement
        );
        count += 1;
    }
    Ok(count)
}
