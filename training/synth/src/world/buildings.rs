//! Rows of houses along the street.

use super::{Builder, id};
use crate::Layout;
use crate::math::{Rgb, V3, rgb, scale};
use crate::random::Rng;
use crate::shade::Facade;
use crate::stage::{Frame, Look, Mat};

/// Houses stand in cells of this many metres along the street.
const CELL_M: f32 = 30.0;

const ROOFS: [Rgb; 6] = [
    rgb(84, 62, 52),
    rgb(120, 72, 54),
    rgb(70, 70, 74),
    rgb(96, 92, 90),
    rgb(58, 54, 54),
    rgb(140, 92, 66),
];

struct House {
    from: f32,
    to: f32,
    /// Distance of its front from d = 0, and how deep it is.
    front: f32,
    depth: f32,
    height: f32,
    /// Rise of a pitched roof, 0 for a flat one.
    ridge: f32,
    roof: Rgb,
    style: usize,
    seed: u32,
}

impl Builder<'_, '_> {
    pub(super) fn houses(&mut self) {
        for side in 0..2 {
            let mut rng = Rng::of(self.scene.seed, 20, side as i64);
            // Now and then one side of the street is open: a park, a place, fields.
            let density = match self.road.layout {
                Layout::City => rng.pick(&[1.0, 1.0, 1.0, 0.95, 0.85, 0.3]),
                _ => rng.pick(&[1.0, 0.97, 0.9, 0.6]),
            };
            let tall = match self.road.layout {
                Layout::City => rng.range(8.0, 17.0),
                _ => rng.range(5.5, 8.5),
            };
            for cell in self.cells(CELL_M) {
                if self.ahead(cell as f32 * CELL_M) < 290.0 {
                    self.house_cell(side, cell, density, tall);
                }
            }
            if density < 0.6 {
                self.second_row(side, tall);
            }
        }
        for k in 0..self.junctions.len() {
            self.across_the_mouth(k);
        }
    }

    fn house_cell(&mut self, side: usize, cell: i64, density: f32, tall: f32) {
        let mut rng = Rng::of(self.scene.seed, 21 + side as u64, cell);
        let city = self.road.layout == Layout::City;
        let parts = if city { 1 + rng.below(4) } else { 1 + rng.below(3) };
        let mut at = cell as f32 * CELL_M;
        for part in 0..parts {
            let width = CELL_M / parts as f32;
            let gap = if city {
                if rng.chance(0.08) { rng.range(1.0, 4.0) } else { 0.0 }
            } else {
                rng.range(1.5, 5.0)
            };
            let (from, to) = (at, at + width - gap);
            at += width;
            let built = rng.chance(density);
            let height = (tall * rng.range(0.6, 1.5)).max(3.2) * if city && rng.chance(0.07) { 1.9 } else { 1.0 };
            let mut style_rng = Rng::new(rng.next());
            let shops = if city { 0.5 } else { 0.06 };
            let setback = if rng.chance(0.25) {
                rng.range(0.3, if city { 2.5 } else { 4.0 })
            } else {
                0.0
            };
            let ridge = if rng.chance(if city { 0.5 } else { 0.92 }) {
                rng.range(1.5, 3.8)
            } else {
                0.0
            };
            let (roof, seed) = (scale(rng.pick(&ROOFS), rng.range(0.7, 1.3)), rng.seed32());
            let depth = rng.range(7.0, 14.0);
            if !built
                || self.in_mouth(side, from, 1.0)
                || self.in_mouth(side, to, 1.0)
                || self.in_mouth(side, (from + to) * 0.5, 1.0)
                || part > 3
            {
                continue;
            }
            let facade = Facade::new(&mut style_rng, height, shops);
            self.facades.push(facade);
            let style = self.facades.len() - 1;
            let house = House {
                from,
                to,
                front: self.road.front[side] + setback,
                depth,
                height,
                ridge,
                roof,
                style,
                seed,
            };
            self.shadows.house(side, from, to, height + ridge * 0.7);
            self.house(side, &house);
        }
    }

