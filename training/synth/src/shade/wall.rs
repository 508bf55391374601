//! Façades, roofs and concrete.

use super::{Finish, Painter, Surface};
use crate::math::{Cyclic, Rgb, above, floor, mix, rgb, scale, smoothstep, within};
use crate::random::{Rng, faded, fractal, hash2};

/// How one house front looks. Lengths in metres.
#[derive(Debug, Clone)]
pub(crate) struct Facade {
    wall: Rgb,
    trim: Rgb,
    glass: Rgb,
    brick: bool,
    bay: f32,
    pub floor: f32,
    /// Height of the ground floor; 0 when it is like the others.
    ground: f32,
    shop: Rgb,
    fascia: Rgb,
    window: [f32; 2],
    sill: f32,
    bars: f32,
    band: f32,
    arch: bool,
    dirt: f32,
    height: f32,
    seed: u32,
    blank: bool,
}

const BRICKS: [Rgb; 7] = [
    rgb(150, 88, 66),
    rgb(172, 128, 92),
    rgb(196, 170, 122),
    rgb(128, 70, 56),
    rgb(164, 146, 118),
    rgb(110, 84, 70),
    rgb(186, 150, 104),
];
const PLASTER: [Rgb; 9] = [
    rgb(226, 220, 206),
    rgb(238, 236, 230),
    rgb(210, 196, 168),
    rgb(190, 184, 174),
    rgb(222, 200, 160),
    rgb(204, 176, 150),
    rgb(180, 192, 196),
    rgb(140, 136, 130),
    rgb(96, 92, 90),
];
const SHOPS: [Rgb; 9] = [
    rgb(30, 60, 44),
    rgb(28, 40, 84),
    rgb(120, 24, 28),
    rgb(24, 24, 26),
    rgb(210, 206, 196),
    rgb(60, 110, 150),
    rgb(170, 130, 40),
    rgb(84, 44, 80),
    rgb(20, 96, 90),
];

impl Facade {
    /// Draws a style; `shops` is the chance of a shop on the ground floor.
    pub fn new(rng: &mut Rng, height: f32, shops: f32) -> Self {
        let brick = rng.chance(0.5);
        let modern = rng.chance(0.22);
        let wall = if brick { rng.pick(&BRICKS) } else { rng.pick(&PLASTER) };
        let shop = rng.chance(shops);
        let k = rng.range(0.4, 1.1);
        Self {
            wall: scale(wall, k),
            trim: rng.pick(&[rgb(235, 233, 226), rgb(214, 206, 190), rgb(70, 66, 62), rgb(240, 240, 240)]),
            glass: rng.pick(&[rgb(40, 46, 54), rgb(58, 68, 80), rgb(26, 28, 32), rgb(84, 100, 116)]),
            brick,
            bay: if modern { rng.range(1.4, 3.5) } else { rng.range(1.9, 4.2) },
            floor: rng.range(2.7, 3.6),
            ground: if shop { rng.range(3.0, 4.2) } else { 0.0 },
            shop: rng.pick(&SHOPS),
            fascia: rng.pick(&SHOPS),
            window: if modern {
                [rng.range(0.7, 0.97), rng.range(0.45, 0.8)]
            } else {
                [rng.range(0.3, 0.55), rng.range(0.42, 0.62)]
            },
            sill: if modern { rng.range(0.1, 0.3) } else { rng.range(0.24, 0.34) },
            bars: rng.pick(&[0.0, 1.0, 1.0, 2.0, 3.0]),
            band: if rng.chance(0.45) { rng.range(0.12, 0.4) } else { 0.0 },
            arch: rng.chance(0.15),
            dirt: rng.range(0.2, 0.9),
            height,
            seed: rng.seed32(),
            blank: rng.chance(0.03),
        }
    }
}

