//! What becomes int8: layers with weights, and the operators between them that ONNX Runtime has for 8-bit tensors.

use super::graph::{Links, int, text};
use maskline_models::onnx::{GraphProto, NodeProto};
use std::collections::{BTreeMap, HashSet};

/// A node with constant weights that can be computed in int8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its number in the graph.
    pub node: usize,
    /// Its name, or that of its output.
    pub name: String,
    /// Axis of the weights that counts output channels; `None` where one scale must do for all.
    pub axis: Option<usize>,
}

/// Where a tensor's scale comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Its own range.
    Own,
    /// The scale of another tensor, because the operator between them moves values and changes none.
    Same(String),
}

/// What becomes int8.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Layers, in the order of the graph.
    pub layers: Vec<Layer>,
    /// All nodes that work on 8-bit tensors, the layers among them.
    pub nodes: HashSet<usize>,
    /// Tensors that a pair of `QuantizeLinear` and `DequantizeLinear` stands behind.
    pub tensors: BTreeMap<String, Source>,
}

/// All nodes that can be int8: `Conv`, `MatMul` and `Gemm` with constant float weights. `ConvTranspose` is not among them:
/// ONNX Runtime has no int8 kernel for it, and writing it as a 1x1 `Conv` and a `DepthToSpace` was no faster.
pub fn candidates(graph: &GraphProto) -> Vec<Layer> {
    let links = Links::new(graph);
    let layer = |(number, node): (usize, &NodeProto)| {
        let weight = node.input.get(1)?;
        links.floats(weight)?;
        let rank = links.constants[weight.as_str()].dims.len();
        let constant_bias = node.input.get(2).is_none_or(|bias| bias.is_empty() || links.floats(bias).is_some());
        let fits = node.domain.is_empty() && constant_bias && !links.constants.contains_key(node.input[0].as_str());
        let axis = match node.op_type.as_str() {
            "Conv" => Some(0),
            "MatMul" => (rank == 2).then_some(1),
            "Gemm" if int(node, "transA", 0) == 0 => Some(if int(node, "transB", 0) == 0 { 1 } else { 0 }),
            _ => return None,
        };
        fits.then(|| Layer {
            node: number,
            name: name_of(node),
            axis,
        })
    };
    graph.node.iter().enumerate().filter_map(layer).collect()
}

/// A node's name, or that of its output where it has none.
pub fn name_of(node: &NodeProto) -> String {
    let named = Some(&node.name).filter(|n| !n.is_empty()).or(node.output.first());
    named.cloned().unwrap_or_default()
}

impl Plan {
    /// The plan with these layers in int8. An operator between layers is taken along where 8-bit tensors come in and 8-bit
    /// tensors are wanted behind it; else it stays float, because converting there and back costs more than it saves.
    pub fn new(graph: &GraphProto, layers: &[Layer]) -> Self {
        let links = Links::new(graph);
        let mut nodes: HashSet<usize> = layers.iter().map(|l| l.node).collect();
        let mut wanted: HashSet<&str> = HashSet::new(); // tensors that an int8 operator takes
        for (number, node) in graph.node.iter().enumerate().rev() {
            let between = data_inputs(node).filter(|_| node.output.iter().any(|o| wanted.contains(o.as_str())));
            if nodes.contains(&number) {
                wanted.insert(&node.input[0]);
            } else if let Some(count) = between {
                wanted.extend(node.input.iter().take(count).map(String::as_str));
            }
        }
        let mut small: HashSet<&str> = HashSet::new(); // tensors that an int8 operator makes
        let mut folded = HashSet::new();
        for (number, node) in graph.node.iter().enumerate() {
            let Some(output) = node.output.first() else { continue };
            if nodes.contains(&number) {
                if node.op_type != "MatMul" || wanted.contains(output.as_str()) {
                    small.insert(output);
                }
            } else if let Some(count) = data_inputs(node) {
                let comes_in = node.input.iter().take(count).any(|i| small.contains(i.as_str()));
                let behind_layer = links.producer.get(node.input[0].as_str()).is_some_and(|p| nodes.contains(p));
                let folds = is_clip(node) && behind_layer && links.only_consumer(&node.input[0]).is_some();
                if comes_in && (folds || wanted.contains(output.as_str())) {
                    small.insert(output);
                    nodes.insert(number);
                }
            }
        }
        // An activation that the range of its 8-bit output does anyway needs nothing in front of it.
        for &number in &nodes {
            let node = &graph.node[number];
            let before = links.producer.get(node.input[0].as_str());
            let own = before.is_some_and(|p| nodes.contains(p) && !keeps_values(&graph.node[*p]));
            if is_clip(node) && own && links.only_consumer(&node.input[0]).is_some() {
                folded.insert(node.input[0].as_str());
            }
        }
        let mut tensors = BTreeMap::new();
        for &number in &nodes {
            let node = &graph.node[number];
            let count = data_inputs(node).unwrap_or(1);
            for input in node.input.iter().take(count) {
                if !folded.contains(input.as_str()) && !links.constants.contains_key(input.as_str()) {
                    tensors.entry(input.clone()).or_insert(Source::Own);
                }
            }
            for output in node.output.iter().take(1) {
                if small.contains(output.as_str()) && !folded.contains(output.as_str()) {
                    let source = if keeps_values(node) {
                        Source::Same(node.input[0].clone())
                    } else {
                        Source::Own
                    };
                    tensors.insert(output.clone(), source);
                }
            }
        }
        Self {
            layers: layers.to_vec(),
            nodes,
            tensors,
        }
    }

    /// The tensor whose range decides a tensor's scale.
    pub fn root<'p>(&'p self, mut tensor: &'p str) -> &'p str {
        while let Some(Source::Same(other)) = self.tensors.get(tensor) {
            tensor = other;
        }
        tensor
    }
}

/// How many of its inputs are tensors that would be 8-bit, if ONNX Runtime has the operator for 8-bit tensors.
pub fn data_inputs(node: &NodeProto) -> Option<usize> {
    match node.op_type.as_str() {
        _ if !node.domain.is_empty() => None,
        "Add" | "Mul" | "Concat" => Some(node.input.len()),
        "Sigmoid" | "LeakyRelu" | "AveragePool" | "GlobalAveragePool" | "Relu" | "Clip" => Some(1),
        _ => keeps_values(node).then_some(1),
    }
}

fn keeps_values(node: &NodeProto) -> bool {
    match node.op_type.as_str() {
        // with one output only: the second holds places
        "MaxPool" => node.output.len() == 1,
        "Resize" => text(node, "mode", "nearest") == "nearest",
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Slice" => true,
        _ => false,
    }
}

fn is_clip(node: &NodeProto) -> bool {
    matches!(node.op_type.as_str(), "Relu" | "Clip")
}
