//! Lamp posts, signs, traffic lights, railings, bins.

use super::{Builder, id};
use crate::Layout;
use crate::math::{Rgb, V3, rgb, scale};
use crate::random::Rng;
use crate::stage::{Frame, Look, Mat};

const METALS: [Rgb; 5] = [
    rgb(120, 122, 122),
    rgb(64, 68, 66),
    rgb(34, 38, 36),
    rgb(150, 150, 146),
    rgb(90, 100, 96),
];
const BOARDS: [Rgb; 6] = [
    rgb(24, 60, 140),
    rgb(20, 96, 60),
    rgb(232, 232, 226),
    rgb(24, 26, 30),
    rgb(176, 30, 34),
    rgb(226, 186, 40),
];

impl Builder<'_, '_> {
    pub(super) fn furniture(&mut self) {
        let clutter = self.scene.options.clutter;
        let mut rng = Rng::of(self.scene.seed, 70, 0);
        let metal = rng.pick(&METALS);
        let spacing = rng.range(22.0, 38.0);
        let tall = rng.range(4.5, 9.5);
        let arm = rng.range(0.0, 2.2);
        let wires = rng.chance(0.2);
        let fences = [rng.chance(0.3), rng.chance(0.3)];
        for (side, fenced) in fences.into_iter().enumerate() {
            let sign = if side == 1 { 1.0 } else { -1.0 };
            let d = sign * (self.road.edge[side] + 0.55);
            for cell in self.cells(spacing) {
                let z = (cell as f32 + if side == 1 { 0.5 } else { 0.0 }) * spacing + 3.0;
                if !self.in_mouth(side, z, 0.5) && self.ahead(z) < 220.0 {
                    self.lamp_post(d, z, tall, arm, metal);
                    if wires {
                        self.wires(d, z, spacing, tall);
                    }
                }
            }
            for cell in self.cells(9.0) {
                let mut rng = Rng::of(self.scene.seed, 71 + side as u64, cell);
                let z = (cell as f32 + rng.range(0.1, 0.9)) * 9.0;
                if self.in_mouth(side, z, 0.5) || self.ahead(z) > 120.0 {
                    continue;
                }
                let pick = rng.unit() / clutter.max(0.05);
                let inset = rng.range(0.4, 0.9);
                let d = sign * (self.road.edge[side] + inset);
                if pick < 0.34 {
                    self.road_sign(d, z, (side == 1) == (self.road.drive > 0.0), metal, &mut rng);
                } else if pick < 0.42 {
                    self.bollards(d, z, &mut rng);
                } else if pick < 0.5 {
                    self.bin(sign * (self.road.edge[side] + 0.8), z, &mut rng);
                } else if pick < 0.7 && self.road.layout == Layout::City {
                    self.shop_sign(side, z, &mut rng);
                }
            }
            if fenced {
                self.fence(side);
            }
        }
        for k in 0..self.junctions.len() {
            if self.junctions[k].lights {
                self.traffic_lights(k, metal);
            }
        }
    }

    pub(super) fn pole(&mut self, foot: V3, height: f32, radius: f32, color: Rgb) {
        let look = Look::new(Mat::Matt, id::POLE, color);
        self.stage.limb(foot, foot + V3::UP * height, radius * 1.15, radius * 0.85, look);
    }

    fn lamp_post(&mut self, d: f32, z: f32, tall: f32, arm: f32, metal: Rgb) {
        let foot = self.road.on_ground(d, 0.0, z);
        self.pole(foot, tall, 0.075, metal);
        self.stage
            .limb(foot, foot + V3::UP * 1.1, 0.11, 0.11, Look::new(Mat::Matt, id::POLE, metal));
        let inward = V3 {
            x: -d.signum(),
            y: 0.0,
            z: 0.0,
        };
        let top = foot + V3::UP * tall;
        let end = top + inward * arm + V3::UP * (arm * 0.15);
        if arm > 0.3 {
            self.stage.limb(top, end, 0.045, 0.04, Look::new(Mat::Matt, id::POLE, metal));
        }
        let glow = Look::new(Mat::Lamp, id::POLE, rgb(255, 226, 176)).p([3.0, 0.0, 0.0, 0.0]);
        self.stage.limb(
            end,
            end + inward * 0.55,
            0.09,
            0.08,
            Look::new(Mat::Matt, id::POLE, scale(metal, 1.1)),
        );
        if self.light.dusk > 0.3 {
            self.stage.ball(end + inward * 0.3 - V3::UP * 0.06, 0.11, glow);
        }
    }

