//! Passes over a written graph that keep what it computes and make it smaller.

use super::graph::Graph;
use crate::onnx_graph;
use maskline_models::onnx::{NodeProto, TensorProto, data_type};
use std::collections::{HashMap, HashSet};

/// Folds each batch normalisation with constant statistics into the convolution before it, where nothing else reads that
/// convolution: `w' = w g / sqrt(v + e)`, `b' = (b - m) g / sqrt(v + e) + beta`, in double precision.
pub(super) fn fold_batch_norm(g: &mut Graph, outputs: &[String]) {
    let uses = uses(&g.nodes, outputs);
    let maker: HashMap<_, _> = g.nodes.iter().enumerate().map(|(i, n)| (n.output[0].clone(), i)).collect();
    let mut removed = HashSet::new();
    for at in 0..g.nodes.len() {
        let norm = &g.nodes[at];
        let Some(&before) = maker.get(&norm.input[0]).filter(|_| norm.op_type == "BatchNormalization") else {
            continue;
        };
        if uses[&norm.input[0]] != 1 {
            continue;
        }
        if let Some((weight, bias)) = folded(g, &g.nodes[before], norm) {
            let (output, inputs) = (norm.output[0].clone(), &g.nodes[before].input);
            // a bias may be shared or missing, a weight shared: then the folded ones get names of their own
            let free_to_change = |name: &String| uses[name] == 1;
            let (old, layer) = (inputs[1].clone(), g.nodes[before].name.clone());
            let old_bias = inputs.get(2).cloned().filter(free_to_change);
            let weight_name = if free_to_change(&old) {
                old
            } else {
                g.free(&format!("{layer}.weight"))
            };
            let bias_name = old_bias.unwrap_or_else(|| g.free(&format!("{layer}.bias")));
            for (name, mut tensor) in [(&weight_name, weight), (&bias_name, bias)] {
                tensor.name.clone_from(name);
                g.initializers.insert(name.clone(), tensor);
            }
            let convolution = &mut g.nodes[before];
            convolution.input.truncate(1);
            convolution.input.extend([weight_name, bias_name]);
            convolution.output[0] = output;
            removed.insert(at);
        }
    }
    let mut at = 0;
    g.nodes.retain(|_| {
        at += 1;
        !removed.contains(&(at - 1))
    });
}

/// Weight and bias of `convolution` followed by `norm`; nothing, if they do not fit together.
fn folded(g: &Graph, convolution: &NodeProto, norm: &NodeProto) -> Option<(TensorProto, TensorProto)> {
    let group = convolution.attribute.iter().find(|a| a.name == "group").map_or(1, |a| a.i);
    let axis = match convolution.op_type.as_str() {
        "Conv" => 0,
        "ConvTranspose" if group == 1 => 1,
        _ => return None,
    };
    let constant = |name: &String| g.initializers.get(name).and_then(floats);
    let tensor = g.initializers.get(&convolution.input[1])?;
    let mut weight = floats(tensor)?;
    let channels = *tensor.dims.get(axis)? as usize;
    let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|i| norm.input.get(i).and_then(constant));
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    let bias = match convolution.input.get(2) {
        Some(name) => constant(name)?,
        None => vec![0.0; channels],
    };
    if [&gamma, &beta, &mean, &variance, &bias].iter().any(|list| list.len() != channels) {
        return None;
    }
    let epsilon = norm.attribute.iter().find(|a| a.name == "epsilon").map_or(1e-5, |a| f64::from(a.f));
    let scale: Vec<_> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let inner: usize = tensor.dims[axis + 1..].iter().map(|d| *d as usize).product();
    for (i, w) in weight.iter_mut().enumerate() {
        *w *= scale[i / inner % channels];
    }
    let bias: Vec<_> = (0..channels).map(|c| (bias[c] - mean[c]) * scale[c] + beta[c]).collect();
    let pack = |dims: Vec<i64>, values: Vec<f64>| TensorProto {
        dims,
        data_type: data_type::FLOAT,
        name: String::new(),
        raw_data: values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
        ..TensorProto::default()
    };
    Some((pack(tensor.dims.clone(), weight), pack(vec![channels as i64], bias)))
}

fn floats(tensor: &TensorProto) -> Option<Vec<f64>> {
    onnx_graph::floats(tensor).map(|values| values.into_iter().map(f64::from).collect())
}

/// Removes nodes and constants that no output depends on.
pub(super) fn remove_dead(g: &mut Graph, outputs: &[String]) {
    let mut needed: HashSet<String> = outputs.iter().cloned().collect();
    let mut keep = vec![false; g.nodes.len()];
    for (node, keep) in g.nodes.iter().zip(&mut keep).rev() {
        if node.output.iter().any(|o| needed.contains(o)) {
            *keep = true;
            needed.extend(node.input.iter().cloned());
        }
    }
    let mut keep = keep.into_iter();
    g.nodes.retain(|_| keep.next().expect("one entry a node"));
    g.initializers.retain(|name, _| needed.contains(name));
}

/// How often each tensor is read, as a graph output too.
fn uses(nodes: &[NodeProto], outputs: &[String]) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    for name in nodes.iter().flat_map(|n| &n.input).chain(outputs) {
        *uses.entry(name.clone()).or_insert(0) += 1;
    }
    uses
}
