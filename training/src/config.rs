//! `train CONFIG.toml`: what to train, on what and how. Unknown keys are refused and all problems are reported at once, which
//! is why the types do not say `deny_unknown_fields` (that stops at the first): [`RunConfig::parse`] collects them.

mod problems;

use crate::augment::Augment;
use crate::defaults::is_default;
use crate::freeze::{self, FreezeConfig};
use crate::loss::LossConfig;
use crate::nets::{Net, NetConfig};
use crate::optimizer::OptimizerConfig;
use crate::pretrained::PretrainedConfig;
use crate::schedule::Schedule;
use crate::train::{AdversarialConfig, DistillConfig};
use burn::tensor::Device;
use maskline_models::Class;
use maskline_models::contract::{Channels, Input, InputType, Layout, Resize, Size};
use problems::Problems;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const A_YEAR_MINUTES: f64 = 525_600.0;

/// A training configuration. Paths in it are relative to the folder that the program is started in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The model's name, e.g. `unet-road`.
    pub name: String,
    /// One sentence for people, kept in the exported model.
    #[serde(default)]
    pub description: String,
    /// Licence of the weights, kept in the exported model.
    #[serde(default)]
    pub licence: String,
    /// Decides the first weights, the order of the pictures and every augmentation.
    #[serde(default = "one")]
    pub seed: u64,
    /// A classes TOML; the 11 driving classes where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<PathBuf>,
    /// A checkpoint, an ONNX file or `builtin:NAME` whose tensors are taken wherever path and shape agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// The net.
    pub net: NetConfig,
    /// Weights of its encoder from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PretrainedConfig>,
    /// Parts of it that do not learn at first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<FreezeConfig>,
    /// What the net sees.
    #[serde(default)]
    pub input: InputConfig,
    /// Pictures to learn from.
    pub data: Vec<DataConfig>,
    /// Pictures to measure on.
    #[serde(default)]
    pub validation: Vec<DataConfig>,
    /// When to measure.
    #[serde(default)]
    pub validate: ValidateConfig,
    /// Changes of the pictures while learning.
    #[serde(default)]
    pub augment: Augment,
    /// What is minimised.
    #[serde(default)]
    pub loss: LossConfig,
    /// How it is minimised.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The learning rate over the run.
    #[serde(default)]
    pub schedule: Schedule,
    /// Length and batch.
    pub train: TrainConfig,
    /// A discriminator that the net has to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adversarial: Option<AdversarialConfig>,
    /// A trained net to learn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<DistillConfig>,
}

/// `[input]`: the size that the model is made for, and its normalisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputConfig {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Mean of each channel, RGB, of pixels scaled to 0-1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
}

impl InputConfig {
    /// The contract's input section for a net whose pictures have sides that are multiples of `of`.
    pub fn contract_input(&self, of: u32) -> Input {
        Input {
            tensor: "image".into(),
            layout: Layout::Nchw,
            channels: Channels::Rgb,
            dtype: InputType::F32,
            size: Size::Multiple {
                of,
                width: self.width,
                height: self.height,
            },
            resize: Resize::Stretch,
            scale: 1.0 / 255.0,
            mean: self.mean,
            std: self.std,
        }
    }
}

impl Default for InputConfig {
    fn default() -> Self {
        // The statistics of ImageNet, which every toolkit knows.
        Self {
            width: 480,
            height: 352,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

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
                Some(("cityscapes-label-ids", include_str!("../maps/cityscapes-label-ids.toml")))
            }
            (Self::Cityscapes, Ids::Train) | (Self::Bdd100k, _) => {
                Some(("cityscapes-train-ids", include_str!("../maps/cityscapes-train-ids.toml")))
            }
            (Self::Idd, _) => Some(("idd-level3-ids", include_str!("../maps/idd-level3-ids.toml"))),
            (Self::Mapillary, _) => Some(("mapillary-v1.2", include_str!("../maps/mapillary-v1.2.toml"))),
            (Self::CocoStuff, _) => Some(("coco-stuff", include_str!("../maps/coco-stuff.toml"))),
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
}

/// `[validate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValidateConfig {
    /// Measure after every n-th epoch, and after the last one.
    pub every_epochs: u32,
}

impl Default for ValidateConfig {
    fn default() -> Self {
        Self { every_epochs: 1 }
    }
}

