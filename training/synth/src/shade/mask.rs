//! Outlines finer than polygons: which samples a piece paints, and which carry its label. Bare trees and railings label
//! all of their outline, as people do who label pictures, and paint only their twigs and bars.

use crate::math::floor;
use crate::random::noise;
use crate::stage::{Mat, Prim, Shape};

/// Whether [`mask`] has anything to say.
pub(crate) fn has_mask(prim: &Prim) -> bool {
    prim.shape == Shape::Ball
        || matches!(
            prim.look.mat,
            Mat::Sign | Mat::Railing | Mat::Mesh | Mat::Rim | Mat::Wheel | Mat::Hedge
        )
}

/// (paints, labels) at u, v of a piece that is `z` metres deep.
pub(crate) fn mask(prim: &Prim, u: f32, v: f32, z: f32) -> (bool, bool) {
    let look = &prim.look;
    let shift = (look.seed & 127) as f32;
    let both = |inside: bool| (inside, inside);
    match look.mat {
        Mat::Leaf => {
            let r2 = u * u + v * v;
            let n = noise(u * 2.3 + shift, v * 2.3) * 0.65 + noise(u * 7.0, v * 7.0 + shift) * 0.45;
            let hull = r2 < 0.98;
            let inside = r2 < 0.32 + n * 0.75;
            let hole = noise(u * 17.0 + shift, v * 17.0) < 0.2 + 0.2 * r2 && r2 > 0.12;
            (hull && inside && !hole, hull && inside)
        }
        Mat::Twigs => {
            let r2 = u * u + v * v;
            if r2 > 0.9 {
                return (false, false);
            }
            // Twigs fan out from the fork below the crown, each level finer than the last.
            let reach = v + 1.7;
            let fan = u / reach * 4.0;
            let thin = look.p[0] * (1.25 - r2 * 0.8);
            let bend = noise(u * 2.0 + shift, v * 2.5) + 0.4 * noise(u * 5.0, v * 5.0 + shift);
            let a = line(fan * 1.1 + bend * 1.6 + shift) < 0.028 * thin;
            let b = line(fan * 2.9 - bend * 2.4 + v * 1.3) < 0.045 * thin && noise(u * 3.0, v * 3.0 + shift) > 0.3;
            let c = line(fan * 6.5 + bend * 3.5 - v * 2.0) < 0.07 * thin && noise(u * 6.0 + shift, v * 6.0) > 0.35;
            let d = line(u * 7.0 + bend * 3.0 - v * 9.0) < 0.06 * thin && noise(u * 7.0, v * 7.0 + shift) > 0.5;
            (a || b || c || d, r2 < 0.55 + 0.35 * noise(u * 3.0 + shift, v * 3.0))
        }
        Mat::Hedge => {
            let top = look.p[0] * (0.78 + 0.22 * noise(u * 0.9 + shift, 2.0)) - 0.1 * noise(u * 9.0, v * 9.0 + shift) * look.p[0].min(2.0);
            both(v < top)
        }
        Mat::Sign => both(outline(look.p[0], u / look.p[1], v / look.p[1])),
        Mat::Railing => {
            let [gap, bar, height, _] = look.p;
            let wide = bar.max(z * 0.0004);
            let along = u - floor(u / gap) * gap;
            let post = u - floor(u / (gap * 14.0)) * gap * 14.0 < wide * 2.5;
            let rail = v > height - 0.05 - wide * 0.5 || (v > 0.1 && v < 0.1 + wide * 1.5);
            (along < wide || post || rail, true)
        }
        Mat::Mesh => {
            let g = 0.08 + z * 0.003;
            let (a, b) = ((u + v) / g, (u - v) / g);
            let post = u - floor(u / 2.5) * 2.5 < 0.06;
            (a - floor(a) < 0.18 || b - floor(b) < 0.18 || post || v > look.p[2] - 0.05, true)
        }
        Mat::Rim => {
            let r2 = u * u + v * v;
            let ring = r2 < 1.0 && r2 > 0.78;
            let spoke = r2 < 1.0 && ((u * 7.0 + v * 3.0).abs() < 0.35 || (v * 7.0 - u * 3.0).abs() < 0.35);
            (ring || spoke, r2 < 1.0)
        }
        Mat::Wheel => both(u * u + v * v < 1.0),
        _ => both(prim.shape != Shape::Ball || u * u + v * v < 1.0),
    }
}

/// Distance from the nearest whole number.
fn line(x: f32) -> f32 {
    (x - floor(x + 0.5)).abs()
}

/// Sign outlines in -1..1: 0 rectangle, 1 round, 2 triangle, 3 triangle on its tip, 4 octagon, 5 diamond.
fn outline(kind: f32, u: f32, v: f32) -> bool {
    match kind as i32 {
        1 => u * u + v * v < 1.0,
        2 => v > -0.8 && v < 0.95 - u.abs() * 1.8,
        3 => v < 0.8 && v > -0.95 + u.abs() * 1.8,
        4 => u.abs() < 0.92 && v.abs() < 0.92 && u.abs() + v.abs() < 1.3,
        5 => u.abs() + v.abs() < 1.0,
        _ => true,
    }
}
