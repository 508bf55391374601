//! What must be known to use a segmentation model rightly, in one place for the trainer that writes it and the runtime
//! that reads it: the [`Contract`] inside every ONNX file, the palette, the geometry between a frame and the model's
//! input, and the [`fill`] function that turns RGB rows into the input tensor.
//!
//! The crate knows neither GStreamer, OpenCV nor ONNX Runtime.

pub mod builtin;
pub mod classes;
pub mod contract;
pub mod error;
pub mod field;
pub mod fill;
pub mod geometry;
pub mod golden;
pub mod library;
pub mod metrics;
pub mod onnx;
pub mod precision;
pub mod store;

pub use classes::{Class, Color};
pub use contract::{Contract, Head, Input};
pub use geometry::{Fit, Rect};
pub use precision::Precision;
pub use store::{Model, ModelError};
