//! The same operations from burn's own: for other devices, for CPUs without wide vectors, and for whoever records a graph.

use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use burn::tensor::{Int, Tensor, module};

/// See [`super::conv2d`].
pub(super) fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let pad = weight.dims()[2] / 2;
    module::conv2d(x, weight, bias, ConvOptions::new([1, 1], [pad, pad], [1, 1], 1))
}

/// See [`super::depthwise_conv2d`].
pub(super) fn depthwise_conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let groups = weight.dims()[0];
    module::conv2d(x, weight, bias, ConvOptions::new([1, 1], [1, 1], [1, 1], groups))
}

/// See [`super::conv_transpose2x2`].
pub(super) fn conv_transpose2x2(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    module::conv_transpose2d(x, weight, bias, ConvTransposeOptions::new([2, 2], [0, 0], [0, 0], [1, 1], 1))
}

/// See [`super::batch_norm`].
pub(super) fn batch_norm(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64, rectify: bool) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let normal = module::batch_norm_train(x, gamma, beta, eps);
    let y = if rectify { relu(normal.output) } else { normal.output };
    (y, normal.mean, normal.variance)
}

/// See [`super::add_relu`].
pub(super) fn add_relu(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    relu(a + b)
}

/// See [`super::max_pool2x2`].
pub(super) fn max_pool2x2(x: Tensor<4>) -> Tensor<4> {
    module::max_pool2d(x, MaxPoolOptions::new([2, 2]))
}

/// See [`super::smooth`]: two means of 2x2 pixels, one after the other, of which the first begins a pixel before the picture.
pub(super) fn smooth(x: Tensor<4>) -> Tensor<4> {
    let mean = AvgPoolOptions::new([2, 2]).with_stride([1, 1]).with_count_include_pad(false);
    let between = module::avg_pool2d(x, mean.clone().with_padding([1, 1])); // [n, c, h+1, w+1]
    module::avg_pool2d(between, mean)
}

/// See [`super::cross_entropy`].
pub(super) fn cross_entropy(logits: Tensor<4>, labels: Tensor<3, Int>, class_weights: Option<Tensor<1>>, ignore: Option<u8>) -> Tensor<1> {
    let [n, _, h, w] = logits.dims();
    let pixels = n * h * w;
    let ignored = ignore.map(|id| labels.clone().equal_elem(i64::from(id)));
    let labels = match &ignored {
        Some(mask) => labels.mask_fill(mask.clone(), 0), // any class: its weight becomes 0 below
        None => labels,
    };
    let nll = log_softmax(logits, 1)
        .gather(1, labels.clone().reshape([n, 1, h, w]))
        .reshape([pixels])
        .neg();
    let weights = match class_weights {
        Some(weights) => weights.gather(0, labels.reshape([pixels])),
        None => Tensor::ones([pixels], &nll.device()),
    };
    let weights = match ignored {
        Some(mask) => weights.mask_fill(mask.reshape([pixels]), 0.0),
        None => weights,
    };
    (nll * weights.clone()).sum() / weights.sum().clamp_min(f32::MIN_POSITIVE)
}
