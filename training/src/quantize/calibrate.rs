//! Ranges of activations: the float model runs on pictures with every tensor that matters as an output.

use super::graph::Links;
use super::histogram::{Histogram, Range};
use crate::error::{Kind, fault};
use crate::onnx_run::OnnxNet;
use crate::predict::Prepared;
use anyhow::Result;
use maskline_models::onnx::{ModelProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type};
use maskline_models::{Contract, Model};
use std::collections::HashMap;

/// How a tensor's 8-bit range follows from the values that were seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// From the lowest to the highest.
    MinMax,
    /// So that this percentage of the values lies below the upper end, and above the lower end.
    Percentile(f64),
    /// The range that keeps most of the information.
    Entropy,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MinMax => write!(f, "minmax"),
            Self::Percentile(percent) => write!(f, "percentile {percent}"),
            Self::Entropy => write!(f, "entropy"),
        }
    }
}

/// The range of every tensor over all pictures. One pass for the limits; a second one fills histograms, where the method needs
/// them: memory does not grow with the pictures.
///
/// # Errors
/// One line, if ONNX Runtime refuses a picture, or a tensor holds NaN or infinity (exit code 78).
pub fn ranges(
    float: &ModelProto,
    contract: &Contract,
    tensors: &[&str],
    pictures: &[Prepared],
    method: Method,
) -> Result<HashMap<String, Range>> {
    let mut net = OnnxNet::open(&with_outputs(float, contract, tensors)?, None)?;
    let mut limits: HashMap<String, Range> = tensors.iter().map(|t| ((*t).to_string(), Range::ZERO)).collect();
    each(&mut net, contract, pictures, &mut |name, values| {
        if let Some(range) = limits.get_mut(name) {
            *range = range.with(values);
        }
    })?;
    if let Some((name, _)) = limits.iter().find(|(_, range)| !range.is_finite()) {
        let line = format!(
            "the tensor {name} of {} holds values that are no finite numbers on these pictures",
            contract.name
        );
        return Err(fault(Kind::Config, line));
    }
    if method == Method::MinMax {
        return Ok(limits);
    }
    let mut histograms: HashMap<String, Histogram> = limits.into_iter().map(|(t, range)| (t, Histogram::new(range))).collect();
    each(&mut net, contract, pictures, &mut |name, values| {
        if let Some(histogram) = histograms.get_mut(name) {
            histogram.add(values);
        }
    })?;
    let range = |histogram: &Histogram| match method {
        Method::Percentile(percent) => histogram.percentile(percent / 100.0),
        _ => histogram.entropy(),
    };
    Ok(histograms.iter().map(|(tensor, h)| (tensor.clone(), range(h))).collect())
}

/// Shows every picture's input and float tensors to `visit`.
fn each(net: &mut OnnxNet, contract: &Contract, pictures: &[Prepared], visit: &mut dyn FnMut(&str, &[f32])) -> Result<()> {
    for picture in pictures {
        visit(&contract.input.tensor, &picture.tensor);
        net.every_float(&picture.tensor, picture.shape(contract.input.layout), visit)?;
    }
    Ok(())
}

/// The model with those of the tensors that nodes make as outputs too.
fn with_outputs(float: &ModelProto, contract: &Contract, tensors: &[&str]) -> Result<Model> {
    let mut model = float.clone();
    let graph = model.graph.get_or_insert_default();
    let links = Links::new(graph);
    let more: Vec<ValueInfoProto> = tensors
        .iter()
        .filter(|t| links.producer.contains_key(**t) && !links.outputs.contains(**t))
        .map(|t| ValueInfoProto {
            name: (*t).into(),
            r#type: Some(TypeProto {
                tensor_type: Some(TensorTypeProto {
                    elem_type: data_type::FLOAT,
                    shape: None,
                }),
            }),
        })
        .collect();
    graph.output.extend(more);
    super::packed(&model, contract)
}
