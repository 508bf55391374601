//! The few tensor operations that a segmentation net spends its time in. On the CPU backend they run the kernels of
//! `maskline-kernels`, if the CPU has the vector units for them; everywhere else they are burn's own operations, so that whoever
//! records a graph sees only those.

mod flex;
mod gradients;
mod precision;
mod stock;
#[cfg(test)]
mod tests;

use burn::backend::{Dispatch, DispatchDevice, DispatchTensor};
use burn::tensor::{DType, Int, Tensor};
use flex::Kernels;
use maskline_kernels::Isa;

pub use precision::Precision;

/// True if the kernels can take `x` and are faster than burn's own operation.
fn has_kernels<const D: usize>(x: &Tensor<D>) -> bool {
    let device = x.device().without_autodiff();
    Isa::best().is_fast() && x.dtype() == DType::F32 && matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// `vector`, or `len` times `value` where there is none, on the device of `like`.
fn or_fill(vector: Option<Tensor<1>>, len: usize, value: f32, like: &Tensor<4>) -> DispatchTensor {
    vector.unwrap_or_else(|| Tensor::full([len], value, &like.device())).into_dispatch()
}

/// Convolution with stride 1 that keeps height and width.
///
/// `x` is `[n, in, h, w]`, `weight` `[out, in, k, k]` with `k` 1 or 3, `bias` `[out]`; the result is `[n, out, h, w]`.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    if has_kernels(&x) {
        let bias = or_fill(bias, weight.dims()[0], 0.0, &x);
        return Tensor::from_dispatch(Dispatch::kernel_conv2d(x.into_dispatch(), weight.into_dispatch(), bias));
    }
    stock::conv2d(x, weight, bias)
}

/// 3x3 convolution of each channel on its own, stride 1, that keeps height and width.
///
/// `x` is `[n, c, h, w]`, `weight` `[c, 1, 3, 3]`, `bias` `[c]`; the result is `[n, c, h, w]`.
pub fn depthwise_conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    if has_kernels(&x) {
        let bias = or_fill(bias, weight.dims()[0], 0.0, &x);
        return Tensor::from_dispatch(Dispatch::kernel_depthwise(x.into_dispatch(), weight.into_dispatch(), bias));
    }
    stock::depthwise_conv2d(x, weight, bias)
}

/// Transposed convolution that doubles height and width; its 2x2 patches do not overlap.
///
/// `x` is `[n, in, h, w]`, `weight` `[in, out, 2, 2]`, `bias` `[out]`; the result is `[n, out, 2h, 2w]`.
pub fn conv_transpose2x2(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    if has_kernels(&x) {
        let bias = or_fill(bias, weight.dims()[1], 0.0, &x);
        return Tensor::from_dispatch(Dispatch::kernel_up(x.into_dispatch(), weight.into_dispatch(), bias));
    }
    stock::conv_transpose2x2(x, weight, bias)
}

/// Batch normalisation with the statistics of this batch (Ioffe and Szegedy 2015), then ReLU if `relu`.
///
/// `x` is `[n, c, h, w]`, `gamma` and `beta` `[c]`. Gives the result, and the batch's mean and biased variance `[c]`, which
/// carry no gradient.
pub fn batch_norm(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64, relu: bool) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    if has_kernels(&x) {
        let (y, mean, variance) = Dispatch::kernel_batch_norm(x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch(), eps, relu);
        return (
            Tensor::from_dispatch(y),
            Tensor::from_dispatch(mean),
            Tensor::from_dispatch(variance),
        );
    }
    stock::batch_norm(x, gamma, beta, eps, relu)
}

/// ReLU of a sum, the end of a residual block (He et al. 2016): `a` and `b` are `[n, c, h, w]`, and so is the result.
pub fn add_relu(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    if has_kernels(&a) && a.dims() == b.dims() {
        return Tensor::from_dispatch(Dispatch::kernel_add_relu(a.into_dispatch(), b.into_dispatch()));
    }
    stock::add_relu(a, b)
}

/// The largest of each 2x2 patch: `[n, c, h, w]` to `[n, c, h/2, w/2]`.
pub fn max_pool2x2(x: Tensor<4>) -> Tensor<4> {
    if has_kernels(&x) {
        return Tensor::from_dispatch(Dispatch::kernel_pool(x.into_dispatch()));
    }
    stock::max_pool2x2(x)
}

/// Each pixel of `[n, c, h, w]` with a quarter of both its neighbours and half of itself, along rows and along columns; the pixels at
/// the edge are repeated beyond it.
pub fn smooth(x: Tensor<4>) -> Tensor<4> {
    if has_kernels(&x) {
        return Tensor::from_dispatch(Dispatch::kernel_smooth(x.into_dispatch()));
    }
    stock::smooth(x)
}

/// Weighted cross-entropy, `sum(w * nll) / sum(w)` over all pixels whose label is not `ignore`; 0 where there is none.
///
/// `logits` is `[n, c, h, w]`, `labels` `[n, h, w]` with values below `c` or equal to `ignore`, `class_weights` `[c]` (1
/// where missing). The result has one element.
pub fn cross_entropy(logits: Tensor<4>, labels: Tensor<3, Int>, class_weights: Option<Tensor<1>>, ignore: Option<u8>) -> Tensor<1> {
    if has_kernels(&logits) {
        let weights = or_fill(class_weights, logits.dims()[1], 1.0, &logits);
        return Tensor::from_dispatch(Dispatch::kernel_cross_entropy(
            logits.into_dispatch(),
            labels.into_dispatch(),
            weights,
            ignore,
        ));
    }
    stock::cross_entropy(logits, labels, class_weights, ignore)
}
