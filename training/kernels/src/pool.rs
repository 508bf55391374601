//! Maximum over 2x2 squares with stride 2. An odd last row or column belongs to no square.

use crate::simd::{Kernel, Simd};
use crate::{Isa, check_len};
use rayon::prelude::*;

/// The shape of one pooling; the output is `[planes, height / 2, width / 2]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Images times channels.
    pub planes: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
}

impl PoolShape {
    /// Floats of the input.
    pub fn input_len(&self) -> usize {
        self.planes * self.height * self.width
    }

    /// Floats of the output.
    pub fn output_len(&self) -> usize {
        self.planes * (self.height / 2) * (self.width / 2)
    }
}

/// Writes the maxima into `y`, and into `corner` which of the four each was (0 to 3 in reading order, the first of equals).
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn forward(isa: Isa, shape: PoolShape, x: &[f32], y: &mut [f32], corner: &mut [u8]) {
    check_len("x", x, shape.input_len());
    check_len("y", y, shape.output_len());
    check_len("corner", corner, shape.output_len());
    if y.is_empty() {
        return;
    }
    let (small, large) = (shape.output_len() / shape.planes, shape.height * shape.width);
    y.par_chunks_mut(small)
        .zip(corner.par_chunks_mut(small))
        .zip(x.par_chunks(large))
        .for_each(|((y, corner), x)| {
            isa.launch(Forward {
                width: shape.width,
                x,
                y,
                corner,
            });
        });
}

/// Writes the gradient of the input into `dx`: that of each maximum at its corner, zero elsewhere.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn backward(isa: Isa, shape: PoolShape, dy: &[f32], corner: &[u8], dx: &mut [f32]) {
    check_len("dx", dx, shape.input_len());
    check_len("dy", dy, shape.output_len());
    check_len("corner", corner, shape.output_len());
    if dy.is_empty() {
        dx.fill(0.0);
        return;
    }
    let (small, large) = (shape.output_len() / shape.planes, shape.height * shape.width);
    dx.par_chunks_mut(large)
        .zip(dy.par_chunks(small))
        .zip(corner.par_chunks(small))
        .for_each(|((dx, dy), corner)| {
            isa.launch(Backward {
                width: shape.width,
                dy,
                corner,
                dx,
            });
        });
}

struct Forward<'a> {
    width: usize,
    x: &'a [f32],
    y: &'a mut [f32],
    corner: &'a mut [u8],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let half = self.width / 2;
        let rows = self.y.chunks_exact_mut(half).zip(self.corner.chunks_exact_mut(half));
        for ((y, corner), pair) in rows.zip(self.x.chunks_exact(2 * self.width)) {
            let (top, bottom) = pair.split_at(self.width);
            let squares = top[..2 * half].chunks_exact(2).zip(bottom[..2 * half].chunks_exact(2));
            for ((y, corner), (a, b)) in y.iter_mut().zip(corner).zip(squares) {
                let (upper, lower) = (if a[1] > a[0] { a[1] } else { a[0] }, if b[1] > b[0] { b[1] } else { b[0] });
                let (right_up, right_low) = (u8::from(a[1] > a[0]), 2 + u8::from(b[1] > b[0]));
                *y = if lower > upper { lower } else { upper };
                *corner = if lower > upper { right_low } else { right_up };
            }
        }
    }
}

struct Backward<'a> {
    width: usize,
    dy: &'a [f32],
    corner: &'a [u8],
    dx: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let half = self.width / 2;
        let mut rows = self.dy.chunks_exact(half).zip(self.corner.chunks_exact(half));
        for pair in self.dx.chunks_mut(2 * self.width) {
            let Some((dy, corner)) = (pair.len() == 2 * self.width).then(|| rows.next()).flatten() else {
                pair.fill(0.0); // an odd last row
                continue;
            };
            for (r, row) in pair.chunks_exact_mut(self.width).enumerate() {
                let first = 2 * r as u8;
                let (squares, rest) = row.split_at_mut(2 * half);
                rest.fill(0.0);
                for ((to, dy), corner) in squares.chunks_exact_mut(2).zip(dy).zip(corner) {
                    to[0] = if *corner == first { *dy } else { 0.0 };
                    to[1] = if *corner == first + 1 { *dy } else { 0.0 };
                }
            }
        }
    }
}
