//! Memory across frames: a convolutional gated recurrent unit.

use super::NetConfig;
use super::layers::Conv;
use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

/// Kernel of its convolutions.
const KERNEL: usize = 3;

/// A ConvGRU (Ballas et al. 2016, eq. 7-10; in segmentation Siam et al. 2017) beside a level's features, to which it adds what it
/// remembers:
///
/// ```text
/// r, z = sigmoid(gates * [x, h])              reset and update
/// c    = tanh(candidate * [x, r h])
/// h'   = (1 - z) h + z c
/// y    = x + output * h'
/// ```
///
/// `output` begins with zeros (as the last layer of a residual branch in Goyal et al. 2017), so that a new one changes nothing: a
/// net that learned from single frames goes on from what it knows.
#[derive(Module, Debug)]
pub(super) struct ConvGru {
    gates: Conv,
    candidate: Conv,
    output: Conv,
    memory: usize,
}

impl ConvGru {
    /// The memory of a net's coarsest level, where its configuration has one.
    pub(super) fn of(config: &NetConfig, device: &Device) -> Option<Self> {
        let coarsest = config.widths[config.widths.len() - 1];
        (config.memory > 0).then(|| Self::new(coarsest, config.memory, device))
    }

    /// For features of so many channels, with a state of `memory` channels.
    pub(super) fn new(channels: usize, memory: usize, device: &Device) -> Self {
        let both = channels + memory;
        Self {
            gates: Conv::new([both, 2 * memory], KERNEL, 1.0, true, device),
            candidate: Conv::new([both, memory], KERNEL, 1.0, true, device),
            output: Conv::new([memory, channels], 1, 0.0, true, device),
            memory,
        }
    }

    /// Features `[n, c, h, w]` and the state `[n, memory, h, w]` that the frame before left (zeros where there is none) to the
    /// features and the state for the next frame.
    pub(super) fn forward(&self, x: Tensor<4>, state: Option<Tensor<4>>) -> (Tensor<4>, Tensor<4>) {
        let [n, _, h, w] = x.dims();
        let state = state.unwrap_or_else(|| Tensor::zeros([n, self.memory, h, w], &x.device()));
        let gates = sigmoid(self.gates.forward(Tensor::cat(vec![x.clone(), state.clone()], 1)));
        let reset = gates.clone().narrow(1, 0, self.memory);
        let update = gates.narrow(1, self.memory, self.memory);
        let candidate = self
            .candidate
            .forward(Tensor::cat(vec![x.clone(), reset * state.clone()], 1))
            .tanh();
        let next = state.clone() + update * (candidate - state); // (1 - z) h + z c
        (x + self.output.forward(next.clone()), next)
    }
}

/// [`ConvGru::forward`] where there is a memory, and the features as they are where there is none.
pub(super) fn recall(memory: Option<&ConvGru>, x: Tensor<4>, state: Option<Tensor<4>>) -> (Tensor<4>, Option<Tensor<4>>) {
    match memory {
        None => (x, None),
        Some(memory) => {
            let (x, next) = memory.forward(x, state);
            (x, Some(next))
        }
    }
}

