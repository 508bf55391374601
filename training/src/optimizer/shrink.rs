//! L1 regularisation: weights that learning does not hold up become exactly 0.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

/// Moves every weight (not norms and biases, which are vectors) towards 0 by `step`, and no further: the proximal step of the L1 norm
/// (FOBOS, Duchi and Singer 2009). Behind the optimiser's own step, so that no adaptive rate rescales it.
pub fn shrink<M: Module>(net: M, step: f32) -> M {
    net.map(&mut Shrink(step))
}

struct Shrink(f32);

impl ModuleMapper for Shrink {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D == 1 {
            return param;
        }
        let (id, old, mapper) = param.consume();
        let (autodiff, learns) = (old.is_autodiff(), old.is_require_grad());
        let old = old.without_autodiff();
        let mut new = old.clone().sign() * old.abs().sub_scalar(self.0).clamp_min(0.0);
        if autodiff {
            new = Tensor::from_inner(new).set_require_grad(learns);
        }
        Param::from_mapped_value(id, new, mapper)
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
        let after = Weights::of(&shrink(net, 0.05).valid()).values();
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
}
