//! Cross-validation over drives: for each drive a run that never sees it and is measured on it.

use super::folder::{same_classes, same_run};
use super::{Options, RunFolder, run};
use crate::checkpoint::{Checkpoint, Progress};
use crate::config::{DataConfig, DataKind, RunConfig};
use crate::data::names;
use crate::error::{Kind, fault};
use crate::exported::{Exported, is_model};
use crate::metrics::Scores;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One drive held out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fold {
    /// The beginning of its pictures' names.
    pub drive: String,
    /// How many of them were measured.
    pub pictures: usize,
    /// The run's folder.
    pub folder: PathBuf,
    /// The net of the last epoch, which nothing of the drive has chosen.
    pub last: Measured,
    /// The best epoch on the drive itself, which flatters.
    pub best: Measured,
    /// All measures of the best epoch.
    pub best_scores: Scores,
}

/// A net on a drive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// Its epoch.
    pub epoch: u32,
    /// Mean IoU.
    pub miou: f64,
    /// Share of the labelled pixels that are right.
    pub pixel_accuracy: f64,
}

/// Every drive in its turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Folds {
    /// The configuration's name.
    pub name: String,
    /// A fold a drive.
    pub folds: Vec<Fold>,
    /// Mean over the folds of the last epochs' mean IoU, each fold counting the same.
    pub mean_miou: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// Mean of the last epochs' pixel accuracy.
    pub mean_pixel_accuracy: f64,
}

impl Folds {
    /// The measures of these folds together; there is at least one.
    pub fn new(name: &str, folds: Vec<Fold>) -> Self {
        let mean = |value: &dyn Fn(&Fold) -> f64| folds.iter().map(value).sum::<f64>() / folds.len() as f64;
        let mean_miou = mean(&|fold| fold.last.miou);
        Self {
            name: name.into(),
            mean_miou,
            deviation: mean(&|fold| (fold.last.miou - mean_miou).powi(2)).sqrt(),
            mean_pixel_accuracy: mean(&|fold| fold.last.pixel_accuracy),
            folds,
        }
    }
}

/// Whether an entry is split by drives; all others are learnt from whole in every fold.
fn has_drives(entry: &DataConfig) -> bool {
    matches!(entry.kind, DataKind::Camvid | DataKind::Folders)
}

/// The drives of a configuration: what the names of its pictures begin with, up to the first `_`.
///
/// # Errors
/// If pictures cannot be found, a name has no `_` (exit code 65), or there are fewer than two drives (78).
pub fn drives(config: &RunConfig) -> Result<Vec<String>> {
    let mut drives = BTreeSet::new();
    for entry in config.data.iter().filter(|e| has_drives(e)) {
        for name in names(entry)? {
            let drive = name.split_once('_').map(|(drive, _)| format!("{drive}_"));
            let line = || format!("the name {name} has no _ behind its drive: name the drives with --drives");
            drives.insert(drive.ok_or_else(|| fault(Kind::BadInput, line()))?);
        }
    }
    if drives.len() < 2 {
        return Err(fault(
            Kind::Config,
            format!(
                "found {} drives in the camvid and folders data, wanted two or more: name them with --drives",
                drives.len()
            ),
        ));
    }
    Ok(drives.into_iter().collect())
}

