//! The nets that are compared: what they take, what they tell apart, and how their class ids translate.

use crate::config::ModelConfig;
use crate::error::{Kind, fault};
use crate::frame::{ClassMap, VideoFormat};
use anyhow::Result;
use maskline_models::contract::Size;
use maskline_models::{Class, Fit, Input, Model, Precision};

/// A net of the search.
#[derive(Debug, Clone)]
pub struct Net {
    /// How a pipeline names it; without a size.
    pub config: ModelConfig,
    /// What people read: its name in the contract, and the file's where another net is called the same.
    pub name: String,
    /// Where it comes from: a path or `builtin:NAME`.
    pub origin: String,
    /// Digest of the ONNX file.
    pub sha256: String,
    /// What it computes with.
    pub precision: Precision,
    /// Whether it remembers earlier frames, so that it must see all of them in one session.
    pub remembers: bool,
    input: Input,
    pub(super) classes: Vec<Class>,
    /// The reference's id of the class of each id.
    ids: [u8; 256],
}

impl Net {
    /// A net as a pipeline gets it. It is its own reference until it is told another.
    ///
    /// # Errors
    /// Kind 78 if the model has no head.
    pub(super) fn new(config: ModelConfig, model: &Model) -> Result<Self> {
        let head = model.contract.head(None).map_err(|line| fault(Kind::Config, line))?;
        let mut ids = [0; 256];
        for (id, same) in (0..=u8::MAX).zip(&mut ids) {
            *same = id;
        }
        Ok(Self {
            config,
            name: model.contract.name.clone(),
            origin: model.origin.clone(),
            sha256: model.sha256(),
            precision: Precision::of(&model.onnx),
            remembers: model.contract.remembers(),
            input: model.contract.input.clone(),
            classes: head.classes.clone(),
            ids,
        })
    }

    /// Translates ids to those of the reference from now on.
    ///
    /// # Errors
    /// Kind 78 if the two tell different classes apart.
    pub(super) fn refer_to(&mut self, reference: &Self) -> Result<()> {
        let (own, theirs) = (self.answers(), reference.answers());
        if own != theirs {
            let line = format!(
                "{} and {} cannot be compared, as they tell different classes apart: found {}, wanted {}; leave one of them out",
                self.origin,
                reference.origin,
                own.join(", "),
                theirs.join(", ")
            );
            return Err(fault(Kind::Config, line));
        }
        for class in &self.classes {
            if let Some(same) = reference.classes.iter().find(|c| c.name == class.name) {
                self.ids[usize::from(class.id)] = same.id;
            }
        }
        Ok(())
    }

