//! Writes a plan into a graph: `QuantizeLinear` and `DequantizeLinear` behind every 8-bit tensor, integer weights and biases
//! with a scale for every output channel in front of every layer. The runtimes fuse what lies between into integer kernels.

use super::graph::{Links, drop_unused_constants, int};
use super::histogram::Range;
use super::plan::{Layer, Plan, data_inputs};
use crate::onnx_graph::floats;
use maskline_models::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute_type, data_type};
use std::collections::{HashMap, HashSet};

/// Integers of activations and weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// Activations.
    pub activations: Activations,
    /// Bits of a weight: 8, or 7 for processors that add two products in 16 bits and cut off what is too large.
    pub weight_bits: u32,
}

/// Integers of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activations {
    /// 0 to 255 with a zero point: what CPUs compute fastest.
    U8,
    /// -128 to 127 around 0: what TensorRT takes.
    S8,
}

/// `real = scale * (stored - zero)`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Affine {
    scale: f32,
    zero: i32,
}

impl Scheme {
    /// The largest stored weight. With 7 bits two products of 255 * 64 just fit into 16 bits.
    fn weight_limit(self) -> f32 {
        if self.weight_bits == 7 { 64.0 } else { 127.0 }
    }

    fn affine(self, range: Range) -> Affine {
        match self.activations {
            Activations::U8 => {
                let scale = usable((range.high - range.low) / 255.0);
                Affine {
                    scale,
                    zero: (-range.low / scale).round() as i32,
                }
            }
            Activations::S8 => Affine {
                scale: usable(range.high.max(-range.low) / 127.0),
                zero: 0,
            },
        }
    }
}

/// A tensor that is always 0 gets scale 1.
fn usable(scale: f32) -> f32 {
    if scale > f32::MIN_POSITIVE { scale } else { 1.0 }
}

/// The model with the plan carried out. Tensors keep their names behind `DequantizeLinear`, so that outputs and float operators
/// find them.
///
/// # Panics
/// If `ranges` lacks a tensor of the plan.
pub fn write(float: &ModelProto, plan: &Plan, ranges: &HashMap<String, Range>, scheme: Scheme) -> ModelProto {
    let mut model = float.clone();
    let graph = model.graph.get_or_insert_default();
    let source = std::mem::take(graph);
    let links = Links::new(&source);
    let mut writer = Writer::new(&source, scheme);
    let affine = |tensor: &str| scheme.affine(ranges[plan.root(tensor)]);

    let mut inputs = HashMap::new(); // inputs of the graph keep their own names
    for tensor in plan.tensors.keys().filter(|t| !links.producer.contains_key(t.as_str())) {
        let restored = writer.fresh(&format!("{tensor}.dequantized"));
        writer.pair(tensor, tensor, &restored, affine(tensor));
        inputs.insert(tensor.as_str(), restored);
    }
    for (number, original) in source.node.iter().enumerate() {
        let mut node = original.clone();
        if plan.nodes.contains(&number) {
            for input in node.input.iter_mut().take(data_inputs(original).unwrap_or(1)) {
                if let Some(restored) = inputs.get(input.as_str()) {
                    input.clone_from(restored);
                } else if let Some(constant) = links.constants.get(input.as_str()) {
                    *input = writer.operand(constant);
                }
            }
        }
        if let Some(layer) = plan.layers.iter().find(|l| l.node == number) {
            writer.layer(layer, &mut node, &links, affine(&original.input[0]).scale);
        }
        let mut pairs = Vec::new();
        for output in node.output.iter_mut().filter(|o| plan.tensors.contains_key(*o)) {
            let tensor = output.clone();
            *output = writer.fresh(&format!("{tensor}.float"));
            pairs.push((tensor, output.clone()));
        }
        writer.nodes.push(node);
        for (tensor, from) in pairs {
            writer.pair(&tensor, &from, &tensor, affine(&tensor));
        }
    }
    *graph = writer.finish(source.clone());
    model
}

/// The model with int8 weights that become floats again where they are used, and how many there are. Tensors of fewer than
/// `least` values stay as they are: their scales and names would eat what is saved.
pub fn write_weights(float: &ModelProto, least: usize) -> (ModelProto, usize) {
    let mut model = float.clone();
    let graph = model.graph.get_or_insert_default();
    let source = std::mem::take(graph);
    let links = Links::new(&source);
    let scheme = Scheme {
        activations: Activations::U8,
        weight_bits: 8,
    };
    let mut writer = Writer::new(&source, scheme);
    let mut restored: HashMap<&str, String> = HashMap::new();
    for original in &source.node {
        let mut node = original.clone();
        if let Some(axis) = weight_axis(original, &links)
            && let Some(tensor) = links.constants.get(original.input[1].as_str())
            && let Some(values) = floats(tensor).filter(|v| v.len() >= least)
        {
            let name = restored.entry(&original.input[1]).or_insert_with(|| {
                let scales = writer.weight_scales(&values, tensor, axis);
                writer.weight(&values, tensor, axis, &scales)
            });
            node.input[1].clone_from(name);
        }
        writer.nodes.push(node);
    }
    let count = restored.len();
    *graph = writer.finish(source.clone());
    (model, count)
}

