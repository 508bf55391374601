//! Shaders of the small things: leaves, signs, wheels, lamps.

use super::{Finish, Surface};
use crate::light::Light;
use crate::math::{Cyclic, Rgb, floor, mix, rgb, scale, smoothstep};
use crate::random::{faded, fractal, hash2, noise};

pub(crate) fn matt(s: &Surface) -> Finish {
    let k = s.look.p[0];
    if k == 0.0 {
        return Finish::matt(s.look.color);
    }
    let n = fractal(s.u * k + (s.look.seed & 63) as f32, s.v * k, s.fu.max(s.fv) * k, 3);
    Finish::matt(scale(s.look.color, 0.55 + 0.9 * n))
}

pub(crate) fn lamp(s: &Surface, light: &Light) -> Finish {
    let by_night = s.look.p[0] * (s.look.p[1] + light.dusk * (1.0 - s.look.p[1]));
    Finish {
        albedo: s.look.color,
        shine: scale(s.look.color, by_night),
        open: 1.0,
    }
}

pub(crate) fn wheel(s: &Surface) -> Finish {
    let r2 = s.u * s.u + s.v * s.v;
    let tyre = rgb(30, 30, 31);
    if r2 > 0.46 {
        return Finish {
            albedo: tyre,
            shine: [0.0; 3],
            open: 0.6,
        };
    }
    let spoke = hash2(floor(s.u * 3.0) as i32, floor(s.v * 3.0) as i32, s.look.seed);
    let dark = if r2 < 0.03 || (spoke < 0.45 && r2 > 0.06) { 0.25 } else { 1.0 };
    Finish {
        albedo: scale(s.look.color, dark),
        shine: [0.0; 3],
        open: 0.7,
    }
}

pub(crate) fn leaf(s: &Surface) -> Finish {
    let shift = (s.look.seed & 127) as f32;
    let f = s.fu.max(s.fv);
    let clump = fractal(s.u * 3.0 + shift, s.v * 3.0, f * 3.0, 2);
    let fine = faded(s.u * 16.0 + shift, s.v * 16.0, f * 16.0);
    let deep = smoothstep(1.2, -0.9, -s.v + s.u * 0.2) * 0.5 + 0.5; // the underside lies in the crown's own shade
    let tint = noise(s.u * 1.5 + shift, s.v * 1.5);
    let color = mix(s.look.color, times3(s.look.color, [1.35, 1.15, 0.7]), tint * 0.8);
    let grain = faded(s.u * 34.0, s.v * 34.0 + shift, f * 34.0);
    Finish {
        albedo: scale(color, (0.15 + 1.3 * clump) * (0.3 + 1.7 * fine * fine) * (0.5 + grain)),
        shine: [0.0; 3],
        open: 0.35 + 0.65 * deep,
    }
}

pub(crate) fn twigs(s: &Surface) -> Finish {
    Finish::matt(scale(
        s.look.color,
        0.6 + 0.8 * noise(s.u * 9.0, s.v * 9.0 + (s.look.seed & 63) as f32),
    ))
}

pub(crate) fn hedge(s: &Surface) -> Finish {
    let f = s.fu.max(s.fv);
    let clump = fractal(s.u * 1.4 + (s.look.seed & 63) as f32, s.v * 1.4, f * 1.4, 3);
    let fine = faded(s.u * 11.0, s.v * 11.0, f * 11.0);
    let foot = smoothstep(-0.3, s.look.p[0] * 0.7, s.v);
    Finish {
        albedo: scale(s.look.color, (0.2 + 1.1 * clump) * (0.5 + fine)),
        shine: [0.0; 3],
        open: 0.3 + 0.7 * foot,
    }
}

fn times3(a: Rgb, b: Rgb) -> Rgb {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

/// Boards with border and glyphs. `p`: outline, half size, style (0 back, 1 warning, 2 prohibition, 3 order, 4 text board, 5 advert, 6 plate), aspect.
pub(crate) fn sign(s: &Surface) -> Finish {
    let (u, v) = (s.u / s.look.p[1], s.v / s.look.p[1]);
    let white = rgb(232, 232, 228);
    let glyph =
        || hash2(floor(u * 3.5 + 20.0) as i32, floor(v * 3.5 + 20.0) as i32, s.look.seed) < 0.45 && u.abs() < 0.45 && v.abs() < 0.45;
    let r2 = u * u + v * v;
    let color = match s.look.p[2] as i32 {
        0 => rgb(112, 114, 116),
        1 => {
            let inner = v > -0.55 && v < 0.55 - u.abs() * 1.8;
            if inner {
                if glyph() && u.abs() < 0.25 { rgb(24, 24, 24) } else { white }
            } else {
                rgb(190, 24, 30)
            }
        }
        2 => {
            if r2 > 0.62 {
                rgb(196, 22, 30)
            } else if glyph() {
                rgb(20, 20, 22)
            } else {
                white
            }
        }
        3 => {
            if glyph() || (r2 > 0.84 && r2 < 0.94) {
                white
            } else {
                s.look.color
            }
        }
        4 => {
            let border = u.abs() > 0.94 || v.abs() > s.look.p[3] * 0.9;
            let line = (v * 5.0 / s.look.p[3].max(0.2) + 20.0).frac();
            let row = floor(v * 5.0 / s.look.p[3].max(0.2) + 20.0) as i32;
            let text = line > 0.3
                && line < 0.75
                && hash2(floor(u * 14.0 + 40.0) as i32, row, s.look.seed) < 0.62
                && u.abs() < 0.5 + 0.4 * hash2(row, 3, s.look.seed);
            let white_board = s.look.color[0] > 0.6;
            if border || (text && row % 2 == 0) {
                if white_board { rgb(30, 30, 34) } else { white }
            } else {
                s.look.color
            }
        }
        5 => {
            let n = fractal(u * 2.0 + (s.look.seed & 63) as f32, v * 2.0, s.fu / s.look.p[1] * 2.0, 2);
            let block = hash2(floor(u * 2.5 + 9.0) as i32, floor(v * 2.5 + 9.0) as i32, s.look.seed);
            mix(s.look.color, [block, 1.0 - block * 0.7, n], smoothstep(0.4, 0.7, n) * 0.7)
        }
        _ => {
            let text = v.abs() < s.look.p[3] * 0.55 && hash2(floor(u * 8.0 + 40.0) as i32, 0, s.look.seed) < 0.7;
            if text { rgb(24, 24, 24) } else { s.look.color }
        }
    };
    Finish::matt(scale(color, 0.9))
}
