//! `maskline models verify`: everything that can be checked about a model without a video.

use super::{OnnxSegmenter, SessionOptions};
use crate::error::{Kind, fault};
use anyhow::Result;
use maskline_models::contract::Size;
use maskline_models::{Fit, Model};
use std::fmt;

/// What was checked; prints as one line a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Name in the contract.
    pub model: String,
    /// Provider that ran it.
    pub provider: String,
    /// Each head with its number of golden samples that agreed.
    pub heads: Vec<(String, usize)>,
    /// Size that it ran at.
    pub size: (u32, u32),
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (head, goldens)) in self.heads.iter().enumerate() {
            let goldens = match goldens {
                0 => "no golden samples to compare".to_owned(),
                1 => "1 golden sample agrees".to_owned(),
                n => format!("{n} golden samples agree"),
            };
            let (width, height) = self.size;
            let line = format!(
                "{}: head {head} runs on {} at {width}x{height}; {goldens}",
                self.model, self.provider
            );
            write!(f, "{}{line}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Opens every head of a model at the size it was made for: contract against graph, one run, golden samples.
///
/// # Errors
/// Kind 78 with the first thing that is wrong.
pub fn verify(model: &Model, options: &SessionOptions) -> Result<Verification> {
    let fit = nominal_fit(model).map_err(|e| fault(Kind::Config, e))?;
    let (mut heads, mut provider) = (Vec::new(), String::new());
    for head in &model.contract.heads {
        let segmenter = OnnxSegmenter::open(model, Some(&head.name), fit, options)?;
        heads.push((head.name.clone(), segmenter.goldens()));
        provider.clone_from(&segmenter.report().taken);
    }
    Ok(Verification {
        model: model.contract.name.clone(),
        provider,
        heads,
        size: (fit.width, fit.height),
    })
}

/// The geometry of a frame that has the size the net was made for.
pub(super) fn nominal_fit(model: &Model) -> Result<Fit, String> {
    let (Size::Fixed { width, height } | Size::Multiple { width, height, .. }) = model.contract.input.size;
    Fit::plan(&model.contract.input, width, height, None)
}
