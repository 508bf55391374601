//! What is wrong with a configuration that reads: each part alone, and parts that do not fit each other.

use super::RunConfig;
use super::problems::Problems;
use crate::freeze;
use crate::schedule::{Fall, Schedule};
use crate::train::{AdversarialConfig, DistillConfig};
use burn::tensor::Device;

const A_YEAR_MINUTES: f64 = 525_600.0;

impl RunConfig {
    /// Notes every problem.
    pub(super) fn check(&self, problems: &mut Problems) {
        let fit = |c: char| !c.is_control() && !"/\\".contains(c);
        let named = !self.name.trim().is_empty() && self.name.chars().all(fit) && !self.name.starts_with('.');
        let wanted = "a name such as \"unet-road\", which names the run's folder too";
        problems.want(named, &["name"], format!("{:?}", self.name), wanted);
        match self.net.check() {
            Ok(()) => self.check_beside_net(problems),
            Err(e) => problems.add(&["net"], e),
        }
        if let Some(Err(e)) = self
            .distill
            .as_ref()
            .and_then(|distill| distill.net.as_ref())
            .map(|net| net.check())
        {
            problems.add(&["distill", "net"], e);
        }
        let (mean, std) = (self.input.mean, self.input.std);
        let finite = mean.iter().all(|m| m.is_finite());
        problems.want(finite, &["input", "mean"], format!("{mean:?}"), "three numbers");
        let normal = std.iter().all(|s| s.is_finite() && *s > 0.0);
        problems.want(normal, &["input", "std"], format!("{std:?}"), "three numbers above 0");
        self.check_train(problems);
        self.check_sections(problems);
        if self.pretrained.is_some() && self.init.is_some() {
            let line = "found init and [pretrained], wanted one of them: a checkpoint has all weights of its net already";
            problems.add(&["pretrained"], line.into());
        }
        self.check_data(problems);
    }

    /// What can only be judged with a sound net: sizes, and layers that are named or filled.
    fn check_beside_net(&self, problems: &mut Problems) {
        let multiple = self.net.multiple();
        let wanted = format!("a multiple of {multiple} for this net");
        let sides = [(&["input", "width"], self.input.width), (&["input", "height"], self.input.height)];
        for (path, side) in sides {
            let ok = side > 0 && side <= 16384 && side.is_multiple_of(multiple);
            problems.want(ok, path, side, &wanted);
        }
        for (name, side) in ["width", "height"].iter().zip(self.augment.crop.iter().flatten()) {
            let ok = (1..=16384).contains(side) && side.is_multiple_of(multiple);
            let wanted = format!("{wanted}, up to 16384");
            problems.want(ok, &["augment", "crop"], format!("{side} ({name})"), &wanted);
        }
        if self.pretrained.is_some() && self.net.pretrained_units().is_empty() {
            let line = "[pretrained] is for nets with the encoder of a VGG: encoder = \"vgg16\" or \"vgg16-bn\" in [net], or kind = \"fcn\" without separable";
            problems.add(&["pretrained"], line.into());
        }
        self.check_freeze(problems);
    }

    fn check_train(&self, problems: &mut Problems) {
        let train = &self.train;
        problems.want(train.epochs > 0, &["train", "epochs"], 0, "at least 1");
        let counts = [
            ("batch", train.batch, 1024),
            ("loaders", train.loaders, 256),
            ("accumulate", train.accumulate, 1024),
        ];
        for (key, count, most) in counts {
            problems.want((1..=most).contains(&count), &["train", key], count, &format!("1 to {most}"));
        }
        problems.want(train.patience != Some(0), &["train", "patience"], 0, "at least 1");
        problems.want(
            train.patience.is_none() || !self.validation.is_empty(),
            &["train", "patience"],
            train.patience.unwrap_or_default(),
            "a [[validation]] to measure on as well",
        );
        problems.want(
            self.augment.mix.is_none() || train.batch > 1,
            &["train", "batch"],
            train.batch,
            "2 or more, because augment.mix takes the other picture from the batch",
        );
        let (fits, wanted) = match self.net.memory {
            0 => (train.sequence == 1, "1, because only a net with a memory learns from sequences"),
            _ => (
                (2..=64).contains(&train.sequence),
                "2 to 64 frames, so that the net's memory has something to learn",
            ),
        };
        problems.want(fits, &["train", "sequence"], train.sequence, wanted);
        problems.want(
            self.augment.mix.is_none() || train.sequence == 1,
            &["augment", "mix"],
            "set",
            "none, because frames of a sequence follow each other",
        );
        let lengths = [
            ("max_minutes", train.max_minutes.unwrap_or(1.0)),
            ("checkpoint_minutes", train.checkpoint_minutes),
        ];
        for (key, minutes) in lengths {
            let ok = minutes > 0.0 && minutes <= A_YEAR_MINUTES;
            problems.want(ok, &["train", key], minutes, "more than 0, and a year (525600) at most");
        }
        let every = self.validate.every_epochs;
        problems.want(every > 0, &["validate", "every_epochs"], every, "at least 1");
    }

    fn check_sections(&self, problems: &mut Problems) {
        let share = self.schedule.final_share;
        problems.want((0.0..=1.0).contains(&share), &["schedule", "final_share"], share, "0 to 1");
        let power = self.schedule.power;
        problems.want(power > 0.0 && power.is_finite(), &["schedule", "power"], power, "more than 0");
        let idle = power != Schedule::default().power && self.schedule.kind != Fall::Poly;
        problems.want(!idle, &["schedule", "power"], power, "kind = \"poly\" beside it");
        let auxiliary = self.loss.auxiliary;
        problems.want(
            auxiliary == 0.0 || self.net.takes_auxiliary(),
            &["loss", "auxiliary"],
            auxiliary,
            "0, because only kind = \"fpn\" has auxiliary scores",
        );
        let sections = [
            ("augment", self.augment.problems()),
            ("loss", self.loss.problems()),
            ("optimizer", self.optimizer.problems()),
            (
                "adversarial",
                self.adversarial.as_ref().map(AdversarialConfig::problems).unwrap_or_default(),
            ),
            ("distill", self.distill.as_ref().map(DistillConfig::problems).unwrap_or_default()),
        ];
        for (section, list) in sections {
            for (path, found, wanted) in list {
                problems.want(false, &[section, path], found, wanted);
            }
        }
        if let Some(of) = self.adversarial.as_ref().map(AdversarialConfig::multiple) {
            let [width, height] = self.augment.crop.unwrap_or([self.input.width, self.input.height]);
            problems.want(
                width.is_multiple_of(of) && height.is_multiple_of(of),
                &["adversarial", "widths"],
                format!("for multiples of {of}, but pictures are {width}x{height}"),
                "fewer levels or another augment.crop",
            );
        }
    }

    fn check_freeze(&self, problems: &mut Problems) {
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

    fn check_data(&self, problems: &mut Problems) {
        if self.data.is_empty() {
            problems.add(&["data"], "found no [[data]], wanted at least one".into());
        }
        for (section, list) in [("data", &self.data), ("validation", &self.validation)] {
            for (i, entry) in list.iter().enumerate() {
                for line in entry.problems() {
                    problems.add(&[section, &i.to_string()], line);
                }
                if section == "validation" && entry.weight != 1.0 {
                    let line = "weight says how often a picture is learned from, and has no meaning in [[validation]]: leave it out";
                    problems.add(&[section, &i.to_string()], line.into());
                }
            }
        }
    }
}
