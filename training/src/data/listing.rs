//! Which picture belongs to which label, for every layout.

use super::{bad, layouts};
use crate::config::{DataConfig, DataKind};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A picture's file and its label's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The picture.
    pub picture: PathBuf,
    /// Class ids as pixel values.
    pub label: PathBuf,
}

impl Pair {
    /// The picture's file stem.
    pub fn name(&self) -> String {
        stem(&self.picture)
    }
}

/// What an entry holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// Pictures that have a label.
    pub pairs: Vec<Pair>,
    /// Lines about files without a partner, as many of each side as are named.
    pub unpaired: Vec<String>,
}

impl Listing {
    /// The pairs of an entry in which every file has its partner.
    ///
    /// # Errors
    /// Kind 65 with the lines about those that have none.
    pub fn complete(self) -> Result<Vec<Pair>> {
        if self.unpaired.is_empty() {
            Ok(self.pairs)
        } else {
            Err(bad(self.unpaired.join("\n")))
        }
    }
}

impl From<Vec<Pair>> for Listing {
    fn from(pairs: Vec<Pair>) -> Self {
        Self { pairs, ..Self::default() }
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What an entry that is not rendered in memory holds, its pairs in the order of their names.
///
/// # Errors
/// Kind 65 for folders and lists that are not there, empty or unreadable, where a prefix begins no name (a drive that is misspelt would
/// not be held out), and where the prefixes leave nothing; files without a partner are no error here.
pub fn pairs(config: &DataConfig) -> Result<Listing> {
    let path = || config.path.as_deref().ok_or_else(|| bad("a data set needs path = \"its folder\""));
    let Listing { mut pairs, unpaired } = match config.kind {
        DataKind::Camvid => {
            let split = config
                .split
                .as_deref()
                .ok_or_else(|| bad("a camvid data set needs split = \"train\" or \"val\""))?;
            camvid(path()?, split)?
        }
        DataKind::Folders => match (&config.images, &config.labels) {
            (Some(images), Some(labels)) => folders(images, labels)?,
            _ => return Err(bad("a folders data set needs images = \"a folder\" and labels = \"a folder\"")),
        },
        DataKind::Synth => {
            let path = path()?;
            let all = folders(&path.join("images"), &path.join("labels"))?;
            match &config.split {
                Some(split) if all.unpaired.is_empty() => named(all.pairs, &path.join(format!("{split}.txt")))?.into(),
                _ => all,
            }
        }
        _ => layouts::pairs(config, path()?)?,
    };
    pairs.sort_by_key(Pair::name);
    let found = pairs.len();
    for prefix in config.include_prefix.iter().chain(&config.exclude_prefix) {
        if unpaired.is_empty() && !pairs.iter().any(|pair| pair.name().starts_with(prefix.as_str())) {
            let first = pairs.first().map(Pair::name).unwrap_or_default();
            return Err(bad(format!(
                "{}: none of its {found} pictures has a name that begins like {prefix:?} (the first is {first}): look at include_prefix and exclude_prefix",
                config.describe()
            )));
        }
    }
    let wanted = |name: &str| {
        let begins = |list: &[String]| list.iter().any(|p| name.starts_with(p.as_str()));
        (config.include_prefix.is_empty() || begins(&config.include_prefix)) && !begins(&config.exclude_prefix)
    };
    pairs.retain(|pair| wanted(&pair.name()));
    let pairs: Vec<Pair> = pairs.into_iter().step_by(config.every.max(1)).collect();
    if pairs.is_empty() && unpaired.is_empty() {
        return Err(bad(format!(
            "{}: found {found} pictures, of which include_prefix and exclude_prefix leave none; wanted at least one",
            config.describe()
        )));
    }
    Ok(Listing { pairs, unpaired })
}

fn camvid(root: &Path, split: &str) -> Result<Listing> {
    if !root.is_dir() {
        return Err(bad(format!(
            "there is no folder {}: put the data set there or change path",
            root.display()
        )));
    }
    let list = root.join(format!("{split}.txt"));
    if list.is_file() {
        return Ok(listed(root, &list)?.into());
    }
    folders(&root.join(split), &root.join(format!("{split}annot")))
}

/// The pairs whose picture a list names, one file name a line.
fn named(pairs: Vec<Pair>, list: &Path) -> Result<Vec<Pair>> {
    let text = std::fs::read_to_string(list).map_err(|e| bad(format!("cannot read {}: {e}", list.display())))?;
    let mut by_name: BTreeMap<String, Pair> = pairs.into_iter().map(|pair| (pair.name(), pair)).collect();
    let mut chosen = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let pair = by_name.remove(&stem(Path::new(line)));
        chosen.push(pair.ok_or_else(|| bad(format!("{} names {line}, of which there is no picture", list.display())))?);
    }
    Ok(chosen)
}

/// `train.txt`: a picture and its label a line. Lists often carry a folder of another machine in front, so the longest tail
/// of each path that exists under the root is taken.
fn listed(root: &Path, list: &Path) -> Result<Vec<Pair>> {
    let text = std::fs::read_to_string(list).map_err(|e| bad(format!("cannot read {}: {e}", list.display())))?;
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let names: Vec<&str> = line.split_whitespace().collect();
        let [picture, label] = names[..] else {
            return Err(bad(format!(
                "{} line {}: found {} names, wanted a picture and its label",
                list.display(),
                number + 1,
                names.len()
            )));
        };
        let find =
            |name: &str| tail(root, name).ok_or_else(|| bad(format!("{} line {}: there is no file {name}", list.display(), number + 1)));
        pairs.push(Pair {
            picture: find(picture)?,
            label: find(label)?,
        });
    }
    if pairs.is_empty() {
        return Err(bad(format!("{} is empty, wanted a picture and its label a line", list.display())));
    }
    Ok(pairs)
}

