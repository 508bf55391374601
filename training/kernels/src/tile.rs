//! The two register tiles that do nearly all of the arithmetic.

use crate::number::Number;
use crate::simd::Simd;

/// Adds `weights * inputs` into a tile of `OB` output channels by `PB` registers of flat pixels.
///
/// `x` points at tap (0, 0) of the first input plane, `w` at `[plane][tap][OB]` packed weights, both with `S::Number::PACK` channels a
/// lane; `out` points at the first output channel.
/// With `first` the tile starts from zero instead of from `out`.
///
/// # Safety
/// The CPU features of `S`; `in_plane`, `stride`, `out_plane` as in [`crate::strip::Strip`], and the pixels lie inside `strip.len`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn forward<S: Simd, const OB: usize, const PB: usize, const K: usize>(
    planes: usize,
    x: *const f32,
    in_plane: usize,
    stride: usize,
    w: *const f32,
    out: *mut f32,
    out_plane: usize,
    first: bool,
) {
    unsafe {
        let mut acc = [[S::splat(0.0); PB]; OB];
        if !first {
            for (o, acc) in acc.iter_mut().enumerate() {
                for (p, acc) in acc.iter_mut().enumerate() {
                    *acc = S::load(out.add(o * out_plane + p * S::LANES));
                }
            }
        }
        let mut w = w;
        let mut x = x;
        for _ in 0..planes {
            for ky in 0..K {
                let row = x.add(ky * stride);
                for kx in 0..K {
                    let mut v = [S::splat(0.0); PB];
                    for (p, v) in v.iter_mut().enumerate() {
                        *v = S::load(row.add(kx + p * S::LANES));
                    }
                    for (o, acc) in acc.iter_mut().enumerate() {
                        let weight = S::splat(*w.add(o));
                        for (acc, v) in acc.iter_mut().zip(v) {
                            *acc = S::dot(v, weight, *acc);
                        }
                    }
                    w = w.add(OB);
                }
            }
            x = x.add(in_plane);
        }
        for (o, acc) in acc.iter().enumerate() {
            for (p, acc) in acc.iter().enumerate() {
                S::store(out.add(o * out_plane + p * S::LANES), *acc);
            }
        }
    }
}

/// Adds the inner products of `RB` rows and `CB` columns over `len` pixels to `out[r * out_stride + c]`.
///
/// Row r lies at `rows + r * row_step`, column c at `cols + c * col_step`.
///
/// # Safety
/// The CPU features of `S`; `len` numbers (whole registers) readable at every row and column.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn correlate<S: Simd, const RB: usize, const CB: usize>(
    len: usize,
    rows: *const S::Number,
    row_step: usize,
    cols: *const S::Number,
    col_step: usize,
    out: *mut f32,
    out_stride: usize,
) {
    unsafe {
        let mut acc = [[S::splat(0.0); CB]; RB];
        let mut at = 0;
        while at < len {
            let mut v = [S::splat(0.0); CB];
            for (c, v) in v.iter_mut().enumerate() {
                *v = S::load(cols.add(c * col_step + at).cast());
            }
            for (r, acc) in acc.iter_mut().enumerate() {
                let row = S::load(rows.add(r * row_step + at).cast());
                for (acc, v) in acc.iter_mut().zip(v) {
                    *acc = S::dot(v, row, *acc);
                }
            }
            at += S::LANES * S::Number::PACK;
        }
        for (r, acc) in acc.iter().enumerate() {
            for (c, acc) in acc.iter().enumerate() {
                *out.add(r * out_stride + c) += S::sum(*acc);
            }
        }
    }
}
