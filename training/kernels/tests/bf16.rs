//! Convolutions that multiply bf16 agree with the plain reference on rounded numbers. Where the CPU cannot multiply bf16 there is nothing
//! to test.

mod common;

use common::{assert_close, numbers};
use maskline_kernels::conv_transpose::{self, UpShape};
use maskline_kernels::conv2d::{self, ConvShape};
use maskline_kernels::{Isa, reference};

const DIRTY: f32 = 7.5; // outputs start with it: whoever forgets an element is found out

/// The nearest number with 8 bits of precision.
fn rounded(x: f32) -> f32 {
    if x == 0.0 {
        return 0.0;
    }
    let step = 2f32.powi(x.abs().log2().floor() as i32 - 7);
    (x / step).round_ties_even() * step
}

fn rounded_numbers(len: usize, seed: u32) -> Vec<f32> {
    numbers(len, seed).into_iter().map(rounded).collect()
}

/// Odd channels and sizes, one row, one column, and more than one strip.
fn shapes() -> impl Iterator<Item = ConvShape> {
    let channels = [(3, 5), (1, 1), (17, 11), (24, 24), (40, 16)];
    let sizes = [(1, 7, 9), (2, 1, 40), (3, 21, 1), (1, 70, 53)];
    channels.into_iter().flat_map(move |(in_channels, out_channels)| {
        sizes.into_iter().flat_map(move |(batch, height, width)| {
            [1, 3].map(|kernel| ConvShape {
                batch,
                in_channels,
                out_channels,
                height,
                width,
                kernel,
            })
        })
    })
}

#[test]
fn convolution_is_that_of_rounded_numbers() {
    let Some(isa) = Isa::bf16() else { return };
    for shape in shapes() {
        let (x, w, b) = (
            numbers(shape.input_len(), 1),
            numbers(shape.weight_len(), 2),
            numbers(shape.out_channels, 3),
        );
        let (near_x, near_w) = (rounded_numbers(x.len(), 1), rounded_numbers(w.len(), 2));
        assert!(near_x != x && near_w != w || x.len() + w.len() < 8, "{shape:?}");
        let mut y = vec![DIRTY; shape.output_len()];
        conv2d::forward(isa, shape, &x, &w, Some(&b), &mut y);
        assert_close(&y, &reference::conv2d(shape, &near_x, &near_w, Some(&b)), 2e-6, shape);
    }
}

#[test]
fn gradients_are_those_of_rounded_numbers() {
    let Some(isa) = Isa::bf16() else { return };
    // The reference takes a convolution for each number.
    for shape in shapes().filter(|shape| shape.input_len() * shape.output_len() < 1 << 16) {
        let (x, w, dy) = (
            rounded_numbers(shape.input_len(), 1),
            rounded_numbers(shape.weight_len(), 2),
            rounded_numbers(shape.output_len(), 3),
        );
        let (mut dx, mut dw) = (vec![DIRTY; x.len()], vec![DIRTY; w.len()]);
        conv2d::input_gradient(isa, shape, &numbers(dy.len(), 3), &numbers(w.len(), 2), &mut dx);
        conv2d::weight_gradient(isa, shape, &numbers(x.len(), 1), &numbers(dy.len(), 3), &mut dw);
        let wanted = reference::linear_gradient(x.len(), &dy, |x| reference::conv2d(shape, x, &w, None));
        assert_close(&dx, &wanted, 4e-6, (shape, "dx"));
        let wanted = reference::linear_gradient(w.len(), &dy, |w| reference::conv2d(shape, &x, w, None));
        assert_close(&dw, &wanted, 8e-6, (shape, "dw"));
    }
}

#[test]
fn gradients_of_more_than_one_strip_are_near_those_of_floats() {
    let (Some(isa), Some(floats)) = (Isa::bf16(), Isa::avx512()) else {
        return;
    };
    for shape in shapes() {
        let (x, w, dy) = (
            rounded_numbers(shape.input_len(), 1),
            rounded_numbers(shape.weight_len(), 2),
            rounded_numbers(shape.output_len(), 3),
        );
        let of = |isa| {
            let (mut dx, mut dw) = (vec![DIRTY; x.len()], vec![DIRTY; w.len()]);
            conv2d::input_gradient(isa, shape, &dy, &w, &mut dx);
            conv2d::weight_gradient(isa, shape, &x, &dy, &mut dw);
            (dx, dw)
        };
        let ((dx, dw), (wanted_dx, wanted_dw)) = (of(isa), of(floats));
        assert_close(&dx, &wanted_dx, 4e-6, (shape, "dx"));
        assert_close(&dw, &wanted_dw, 1e-5, (shape, "dw"));
    }
}

#[test]
fn doubling_is_that_of_rounded_numbers() {
    let (Some(isa), Some(floats)) = (Isa::bf16(), Isa::avx512()) else {
        return;
    };
    let shape = UpShape {
        batch: 2,
        in_channels: 17,
        out_channels: 5,
        height: 9,
        width: 37,
    };
    let (x, w, dy) = (
        rounded_numbers(shape.input_len(), 1),
        rounded_numbers(shape.weight_len(), 2),
        rounded_numbers(shape.output_len(), 3),
    );
    let of = |isa| {
        let (mut y, mut dx, mut dw) = (vec![DIRTY; dy.len()], vec![DIRTY; x.len()], vec![DIRTY; w.len()]);
        conv_transpose::forward(isa, shape, &x, &w, None, &mut y);
        conv_transpose::input_gradient(isa, shape, &dy, &w, &mut dx);
        conv_transpose::weight_gradient(isa, shape, &x, &dy, &mut dw);
        [y, dx, dw]
    };
    let wanted = of(floats);
    assert_close(&wanted[0], &reference::conv_transpose(shape, &x, &w, None), 2e-6, "floats");
    for ((found, wanted), name) in of(isa).iter().zip(&wanted).zip(["y", "dx", "dw"]) {
        assert_close(found, wanted, 1e-5, name);
    }
}

#[test]
fn what_is_no_number_stays_none() {
    let Some(isa) = Isa::bf16() else { return };
    let shape = ConvShape {
        batch: 1,
        in_channels: 1,
        out_channels: 1,
        height: 1,
        width: 3,
        kernel: 1,
    };
    let mut y = [0.0; 3];
    conv2d::forward(isa, shape, &[f32::NAN, f32::INFINITY, -1.0], &[1.0], None, &mut y);
    assert!(y[0].is_nan() && y[1] == f32::INFINITY && y[2] == -1.0, "{y:?}");
    let odd = [0x7fff_ffff, 0xffff_ffff, 0x7f80_0001].map(f32::from_bits);
    conv2d::forward(isa, shape, &odd, &[1.0], None, &mut y);
    assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
}
