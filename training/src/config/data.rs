//! `[[data]]` and `[[validation]]`: where pictures with labels come from.

use super::one_usize;
use crate::defaults::is_default;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where pictures with labels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataKind {
    /// `path/SPLIT/` and `path/SPLITannot/` with equal file names, or `path/SPLIT.txt` with a pair a line.
    Camvid,
    /// `images` and `labels`, folders with equal file stems.
    Folders,
    /// `path`, written by `maskline-training synth pairs`; or rendered from `seed` and `count`.
    Synth,
    /// `path/leftImg8bit/SPLIT/CITY/` and `path/gtFine/SPLIT/CITY/` (Cordts et al. 2016).
    Cityscapes,
    /// The 10k pictures of BDD100K: `path/images/10k/SPLIT/` and `path/labels/sem_seg/masks/SPLIT/` (Yu et al. 2020), or the
    /// older `path/seg/`.
    Bdd100k,
    /// India Driving Dataset: as Cityscapes, with level 3 ids (Varma et al. 2019).
    Idd,
    /// KITTI's semantic set: `path/training/image_2/` and `path/training/semantic/` (Alhaija et al. 2018).
    Kitti,
    /// Mapillary Vistas: `path/SPLIT/images/` and `path/SPLIT/v1.2/labels/` (Neuhold et al. 2017), or `path/SPLIT/labels/`.
    Mapillary,
    /// COCO-Stuff: `path/images/SPLIT2017/` and `path/annotations/SPLIT2017/` (Caesar et al. 2018).
    CocoStuff,
}

/// Which of Cityscapes' two kinds of label files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// `*_gtFine_labelIds.png`
    #[default]
    Label,
    /// `*_gtFine_labelTrainIds.png`
    Train,
}

impl DataKind {
    /// As a configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Camvid => "camvid",
            Self::Folders => "folders",
            Self::Synth => "synth",
            Self::Cityscapes => "cityscapes",
            Self::Bdd100k => "bdd100k",
            Self::Idd => "idd",
            Self::Kitti => "kitti",
            Self::Mapillary => "mapillary",
            Self::CocoStuff => "coco-stuff",
        }
    }

    /// Splits that it comes in, for people; none where it has no splits.
    fn splits(self) -> Option<&'static str> {
        match self {
            Self::Camvid => Some("\"train\", \"val\" or \"test\""),
            Self::Cityscapes | Self::Idd | Self::Bdd100k | Self::CocoStuff => Some("\"train\" or \"val\""),
            Self::Mapillary => Some("\"training\" or \"validation\""),
            Self::Folders | Self::Synth | Self::Kitti => None,
        }
    }

    /// Name and text of the map from its ids to the driving classes, for sets with ids of their own.
    pub fn shipped_map(self, ids: Ids) -> Option<(&'static str, &'static str)> {
        match (self, ids) {
            (Self::Camvid | Self::Folders | Self::Synth, _) => None,
            (Self::Cityscapes, Ids::Label) | (Self::Kitti, _) => {
                Some(("cityscapes-label-ids", include_str!("../../maps/cityscapes-label-ids.toml")))
            }
            (Self::Cityscapes, Ids::Train) | (Self::Bdd100k, _) => {
                Some(("cityscapes-train-ids", include_str!("../../maps/cityscapes-train-ids.toml")))
            }
            (Self::Idd, _) => Some(("idd-level3-ids", include_str!("../../maps/idd-level3-ids.toml"))),
            (Self::Mapillary, _) => Some(("mapillary-v1.2", include_str!("../../maps/mapillary-v1.2.toml"))),
            (Self::CocoStuff, _) => Some(("coco-stuff", include_str!("../../maps/coco-stuff.toml"))),
        }
    }
}