    fn house(&mut self, side: usize, h: &House) {
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let base = self.road.ground(sign * h.front);
        let p = |d: f32, y: f32, z: f32| self.road.point(sign * d, base + y, z);
        let (near, far, a, b, top) = (h.front, h.front + h.depth, h.from, h.to, h.height);
        let wall = |blind: f32| {
            Look::new(Mat::Facade, id::BUILDING, [0.0; 3])
                .seed(h.style as u32)
                .p([blind, 0.0, 0.0, 0.0])
        };
        let front = [p(near, -1.5, a), p(near, -1.5, b), p(near, top, b), p(near, top, a)];
        let origin = p(near, 0.0, a);
        let along = (p(near, 0.0, b) - origin).unit();
        let deep = (p(far, 0.0, a) - origin).unit();
        let frame = Frame {
            origin,
            u: along,
            v: V3::UP,
        };
        let sides = [[a, 0.0], [b, 1.0]].map(|[z, _]| [p(near, -1.5, z), p(far, -1.5, z), p(far, top, z), p(near, top, z)]);
        let gables = [a, b].map(|z| [p(near, top, z), p(far, top, z), p((near + far) * 0.5, top + h.ridge, z)]);
        let slope = [
            p(near - 0.35, top - 0.15, a),
            p(near - 0.35, top - 0.15, b),
            p((near + far) * 0.5, top + h.ridge, b),
            p((near + far) * 0.5, top + h.ridge, a),
        ];
        let chimney_at = p((near + far) * 0.5 - 0.5, top + h.ridge - 0.6, a + (b - a) * 0.12);
        let door = (h.seed & 7) < 3 && self.road.layout != Layout::City;
        let bay = door.then(|| p(near - 0.4, 0.0, a + (b - a) * 0.7));
        let forward = self.road.forward(a);
        let stage = &mut self.stage;
        stage.polygon(&front, frame, wall(0.0), false);
        for (k, corners) in sides.iter().enumerate() {
            let origin = if k == 0 { origin } else { front[1] + V3::UP * 1.5 };
            stage.polygon(
                corners,
                Frame {
                    origin,
                    u: deep,
                    v: V3::UP,
                },
                wall(1.0),
                false,
            );
        }
        if h.ridge > 0.0 {
            let roof = Look::new(Mat::Roof, id::BUILDING, h.roof).seed(h.seed);
            stage.plain(&slope, roof);
            for (k, corners) in gables.iter().enumerate() {
                let origin = if k == 0 { origin } else { front[1] + V3::UP * 1.5 };
                stage.polygon(
                    corners,
                    Frame {
                        origin,
                        u: deep,
                        v: V3::UP,
                    },
                    wall(1.0),
                    false,
                );
            }
            if h.seed & 3 != 0 {
                let brick = Look::new(Mat::Matt, id::BUILDING, rgb(120, 84, 68))
                    .seed(h.seed)
                    .p([3.0, 0.0, 0.0, 0.0]);
                stage.cuboid(chimney_at, forward, V3 { x: 0.9, y: 1.6, z: 0.7 }, brick);
            }
        }
        if let Some(at) = bay {
            let trim = Look::new(Mat::Matt, id::BUILDING, rgb(206, 200, 190))
                .seed(h.seed)
                .p([2.0, 0.0, 0.0, 0.0]);
            stage.cuboid(at, forward, V3 { x: 0.8, y: 2.6, z: 2.0 }, trim);
        }
    }

    /// Where the first row has gaps, something stands further back.
    fn second_row(&mut self, side: usize, tall: f32) {
        for cell in self.cells(70.0) {
            let mut rng = Rng::of(self.scene.seed, 25 + side as u64, cell);
            let height = tall * rng.range(0.6, 1.6);
            let front = self.road.front[side] + rng.range(25.0, 60.0);
            let from = cell as f32 * 70.0 + rng.range(0.0, 20.0);
            let to = from + rng.range(12.0, 45.0);
            let style = Facade::new(&mut rng, height, 0.1);
            if rng.chance(0.45) || self.in_mouth(side, from, 2.0) || self.in_mouth(side, to, 2.0) {
                continue;
            }
            self.facades.push(style);
            let style = self.facades.len() - 1;
            let ridge = if rng.chance(0.6) { 2.5 } else { 0.0 };
            let (roof, seed) = (rng.pick(&ROOFS), rng.seed32());
            self.house(
                side,
                &House {
                    from,
                    to,
                    front,
                    depth: 10.0,
                    height,
                    ridge,
                    roof,
                    style,
                    seed,
                },
            );
        }
    }

    /// The fronts of a side road, seen through its mouth.
    fn across_the_mouth(&mut self, k: usize) {
        let j = self.junctions[k];
        for side in 0..2 {
            if !j.sides[side] || self.ahead(j.z) < -15.0 {
                continue;
            }
            let sign = if side == 1 { 1.0 } else { -1.0 };
            let mut rng = Rng::of(self.scene.seed, 27 + side as u64, j.z as i64);
            let mut d = self.road.front[side] + 14.0;
            for _ in 0..4 {
                let (width, height) = (rng.range(8.0, 16.0), rng.range(5.0, 12.0));
                let z = j.z + j.half + rng.range(1.5, 4.0);
                let style = Facade::new(&mut rng, height, 0.2);
                self.facades.push(style);
                let look = Look::new(Mat::Facade, id::BUILDING, [0.0; 3]).seed(self.facades.len() as u32 - 1);
                let p = |d: f32, y: f32| self.road.point(sign * d, y, z);
                let corners = [p(d, -0.5), p(d + width, -0.5), p(d + width, height), p(d, height)];
                let frame = Frame {
                    origin: p(d, 0.0),
                    u: (corners[1] - corners[0]).unit(),
                    v: V3::UP,
                };
                self.stage.polygon(&corners, frame, look, false);
                d += width + if rng.chance(0.3) { 3.0 } else { 0.0 };
            }
        }
    }
}
