//! What an ONNX file costs: its parameters, and its multiplications for one picture, whoever made it.

use crate::error::{Kind, fault};
use crate::nets::Cost;
use crate::onnx_run::OnnxNet;
use anyhow::Result;
use maskline_models::Model;
use maskline_models::contract::{Layout, Size};
use maskline_models::onnx::{ModelProto, NodeProto, TensorProto, ValueInfoProto, append_contract, data_type};
use prost::Message;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Refuses pictures of a size that a model cannot take.
///
/// # Errors
/// One line with exit code 64.
pub fn fits(model: &Model, (width, height): (u32, u32)) -> Result<()> {
    let name = &model.origin;
    let wanted = match model.contract.input.size {
        Size::Fixed { width: w, height: h } if (w, h) != (width, height) => format!("takes {w}x{h} only"),
        Size::Multiple { of, .. } if !(width.is_multiple_of(of) && height.is_multiple_of(of)) => format!("needs multiples of {of}"),
        _ => return Ok(()),
    };
    Err(fault(Kind::Usage, format!("--size is {width}x{height}, but {name} {wanted}")))
}

/// Numbers in the file that were learnt, and multiplications with additions of its convolutions and matrix products for a
/// picture of that size. Batch norms that were folded into convolutions are counted as the biases that they became.
///
/// The sizes of the tensors between are those that ONNX Runtime finds when it runs the file.
///
/// # Errors
/// One line with exit code 78: it is no ONNX model, or ONNX Runtime refuses it or the size.
pub fn cost(model: &Model, width: usize, height: usize) -> Result<Cost> {
    let mut proto =
        ModelProto::decode(&model.onnx[..]).map_err(|e| fault(Kind::Config, format!("{} is not an ONNX model: {e}", model.origin)))?;
    let graph = proto.graph.get_or_insert_default();
    let parameters = parameters(&graph.initializer, &graph.node);
    let constants: HashMap<String, Vec<usize>> = graph.initializer.iter().map(|t| (t.name.clone(), dimensions(t))).collect();
    let products: Vec<NodeProto> = graph.node.iter().filter(|n| is_product(&n.op_type)).cloned().collect();

    // All that goes into products and comes out of them becomes an output, so that its shape can be seen.
    let made: HashSet<&String> = graph.node.iter().flat_map(|n| &n.output).collect();
    let known: HashSet<&String> = graph.output.iter().map(|o| &o.name).collect();
    let mut wanted: Vec<&String> = products.iter().flat_map(|n| n.input.iter().chain(&n.output)).collect();
    wanted.sort();
    wanted.dedup();
    let more: Vec<ValueInfoProto> = wanted
        .into_iter()
        .filter(|name| made.contains(name) && !known.contains(name))
        .map(|name| ValueInfoProto {
            name: name.clone(),
            r#type: None, // ONNX Runtime knows
        })
        .collect();
    graph.output.extend(more);
    let mut bytes = proto.encode_to_vec();
    append_contract(&mut bytes, &model.contract);
    let seen = Model::from_bytes(model.origin.clone(), Cow::Owned(bytes), None).map_err(|e| fault(Kind::Config, e))?;
    let shape = match model.contract.input.layout {
        Layout::Nchw => [1, 3, height, width],
        Layout::Nhwc => [1, height, width, 3],
    };
    let mut shapes = OnnxNet::open(&seen, None)?.shapes(&vec![0.0; 3 * width * height], shape)?;
    shapes.insert(model.contract.input.tensor.clone(), shape.to_vec());
    shapes.extend(constants);
    let macs = products.iter().map(|node| macs(node, &shapes)).sum();
    Ok(Cost { parameters, macs })
}

fn dimensions(tensor: &TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect()
}

fn is_product(op: &str) -> bool {
    matches!(op, "Conv" | "ConvTranspose" | "Gemm" | "MatMul")
}

/// Numbers of weights and biases: constants of floats, and of integers that stand for floats; not shapes, and not the scales and
/// zero points of quantization or the factors of a resize.
fn parameters(constants: &[TensorProto], nodes: &[NodeProto]) -> usize {
    let quantizing = || {
        nodes
            .iter()
            .filter(|n| n.op_type.ends_with("QuantizeLinear") || n.op_type == "DequantizeLinear")
    };
    let resizing = nodes.iter().filter(|n| n.op_type == "Resize");
    let scales: HashSet<&String> = quantizing().chain(resizing).flat_map(|n| n.input.iter().skip(1)).collect();
    let integers: HashSet<&String> = quantizing().filter_map(|n| n.input.first()).collect();
    let learnt = |tensor: &&TensorProto| match tensor.data_type {
        data_type::FLOAT | data_type::FLOAT16 => !scales.contains(&tensor.name),
        _ => integers.contains(&tensor.name),
    };
    let size = |tensor: &TensorProto| dimensions(tensor).iter().product::<usize>();
    constants.iter().filter(learnt).map(size).sum()
}

/// Multiplications with additions of one node; 0 where a shape is not known.
fn macs(node: &NodeProto, shapes: &HashMap<String, Vec<usize>>) -> u64 {
    let shape = |name: Option<&String>| name.and_then(|n| shapes.get(n));
    let size = |shape: &[usize]| shape.iter().product::<usize>() as u64;
    let (Some(input), Some(second), Some(output)) = (shape(node.input.first()), shape(node.input.get(1)), shape(node.output.first()))
    else {
        return 0;
    };
    match node.op_type.as_str() {
        // weights [out, in / groups, ...]: so many products for each number that comes out
        "Conv" => size(output) * size(second.get(1..).unwrap_or_default()),
        // weights [in, out / groups, ...]: so many for each number that goes in
        "ConvTranspose" => size(input) * size(second.get(1..).unwrap_or_default()),
        "Gemm" => {
            let turned = node.attribute.iter().any(|a| a.name == "transA" && a.i != 0);
            size(output) * *input.get(usize::from(!turned)).unwrap_or(&0) as u64
        }
        _ => size(output) * *input.last().unwrap_or(&0) as u64,
    }
}
