//! What convolutions multiply: floats, or pairs of bf16 whose products are added up in a float.

use crate::strip::Source;

/// A number as the register tiles read it, `PACK` of them in the 32 bits of a lane.
pub(crate) trait Number: Copy + Default + 'static {
    /// Numbers a lane.
    const PACK: usize;

    /// Neighbouring numbers in the lanes that hold them.
    fn of_lanes(lanes: &mut [f32]) -> &mut [Self];

    /// A lane of the numbers nearest to `PACK` floats.
    fn lane(floats: impl Fn(usize) -> f32) -> f32;

    /// Writes row `y` of channel `c` of image `n` into `dst`. `spare` is as long, for whoever needs it.
    fn pixels(source: &impl Source, n: usize, c: usize, y: usize, dst: &mut [Self], spare: &mut [f32]);

    /// Writes row `y` of the channels `PACK * group` and following of all `channels` into `dst`, a lane a pixel.
    fn channels(source: &impl Source, n: usize, group: usize, channels: usize, y: usize, dst: &mut [f32], spare: &mut [f32]);
}

impl Number for f32 {
    const PACK: usize = 1;

    #[inline(always)]
    fn of_lanes(lanes: &mut [f32]) -> &mut [Self] {
        lanes
    }

    #[inline(always)]
    fn lane(floats: impl Fn(usize) -> f32) -> f32 {
        floats(0)
    }

    #[inline(always)]
    fn pixels(source: &impl Source, n: usize, c: usize, y: usize, dst: &mut [Self], _: &mut [f32]) {
        source.row(n, c, y, dst);
    }

    #[inline(always)]
    fn channels(source: &impl Source, n: usize, group: usize, _: usize, y: usize, dst: &mut [f32], _: &mut [f32]) {
        source.row(n, group, y, dst);
    }
}

/// The upper half of a float's bits.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(crate) struct Bf16(u16);

impl Bf16 {
    /// The bits of a float rounded to the nearest bf16, of two equally near ones to the even one; what follows them is rubbish.
    #[inline(always)]
    fn round(x: f32) -> u32 {
        let bits = x.to_bits();
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        if x.is_nan() { bits | 0x0040_0000 } else { nearest }
    }

    #[inline(always)]
    fn pair(low: f32, high: f32) -> f32 {
        f32::from_bits(Self::round(low) >> 16 | Self::round(high) & 0xffff_0000)
    }
}

impl Number for Bf16 {
    const PACK: usize = 2;

    #[inline(always)]
    fn of_lanes(lanes: &mut [f32]) -> &mut [Self] {
        // SAFETY: a float is as long as two of these, and both may have any bits.
        unsafe { std::slice::from_raw_parts_mut(lanes.as_mut_ptr().cast(), 2 * lanes.len()) }
    }

    #[inline(always)]
    fn lane(floats: impl Fn(usize) -> f32) -> f32 {
        Self::pair(floats(0), floats(1))
    }

    #[inline(always)]
    fn pixels(source: &impl Source, n: usize, c: usize, y: usize, dst: &mut [Self], spare: &mut [f32]) {
        source.row(n, c, y, spare);
        for (to, x) in dst.iter_mut().zip(spare) {
            *to = Self((Self::round(*x) >> 16) as u16);
        }
    }

    #[inline(always)]
    fn channels(source: &impl Source, n: usize, group: usize, channels: usize, y: usize, dst: &mut [f32], spare: &mut [f32]) {
        source.row(n, 2 * group, y, dst);
        if 2 * group + 1 < channels {
            source.row(n, 2 * group + 1, y, spare);
        } else {
            spare.fill(0.0);
        }
        for (to, high) in dst.iter_mut().zip(spare) {
            *to = Self::pair(*to, *high);
        }
    }
}