/// The configuration that learns without a drive and measures on it, and how many pictures it measures on.
///
/// # Errors
/// If nothing is left to learn from, or the drive has no pictures (exit code 78).
pub fn without(config: &RunConfig, drive: &str) -> Result<(RunConfig, usize)> {
    let mut fold = config.clone();
    fold.train.patience = None; // the drive itself would choose where to end
    fold.name = format!("{}-without-{}", config.name, drive.trim_end_matches('_'));
    (fold.data, fold.validation) = (Vec::new(), Vec::new());
    let mut pictures = 0;
    for entry in &config.data {
        if !has_drives(entry) {
            fold.data.push(entry.clone());
            continue;
        }
        let all = names(entry)?;
        let held: BTreeSet<&str> = all.iter().filter(|name| name.starts_with(drive)).map(String::as_str).collect();
        if held.len() < all.len() {
            let mut rest = entry.clone();
            if !held.is_empty() {
                rest.exclude_prefix.push(drive.into());
            }
            fold.data.push(rest);
        }
        if !held.is_empty() {
            let mut measured = entry.clone();
            measured.weight = 1.0;
            if measured.narrow(&[drive.into()]) {
                pictures += names(&measured)?.len();
                fold.validation.push(measured);
            }
        }
    }
    let wrong = |line: String| fault(Kind::Config, line);
    if pictures == 0 {
        return Err(wrong(format!("no picture's name begins with the drive {drive}: look at --drives")));
    }
    if !fold.data.iter().any(has_drives) {
        return Err(wrong(format!(
            "without the drive {drive} nothing of the drives is left to learn from"
        )));
    }
    Ok((fold, pictures))
}

/// Refuses drives that are empty, or begin with each other: their pictures would count twice, in one folder or two.
fn apart(drives: &[String]) -> Result<()> {
    let names: Vec<&str> = drives.iter().map(|drive| drive.trim_end_matches('_')).collect();
    let usage = |line: String| Err(fault(Kind::Usage, line));
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() {
            return usage(format!(
                "drive {} of --drives is {:?}, wanted what names of pictures begin with",
                i + 1,
                drives[i]
            ));
        }
        // hall1_ and hall10_ share no picture, hall1 and hall10_ do; a_ and a have one folder.
        let shared = |j: &usize| drives[i].starts_with(&drives[*j]) || drives[*j].starts_with(&drives[i]) || names[*j] == *name;
        if let Some(j) = (0..i).find(shared) {
            return usage(format!(
                "the drives are {} and {}, of which one begins with the other: wanted drives that share no picture (--drives)",
                drives[j], drives[i]
            ));
        }
    }
    Ok(())
}

/// Refuses nets that have a say in every fold and may have seen a drive. A file under `[pretrained]` is taken on trust: it holds an
/// encoder from elsewhere.
fn knows_no_drive(config: &RunConfig) -> Result<()> {
    let teacher = config.distill.as_ref().map(|distill| &distill.teacher);
    for (key, net) in [("init", config.init.as_ref()), ("distill.teacher", teacher)] {
        let Some(net) = net else { continue };
        let lineage = match is_model(net) {
            true => Exported::read(key, net)?.lineage,
            false => Checkpoint::read(net)?.head.lineage(),
        };
        if !lineage.rendered_only {
            let line = format!(
                "{key} = {}: wanted for folds weights that come from rendered scenes alone, or none: others would tell of the drive held out",
                net.display()
            );
            return Err(fault(Kind::Config, line));
        }
    }
    Ok(())
}

/// Trains every fold in a folder of its own below `options.out`, or goes on where an earlier call stopped; `options.resume` plays no
/// part. Stopped, it gives `None`.
///
/// # Errors
/// As [`super::run`], and if a net that may have seen a drive has a say, or a folder holds a run of another configuration (exit code 78).
pub fn cross_validate(config: &RunConfig, drives: &[String], options: &Options) -> Result<Option<Folds>> {
    knows_no_drive(config)?;
    apart(drives)?;
    // All of them first, so that a wrong drive is known before hours of training.
    let planned: Vec<_> = drives.iter().map(|drive| without(config, drive)).collect::<Result<_>>()?;
    let mut folds = Vec::new();
    for (drive, (config, pictures)) in drives.iter().zip(planned) {
        if options.stop.asked() {
            return Ok(None);
        }
        let out = options.out.join(drive.trim_end_matches('_'));
        eprintln!("without {drive} ({} of {}): {}", folds.len() + 1, drives.len(), out.display());
        let Some(progress) = fold(&config, &out, options)? else {
            return Ok(None);
        };
        folds.push(measured(drive, pictures, &out, &progress)?);
    }
    Ok(Some(Folds::new(&config.name, folds)))
}

