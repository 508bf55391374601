//! What stands in the graph of an ONNX file, for all who read or rewrite one.

use maskline_models::onnx::{NodeProto, TensorProto, data_type};

/// Whether an operator computes with fewer bits than floats have, or leads to one that does.
pub fn is_quantized(node: &NodeProto) -> bool {
    let op = node.op_type.as_str();
    op.starts_with("QLinear") || op.ends_with("QuantizeLinear") || op.ends_with("Integer") || op == "DequantizeLinear" || op == "QGemm"
}

/// The values of a tensor of 32-bit floats.
pub fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != data_type::FLOAT {
        return None;
    }
    if tensor.raw_data.is_empty() {
        return Some(tensor.float_data.clone());
    }
    Some(tensor.raw_data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}
