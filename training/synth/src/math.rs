//! Small vectors and the few functions whose results must be the same on every machine: only IEEE basic operations and
//! square roots here, no library of the system.

use std::ops::{Add, Mul, Neg, Sub};

/// A point or direction in metres: x right, y up, z forward.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct V3 {
    pub x: f32,
    pub y: f32,
    pub z: f32,
}

pub(crate) const fn v3(x: f32, y: f32, z: f32) -> V3 {
    V3 { x, y, z }
}

impl V3 {
    pub const UP: V3 = v3(0.0, 1.0, 0.0);

    pub fn dot(self, o: V3) -> f32 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }

    pub fn cross(self, o: V3) -> V3 {
        v3(
            self.y * o.z - self.z * o.y,
            self.z * o.x - self.x * o.z,
            self.x * o.y - self.y * o.x,
        )
    }

    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The unit vector along it; a vector too short for that becomes "up".
    pub fn unit(self) -> V3 {
        let length = self.length();
        if length < 1e-9 { V3::UP } else { self * (1.0 / length) }
    }

    pub fn mix(self, o: V3, t: f32) -> V3 {
        self + (o - self) * t
    }
}

impl Add for V3 {
    type Output = V3;
    fn add(self, o: V3) -> V3 {
        v3(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for V3 {
    type Output = V3;
    fn sub(self, o: V3) -> V3 {
        v3(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f32> for V3 {
    type Output = V3;
    fn mul(self, k: f32) -> V3 {
        v3(self.x * k, self.y * k, self.z * k)
    }
}

impl Neg for V3 {
    type Output = V3;
    fn neg(self) -> V3 {
        v3(-self.x, -self.y, -self.z)
    }
}

/// A colour in linear light, nominally 0-1.
pub(crate) type Rgb = [f32; 3];

/// An sRGB byte colour in linear light; the renderer's transfer curve is a plain square.
pub(crate) const fn rgb(r: u8, g: u8, b: u8) -> Rgb {
    let (r, g, b) = (r as f32 / 255.0, g as f32 / 255.0, b as f32 / 255.0);
    [r * r, g * g, b * b]
}

pub(crate) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

pub(crate) fn scale(a: Rgb, k: f32) -> Rgb {
    [a[0] * k, a[1] * k, a[2] * k]
}

pub(crate) fn times(a: Rgb, b: Rgb) -> Rgb {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

pub(crate) fn plus(a: Rgb, b: Rgb) -> Rgb {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// The greatest whole number not above `x`, for |x| < 2^31. Without SSE 4.1 the standard one is a call, and it was an
/// eighth of a frame.
#[inline]
pub(crate) fn floor(x: f32) -> f32 {
    let cut = x as i32 as f32;
    if cut > x { cut - 1.0 } else { cut }
}

/// Remainders that are never negative; faster than the standard library's and exact enough for textures.
pub(crate) trait Cyclic {
    /// The position inside a period.
    fn wrap(self, period: f32) -> f32;
    /// The position inside a period of one.
    fn frac(self) -> f32;
}

impl Cyclic for f32 {
    fn wrap(self, period: f32) -> f32 {
        self - floor(self / period) * period
    }

    fn frac(self) -> f32 {
        self - floor(self)
    }
}

/// 0 below `a`, 1 above `b`, smooth between.
pub(crate) fn smoothstep(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// How much of a filter of width `w` round `x` lies above `edge`: an edge without stairs.
pub(crate) fn above(edge: f32, x: f32, w: f32) -> f32 {
    ((x - edge) / w.max(1e-5) + 0.5).clamp(0.0, 1.0)
}

/// How much of a filter of width `w` round `x` lies between `a` and `b`.
pub(crate) fn within(a: f32, b: f32, x: f32, w: f32) -> f32 {
    let h = w.max(1e-5) * 0.5;
    ((b.min(x + h) - a.max(x - h)) / (2.0 * h)).clamp(0.0, 1.0)
}

/// Sine of an angle in radians by a polynomial; wrong by less than 2e-4.
pub(crate) fn sin(x: f32) -> f32 {
    let turns = x * 0.159_154_94;
    let t = turns - floor(turns + 0.5); // -0.5..0.5
    let folded = if t > 0.25 {
        0.5 - t
    } else if t < -0.25 {
        -0.5 - t
    } else {
        t
    };
    let a = folded * std::f32::consts::TAU; // -pi/2..pi/2
    let q = a * a;
    a * (1.0 - q * (0.166_666_6 - q * (0.008_333_2 - q * 0.000_195_1)))
}

/// Cosine of an angle in radians, as exact as [`sin`].
pub(crate) fn cos(x: f32) -> f32 {
    sin(x + std::f32::consts::FRAC_PI_2)
}

/// e to the power of -x for x >= 0; wrong by less than 2 % of its value below x = 4, and never increasing.
pub(crate) fn exp_neg(x: f32) -> f32 {
    let t = 1.0 - x.clamp(0.0, 30.0) / 64.0;
    let t2 = t * t;
    let t4 = t2 * t2;
    let t8 = t4 * t4;
    let t16 = t8 * t8;
    t16 * t16 * t16 * t16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_agree_with_the_system() {
        for i in -400..400 {
            let x = i as f32 * 0.05;
            assert!((sin(x) - x.sin()).abs() < 5e-4, "sin {x}");
            assert!((cos(x) - x.cos()).abs() < 5e-4, "cos {x}");
        }
    }

    #[test]
    fn the_decay_is_near_the_exponential_and_falls() {
        let mut last = 1.1;
        for i in 0..120 {
            let x = i as f32 * 0.05;
            assert!((exp_neg(x) - (-x).exp()).abs() < 0.02, "{x}");
            assert!(exp_neg(x) < last);
            last = exp_neg(x);
        }
    }

    #[test]
    fn a_filtered_edge_is_half_at_the_edge() {
        assert_eq!(above(2.0, 2.0, 0.5), 0.5);
        assert_eq!(within(0.0, 1.0, 0.5, 0.1), 1.0);
        assert!((within(0.0, 0.1, 0.05, 1.0) - 0.1).abs() < 1e-6);
    }
}