/// One `[[data]]` or `[[validation]]` entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Its layout.
    pub kind: DataKind,
    /// Its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// `train`, `val` or `test`, where the layout knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Folder of pictures (`folders`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Folder of labels (`folders`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// First scene (`synth` without a path).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Number of scenes (`synth` without a path).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Frames of a clip of each scene (`synth` without a path); single pictures where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Frames a second of such clips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<u32>,
    /// Width and height of rendered scenes, the model's where it is missing. Pictures of files are scaled to it as they are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// A TOML from the ids of label files to our classes ([`crate::data`]); without it that of the layout, or the class list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<PathBuf>,
    /// Which label files (`cityscapes`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub ids: Ids,
    /// How often each picture is drawn in an epoch; 0.5: a random half of them.
    #[serde(default = "one_f64")]
    pub weight: f64,
    /// Only files whose name begins with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include_prefix: Vec<String>,
    /// No files whose name begins with one of these: holds out a drive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_prefix: Vec<String>,
    /// Every n-th picture only.
    #[serde(default = "one_usize")]
    pub every: usize,
}

/// The prefix of the names that begin with both.
fn both(a: &str, b: &str) -> Option<String> {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    long.starts_with(short).then(|| long.into())
}

fn one_f64() -> f64 {
    1.0
}

impl DataConfig {
    /// An entry of that kind with nothing else said.
    pub fn new(kind: DataKind) -> Self {
        Self {
            kind,
            path: None,
            split: None,
            images: None,
            labels: None,
            seed: None,
            count: None,
            frames: None,
            fps: None,
            size: None,
            map: None,
            ids: Ids::Label,
            weight: 1.0,
            include_prefix: Vec::new(),
            exclude_prefix: Vec::new(),
            every: 1,
        }
    }

    /// How many scenes it has rendered in memory: 0 where it reads files.
    pub fn rendered(&self) -> usize {
        let scenes = self.count.unwrap_or(0) * self.frames.unwrap_or(1);
        if self.kind == DataKind::Synth && self.path.is_none() {
            scenes.div_ceil(self.every.max(1))
        } else {
            0
        }
    }

    /// Takes only what begins like one of `prefixes` of what it takes already; false where that is nothing.
    #[must_use]
    pub fn narrow(&mut self, prefixes: &[String]) -> bool {
        let taken = std::mem::take(&mut self.include_prefix);
        self.include_prefix = match (&taken[..], prefixes) {
            ([], new) => new.to_vec(),
            (_, []) => taken,
            (taken, new) => taken.iter().flat_map(|a| new.iter().filter_map(|b| both(a, b))).collect(),
        };
        prefixes.is_empty() || !self.include_prefix.is_empty()
    }

