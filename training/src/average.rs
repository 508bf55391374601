//! The mean of exported models of one net ("model soups", Wortsman et al. 2022): runs that began with each other's weights often lie
//! in one valley, and between them a net is right more often than either.

use crate::error::{Kind, fault};
use crate::export::{goldens, packed};
use crate::lineage::Lineage;
use crate::onnx_graph::{floats, is_quantized};
use anyhow::Result;
use maskline_models::Model;
use maskline_models::contract::Contract;
use maskline_models::onnx::{GraphProto, ModelProto, TensorProto, data_type};
use prost::Message;
use std::collections::BTreeMap;

/// What the mean is called and whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The model's name; that of the first where it is missing.
    pub name: Option<String>,
    /// Licence of the weights; needed where those of the models differ.
    pub licence: Option<String>,
}

/// Shares that add up to 1, in the ratios of these.
pub fn normal(shares: &[f64]) -> Vec<f64> {
    let largest = shares.iter().copied().fold(0.0, f64::max); // first, as the sum may be too large
    let whole: f64 = shares.iter().map(|share| share / largest).sum();
    shares.iter().map(|share| share / largest / whole).collect()
}

/// The model whose every weight is the mean of the models' weights, with shares that add up to 1, one for each, and this contract.
/// The golden pictures are the contract's, the class maps its own.
///
/// # Errors
/// One line with exit code 78: a model is quantized, gives a confidence or remembers earlier frames, or two are not of one net.
pub fn average(models: &[Model], shares: &[f64], contract: &Contract) -> Result<Model> {
    let graphs: Vec<ModelProto> = models.iter().map(float_graph).collect::<Result<_>>()?;
    let first = &models[0];
    for (model, graph) in models.iter().zip(&graphs).skip(1) {
        if let Some(difference) = difference((first, &graphs[0]), (model, graph)) {
            let line = format!(
                "{} and {} {difference}: the mean is of models of one net",
                first.origin, model.origin
            );
            return Err(fault(Kind::Config, line));
        }
    }
    let weights: Vec<_> = graphs.iter().map(tensors).collect();
    let mut mean = graphs[0].clone();
    for tensor in mean.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if floats(tensor).is_some() {
            let of_all = weights.iter().map(|all| floats(all[tensor.name.as_str()]).unwrap_or_default());
            let values = weighted(of_all, shares);
            tensor.float_data.clear();
            tensor.raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        }
    }
    let contract = Contract {
        goldens: goldens(&packed(&mean, contract)?, 1.0)?,
        ..contract.clone()
    };
    packed(&mean, &contract)
}

fn float_graph(model: &Model) -> Result<ModelProto> {
    let refuse = |what: &str| fault(Kind::Config, format!("{} {what}", model.origin));
    let read = ModelProto::decode(&model.onnx[..]).map_err(|e| refuse(&format!("is no ONNX file: {e}")))?;
    if read.graph.iter().flat_map(|graph| &graph.node).any(is_quantized) {
        return Err(refuse("is quantized: take the float models, and quantize their mean"));
    }
    if read
        .graph
        .iter()
        .flat_map(|graph| &graph.initializer)
        .any(|tensor| tensor.data_type == data_type::FLOAT16)
    {
        return Err(refuse("has weights of 16 bits: take the float models, and make the mean smaller"));
    }
    if model.contract.heads.iter().any(|head| head.confidence.is_some()) {
        return Err(refuse(
            "gives a confidence, which its own temperature made: export it without --confidence",
        ));
    }
    if model.contract.remembers() {
        return Err(refuse("remembers earlier frames: the mean is of models without a memory"));
    }
    Ok(read)
}

fn tensors(model: &ModelProto) -> BTreeMap<&str, &TensorProto> {
    let graph = model.graph.as_ref();
    graph
        .iter()
        .flat_map(|graph| &graph.initializer)
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect()
}

/// What one has that the other has not, but for the values of its weights.
fn difference(a: (&Model, &ModelProto), b: (&Model, &ModelProto)) -> Option<&'static str> {
    let shape = |tensor: &TensorProto| {
        let constant = floats(tensor).is_none().then(|| tensor.clone());
        (tensor.dims.clone(), tensor.data_type, constant)
    };
    let graph = |model: &ModelProto| -> GraphProto {
        let mut graph = model.graph.clone().unwrap_or_default();
        graph.initializer.clear();
        graph
    };
    let shapes = |model| {
        tensors(model)
            .into_iter()
            .map(|(name, t)| (name.to_string(), shape(t)))
            .collect::<BTreeMap<_, _>>()
    };
    let heads = |model: &Model| {
        let heads = model.contract.heads.iter();
        heads
            .map(|head| (head.name.clone(), head.kind, head.classes.clone()))
            .collect::<Vec<_>>()
    };
    if a.0.contract.input != b.0.contract.input {
        Some("expect other pictures")
    } else if heads(a.0) != heads(b.0) {
        Some("have other heads or classes")
    } else if shapes(a.1) != shapes(b.1) || graph(a.1) != graph(b.1) {
        Some("have other layers")
    } else {
        None
    }
}

fn weighted(of_all: impl Iterator<Item = Vec<f32>>, shares: &[f64]) -> Vec<f32> {
    let mut sum: Vec<f64> = Vec::new();
    for (values, share) in of_all.zip(shares) {
        sum.resize(values.len(), 0.0);
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += share * f64::from(value));
    }
    sum.into_iter().map(|v| v as f32).collect()
}

/// The contract of the mean: the first model's, with the data of all. What was measured of the first does not hold for the mean and is
/// left out.
///
/// # Errors
/// If the licences differ and none is named (exit code 78).
pub fn contract(models: &[Model], shares: &[f64], named: &Named) -> Result<Contract> {
    let mut contract = models[0].contract.clone();
    if let Some(name) = &named.name {
        contract.name.clone_from(name);
    }
    match &named.licence {
        Some(licence) => contract.licence.clone_from(licence),
        None => {
            if let Some(other) = models.iter().find(|model| model.contract.licence != contract.licence) {
                let line = format!(
                    "the licences are {:?} and {:?}: name that of the mean with --licence",
                    contract.licence, other.contract.licence
                );
                return Err(fault(Kind::Config, line));
            }
        }
    }
    for head in &mut contract.heads {
        head.temperature = None;
    }
    let lineages: Vec<Lineage> = models.iter().map(Lineage::of_model).collect();
    let lineage = lineages[1..].iter().fold(lineages[0].clone(), |all, other| all.and(other));
    let training = contract.training.get_or_insert_default();
    (training.data, training.rendered_only) = (lineage.data, lineage.rendered_only);
    (training.miou, training.split) = (None, String::new());
    training.averaged = models.iter().zip(shares).map(|(model, share)| part(model, *share)).collect();
    Ok(contract)
}

/// A model that is averaged, for people.
fn part(model: &Model, share: f64) -> String {
    let from = model.contract.training.as_ref().map(|t| match t.averaged.is_empty() {
        true => format!(" (commit {}, seed {}, epoch {})", t.commit, t.seed, t.epochs),
        false => format!(" (the mean of {})", t.averaged.join(", ")),
    });
    format!("{share:.3} of {}{}", model.contract.name, from.unwrap_or_default())
}
