//! Weights of a VGG from elsewhere: torchvision's names in a PyTorch file or in safetensors, put into an encoder of ours.
//!
//! A PyTorch file is a pickle. It is parsed and never executed: what is not a table of tensors is refused or left alone.

use crate::error::{Kind, fault};
use crate::nets::PretrainedUnit;
use crate::weights::Weights;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::{DType, Device, TensorData};
use burn_store::burn_pack::Tensor as Packed;
use burn_store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `[pretrained]` of a training configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainedConfig {
    /// The file: `.safetensors`, all else is read as PyTorch's (`.pth`, `.pt`, `.bin`).
    pub path: PathBuf,
    /// What stands before the numbers of the layers in its names.
    #[serde(default = "features")]
    pub prefix: String,
}

fn features() -> String {
    "features.".into()
}

/// Where the tensors of one layer of the file go.
struct Place {
    /// Inside our net.
    path: String,
    /// In the file.
    name: String,
    /// In the file, a tensor that is subtracted on the way.
    less: Option<String>,
}

/// The places of all tensors of these convolutions. A convolution in front of a batch normalisation has no bias here: it would
/// only move the mean, so it is taken off the running one.
fn places(units: &[PretrainedUnit], prefix: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for unit in units {
        let mut place = |path: &str, number: usize, name: &str, less: Option<String>| {
            places.push(Place {
                path: format!("{}.{path}", unit.path),
                name: format!("{prefix}{number}.{name}"),
                less,
            });
        };
        let number = unit.number;
        place("conv.weight", number, "weight", None);
        if unit.normalised {
            let bias = format!("{prefix}{number}.bias");
            place("activation.norm.gamma", number + 1, "weight", None);
            place("activation.norm.beta", number + 1, "bias", None);
            place("activation.norm.running_mean", number + 1, "running_mean", Some(bias));
            place("activation.norm.running_var", number + 1, "running_var", None);
        } else {
            place("conv.bias", number, "bias", None);
        }
    }
    places
}

/// Puts the weights of the file into the net's encoder. Gives the net and how many tensors it took; classifiers and whatever else
/// the file holds is left alone.
///
/// # Errors
/// One line with exit code 78: the file cannot be read, or a tensor is missing, of another shape, or not of floats.
pub fn load<M: Module>(net: M, units: &[PretrainedUnit], config: &PretrainedConfig, plain: &Device) -> Result<(M, usize)> {
    let wrong = |what: String| fault(Kind::Config, format!("[pretrained] {}: {what}", config.path.display()));
    let tensors = open(&config.path).map_err(wrong)?;
    let own = Weights::of(&net.valid());
    let places = places(units, &config.prefix);
    let names: Vec<&str> = places
        .iter()
        .flat_map(|p| p.less.iter().chain([&p.name]))
        .map(String::as_str)
        .collect();
    let missing: Vec<&str> = names.iter().copied().filter(|n| !tensors.contains_key(*n)).collect();
    if let Some(first) = missing.first() {
        let some: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
        return Err(wrong(format!(
            "{} of the {} tensors that this encoder needs are missing, the first is {first:?}; the file has {}: take a file of that net, or set prefix to what its names begin with",
            missing.len(),
            names.len(),
            if some.is_empty() {
                "no tensors".into()
            } else {
                format!("{some:?} and {} more", tensors.len() - some.len())
            }
        )));
    }
    let mut taken = BTreeMap::new();
    for place in &places {
        let wanted = own.shape(&place.path).unwrap_or_default();
        let read = |name: &str, wanted: &[usize]| read(&tensors[name], wanted).map_err(|e| wrong(format!("{name} {e}")));
        let mut values = read(&place.name, wanted)?;
        if let Some(name) = &place.less {
            for (value, less) in values.iter_mut().zip(read(name, wanted)?) {
                *value -= less;
            }
        }
        taken.insert(place.path.clone(), (wanted.to_vec(), values));
    }
    let (net, count) = Weights::from_values(taken, plain).put_into(net);
    if count != places.len() {
        return Err(fault(
            Kind::Internal,
            format!("{count} of {} pretrained tensors have a place in the net", places.len()),
        ));
    }
    Ok((net, names.len()))
}

/// All tensors of a file by name, their values not yet read.
fn open(path: &Path) -> Result<BTreeMap<String, Packed>, String> {
    std::fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?;
    let line = |e: &dyn std::fmt::Display| format!("cannot be read: {}", e.to_string().replace('\n', "; "));
    // Numbers in names stay as they are: `features` counts activations too, which have no tensors.
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
        let mut store = SafetensorsStore::from_file(path).map_indices_contiguous(false);
        store.get_all_tensors().cloned().map_err(|e| line(&e))
    } else {
        let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
        store.get_all_tensors().cloned().map_err(|e| line(&e))
    }
}

fn read(tensor: &Packed, wanted: &[usize]) -> Result<Vec<f32>, String> {
    if tensor.shape.as_slice() != wanted {
        return Err(format!("is {:?}, this net wants {wanted:?}", tensor.shape.as_slice()));
    }
    if !matches!(tensor.dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16) {
        return Err(format!("holds {:?}, wanted floats", tensor.dtype));
    }
    let data: TensorData = bridge::to_data(tensor).map_err(|e| format!("cannot be read: {}", e.to_string().replace('\n', "; ")))?;
    let values: Vec<f32> = data.convert::<f32>().try_into_vec().map_err(|e| format!("cannot be read: {e}"))?;
    match values.iter().find(|v| !v.is_finite()) {
        Some(wrong) => Err(format!("holds {wrong}, wanted finite numbers")),
        None => Ok(values),
    }
}

#[cfg(test)]
pub(crate) mod tests;
