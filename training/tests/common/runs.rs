//! Training runs from tests.

use maskline_training::checkpoint::Checkpoint;
use maskline_training::config::RunConfig;
use maskline_training::device;
use maskline_training::stop::Stop;
use maskline_training::train::{Options, Outcome, run};
use maskline_training::weights::Weights;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A folder with that many pictures of shapes.
pub fn shapes(count: usize) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    super::write_shapes(root.path(), count);
    root
}

/// With `stop` a run ends after one step.
pub fn options(out: &Path, resume: bool, stop: bool) -> Options {
    Options {
        out: out.to_path_buf(),
        resume,
        device: device::choose("cpu").unwrap(),
        device_name: "cpu".into(),
        stop: Stop::deaf(stop),
    }
}

pub fn train(config: &RunConfig, out: &Path) -> Outcome {
    run(config, &options(out, false, false)).unwrap()
}

/// The device's random numbers belong to the process: one run at a time, or dropout draws from another run's seed.
pub fn alone() -> impl Drop {
    static RUNS: Mutex<()> = Mutex::new(());
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every tensor of the net and of its average, by name.
pub fn tensors(checkpoint: &Path) -> Vec<BTreeMap<String, Vec<f32>>> {
    let checkpoint = Checkpoint::read(checkpoint).unwrap();
    let device = device::choose("cpu").unwrap();
    let nets = [checkpoint.net(&device).unwrap(), checkpoint.best_net(&device).unwrap()];
    nets.iter().map(|net| Weights::of(net).values()).collect()
}

/// The program with these arguments; its standard output.
pub fn program(args: &[&str], folder: &Path) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_maskline-training"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