fn tail(root: &Path, name: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = name.split('/').filter(|p| !p.is_empty() && *p != "." && *p != "..").collect();
    (0..parts.len())
        .map(|skip| root.join(parts[skip..].join("/")))
        .find(|path| path.is_file())
}

fn folders(images: &Path, labels: &Path) -> Result<Listing> {
    layouts::paired(files(images)?, files(labels)?, images, labels)
}

/// The pictures of a folder, each with the name that a label of it has, in the order of their names.
///
/// # Errors
/// If the folder cannot be read or has none (exit code 65).
pub fn pictures(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let found: Vec<_> = files(folder)?.into_iter().collect();
    if found.is_empty() {
        return Err(bad(format!("{} has no pictures, wanted PNG or JPEG files", folder.display())));
    }
    Ok(found)
}

/// Picture files of a folder by stem; a label may be called like its picture with one of the usual endings.
fn files(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| bad(format!("cannot read the folder {}: {e}", folder.display())))?;
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry
            .map_err(|e| bad(format!("cannot read the folder {}: {e}", folder.display())))?
            .path();
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        if !matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg")) {
            continue;
        }
        let name = stem(&path);
        let name = ["_L", "_label", "_labels"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name)
            .to_string();
        if let Some(other) = files.insert(name, path.clone()) {
            return Err(bad(format!("{} and {} have one name; keep one", other.display(), path.display())));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn touch(path: PathBuf) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }

    fn config(root: &Path) -> DataConfig {
        toml::from_str(&format!(
            "kind = \"camvid\"\nsplit = \"train\"\npath = {:?}",
            root.display().to_string()
        ))
        .unwrap()
    }

    fn names(config: &DataConfig) -> Vec<String> {
        pairs(config).unwrap().complete().unwrap().iter().map(Pair::name).collect()
    }

    #[test]
    fn folders_pair_by_name_and_a_prefix_holds_out_a_drive() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a_2", "a_1", "b_1"] {
            touch(root.path().join(format!("train/{name}.png")));
            touch(root.path().join(format!("trainannot/{name}.png")));
        }
        let mut config = config(root.path());
        assert_eq!(names(&config), ["a_1", "a_2", "b_1"]);
        config.exclude_prefix = vec!["a_".into()];
        assert_eq!(names(&config), ["b_1"]);
        config.exclude_prefix.clear();
        config.include_prefix = vec!["a_".into()];
        assert_eq!(names(&config), ["a_1", "a_2"]);
        config.exclude_prefix = vec!["a_".into()];
        assert!(pairs(&config).unwrap_err().to_string().contains("leave none"));
        config.exclude_prefix = vec!["a-".into()]; // would hold nothing out
        let error = pairs(&config).unwrap_err().to_string();
        assert!(
            error.contains("none of its 3 pictures has a name that begins like \"a-\" (the first is a_1)"),
            "{error}"
        );
    }

    #[test]
    fn a_list_with_a_foreign_root_finds_its_files() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path().join("train/x.png"));
        touch(root.path().join("trainannot/x.png"));
        fs::write(
            root.path().join("train.txt"),
            "/SegNet/CamVid/train/x.png /SegNet/CamVid/trainannot/x.png\n\n",
        )
        .unwrap();
        let found = pairs(&config(root.path())).unwrap();
        assert_eq!(found.pairs[0].label, root.path().join("trainannot/x.png"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = |config: &DataConfig| pairs(config).and_then(Listing::complete).unwrap_err().to_string();
        assert!(error(&config(&root.path().join("nowhere"))).contains("there is no folder"));
        assert!(error(&config(root.path())).contains("cannot read the folder"));
        touch(root.path().join("train/x.png"));
        fs::create_dir(root.path().join("trainannot")).unwrap();
        assert!(error(&config(root.path())).contains("x.png has no label"));
        touch(root.path().join("trainannot/x.png"));
        touch(root.path().join("trainannot/y.png"));
        assert!(error(&config(root.path())).contains("y.png has no picture"));
        fs::write(root.path().join("train.txt"), "train/x.png\n").unwrap();
        assert!(error(&config(root.path())).contains("line 1: found 1 names"));
        fs::write(root.path().join("train.txt"), "").unwrap();
        assert!(error(&config(root.path())).contains("is empty"));
    }
}
