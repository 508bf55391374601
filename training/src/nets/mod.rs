//! The nets: U-Nets with and without attention, a feature pyramid net, an FCN and a small transformer, built from one
//! configuration.
//!
//! A net's input is `[n, 3, h, w]`, already normalised, with sides that are multiples of [`NetConfig::multiple`]; its output
//! is `[n, classes, h, w]`, one unnormalised score per class and pixel. On an autodiff device a net trains (batch statistics,
//! dropout); `net.valid()` gives an independent copy for inference. A net with a memory takes a state as well and gives the next
//! one ([`Net::step`]).

mod attention;
mod cost;
mod discriminator;
mod fcn;
mod fpn;
mod gru;
mod layers;
mod net;
mod segformer;
mod stem;
mod unet;
mod vgg;
mod vgg_unet;
mod watch;

pub use cost::Cost;
pub use discriminator::Discriminator;
pub use net::{Net, Seen};
pub use vgg::{Encoder, PretrainedUnit};
pub use watch::Watch;

use crate::defaults::is_default;
use burn::tensor::Device;
use maskline_models::contract::Grid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Encoder, decoder and skip connections (Ronneberger et al. 2015).
    Unet,
    /// A U-Net whose skip connections pass additive attention gates (Oktay et al. 2018).
    AttentionUnet,
    /// A residual encoder, global context, and a decoder that adds its levels up (Lin et al. 2017).
    Fpn,
    /// FCN-8s: scores of three levels of a VGG encoder, added up (Long et al. 2015).
    Fcn,
    /// Convolutions at the finer levels, self-attention at the coarser ones, and a decoder of pointwise layers (Xie et al. 2021).
    Segformer,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Unet, Self::AttentionUnet, Self::Fpn, Self::Fcn, Self::Segformer];

    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unet => "unet",
            Self::AttentionUnet => "attention-unet",
            Self::Fpn => "fpn",
            Self::Fcn => "fcn",
            Self::Segformer => "segformer",
        }
    }
}

/// What follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// Batch normalisation, then ReLU; the exporter folds it into the convolution.
    #[default]
    Batch,
    /// ReLU alone; the convolution has a bias.
    None,
}

/// Everything that shapes a net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct NetConfig {
    /// Which net.
    pub kind: Kind,
    /// Whose encoder it has.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encoder: Encoder,
    /// Channels per level, the finest first; each level has half the resolution of the one before. Those of the decoder in a U-Net
    /// whose encoder is not its own.
    #[serde(default)]
    pub widths: Vec<usize>,
    /// Residual blocks per level of a feature pyramid net, blocks per level of a segformer, convolutions per level of an FCN; as
    /// many numbers as `widths`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depths: Vec<usize>,
    /// What follows a convolution.
    #[serde(default)]
    pub normalisation: Normalisation,
    /// Resolution of the finest level: 1 full, 2 half, 4 a quarter; pixels are folded into channels before it and unfolded
    /// after it.
    #[serde(default = "default_stem_stride")]
    pub stem_stride: usize,
    /// Whether the scores of neighbouring pixels are averaged, 1:2:1 both ways: pixels that are unfolded from one place of the finest
    /// level have weights of their own, and can disagree in a regular pattern where two classes compete.
    #[serde(default, skip_serializing_if = "is_default")]
    pub antialias: bool,
    /// Depthwise and pointwise convolutions in place of full 3x3 ones (Howard et al. 2017).
    #[serde(default)]
    pub separable: bool,
    /// Blocks whose input is added to their output, U-Nets only (He et al. 2016).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub residual: bool,
    /// Share of the coarsest level's values that are zeroed in training.
    #[serde(default)]
    pub dropout: f64,
    /// Probability with which the deepest residual block is left out of a training step, feature pyramid net only; the others' falls
    /// evenly towards the first (Huang et al. 2016).
    #[serde(default, skip_serializing_if = "is_default")]
    pub stochastic_depth: f64,
    /// Heads of self-attention at the coarsest level, attention U-Net (0 for none) and segformer only. A segformer's other levels
    /// have as many of the same width as their channels hold.
    #[serde(default)]
    pub heads: usize,
    /// Channels of what a convolutional GRU at the coarsest level remembers from frame to frame; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory: usize,
    /// Levels with self-attention, counted from the coarsest, segformer only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attention_levels: usize,
}

