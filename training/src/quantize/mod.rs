//! Fewer bits for a finished model: int8 with ranges from pictures, 16-bit floats, or int8 weights alone.
//!
//! The way of `int8`: the graph is read ([`graph`]), the operators that can be int8 are chosen ([`plan`]), the float model runs on
//! pictures to find the range of every tensor ([`calibrate`], [`histogram`]), layers that lose too much stay float ([`sensitive`]),
//! and the pairs of `QuantizeLinear` and `DequantizeLinear` are written ([`qdq`]). Whatever comes out is measured beside the float
//! model ([`compare`]) before it is written.

mod calibrate;
mod compare;
mod f16;
mod graph;
mod histogram;
mod labelled;
mod plan;
mod qdq;
mod sensitive;

pub use calibrate::Method;
pub use compare::Speed;
pub use histogram::Range;
pub use labelled::{Labelled, spread};
pub use qdq::{Activations, Scheme};
pub use sensitive::Sensitivity;

use crate::error::{Kind, fault};
use crate::export::{goldens, packed};
use crate::metrics::Scores;
use anyhow::Result;
use maskline_models::onnx::ModelProto;
use maskline_models::{Contract, Model};
use plan::Plan;
use sensitive::Choice;
use serde::Serialize;

/// Weights with fewer values stay float in [`Target::WeightsInt8`].
const LEAST_WEIGHTS: usize = 1024;

/// What becomes of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Weights and activations in int8.
    Int8(Int8),
    /// All in 16-bit floats.
    F16,
    /// Weights in int8, arithmetic in 32-bit floats.
    WeightsInt8,
}

/// How int8 is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Int8 {
    /// Where ranges end.
    pub ranges: Method,
    /// Integers.
    pub scheme: Scheme,
    /// What stays float.
    pub keep: Keep,
}

/// Which layers stay float.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keep {
    /// None.
    Nothing,
    /// That many, the most sensitive ones.
    Layers(usize),
    /// As few of the most sensitive ones as keep the loss within that many points of mean IoU.
    MaxLoss(f64),
}

/// Pictures by purpose.
#[derive(Debug, Clone, Copy)]
pub struct Pictures<'a> {
    /// To find ranges with, and the most sensitive layers.
    pub calibration: Labelled<'a>,
    /// To see whether the loss is within [`Keep::MaxLoss`].
    pub check: Labelled<'a>,
    /// To measure the result on.
    pub evaluation: Labelled<'a>,
    /// Those of `calibration` and `check` were rendered in memory.
    pub rendered: bool,
}

/// A quantized model with its contract, and how it compares.
#[derive(Debug, Clone)]
pub struct Quantized {
    /// The model.
    pub model: Model,
    /// The comparison.
    pub report: Report,
}

/// How a quantized model compares with its float one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The float model.
    pub model: String,
    /// What was done.
    pub method: String,
    /// Pictures that were measured.
    pub pictures: usize,
    /// The float model's measures.
    pub float: Scores,
    /// The quantized model's measures.
    pub quantized: Scores,
    /// Share of pixels (0-1) with the same class.
    pub agreement: f64,
    /// Time.
    pub speed: Speed,
    /// Bytes of the float file.
    pub float_bytes: usize,
    /// Bytes of the quantized file.
    pub quantized_bytes: usize,
    /// Layers that could be quantized.
    pub layers: usize,
    /// Those that stayed float, most sensitive first.
    pub float_layers: Vec<Sensitivity>,
}

/// A graph with fewer bits, and what was done to it.
struct Smaller {
    graph: ModelProto,
    method: String,
    layers: usize,
    float_layers: Vec<Sensitivity>,
}

/// Whether it is of a kind that can be quantized.
///
/// # Errors
/// One line for a net with a memory (exit code 78).
pub fn takes(model: &Model) -> Result<()> {
    if !model.contract.remembers() {
        return Ok(());
    }
    let line = format!(
        "{} remembers earlier frames, and ranges are found on single pictures: quantize a net without memory",
        model.origin
    );
    Err(fault(Kind::Config, line))
}

