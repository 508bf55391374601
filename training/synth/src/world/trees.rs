//! Trees, hedges and tree belts.

use super::{Builder, id};
use crate::Layout;
use crate::math::{Rgb, V3, rgb, scale, v3};
use crate::random::Rng;
use crate::shadows::Crown;
use crate::stage::{Look, Mat};

/// What a scene's trees look like on average.
#[derive(Clone, Copy)]
struct Season {
    green: Rgb,
    bare: f32,
}

/// Where a crown is and how large: its middle, the fork it grows from, half width, half height, the trunk's radius, and the
/// distance from the camera, all in metres.
struct Canopy {
    crown: V3,
    fork: V3,
    spread: f32,
    half: f32,
    girth: f32,
    far: f32,
}

const GREENS: [Rgb; 7] = [
    rgb(66, 88, 36),
    rgb(52, 72, 34),
    rgb(84, 100, 48),
    rgb(44, 58, 32),
    rgb(102, 108, 58),
    rgb(92, 84, 44),
    rgb(58, 80, 52),
];

impl Builder<'_, '_> {
    pub(super) fn vegetation(&mut self) {
        let mut rng = Rng::of(self.scene.seed, 30, 0);
        let season = Season {
            green: rng.pick(&GREENS),
            bare: rng.pick(&[0.0, 0.0, 0.2, 0.6, 0.95]),
        };
        let motorway = self.road.layout == Layout::Motorway;
        for side in 0..2 {
            let density = match self.road.layout {
                Layout::City => rng.pick(&[0.0, 0.12, 0.3, 0.7]),
                Layout::Suburb => rng.pick(&[0.2, 0.5, 0.8]),
                _ => rng.pick(&[0.3, 0.7, 0.95]),
            };
            let step = if motorway { 9.0 } else { 11.0 };
            for cell in self.cells(step) {
                let mut rng = Rng::of(self.scene.seed, 31 + side as u64, cell);
                let z = (cell as f32 + rng.range(0.2, 0.8)) * step;
                if !rng.chance(density) || self.in_mouth(side, z, 2.5) {
                    continue;
                }
                let d = self.road.trees[side] + if motorway { rng.range(-3.0, 12.0) } else { 0.0 };
                self.tree(side, d, z, &mut rng, season);
            }
            self.backdrop(side, season);
            if !motorway && rng.chance(if self.road.layout == Layout::Suburb { 0.6 } else { 0.22 }) {
                self.hedge_row(side, season);
            }
        }
    }

    /// Trees behind the houses, or a belt along a motorway.
    fn backdrop(&mut self, side: usize, season: Season) {
        let mut rng = Rng::of(self.scene.seed, 33, side as i64);
        let density = rng.pick(&[0.0, 0.35, 0.7]);
        let far = rng.range(12.0, 40.0);
        for cell in self.cells(10.0) {
            let mut rng = Rng::of(self.scene.seed, 34 + side as u64, cell);
            let z = (cell as f32 + rng.unit()) * 10.0;
            if rng.chance(density) && !self.in_mouth(side, z, 6.0) {
                let d = self.road.front[side] + far + rng.range(0.0, 20.0);
                self.tree(2, if side == 1 { d } else { -d }, z, &mut rng, season);
            }
        }
    }

    /// `side` 2 takes `d` with its sign, and throws no shadow.
    fn tree(&mut self, side: usize, d: f32, z: f32, rng: &mut Rng, season: Season) {
        let d = match side {
            0 => -d,
            _ => d,
        };
        let height = rng.range(4.5, 13.0);
        let kind = rng.unit();
        let conifer = kind < 0.14;
        let bare = !conifer && rng.chance(season.bare);
        let tone = scale(if rng.chance(0.6) { season.green } else { rng.pick(&GREENS) }, rng.range(0.7, 1.5));
        let lean = rng.range(-0.3, 0.3);
        let spread = height * if conifer { rng.range(0.16, 0.24) } else { rng.range(0.24, 0.4) };
        let foot = self.road.on_ground(d, -0.1, z);
        let far = (foot - self.stage.camera.at).length();
        if self.ahead(z) < -spread {
            return;
        }
        let trunk = if conifer { height * 0.15 } else { height * rng.range(0.25, 0.42) };
        let crown = foot + v3(lean, trunk + (height - trunk) * 0.5, 0.0);
        if side < 2 {
            let shade = Crown {
                y: trunk + (height - trunk) * 0.5,
                z,
                radius: spread * 1.1,
                thin: if bare { 0.6 } else { 0.1 },
            };
            self.shadows.crown(side, shade);
        }
        let bark = Look::new(Mat::Matt, id::TREE, scale(rgb(92, 80, 68), rng.range(0.5, 1.2)))
            .seed(rng.seed32())
            .p([6.0, 0.0, 0.0, 0.0]);
        let girth = height * rng.range(0.014, 0.026);
        let fork = foot + v3(lean * 0.5, trunk * 1.15, 0.0);
        self.stage.limb(foot, fork, girth * 1.2, girth * 0.8, bark);
        if bare {
            self.bare_crown(
                &Canopy {
                    crown,
                    fork,
                    spread,
                    half: (height - trunk) * 0.5,
                    girth,
                    far,
                },
                rng,
                bark,
            );
            return;
        }
        let blobs = if far < 45.0 {
            13
        } else if far < 110.0 {
            7
        } else {
            4
        };
        let look = |rng: &mut Rng| Look::new(Mat::Leaf, id::TREE, scale(tone, rng.range(0.75, 1.25))).seed(rng.seed32());
        if conifer {
            let rows = blobs.min(8);
            for k in 0..rows {
                let t = (k as f32 + 0.5) / rows as f32;
                let r = spread * (1.1 - t);
                let at = foot
                    + v3(
                        lean * t + rng.range(-0.2, 0.2) * r,
                        trunk * 0.6 + (height - trunk * 0.6) * t,
                        rng.range(-0.3, 0.3) * r,
                    );
                self.stage.blob(at, r, height / rows as f32 * 0.9, look(rng));
            }
            return;
        }
        for k in 0..blobs {
            let turn = k as f32 * 2.4 + rng.unit();
            let level = (k as f32 + 0.5) / blobs as f32 * 2.0 - 1.0;
            let ring = (1.0 - level * level * 0.8).sqrt() * spread * 0.62;
            let at = crown
                + v3(
                    crate::math::cos(turn) * ring,
                    level * (height - trunk) * 0.36,
                    crate::math::sin(turn) * ring,
                );
            let r = spread * rng.range(0.42, 0.66) * if blobs < 6 { 1.3 } else { 1.0 };
            self.stage.blob(at, r, r * rng.range(0.75, 1.0), look(rng));
        }
    }