impl Painter<'_> {
    /// `u` metres along the front, `v` metres up; `p[0]` is 1 for side walls with few windows; `seed` indexes the styles.
    pub(super) fn facade(&self, s: &Surface) -> Finish {
        let f = &self.facades[s.look.seed as usize];
        let (u, v, fu, fv) = (s.u, s.v, s.fu, s.fv);
        let shift = (f.seed & 127) as f32;
        let mut albedo = f.wall;
        if f.brick {
            albedo = scale(albedo, brick(u, v, fu, fv, f.seed));
        }
        let weather = fractal(u * 0.35 + shift, v * 0.22, fu * 0.35, 4);
        let streak = faded(u * 1.7 + shift, v * 0.08, fu * 1.7);
        albedo = scale(albedo, 1.0 - f.dirt * (0.9 * weather * streak + 0.15));
        albedo = scale(albedo, 0.82 + 0.36 * faded(u * 7.0, v * 7.0, fu.max(fv) * 7.0));
        let foot = 1.0 - 0.25 * smoothstep(1.2, 0.0, v);
        let plain = f.blank || s.look.p[0] > 0.5 && hash2(f.seed as i32 & 1023, 5, 9) < 0.35;
        if v < f.ground && s.look.p[0] < 0.5 {
            return self.shop(s, f, albedo, foot);
        }
        if f.band > 0.0 {
            let storey = (v - f.ground).wrap(f.floor);
            albedo = mix(albedo, f.trim, 0.8 * within(0.0, f.band, storey, fv));
        }
        let top = within(f.height - 0.45, f.height, v, fv);
        albedo = mix(albedo, scale(f.trim, 0.75), top * 0.7);
        albedo = scale(albedo, 1.0 - 0.55 * within(f.height - 0.75, f.height - 0.45, v, fv));
        // Downpipes and the seams between houses.
        let pipe = within(0.0, 0.1, (u + shift).wrap(f.bay * 4.0), fu) * (1.6 - fu * 6.0).clamp(0.0, 1.0);
        albedo = mix(albedo, rgb(40, 40, 42), pipe * 0.7);
        let mut finish = Finish {
            albedo: scale(albedo, foot),
            shine: [0.0; 3],
            open: 0.85,
        };
        if !plain && v < f.height - 0.5 {
            self.windows(s, f, &mut finish);
        }
        finish
    }

    fn windows(&self, s: &Surface, f: &Facade, finish: &mut Finish) {
        let (v, fu, fv) = (s.v - f.ground, s.fu, s.fv);
        let (column, storey) = (floor(s.u / f.bay), floor(v / f.floor));
        let (lu, lv) = (s.u - (column + 0.5) * f.bay, v - storey * f.floor);
        let (half, low, high) = (f.window[0] * f.bay * 0.5, f.sill * f.floor, (f.sill + f.window[1]) * f.floor);
        let fade = (1.6 - fu / f.bay * 2.0)
            .clamp(0.0, 1.0)
            .min((1.6 - fv / f.floor * 2.0).clamp(0.0, 1.0));
        let high = if f.arch { high - lu * lu * 0.6 } else { high };
        let inside = within(-half, half, lu, fu) * within(low, high, lv, fv);
        let surround = within(-half - 0.14, half + 0.14, lu, fu) * within(low - 0.12, high + 0.16, lv, fv);
        let pick = hash2(column as i32, storey as i32, f.seed);
        let kind = hash2(column as i32 + 77, storey as i32, f.seed);
        // One pane in a few mirrors the sky; blinds and curtains show pale behind others.
        let mirror = s.view - s.normal * (2.0 * s.view.dot(s.normal));
        let sky = self.light.reflected((mirror + crate::math::V3::UP * (0.25 * pick)).unit());
        let mut pane = scale(f.glass, 0.1 + 0.9 * pick * pick);
        if kind < 0.25 {
            pane = mix(pane, f.trim, 0.35 * above(low + (high - low) * pick, lv, fv));
        }
        let frame = if f.bars > 0.0 {
            let gap = 2.0 * half / f.bars;
            let across = (lu + half).wrap(gap);
            let middle = (low + high) * 0.5;
            within(0.0, 0.07, across, fu)
                .max(within(middle - 0.04, middle + 0.04, lv, fv))
                .max(1.0 - within(-half + 0.06, half - 0.06, lu, fu))
        } else {
            0.0
        };
        let reveal = above(high - 0.2, lv, fv).max(within(-half, -half + 0.1, lu, fu)) * 0.6;
        pane = mix(scale(pane, 1.0 - reveal), f.trim, frame * 0.8);
        let lit = if kind > 0.75 { self.light.dusk * (0.2 + pick * 0.6) } else { 0.0 };
        let trim = mix(finish.albedo, f.trim, 0.75 * hash2(f.seed as i32 & 255, 1, 3));
        let wall = mix(finish.albedo, trim, (surround - inside).clamp(0.0, 1.0) * fade);
        let k = inside * (0.35 + 0.65 * fade);
        finish.albedo = mix(wall, pane, k);
        let reflect = k * (1.0 - frame) * (0.06 + 0.4 * pick * pick) * (1.0 - reveal);
        finish.shine = scale(sky, reflect);
        let warm = scale(rgb(255, 214, 150), lit * k * (1.0 - frame));
        finish.shine = [finish.shine[0] + warm[0], finish.shine[1] + warm[1], finish.shine[2] + warm[2]];
    }

    fn shop(&self, s: &Surface, f: &Facade, wall: Rgb, foot: f32) -> Finish {
        let (u, v, fu, fv) = (s.u, s.v, s.fu, s.fv);
        let unit = f.bay * 2.0;
        let cell = floor(u / unit);
        let lu = u - cell * unit;
        let owner = hash2(floor(u / (unit * 2.0)) as i32, 1, f.seed);
        let board = if owner < 0.5 {
            f.fascia
        } else {
            SHOPS[(owner * 17.9) as usize % SHOPS.len()]
        };
        let fascia = within(f.ground - 0.85, f.ground - 0.15, v, fv);
        let letters = within(f.ground - 0.66, f.ground - 0.34, v, fv)
            * f32::from(u8::from(hash2(floor(u * 4.0) as i32, 2, f.seed) < 0.6))
            * within(unit * 0.2, unit * 0.8, lu, fu)
            * (1.5 - fu * 4.0).clamp(0.0, 1.0);
        let pane = within(0.28, unit - 0.28, lu, fu) * within(0.5, f.ground - 0.95, v, fv);
        let bars = within(0.0, 0.06, (lu - 0.28).wrap(f.bay * 0.8), fu);
        let goods = fractal(u * 1.1, v * 1.3 + (f.seed & 63) as f32, fu * 1.1, 3);
        let bright = hash2(cell as i32, 4, f.seed);
        let mut albedo = mix(wall, f.shop, 0.85 * above(0.0, v, fv));
        albedo = mix(albedo, board, fascia);
        albedo = mix(albedo, mix(rgb(240, 236, 220), rgb(220, 180, 60), bright), letters * 0.85);
        let inside = mix(
            scale(f.glass, 0.5),
            scale([0.5, 0.42, 0.34], 0.3 + bright),
            smoothstep(0.45, 0.8, goods),
        );
        let k = pane * (1.0 - bars);
        albedo = mix(albedo, inside, k);
        let mirror = s.view - s.normal * (2.0 * s.view.dot(s.normal));
        let glow = scale(rgb(255, 226, 176), (0.04 + 0.5 * self.light.dusk) * bright * goods * k);
        let sky = scale(self.light.reflected(mirror), 0.16 * k);
        Finish {
            albedo: scale(albedo, foot),
            shine: [sky[0] + glow[0], sky[1] + glow[1], sky[2] + glow[2]],
            open: 0.75,
        }
    }
}

