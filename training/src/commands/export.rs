//! `export`

use super::outputs;
use crate::checkpoint::{Checkpoint, Head as Run};
use crate::cli::ExportArgs;
use crate::config::DataConfig;
use crate::device;
use crate::error::{Kind, fault, io_fault};
use crate::export::{ExportOptions, Form, Outputs, Picture, bare_contract, export, golden_size};
use crate::metrics::scored_names;
use anyhow::Result;
use maskline_models::Class;
use maskline_models::contract::{Contract, Provenance, Size};
use maskline_synth::{Scene, SceneOptions};
use std::path::Path;

/// Exports a checkpoint and prints how well the file agrees with it.
pub fn run(args: &ExportArgs) -> Result<()> {
    let mut checkpoint = Checkpoint::read(&args.checkpoint)?;
    if args.antialias {
        antialias(&mut checkpoint.head)?;
    }
    let run = &checkpoint.head;
    let device = device::choose("cpu").map_err(|e| fault(Kind::Config, e))?;
    let net = checkpoint.best_net(&device)?;
    let mut contract = contract(run);
    if let Some(name) = &args.name {
        contract.name.clone_from(name);
    }
    if let Some(licence) = &args.licence {
        contract.licence.clone_from(licence);
    }
    if let Some(path) = &args.measured {
        measured(path, &run.classes)?.put_into(&mut contract);
    }
    let form = match args.fixed {
        Some(size) => {
            let of = run.config.net.multiple();
            if !size.width.is_multiple_of(of) || !size.height.is_multiple_of(of) {
                let line = format!("--fixed is {}x{}, but this net needs multiples of {of}", size.width, size.height);
                return Err(fault(Kind::Usage, line));
            }
            contract.input.size = Size::Multiple {
                of,
                width: size.width,
                height: size.height,
            };
            Form::Fixed
        }
        None => Form::Free,
    };
    let size = golden_size(&run.config.net, &contract, form);
    let options = ExportOptions {
        outputs: if args.logits { Outputs::Both } else { Outputs::ClassMap },
        confidence: args.confidence,
        form,
        goldens: match run.config.net.state() {
            None => [1, 2].map(|seed| scene(seed, size)).into(),
            Some(_) => clip(size),
        },
    };
    let inputs: Vec<&Path> = [&*args.checkpoint].into_iter().chain(args.measured.as_deref()).collect();
    outputs::check(&[Some(&args.out)], &inputs)?;
    let exported = export(&net, &run.config.net, contract, &options)?;
    exported.write(&args.out)?;
    println!("{}: {:.2} MB", args.out.display(), exported.bytes.len() as f64 / 1e6);
    for part in &exported.parity.sizes {
        let [batch, height, width] = part.size;
        let frames = if part.frames > 1 {
            format!(" over {} frames", part.frames)
        } else {
            String::new()
        };
        println!(
            "  {batch} x {width}x{height}{frames}: largest difference of a score {:.1e}, {:.4} % of the pixels equal",
            part.difference,
            100.0 * part.agreement
        );
    }
    Ok(())
}

/// Makes a run's net an antialiased one, of which nothing has been measured yet.
fn antialias(run: &mut Run) -> Result<()> {
    let net = &mut run.config.net;
    if !net.unfolds() {
        let line = "--antialias is for nets that unfold pixels, those with stem_stride = 2 or 4 (but no fcn): leave it out";
        return Err(fault(Kind::Usage, line));
    }
    if !std::mem::replace(&mut net.antialias, true) {
        run.progress.best = None;
    }
    Ok(())
}

/// Golden pictures are rendered: they say as much as a photograph, and nobody's licence lies on them.
fn scene(seed: u64, (width, height): (u32, u32)) -> Picture {
    let picture = maskline_synth::pairs::sample(seed, 0, width as usize, height as usize, &SceneOptions::default());
    Picture {
        width,
        height,
        rgb: picture.rgb,
    }
}

