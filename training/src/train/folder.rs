//! The folder of a run: its configuration, where it comes from, its numbers, curves, sheet and checkpoints.

use crate::checkpoint::{EpochRow, Head, Origin, Progress};
use crate::config::RunConfig;
use crate::error::{Kind, fault, io_fault};
use crate::files::write_whole;
use crate::nets::Cost;
use crate::ops::Precision;
use crate::plots;
use anyhow::Result;
use maskline_models::Class;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// What is written last of all.
const END: &str = "best.json";

/// The files of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes the folder, or finds the one to go on in.
    ///
    /// # Errors
    /// If it holds another run (exit code 64), holds none to resume (78), or cannot be made (74).
    pub fn open(path: &Path, resume: bool) -> Result<Self> {
        let folder = Self(path.to_path_buf());
        // A run that was killed before its first checkpoint left a run.json, and no best.json.
        let written = folder.best().exists() || path.join("config.toml").exists();
        let foreign = written && (!path.join("run.json").exists() || path.join("best.json").exists());
        match (folder.last().exists(), resume) {
            (false, false) if foreign => Err(fault(
                Kind::Usage,
                format!(
                    "{} holds a config.toml or best.ckpt that a run would write over: use --out for another folder",
                    path.display()
                ),
            )),
            (true, false) => Err(fault(
                Kind::Usage,
                format!(
                    "{} holds a run already: use --resume to go on with it, or --out for another folder",
                    path.display()
                ),
            )),
            (false, true) => Err(fault(
                Kind::Config,
                format!(
                    "there is no checkpoint {} to resume from: leave --resume out",
                    folder.last().display()
                ),
            )),
            _ => {
                std::fs::create_dir_all(path).map_err(|e| io_fault("make the folder", path, e))?;
                Ok(folder)
            }
        }
    }

    /// Keeps other runs out of the folder until what it gives is dropped, or the process is gone.
    ///
    /// # Errors
    /// If another run is at work in it (exit code 64), or it cannot be written to (74).
    pub fn lock(&self) -> Result<File> {
        let path = self.0.join("lock");
        let file = File::create(&path).map_err(|e| io_fault("write", &path, e))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(fault(
                Kind::Usage,
                format!(
                    "another run is at work in {}: wait for its end, or use --out for another folder",
                    self.0.display()
                ),
            )),
            // Some network file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        }
    }

    /// The folder at that place, whatever is in it.
    pub fn find(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Whether it holds a run that came to its end.
    pub fn is_finished(&self) -> bool {
        self.0.join(END).is_file()
    }

    /// The checkpoint to go on from.
    pub fn last(&self) -> PathBuf {
        self.0.join("last.ckpt")
    }

    /// The checkpoint with the best validation.
    pub fn best(&self) -> PathBuf {
        self.0.join("best.ckpt")
    }

    /// Predictions beside truth at the best epoch.
    pub fn sheet(&self) -> PathBuf {
        self.0.join("sheet.png")
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        write_whole(&self.0.join(name), text.as_bytes())
    }

    /// Writes what is known before the first step.
    ///
    /// # Errors
    /// If a file cannot be written (exit code 74).
    pub fn write_start(&self, head: &Head, cost: Cost) -> Result<()> {
        let about = serde_json::json!({
            "name": head.config.name,
            "seed": head.config.seed,
            "commit": head.origin.commit,
            "date": head.origin.date,
            "device": head.origin.device,
            "parameters": cost.parameters,
            "gmacs": cost.gmacs(),
        });
        self.write("run.json", &format!("{about:#}\n"))?; // first: it says that the rest is a run's
        self.write("config.toml", &head.config.to_toml())
    }

    /// Writes numbers and curves after an epoch.
    ///
    /// # Errors
    /// If a file cannot be written (exit code 74).
    pub fn write_epoch(&self, progress: &Progress) -> Result<()> {
        self.write("metrics.csv", &csv(&progress.history))?;
        plots::curves(&progress.history, &self.0.join("curves.png"))
    }

    /// Writes the best measures at the end.
    ///
    /// # Errors
    /// If a file cannot be written (exit code 74).
    pub fn write_end(&self, head: &Head) -> Result<()> {
        let json = serde_json::to_string_pretty(&head.progress.best).map_err(|e| io_fault("write", &self.0, e))?;
        self.write(END, &(json + "\n"))
    }
}

