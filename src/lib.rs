//! Streaming semantic segmentation: a video in, the segmented video out.
//!
//! `source -> (motion) -> preprocess -> infer -> postprocess -> (carry) -> overlay -> sink`, one thread a stage, never backwards.

mod backoff;
pub mod bench;
pub mod broker;
pub mod cli;
pub mod color;
pub mod commands;
pub mod config;
pub mod console;
pub mod doctor;
pub mod evaluate;
pub mod frame;
pub mod gate;
pub mod infer;
pub mod log;
mod media;
pub mod messages;
pub mod overlay;
pub mod panics;
mod pending;
pub mod pipeline;
pub mod postprocess;
pub mod preprocess;
pub mod privacy;
pub mod progress;
mod publish;
mod scale;
pub mod serve;
pub mod server;
pub mod sheet;
pub mod signals;
pub mod sink;
pub mod source;
pub mod stats;
pub mod temporal;
#[doc(hidden)]
pub mod testing;
pub mod tune;

pub use frame::{ClassMap, Frame, VideoFormat};
pub use infer::{PictureSegmenter, Provider, Segmenter};
pub use maskline_models::error;
pub use pipeline::{FrameClasses, Pipeline, Plan, Ready};
pub use source::StopFlag;
pub use stats::Report;