/// Rows of bricks: a factor round 1.
fn brick(u: f32, v: f32, fu: f32, fv: f32, seed: u32) -> f32 {
    const ROW_M: f32 = 0.075;
    const BRICK_M: f32 = 0.225;
    let keep = (1.4 - fv / ROW_M * 1.2).clamp(0.0, 1.0);
    let patch = 0.9 + 0.2 * faded(u * 2.0, v * 3.0, fu.max(fv) * 3.0);
    if keep == 0.0 {
        return patch;
    }
    let row = floor(v / ROW_M);
    let along = u / BRICK_M + if row as i32 & 1 == 0 { 0.5 } else { 0.0 };
    let tone = 0.6 + 0.8 * hash2(floor(along) as i32, row as i32, seed);
    let mortar = within(0.0, 0.16, (v / ROW_M).frac(), fv / ROW_M).max(within(0.0, 0.06, along.frac(), fu / BRICK_M));
    patch * (1.0 + ((tone * (1.0 - mortar) + 1.25 * mortar) - 1.0) * keep)
}

pub(crate) fn roof(s: &Surface) -> Finish {
    let row = floor(s.v / 0.28);
    let keep = (1.4 - s.fv / 0.28 * 1.5).clamp(0.0, 1.0);
    let tile = hash2(floor(s.u / 0.3 + 0.5 * (row as i32 & 1) as f32) as i32, row as i32, s.look.seed);
    let weather = fractal(s.u * 0.5 + (s.look.seed & 63) as f32, s.v * 0.5, s.fu * 0.5, 3);
    let lines = within(0.0, 0.15, (s.v / 0.28).frac(), s.fv / 0.28);
    Finish::matt(scale(
        s.look.color,
        (0.7 + 0.6 * weather) * (1.0 + (tone(tile) - 0.35 * lines) * keep),
    ))
}

fn tone(tile: f32) -> f32 {
    (tile - 0.5) * 0.45
}

pub(crate) fn concrete(s: &Surface) -> Finish {
    let joint = s.look.p[0].max(0.5);
    let stains = fractal(s.u * 0.4 + (s.look.seed & 63) as f32, s.v * 1.2, s.fu * 0.6, 4);
    let streak = faded(s.u * 3.0, s.v * 0.3, s.fu * 3.0);
    let line = within(0.0, 0.05, s.u.wrap(joint), s.fu);
    Finish::matt(scale(
        s.look.color,
        (0.65 + 0.5 * stains) * (0.85 + 0.3 * streak) * (1.0 - 0.5 * line),
    ))
}
