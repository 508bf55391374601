//! Writes a net as an ONNX file with its contract inside, and proves that the file computes what the net computes.
//!
//! The forward pass is recorded as burn's intermediate representation at several sizes ([`record`]), translated operation by
//! operation ([`table`]) so that sizes that differ stay free, and finished with a class map ([`build`]). Nothing here knows a
//! particular net. Then ONNX Runtime runs the file beside the net ([`parity`]), and where they differ nothing is written.

mod build;
mod graph;
mod idioms;
mod layers;
mod parity;
mod passes;
mod record;
mod repack;
mod table;

pub use parity::{Parity, SizeParity};
pub use repack::{goldens, packed};

use crate::error::{Kind, fault};
use crate::files::write_whole;
use crate::nets::{Net, NetConfig};
use crate::onnx_run::OnnxNet;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maskline_models::contract::{CONTRACT_VERSION, Channels, Grid, InputType, Layout, OutputKind, Size, State};
use maskline_models::golden::{Golden, Sample};
use maskline_models::onnx::append_contract;
use maskline_models::{Class, Contract, Head, Input, Model};
use parity::Clip;
use prost::Message;
use std::borrow::Cow;
use std::path::Path;

/// Frames over which a file with a state is compared with its net: enough for a difference that grows to show.
const MEMORY_FRAMES: usize = 50;

/// What the file gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outputs {
    /// Class ids, uint8 `[n, h, w]`.
    #[default]
    ClassMap,
    /// Scores, float32 `[n, classes, h, w]`.
    Logits,
    /// Both; class ids are the default head, scores the head `logits`.
    Both,
}

/// Which sizes the file takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Any batch, height and width that the net allows.
    #[default]
    Free,
    /// One picture of the contract's size.
    Fixed,
}

/// A picture for a golden frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

/// How to export.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// What the file gives.
    pub outputs: Outputs,
    /// Whether it gives a confidence for every pixel too (its highest softmax value, float32 `[n, h, w]`, with the
    /// temperature of the contract where it has one).
    pub confidence: bool,
    /// Which sizes it takes.
    pub form: Form,
    /// Pictures for golden frames, at a size that the file takes ([`golden_size`]); of a net with a memory the first frames of a clip.
    pub goldens: Vec<Picture>,
}

/// An ONNX file that agrees with its net.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The file.
    pub bytes: Vec<u8>,
    /// The contract in it.
    pub contract: Contract,
    /// How well it agrees.
    pub parity: Parity,
}

impl Exported {
    /// Writes the file; under its own name it is complete or not there.
    ///
    /// # Errors
    /// One line with exit code 74, if the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.bytes)
    }
}

/// A size for golden frames that suits the file: the contract's own where it is fixed, else about 160x128.
pub fn golden_size(config: &NetConfig, contract: &Contract, form: Form) -> (u32, u32) {
    match form {
        Form::Fixed => nominal(contract),
        Form::Free => (
            160u32.next_multiple_of(config.multiple()),
            128u32.next_multiple_of(config.multiple()),
        ),
    }
}

fn nominal(contract: &Contract) -> (u32, u32) {
    match contract.input.size {
        Size::Fixed { width, height } | Size::Multiple { width, height, .. } => (width, height),
    }
}

/// A contract with what every export needs and nothing else: one head with these classes.
pub fn bare_contract(name: &str, input: Input, classes: Vec<Class>) -> Contract {
    Contract {
        version: CONTRACT_VERSION,
        name: name.into(),
        description: String::new(),
        licence: String::new(),
        input,
        heads: vec![Head {
            name: "classes".into(),
            tensor: String::new(), // the exporter's own
            kind: OutputKind::ClassIds,
            layout: Layout::Nchw,
            confidence: None,
            temperature: None,
            classes,
        }],
        states: Vec::new(),
        training: None,
        goldens: Vec::new(),
    }
}

