//! Running the net: the only part that knows ONNX Runtime.

mod check;
mod golden;
pub mod mock;
pub mod options;
pub mod picture;
mod placement;
mod provider;
pub mod runtime;
pub mod scores;
pub mod session;
pub mod shared;
pub mod verify;

pub use mock::MockSegmenter;
pub use options::{Provider, SessionOptions};
pub use picture::PictureSegmenter;
pub use scores::{Buffer, Scores, Values};
pub(crate) use session::confidence_of;
pub use session::{OnnxSegmenter, ProviderReport};
pub use shared::{Batching, SharedNet};
pub use verify::{Verification, verify};

use crate::frame::Tensor;
use anyhow::Result;

/// A tensor in, scores out. One thread owns it.
pub trait Segmenter: Send {
    /// Runs the net on one frame.
    ///
    /// # Errors
    /// If the net or its provider fails, or gives something of another shape than its contract says.
    fn infer(&mut self, input: &Tensor) -> Result<Scores>;

    /// Runs the net on several frames of one size, at once where it can, and gives their scores in their order.
    ///
    /// # Errors
    /// Those of [`Segmenter::infer`]; then none of them has scores.
    fn infer_batch(&mut self, inputs: &[Tensor]) -> Result<Vec<Scores>> {
        inputs.iter().map(|input| self.infer(input)).collect()
    }

    /// Forgets earlier frames: what comes next has nothing to do with them. Changes nothing in a net without memory.
    ///
    /// # Errors
    /// If there is no memory for it.
    fn reset(&mut self) -> Result<()> {
        Ok(())
    }

    /// The provider that runs it, as it goes into the report.
    fn provider(&self) -> &str;
}