/// The axis of a node's weights that counts output channels (`Some(None)`: one scale for all), if it has weights.
fn weight_axis(node: &NodeProto, links: &Links<'_>) -> Option<Option<usize>> {
    let rank = links.constants.get(node.input.get(1)?.as_str())?.dims.len();
    match node.op_type.as_str() {
        "Conv" => Some(Some(0)),
        "ConvTranspose" => Some((int(node, "group", 1) == 1).then_some(1)),
        "MatMul" => Some((rank == 2).then_some(1)),
        "Gemm" => Some(Some(usize::from(int(node, "transB", 0) == 0))),
        _ => None,
    }
}

struct Writer {
    scheme: Scheme,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Operands that are quantized already, by their float names.
    operands: HashMap<String, String>,
    taken: HashSet<String>,
}

impl Writer {
    fn new(graph: &GraphProto, scheme: Scheme) -> Self {
        let tensors = graph.node.iter().flat_map(|n| n.output.iter().chain(&n.input));
        Self {
            scheme,
            nodes: Vec::new(),
            constants: Vec::new(),
            operands: HashMap::new(),
            taken: tensors.cloned().chain(graph.initializer.iter().map(|t| t.name.clone())).collect(),
        }
    }

    fn finish(self, source: GraphProto) -> GraphProto {
        let mut graph = GraphProto {
            node: self.nodes,
            initializer: [source.initializer, self.constants].concat(),
            ..source
        };
        drop_unused_constants(&mut graph);
        graph
    }

    /// `base`, with a number behind it if it is taken.
    fn fresh(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    }

    fn constant(&mut self, base: &str, data_type: i32, dims: Vec<i64>, raw_data: Vec<u8>) -> String {
        let name = self.fresh(base);
        self.constants.push(TensorProto {
            dims,
            data_type,
            name: name.clone(),
            raw_data,
            ..TensorProto::default()
        });
        name
    }

    fn affine(&mut self, tensor: &str, affine: Affine) -> [String; 2] {
        let kind = match self.scheme.activations {
            Activations::U8 => data_type::UINT8,
            Activations::S8 => data_type::INT8,
        };
        let scale = affine.scale.to_le_bytes().to_vec();
        [
            self.constant(&format!("{tensor}.scale"), data_type::FLOAT, Vec::new(), scale),
            self.constant(&format!("{tensor}.zero_point"), kind, Vec::new(), vec![affine.zero as u8]),
        ]
    }

    /// Quantizes the float tensor `from` and gives it back as `to`; `tensor` names what lies between.
    fn pair(&mut self, tensor: &str, from: &str, to: &str, affine: Affine) {
        let [scale, zero] = self.affine(tensor, affine);
        let stored = self.fresh(&format!("{tensor}.quantized"));
        self.nodes.push(node("QuantizeLinear", [from, &scale, &zero], &stored, None));
        self.nodes.push(node("DequantizeLinear", [&stored, &scale, &zero], to, None));
    }

    /// A constant operand of an 8-bit operator, stored in the integers of activations; gives its name as floats.
    fn operand(&mut self, constant: &TensorProto) -> String {
        if let Some(done) = self.operands.get(&constant.name) {
            return done.clone();
        }
        let values = floats(constant).unwrap_or_default();
        let affine = self.scheme.affine(Range::ZERO.with(&values));
        let (low, high, kind) = match self.scheme.activations {
            Activations::U8 => (0.0, 255.0, data_type::UINT8),
            Activations::S8 => (-128.0, 127.0, data_type::INT8),
        };
        let store = |v: &f32| (v / affine.scale + affine.zero as f32).round_ties_even().clamp(low, high) as i32 as u8;
        let name = &constant.name;
        let [scale, zero] = self.affine(name, affine);
        let stored = self.constant(
            &format!("{name}.quantized"),
            kind,
            constant.dims.clone(),
            values.iter().map(store).collect(),
        );
        let restored = self.fresh(&format!("{name}.dequantized"));
        self.nodes.push(node("DequantizeLinear", [&stored, &scale, &zero], &restored, None));
        self.operands.insert(name.clone(), restored.clone());
        restored
    }

