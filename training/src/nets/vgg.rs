//! Encoders in the manner of VGG: stages of 3x3 convolutions with 2x2 pooling between them (Simonyan and Zisserman 2015).

use super::layers::Unit;
use super::{Kind, NetConfig, Normalisation};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Channels of VGG16's stages, and convolutions in each of them (configuration D of the paper).
pub(super) const VGG16: ([usize; 5], [usize; 5]) = ([64, 128, 256, 512, 512], [2, 2, 3, 3, 3]);

/// Whose encoder a net has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoder {
    /// That of its kind, as wide as the configuration says.
    #[default]
    Own,
    /// The 13 convolutions of VGG16, each with a bias.
    Vgg16,
    /// The same with batch normalisation.
    Vgg16Bn,
}

impl Encoder {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Vgg16 => "vgg16",
            Self::Vgg16Bn => "vgg16-bn",
        }
    }
}

/// Convolutions one after the other, each with what follows it.
#[derive(Module, Debug)]
pub(super) struct Stage {
    units: Vec<Unit>,
}

impl Stage {
    pub(super) fn new(config: &NetConfig, [input, output]: [usize; 2], depth: usize, device: &Device) -> Self {
        let unit = |number: usize| Unit::new(config, [if number == 0 { input } else { output }, output], device);
        Self {
            units: (0..depth).map(unit).collect(),
        }
    }

    /// `[n, in, h, w]` to `[n, out, h, w]`
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.units.iter().fold(x, |x, unit| unit.forward(x))
    }
}

/// What the stages of an encoder are made of.
pub(super) struct Stages {
    /// What their units are built like.
    pub(super) config: NetConfig,
    /// Channels of what they read, and of each.
    pub(super) widths: Vec<usize>,
    /// Convolutions in each.
    pub(super) depths: Vec<usize>,
}

impl Stages {
    /// Those of a net; none if its encoder is not in the manner of VGG.
    pub(super) fn of(config: &NetConfig) -> Option<Self> {
        let stages = config.widths.len() - 1; // the last level of an FCN is behind its encoder
        let (widths, depths, normalisation) = match (config.encoder, config.kind) {
            (Encoder::Own, Kind::Fcn) => (&config.widths[..stages], &config.depths[..stages], config.normalisation),
            (Encoder::Own, _) => return None,
            (Encoder::Vgg16, _) => (&VGG16.0[..], &VGG16.1[..], Normalisation::None),
            (Encoder::Vgg16Bn, _) => (&VGG16.0[..], &VGG16.1[..], Normalisation::Batch),
        };
        Some(Self {
            config: NetConfig {
                normalisation,
                separable: config.separable && config.encoder == Encoder::Own,
                ..config.clone()
            },
            widths: widths.to_vec(),
            depths: depths.to_vec(),
        })
    }

    /// Channels in, channels out and convolutions of each; the first reads `pixels` channels.
    pub(super) fn each(&self, pixels: usize) -> impl Iterator<Item = ([usize; 2], usize)> {
        let inputs = std::iter::once(&pixels).chain(&self.widths).copied().collect::<Vec<_>>();
        let io = inputs.into_iter().zip(&self.widths).map(|(input, output)| [input, *output]);
        io.zip(self.depths.iter().copied())
    }

    /// The stages with random weights.
    pub(super) fn init(&self, pixels: usize, device: &Device) -> Vec<Stage> {
        let stage = |(io, depth)| Stage::new(&self.config, io, depth, device);
        self.each(pixels).map(stage).collect()
    }
}

/// One convolution of an encoder, here and in a file of torchvision's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PretrainedUnit {
    /// Where it is in our nets, e.g. `encoder.1.units.0`.
    pub path: String,
    /// Its number in torchvision's `features`, where activations and poolings are counted too.
    pub number: usize,
    /// Whether a batch normalisation follows it, which has the next number.
    pub normalised: bool,
}