/// The same for a net with a memory: the first frames of one clip.
fn clip((width, height): (u32, u32)) -> Vec<Picture> {
    let scene = Scene::new(1, &SceneOptions::default());
    let frame = |number: u32| Picture {
        width,
        height,
        rgb: scene.render(f64::from(number) / 5.0, width as usize, height as usize).rgb,
    };
    (0..3).map(frame).collect()
}

/// What goes from the JSON of `eval` into a contract.
pub(super) struct Measured {
    miou: f64,
    /// What it was measured on, for people.
    data: Vec<String>,
    /// What divides scores before the softmax, where `eval` saw scores.
    pub(super) temperature: Option<f64>,
}

impl Measured {
    /// The figures of a contract are these.
    pub(super) fn put_into(&self, contract: &mut Contract) {
        for head in &mut contract.heads {
            head.temperature = self.temperature;
        }
        let training = contract.training.get_or_insert_default();
        training.miou = Some(self.miou);
        training.split = split(&self.data);
    }
}

/// Reads the JSON of `eval` of a model with these classes.
pub(super) fn measured(path: &Path, classes: &[Class]) -> Result<Measured> {
    let text = std::fs::read_to_string(path).map_err(|e| io_fault("read", path, e))?;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let miou = json["scores"]["miou"].as_f64().ok_or_else(|| {
        fault(
            Kind::BadInput,
            format!("{} holds no scores.miou: wanted the JSON of `eval`", path.display()),
        )
    })?;
    let temperature = json["calibration"]["temperature"]["value"].as_f64();
    if !(0.0..=1.0).contains(&miou) || temperature.is_some_and(|t| !(t > 0.0 && t.is_finite())) {
        let line = format!(
            "{}: scores.miou is {miou} and the temperature {}, wanted 0 to 1 and more than 0: take the JSON of `eval` as it is",
            path.display(),
            temperature.map_or("none".into(), |t| t.to_string())
        );
        return Err(fault(Kind::BadInput, line));
    }
    let list = |json: &serde_json::Value| json.as_array().cloned().unwrap_or_default();
    let of: Vec<String> = list(&json["scores"]["classes"])
        .iter()
        .filter_map(|class| Some(class["name"].as_str()?.to_string()))
        .collect();
    let wanted = scored_names(classes);
    if !of.is_empty() && of != wanted {
        let line = format!(
            "{} was measured of a model with other classes ({}), wanted {}: take the JSON of this model's `eval`",
            path.display(),
            of.join(", "),
            wanted.join(", ")
        );
        return Err(fault(Kind::BadInput, line));
    }
    let data = list(&json["data"]);
    Ok(Measured {
        miou,
        data: data.iter().filter_map(|entry| Some(entry.as_str()?.to_string())).collect(),
        temperature,
    })
}

/// Where an mIoU comes from, as a contract says it.
fn split(data: &[String]) -> String {
    format!("measured on {}", if data.is_empty() { "nothing".into() } else { data.join("; ") })
}

/// What only the run knows of a contract; the exporter fills in the rest.
fn contract(run: &Run) -> Contract {
    let list = |entries: &[DataConfig]| entries.iter().map(DataConfig::describe).collect::<Vec<_>>();
    let (lineage, best) = (run.lineage(), run.progress.best.as_ref());
    Contract {
        description: run.config.description.clone(),
        licence: run.config.licence.clone(),
        training: Some(Provenance {
            data: lineage.data,
            rendered_only: lineage.rendered_only,
            split: best.map(|_| split(&list(&run.config.validation))).unwrap_or_default(),
            miou: best.map(|best| best.scores.miou),
            commit: run.origin.commit.clone(),
            date: run.origin.date.clone(),
            seed: run.config.seed,
            epochs: run.progress.epoch,
            hours: (run.progress.elapsed_s / 36.0).round() / 100.0,
            quantization: String::new(),
            averaged: Vec::new(),
        }),
        ..bare_contract(&run.config.name, run.config.contract_input(), run.classes.clone())
    }
}
