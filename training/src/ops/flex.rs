//! The kernels of `maskline-kernels` on the tensors of burn's `flex` backend: forward and gradients, without any bookkeeping.

use super::precision::isa;
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Bytes, DType, Shape};
use maskline_kernels::Isa;
use maskline_kernels::batch_norm::{self, NormShape, ParameterGradients, Stats};
use maskline_kernels::conv_transpose::{self, UpShape};
use maskline_kernels::conv2d::{self, ConvShape};
use maskline_kernels::cross_entropy::{self, LossShape};
use maskline_kernels::depthwise::{self, DepthwiseShape};
use maskline_kernels::pool::{self, PoolShape};
use maskline_kernels::residual;
use maskline_kernels::smooth;

/// The operations that have kernels, as burn's dispatch calls them. The public functions of [`super`] say what each does; what is
/// optional there is always present here, because the dispatch knows no optional inputs.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Kernels: Backend {
    /// See [`super::conv2d`].
    fn kernel_conv2d(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`super::depthwise_conv2d`].
    fn kernel_depthwise(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`super::conv_transpose2x2`].
    fn kernel_up(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`super::max_pool2x2`].
    fn kernel_pool(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`super::smooth`].
    fn kernel_smooth(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`super::batch_norm`].
    fn kernel_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// See [`super::add_relu`].
    fn kernel_add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`super::cross_entropy`].
    fn kernel_cross_entropy(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        class_weights: FloatTensor<Self>,
        ignore: Option<u8>,
    ) -> FloatTensor<Self>;
}

impl Kernels for Flex {
    fn kernel_conv2d(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Conv::Full.forward(&dense(x), &dense(weight), &dense(bias))
    }

    fn kernel_depthwise(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Conv::Depthwise.forward(&dense(x), &dense(weight), &dense(bias))
    }

    fn kernel_up(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Conv::Up.forward(&dense(x), &dense(weight), &dense(bias))
    }

    fn kernel_pool(x: FlexTensor) -> FlexTensor {
        max_pool(x).0
    }

    fn kernel_smooth(x: FlexTensor) -> FlexTensor {
        smoothed(x)
    }

    fn kernel_batch_norm(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
        relu: bool,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (y, stats) = batch_norm(&dense(x), &dense(gamma), &dense(beta), epsilon, relu);
        (y, vector(stats.mean), vector(stats.variance))
    }

    fn kernel_add_relu(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        add_relu(a, b)
    }

    fn kernel_cross_entropy(logits: FlexTensor, labels: FlexTensor, class_weights: FlexTensor, ignore: Option<u8>) -> FlexTensor {
        cross_entropy(logits, labels, class_weights, ignore).0
    }
}

/// The three convolutions, which share all but their kernels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Conv {
    Full,
    Depthwise,
    Up,
}

