//! What a net gives for one frame, as it gives it.

use maskline_models::contract::Layout;
use std::ops::Deref;

/// The numbers of one output, for one frame if nothing else is said.
#[derive(Debug)]
pub struct Scores {
    /// Width of the output in pixels, often the model's input width.
    pub width: usize,
    /// Height of the output in pixels.
    pub height: usize,
    /// The numbers.
    pub values: Values,
    /// `height * width` values from 0 to 1, how sure the net is of each pixel; only if the session was opened for them.
    pub confidence: Option<Buffer<f32>>,
}

impl Scores {
    /// Those of one of so many frames that lie one behind the other, in memory of their own.
    pub(super) fn part(&self, frame: usize, frames: usize) -> Self {
        fn cut<T: Number + Copy>(all: &Buffer<T>, frame: usize, frames: usize) -> Buffer<T> {
            let length = all.len() / frames;
            all[frame * length..][..length].to_vec().into()
        }
        let values = match &self.values {
            Values::U8(ids) => Values::U8(cut(ids, frame, frames)),
            Values::I32(ids) => Values::I32(cut(ids, frame, frames)),
            Values::I64(ids) => Values::I64(cut(ids, frame, frames)),
            Values::Floats { scores, classes, layout } => Values::Floats {
                scores: cut(scores, frame, frames),
                classes: *classes,
                layout: *layout,
            },
        };
        Self {
            width: self.width,
            height: self.height,
            values,
            confidence: self.confidence.as_ref().map(|all| cut(all, frame, frames)),
        }
    }
}

/// The numbers themselves.
#[derive(Debug)]
pub enum Values {
    /// `height * width` class ids.
    U8(Buffer<u8>),
    /// `height * width` class ids.
    I32(Buffer<i32>),
    /// `height * width` class ids.
    I64(Buffer<i64>),
    /// `classes * height * width` scores, the highest of a pixel wins.
    Floats {
        /// In the order of `layout`.
        scores: Buffer<f32>,
        /// Number of classes.
        classes: usize,
        /// NCHW: one plane a class. NHWC: all scores of a pixel side by side.
        layout: Layout,
    },
}

/// Numbers in memory of ours or of ONNX Runtime's, so that no output is copied. Reads as a slice.
#[derive(Debug)]
pub struct Buffer<T: Number>(Memory<T>);

/// Element types of outputs.
pub trait Number: ort::value::PrimitiveTensorElementType + std::fmt::Debug {}

impl Number for u8 {}
impl Number for i32 {}
impl Number for i64 {}
impl Number for f32 {}

#[derive(Debug)]
enum Memory<T: Number> {
    Ours(Vec<T>),
    Runtime(ort::value::Tensor<T>),
}

impl<T: Number> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Memory::Ours(values))
    }
}

impl<T: Number> Buffer<T> {
    pub(super) fn from_runtime(tensor: ort::value::Tensor<T>) -> Self {
        Self(Memory::Runtime(tensor))
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Memory::Ours(values) => values,
            Memory::Runtime(tensor) => tensor.extract_tensor().1,
        }
    }
}
