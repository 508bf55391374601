//! Light, colour, blur and noise.

use super::Augment;
use crate::random::Random;

/// Gamma, brightness, contrast, tint and saturation, in one pass.
pub fn light(augment: &Augment, random: &mut Random, rgb: &mut [u8]) {
    let mut around_one = |range: f32| 1.0 + random.range(-range, range);
    let gamma = around_one(augment.gamma);
    let brightness = around_one(augment.brightness);
    let contrast = around_one(augment.contrast);
    let saturation = around_one(augment.saturation);
    let tint: [f32; 3] = std::array::from_fn(|_| around_one(augment.tint));
    if [gamma, brightness, contrast, saturation, tint[0], tint[1], tint[2]] == [1.0; 7] {
        return;
    }
    let tables: [[f32; 256]; 3] = std::array::from_fn(|c| {
        std::array::from_fn(|v| {
            let lit = 255.0 * (v as f32 / 255.0).powf(gamma) * brightness * tint[c];
            (lit - 110.0) * contrast + 110.0
        })
    });
    for pixel in rgb.as_chunks_mut::<3>().0 {
        let lit: [f32; 3] = std::array::from_fn(|c| tables[c][usize::from(pixel[c])]);
        let grey = 0.299 * lit[0] + 0.587 * lit[1] + 0.114 * lit[2]; // luma of BT.601
        *pixel = lit.map(|v| (grey + (v - grey) * saturation + 0.5) as u8); // `as` clamps to 0-255
    }
}

/// Gaussian blur of `sigma` pixels, edges repeated.
pub fn blur(rgb: &mut [u8], width: usize, height: usize, sigma: f32) {
    let radius = (3.0 * sigma).ceil() as usize;
    let mut kernel: Vec<f32> = (0..=2 * radius)
        .map(|i| (-0.5 * ((i as f32 - radius as f32) / sigma).powi(2)).exp())
        .collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= sum);
    // Rows, then columns; each row of 3 * width values is one line of floats.
    let mut across = vec![0.0_f32; rgb.len()];
    for (line, out) in rgb.chunks_exact(3 * width).zip(across.chunks_exact_mut(3 * width)) {
        for (k, weight) in kernel.iter().enumerate() {
            for x in 0..width {
                let from = 3 * (x + k).saturating_sub(radius).min(width - 1);
                for c in 0..3 {
                    out[3 * x + c] += weight * f32::from(line[from + c]);
                }
            }
        }
    }
    let mut sums = vec![0.0_f32; 3 * width];
    for (y, out) in rgb.chunks_exact_mut(3 * width).enumerate() {
        sums.fill(0.5);
        for (k, weight) in kernel.iter().enumerate() {
            let from = (y + k).saturating_sub(radius).min(height - 1) * 3 * width;
            for (sum, value) in sums.iter_mut().zip(&across[from..from + 3 * width]) {
                *sum += weight * value;
            }
        }
        for (value, sum) in out.iter_mut().zip(&sums) {
            *value = *sum as u8;
        }
    }
}

/// Adds noise of standard deviation `sigma` to every value; the sum of four bytes is near enough to a Gaussian.
pub fn noise(rgb: &mut [u8], sigma: f32, random: &mut Random) {
    let scale = sigma / 147.8; // standard deviation of the sum of four even bytes
    for pair in rgb.chunks_mut(2) {
        let bytes = random.bits().to_le_bytes();
        for (value, four) in pair.iter_mut().zip(bytes.as_chunks::<4>().0) {
            let sum: f32 = four.iter().map(|b| f32::from(*b)).sum();
            *value = (f32::from(*value) + (sum - 510.0) * scale + 0.5) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_standard_deviation_that_was_asked_for() {
        let mut rgb = vec![128; 30000];
        noise(&mut rgb, 8.0, &mut Random::of(&[1]));
        let mean = rgb.iter().map(|v| f64::from(*v)).sum::<f64>() / 30000.0;
        let variance = rgb.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / 30000.0;
        assert!((mean - 128.0).abs() < 0.3, "{mean}");
        assert!((variance.sqrt() - 8.0).abs() < 0.3, "{}", variance.sqrt());
    }

    #[test]
    fn blur_keeps_an_even_picture_and_spreads_a_dot() {
        let mut even = vec![77; 3 * 9 * 7];
        blur(&mut even, 9, 7, 1.2);
        assert!(even.iter().all(|v| *v == 77));
        let mut dot = vec![0; 3 * 9 * 9];
        dot[3 * (4 * 9 + 4)] = 255;
        blur(&mut dot, 9, 9, 1.0);
        assert_eq!(dot[3 * (4 * 9 + 3)], dot[3 * (3 * 9 + 4)]);
        assert!(dot[3 * (4 * 9 + 4)] > dot[3 * (4 * 9 + 3)] && dot[3 * (4 * 9 + 3)] > 10);
    }
}
