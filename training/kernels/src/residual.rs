//! The end of a residual block, `max(0, a + b)` (He et al. 2016), and its gradient.

use crate::simd::{Kernel, Simd};
use crate::{Isa, check_len};
use rayon::prelude::*;

/// Floats of a task: enough to be worth one, few enough that two cores share a small tensor.
const TASK: usize = 16 * 1024;

/// Writes `max(0, a + b)` into `y`.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(isa: Isa, a: &[f32], b: &[f32], y: &mut [f32]) {
    check_len("b", b, a.len());
    check_len("y", y, a.len());
    let parts = y.par_chunks_mut(TASK).zip(a.par_chunks(TASK)).zip(b.par_chunks(TASK));
    parts.for_each(|((y, a), b)| isa.launch(Forward { a, b, y }));
}

/// Writes the gradient of `a`, which is that of `b` too, into `dx`: `dy` where the result `y` is above zero.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(isa: Isa, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    check_len("dy", dy, y.len());
    check_len("dx", dx, y.len());
    let parts = dx.par_chunks_mut(TASK).zip(y.par_chunks(TASK)).zip(dy.par_chunks(TASK));
    parts.for_each(|((dx, y), dy)| isa.launch(Backward { y, dy, dx }));
}

struct Forward<'a> {
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((y, a), b) in self.y.iter_mut().zip(self.a).zip(self.b) {
            let sum = a + b;
            *y = if sum > 0.0 { sum } else { 0.0 };
        }
    }
}

struct Backward<'a> {
    y: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((dx, y), dy) in self.dx.iter_mut().zip(self.y).zip(self.dy) {
            *dx = if *y > 0.0 { *dy } else { 0.0 };
        }
    }
}