    /// Names of the classes that it can answer with, sorted.
    fn answers(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.classes.iter().filter(|c| !c.ignore).map(|c| c.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The same map in the reference's ids.
    pub(super) fn translate(&self, map: &mut ClassMap) {
        for id in &mut map.ids {
            *id = self.ids[usize::from(*id)];
        }
    }

    /// The size at which it runs if nobody says otherwise.
    ///
    /// # Errors
    /// Kind 78 if frames of this format cannot be brought to it.
    pub(super) fn natural_size(&self, format: &VideoFormat) -> Result<(u32, u32)> {
        let fit = Fit::plan(&self.input, format.width, format.height, None).map_err(|line| fault(Kind::Config, line))?;
        Ok((fit.width, fit.height))
    }

    /// Sizes to try where nobody names any: the natural one, three quarters and half of each side, as far as the net takes
    /// them.
    ///
    /// # Errors
    /// Those of [`Self::natural_size`].
    pub(super) fn usual_sizes(&self, format: &VideoFormat) -> Result<Vec<(u32, u32)>> {
        let (width, height) = self.natural_size(format)?;
        let Size::Multiple { of, .. } = self.input.size else {
            return Ok(vec![(width, height)]);
        };
        let part = |side: u32, share: f64| of * (f64::from(side) * share / f64::from(of)).round().max(1.0) as u32;
        let mut sizes: Vec<_> = [1.0, 0.75, 0.5].iter().map(|s| (part(width, *s), part(height, *s))).collect();
        sizes.dedup();
        Ok(sizes)
    }

    /// Whether it takes frames of this format at that size.
    ///
    /// # Errors
    /// One line with a size that it takes.
    pub(super) fn check_size(&self, format: &VideoFormat, size: (u32, u32)) -> Result<(), String> {
        Fit::plan(&self.input, format.width, format.height, Some(size)).map(drop)
    }
}

/// Adds the file's name where two nets have the same name and precision.
pub(super) fn tell_apart(nets: &mut [Net]) {
    let names: Vec<_> = nets.iter().map(|n| (n.name.clone(), n.precision)).collect();
    for (net, own) in nets.iter_mut().zip(&names) {
        if names.iter().filter(|other| *other == own).count() > 1 {
            let file = std::path::Path::new(&net.origin).file_name();
            let file = file.map_or(net.origin.clone(), |f| f.to_string_lossy().into_owned());
            net.name = format!("{} ({file})", net.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Brightness;
    use crate::testing::plain;
    use std::borrow::Cow;

    fn net(brightness: &Brightness, classes: &[(u8, &str)]) -> Net {
        let onnx = Cow::Owned(brightness.onnx());
        let mut model = Model::from_bytes("a/net.onnx".into(), onnx, None).unwrap();
        let template = model.contract.heads[0].classes[0].clone();
        let class = |&(id, name): &(u8, &str)| Class {
            id,
            name: name.into(),
            ..template.clone()
        };
        model.contract.heads[0].classes = classes.iter().map(class).collect();
        Net::new(ModelConfig::default(), &model).unwrap()
    }

    fn format(width: u32, height: u32) -> VideoFormat {
        VideoFormat {
            rate: None,
            ..plain(width, height)
        }
    }

    #[test]
    fn ids_are_translated_by_name_and_other_classes_are_refused() {
        let reference = net(&Brightness::default(), &[(0, "dark"), (1, "bright")]);
        let mut turned = net(&Brightness::default(), &[(0, "bright"), (7, "dark")]);
        turned.refer_to(&reference).unwrap();
        let mut map = ClassMap {
            width: 3,
            height: 1,
            ids: vec![0, 7, 0],
        };
        turned.translate(&mut map);
        assert_eq!(map.ids, [1, 0, 1]);
        let mut other = net(&Brightness::default(), &[(0, "dark"), (1, "light")]);
        let line = other.refer_to(&reference).unwrap_err().to_string();
        assert!(
            line.contains("found dark, light, wanted bright, dark") && !line.contains('\n'),
            "{line}"
        );
    }

    #[test]
    fn smaller_sizes_are_tried_as_far_as_a_net_takes_them() {
        let flexible = net(&Brightness::default(), &[(0, "dark"), (1, "bright")]);
        assert_eq!(flexible.usual_sizes(&format(640, 480)).unwrap(), [(64, 48), (48, 40), (32, 24)]);
        let fixed = Brightness {
            size: Size::Fixed { width: 64, height: 48 },
            ..Brightness::default()
        };
        let fixed = net(&fixed, &[(0, "dark"), (1, "bright")]);
        assert_eq!(fixed.usual_sizes(&format(640, 480)).unwrap(), [(64, 48)]);
        assert!(fixed.check_size(&format(640, 480), (32, 24)).unwrap_err().contains("64x48"));
    }

    #[test]
    fn nets_of_one_name_are_told_apart_by_their_files() {
        let mut nets = vec![
            net(&Brightness::default(), &[(0, "dark")]),
            net(&Brightness::default(), &[(0, "dark")]),
        ];
        nets[1].origin = "b/other.onnx".into();
        tell_apart(&mut nets);
        assert_eq!([&nets[0].name, &nets[1].name], ["brightness (net.onnx)", "brightness (other.onnx)"]);
        let mut nets = vec![net(&Brightness::default(), &[(0, "dark")])];
        tell_apart(&mut nets);
        assert_eq!(nets[0].name, "brightness");
    }
}