/// Exports one of our nets. `contract` says what only the caller knows: name, words, licence, size, normalisation, provenance,
/// and in its one head the classes; tensors, kinds of outputs, form of the size and golden frames are filled in here.
///
/// # Errors
/// One line: an operation without an ONNX operator, a contract that does not fit the net, ONNX Runtime missing, or a file
/// that does not agree with the net.
pub fn export(net: &Net, config: &NetConfig, contract: Contract, options: &ExportOptions) -> Result<Exported> {
    proved(record(net, config, contract, options)?)
}

/// The same without the demand that the file agrees with the net as closely as a trained one must: the large scores of random
/// weights lose more digits.
///
/// # Errors
/// As [`export`], but for files that do not agree.
pub fn record(net: &Net, config: &NetConfig, contract: Contract, options: &ExportOptions) -> Result<Exported> {
    let forward = |net: &Net, mut inputs: Vec<Tensor<4>>| {
        let images = inputs.remove(0);
        let seen = net.step(images, inputs.pop());
        std::iter::once(seen.scores).chain(seen.state).collect()
    };
    record_module(net, &forward, config.multiple(), config.state(), contract, options)
}

fn proved(exported: Exported) -> Result<Exported> {
    exported.parity.check().map_err(|e| fault(Kind::Internal, e))?;
    Ok(exported)
}

/// Records any module that turns pictures `[n, 3, h, w]` into scores `[n, classes, h, w]`, with sides that are multiples of
/// `multiple`. One with a memory takes as its second input the state that it gave as its second output for the frame before: a
/// feature map of that grid, zeros for first frames.
///
/// # Errors
/// As [`record`].
fn record_module<M: Module>(
    module: &M,
    forward: &dyn Fn(&M, Vec<Tensor<4>>) -> Vec<Tensor<4>>,
    multiple: u32,
    memory: Option<Grid>,
    contract: Contract,
    options: &ExportOptions,
) -> Result<Exported> {
    let config_fault = |e: String| fault(Kind::Config, e);
    let contract = completed(contract, multiple, memory, options).map_err(config_fault)?;
    let ids: Vec<u8> = contract.heads[0].scored().map(|c| c.id).collect();
    let (width, height) = nominal(&contract);
    let (m, w, h) = (multiple as usize, width as usize, height as usize);
    let sizes: &[[usize; 4]] = match options.form {
        Form::Fixed => &[[1, 3, h, w]],
        // No two sizes, and no two products of sizes, grow alike. All pixel counts are multiples of 32 down to the coarsest
        // level, because burn's linear layers choose their operations by whether rows fill tiles of 32.
        Form::Free => &[[1, 3, 8 * m, 12 * m], [2, 3, 24 * m, 20 * m], [3, 3, 16 * m, 16 * m]],
    };
    let module = &module.valid(); // its weights are drawn now, if they were not yet: not once for each recording
    let recordings = sizes
        .iter()
        .map(|&[n, colours, h, w]| {
            let state = memory.map(|grid| {
                let [_, channels, height, width] = grid.shape(w as u32, h as u32);
                [n, channels, height, width]
            });
            let inputs: Vec<_> = std::iter::once([n, colours, h, w]).chain(state).collect();
            record::record(module, forward, &inputs)
        })
        .collect::<Result<Vec<_>>>()?;
    let write = |outputs, confidence| -> Result<Vec<u8>> {
        let net = build::translate(&recordings)?;
        Ok(build::finish(net, &ids, outputs, confidence)?.encode_to_vec())
    };
    let temperature = contract.heads[0].temperature.unwrap_or(1.0) as f32;
    let bare = write(options.outputs, options.confidence.then_some(temperature))?;

    let mut contract = contract;
    let mut run = OnnxNet::open(&with_contract(&bare, &contract)?, None)?;
    for picture in &options.goldens {
        contract.goldens.push(golden(&mut run, &contract, picture)?);
    }
    let model = with_contract(&bare, &contract)?;
    let with_scores = with_contract(&write(Outputs::Both, None)?, &with_heads(&contract, Outputs::Both, false))?;
    let reference = module.valid().to_device(&Device::flex()); // running statistics of its own again
    let step = |inputs: Vec<Tensor<4>>| forward(&reference, inputs);
    let mut clips: Vec<_> = match options.form {
        Form::Fixed => vec![[1, h, w]; 2],
        Form::Free => {
            let k = 64usize.div_ceil(m); // enough pixels that a tie of two classes does not count
            vec![[1, 4 * m * k, 3 * m * k], [2, 2 * m * k, 5 * m * k], [1, h, w]]
        }
    }
    .into_iter()
    .map(|size| Clip { size, frames: 1 })
    .collect();
    if memory.is_some() {
        clips.iter_mut().for_each(|clip| clip.frames = 2);
        clips[0].frames = MEMORY_FRAMES;
    }
    let parity = parity::compare(&step, memory, &with_scores, &model, &clips)?;
    Ok(Exported {
        bytes: model.onnx.into_owned(),
        contract,
        parity,
    })
}

