//! A segmenter without a net: what stands in for ONNX Runtime where a test is about something else.

use super::{Scores, Segmenter, Values};
use crate::frame::Tensor;
use anyhow::Result;

/// Answers every frame by calling a function with the tensor; the function gives one class id per pixel of it.
pub struct MockSegmenter<F>(pub F);

impl<F: FnMut(&Tensor) -> Result<Vec<u8>> + Send> Segmenter for MockSegmenter<F> {
    fn infer(&mut self, input: &Tensor) -> Result<Scores> {
        let ids = (self.0)(input)?;
        let (width, height) = (input.fit.width as usize, input.fit.height as usize);
        anyhow::ensure!(ids.len() == width * height, "the mock gave {} ids for {width}x{height}", ids.len());
        Ok(Scores {
            width,
            height,
            values: Values::U8(ids.into()),
            confidence: None,
        })
    }

    fn provider(&self) -> &str {
        "mock"
    }
}