impl NetConfig {
    /// The convolutions that weights of a VGG from elsewhere can be put into; none if the net has no such encoder.
    pub fn pretrained_units(&self) -> Vec<PretrainedUnit> {
        let Some(stages) = Stages::of(self).filter(|s| !s.config.separable) else {
            return Vec::new();
        };
        let normalised = stages.config.normalisation == Normalisation::Batch;
        let mut units = Vec::new();
        let mut number = 0;
        for (stage, depth) in stages.depths.iter().enumerate() {
            for unit in 0..*depth {
                units.push(PretrainedUnit {
                    path: format!("encoder.{stage}.units.{unit}"),
                    number,
                    normalised,
                });
                number += if normalised { 3 } else { 2 }; // its ReLU has a number too
            }
            number += 1; // and so has the pooling
        }
        units
    }

    /// Checks what a choice of encoder asks of the other keys.
    pub(super) fn check_encoder(&self) -> Result<(), String> {
        let (name, levels) = (self.encoder.name(), VGG16.0.len() + 1);
        match (self.encoder, self.kind) {
            (Encoder::Own, Kind::Fcn) => check_fcn(self),
            (Encoder::Own, _) => Ok(()),
            (_, Kind::Unet | Kind::Fcn) if self.stem_stride != 1 => Err(format!(
                "stem_stride is {}, but encoder = \"{name}\" reads pixels: leave it out",
                self.stem_stride
            )),
            (_, Kind::Unet) if self.widths.len() != levels => Err(format!(
                "widths is {:?}, but with encoder = \"{name}\" they are the {levels} levels of the decoder, the coarsest behind the fifth pooling",
                self.widths
            )),
            (_, Kind::Unet) => Ok(()),
            (_, Kind::Fcn) => {
                check_fcn(self)?;
                let fixed = |list: &[usize], all: [usize; 5]| list.len() == levels && list[..5] == all;
                if self.separable {
                    return Err(format!("separable is true, but encoder = \"{name}\" has full convolutions"));
                }
                if fixed(&self.widths, VGG16.0) && fixed(&self.depths, VGG16.1) {
                    return Ok(());
                }
                Err(format!(
                    "widths is {:?} and depths {:?}, but encoder = \"{name}\" begins with {:?} and {:?}: leave them out, or change the sixth numbers only",
                    self.widths, self.depths, VGG16.0, VGG16.1
                ))
            }
            _ => Err(format!(
                "encoder is \"{name}\", but only kind = \"unet\" and kind = \"fcn\" take it: leave it out"
            )),
        }
    }
}

/// Widths and depths of an FCN.
fn check_fcn(config: &NetConfig) -> Result<(), String> {
    let (widths, depths) = (&config.widths, &config.depths);
    if widths.len() < 4 {
        return Err(format!(
            "widths is {widths:?}, wanted 4 to 7 levels for kind = \"fcn\", which scores the three coarsest"
        ));
    }
    if depths.len() != widths.len() || depths.iter().any(|d| !(1..=64).contains(d)) {
        return Err(format!(
            "depths is {depths:?}, wanted {} numbers of convolutions from 1 to 64, one for each of the widths",
            widths.len()
        ));
    }
    Ok(())
}

/// Channels of the levels where a configuration names none.
pub(super) fn default_widths(kind: Kind, encoder: Encoder) -> Option<Vec<usize>> {
    match (kind, encoder) {
        (Kind::Fcn, Encoder::Own) => Some(vec![24, 48, 96, 128, 160, 160]),
        (Kind::Fcn, _) => Some([&VGG16.0[..], &[512]].concat()),
        (_, Encoder::Own) => None,
        _ => Some(vec![32, 64, 128, 256, 256, 256]),
    }
}