    /// Branches and clouds of twigs.
    fn bare_crown(&mut self, shape: &Canopy, rng: &mut Rng, bark: Look) {
        let Canopy {
            crown,
            fork,
            spread,
            half,
            girth,
            far,
        } = *shape;
        let branches = if far < 60.0 { 14 } else { 5 };
        for k in 0..branches {
            let turn = k as f32 * 2.4 + rng.unit();
            let (c, s) = (crate::math::cos(turn), crate::math::sin(turn));
            let reach = rng.range(0.5, 1.0);
            let tip = crown + v3(c * spread * 0.85 * reach, half * rng.range(-0.2, 0.95), s * spread * 0.85 * reach);
            let from = fork.mix(crown, rng.range(-0.2, 0.7));
            let elbow = from.mix(tip, 0.5) + V3::UP * (-0.12 * half);
            self.stage.limb(from, elbow, girth * 0.5, girth * 0.3, bark);
            self.stage.limb(elbow, tip, girth * 0.3, girth * 0.1, bark);
            if far < 35.0 {
                for _ in 0..3 {
                    let base = elbow.mix(tip, rng.range(0.1, 0.8));
                    let end = base + v3(rng.range(-0.3, 0.3), rng.range(0.1, 0.4), rng.range(-0.3, 0.3)) * spread;
                    self.stage.limb(base, end, girth * 0.16, girth * 0.05, bark);
                }
            }
        }
        let color = scale(bark.color, rng.range(0.8, 1.3));
        for k in 0..3 {
            let look = Look::new(Mat::Twigs, id::TREE, color)
                .seed(rng.seed32())
                .p([rng.range(0.8, 1.7), 0.0, 0.0, 0.0]);
            let shift = v3(
                rng.range(-0.3, 0.3) * spread,
                rng.range(-0.2, 0.2) * half,
                (k as f32 - 1.0) * 0.4 * spread,
            );
            self.stage.blob(crown + shift, spread * 1.05, half * 1.08, look);
        }
    }

    fn hedge_row(&mut self, side: usize, season: Season) {
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let last = self.road.strips[side].iter().rev().nth(1).map_or(3.0, |s| s.from);
        let d = self.road.edge[side] + last + 0.3;
        for cell in self.cells(12.0) {
            let mut rng = Rng::of(self.scene.seed, 36 + side as u64, cell);
            let (z, length) = (cell as f32 * 12.0, rng.range(6.0, 12.0));
            if rng.chance(0.25) || self.in_mouth(side, z, 1.0) || self.in_mouth(side, z + length, 1.0) || self.ahead(z) > 200.0 {
                continue;
            }
            let height = rng.range(0.8, 2.4);
            let p = |d: f32, y: f32, z: f32| self.road.on_ground(sign * d, y, z);
            let look = Look::new(Mat::Hedge, id::TREE, scale(season.green, rng.range(0.6, 1.2)))
                .seed(rng.seed32())
                .p([height, 0.0, 0.0, 0.0]);
            let front = [p(d, 0.0, z), p(d, 0.0, z + length), p(d, height, z + length), p(d, height, z)];
            let end = [p(d, 0.0, z), p(d + 0.9, 0.0, z), p(d + 0.9, height, z), p(d, height, z)];
            let back = [
                p(d + 0.8, 0.0, z),
                p(d + 0.8, 0.0, z + length),
                p(d + 0.8, height, z + length),
                p(d + 0.8, height, z),
            ];
            self.stage.plain(&front, look);
            self.stage.plain(&back, look);
            self.stage.plain(&end, look);
        }
    }
}
