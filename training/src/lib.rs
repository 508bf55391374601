//! Trains the segmentation nets that maskline runs, and writes them as ONNX files with their contract inside.

pub mod augment;
pub mod average;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod config;
pub mod data;
mod defaults;
pub mod device;
pub mod eval;
pub mod explain;
pub mod export;
pub mod exported;
pub mod freeze;
pub mod label;
pub mod lineage;
pub mod loss;
pub mod nets;
pub mod onnx_cost;
pub mod onnx_graph;
pub mod onnx_run;
pub mod onnx_time;
pub mod ops;
pub mod optimizer;
pub mod plots;
pub mod predict;
pub mod pretrained;
pub mod quantize;
pub mod random;
pub mod scale;
pub mod schedule;
pub mod stop;
pub mod train;
pub mod weights;

pub use maskline_models::{error, metrics};