/// `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Number of epochs.
    pub epochs: u32,
    /// Pictures in a batch.
    pub batch: usize,
    /// Batches in a step, whose gradients are added up.
    #[serde(default = "one_usize", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Ends the run after so many validations in a row without a better mIoU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Ends earlier, with the learning rate following the clock where it runs ahead of the epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_minutes: Option<f64>,
    /// A checkpoint at least this often, besides the one after each epoch.
    #[serde(default = "ten")]
    pub checkpoint_minutes: f64,
    /// Threads that prepare pictures.
    #[serde(default = "one_usize")]
    pub loaders: usize,
    /// Frames of each sequence that a net with a memory learns from; 1 for single pictures.
    #[serde(default = "one_usize", skip_serializing_if = "is_one")]
    pub sequence: usize,
}

fn is_one(value: &usize) -> bool {
    *value == 1
}
fn one() -> u64 {
    1
}
fn one_usize() -> usize {
    1
}
fn one_f64() -> f64 {
    1.0
}
fn ten() -> f64 {
    10.0
}

impl RunConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// All problems, one a line, each with its line and column where it has one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut problems = Problems::new(text);
        let config: Option<Self> = problems.read();
        if let Some(config) = &config {
            config.check(&mut problems);
        }
        match (config, problems.into_text()) {
            (Some(config), None) => Ok(config),
            (_, text) => Err(text.unwrap_or_else(|| "not a training configuration".into())),
        }
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration holds only tables, lists, strings and numbers")
    }

    /// The class list.
    ///
    /// # Errors
    /// One line, if the file cannot be read or is not a class list.
    pub fn read_classes(&self) -> Result<Vec<Class>, String> {
        read_classes(self.classes.as_deref())
    }

    /// The contract's input section for this net.
    pub fn contract_input(&self) -> Input {
        self.input.contract_input(self.net.multiple())
    }

    /// A new net for this run: with a head for auxiliary scores where the loss has a weight for them.
    pub fn init_net(&self, classes: usize, device: &Device) -> Net {
        if self.loss.auxiliary > 0.0 {
            self.net.init_with_auxiliary(classes, device)
        } else {
            self.net.init(classes, device)
        }
    }

    fn check(&self, problems: &mut Problems) {
        if let Err(e) = self.net.check() {
            problems.add(&["net"], e);
            return; // nothing else can be judged without a net
        }
        if let Some(Err(e)) = self.distill.as_ref().and_then(|distill| distill.net.as_ref()).map(NetConfig::check) {
            problems.add(&["distill", "net"], e);
        }
        let multiple = self.net.multiple();
        let mut want = |ok: bool, path: &[&str], found: String, wanted: &str| {
            if !ok {
                problems.add(path, format!("{} is {found}, wanted {wanted}", path.last().unwrap_or(&"")));
            }
        };
        want(!self.name.is_empty(), &["name"], "empty".into(), "a name such as \"unet-road\"");
        let sides = [(&["input", "width"], self.input.width), (&["input", "height"], self.input.height)];
        for (path, side) in sides {
            let ok = side > 0 && side <= 16384 && side.is_multiple_of(multiple);
            want(ok, path, side.to_string(), &format!("a multiple of {multiple} for this net"));
        }
        for (i, side) in self.augment.crop.iter().flatten().enumerate() {
            let ok = *side > 0 && side.is_multiple_of(multiple);
            let wanted = format!("a multiple of {multiple} for this net");
            want(ok, &["augment", "crop"], format!("{side} ({})", ["width", "height"][i]), &wanted);
        }
        let normal = self.input.std.iter().all(|s| s.is_finite() && *s > 0.0) && self.input.mean.iter().all(|m| m.is_finite());
        want(normal, &["input", "std"], format!("{:?}", self.input.std), "three numbers above 0");
        want(self.train.epochs > 0, &["train", "epochs"], "0".into(), "at least 1");
        want(self.train.batch > 0, &["train", "batch"], "0".into(), "at least 1");
        want(self.train.loaders > 0, &["train", "loaders"], "0".into(), "at least 1");
        want(self.train.accumulate > 0, &["train", "accumulate"], "0".into(), "at least 1");
        let patience = self.train.patience;
        want(patience != Some(0), &["train", "patience"], "0".into(), "at least 1");
        want(
            patience.is_none() || !self.validation.is_empty(),
            &["train", "patience"],
            format!("{}", patience.unwrap_or_default()),
            "a [[validation]] to measure on as well",
        );
        want(
            self.augment.mix.is_none() || self.train.batch > 1,
            &["train", "batch"],
            self.train.batch.to_string(),
            "2 or more, because augment.mix takes the other picture from the batch",
        );
        let sequence = self.train.sequence;
        let (fits, wanted) = match self.net.memory {
            0 => (sequence == 1, "1, because only a net with a memory learns from sequences"),
            _ => (
                (2..=64).contains(&sequence),
                "2 to 64 frames, so that the net's memory has something to learn",
            ),
        };
        want(fits, &["train", "sequence"], sequence.to_string(), wanted);
        want(
            self.augment.mix.is_none() || sequence == 1,
            &["augment", "mix"],
            "set".into(),
            "none, because frames of a sequence follow each other",
        );
        let lengths = [
            ("max_minutes", self.train.max_minutes.unwrap_or(1.0)),
            ("checkpoint_minutes", self.train.checkpoint_minutes),
        ];
        for (key, minutes) in lengths {
            let ok = minutes > 0.0 && minutes <= A_YEAR_MINUTES;
            want(ok, &["train", key], minutes.to_string(), "more than 0, and a year (525600) at most");
        }
        want(
            self.validate.every_epochs > 0,
            &["validate", "every_epochs"],
            "0".into(),
            "at least 1",
        );
        let share = self.schedule.final_share;
        want(
            (0.0..=1.0).contains(&share),
            &["schedule", "final_share"],
            share.to_string(),
            "0 to 1",
        );
        for (path, found, wanted) in self.augment.problems() {
            want(false, &["augment", path], found, wanted);
        }
        for (path, found, wanted) in self.loss.problems() {
            want(false, &["loss", path], found, wanted);
        }
        let auxiliary = self.loss.auxiliary;
        want(
            auxiliary == 0.0 || self.net.takes_auxiliary(),
            &["loss", "auxiliary"],
            auxiliary.to_string(),
            "0, because only kind = \"fpn\" has auxiliary scores",
        );
        for (path, found, wanted) in self.optimizer.problems() {
            want(false, &["optimizer", path], found, wanted);
        }
        let parts = [
            ("adversarial", self.adversarial.as_ref().map(AdversarialConfig::problems)),
            ("distill", self.distill.as_ref().map(DistillConfig::problems)),
        ];
        for (section, list) in parts {
            for (path, found, wanted) in list.unwrap_or_default() {
                want(false, &[section, path], found, wanted);
            }
        }
        if let Some(of) = self.adversarial.as_ref().map(AdversarialConfig::multiple) {
            let [width, height] = self.augment.crop.unwrap_or([self.input.width, self.input.height]);
            want(
                width.is_multiple_of(of) && height.is_multiple_of(of),
                &["adversarial", "widths"],
                format!("for multiples of {of}, but pictures are {width}x{height}"),
                "fewer levels or another augment.crop",
            );
        }
        self.check_transfer(problems);
        if self.data.is_empty() {
            problems.add(&["data"], "found no [[data]], wanted at least one".into());
        }
        for (section, list) in [("data", &self.data), ("validation", &self.validation)] {
            for (i, entry) in list.iter().enumerate() {
                for line in entry.problems() {
                    problems.add(&[section, &i.to_string()], line);
                }
            }
        }
    }
}

