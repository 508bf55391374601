//! Weights out of an exported model, for a net that learns on from them. The exporter keeps the paths of tensors as their names and
//! folds batch normalisations into the convolutions before them; here they get scales and offsets of their own again.

use crate::error::{Kind, fault};
use crate::lineage::Lineage;
use crate::nets::Net;
use crate::onnx_graph::{floats, is_quantized};
use crate::weights::Weights;
use anyhow::Result;
use burn::module::Module;
use burn::nn::BatchNormConfig;
use burn::tensor::{Device, Tensor};
use maskline_models::Model;
use maskline_models::contract::Contract;
use maskline_models::onnx::{ModelProto, NodeProto, TensorProto};
use prost::Message;
use std::collections::BTreeMap;
use std::path::Path;

/// A pass changes all variances by a smaller share: they are settled.
const SETTLED: f32 = 1e-3;

type Values = BTreeMap<String, Shaped>;

/// A shape and the numbers in it.
type Shaped = (Vec<usize>, Vec<f32>);

/// The tensors of an exported model.
pub struct Exported {
    /// What it expects and whose it is.
    pub contract: Contract,
    /// What its weights come from.
    pub lineage: Lineage,
    /// Whether its scores are [averaged](crate::nets::NetConfig::antialias).
    pub antialiased: bool,
    tensors: Values,
    convolutions: Vec<Convolution>,
}

/// A convolution with a bias.
struct Convolution {
    bias: String,
    /// The path of the normalisation behind it, if one was folded into it: it gives what that gave.
    output: String,
}

/// The normalisations that were folded: the offset of each channel behind them, by their path.
#[derive(Debug, Clone, Default)]
pub struct Folded(BTreeMap<String, Vec<f32>>);

/// Whether that names an exported model: `builtin:NAME` or an ONNX file. All else is a checkpoint.
pub fn is_model(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) || path.to_string_lossy().starts_with("builtin:")
}

impl Exported {
    /// Reads `builtin:NAME` or an ONNX file that stands as `key` in a configuration.
    ///
    /// # Errors
    /// One line with exit code 78: it is no model, or a quantized one.
    pub fn read(key: &str, path: &Path) -> Result<Self> {
        let model = Model::open(&path.to_string_lossy(), None);
        Self::of(key, &model.map_err(|e| fault(Kind::Config, format!("{key}: {e}")))?)
    }

    /// The same of a model that is read.
    ///
    /// # Errors
    /// As [`Exported::read`].
    pub fn of(key: &str, model: &Model) -> Result<Self> {
        let refuse = |what: &str| fault(Kind::Config, format!("{key} = {}: {what}", model.origin));
        let read = ModelProto::decode(&model.onnx[..]).map_err(|e| refuse(&e.to_string()))?;
        let graph = read.graph.unwrap_or_default();
        if graph.node.iter().any(is_quantized) {
            return Err(refuse("it is quantized, which cannot learn; take the float model it was made from"));
        }
        let antialiased = graph.node.iter().any(averages_neighbours);
        let tensors: Values = graph.initializer.iter().filter_map(shaped).collect();
        let convolutions = graph.node.into_iter().filter(|node| node.op_type.starts_with("Conv"));
        let convolutions = convolutions.filter_map(|node| {
            Some(Convolution {
                bias: node.input.into_iter().nth(2)?,
                output: node.output.into_iter().next()?,
            })
        });
        Ok(Self {
            contract: model.contract.clone(),
            lineage: Lineage::of_model(model),
            antialiased,
            tensors,
            convolutions: convolutions.collect(),
        })
    }

    /// The net with every tensor replaced whose path and shape agree, how many did, and which of its normalisations do nothing but
    /// add an offset until they are [settled](Folded::settle).
    pub fn put_into(mut self, net: Net, plain: &Device) -> (Net, usize, Folded) {
        let own = Weights::of(&net.valid());
        let mut folded = Folded::default();
        for Convolution { bias, output } in self.convolutions {
            if let Some((shape, values)) = self.tensors.get_mut(&bias)
                && own.shape(&format!("{output}.beta")) == Some(shape.as_slice())
            {
                let nothing = vec![0.0; values.len()]; // for a convolution that has a bias before its normalisation
                folded.0.insert(output, std::mem::replace(values, nothing));
            }
        }
        let tensors = self.tensors.into_iter().map(|(name, tensor)| at_home(name, tensor, &own)).collect();
        let (net, taken) = Weights::from_values(tensors, plain).put_into(net);
        let (net, norms) = folded.plain(plain).put_into(net);
        (net, taken + norms, folded)
    }
}

