//! Which places speak for a class.

use super::{Grid, floats, said};
use crate::nets::Watch;
use anyhow::{Result, anyhow};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};

/// A forward pass that can be watched.
pub type Forward<'a> = dyn Fn(Tensor<4>, &mut dyn Watch) -> Tensor<4> + 'a;

/// Of which pixels the class score was explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speakers {
    /// The one that was asked for.
    Point,
    /// Those that are of the class in the net's own words.
    Predicted,
    /// All, because the net gave the class to none.
    Everywhere,
}

/// Gradient-weighted class activation mapping (Selvaraju et al. 2017), for segmentation (Vinogradova et al. 2020): the features of
/// `layer`, each channel weighed with the mean gradient of the class score by it, summed up; what speaks against the class is 0.
/// The score is the sum over the pixels of `Speakers`. `images` are `[1, 3, h, w]` on a device with gradients, `point` is a column
/// and a row of them; the grid is the layer's.
///
/// # Errors
/// If the net has no such layer.
pub fn grad_cam(
    forward: &Forward<'_>,
    images: Tensor<4>,
    class: usize,
    point: Option<(usize, usize)>,
    layer: &str,
) -> Result<(Grid, Speakers)> {
    let device = images.device();
    let mut cut = Cut { layer, leaf: None };
    let scores = forward(images, &mut cut);
    let [_, _, h, w] = scores.dims();
    let leaf = cut.leaf.ok_or_else(|| anyhow!("there is no layer {layer:?}"))?;
    let map = said(&scores)?;
    let (speakers, mask): (_, Vec<f32>) = match point {
        Some((x, y)) => (
            Speakers::Point,
            (0..h * w).map(|i| if i == y * w + x { 1.0 } else { 0.0 }).collect(),
        ),
        None if map.iter().any(|id| usize::from(*id) == class) => (
            Speakers::Predicted,
            map.iter().map(|id| if usize::from(*id) == class { 1.0 } else { 0.0 }).collect(),
        ),
        None => (Speakers::Everywhere, vec![1.0; h * w]),
    };
    let mask = Tensor::<4>::from_data(TensorData::new(mask, [1, 1, h, w]), &device);
    let score = (scores.narrow(1, class, 1) * mask).sum();
    let gradients = score.backward();
    let gradient = leaf
        .grad(&gradients)
        .ok_or_else(|| anyhow!("no score depends on the layer {layer}"))?;
    let features = leaf.inner(); // [1, c, rows, columns]
    let weights = gradient.mean_dim(3).mean_dim(2); // [1, c, 1, 1]
    let heat = relu((features * weights).sum_dim(1)); // [1, 1, rows, columns]
    let [_, _, rows, columns] = heat.dims();
    let values = floats(heat)?;
    Ok((Grid { rows, columns, values }, speakers))
}

/// Makes what one layer gives the start of all gradients.
struct Cut<'a> {
    layer: &'a str,
    leaf: Option<Tensor<4>>,
}

impl Watch for Cut<'_> {
    fn features(&mut self, layer: &str, x: Tensor<4>) -> Tensor<4> {
        if layer != self.layer {
            return x;
        }
        let leaf = x.detach().require_grad();
        self.leaf = Some(leaf.clone());
        leaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{Kind, NetConfig};
    use burn::module::Module;
    use burn::tensor::{Device, Distribution};

    /// A net of one layer, its input: class 0 is twice the green plane minus the red one, class 1 is 1 everywhere.
    fn green(x: Tensor<4>, watch: &mut dyn Watch) -> Tensor<4> {
        let x = watch.features("input", x);
        let score = x.clone().narrow(1, 1, 1) * 2.0 - x.narrow(1, 0, 1);
        Tensor::cat(vec![score.clone(), score.zeros_like() + 1.0], 1)
    }

    #[test]
    fn a_net_that_looks_at_one_channel_is_explained_by_that_channel() {
        let device = Device::flex().autodiff();
        let planes = [[0.5, 0.0, 0.25, 0.0], [1.0, 0.75, 0.1, 0.0], [9.0, 9.0, 9.0, 9.0]].concat();
        let picture = || Tensor::<4>::from_data(TensorData::new(planes.clone(), [1, 3, 2, 2]), &device);
        let cam = |class, point| grad_cam(&green, picture(), class, point, "input").unwrap();
        // scores 1.5, 1.5, -0.05, 0: the upper two pixels say class 0, so the mean gradients are -2/4, 4/4 and 0
        let (grid, speakers) = cam(0, None);
        assert_eq!((grid.rows, grid.columns, speakers), (2, 2, Speakers::Predicted));
        let close = |found: &[f32], wanted: [f32; 4]| found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(&grid.values, [0.75, 0.75, 0.0, 0.0]), "{grid:?}");
        // one pixel: half of the gradients
        let (grid, speakers) = cam(0, Some((1, 0)));
        assert!(
            speakers == Speakers::Point && close(&grid.values, [0.375, 0.375, 0.0, 0.0]),
            "{grid:?}"
        );
        let dark = Tensor::<4>::zeros([1, 3, 2, 2], &device);
        assert_eq!(grad_cam(&green, dark, 0, None, "input").unwrap().1, Speakers::Everywhere);
        assert!(grad_cam(&green, picture(), 0, None, "output").is_err());
    }

    #[test]
    fn every_net_can_be_asked_at_every_layer() {
        let device = Device::flex().autodiff();
        for kind in Kind::ALL {
            let config = match kind {
                Kind::Segformer => NetConfig {
                    widths: vec![8, 8, 16],
                    depths: vec![1; 3],
                    heads: 2,
                    attention_levels: 2,
                    ..NetConfig::new(kind)
                },
                Kind::Fcn => NetConfig {
                    widths: vec![4, 6, 8, 8],
                    depths: vec![1; 4],
                    ..NetConfig::new(kind)
                },
                _ => NetConfig {
                    widths: vec![4, 6, 8],
                    depths: if kind == Kind::Fpn { vec![1; 3] } else { Vec::new() },
                    ..NetConfig::new(kind)
                },
            };
            let net = config.init(3, &device).freeze();
            let images = Tensor::<4>::random([1, 3, 16, 24], Distribution::Default, &device);
            let mut look = super::super::Look::default();
            net.forward_watched(images.clone(), &mut look);
            let wanted = if kind == Kind::Fcn { 4 } else { 5 }; // three levels down, two up or one behind
            assert_eq!(look.layers.len(), wanted, "{kind:?}");
            for layer in &look.layers {
                let (grid, _) = grad_cam(&|x, watch| net.forward_watched(x, watch), images.clone(), 1, None, &layer.name).unwrap();
                assert_eq!([grid.rows, grid.columns], layer.grid, "{kind:?} {}", layer.name);
                assert!(grid.values.iter().all(|v| *v >= 0.0 && v.is_finite()));
            }
        }
    }
}
