//! Between RGB and the YCbCr of video. Matrices and ranges are those of ITU-R BT.601-7, BT.709-6 and BT.2020-2, 8 bits.

use crate::frame::{Matrix, Range};
use multiversion::multiversion;

/// Fractional bits of the integer factors.
const BITS: u32 = 16;

/// Weights of red and blue in luma; green has the rest.
fn luma_weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    }
}

/// Code of black, luma codes from black to white, chroma codes from the lowest to the highest.
fn extents(range: Range) -> (f64, f64, f64) {
    match range {
        Range::Limited => (16.0, 219.0, 224.0),
        Range::Full => (0.0, 255.0, 255.0),
    }
}

/// An RGB colour as Y, Cb, Cr codes.
pub fn rgb_to_ycbcr(rgb: [u8; 3], matrix: Matrix, range: Range) -> [u8; 3] {
    let (kr, kb) = luma_weights(matrix);
    let (black, luma, chroma) = extents(range);
    let [r, g, b] = rgb.map(|v| f64::from(v) / 255.0);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let cb = (b - y) / (2.0 * (1.0 - kb));
    let cr = (r - y) / (2.0 * (1.0 - kr));
    [black + luma * y, 128.0 + chroma * cb, 128.0 + chroma * cr].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

/// Y, Cb, Cr codes as RGB in 0-255, in double precision: what [`ToRgb`] must agree with.
pub fn ycbcr_to_rgb_reference(ycbcr: [u8; 3], matrix: Matrix, range: Range) -> [f64; 3] {
    let (kr, kb) = luma_weights(matrix);
    let kg = 1.0 - kr - kb;
    let (black, luma, chroma) = extents(range);
    let y = (f64::from(ycbcr[0]) - black) / luma;
    let cb = (f64::from(ycbcr[1]) - 128.0) / chroma;
    let cr = (f64::from(ycbcr[2]) - 128.0) / chroma;
    let r = y + 2.0 * (1.0 - kr) * cr;
    let b = y + 2.0 * (1.0 - kb) * cb;
    let g = (y - kr * r - kb * b) / kg;
    [r, g, b].map(|v| (v * 255.0).clamp(0.0, 255.0))
}

/// Converts rows of samples to RGB with integers; within 1 of [`ycbcr_to_rgb_reference`].
#[derive(Debug, Clone, Copy)]
pub struct ToRgb {
    black: i32,
    luma: i32,
    red_cr: i32,
    green_cb: i32,
    green_cr: i32,
    blue_cb: i32,
}

impl ToRgb {
    /// The factors of a matrix and a range.
    pub fn new(matrix: Matrix, range: Range) -> Self {
        let (kr, kb) = luma_weights(matrix);
        let kg = 1.0 - kr - kb;
        let (black, luma, chroma) = extents(range);
        let fixed = |v: f64| (v * f64::from(1 << BITS)).round() as i32;
        let (y, c) = (255.0 / luma, 255.0 / chroma);
        Self {
            black: black as i32,
            luma: fixed(y),
            red_cr: fixed(2.0 * (1.0 - kr) * c),
            green_cb: fixed(2.0 * (1.0 - kb) * kb / kg * c),
            green_cr: fixed(2.0 * (1.0 - kr) * kr / kg * c),
            blue_cb: fixed(2.0 * (1.0 - kb) * c),
        }
    }

    /// One row; all slices have the same length.
    ///
    /// # Panics
    /// If they have not.
    pub fn row(&self, [y, cb, cr]: [&[u8]; 3], [r, g, b]: [&mut [u8]; 3]) {
        let width = y.len();
        assert!(
            [cb.len(), cr.len(), r.len(), g.len(), b.len()] == [width; 5],
            "rows have one length"
        );
        row_to_rgb(self, y, cb, cr, r, g, b);
    }
}

#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn row_to_rgb(f: &ToRgb, y: &[u8], cb: &[u8], cr: &[u8], r: &mut [u8], g: &mut [u8], b: &mut [u8]) {
    let half = 1 << (BITS - 1);
    let narrow = |v: i32| (v >> BITS).clamp(0, 255) as u8;
    let n = y.len();
    let (cb, cr, r, g, b) = (&cb[..n], &cr[..n], &mut r[..n], &mut g[..n], &mut b[..n]);
    for x in 0..n {
        let luma = (i32::from(y[x]) - f.black) * f.luma + half;
        let (u, v) = (i32::from(cb[x]) - 128, i32::from(cr[x]) - 128);
        r[x] = narrow(luma + v * f.red_cr);
        g[x] = narrow(luma - u * f.green_cb - v * f.green_cr);
        b[x] = narrow(luma + u * f.blue_cb);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATRICES: [Matrix; 3] = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020];
    const RANGES: [Range; 2] = [Range::Limited, Range::Full];

    #[test]
    fn integer_rows_agree_with_double_precision_for_every_matrix_and_range() {
        let codes: Vec<u8> = (0..=255).step_by(5).chain([1, 16, 127, 128, 235, 240, 254]).collect();
        for (matrix, range) in MATRICES.into_iter().flat_map(|m| RANGES.map(|r| (m, r))) {
            let converter = ToRgb::new(matrix, range);
            for &cb in &codes {
                for &cr in &codes {
                    let n = codes.len();
                    let [mut r, mut g, mut b] = [vec![0; n], vec![0; n], vec![0; n]];
                    converter.row([&codes, &vec![cb; n], &vec![cr; n]], [&mut r, &mut g, &mut b]);
                    for (x, &y) in codes.iter().enumerate() {
                        let wanted = ycbcr_to_rgb_reference([y, cb, cr], matrix, range);
                        for (got, wanted) in [r[x], g[x], b[x]].into_iter().zip(wanted) {
                            assert!(
                                (f64::from(got) - wanted).abs() < 0.51,
                                "{matrix:?} {range:?} {y} {cb} {cr}: {got} {wanted}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_colour_survives_the_way_to_ycbcr_and_back() {
        for (matrix, range) in MATRICES.into_iter().flat_map(|m| RANGES.map(|r| (m, r))) {
            for rgb in [[0, 0, 0], [255, 255, 255], [128, 64, 128], [30, 60, 255], [255, 140, 0]] {
                let back = ycbcr_to_rgb_reference(rgb_to_ycbcr(rgb, matrix, range), matrix, range);
                assert!(
                    rgb.iter().zip(back).all(|(a, b)| (f64::from(*a) - b).abs() < 2.0),
                    "{rgb:?} {back:?}"
                );
            }
        }
    }

    #[test]
    fn published_codes_of_pure_colours_are_met() {
        // BT.601 limited: red is 81, 90, 240. BT.709 limited: red is 63, 102, 240.
        assert_eq!(rgb_to_ycbcr([255, 0, 0], Matrix::Bt601, Range::Limited), [81, 90, 240]);
        assert_eq!(rgb_to_ycbcr([255, 0, 0], Matrix::Bt709, Range::Limited), [63, 102, 240]);
        assert_eq!(rgb_to_ycbcr([255; 3], Matrix::Bt709, Range::Limited), [235, 128, 128]);
        assert_eq!(rgb_to_ycbcr([255; 3], Matrix::Bt601, Range::Full), [255, 128, 128]);
    }
}
