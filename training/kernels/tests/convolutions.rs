//! The convolutions agree with the plain reference on every instruction set, and their gradients are their adjoints.

mod common;

use common::{assert_close, dot, numbers};
use maskline_kernels::conv_transpose::{self, UpShape};
use maskline_kernels::conv2d::{self, ConvShape};
use maskline_kernels::depthwise::{self, DepthwiseShape};
use maskline_kernels::{Isa, reference};

const DIRTY: f32 = 7.5; // outputs start with it: whoever forgets an element is found out

/// Odd sizes, sizes of one row or column, and sizes of several strips.
fn conv_shapes() -> Vec<ConvShape> {
    let channels = [(3, 5), (1, 1), (17, 11), (24, 24), (5, 3), (33, 9), (40, 16)];
    let sizes = [(1, 7, 9), (2, 1, 1), (1, 1, 40), (3, 21, 1), (2, 11, 15), (1, 70, 53)];
    let mut shapes = Vec::new();
    for (index, (in_channels, out_channels)) in channels.into_iter().enumerate() {
        for (batch, height, width) in sizes.into_iter().skip(index % 2).step_by(1 + index % 2) {
            shapes.extend([1, 3].map(|kernel| ConvShape {
                batch,
                in_channels,
                out_channels,
                height,
                width,
                kernel,
            }));
        }
    }
    shapes
}

#[test]
fn convolution_agrees_with_the_reference() {
    for shape in conv_shapes() {
        let (x, w, b) = (
            numbers(shape.input_len(), 1),
            numbers(shape.weight_len(), 2),
            numbers(shape.out_channels, 3),
        );
        let wanted = reference::conv2d(shape, &x, &w, Some(&b));
        for isa in Isa::available() {
            let mut y = vec![DIRTY; shape.output_len()];
            conv2d::forward(isa, shape, &x, &w, Some(&b), &mut y);
            assert_close(&y, &wanted, 2e-6, (isa, shape));
        }
    }
}

#[test]
fn convolution_gradients_agree_with_unit_vectors() {
    let shape = ConvShape {
        batch: 2,
        in_channels: 3,
        out_channels: 5,
        height: 7,
        width: 9,
        kernel: 3,
    };
    let (x, w, dy) = (
        numbers(shape.input_len(), 1),
        numbers(shape.weight_len(), 2),
        numbers(shape.output_len(), 3),
    );
    let wanted_x = reference::linear_gradient(x.len(), &dy, |x| reference::conv2d(shape, x, &w, None));
    let wanted_w = reference::linear_gradient(w.len(), &dy, |w| reference::conv2d(shape, &x, w, None));
    for isa in Isa::available() {
        let (mut dx, mut dw) = (vec![DIRTY; x.len()], vec![DIRTY; w.len()]);
        conv2d::input_gradient(isa, shape, &dy, &w, &mut dx);
        conv2d::weight_gradient(isa, shape, &x, &dy, &mut dw);
        assert_close(&dx, &wanted_x, 2e-6, (isa, "dx"));
        assert_close(&dw, &wanted_w, 4e-6, (isa, "dw"));
    }
}

#[test]
fn convolution_gradients_are_adjoint() {
    for shape in conv_shapes() {
        let (x, w, dy) = (
            numbers(shape.input_len(), 1),
            numbers(shape.weight_len(), 2),
            numbers(shape.output_len(), 3),
        );
        for isa in Isa::available() {
            let (mut y, mut dx, mut dw) = (vec![DIRTY; dy.len()], vec![DIRTY; x.len()], vec![DIRTY; w.len()]);
            conv2d::forward(isa, shape, &x, &w, None, &mut y);
            conv2d::input_gradient(isa, shape, &dy, &w, &mut dx);
            conv2d::weight_gradient(isa, shape, &x, &dy, &mut dw);
            let size = (dot(&y, &y) * dot(&dy, &dy)).sqrt();
            for (name, product) in [("dx", dot(&x, &dx)), ("dw", dot(&w, &dw))] {
                assert!(
                    (product - dot(&y, &dy)).abs() < 2e-6 * size,
                    "{isa:?} {shape:?}: <y, dy> is {}, {name} gives {product}",
                    dot(&y, &dy)
                );
            }
        }
    }
}

#[test]
fn weight_gradients_do_not_depend_on_the_number_of_threads() {
    let shape = ConvShape {
        batch: 3,
        in_channels: 17,
        out_channels: 11,
        height: 70,
        width: 53,
        kernel: 3,
    };
    let (x, dy) = (numbers(shape.input_len(), 1), numbers(shape.output_len(), 2));
    let run = |threads| {
        let mut dw = vec![DIRTY; shape.weight_len()];
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads can be started");
        pool.install(|| conv2d::weight_gradient(Isa::best(), shape, &x, &dy, &mut dw));
        dw
    };
    assert_eq!(run(1), run(5));
}

#[test]
fn the_bias_gradient_sums_each_channel() {
    let dy = numbers(2 * 3 * 35, 4);
    let wanted: Vec<f32> = (0..3)
        .map(|c| (0..2).flat_map(|n| dy[(n * 3 + c) * 35..][..35].to_vec()).sum())
        .collect();
    for isa in Isa::available() {
        let mut db = vec![DIRTY; 3];
        conv2d::bias_gradient(isa, 2, 35, &dy, &mut db);
        assert_close(&db, &wanted, 1e-6, isa);
    }
}

