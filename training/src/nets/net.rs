//! Any of the nets, as one module.

use super::fcn::Fcn;
use super::fpn::Fpn;
use super::segformer::Segformer;
use super::unet::Unet;
use super::vgg_unet::VggUnet;
use super::watch::{Unwatched, Watch};
use super::{Encoder, Kind, NetConfig};
use crate::ops;
use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Tensor};

/// A net of one of the kinds.
///
/// It is a module by hand because burn's derive would put the variant's name before the path of every tensor; so the names in
/// checkpoints and exported files are those of the net itself, and `init` finds the tensors of a relative.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // there are few
pub struct Net {
    inner: Inner,
    /// See [`NetConfig::antialias`].
    antialias: bool,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
enum Inner {
    Unet(Unet),
    VggUnet(VggUnet),
    Fpn(Fpn),
    Fcn(Fcn),
    Segformer(Segformer),
}

/// The same expression of whichever net it is.
macro_rules! each {
    ($net:expr, $inner:ident => $what:expr) => {
        match $net {
            Inner::Unet($inner) => $what,
            Inner::VggUnet($inner) => $what,
            Inner::Fpn($inner) => $what,
            Inner::Fcn($inner) => $what,
            Inner::Segformer($inner) => $what,
        }
    };
}

/// The same change of whichever net it is.
macro_rules! changed {
    ($net:expr, $antialias:expr, $inner:ident => $what:expr) => {
        Self {
            antialias: $antialias,
            inner: match $net {
                Inner::Unet($inner) => Inner::Unet($what),
                Inner::VggUnet($inner) => Inner::VggUnet($what),
                Inner::Fpn($inner) => Inner::Fpn($what),
                Inner::Fcn($inner) => Inner::Fcn($what),
                Inner::Segformer($inner) => Inner::Segformer($what),
            },
        }
    };
}

/// What a net says of a frame.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Scores `[n, classes, h, w]`.
    pub scores: Tensor<4>,
    /// Scores of a coarser level of the decoder where the net has a head for them: `[n, classes, h/k, w/k]` with a whole number k.
    pub auxiliary: Option<Tensor<4>>,
    /// What a net with a memory takes with the next frame: `[n, memory, h/m, w/m]` with m = [`NetConfig::multiple`].
    pub state: Option<Tensor<4>>,
}

impl Net {
    pub(super) fn new(config: &NetConfig, classes: usize, device: &Device) -> Self {
        let inner = match config.kind {
            Kind::Unet if config.encoder != Encoder::Own => Inner::VggUnet(VggUnet::new(config, classes, device)),
            Kind::Unet | Kind::AttentionUnet => Inner::Unet(Unet::new(config, classes, device)),
            Kind::Fpn => Inner::Fpn(Fpn::new(config, classes, device)),
            Kind::Fcn => Inner::Fcn(Fcn::new(config, classes, device)),
            Kind::Segformer => Inner::Segformer(Segformer::new(config, classes, device)),
        };
        let antialias = config.antialias;
        Self { inner, antialias }
    }

    /// The same net with a head for auxiliary scores, where its kind has one.
    pub(super) fn with_auxiliary(self, config: &NetConfig, classes: usize, device: &Device) -> Self {
        let inner = match self.inner {
            Inner::Fpn(net) => Inner::Fpn(net.with_auxiliary(config, classes, device)),
            other => other,
        };
        Self { inner, ..self }
    }

    /// Scores `[n, classes, h, w]` for normalised pictures `[n, 3, h, w]`, whose sides are multiples of
    /// [`NetConfig::multiple`]. Trains on an autodiff device, infers on any other. To a net with a memory they are first frames.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.step(images, None).scores
    }

    /// [`Net::forward`], seen from inside.
    pub fn forward_watched(&self, images: Tensor<4>, watch: &mut dyn Watch) -> Tensor<4> {
        self.antialiased(each!(&self.inner, net => net.step(images, None, watch))).scores
    }

    /// Whether it has a memory.
    pub fn remembers(&self) -> bool {
        each!(&self.inner, net => net.memory.is_some())
    }

    /// [`Net::forward`] of the next frame of each of n clips, with all else that the net has to say. `state` is what it gave for the
    /// frames before, nothing for first frames.
    pub fn step(&self, images: Tensor<4>, state: Option<Tensor<4>>) -> Seen {
        self.antialiased(each!(&self.inner, net => net.step(images, state, &mut Unwatched)))
    }

    fn antialiased(&self, seen: Seen) -> Seen {
        match self.antialias {
            true => Seen {
                scores: ops::smooth(seen.scores),
                ..seen
            },
            false => seen,
        }
    }
}

impl Module for Net {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        each!(&self.inner, net => net.visit(visitor));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        changed!(self.inner, self.antialias, net => net.map(mapper))
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        each!(&self.inner, net => net.collect_devices(devices))
    }

    fn to_device(self, device: &Device) -> Self {
        changed!(self.inner, self.antialias, net => net.to_device(device))
    }

    fn fork(self, device: &Device) -> Self {
        changed!(self.inner, self.antialias, net => net.fork(device))
    }

    fn valid(&self) -> Self {
        changed!(&self.inner, self.antialias, net => net.valid())
    }

    fn train(self) -> Self {
        changed!(self.inner, self.antialias, net => net.train())
    }

    fn materialize(self) -> Self {
        changed!(self.inner, self.antialias, net => net.materialize())
    }
}