impl RunConfig {
    fn check_transfer(&self, problems: &mut Problems) {
        if self.pretrained.is_some() && self.net.pretrained_units().is_empty() {
            let line = "[pretrained] is for nets with the encoder of a VGG: encoder = \"vgg16\" or \"vgg16-bn\" in [net], or kind = \"fcn\" without separable";
            problems.add(&["pretrained"], line.into());
        }
        if self.pretrained.is_some() && self.init.is_some() {
            let line = "found init and [pretrained], wanted one of them: a checkpoint has all weights of its net already";
            problems.add(&["pretrained"], line.into());
        }
        if self.freeze.is_empty() {
            return;
        }
        // Weights are drawn when they are first read, so this net costs nothing; nor does it matter how many classes it has.
        let paths = freeze::paths(&self.init_net(2, &Device::flex()));
        let mut sound = true;
        for (i, entry) in self.freeze.iter().enumerate() {
            for line in entry.problems(&paths) {
                sound = false;
                problems.add(&["freeze", &i.to_string()], line);
            }
        }
        if sound && freeze::leaves_nothing(&self.freeze, &paths) {
            let line = "[[freeze]] names every layer of the net, wanted some that learn: leave out the head at least";
            problems.add(&["freeze"], line.into());
        }
    }
}

impl DataConfig {
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
        if !(self.weight > 0.0 && self.weight.is_finite()) {
            lines.push(format!("weight is {}, wanted more than 0", self.weight));
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
        ];
        keys.into_iter().filter_map(|(key, unread)| unread.then_some(key)).collect()
    }
}

