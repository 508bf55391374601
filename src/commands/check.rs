//! `maskline check`: pipeline files without running them.

use crate::cli::CheckArgs;
use crate::config::PipelineConfig;
use crate::config::serve::{self, ServeConfig};
use crate::console::print;
use crate::error::{Kind, fault};
use crate::infer::Provider;
use crate::messages::unknown_classes;
use crate::overlay::Overlay;
use crate::pipeline::{Depth, check_confidence, memory_problem, open_model, output_problems, sessions};
use crate::source;
use crate::testing::plain;
use anyhow::Result;
use maskline_models::{Contract, Fit, builtin};
use std::path::Path;

/// Checks every file and prints one line a file that is right.
///
/// Media, foreign models, folders of outputs and providers may be on another machine, so they need not be there unless
/// `--strict` says so; models that are there are checked.
///
/// # Errors
/// Kind 78 with one line for every problem in any of the files.
pub fn run(args: &CheckArgs, quiet: bool) -> Result<()> {
    let mut problems = Vec::new();
    for file in &args.files {
        let found = check(file, args.strict);
        if found.problems.is_empty() && !quiet {
            let absent = match &found.absent[..] {
                [] => String::new(),
                absent => format!(", as far as that can be told without {}", absent.join(", ")),
            };
            print(format_args!("{}: ok{absent}", file.display()))?;
        }
        problems.extend(found.problems);
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(fault(Kind::Config, problems.join("\n")))
    }
}

/// What was found in a file.
#[derive(Default)]
struct Found {
    problems: Vec<String>,
    /// Models and media that are not on this machine, so that what is said of them could not be checked.
    absent: Vec<String>,
}

fn check(file: &Path, strict: bool) -> Found {
    let mut absent = Vec::new();
    let problems = match serve::is_one(file) {
        true => ServeConfig::load(file).map(|config| {
            absent.extend(config.streams.iter().flat_map(|s| elsewhere(&s.pipeline)));
            let problems: Vec<_> = config.streams.iter().flat_map(|s| stream(&s.pipeline, strict)).collect();
            with_provider(problems, &config.shared.pipeline, strict)
        }),
        false => PipelineConfig::load(file).map(|config| {
            absent.extend(elsewhere(&config));
            let depth = if strict { Depth::Here } else { Depth::Anywhere };
            let outputs = output_problems(&config, depth).into_iter().map(|p| p.message);
            let problems = stream(&config, strict).into_iter().chain(outputs).collect();
            with_provider(problems, &config, strict)
        }),
    };
    absent.sort();
    absent.dedup();
    let name = format!("{}:", file.display());
    let named = |p: String| if p.starts_with(&name) { p } else { format!("{name} {p}") };
    let problems = match problems {
        Ok(problems) => problems.into_iter().map(named).collect(),
        Err(error) => vec![format!("{error:#}")], // has its name and lines
    };
    Found { problems, absent }
}

/// The input, where it is a file, and the model, where they are not here.
fn elsewhere(config: &PipelineConfig) -> Vec<String> {
    let input = absent_input(config);
    let model = config.model.name.as_deref().filter(|name| absent_model(name));
    input.into_iter().chain(model).map(str::to_string).collect()
}

fn absent_input(config: &PipelineConfig) -> Option<&str> {
    let input = &config.source.input;
    let is_file = !input.starts_with("test:") && !source::is_address(input) && !input.contains(['%', '*']);
    (is_file && !Path::new(input).exists()).then_some(input)
}

fn absent_model(name: &str) -> bool {
    !name.starts_with("builtin:") && name.contains(['/', '.']) && !Path::new(name).exists()
}

/// What is wrong with source, model and classes.
fn stream(config: &PipelineConfig, strict: bool) -> Vec<String> {
    let absent = || {
        absent_input(config)
            .filter(|_| strict)
            .map(|input| format!("{input} does not exist"))
    };
    let mut problems: Vec<_> = source::unsupported(&config.source.input)
        .or_else(absent)
        .map(|p| config.places.prefix("source.input") + &p)
        .into_iter()
        .collect();
    problems.extend(model_problems(config, strict));
    problems
}

/// Everything that is wrong with model, head, size and classes.
pub(super) fn model_problems(config: &PipelineConfig, strict: bool) -> Vec<String> {
    let model = &config.model;
    let at = |key: &str, problem: String| config.places.prefix(key) + &problem;
    let contract = match contract(config, strict) {
        Ok(Some(contract)) => contract,
        Ok(None) => return Vec::new(),
        Err(problem) => return vec![problem],
    };
    // Any frame will do: no input has been opened.
    let format = plain(1280, 720);
    let mut problems = Vec::new();
    match contract.head(model.head.as_deref()) {
        Ok(head) => {
            let overlay = Overlay::new(&head.classes, &format, config.overlay.clone());
            problems.extend(overlay.err().map(|e| at("overlay.only", format!("{e:#}"))));
            let unsure = check_confidence(config, head);
            problems.extend(unsure.err().map(|e| at("overlay.confidence", format!("{e:#}"))));
            let unknown = unknown_classes(&config.zones, &head.classes);
            problems.extend(unknown.into_iter().map(|(key, problem)| at(&key, problem)));
        }
        Err(problem) => problems.push(at("model.head", problem)),
    }
    let memory = memory_problem(&contract, &config.temporal);
    problems.extend(memory.map(|(key, problem)| at(key, problem)));
    let fit = Fit::plan(&contract.input, format.width, format.height, model.size);
    problems.extend(fit.err().map(|e| at("model.size", e)));
    problems
}

/// The problems, and that of the provider where a strict check found no other: a net that cannot be is opened by none.
fn with_provider(mut problems: Vec<String>, config: &PipelineConfig, strict: bool) -> Vec<String> {
    if strict && problems.is_empty() {
        let refused = provider(config).err().map(|e| format!("{e:#}"));
        problems.extend(refused.map(|p| config.places.prefix("execution.provider") + &p));
    }
    problems
}

/// A provider that is asked for by name serves here.
///
/// # Errors
/// Kind 78 with why it does not.
pub(super) fn provider(config: &PipelineConfig) -> Result<()> {
    if matches!(config.session.provider, Provider::Auto | Provider::Cpu) {
        return Ok(());
    }
    let model = open_model(config)?;
    // Any frame will do: no source is open yet.
    let fit = Fit::plan(&model.contract.input, 640, 360, config.model.size).map_err(|e| fault(Kind::Config, e))?;
    sessions::open(&model, config.model.head.as_deref(), fit, &config.session, true).map(drop)
}

/// The contract, as far as it can be had.
fn contract(config: &PipelineConfig, strict: bool) -> Result<Option<Contract>, String> {
    let model = &config.model;
    let unnamed = model.name.is_none() && builtin::default().is_none();
    let elsewhere = model.name.as_deref().is_some_and(absent_model);
    if strict || !(unnamed || elsewhere) {
        let opened = open_model(config).map_err(|e| format!("{e:#}"))?;
        return Ok(Some(opened.contract));
    }
    let Some(sidecar) = model.contract.as_deref().filter(|s| s.exists()) else {
        return Ok(None);
    };
    let named = |e: String| format!("{}{}: {e}", config.places.prefix("model.contract"), sidecar.display());
    let text = std::fs::read_to_string(sidecar).map_err(|e| named(e.to_string()))?;
    Contract::from_toml(&text).map(Some).map_err(named)
}
