//! 16-bit floats inside, 32-bit floats at the borders.

use super::graph::drop_unused_constants;
use crate::error::{Kind, fault};
use crate::onnx_graph::floats;
use anyhow::Result;
use maskline_models::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute_type, data_type};
use std::collections::{HashMap, HashSet};

/// The largest 16-bit float.
const LARGEST: f32 = 65504.0;

/// The model in 16-bit floats. Float inputs are cast at the start and float outputs at the end, so that whoever feeds the model
/// notices nothing.
///
/// # Errors
/// One line with exit code 78, if a weight does not fit into 16 bits, or the graph holds other graphs (`If`, `Loop`, `Scan`).
pub fn write(float: &ModelProto) -> Result<ModelProto> {
    let mut model = float.clone();
    let graph = model.graph.get_or_insert_default();
    if let Some(node) = graph.node.iter().find(|n| n.attribute.iter().any(|a| !a.g.is_empty())) {
        let line = format!(
            "cannot turn {} {} into 16-bit floats: it holds a graph of its own",
            node.op_type, node.name
        );
        return Err(fault(Kind::Config, line));
    }
    let kept = must_stay_float(graph);
    for tensor in graph.initializer.iter_mut().filter(|t| !kept.contains(&t.name)) {
        if let Some(values) = floats(tensor) {
            *tensor = half(tensor, &values)?;
        }
    }
    let mut nodes = Vec::new();
    let mut renamed = HashMap::new();
    for input in &graph.input {
        let is_float = element(input) == Some(data_type::FLOAT);
        if is_float {
            let name = format!("{}.f16", input.name);
            nodes.push(cast(&input.name, &name, data_type::FLOAT16));
            renamed.insert(input.name.clone(), name);
        }
    }
    let outputs: Vec<String> = graph
        .output
        .iter()
        .filter(|o| element(o) == Some(data_type::FLOAT))
        .map(|o| o.name.clone())
        .collect();
    for name in &outputs {
        renamed.insert(name.clone(), format!("{name}.f16"));
    }
    for mut node in std::mem::take(&mut graph.node) {
        for name in node.input.iter_mut().chain(&mut node.output) {
            if let Some(new) = renamed.get(name) {
                name.clone_from(new);
            }
        }
        for attribute in &mut node.attribute {
            if node.op_type == "Cast" && attribute.name == "to" && attribute.i == i64::from(data_type::FLOAT) {
                attribute.i = data_type::FLOAT16.into();
            }
            // the value that `ConstantOfShape` repeats
            if let Some(tensor) = &mut attribute.t
                && let Some(values) = floats(tensor)
            {
                *tensor = half(tensor, &values)?;
            }
        }
        nodes.push(node);
    }
    nodes.extend(outputs.iter().map(|name| cast(&renamed[name], name, data_type::FLOAT)));
    graph.node = nodes;
    drop_unused_constants(graph);
    Ok(model)
}

/// Constants that the operator takes as 32-bit floats whatever its data are: `Resize` has its scales so.
fn must_stay_float(graph: &GraphProto) -> HashSet<String> {
    let resizes = graph.node.iter().filter(|n| n.op_type == "Resize");
    resizes.flat_map(|n| n.input.iter().skip(1).cloned()).collect()
}

fn half(tensor: &TensorProto, values: &[f32]) -> Result<TensorProto> {
    if let Some(value) = values.iter().find(|v| v.is_finite() && v.abs() > LARGEST) {
        let line = format!(
            "the tensor {} holds {value}, but 16-bit floats end at {LARGEST}: use --to int8",
            tensor.name
        );
        return Err(fault(Kind::Config, line));
    }
    Ok(TensorProto {
        dims: tensor.dims.clone(),
        data_type: data_type::FLOAT16,
        name: tensor.name.clone(),
        raw_data: values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
        ..TensorProto::default()
    })
}

fn element(value: &maskline_models::onnx::ValueInfoProto) -> Option<i32> {
    value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).map(|t| t.elem_type)
}

fn cast(from: &str, to: &str, kind: i32) -> NodeProto {
    NodeProto {
        input: vec![from.into()],
        output: vec![to.into()],
        name: format!("{to}.cast"),
        op_type: "Cast".into(),
        attribute: vec![AttributeProto {
            name: "to".into(),
            i: kind.into(),
            r#type: attribute_type::INT,
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    }
}