impl Conv {
    /// `x`, `weight` and `bias` must be [`dense`].
    pub(super) fn forward(self, x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> FlexTensor {
        let (isa, bias) = (isa(), Some(floats(bias)));
        match self {
            Self::Full => {
                let shape = conv_shape(x, weight);
                let out = [shape.batch, shape.out_channels, shape.height, shape.width];
                filled(out, |y| conv2d::forward(isa, shape, floats(x), floats(weight), bias, y))
            }
            Self::Depthwise => filled(x.shape(), |y| {
                depthwise::forward(isa, depthwise_shape(x), floats(x), floats(weight), bias, y)
            }),
            Self::Up => {
                let shape = up_shape(x, weight);
                let out = [shape.batch, shape.out_channels, 2 * shape.height, 2 * shape.width];
                filled(out, |y| conv_transpose::forward(isa, shape, floats(x), floats(weight), bias, y))
            }
        }
    }

    /// The gradient of `x`; all must be [`dense`].
    pub(super) fn input_gradient(self, x: &FlexTensor, weight: &FlexTensor, dy: &FlexTensor) -> FlexTensor {
        let isa = isa();
        filled(x.shape(), |dx| match self {
            Self::Full => conv2d::input_gradient(isa, conv_shape(x, weight), floats(dy), floats(weight), dx),
            Self::Depthwise => depthwise::input_gradient(isa, depthwise_shape(x), floats(dy), floats(weight), dx),
            Self::Up => conv_transpose::input_gradient(isa, up_shape(x, weight), floats(dy), floats(weight), dx),
        })
    }

    /// The gradient of `weight`; all must be [`dense`].
    pub(super) fn weight_gradient(self, x: &FlexTensor, weight: &FlexTensor, dy: &FlexTensor) -> FlexTensor {
        let isa = isa();
        filled(weight.shape(), |dw| match self {
            Self::Full => conv2d::weight_gradient(isa, conv_shape(x, weight), floats(x), floats(dy), dw),
            Self::Depthwise => depthwise::weight_gradient(isa, depthwise_shape(x), floats(x), floats(dy), dw),
            Self::Up => conv_transpose::weight_gradient(isa, up_shape(x, weight), floats(x), floats(dy), dw),
        })
    }
}

/// The gradient of a bias: the sum of each channel of the dense `dy`.
pub(super) fn bias_gradient(dy: &FlexTensor) -> FlexTensor {
    let [batch, channels, h, w] = dy.shape().dims();
    filled([channels], |db| conv2d::bias_gradient(Isa::best(), batch, h * w, floats(dy), db))
}

/// The maxima, and which corner each came from.
pub(super) fn max_pool(x: FlexTensor) -> (FlexTensor, Vec<u8>) {
    let x = dense(x);
    let [n, c, height, width] = x.shape().dims();
    let shape = PoolShape {
        planes: n * c,
        height,
        width,
    };
    let mut corner = vec![0; shape.output_len()];
    let y = filled([n, c, height / 2, width / 2], |y| {
        pool::forward(Isa::best(), shape, floats(&x), y, &mut corner);
    });
    (y, corner)
}

/// The gradient of an input of `dims` from that of its maxima.
pub(super) fn max_pool_gradient(dims: [usize; 4], corner: &[u8], dy: FlexTensor) -> FlexTensor {
    let [n, c, height, width] = dims;
    let shape = PoolShape {
        planes: n * c,
        height,
        width,
    };
    filled(dims, |dx| pool::backward(Isa::best(), shape, floats(&dense(dy)), corner, dx))
}

/// Means of neighbours; of the gradient, the gradient.
pub(super) fn smoothed(x: FlexTensor) -> FlexTensor {
    let x = dense(x);
    let [_, _, height, width] = x.shape().dims();
    filled(x.shape(), |y| smooth::smooth(Isa::best(), [height, width], floats(&x), y))
}

fn norm_shape(x: &FlexTensor, relu: bool) -> NormShape {
    let [batch, channels, h, w] = x.shape().dims();
    NormShape {
        batch,
        channels,
        plane: h * w,
        relu,
    }
}

/// All must be [`dense`].
pub(super) fn batch_norm(x: &FlexTensor, gamma: &FlexTensor, beta: &FlexTensor, epsilon: f64, relu: bool) -> (FlexTensor, Stats) {
    let (shape, mut stats) = (norm_shape(x, relu), None);
    let y = filled(x.shape(), |y| {
        stats = Some(batch_norm::forward(
            Isa::best(),
            shape,
            floats(x),
            floats(gamma),
            floats(beta),
            epsilon as f32,
            y,
        ));
    });
    (y, stats.expect("`filled` calls its closure"))
}

/// All must be [`dense`].
pub(super) fn batch_norm_gradient(
    x: &FlexTensor,
    gamma: &FlexTensor,
    beta: &FlexTensor,
    stats: &Stats,
    relu: bool,
    dy: &FlexTensor,
) -> (FlexTensor, ParameterGradients) {
    let (shape, mut parameters) = (norm_shape(x, relu), None);
    let dx = filled(x.shape(), |dx| {
        parameters = Some(batch_norm::backward(
            Isa::best(),
            shape,
            floats(x),
            floats(gamma),
            floats(beta),
            stats,
            floats(dy),
            dx,
        ));
    });
    (dx, parameters.expect("`filled` calls its closure"))
}

/// The rectified sum of two tensors of one shape.
pub(super) fn add_relu(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    let (a, b) = (dense(a), dense(b));
    filled(a.shape(), |y| residual::forward(Isa::best(), floats(&a), floats(&b), y))
}

/// The gradient of either tensor from the sum and its gradient.
pub(super) fn add_relu_gradient(y: &FlexTensor, dy: &FlexTensor) -> FlexTensor {
    filled(y.shape(), |dx| residual::backward(Isa::best(), floats(y), floats(dy), dx))
}

/// The loss `[1]` and its gradient by the logits.
pub(super) fn cross_entropy(
    logits: FlexTensor,
    labels: FlexTensor,
    class_weights: FlexTensor,
    ignore: Option<u8>,
) -> (FlexTensor, FlexTensor) {
    let (logits, labels, class_weights) = (dense(logits), labels.to_contiguous(), dense(class_weights));
    let [batch, classes, h, w] = logits.shape().dims();
    let shape = LossShape {
        batch,
        classes,
        plane: h * w,
    };
    let weights = Some(floats(&class_weights));
    let mut loss = 0.0;
    let gradient = filled([batch, classes, h, w], |g| {
        const DENSE: &str = "the type was just matched and the tensor made dense";
        let (isa, x) = (Isa::best(), floats(&logits));
        loss = match labels.dtype() {
            DType::I64 => cross_entropy::value_and_gradient(isa, shape, x, labels.as_slice::<i64>().expect(DENSE), weights, ignore, g),
            DType::I32 => cross_entropy::value_and_gradient(isa, shape, x, labels.as_slice::<i32>().expect(DENSE), weights, ignore, g),
            DType::U8 => cross_entropy::value_and_gradient(isa, shape, x, labels.as_slice::<u8>().expect(DENSE), weights, ignore, g),
            other => panic!("labels are {other:?}, wanted one of I64, I32 and U8: convert them before the loss"),
        };
    });
    (vector(vec![loss]), gradient)
}

/// The same values in order and without gaps.
pub(super) fn dense(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// A tensor of one axis.
pub(super) fn vector(values: Vec<f32>) -> FlexTensor {
    let shape = Shape::new([values.len()]);
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("callers check for f32 and make tensors dense")
}

/// A new tensor that `fill` writes all of.
fn filled(shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values);
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

fn conv_shape(x: &FlexTensor, weight: &FlexTensor) -> ConvShape {
    let ([batch, in_channels, height, width], [out_channels, _, kernel, _]) = (x.shape().dims(), weight.shape().dims());
    ConvShape {
        batch,
        in_channels,
        out_channels,
        height,
        width,
        kernel,
    }
}

fn depthwise_shape(x: &FlexTensor) -> DepthwiseShape {
    let [batch, channels, height, width] = x.shape().dims();
    DepthwiseShape {
        batch,
        channels,
        height,
        width,
    }
}

fn up_shape(x: &FlexTensor, weight: &FlexTensor) -> UpShape {
    let ([batch, in_channels, height, width], [_, out_channels, _, _]) = (x.shape().dims(), weight.shape().dims());
    UpShape {
        batch,
        in_channels,
        out_channels,
        height,
        width,
    }
}