    fn wires(&mut self, d: f32, z: f32, spacing: f32, tall: f32) {
        let wire = Look::new(Mat::Matt, crate::stage::NO_LABEL, rgb(40, 40, 42));
        let (a, b) = (
            self.road.on_ground(d, tall * 0.95, z),
            self.road.on_ground(d, tall * 0.95, z + spacing),
        );
        let sag = a.mix(b, 0.5) - V3::UP * 0.5;
        self.stage.limb(a, sag, 0.012, 0.012, wire);
        self.stage.limb(sag, b, 0.012, 0.012, wire);
    }

    /// A board on a post; one that is not ours shows its back.
    pub(super) fn road_sign(&mut self, d: f32, z: f32, ours: bool, metal: Rgb, rng: &mut Rng) {
        let foot = self.road.on_ground(d, 0.0, z);
        let height = rng.range(2.1, 2.9);
        let size = rng.range(0.28, 0.62);
        let (outline, style, color) = match rng.below(7) {
            0 => (2.0, 1.0, [0.8; 3]),
            1 | 2 => (1.0, 2.0, [0.8; 3]),
            3 => (1.0, 3.0, rgb(24, 70, 160)),
            4 => (
                rng.pick(&[0.0, 4.0, 5.0]),
                3.0,
                rng.pick(&[rgb(24, 70, 160), rgb(180, 26, 30), rgb(226, 180, 30)]),
            ),
            _ => (0.0, 4.0, rng.pick(&BOARDS)),
        };
        let style = if ours { style } else { 0.0 };
        let aspect = if style == 4.0 { rng.range(0.3, 1.6) } else { 1.0 };
        self.pole(foot, height + size * aspect, 0.038, metal);
        let turn = rng.range(-0.25, 0.25);
        let center = foot + V3::UP * height + V3 { x: 0.0, y: 0.0, z: -0.06 };
        self.board(
            center,
            turn,
            size,
            aspect,
            Look::new(Mat::Sign, id::SIGN, color)
                .seed(rng.seed32())
                .p([outline, size, style, aspect]),
        );
        if rng.chance(0.3) {
            let below = center - V3::UP * (size * aspect + 0.2);
            self.board(
                below,
                turn,
                size,
                0.3,
                Look::new(Mat::Sign, id::SIGN, rgb(232, 232, 228))
                    .seed(rng.seed32())
                    .p([0.0, size, if ours { 4.0 } else { 0.0 }, 0.3]),
            );
        }
    }

    /// An upright board that faces the traffic on our side, turned by an angle.
    pub(super) fn board(&mut self, center: V3, turn: f32, half: f32, aspect: f32, look: Look) {
        let along = self.road.forward(center.z);
        let right = V3::UP.cross(along);
        let u = (right * crate::math::cos(turn) + along * crate::math::sin(turn)).unit();
        let (x, y) = (u * half, V3::UP * (half * aspect));
        let frame = Frame {
            origin: center,
            u,
            v: V3::UP,
        };
        self.stage.polygon(
            &[center - x - y, center + x - y, center + x + y, center - x + y],
            frame,
            look,
            false,
        );
    }

    fn bollards(&mut self, d: f32, z: f32, rng: &mut Rng) {
        let color = rng.pick(&METALS);
        for k in 0..2 + rng.below(4) {
            let foot = self.road.on_ground(d, 0.0, z + 1.6 * k as f32);
            self.pole(foot, 0.95, 0.09, color);
        }
    }

    fn bin(&mut self, d: f32, z: f32, rng: &mut Rng) {
        let foot = self.road.on_ground(d, 0.0, z);
        let color = rng.pick(&[
            rgb(26, 28, 28),
            rgb(30, 60, 44),
            rgb(90, 90, 92),
            rgb(160, 30, 34),
            rgb(40, 60, 110),
        ]);
        let size = V3 {
            x: rng.range(0.4, 0.8),
            y: rng.range(0.8, 1.6),
            z: rng.range(0.4, 0.9),
        };
        let forward = self.road.forward(z);
        self.cast(foot, forward, size.x, size.z, size.y);
        self.stage.cuboid(
            foot,
            forward,
            size,
            Look::new(Mat::Matt, id::VOID, color).seed(rng.seed32()).p([2.0, 0.0, 0.0, 0.0]),
        );
    }

