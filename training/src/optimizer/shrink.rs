//! L1 regularisation: weights that learning does not hold up become exactly 0.

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

/// Moves every weight that learns (not norms and biases, which are vectors) towards 0 by `l1` times its rate, and no further: the
/// proximal step of the L1 norm (FOBOS, Duchi and Singer 2009). Behind the optimiser's own step, so that no adaptive rate rescales it.
pub fn shrink<M: Module>(net: M, l1: f32, rates: ModuleLearningRate) -> M {
    net.map(&mut Shrink {
        l1,
        rates,
        path: Vec::new(),
    })
}

struct Shrink {
    l1: f32,
    rates: ModuleLearningRate,
    path: Vec<String>,
}

impl ModuleMapper for Shrink {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D == 1 || !param.is_require_grad() {
            return param;
        }
        let (id, old, mapper) = param.consume();
        let step = self.l1 * self.rates.lr_from_param(id, Some(&self.path.join("."))) as f32;
        let old = old.without_autodiff();
        let new = old.clone().sign() * old.abs().sub_scalar(step).clamp_min(0.0);
        Param::from_mapped_value(id, Tensor::from_inner(new).require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{Kind, NetConfig};
    use crate::weights::Weights;
    use burn::tensor::Device;

    #[test]
    fn weights_shrink_by_the_step_to_zero_and_vectors_stay() {
        let config = NetConfig {
            widths: vec![4, 6],
            ..NetConfig::new(Kind::Unet)
        };
        let net = config.init(3, &Device::flex().autodiff());
        let before = Weights::of(&net.valid()).values();
        let after = Weights::of(&shrink(net, 0.5, 0.1.into()).valid()).values();
        let mut zeros = 0;
        for (path, old) in &before {
            let vector = old.len() <= 6;
            for (old, new) in old.iter().zip(&after[path]) {
                let wanted = if vector { *old } else { old.signum() * (old.abs() - 0.05).max(0.0) };
                assert!((new - wanted).abs() < 1e-7, "{path}: {old} {new}");
                zeros += usize::from(!vector && *new == 0.0);
            }
        }
        assert!(zeros > 10);
    }

    #[test]
    fn what_is_frozen_does_not_shrink() {
        let config = NetConfig {
            widths: vec![4, 6],
            ..NetConfig::new(Kind::Unet)
        };
        let net = config.init(3, &Device::flex().autodiff()).freeze();
        let before = Weights::of(&net.valid()).values();
        assert_eq!(Weights::of(&shrink(net, 0.5, 0.1.into()).valid()).values(), before);
    }
}
