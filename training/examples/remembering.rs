//! Writes a tiny net with a memory for the runtime's tests: random weights, and the first frames of a rendered clip as golden samples.
//!
//! ```text
//! cargo run --release -p maskline-training --example remembering tests/nets/remembering.onnx
//! ```

use anyhow::{Context, Result, anyhow};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Distribution, Tensor};
use maskline_models::Contract;
use maskline_models::classes::driving_classes;
use maskline_synth::{Scene, SceneOptions};
use maskline_training::config::InputConfig;
use maskline_training::device;
use maskline_training::export::{ExportOptions, Picture, bare_contract, export};
use maskline_training::nets::{Kind, NetConfig};
use std::path::PathBuf;

const SIZE: (u32, u32) = (64, 48);
const FRAMES: u32 = 5;

/// Large weights: what is remembered decides many pixels.
struct Shake;

impl ModuleMapper for Shake {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|t| {
            let noise = t.random_like(Distribution::Uniform(-0.2, 0.2));
            t + noise
        })
    }
}

fn main() -> Result<()> {
    let path = PathBuf::from(std::env::args().nth(1).context("name the file to write")?);
    let config = NetConfig {
        widths: vec![4, 6, 8],
        depths: vec![0, 1, 1],
        stem_stride: 2,
        memory: 6,
        normalisation: maskline_training::nets::Normalisation::None,
        ..NetConfig::new(Kind::Fpn)
    };
    let device = device::choose("cpu").map_err(|line| anyhow!(line))?;
    device.seed(5);
    let classes = driving_classes();
    let net = config.init(classes.iter().filter(|c| !c.ignore).count(), &device).map(&mut Shake);
    let input = InputConfig {
        width: SIZE.0,
        height: SIZE.1,
        ..InputConfig::default()
    };
    let contract = Contract {
        description: "Random weights with a memory, for tests".into(),
        licence: "MIT OR Apache-2.0".into(),
        ..bare_contract("remembering", input.contract_input(config.multiple()), classes)
    };
    let scene = Scene::new(1, &SceneOptions::default());
    let frame = |number: u32| Picture {
        width: SIZE.0,
        height: SIZE.1,
        rgb: scene.render(f64::from(number) / 15.0, SIZE.0 as usize, SIZE.1 as usize).rgb,
    };
    let options = ExportOptions {
        goldens: (0..FRAMES).map(frame).collect(),
        ..ExportOptions::default()
    };
    let exported = export(&net, &config, contract, &options)?;
    exported.write(&path)?;
    println!("{}: {} bytes, {}", path.display(), exported.bytes.len(), exported.parity);
    Ok(())
}