    /// For people: what it is and where.
    pub fn describe(&self) -> String {
        let place = match (&self.path, &self.images) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(images)) => {
                let labels = self.labels.as_ref().map(|labels| format!(" with labels {}", labels.display()));
                format!("{}{}", images.display(), labels.unwrap_or_default())
            }
            (None, None) => format!("{} scenes from seed {}", self.count.unwrap_or(0), self.seed.unwrap_or(1)),
        };
        let split = self.split.as_ref().map(|s| format!(" {s}")).unwrap_or_default();
        let only = (!self.include_prefix.is_empty()).then(|| format!(", only {}", self.include_prefix.join(" ")));
        let without = (!self.exclude_prefix.is_empty()).then(|| format!(", without {}", self.exclude_prefix.join(" ")));
        let kind = self.kind.name();
        format!("{kind} {place}{split}{}{}", only.unwrap_or_default(), without.unwrap_or_default())
    }

    /// What is missing or too much, each as one line.
    pub fn problems(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self.kind {
            DataKind::Folders => {
                if self.images.is_none() || self.labels.is_none() {
                    lines.push("a folders data set needs images = \"a folder\" and labels = \"a folder\"".into());
                }
            }
            DataKind::Synth => {
                if self.path.is_none() == self.count.is_none() {
                    lines.push("a synth data set needs either path = \"its folder\" or count = a number of scenes".into());
                }
                if self.count == Some(0) {
                    lines.push("count is 0, wanted at least 1".into());
                }
                if self.frames == Some(0) || self.fps == Some(0) {
                    lines.push("a clip has 0 frames or 0 a second, wanted at least 1 of each".into());
                }
                if self.count.is_none() && self.frames.is_some() || self.frames.is_none() && self.fps.is_some() {
                    lines.push("clips are rendered from count = a number of scenes, frames = those of each, and fps".into());
                }
                if self.map.is_some() {
                    lines.push("a synth data set has the ids of the class list: leave map out".into());
                }
            }
            kind => {
                let name = kind.name();
                if self.path.is_none() {
                    lines.push(format!("a {name} data set needs path = \"its folder\""));
                }
                match (kind.splits(), &self.split) {
                    (Some(splits), None) => lines.push(format!("a {name} data set needs split = {splits}")),
                    (None, Some(_)) => lines.push(format!(
                        "a {name} data set has no splits: leave split out, and take a part by include_prefix"
                    )),
                    _ => {}
                }
            }
        }
        let rendered = if self.rendered() > 0 { " that is rendered" } else { "" };
        for key in self.unread() {
            lines.push(format!(
                "{key} has no meaning in a {} data set{rendered}: leave it out",
                self.kind.name()
            ));
        }
        if self.kind != DataKind::Synth && (self.frames.is_some() || self.fps.is_some()) {
            let kind = self.kind.name();
            lines.push(format!("frames and fps are of rendered clips, found them in a {kind} data set"));
        }
        if self.ids != Ids::Label && self.kind != DataKind::Cityscapes {
            lines.push(format!("ids is of cityscapes, found it in a {} data set", self.kind.name()));
        }
        if self.size.is_some_and(|size| size.iter().any(|side| !(1..=16384).contains(side))) {
            lines.push(format!("size is {:?}, wanted sides of 1 to 16384", self.size.unwrap_or_default()));
        }
        if !(self.weight > 0.0 && self.weight <= 1000.0) {
            lines.push(format!("weight is {}, wanted more than 0, up to 1000", self.weight));
        }
        if self.every == 0 {
            lines.push("every is 0, wanted at least 1".into());
        }
        lines
    }

    /// The keys that say which pictures there are, are set, and belong to other kinds.
    fn unread(&self) -> Vec<&'static str> {
        let folders = self.kind == DataKind::Folders;
        let rendered = self.rendered() > 0;
        let keys = [
            ("path", self.path.is_some() && folders),
            ("split", self.split.is_some() && (folders || rendered)),
            ("images", self.images.is_some() && !folders),
            ("labels", self.labels.is_some() && !folders),
            ("seed", self.seed.is_some() && (self.kind != DataKind::Synth || self.path.is_some())),
            ("count", self.count.is_some() && self.kind != DataKind::Synth),
            ("include_prefix", !self.include_prefix.is_empty() && rendered),
            ("exclude_prefix", !self.exclude_prefix.is_empty() && rendered),
        ];
        keys.into_iter().filter_map(|(key, unread)| unread.then_some(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_both_is_the_longer_one_or_none() {
        assert_eq!(both("0006", "0006R0_"), Some("0006R0_".into()));
        assert_eq!(both("0006R0_f01", "0006R0_"), Some("0006R0_f01".into()));
        assert_eq!(both("0001TP", "0006R0_"), None);
    }

    #[test]
    fn narrowing_never_widens() {
        let mut entry = DataConfig::new(DataKind::Camvid);
        assert!(entry.narrow(&[]) && entry.include_prefix.is_empty());
        assert!(entry.narrow(&["a".into(), "b".into()]));
        assert!(entry.narrow(&["a_1".into()]));
        assert_eq!(entry.include_prefix, ["a_1"]);
        assert!(!entry.narrow(&["c".into()]));
    }
}