/// Convolutions of the levels of an FCN where a configuration names none: as VGG16 has them, and two behind the last pooling.
pub(super) fn default_depths(levels: usize) -> Vec<usize> {
    (0..levels)
        .map(|level| if level < 2 || level + 1 == levels { 2 } else { 3 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretrained::{self, PretrainedConfig};
    use burn::tensor::TensorData;

    /// An encoder by itself.
    #[derive(Module, Debug)]
    struct Features {
        encoder: Vec<Stage>,
    }

    /// Layer by layer what torchvision's `cfgs["D"]` says: a 3x3 convolution with padding 1 and a ReLU, or a pooling.
    const D: [Option<usize>; 18] = {
        const P: Option<usize> = None;
        const fn c(channels: usize) -> Option<usize> {
            Some(channels)
        }
        [
            c(64),
            c(64),
            P,
            c(128),
            c(128),
            P,
            c(256),
            c(256),
            c(256),
            P,
            c(512),
            c(512),
            c(512),
            P,
            c(512),
            c(512),
            c(512),
            P,
        ]
    };

    /// `[channels, side, side]`
    struct Plane {
        channels: usize,
        side: usize,
        values: Vec<f32>,
    }

    impl Plane {
        fn convolved(&self, channels: usize, weight: &[f32], bias: &[f32]) -> Self {
            let side = self.side as isize;
            let mut values = Vec::new();
            for out in 0..channels {
                for at in 0..side * side {
                    let mut sum = bias[out];
                    for input in 0..self.channels {
                        for k in 0..9 {
                            let (y, x) = (at / side + k / 3 - 1, at % side + k % 3 - 1);
                            if (0..side).contains(&y) && (0..side).contains(&x) {
                                let value = self.values[input * self.side * self.side + (y * side + x) as usize];
                                sum += value * weight[(out * self.channels + input) * 9 + k as usize];
                            }
                        }
                    }
                    values.push(sum.max(0.0));
                }
            }
            Self { channels, values, ..*self }
        }

        fn pooled(&self) -> Self {
            let side = self.side / 2;
            let most = |i: usize| {
                let (plane, y, x) = (i / (side * side), 2 * (i / side % side), 2 * (i % side));
                let at = |dy: usize, dx: usize| self.values[plane * self.side * self.side + (y + dy) * self.side + x + dx];
                at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1))
            };
            Self {
                channels: self.channels,
                side,
                values: (0..self.channels * side * side).map(most).collect(),
            }
        }
    }

    #[test]
    fn a_file_of_torchvisions_names_gives_what_its_definition_gives() {
        let mut random = crate::random::Random::of(&[7]);
        let mut noise = |std: f32| random.range(-std, std);
        let (mut tensors, mut input, mut number) = (Vec::new(), 3, 0);
        for layer in D {
            if let Some(output) = layer {
                let std = (6.0 / (9 * input) as f32).sqrt(); // keeps the size of what passes a ReLU (He et al. 2015)
                let weight: Vec<f32> = (0..output * input * 9).map(|_| noise(std)).collect();
                tensors.push((format!("features.{number}.weight"), vec![output, input, 3, 3], weight));
                tensors.push((
                    format!("features.{number}.bias"),
                    vec![output],
                    (0..output).map(|_| noise(0.3)).collect(),
                ));
                input = output;
            }
            number += if layer.is_some() { 2 } else { 1 };
        }
        let folder = tempfile::tempdir().unwrap();
        let pretrained = PretrainedConfig {
            path: folder.path().join("vgg16.safetensors"),
            prefix: "features.".into(),
        };
        std::fs::write(&pretrained.path, pretrained::tests::safetensors(&tensors)).unwrap();

        let config = NetConfig::new(Kind::Fcn).with_encoder(Encoder::Vgg16);
        let device = Device::flex();
        let features = Features {
            encoder: Stages::of(&config).unwrap().init(3, &device),
        };
        let (features, count) = pretrained::load(features, &config.pretrained_units(), &pretrained, &device).unwrap();
        assert_eq!(count, 26);

        let picture: Vec<f32> = (0..3 * 32 * 32).map(|_| noise(1.0)).collect();
        let mut x = Tensor::<4>::from_data(TensorData::new(picture.clone(), [1, 3, 32, 32]), &device);
        for stage in &features.encoder {
            x = crate::ops::max_pool2x2(stage.forward(x));
        }
        let mut plane = Plane {
            channels: 3,
            side: 32,
            values: picture,
        };
        let mut convolutions = tensors.chunks(2);
        for layer in D {
            plane = match (layer, layer.and_then(|_| convolutions.next())) {
                (Some(output), Some([weight, bias])) => plane.convolved(output, &weight.2, &bias.2),
                _ => plane.pooled(),
            };
        }
        assert_eq!(x.dims(), [1, 512, 1, 1]);
        let found = x.into_data().try_into_vec::<f32>().unwrap();
        let scale = plane.values.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!(scale > 0.01, "{scale}");
        for (a, b) in found.iter().zip(&plane.values) {
            assert!((a - b).abs() < 1e-4 * scale, "{a} {b}");
        }
    }
}