/// Where this run comes from.
pub fn origin(device: &str) -> Origin {
    let git = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = git
        .ok()
        .filter(|out| out.status.success())
        .and_then(|out| String::from_utf8(out.stdout).ok());
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    Origin {
        commit: commit.map_or_else(|| "unknown".into(), |c| c.trim().to_string()),
        date: now.chars().take(10).collect(),
        device: device.into(),
    }
}

/// Refuses to go on with another net, data, validation (the best would be that of another measure) or seed; length, limits, intervals and precision may change.
pub fn same_run(head: &Head, config: &RunConfig) -> Result<()> {
    let (mut old, mut new) = (head.config.clone(), config.clone());
    for config in [&mut old, &mut new] {
        config.train.epochs = 0;
        config.train.max_minutes = None;
        config.train.checkpoint_minutes = 0.0;
        config.train.loaders = 1;
        config.train.patience = None;
        config.train.precision = Precision::default();
        config.validate = Default::default();
        config.init = None;
        config.pretrained = None;
        config.description.clear();
        config.licence.clear();
    }
    if old == new {
        return Ok(());
    }
    let (old, new) = (old.to_toml(), new.to_toml());
    let beside = |of: &str, other: &str| of.lines().find(|l| !other.lines().any(|o| o == *l)).map(str::to_string);
    let found = match (beside(&new, &old), beside(&old, &new)) {
        (Some(line), _) => format!("now: {line}"),
        (None, Some(line)) => format!("without: {line}"),
        (None, None) => "the same lines in another order".into(),
    };
    Err(fault(
        Kind::Config,
        format!("the run was started with another configuration ({found}): take the one it was started with, or start anew"),
    ))
}

/// Refuses to go on with other classes than the net was made for; their colours may change.
pub fn same_classes(head: &Head, classes: &[Class]) -> Result<()> {
    let told = |classes: &[Class]| -> Vec<String> {
        let ignored = |class: &Class| if class.ignore { " (ignored)" } else { "" };
        classes
            .iter()
            .map(|class| format!("{} {}{}", class.id, class.name, ignored(class)))
            .collect()
    };
    let (old, new) = (told(&head.classes), told(classes));
    if old == new {
        return Ok(());
    }
    let line = format!(
        "the run was started with the classes {}, found {}: take the list it was started with, or start anew",
        old.join(", "),
        new.join(", ")
    );
    Err(fault(Kind::Config, line))
}

/// One epoch as a line for people.
pub fn describe(row: &EpochRow, steps: usize) -> String {
    let miou = match (row.miou, row.pixel_accuracy) {
        (Some(miou), Some(accuracy)) => format!(", mIoU {:.2} %, pixel accuracy {:.2} %", 100.0 * miou, 100.0 * accuracy),
        _ => String::new(),
    };
    let training = row
        .training_miou
        .map(|m| format!(", training mIoU {:.2} %", 100.0 * m))
        .unwrap_or_default();
    format!(
        "epoch {} ({steps} steps): loss {:.4}, rate {:.2e}{miou}{training}, {:.1} images/s, {} since the start",
        row.epoch,
        row.loss,
        row.rate,
        row.images_per_s,
        super::live::duration(row.elapsed_s)
    )
}

fn csv(history: &[EpochRow]) -> String {
    let mut text = String::from("epoch,step,loss,rate,miou,pixel_accuracy,training_miou,images_per_s,elapsed_s\n");
    let number = |v: Option<f64>| v.map(|v| format!("{v:.6}")).unwrap_or_default();
    for row in history {
        text += &format!(
            "{},{},{:.6},{:.6e},{},{},{},{:.2},{:.1}\n",
            row.epoch,
            row.step,
            row.loss,
            row.rate,
            number(row.miou),
            number(row.pixel_accuracy),
            number(row.training_miou),
            row.images_per_s,
            row.elapsed_s
        );
    }
    text
}