/// Trainable numbers that are used once for each pixel of the level, and biases.
pub(super) fn cost(channels: usize, memory: usize) -> (usize, usize) {
    let weights = KERNEL * KERNEL * (channels + memory) * 3 * memory + memory * channels;
    (weights, 3 * memory + channels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::choose;
    use crate::weights::Weights;
    use burn::module::{ModuleMapper, Param};
    use burn::tensor::Distribution;

    /// Gives every tensor random values.
    struct Shake;

    impl ModuleMapper for Shake {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|t| t.random_like(Distribution::Uniform(-0.5, 0.5)))
        }
    }

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_into_vec().unwrap()
    }

    fn random(shape: [usize; 4], device: &Device) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
    }

    #[test]
    fn a_new_one_changes_nothing_and_remembers_all_the_same() {
        let device = choose("cpu").unwrap();
        let gru = ConvGru::new(3, 2, &device);
        let x = random([2, 3, 4, 5], &device);
        let (y, state) = gru.forward(x.clone(), None);
        assert_eq!(values(y), values(x.clone()));
        assert_eq!(state.dims(), [2, 2, 4, 5]);
        assert!(values(state.clone()).iter().any(|v| v.abs() > 1e-3));
        let (y, next) = gru.forward(x.clone(), Some(state.clone()));
        assert_eq!(values(y), values(x));
        assert_ne!(values(next), values(state));
    }

    /// One number of a 3x3 convolution over channels of `planes`, with zeros around them; `weight` is `[out, in, 3, 3]`.
    fn convolved(planes: &[Vec<f64>], (h, w): (usize, usize), weight: &[f32], bias: &[f32], out: usize, (y, x): (usize, usize)) -> f64 {
        let mut sum = f64::from(bias[out]);
        for (channel, plane) in planes.iter().enumerate() {
            for (tap, weight) in weight[(out * planes.len() + channel) * 9..][..9].iter().enumerate() {
                let (row, column) = (y + tap / 3, x + tap % 3); // one more than the pixel's
                if (1..=h).contains(&row) && (1..=w).contains(&column) {
                    sum += f64::from(*weight) * plane[(row - 1) * w + column - 1];
                }
            }
        }
        sum
    }

    #[test]
    fn it_agrees_with_its_formula_over_three_frames() {
        let device = choose("cpu").unwrap();
        let (c, m, h, w) = (3, 2, 4, 5);
        let gru = ConvGru::new(c, m, &device).map(&mut Shake);
        let weights = Weights::of(&gru).values();
        let of = |name: &str| &weights[name][..];
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let planes =
            |values: &[f32]| -> Vec<Vec<f64>> { values.chunks(h * w).map(|p| p.iter().map(|v| f64::from(*v)).collect()).collect() };
        let pixels: Vec<_> = (0..h).flat_map(|y| (0..w).map(move |x| (y, x))).collect();
        let mut memory = vec![vec![0.0; h * w]; m];
        let mut state = None;
        for _ in 0..3 {
            let x = random([1, c, h, w], &device);
            let (y, next) = gru.forward(x.clone(), state);
            let (y, found) = (values(y), values(next.clone()));
            state = Some(next);

            let x = planes(&values(x));
            let seen = [x.clone(), memory.clone()].concat();
            let conv = |planes: &[Vec<f64>], layer: &str, out: usize| -> Vec<f64> {
                let (weight, bias) = (of(&format!("{layer}.weight")), of(&format!("{layer}.bias")));
                pixels.iter().map(|at| convolved(planes, (h, w), weight, bias, out, *at)).collect()
            };
            let gate = |out: usize| -> Vec<f64> { conv(&seen, "gates", out).into_iter().map(sigmoid).collect() };
            let kept: Vec<Vec<f64>> = (0..m)
                .map(|k| gate(k).iter().zip(&memory[k]).map(|(r, h)| r * h).collect())
                .collect();
            let seen_again = [x.clone(), kept].concat();
            memory = (0..m)
                .map(|k| {
                    let (z, c) = (gate(m + k), conv(&seen_again, "candidate", k));
                    (0..h * w).map(|i| (1.0 - z[i]) * memory[k][i] + z[i] * c[i].tanh()).collect()
                })
                .collect();
            let wanted_y = (0..c).flat_map(|out| {
                let (weight, bias) = (of("output.weight"), of("output.bias"));
                let added =
                    (0..h * w).map(|i| (0..m).map(|k| f64::from(weight[out * m + k]) * memory[k][i]).sum::<f64>() + f64::from(bias[out]));
                added.zip(&x[out]).map(|(a, x)| a + x).collect::<Vec<_>>()
            });
            for (a, b) in y.iter().zip(wanted_y).chain(found.iter().zip(memory.concat())) {
                assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    #[test]
    fn the_gradient_of_the_last_frame_reaches_the_first_and_is_that_of_finite_differences() {
        let device = choose("cpu").unwrap();
        let gru = ConvGru::new(2, 2, &device).map(&mut Shake);
        let frames: Vec<_> = (0..3).map(|_| random([1, 2, 3, 3], &device)).collect();
        let loss = |gru: &ConvGru, frames: &[Tensor<4>]| {
            let mut state = None;
            let mut last = None;
            for frame in frames {
                let (y, next) = gru.forward(frame.clone(), state);
                (last, state) = (Some(y), Some(next));
            }
            last.unwrap().powi_scalar(2).sum()
        };
        let training = device.clone().autodiff();
        let first = Tensor::<4>::from_inner(frames[0].clone()).require_grad();
        let mut traced: Vec<_> = frames.iter().map(|f| Tensor::from_inner(f.clone())).collect();
        traced[0] = first.clone();
        let gradients = loss(&gru.clone().to_device(&training).train(), &traced).backward();
        let found = values(first.grad(&gradients).unwrap());
        let step = 1e-2;
        for at in [0, 4, 17] {
            let moved = |by: f32| {
                let mut shifted = values(frames[0].clone());
                shifted[at] += by;
                let mut frames = frames.clone();
                frames[0] = Tensor::from_data(burn::tensor::TensorData::new(shifted, [1, 2, 3, 3]), &device);
                loss(&gru, &frames).into_scalar::<f32>()
            };
            let wanted = (moved(step) - moved(-step)) / (2.0 * step);
            assert!(
                (found[at] - wanted).abs() < 0.02 * (1.0 + wanted.abs()),
                "{at}: {} {wanted}",
                found[at]
            );
        }
    }
}