fn default_widths() -> Vec<usize> {
    vec![24, 48, 96, 128, 160]
}

impl<'de> Deserialize<'de> for NetConfig {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Self::deserialize(reader).map(Self::completed) // the inherent one, which is derived
    }
}

impl Serialize for NetConfig {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, writer)
    }
}

fn default_stem_stride() -> usize {
    1
}

impl NetConfig {
    /// The default net of that kind.
    pub fn new(kind: Kind) -> Self {
        let (widths, depths) = match kind {
            Kind::Unet | Kind::AttentionUnet => (default_widths(), Vec::new()),
            Kind::Fpn => (vec![16, 48, 64, 96, 128], vec![0, 1, 2, 3, 1]),
            Kind::Fcn => (Vec::new(), Vec::new()), // as its encoder says
            Kind::Segformer => (vec![48, 96, 128, 160], vec![1, 1, 2, 2]),
        };
        let (heads, attention_levels) = if kind == Kind::Segformer { (5, 3) } else { (0, 0) };
        let config = Self {
            kind,
            encoder: Encoder::Own,
            widths,
            depths,
            normalisation: Normalisation::default(),
            stem_stride: default_stem_stride(),
            antialias: false,
            separable: false,
            residual: false,
            dropout: 0.0,
            stochastic_depth: 0.0,
            heads,
            memory: 0,
            attention_levels,
        };
        config.completed()
    }

    /// The same net on another encoder, with that one's default widths and depths.
    pub fn with_encoder(self, encoder: Encoder) -> Self {
        let config = Self {
            encoder,
            widths: Vec::new(),
            depths: Vec::new(),
            ..self
        };
        config.completed()
    }

