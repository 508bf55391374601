//! The optimiser: SGD with momentum or AdamW, weight decay for weights alone, clipping of the whole gradient, and the moving
//! average of the weights.

mod shrink;

pub use shrink::shrink;

use crate::defaults::is_default;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2017).
    #[default]
    Adamw,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// `[optimizer]` of a training configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OptimizerConfig {
    /// Which one.
    pub kind: Kind,
    /// The full learning rate; the schedule scales it.
    pub rate: f64,
    /// Weight decay of convolution weights; norms and biases have none.
    pub weight_decay: f32,
    /// Weight of the L1 norm of convolution weights; norms and biases have none.
    #[serde(skip_serializing_if = "is_default")]
    pub l1: f32,
    /// Momentum of SGD, first beta of AdamW.
    pub momentum: f32,
    /// Second beta of AdamW.
    pub beta2: f32,
    /// Longest gradient, as the Euclidean norm over all parameters; 0 for no limit.
    pub clip_norm: f32,
    /// Decay of the moving average of the weights, which is what is measured and exported; 0 for none.
    pub ema: f32,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: Kind::Adamw,
            rate: 1e-3,
            weight_decay: 1e-3,
            l1: 0.0,
            momentum: 0.9,
            beta2: 0.999,
            clip_norm: 5.0,
            ema: 0.998,
        }
    }
}

impl OptimizerConfig {
    /// Key, found and wanted of every value that is out of range.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut list = Vec::new();
        let mut want = |ok: bool, key, found: String, wanted| {
            if !ok {
                list.push((key, found, wanted));
            }
        };
        want(
            self.rate > 0.0 && self.rate.is_finite(),
            "rate",
            self.rate.to_string(),
            "more than 0",
        );
        want(self.weight_decay >= 0.0, "weight_decay", self.weight_decay.to_string(), "0 or more");
        want(self.l1 >= 0.0 && self.l1.is_finite(), "l1", self.l1.to_string(), "0 or more");
        want(
            (0.0..1.0).contains(&self.momentum),
            "momentum",
            self.momentum.to_string(),
            "0 up to but not including 1",
        );
        want(
            (0.0..1.0).contains(&self.beta2),
            "beta2",
            self.beta2.to_string(),
            "0 up to but not including 1",
        );
        want(self.clip_norm >= 0.0, "clip_norm", self.clip_norm.to_string(), "0 or more");
        want(
            (0.0..1.0).contains(&self.ema),
            "ema",
            self.ema.to_string(),
            "0 up to but not including 1",
        );
        list
    }

    /// An optimiser for that net. Parameters of rank 1 (norms and biases) are not decayed.
    pub fn init<M: Module>(&self, net: &M) -> ModuleOptimizer {
        let mut vectors = Vectors::default();
        net.visit(&mut vectors);
        let group = ParamGroup::from_ids(vectors.0);
        match self.kind {
            Kind::Adamw => {
                let config = AdamWConfig::new()
                    .with_beta_1(self.momentum)
                    .with_beta_2(self.beta2)
                    .with_epsilon(1e-8);
                let plain = config.clone().with_weight_decay(0.0).build();
                ModuleOptimizer::from(config.with_weight_decay(self.weight_decay).build()).with_group(group, plain, None)
            }
            Kind::Sgd => {
                let momentum = MomentumConfig::new().with_momentum(f64::from(self.momentum)).with_dampening(0.0);
                let config = SgdConfig::new().with_momentum(Some(momentum));
                let plain = config.clone().build();
                let decay = WeightDecayConfig::new(self.weight_decay);
                ModuleOptimizer::from(config.with_weight_decay(Some(decay)).build()).with_group(group, plain, None)
            }
        }
    }
}

#[derive(Default)]
struct Vectors(Vec<ParamId>);

impl ModuleVisitor for Vectors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 1 {
            self.0.push(param.id);
        }
    }
}

/// Scales all gradients so that their common Euclidean norm is at most `limit`. Gives the norm before that.
pub fn clip<M: Module>(net: &M, mut grads: GradientsParams, limit: f32) -> (GradientsParams, f32) {
    let mut squares = Squares { grads: &grads, sum: 0.0 };
    net.visit(&mut squares);
    let norm = squares.sum.sqrt() as f32;
    if norm.is_finite() && norm > limit && limit > 0.0 {
        let factor = limit / norm;
        net.visit(&mut Scale { grads: &mut grads, factor });
    }
    (grads, norm)
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.sum += f64::from(grad.square().sum().into_scalar::<f32>());
        }
    }
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    factor: f32,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad.mul_scalar(self.factor));
        }
    }
}