#[test]
fn transposed_convolution_agrees_with_the_reference_and_its_gradients_are_adjoint() {
    for (batch, in_channels, out_channels, height, width) in [(1, 3, 5, 7, 9), (2, 24, 11, 5, 8), (1, 1, 1, 1, 1), (2, 33, 17, 30, 41)] {
        let shape = UpShape {
            batch,
            in_channels,
            out_channels,
            height,
            width,
        };
        let (x, w, b) = (
            numbers(shape.input_len(), 1),
            numbers(shape.weight_len(), 2),
            numbers(out_channels, 3),
        );
        let dy = numbers(shape.output_len(), 4);
        let wanted = reference::conv_transpose(shape, &x, &w, Some(&b));
        for isa in Isa::available() {
            let (mut y, mut dx, mut dw) = (vec![DIRTY; dy.len()], vec![DIRTY; x.len()], vec![DIRTY; w.len()]);
            conv_transpose::forward(isa, shape, &x, &w, Some(&b), &mut y);
            assert_close(&y, &wanted, 2e-6, (isa, shape));
            conv_transpose::forward(isa, shape, &x, &w, None, &mut y);
            conv_transpose::input_gradient(isa, shape, &dy, &w, &mut dx);
            conv_transpose::weight_gradient(isa, shape, &x, &dy, &mut dw);
            let size = (dot(&y, &y) * dot(&dy, &dy)).sqrt();
            assert!((dot(&x, &dx) - dot(&y, &dy)).abs() < 2e-6 * size, "{isa:?} {shape:?} dx");
            assert!((dot(&w, &dw) - dot(&y, &dy)).abs() < 2e-6 * size, "{isa:?} {shape:?} dw");
        }
    }
}

#[test]
fn transposed_convolution_gradients_agree_with_unit_vectors() {
    let shape = UpShape {
        batch: 2,
        in_channels: 3,
        out_channels: 5,
        height: 3,
        width: 4,
    };
    let (x, w, dy) = (
        numbers(shape.input_len(), 1),
        numbers(shape.weight_len(), 2),
        numbers(shape.output_len(), 3),
    );
    let wanted_x = reference::linear_gradient(x.len(), &dy, |x| reference::conv_transpose(shape, x, &w, None));
    let wanted_w = reference::linear_gradient(w.len(), &dy, |w| reference::conv_transpose(shape, &x, w, None));
    for isa in Isa::available() {
        let (mut dx, mut dw) = (vec![DIRTY; x.len()], vec![DIRTY; w.len()]);
        conv_transpose::input_gradient(isa, shape, &dy, &w, &mut dx);
        conv_transpose::weight_gradient(isa, shape, &x, &dy, &mut dw);
        assert_close(&dx, &wanted_x, 2e-6, (isa, "dx"));
        assert_close(&dw, &wanted_w, 4e-6, (isa, "dw"));
    }
}

/// Depthwise as an ordinary convolution, a channel at a time.
fn depthwise_reference(shape: DepthwiseShape, x: &[f32], w: &[f32], b: &[f32]) -> Vec<f32> {
    let DepthwiseShape {
        batch,
        channels,
        height,
        width,
    } = shape;
    let one = ConvShape {
        batch: 1,
        in_channels: 1,
        out_channels: 1,
        height,
        width,
        kernel: 3,
    };
    (0..batch * channels)
        .flat_map(|p| {
            let c = p % channels;
            reference::conv2d(one, &x[p * height * width..][..height * width], &w[c * 9..][..9], Some(&b[c..=c]))
        })
        .collect()
}

#[test]
fn depthwise_convolution_agrees_with_the_reference_and_its_gradients_are_exact() {
    for (batch, channels, height, width) in [(1, 3, 7, 9), (2, 5, 11, 15), (2, 1, 1, 1), (1, 2, 40, 33), (3, 2, 1, 20)] {
        let shape = DepthwiseShape {
            batch,
            channels,
            height,
            width,
        };
        let (x, w, b, dy) = (
            numbers(shape.len(), 1),
            numbers(channels * 9, 2),
            numbers(channels, 3),
            numbers(shape.len(), 4),
        );
        let zero = vec![0.0; channels];
        let wanted = depthwise_reference(shape, &x, &w, &b);
        let wanted_w = reference::linear_gradient(w.len(), &dy, |w| depthwise_reference(shape, &x, w, &zero));
        for isa in Isa::available() {
            let (mut y, mut dx, mut dw) = (vec![DIRTY; dy.len()], vec![DIRTY; x.len()], vec![DIRTY; w.len()]);
            depthwise::forward(isa, shape, &x, &w, Some(&b), &mut y);
            assert_close(&y, &wanted, 2e-6, (isa, shape));
            depthwise::weight_gradient(isa, shape, &x, &dy, &mut dw);
            assert_close(&dw, &wanted_w, 4e-6, (isa, shape));
            depthwise::forward(isa, shape, &x, &w, None, &mut y);
            depthwise::input_gradient(isa, shape, &dy, &w, &mut dx);
            let size = (dot(&y, &y) * dot(&dy, &dy)).sqrt();
            assert!((dot(&x, &dx) - dot(&y, &dy)).abs() < 2e-6 * size, "{isa:?} {shape:?} dx");
        }
    }
}

#[test]
#[should_panic(expected = "`weight` has 9 elements, its shape wants 18")]
fn a_slice_of_the_wrong_length_is_refused() {
    let shape = ConvShape {
        batch: 1,
        in_channels: 2,
        out_channels: 1,
        height: 2,
        width: 2,
        kernel: 3,
    };
    conv2d::forward(Isa::best(), shape, &[0.0; 8], &[0.0; 9], None, &mut [0.0; 4]);
}