/// Quantizes a float model and measures it. `name` is the new model's name; `words` say which data ranges are found with
/// and which it is measured on; `say` is told what happens.
///
/// # Errors
/// One line: a model that cannot be quantized, or one that ONNX Runtime refuses (exit code 78).
pub fn quantize(
    model: &Model,
    target: Target,
    name: String,
    pictures: Pictures<'_>,
    words: &[String; 2],
    say: &dyn Fn(&str),
) -> Result<Quantized> {
    takes(model)?;
    let float = graph::read(model)?;
    let smaller = match target {
        Target::Int8(options) => int8(model, &float, options, pictures, say)?,
        Target::F16 => Smaller {
            graph: f16::write(&float)?,
            method: "16-bit floats, 32-bit at the borders".into(),
            layers: 0,
            float_layers: Vec::new(),
        },
        Target::WeightsInt8 => {
            let (graph, layers) = qdq::write_weights(&float, LEAST_WEIGHTS);
            if layers == 0 {
                let line = format!("{} has no weights of {LEAST_WEIGHTS} or more floats: nothing to do", model.origin);
                return Err(fault(Kind::Config, line));
            }
            Smaller {
                graph,
                method: "weights in int8 with a scale for every channel, arithmetic in floats".into(),
                layers,
                float_layers: Vec::new(),
            }
        }
    };
    say(&format!("comparing both on {} pictures", pictures.evaluation.samples.len()));
    let mut contract = Contract {
        name,
        ..model.contract.clone()
    };
    let bare = packed(&smaller.graph, &contract)?;
    let classes = &contract.heads[0].classes;
    let (a, b) = (
        compare::maps(model, pictures.evaluation)?,
        compare::maps(&bare, pictures.evaluation)?,
    );
    let judged = |maps: &[Vec<u8>]| compare::scores(classes, pictures.evaluation.samples, maps);
    let (float_scores, scores, agreement) = (judged(&a), judged(&b), compare::agreement(&a, &b));
    let picture = pictures.evaluation.first(1).prepared(&contract.input)?.remove(0);
    let speed = compare::speed(model, &bare, &picture)?;

    let training = contract.training.get_or_insert_default();
    training.miou = Some(scores.miou);
    training.split = format!("measured on {}", words[1]);
    training.quantization.clone_from(&smaller.method);
    if matches!(target, Target::Int8(_)) {
        training.quantization += &format!(" of {}", words[0]);
        training.rendered_only &= pictures.rendered;
    }
    contract.goldens = goldens(&bare, self::agreement(target))?;
    let finished = packed(&smaller.graph, &contract)?;
    Ok(Quantized {
        report: Report {
            model: model.origin.clone(),
            method: smaller.method,
            pictures: pictures.evaluation.samples.len(),
            float: float_scores,
            quantized: scores,
            agreement,
            speed,
            float_bytes: model.onnx.len(),
            quantized_bytes: finished.onnx.len(),
            layers: smaller.layers,
            float_layers: smaller.float_layers,
        },
        model: finished,
    })
}

fn int8(model: &Model, float: &ModelProto, options: Int8, pictures: Pictures<'_>, say: &dyn Fn(&str)) -> Result<Smaller> {
    let graph = float.graph.clone().unwrap_or_default();
    let layers = plan::candidates(&graph);
    if layers.is_empty() {
        let line = format!(
            "{} has no Conv, MatMul or Gemm with constant 32-bit weights: nothing to quantize",
            model.origin
        );
        return Err(fault(Kind::Config, line));
    }
    if let Keep::Layers(count) = options.keep
        && count >= layers.len()
    {
        let line = format!(
            "--float-layers is {count}, but {} has {} layers that can be int8",
            model.origin,
            layers.len()
        );
        return Err(fault(Kind::Usage, line));
    }
    let count = pictures.calibration.samples.len();
    say(&format!("ranges ({}) from {count} pictures", options.ranges));
    let full = Plan::new(&graph, &layers);
    let tensors: Vec<&str> = full.tensors.keys().map(String::as_str).collect();
    let prepared = pictures.calibration.prepared(&model.contract.input)?;
    let ranges = calibrate::ranges(float, &model.contract, &tensors, &prepared, options.ranges)?;
    drop(prepared);
    let choice = Choice {
        model,
        float,
        layers: &layers,
        ranges: &ranges,
        scheme: options.scheme,
    };
    let mut float_layers = match options.keep {
        Keep::Nothing => Vec::new(),
        _ => choice.ranking(pictures.calibration, say)?,
    };
    match options.keep {
        Keep::Nothing => {}
        Keep::Layers(count) => float_layers.truncate(count),
        Keep::MaxLoss(limit) => {
            let count = choice.enough(&float_layers, limit, pictures.check, say)?;
            float_layers.truncate(count);
        }
    }
    let activations = match options.scheme.activations {
        Activations::U8 => "uint8",
        Activations::S8 => "int8 around 0",
    };
    Ok(Smaller {
        graph: choice.without(&float_layers),
        method: format!(
            "activations {activations}, weights of {} bits with a scale for every channel, {} of {} layers in float, ranges {} over {count} pictures",
            options.scheme.weight_bits,
            float_layers.len(),
            layers.len(),
            options.ranges
        ),
        layers: layers.len(),
        float_layers,
    })
}

/// The share of a golden picture's pixels that must agree: with 8-bit weights, processors without VNNI instructions cut off sums that
/// the others keep.
fn agreement(target: Target) -> f64 {
    match target {
        Target::Int8(Int8 { scheme, .. }) if scheme.weight_bits == 8 => 0.95,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests;