/// Trains a fold to its end, unless it has been; `None` if it was stopped.
fn fold(config: &RunConfig, out: &Path, options: &Options) -> Result<Option<Progress>> {
    let folder = RunFolder::find(out);
    let resume = folder.last().exists();
    if resume {
        let head = Checkpoint::read(&folder.last())?.head;
        let begun = &head.config;
        if (&begun.init, &begun.pretrained) != (&config.init, &config.pretrained) {
            let line = format!(
                "the fold in {} began with other weights than are asked for: name another --out",
                out.display()
            );
            return Err(fault(Kind::Config, line));
        }
        if folder.is_finished() {
            same_run(&head, config)?;
            same_classes(&head, &config.read_classes().map_err(|e| fault(Kind::Config, e))?)?;
            let length = |config: &RunConfig| (config.train.epochs, config.train.max_minutes, config.train.precision);
            if length(begun) != length(config) {
                let told = |config: &RunConfig| {
                    let minutes = config.train.max_minutes.map(|minutes| format!(" or {minutes} minutes"));
                    let (epochs, precision) = (config.train.epochs, config.train.precision);
                    format!("{epochs} epochs{} in {precision}", minutes.unwrap_or_default())
                };
                let line = format!(
                    "the fold in {} was trained for {}, wanted {}: ask for the same, or name another --out",
                    out.display(),
                    told(begun),
                    told(config)
                );
                return Err(fault(Kind::Config, line));
            }
            return Ok(Some(head.progress));
        }
    }
    let options = Options {
        out: out.to_path_buf(),
        resume,
        ..options.clone()
    };
    let outcome = run(config, &options)?;
    Ok(outcome.finished.then_some(outcome.progress))
}

fn measured(drive: &str, pictures: usize, folder: &Path, progress: &Progress) -> Result<Fold> {
    let nothing = || fault(Kind::Internal, format!("the run in {} was not measured", folder.display()));
    let last = progress.history.last().ok_or_else(nothing)?;
    let best = progress.best.as_ref().ok_or_else(nothing)?;
    Ok(Fold {
        drive: drive.into(),
        pictures,
        folder: folder.into(),
        last: Measured {
            epoch: last.epoch,
            miou: last.miou.ok_or_else(nothing)?,
            pixel_accuracy: last.pixel_accuracy.ok_or_else(nothing)?,
        },
        best: Measured {
            epoch: best.epoch,
            miou: best.scores.miou,
            pixel_accuracy: best.scores.pixel_accuracy,
        },
        best_scores: best.scores.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_share_no_picture() {
        let refused = |drives: &[&str]| apart(&drives.iter().map(|d| d.to_string()).collect::<Vec<_>>()).is_err();
        assert!(!refused(&["0001TP", "0006R0_"]) && !refused(&["hall1_", "hall10_"]));
        for wrong in [&["a_", "a"][..], &["hall1", "hall10_"], &["a_", "a_00"], &["a_", ""], &["_"]] {
            assert!(refused(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn the_mean_counts_every_fold_the_same() {
        let fold = |miou: f64, pictures| Fold {
            drive: "a_".into(),
            pictures,
            folder: PathBuf::new(),
            last: Measured {
                epoch: 3,
                miou,
                pixel_accuracy: 0.5,
            },
            best: Measured {
                epoch: 2,
                miou: 0.9,
                pixel_accuracy: 0.9,
            },
            best_scores: crate::metrics::Confusion::new(1).scores(&["a".into()]),
        };
        let folds = Folds::new("n", vec![fold(0.4, 1000), fold(0.6, 10)]);
        assert!((folds.mean_miou - 0.5).abs() < 1e-12 && (folds.deviation - 0.1).abs() < 1e-12);
        assert_eq!(folds.mean_pixel_accuracy, 0.5);
    }
}