/// Reads a classes TOML, or gives the driving classes.
///
/// # Errors
/// One line, if the file cannot be read or is not a class list.
pub fn read_classes(path: Option<&Path>) -> Result<Vec<Class>, String> {
    let Some(path) = path else {
        return Ok(maskline_models::classes::driving_classes());
    };
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read the classes {}: {e}", path.display()))?;
    maskline_models::classes::parse_classes(&text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
name = "small"
[net]
kind = "unet"
widths = [4, 8]
[[data]]
kind = "synth"
count = 4
[train]
epochs = 1
batch = 2
"#;

    #[test]
    fn a_small_configuration_reads_back_as_written() {
        let config = RunConfig::parse(SMALL).unwrap();
        assert_eq!(config.seed, 1);
        assert_eq!(RunConfig::parse(&config.to_toml()).unwrap(), config);
    }

    #[test]
    fn every_problem_is_reported_with_its_line() {
        let text = SMALL
            .replace("batch = 2", "batch = 0\nbach = 3")
            .replace("count = 4", "count = 0\ncolour = 1");
        let errors = RunConfig::parse(&text).unwrap_err();
        let lines: Vec<&str> = errors.lines().collect();
        assert_eq!(lines.len(), 4, "{errors}");
        assert!(errors.contains("line 9, column 1: unknown key data.0.colour"), "{errors}");
        assert!(errors.contains("line 13, column 1: unknown key train.bach"), "{errors}");
        assert!(errors.contains("line 12, column 1: batch is 0, wanted at least 1"), "{errors}");
        assert!(errors.contains("line 6, column 1: count is 0"), "{errors}");
    }

    #[test]
    fn keys_of_other_kinds_of_data_and_endless_times_are_refused() {
        let refused = |text: &str, line: &str| {
            let errors = RunConfig::parse(text).unwrap_err();
            assert!(errors.contains(line), "{errors}");
        };
        refused(
            &SMALL.replace("count = 4", "count = 4\nsplit = \"val\""),
            "split has no meaning in a synth data set that is rendered: leave it out",
        );
        let folders = SMALL.replace("\"synth\"", "\"folders\"\nimages = \"a\"\nlabels = \"b\"");
        refused(&folders, "count has no meaning in a folders data set: leave it out");
        let camvid = "\"camvid\"\npath = \"c\"\nsplit = \"val\"\nseed = 2\nimages = \"a\"";
        let camvid = SMALL.replace("\"synth\"\ncount = 4", camvid);
        refused(&camvid, "images has no meaning in a camvid data set");
        refused(&camvid, "seed has no meaning in a camvid data set");
        refused(
            &format!("{SMALL}checkpoint_minutes = inf\n"),
            "checkpoint_minutes is inf, wanted more than 0, and a year",
        );
        refused(&format!("{SMALL}max_minutes = 1e30\n"), "wanted more than 0, and a year");
    }

    #[test]
    fn a_wrong_type_and_a_syntax_error_name_their_place() {
        let wrong = RunConfig::parse(&SMALL.replace("epochs = 1", "epochs = \"many\"")).unwrap_err();
        assert!(wrong.starts_with("line 10, column"), "{wrong}");
        let syntax = RunConfig::parse(&SMALL.replace("[net]", "[net")).unwrap_err();
        assert!(syntax.starts_with("line 3, column"), "{syntax}");
    }

    #[test]
    fn an_auxiliary_loss_without_auxiliary_scores_is_refused() {
        let text = format!("{SMALL}[loss]\nauxiliary = 0.4\n");
        let errors = RunConfig::parse(&text).unwrap_err();
        assert!(errors.contains("auxiliary is 0.4, wanted 0, because only kind"), "{errors}");
        assert!(
            RunConfig::parse(&text.replace("0.4", "-1"))
                .unwrap_err()
                .contains("wanted 0 or more")
        );
        let pyramid = text.replace("kind = \"unet\"", "kind = \"fpn\"\ndepths = [0, 1]");
        assert!(RunConfig::parse(&pyramid).is_ok(), "{:?}", RunConfig::parse(&pyramid));
    }

    #[test]
    fn parts_that_do_not_fit_each_other_are_refused_together() {
        let text = SMALL
            .replace("widths = [4, 8]", "widths = [4, 8]\nstochastic_depth = 0.2")
            .replace("batch = 2", "batch = 1\npatience = 2\naccumulate = 0");
        let errors = RunConfig::parse(&text).unwrap_err();
        assert!(
            errors.starts_with("line 3, column 2: stochastic_depth is 0.2, but this net has no residual blocks"),
            "{errors}"
        );
        let text = text.replace("stochastic_depth = 0.2\n", "")
            + "[augment]\nmix = \"cutmix\"\nmix_alpha = 2\ncrop = [36, 36]\n[adversarial]\nrate = 0\n[distill]\nteacher = \"t.ckpt\"\ntemperature = 0\n";
        let errors = RunConfig::parse(&text).unwrap_err();
        for wanted in [
            "accumulate is 0, wanted at least 1",
            "patience is 2, wanted a [[validation]]",
            "batch is 1, wanted 2 or more",
            "mix_alpha is 2, wanted 0.05 to 1",
            "rate is 0, wanted more than 0",
            "widths is for multiples of 8, but pictures are 36x36",
            "temperature is 0, wanted more than 0",
        ] {
            assert!(errors.contains(wanted), "{wanted}: {errors}");
        }
        assert_eq!(errors.lines().count(), 7, "{errors}");
    }

    #[test]
    fn pretrained_weights_want_an_encoder_for_them_and_no_init() {
        let text = format!("{SMALL}[pretrained]\npath = \"vgg16.pth\"\n");
        let errors = RunConfig::parse(&text).unwrap_err();
        assert!(
            errors.starts_with("line 12, column 2: [pretrained] is for nets with the encoder of a VGG"),
            "{errors}"
        );
        let fcn = text.replace("kind = \"unet\"\nwidths = [4, 8]", "kind = \"fcn\"");
        let config = RunConfig::parse(&fcn).unwrap();
        assert_eq!(config.pretrained.as_ref().unwrap().prefix, "features.");
        assert_eq!(RunConfig::parse(&config.to_toml()).unwrap(), config);
        let errors = RunConfig::parse(&format!("init = \"a.ckpt\"\n{fcn}")).unwrap_err();
        assert!(errors.contains("found init and [pretrained]"), "{errors}");
    }

    #[test]
    fn every_problem_of_a_freeze_is_reported_with_its_line() {
        let text = format!("{SMALL}[[freeze]]\nlayers = [\"encoder\"]\nepochs = 3\nrate_factor = 0.1\n");
        let config = RunConfig::parse(&text).unwrap();
        assert_eq!(RunConfig::parse(&config.to_toml()).unwrap(), config);
        let wrong = text.replace("encoder", "backbone.*").replace("0.1", "-1");
        let errors = RunConfig::parse(&wrong).unwrap_err();
        assert_eq!(errors.lines().count(), 2, "{errors}");
        assert!(
            errors.contains("line 12, column 1: layers has \"backbone.*\"") && errors.contains("rate_factor is -1"),
            "{errors}"
        );
        let all = RunConfig::parse(&text.replace("\"encoder\"", "\"*\"")).unwrap_err();
        assert!(all.contains("line 12") && all.contains("wanted some that learn"), "{all}");
    }

    #[test]
    fn a_memory_and_sequences_go_together() {
        let memory = SMALL.replace("widths = [4, 8]", "widths = [4, 8]\nmemory = 4");
        let errors = RunConfig::parse(&memory).unwrap_err();
        assert!(errors.contains("sequence is 1, wanted 2 to 64 frames"), "{errors}");
        let errors = RunConfig::parse(&format!("{SMALL}sequence = 4\n")).unwrap_err();
        assert!(
            errors.starts_with("line 12") && errors.contains("sequence is 4, wanted 1"),
            "{errors}"
        );
        let config = RunConfig::parse(&format!("{memory}sequence = 4\n")).unwrap();
        assert_eq!((config.train.sequence, config.net.memory), (4, 4));
        assert!(
            !RunConfig::parse(SMALL).unwrap().to_toml().contains("sequence"),
            "old runs read as they were written"
        );
        let mixed = format!("{memory}sequence = 4\n[augment]\nmix = \"cutmix\"\n");
        assert!(RunConfig::parse(&mixed).unwrap_err().contains("mix is set, wanted none"));
        let clips = SMALL.replace("count = 4", "count = 4\nframes = 0");
        assert!(RunConfig::parse(&clips).unwrap_err().contains("a clip has 0 frames"));
        let stills = SMALL.replace("count = 4", "count = 4\nfps = 5");
        assert!(RunConfig::parse(&stills).unwrap_err().contains("clips are rendered from"));
    }

    #[test]
    fn a_crop_that_the_net_cannot_take_is_refused() {
        let errors = RunConfig::parse(&format!("{SMALL}[augment]\ncrop = [33, 32]\n")).unwrap_err();
        assert!(errors.contains("crop is 33 (width), wanted a multiple of 2"), "{errors}");
    }

    #[test]
    fn every_shipped_configuration_is_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(RunConfig::parse(&text).is_ok(), "{}: {:?}", path.display(), RunConfig::parse(&text));
            count += 1;
        }
        assert!(count >= 3);
    }
}
