//! Random numbers and noise that are the same on every machine.

use crate::math::floor;

/// Mixes 64 bits (the finaliser of SplitMix64, Steele et al. 2014).
pub(crate) const fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A seed derived from another one, a kind of thing and its index.
pub(crate) fn derive(seed: u64, kind: u64, index: i64) -> u64 {
    mix64(seed ^ mix64(kind.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ mix64((index as u64).wrapping_add(0x51_7c_c1_b7))))
}

/// A cheap 0-1 value of two lattice coordinates and a seed.
pub(crate) fn hash2(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x8da6_b343) ^ (y as u32).wrapping_mul(0xd816_3841) ^ seed.wrapping_mul(0xcb1a_b31f);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    ((h ^ (h >> 15)) >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn of(seed: u64, kind: u64, index: i64) -> Self {
        Self(derive(seed, kind, index))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.0)
    }

    pub fn seed32(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    /// 0 <= value < 1
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 * (1.0 / 16_777_216.0)
    }

    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// 0 <= value < n
    pub fn below(&mut self, n: usize) -> usize {
        (((self.next() >> 32) * n as u64) >> 32) as usize
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// One of the two signs.
    pub fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }
}

/// Side of the noise lattice.
const SIDE: usize = 256;

/// Made at compile time, so that a look-up is one load.
static LATTICE: [f32; SIDE * SIDE] = lattice();

const fn lattice() -> [f32; SIDE * SIDE] {
    let mut table = [0.0; SIDE * SIDE];
    let mut state = 0x6d61_736b_6c69_6e65u64;
    let mut i = 0;
    while i < table.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        table[i] = (mix64(state) >> 40) as f32 * (1.0 / 16_777_216.0);
        i += 1;
    }
    table
}

/// Value noise, 0-1, smooth over one unit, repeating after 256 units.
pub(crate) fn noise(x: f32, y: f32) -> f32 {
    let (xf, yf) = (floor(x), floor(y));
    let (tx, ty) = (x - xf, y - yf);
    let (tx, ty) = (tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty));
    let (x0, y0) = ((xf as i32 & 255) as usize, (yf as i32 & 255) as usize);
    let (x1, y1) = ((x0 + 1) & 255, (y0 + 1) & 255);
    let at = |x: usize, y: usize| LATTICE[y * SIDE + x];
    let top = at(x0, y0) + (at(x1, y0) - at(x0, y0)) * tx;
    let low = at(x0, y1) + (at(x1, y1) - at(x0, y1)) * tx;
    top + (low - top) * ty
}

/// Noise that fades to its mean where `footprint`, a pixel's size in noise units, passes half a unit.
pub(crate) fn faded(x: f32, y: f32, footprint: f32) -> f32 {
    let keep = (1.5 - 2.0 * footprint).clamp(0.0, 1.0);
    if keep == 0.0 { 0.5 } else { 0.5 + (noise(x, y) - 0.5) * keep }
}

/// Octaves of noise, 0-1 with mean 0.5; each octave fades as its features pass below a pixel.
pub(crate) fn fractal(x: f32, y: f32, footprint: f32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut k) = (0.0, 0.5, 1.0);
    for i in 0..octaves {
        let shift = i as f32 * 17.3;
        sum += weight * (faded(x * k + shift, y * k - shift, footprint * k) - 0.5);
        weight *= 0.55;
        k *= 2.1;
    }
    0.5 + sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_sequence() {
        // Reference values of SplitMix64 for the seed 1234567 (Rosetta Code).
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn ranges_and_choices_stay_inside_their_bounds() {
        let mut rng = Rng::new(5);
        for _ in 0..1000 {
            assert!((2.0..3.0).contains(&rng.range(2.0, 3.0)));
            assert!(rng.below(7) < 7);
        }
    }

    #[test]
    fn noise_is_continuous_across_its_cells() {
        for i in -50..50 {
            let x = i as f32;
            assert!((noise(x - 1e-4, 0.3) - noise(x + 1e-4, 0.3)).abs() < 0.01);
        }
    }
}
