//! The mean of neighbouring pixels, 1:2:1 along rows and along columns; the pixels at the edge are repeated beyond it. As a matrix that
//! is symmetric, so the gradient of the input is the same mean of the output's gradient.

use crate::simd::{Kernel, Simd};
use crate::{Isa, check_len};
use rayon::prelude::*;

/// Writes the means of each of the planes, `height` x `width` each, into `y`.
///
/// # Panics
/// If a slice does not hold whole planes, or the slices differ in length.
pub fn smooth(isa: Isa, [height, width]: [usize; 2], x: &[f32], y: &mut [f32]) {
    check_len("y", y, x.len());
    if y.is_empty() {
        return;
    }
    let plane = height * width;
    assert!(
        x.len().is_multiple_of(plane),
        "{} floats are no planes of {height}x{width}",
        x.len()
    );
    y.par_chunks_mut(plane)
        .zip(x.par_chunks(plane))
        .for_each(|(y, x)| isa.launch(Plane { width, x, y }));
}

struct Plane<'a> {
    width: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let (x, width, last) = (self.x, self.width, self.x.len() / self.width - 1);
        let row = |number: usize| &x[number * width..][..width];
        let mut sums = vec![0.0; width + 2]; // of three rows, with both ends repeated
        for (number, y) in self.y.chunks_exact_mut(width).enumerate() {
            let (above, below) = (row(number.saturating_sub(1)), row((number + 1).min(last)));
            let rows = above.iter().zip(row(number)).zip(below);
            for (sum, ((above, at), below)) in sums[1..=width].iter_mut().zip(rows) {
                *sum = 2.0 * at + above + below;
            }
            (sums[0], sums[width + 1]) = (sums[1], sums[width]);
            let sides = sums.iter().zip(&sums[1..]).zip(&sums[2..]);
            for (y, ((left, at), right)) in y.iter_mut().zip(sides) {
                *y = (2.0 * at + left + right) * 0.0625;
            }
        }
    }
}
