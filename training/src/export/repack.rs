//! A changed graph as a model again: the contract inside, and golden class maps of its own.

use crate::error::{Kind, fault};
use crate::onnx_run::OnnxNet;
use anyhow::Result;
use maskline_models::contract::{Layout, METADATA_KEY};
use maskline_models::fill::Filler;
use maskline_models::golden::{Golden, Sample};
use maskline_models::onnx::ModelProto;
use maskline_models::{Contract, Input, Model};
use prost::Message;

/// A model from a graph and a contract, in memory.
///
/// # Errors
/// If they do not fit (exit code 70).
pub fn packed(graph: &ModelProto, contract: &Contract) -> Result<Model> {
    let mut graph = graph.clone();
    graph.metadata_props.retain(|p| p.key != METADATA_KEY);
    super::with_contract(&graph.encode_to_vec(), contract)
}

/// What a model says about a picture at the picture's own size, `width` x `height`.
pub(super) fn class_ids(run: &mut OnnxNet, input: &Input, rgb: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let (w, h) = (width as usize, height as usize);
    let mut tensor = vec![0.0; 3 * w * h];
    Filler::new(input).fill(rgb, w, h, &mut tensor);
    let shape = match input.layout {
        Layout::Nchw => [1, 3, h, w],
        Layout::Nhwc => [1, h, w, 3],
    };
    run.class_map(&tensor, shape)
}

/// The golden pictures of a model without a memory, with the class maps that it gives itself; no more than `agreement` of their pixels
/// need to agree.
///
/// # Errors
/// If a picture cannot be read, or the model cannot run.
pub fn goldens(model: &Model, agreement: f64) -> Result<Vec<Golden>> {
    let renewed = |golden: &Golden| -> Result<Golden> {
        let sample = golden.unpack().map_err(|e| fault(Kind::Config, e))?;
        let mut run = OnnxNet::open(model, Some(&golden.head))?;
        let ids = class_ids(&mut run, &model.contract.input, &sample.rgb, (sample.width, sample.height))?;
        Ok(Golden::pack(
            &golden.head,
            &Sample { ids, ..sample },
            golden.agreement.min(agreement),
        ))
    };
    model.contract.goldens.iter().map(renewed).collect()
}
