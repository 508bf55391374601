//! A float model's graph: read, checked, and who makes and who takes each tensor.

use crate::error::{Kind, fault};
use crate::onnx_graph::{floats, is_quantized};
use anyhow::Result;
use maskline_models::Model;
use maskline_models::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, data_location, data_type};
use prost::Message;
use std::collections::{HashMap, HashSet};

/// The oldest operator set with a scale for every channel (`DequantizeLinear` 13).
const MIN_OPSET: i64 = 13;

/// What would be lost in reading and writing, because [`ModelProto`] does not know it.
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "7")]
    graph: Option<UnknownInGraph>,
    #[prost(bytes = "vec", repeated, tag = "25")]
    functions: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct UnknownInGraph {
    #[prost(bytes = "vec", repeated, tag = "15")]
    sparse_initializer: Vec<Vec<u8>>,
}

/// Reads the graph of a float model. Constant nodes become initializers, so that weights lie in one place.
///
/// # Errors
/// One line with exit code 78: it is quantized already, not of 32-bit floats, of an old operator set, or its weights lie in
/// another file.
pub fn read(model: &Model) -> Result<ModelProto> {
    let refuse = |what: &str| fault(Kind::Config, format!("cannot quantize {}: {what}", model.origin));
    let damaged = |e: prost::DecodeError| refuse(&e.to_string());
    let mut read = ModelProto::decode(&model.onnx[..]).map_err(damaged)?;
    let unknown = Unknown::decode(&model.onnx[..]).map_err(damaged)?;
    if !unknown.functions.is_empty() || unknown.graph.is_some_and(|g| !g.sparse_initializer.is_empty()) {
        return Err(refuse(
            "it has local functions or sparse weights; export it with functions inlined and dense weights",
        ));
    }
    let opset = read.opset_import.iter().find(|o| o.domain.is_empty()).map_or(0, |o| o.version);
    if opset < MIN_OPSET {
        return Err(refuse(&format!(
            "its operator set is {opset}, wanted {MIN_OPSET} or newer; export it again with opset 17"
        )));
    }
    let graph = read.graph.get_or_insert_default();
    lift_constants(graph);
    if graph.initializer.iter().any(|t| t.data_location == data_location::EXTERNAL) {
        return Err(refuse("its weights lie in another file; save it as one file"));
    }
    let named: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    graph.input.retain(|i| !named.contains(i.name.as_str())); // before IR version 4 weights were listed as inputs too
    if let Some(node) = graph.node.iter().find(|n| is_quantized(n)) {
        return Err(refuse(&format!(
            "it is quantized already ({} {}); start from the float model",
            node.op_type, node.name
        )));
    }
    if let Some(half) = graph.initializer.iter().find(|t| t.data_type == data_type::FLOAT16) {
        return Err(refuse(&format!(
            "its weights are 16-bit floats ({}); start from the 32-bit model",
            half.name
        )));
    }
    Ok(read)
}

fn lift_constants(graph: &mut GraphProto) {
    let mut lifted = Vec::new();
    graph.node.retain(|node| {
        let value = node.attribute.iter().find(|a| a.name == "value").and_then(|a| a.t.clone());
        match (node.op_type.as_str(), value, node.output.first()) {
            ("Constant", Some(tensor), Some(name)) => {
                lifted.push(TensorProto {
                    name: name.clone(),
                    ..tensor
                });
                false
            }
            _ => true,
        }
    });
    graph.initializer.append(&mut lifted);
}

/// Who makes and who takes each tensor of a graph.
pub struct Links<'g> {
    /// Node that makes a tensor.
    pub producer: HashMap<&'g str, usize>,
    /// Nodes that take it.
    pub consumers: HashMap<&'g str, Vec<usize>>,
    /// Constants by name.
    pub constants: HashMap<&'g str, &'g TensorProto>,
    /// Outputs of the graph.
    pub outputs: HashSet<&'g str>,
}

impl<'g> Links<'g> {
    /// The links of a graph.
    pub fn new(graph: &'g GraphProto) -> Self {
        let mut links = Self {
            producer: HashMap::new(),
            consumers: HashMap::new(),
            constants: graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect(),
            outputs: graph.output.iter().map(|o| o.name.as_str()).collect(),
        };
        for (i, node) in graph.node.iter().enumerate() {
            for name in &node.output {
                links.producer.insert(name, i);
            }
            for name in &node.input {
                links.consumers.entry(name).or_default().push(i);
            }
        }
        links
    }

    /// The one node that takes a tensor, where there is just one and the tensor leaves the graph nowhere else.
    pub fn only_consumer(&self, tensor: &str) -> Option<usize> {
        match self.consumers.get(tensor).map(Vec::as_slice) {
            Some([one]) if !self.outputs.contains(tensor) => Some(*one),
            _ => None,
        }
    }

    /// The values of a constant of 32-bit floats.
    pub fn floats(&self, tensor: &str) -> Option<Vec<f32>> {
        self.constants.get(tensor).and_then(|t| floats(t))
    }
}

/// An integer attribute, or its default.
pub fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    node.attribute.iter().find(|a| a.name == name).map_or(default, |a| a.i)
}

/// A text attribute, or its default.
pub fn text<'n>(node: &'n NodeProto, name: &str, default: &'n str) -> &'n str {
    let found = node.attribute.iter().find(|a| a.name == name);
    found.map_or(default, |a| std::str::from_utf8(&a.s).unwrap_or_default())
}

/// Removes constants that no node takes any more and that are no output.
pub fn drop_unused_constants(graph: &mut GraphProto) {
    let mut used: HashSet<String> = graph.node.iter().flat_map(|n| n.input.iter().cloned()).collect();
    used.extend(graph.output.iter().map(|o| o.name.clone()));
    let has_subgraphs = graph.node.iter().any(|n| n.attribute.iter().any(|a| !a.g.is_empty()));
    if !has_subgraphs {
        // a subgraph may take constants that only it names
        graph.initializer.retain(|t| used.contains(&t.name));
    }
}