impl Folded {
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Normalisations with the running statistics of nothing: they add their offset.
    fn plain(&self, device: &Device) -> Weights {
        let mut values = Values::new();
        for (path, offset) in &self.0 {
            values.extend(norm(path, offset, &vec![0.0; offset.len()], &vec![1.0 - epsilon(); offset.len()]));
        }
        Weights::from_values(values, device)
    }

    /// Gives each normalisation the statistics that its input has in these pictures `[n, 3, h, w]`, and such a scale and offset that
    /// a net in training, which normalises with the statistics of its batch, computes what the exported one did. Each pass settles
    /// those normalisations at least whose inputs are settled. One that is frozen normalises with its running statistics and stays as
    /// it is, as does one in a block that a pass leaves out.
    pub fn settle(&self, mut net: Net, images: &Tensor<4>, plain: &Device) -> Net {
        let momentum = BatchNormConfig::new(1).momentum as f32;
        let statistics = |net: &Net| -> BTreeMap<String, [Vec<f32>; 2]> {
            let mut all = Weights::of(&net.valid()).values();
            let mut take = |path: &String, name: &str| all.remove(&format!("{path}.{name}")).unwrap_or_default();
            let paths = self.0.keys();
            paths
                .map(|path| (path.clone(), [take(path, "running_mean"), take(path, "running_var")]))
                .collect()
        };
        for _ in 0..=self.0.len() {
            let before = statistics(&net);
            net.step(images.clone(), None);
            let (mut values, mut change) = (Values::new(), 0.0_f32);
            for (path, after) in statistics(&net) {
                let before = &before[&path];
                if *before == after {
                    continue;
                }
                let of_batch = |i: usize| -> Vec<f32> {
                    let pairs = after[i].iter().zip(&before[i]);
                    pairs
                        .map(|(after, before)| (after - (1.0 - momentum) * before) / momentum)
                        .collect()
                };
                let (mean, variance) = (of_batch(0), of_batch(1).iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
                let moved = |(new, old): (&f32, &f32)| (new - old).abs() / (old + epsilon());
                change = change.max(variance.iter().zip(&before[1]).map(moved).fold(0.0, f32::max));
                values.extend(norm(&path, &self.0[&path], &mean, &variance));
            }
            net = Weights::from_values(values, plain).put_into(net).0;
            if change < SETTLED {
                break;
            }
        }
        net
    }
}

/// A tensor under its path: the exporter numbers the names of those that it reshapes, as it does for products of more axes than
/// the layer has.
/// Whether it is the mean of the pixels of a 2x2 window at each pixel: nothing else in our nets is.
fn averages_neighbours(node: &NodeProto) -> bool {
    let is = |name: &str, wanted: [i64; 2]| node.attribute.iter().any(|a| a.name == name && a.ints == wanted);
    node.op_type == "AveragePool" && is("kernel_shape", [2, 2]) && is("strides", [1, 1])
}

fn at_home(name: String, (shape, values): Shaped, own: &Weights) -> (String, Shaped) {
    let leading = shape.iter().take_while(|side| **side == 1).count();
    let unnumbered = name.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix('_');
    match unnumbered {
        Some(path) if own.shape(path) == Some(&shape[leading..]) => (path.into(), (shape[leading..].to_vec(), values)),
        _ => (name, (shape, values)),
    }
}

fn epsilon() -> f32 {
    BatchNormConfig::new(1).epsilon as f32
}

/// The tensors of a normalisation that adds `offset` to what has these statistics: the scale undoes their division.
fn norm(path: &str, offset: &[f32], mean: &[f32], variance: &[f32]) -> [(String, Shaped); 4] {
    let gamma = variance.iter().map(|v| (v + epsilon()).sqrt()).collect();
    let beta = offset.iter().zip(mean).map(|(offset, mean)| offset + mean).collect();
    let tensor = |name: &str, values: Vec<f32>| (format!("{path}.{name}"), (vec![values.len()], values));
    [
        tensor("gamma", gamma),
        tensor("beta", beta),
        tensor("running_mean", mean.to_vec()),
        tensor("running_var", variance.to_vec()),
    ]
}

fn shaped(tensor: &TensorProto) -> Option<(String, Shaped)> {
    let shape: Vec<usize> = tensor.dims.iter().map(|d| *d as usize).collect();
    let values = floats(tensor).filter(|values| values.len() == shape.iter().product::<usize>())?;
    Some((tensor.name.clone(), (shape, values)))
}
