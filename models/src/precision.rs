//! How many bits the numbers of a net have, as its ONNX file says.

use crate::onnx::{ModelProto, NodeProto, TensorProto, attribute_type, data_type};
use prost::Message;
use serde::{Serialize, Serializer};
use std::fmt;

/// What a net computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats, and whatever is not one of the others.
    F32,
    /// Most weights are 16-bit floats.
    F16,
    /// Most weights are 8-bit integers, and so are the activations.
    Int8,
    /// Most weights are 8-bit integers that become floats again before they are used.
    Int8Weights,
}

impl Precision {
    /// That of an ONNX file, by the element type that most of its weights have.
    pub fn of(onnx: &[u8]) -> Self {
        // A file that cannot be read is refused elsewhere, with its reason.
        let graph = ModelProto::decode(onnx).ok().and_then(|model| model.graph).unwrap_or_default();
        let constants = graph.node.iter().flat_map(|node| &node.attribute);
        let constants = constants
            .filter(|a| a.r#type == attribute_type::TENSOR)
            .filter_map(|a| a.t.as_ref());
        let (mut floats, mut halves, mut bytes) = (0_u64, 0_u64, 0_u64);
        for tensor in graph.initializer.iter().chain(constants) {
            match tensor.data_type {
                data_type::FLOAT => floats += elements(tensor),
                data_type::FLOAT16 => halves += elements(tensor),
                data_type::INT8 | data_type::UINT8 => bytes += elements(tensor),
                _ => {}
            }
        }
        if bytes > floats.max(halves) {
            let rounds = graph.node.iter().any(rounds_activations);
            return if rounds { Self::Int8 } else { Self::Int8Weights };
        }
        if halves > floats { Self::F16 } else { Self::F32 }
    }
}

/// Whether a node gives 8-bit activations. Weights lie in the file as integers, so that nothing rounds them.
fn rounds_activations(node: &NodeProto) -> bool {
    let name = node.op_type.as_str();
    matches!(name, "QuantizeLinear" | "DynamicQuantizeLinear") || name.starts_with("QLinear")
}

fn elements(tensor: &TensorProto) -> u64 {
    tensor.dims.iter().map(|n| u64::try_from(*n).unwrap_or(0)).product()
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Int8Weights => "int8 weights",
        })
    }
}

impl Serialize for Precision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::GraphProto;

    fn file(weights: &[(i32, i64)], operators: &[&str]) -> Vec<u8> {
        let tensor = |&(data_type, n): &(i32, i64)| TensorProto {
            data_type,
            dims: vec![n, 3],
            ..TensorProto::default()
        };
        let node = |op: &&str| NodeProto {
            op_type: (*op).into(),
            ..NodeProto::default()
        };
        let graph = GraphProto {
            initializer: weights.iter().map(tensor).collect(),
            node: operators.iter().map(node).collect(),
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    #[test]
    fn most_of_the_weights_decide() {
        use data_type::{FLOAT, FLOAT16, INT8, INT64};
        let of = |weights: &[(i32, i64)], operators: &[&str]| Precision::of(&file(weights, operators)).to_string();
        assert_eq!(of(&[(FLOAT, 90), (INT64, 900)], &["Conv"]), "f32");
        assert_eq!(of(&[(FLOAT, 9), (FLOAT16, 90)], &["Conv", "Cast"]), "f16");
        assert_eq!(
            of(&[(FLOAT, 9), (INT8, 90)], &["QuantizeLinear", "DequantizeLinear", "Conv"]),
            "int8"
        );
        assert_eq!(of(&[(FLOAT, 9), (INT8, 90)], &["QLinearConv"]), "int8");
        assert_eq!(of(&[(FLOAT, 9), (INT8, 90)], &["DequantizeLinear", "Conv"]), "int8 weights");
        assert_eq!(
            of(&[(FLOAT, 90), (INT8, 9)], &["QuantizeLinear", "Conv"]),
            "f32",
            "a layer or two make no int8 net"
        );
        assert_eq!(Precision::of(b"no file"), Precision::F32);
    }

    #[test]
    fn the_built_in_models_are_float_where_their_names_do_not_say_int8() {
        for name in crate::builtin::names() {
            let wanted = match name.ends_with("-int8") {
                true => Precision::Int8,
                false => Precision::F32,
            };
            assert_eq!(crate::builtin::find(name).map(Precision::of), Some(wanted), "{name}");
        }
    }
}