    /// A board that sticks out from a front over the pavement.
    fn shop_sign(&mut self, side: usize, z: f32, rng: &mut Rng) {
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let size = rng.range(0.3, 0.9);
        let center = self
            .road
            .on_ground(sign * (self.road.front[side] - size - 0.1), rng.range(3.0, 4.2), z);
        let outline = rng.pick(&[0.0, 0.0, 1.0]);
        let look = Look::new(Mat::Sign, id::SIGN, rng.pick(&BOARDS))
            .seed(rng.seed32())
            .p([outline, size, rng.pick(&[4.0, 5.0, 3.0]), 1.0]);
        self.board(center, 0.0, size, rng.range(0.7, 1.6), look);
    }

    /// Railings along the kerb, or a fence at the back of the pavement.
    fn fence(&mut self, side: usize) {
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let mut rng = Rng::of(self.scene.seed, 74, side as i64);
        let kerb = self.road.layout == Layout::City && rng.chance(0.5);
        let last = self.road.strips[side].iter().rev().nth(1).map_or(2.0, |s| s.from);
        let off = if kerb { 0.35 } else { last + 0.15 };
        let (height, color) = (if kerb { 1.05 } else { rng.range(0.9, 1.9) }, rng.pick(&METALS));
        let boards = !kerb && rng.chance(0.4);
        let wood = scale(
            rng.pick(&[rgb(120, 96, 72), rgb(150, 140, 124), rgb(220, 218, 210), rgb(96, 84, 70)]),
            rng.range(0.7, 1.2),
        );
        let mesh = rng.chance(0.25);
        for cell in self.cells(15.0) {
            let mut rng = Rng::of(self.scene.seed, 75 + side as u64, cell);
            let (a, b) = (cell as f32 * 15.0, cell as f32 * 15.0 + 15.0);
            if rng.chance(if kerb { 0.5 } else { 0.3 })
                || self.in_mouth(side, a, 1.5)
                || self.in_mouth(side, b, 1.5)
                || self.in_mouth(side, a + 7.5, 1.5)
            {
                continue;
            }
            let d = sign * (self.road.edge[side] + off);
            let look = if boards {
                Look::new(Mat::Concrete, id::FENCE, wood)
                    .seed(rng.seed32())
                    .p([0.15, 0.0, 0.0, 0.0])
            } else if mesh {
                Look::new(Mat::Mesh, id::FENCE, color).p([0.0, 0.0, height, 0.0])
            } else {
                Look::new(Mat::Railing, id::FENCE, color).p([0.13, 0.018, height, 0.0])
            };
            self.panel(d, a, b, height, look);
        }
    }

    /// An upright strip along the street, on the ground.
    pub(super) fn panel(&mut self, d: f32, a: f32, b: f32, height: f32, look: Look) {
        if self.ahead(a) > 200.0 || self.ahead(b) < -2.0 {
            return;
        }
        let foot = self.road.on_ground(d, 0.0, a);
        let end = self.road.on_ground(d, 0.0, b);
        let u = (end - foot).unit();
        let frame = Frame {
            origin: foot,
            u,
            v: V3::UP,
        };
        self.stage
            .polygon(&[foot, end, end + V3::UP * height, foot + V3::UP * height], frame, look, false);
    }

    fn traffic_lights(&mut self, k: usize, metal: Rgb) {
        let j = self.junctions[k];
        let mut rng = Rng::of(self.scene.seed, 78, j.z as i64);
        let state = rng.below(3);
        for (side, sign) in [(0usize, -1.0f32), (1, 1.0)] {
            for z in [j.z - j.half - 1.2, j.z + j.half + 1.8] {
                let foot = self.road.on_ground(sign * (self.road.edge[side] + 0.5), 0.0, z);
                self.pole(foot, 3.2, 0.06, metal);
                self.signal_head(foot + V3::UP * 2.6, state, sign);
            }
        }
    }

    fn signal_head(&mut self, center: V3, state: usize, sign: f32) {
        let black = Look::new(Mat::Matt, id::SIGN, rgb(20, 21, 22));
        let forward = self.road.forward(center.z);
        let foot = center
            + V3 {
                x: -sign * 0.05,
                y: -0.5,
                z: -0.15,
            };
        self.stage.cuboid(foot, forward, V3 { x: 0.42, y: 1.1, z: 0.22 }, black);
        let colors = [rgb(255, 40, 30), rgb(255, 170, 30), rgb(40, 240, 150)];
        for (k, color) in colors.into_iter().enumerate() {
            let on = if k == state { 1.0 } else { 0.0 };
            let at = foot + V3::UP * (0.9 - 0.34 * k as f32) - forward * 0.14;
            let look = Look::new(Mat::Lamp, id::SIGN, scale(color, if k == state { 1.0 } else { 0.12 })).p([1.2, on, 0.0, 0.0]);
            self.stage.ball(at, 0.11, look);
        }
    }
}