/// The contract with all that the exporter knows filled in.
fn completed(mut contract: Contract, multiple: u32, memory: Option<Grid>, options: &ExportOptions) -> Result<Contract, String> {
    let (width, height) = nominal(&contract);
    if !width.is_multiple_of(multiple) || !height.is_multiple_of(multiple) {
        let near = |n: u32| n.next_multiple_of(multiple);
        return Err(format!(
            "size {width}x{height} does not suit this net, which needs multiples of {multiple}: use {}x{}",
            near(width),
            near(height)
        ));
    }
    if contract.heads.len() != 1 {
        return Err(format!(
            "the contract has {} heads, the exporter wants the one with the classes",
            contract.heads.len()
        ));
    }
    contract.input.size = match options.form {
        Form::Fixed => Size::Fixed { width, height },
        Form::Free => Size::Multiple {
            of: multiple,
            width,
            height,
        },
    };
    contract.input.tensor = build::IMAGE.into();
    (contract.input.layout, contract.input.channels, contract.input.dtype) = (Layout::Nchw, Channels::Rgb, InputType::F32);
    contract.goldens.clear();
    let state = |grid| State {
        input: build::STATE_IN.into(),
        output: build::STATE_OUT.into(),
        grid: Some(grid),
    };
    contract.states = memory.map(state).into_iter().collect();
    let contract = with_heads(&contract, options.outputs, options.confidence);
    contract.check()?;
    Ok(contract)
}

fn with_heads(contract: &Contract, outputs: Outputs, confidence: bool) -> Contract {
    let first = &contract.heads[0];
    let head = |name: &str, tensor: &str, kind| Head {
        name: name.into(),
        tensor: tensor.into(),
        kind,
        layout: Layout::Nchw,
        confidence: confidence.then(|| build::CONFIDENCE.into()),
        temperature: first.temperature,
        classes: first.classes.clone(),
    };
    let class_map = head(&first.name, build::CLASS_MAP, OutputKind::ClassIds);
    let scores = |name| head(name, build::LOGITS, OutputKind::Logits);
    Contract {
        heads: match outputs {
            Outputs::ClassMap => vec![class_map],
            Outputs::Logits => vec![scores(&first.name)],
            Outputs::Both => vec![class_map, scores(build::LOGITS)],
        },
        ..contract.clone()
    }
}

fn with_contract(bare: &[u8], contract: &Contract) -> Result<Model> {
    let mut bytes = bare.to_vec();
    append_contract(&mut bytes, contract);
    Model::from_bytes(contract.name.clone(), Cow::Owned(bytes), None).map_err(|e| fault(Kind::Internal, e))
}

/// A golden frame with the class ids that the file itself gives.
fn golden(run: &mut OnnxNet, contract: &Contract, picture: &Picture) -> Result<Golden> {
    let sample = Sample {
        width: picture.width,
        height: picture.height,
        rgb: picture.rgb.clone(),
        ids: repack::class_ids(run, &contract.input, &picture.rgb, (picture.width, picture.height))?,
    };
    Ok(Golden::pack(&contract.heads[0].name, &sample, 0.99)) // providers round differently where two classes are near
}

#[cfg(test)]
mod tests;