    /// With what depends on other keys and was not said.
    fn completed(mut self) -> Self {
        if self.widths.is_empty() {
            self.widths = vgg::default_widths(self.kind, self.encoder).unwrap_or_else(default_widths);
        }
        if self.depths.is_empty() && self.kind == Kind::Fcn {
            self.depths = vgg::default_depths(self.widths.len());
        }
        self
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// One line naming the first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        if !(2..=7).contains(&self.widths.len()) || self.widths.iter().any(|w| !(1..=4096).contains(w)) {
            return Err(format!("widths is {:?}, wanted 2 to 7 levels of 1 to 4096 channels", self.widths));
        }
        if ![1, 2, 4].contains(&self.stem_stride) {
            return Err(format!("stem_stride is {}, wanted 1, 2 or 4", self.stem_stride));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(format!("dropout is {}, wanted 0 up to but not including 1", self.dropout));
        }
        self.check_depths()?;
        if self.memory > 4096 {
            return Err(format!("memory is {}, wanted 0 for none or up to 4096 channels", self.memory));
        }
        let drop = self.stochastic_depth;
        if !(0.0..1.0).contains(&drop) {
            return Err(format!("stochastic_depth is {drop}, wanted 0 up to but not including 1"));
        }
        if drop > 0.0 && (self.kind != Kind::Fpn || self.depths.iter().all(|d| *d == 0)) {
            return Err(format!(
                "stochastic_depth is {drop}, but this net has no residual blocks for it: take kind = \"fpn\" with depths, or leave it out"
            ));
        }
        self.check_encoder()?;
        if self.antialias && !self.unfolds() {
            return Err(
                "antialias is true, but this net scores each pixel for itself (stem_stride = 1, or kind = \"fcn\"): leave it out".into(),
            );
        }
        if self.residual && !matches!(self.kind, Kind::Unet | Kind::AttentionUnet) {
            return Err("residual is true, but only kind = \"unet\" and kind = \"attention-unet\" have such blocks: leave it out".into());
        }
        self.check_attention()
    }

    fn check_depths(&self) -> Result<(), String> {
        let (depths, levels) = (&self.depths, self.widths.len());
        match self.kind {
            Kind::Fpn | Kind::Segformer if depths.len() != levels || depths.iter().any(|d| *d > 64) => Err(format!(
                "depths is {depths:?}, wanted {levels} numbers of blocks up to 64, one for each of the widths"
            )),
            Kind::Unet | Kind::AttentionUnet if !depths.is_empty() => Err(format!(
                "depths is {depths:?}, but only kind = \"fpn\", kind = \"fcn\" and kind = \"segformer\" have them: leave it out"
            )),
            _ => Ok(()),
        }
    }

    fn check_attention(&self) -> Result<(), String> {
        let (heads, count, levels) = (self.heads, self.attention_levels, self.widths.len());
        let deepest = self.widths[levels - 1];
        if self.kind != Kind::Segformer && count > 0 {
            return Err(format!(
                "attention_levels is {count}, but only kind = \"segformer\" has them: leave it out"
            ));
        }
        match self.kind {
            Kind::Unet | Kind::Fpn | Kind::Fcn if heads > 0 => {
                return Err(format!(
                    "heads is {heads}, but only kind = \"attention-unet\" and kind = \"segformer\" have self-attention"
                ));
            }
            Kind::Segformer if heads == 0 => return Err("heads is 0, wanted at least 1 for kind = \"segformer\"".into()),
            Kind::Segformer if !(1..=levels).contains(&count) => {
                return Err(format!(
                    "attention_levels is {count}, wanted 1 to {levels}: so many of the {levels} levels have self-attention"
                ));
            }
            _ => {}
        }
        if heads > 0 && !deepest.is_multiple_of(heads) {
            return Err(format!(
                "heads is {heads}, which does not divide the {deepest} channels of the last level"
            ));
        }
        let odd = (0..levels).find(|level| self.attends(*level) && !self.widths[*level].is_multiple_of(self.head_width()));
        odd.map_or(Ok(()), |level| {
            Err(format!(
                "widths has {}, wanted a multiple of {}: with heads = {heads} that is the width of a head of self-attention",
                self.widths[level],
                self.head_width()
            ))
        })
    }

    /// Whether that level of a segformer, counted from the finest, has self-attention.
    fn attends(&self, level: usize) -> bool {
        level + self.attention_levels >= self.widths.len()
    }

    /// Channels of one head of self-attention.
    fn head_width(&self) -> usize {
        self.widths[self.widths.len() - 1] / self.heads
    }

    /// Size of the state of a net with a memory: one value a channel and pixel of the coarsest level.
    pub fn state(&self) -> Option<Grid> {
        (self.memory > 0).then(|| Grid {
            channels: self.memory as u32,
            stride: self.multiple(),
        })
    }

    /// Whether several pixels of the picture are scored from one place of the finest level, so that such a net can
    /// [antialias](Self::antialias).
    pub fn unfolds(&self) -> bool {
        self.stem_stride > 1 && self.kind != Kind::Fcn
    }

    /// Whether such a net can have a head for auxiliary scores.
    pub fn takes_auxiliary(&self) -> bool {
        self.kind == Kind::Fpn
    }

    /// Both sides of the input must be multiples of this.
    pub fn multiple(&self) -> u32 {
        (self.stem_stride << (self.widths.len() - 1)) as u32
    }

    /// A new net with random weights; `device` seeds them (`device.seed(..)`).
    ///
    /// # Panics
    /// If [`NetConfig::check`] fails.
    pub fn init(&self, classes: usize, device: &Device) -> Net {
        self.check().expect("the configuration was checked");
        Net::new(self, classes, device)
    }

    /// The same with a head for auxiliary scores ([`Seen::auxiliary`]), where [`NetConfig::takes_auxiliary`].
    ///
    /// # Panics
    /// If [`NetConfig::check`] fails.
    pub fn init_with_auxiliary(&self, classes: usize, device: &Device) -> Net {
        self.init(classes, device).with_auxiliary(self, classes, device)
    }

    /// Trainable parameters and multiplications for a picture of that size.
    pub fn cost(&self, classes: usize, height: usize, width: usize) -> Cost {
        cost::of(self, classes, height, width)
    }
}

#[cfg(test)]
mod tests;