    /// Integer weights and bias for a layer whose input has this scale.
    fn layer(&mut self, layer: &Layer, node: &mut NodeProto, links: &Links<'_>, input_scale: f32) {
        let tensor = links.constants[node.input[1].as_str()];
        let values = floats(tensor).unwrap_or_default(); // `candidates` takes float weights only
        let mut scales = self.weight_scales(&values, tensor, layer.axis);
        let bias = node.input.get(2).filter(|b| !b.is_empty()).and_then(|b| links.floats(b));
        if let Some(bias) = &bias {
            // A bias far larger than its weights must still fit into 32 bits, with room for the sum of products.
            for (scale, b) in scales.iter_mut().zip(bias) {
                *scale = scale.max(b.abs() / input_scale / (1 << 30) as f32);
            }
        }
        node.input[1] = self.weight(&values, tensor, layer.axis, &scales);
        if let Some(bias) = bias {
            node.input[2] = self.bias(&node.input[2], &bias, &scales, input_scale);
        }
    }

    fn bias(&mut self, name: &str, bias: &[f32], scales: &[f32], input_scale: f32) -> String {
        let scales: Vec<f32> = (0..bias.len()).map(|i| scales[i.min(scales.len() - 1)] * input_scale).collect();
        let stored = bias.iter().zip(&scales).map(|(b, s)| (b / s).round_ties_even() as i32);
        let stored = stored.flat_map(i32::to_le_bytes).collect();
        let count = bias.len() as i64;
        let stored = self.constant(&format!("{name}.quantized"), data_type::INT32, vec![count], stored);
        let bytes = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        let scale = self.constant(&format!("{name}.scale"), data_type::FLOAT, vec![count], bytes);
        let restored = self.fresh(&format!("{name}.dequantized"));
        let parts = [stored.as_str(), scale.as_str()];
        self.nodes.push(node("DequantizeLinear", parts, &restored, Some(0)));
        restored
    }

    /// The scale of each output channel, or one for all.
    fn weight_scales(&self, values: &[f32], tensor: &TensorProto, axis: Option<usize>) -> Vec<f32> {
        let mut largest = vec![0_f32; axis.map_or(1, |a| tensor.dims[a] as usize)];
        for (i, value) in values.iter().enumerate() {
            let channel = &mut largest[channel(i, &tensor.dims, axis)];
            *channel = channel.max(value.abs());
        }
        largest.iter().map(|most| usable(most / self.scheme.weight_limit())).collect()
    }

    /// Stores weights as integers and gives the name under which they are floats again.
    fn weight(&mut self, values: &[f32], tensor: &TensorProto, axis: Option<usize>, scales: &[f32]) -> String {
        let name = &tensor.name;
        let limit = self.scheme.weight_limit();
        let store = |(i, v): (usize, &f32)| {
            let scale = scales[channel(i, &tensor.dims, axis)];
            (v / scale).round_ties_even().clamp(-limit, limit) as i8 as u8
        };
        let stored = values.iter().enumerate().map(store).collect();
        let stored = self.constant(&format!("{name}.quantized"), data_type::INT8, tensor.dims.clone(), stored);
        let dims: Vec<i64> = axis.iter().map(|_| scales.len() as i64).collect();
        let bytes = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        let scale = self.constant(&format!("{name}.scale"), data_type::FLOAT, dims.clone(), bytes);
        let zero = self.constant(&format!("{name}.zero_point"), data_type::INT8, dims, vec![0; scales.len()]);
        let restored = self.fresh(&format!("{name}.dequantized"));
        let parts = [stored.as_str(), scale.as_str(), zero.as_str()];
        self.nodes.push(node("DequantizeLinear", parts, &restored, axis));
        restored
    }
}

/// The channel along `axis` that the `index`-th value of a tensor belongs to; 0 without one.
fn channel(index: usize, dims: &[i64], axis: Option<usize>) -> usize {
    axis.map_or(0, |axis| {
        let inner: usize = dims[axis + 1..].iter().map(|d| *d as usize).product();
        index / inner % dims[axis] as usize
    })
}

fn node<const N: usize>(op: &str, inputs: [&str; N], output: &str, axis: Option<usize>) -> NodeProto {
    NodeProto {
        input: inputs.map(String::from).into(),
        output: vec![output.into()],
        name: format!("{output}.{op}"),
        op_type: op.into(),
        attribute: axis
            .map(|axis| AttributeProto {
                name: "axis".into(),
                i: axis as i64,
                r#type: attribute_type::INT,
                ..AttributeProto::default()
            })
            .into_iter()
            .collect(),
        ..NodeProto::default()
    }
}
