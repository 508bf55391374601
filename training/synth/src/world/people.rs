//! People on foot and on bicycles.

use super::{Builder, PAINTS, id};
use crate::Layout;
use crate::math::{Rgb, V3, cos, rgb, scale, sin};
use crate::random::Rng;
use crate::road::Zone;
use crate::stage::{Frame, Look, Mat};

const SKINS: [Rgb; 5] = [
    rgb(226, 178, 150),
    rgb(204, 152, 120),
    rgb(150, 102, 74),
    rgb(104, 70, 52),
    rgb(236, 196, 170),
];
const HAIR: [Rgb; 5] = [
    rgb(34, 28, 26),
    rgb(70, 50, 36),
    rgb(130, 100, 66),
    rgb(120, 118, 116),
    rgb(24, 22, 22),
];
const TOPS: [Rgb; 12] = [
    rgb(28, 30, 36),
    rgb(44, 48, 62),
    rgb(90, 92, 96),
    rgb(150, 34, 38),
    rgb(40, 72, 130),
    rgb(196, 190, 180),
    rgb(60, 84, 60),
    rgb(120, 90, 64),
    rgb(226, 224, 220),
    rgb(190, 120, 50),
    rgb(110, 60, 100),
    rgb(70, 130, 140),
];
const TROUSERS: [Rgb; 6] = [
    rgb(34, 36, 44),
    rgb(52, 64, 92),
    rgb(92, 86, 78),
    rgb(26, 26, 28),
    rgb(130, 118, 100),
    rgb(74, 84, 110),
];

/// A figure's place: foot point, and its own directions.
struct Body {
    foot: V3,
    right: V3,
    forward: V3,
    k: f32,
}

impl Body {
    fn at(&self, x: f32, y: f32, z: f32) -> V3 {
        self.foot + (self.right * x + V3::UP * y + self.forward * z) * self.k
    }
}

impl Builder<'_, '_> {
    /// Pavements, with walkers both ways, standing groups, people crossing, and parked bicycles.
    pub(super) fn people(&mut self) {
        let clutter = self.scene.options.clutter;
        let mut rng = Rng::of(self.scene.seed, 40, 0);
        let busy = rng.pick(&[0.35, 0.7, 1.0, 1.4]) * clutter * if self.road.layout == Layout::City { 1.0 } else { 0.4 };
        for side in 0..2usize {
            let sign = if side == 1 { 1.0 } else { -1.0 };
            let Some(pave) = self.road.strips[side].iter().find(|s| s.zone == Zone::Pavement).copied() else {
                continue;
            };
            let (inner, outer) = (self.road.edge[side] + pave.from + 0.4, self.road.edge[side] + pave.to - 0.3);
            for (stream, speed) in [(0, 1.35), (1, -1.25), (2, 0.0)] {
                let shift = speed * self.time;
                for cell in self.moving_cells(7.0, shift) {
                    let mut rng = Rng::of(self.scene.seed, 41 + side as u64 * 4 + stream, cell);
                    let z = (cell as f32 + rng.range(0.1, 0.9)) * 7.0 + shift;
                    let d = sign * rng.range(inner, outer.max(inner + 0.1));
                    let group = 1 + rng.below(3) * usize::from(rng.chance(0.4));
                    if !rng.chance(busy * 0.6) || self.ahead(z) > 110.0 || self.ahead(z) < -3.0 {
                        continue;
                    }
                    for k in 0..group {
                        let (d, z) = (d + sign * 0.1 * k as f32, z + k as f32 * 0.75);
                        // Across the mouth of a side road there is no kerb to stand on.
                        let foot = if self.in_mouth(side, z, 0.0) {
                            self.road.point(d, 0.0, z)
                        } else {
                            self.road.on_ground(d, 0.0, z)
                        };
                        let along = self.road.forward(z);
                        let turn = if speed == 0.0 { rng.range(-3.1, 3.1) } else { 0.0 };
                        let heading = (along * cos(turn) + V3::UP.cross(along) * sin(turn)) * if speed < 0.0 { -1.0 } else { 1.0 };
                        self.pedestrian(foot, heading, speed != 0.0, rng.next());
                    }
                }
            }
            self.parked_bicycles(side, outer);
        }
        for k in 0..self.junctions.len() {
            self.crossers(k, busy);
        }
    }

    /// People who cross the street beyond a junction.
    fn crossers(&mut self, k: usize, busy: f32) {
        let j = self.junctions[k];
        let width = self.road.edge[0] + self.road.edge[1] + 4.0;
        for n in 0..4 {
            let mut rng = Rng::of(self.scene.seed, 50 + n, j.z as i64);
            let speed = rng.range(1.0, 1.6) * rng.sign();
            let way = rng.range(0.0, width * 2.0) + speed * self.time;
            let way = way - (way / (width * 2.0)).floor() * width * 2.0;
            if !rng.chance(busy) || way > width || self.ahead(j.z) > 90.0 || self.ahead(j.z) < 0.0 {
                continue;
            }
            let z = j.z + j.half + rng.range(2.8, 5.2);
            let d = way - self.road.edge[0] - 2.0;
            let foot = self.road.on_ground(d, 0.0, z);
            let heading = V3 {
                x: speed.signum(),
                y: 0.0,
                z: 0.0,
            };
            self.pedestrian(foot, heading, true, rng.next());
        }
    }

    /// A walking or standing figure.
    pub(super) fn pedestrian(&mut self, foot: V3, forward: V3, walking: bool, seed: u64) {
        let mut rng = Rng::new(seed);
        let child = rng.chance(0.07);
        let k = if child { rng.range(0.62, 0.8) } else { rng.range(0.92, 1.08) };
        let build = rng.range(0.85, 1.3);
        let b = Body {
            foot,
            right: V3::UP.cross(forward).unit(),
            forward,
            k,
        };
        let phase = rng.range(0.0, std::f32::consts::TAU) + if walking { self.time * 6.4 } else { 0.0 };
        let stride = if walking { 0.55 } else { 0.08 };
        let look = |color: Rgb| {
            Look::new(Mat::Matt, id::PEDESTRIAN, color)
                .seed(seed as u32)
                .p([5.0, 0.0, 0.0, 0.0])
        };
        let tint = rng.range(0.25, 1.0);
        let top = look(scale(rng.pick(&TOPS), tint));
        let legs = look(scale(rng.pick(&TROUSERS), rng.range(0.3, 1.0)));
        let skin = look(rng.pick(&SKINS));
        let hair = look(rng.pick(&HAIR));
        let shoes = look(rng.pick(&[rgb(24, 22, 22), rgb(60, 48, 40), rgb(210, 210, 208)]));
        self.cast(foot, forward, 0.55, 0.5, 1.5 * k);
        for (side, sign) in [(-1.0, 1.0), (1.0, -1.0)] {
            let swing = sin(phase) * stride * sign;
            let bend = (cos(phase) * sign).max(0.0) * stride * 0.9;
            let hip = b.at(0.1 * side, 0.9, 0.0);
            let knee = b.at(0.1 * side, 0.9 - 0.44 * cos(swing), 0.44 * sin(swing));
            let shin = swing - bend;
            let ankle = knee + (b.forward * (0.44 * sin(shin)) - V3::UP * (0.42 * cos(shin))) * k;
            self.stage.limb(hip, knee, 0.095 * build * k, 0.075 * build * k, legs);
            self.stage.limb(knee, ankle, 0.075 * build * k, 0.055 * k, legs);
            self.stage.limb(
                ankle - b.forward * 0.05,
                ankle + b.forward * (0.16 * k) - V3::UP * 0.03,
                0.05,
                0.04,
                shoes,
            );
            let arm = -swing * 0.8;
            let shoulder = b.at(0.21 * side * build, 1.42, 0.0);
            let elbow = shoulder + (b.forward * (0.28 * sin(arm)) - V3::UP * (0.28 * cos(arm)) + b.right * (0.04 * side)) * k;
            let hand = elbow + (b.forward * (0.25 * sin(arm + 0.35)) - V3::UP * (0.25 * cos(arm + 0.35))) * k;
            self.stage.limb(shoulder, elbow, 0.065 * k * build, 0.055 * k, top);
            self.stage.limb(elbow, hand, 0.052 * k, 0.042 * k, top);
            self.stage.ball(hand, 0.045 * k, skin);
        }
        let long = if rng.chance(0.3) { 0.55 } else { 0.86 };
        self.stage
            .limb(b.at(0.0, long, 0.0), b.at(0.0, 1.1, 0.0), 0.19 * build * k, 0.175 * build * k, top);
        self.stage
            .limb(b.at(0.0, 1.08, 0.0), b.at(0.0, 1.48, 0.0), 0.175 * build * k, 0.2 * build * k, top);
        self.stage
            .limb(b.at(0.0, 1.45, 0.0), b.at(0.0, 1.58, 0.02), 0.06 * k, 0.055 * k, skin);
        self.stage.blob(b.at(0.0, 1.66, 0.02), 0.095 * k, 0.12 * k, skin);
        self.stage.blob(b.at(0.0, 1.7, -0.03), 0.1 * k, 0.105 * k, hair);
        if rng.chance(0.35) {
            let bag = look(scale(rng.pick(&TOPS), 0.8));
            let at = if rng.chance(0.5) {
                b.at(0.0, 1.0, -0.2)
            } else {
                b.at(0.3, 0.45, 0.0)
            };
            self.stage.cuboid(at, forward, V3 { x: 0.3, y: 0.4, z: 0.16 } * k, bag);
        }
    }

    /// A rider on a bicycle.
    pub(super) fn cyclist(&mut self, foot: V3, forward: V3, seed: u64) {
        let mut rng = Rng::new(seed);
        let k = rng.range(0.95, 1.08);
        let b = Body {
            foot,
            right: V3::UP.cross(forward).unit(),
            forward,
            k,
        };
        self.cast(foot, forward, 0.5, 1.7, 1.4);
        self.bicycle(&b, id::BICYCLIST, seed as u32, scale(rng.pick(&PAINTS), 1.0));
        let look = |color: Rgb| Look::new(Mat::Matt, id::BICYCLIST, color).seed(seed as u32).p([5.0, 0.0, 0.0, 0.0]);
        let bright = rng.chance(0.15);
        let top = look(if bright {
            rgb(196, 220, 50)
        } else {
            scale(rng.pick(&TOPS), rng.range(0.25, 1.0))
        });
        let (legs, skin) = (look(scale(rng.pick(&TROUSERS), rng.range(0.3, 1.0))), look(rng.pick(&SKINS)));
        let phase = self.time * 7.5 + rng.range(0.0, std::f32::consts::TAU);
        let lean = rng.range(0.12, 0.4);
        for (side, sign) in [(-1.0, 1.0), (1.0, -1.0)] {
            let pedal = b.at(0.11 * side, 0.3 + 0.17 * sin(phase) * sign, 0.05 + 0.17 * cos(phase) * sign);
            let hip = b.at(0.1 * side, 0.95, -0.2);
            let knee = hip.mix(pedal, 0.5) + b.forward * 0.2 + V3::UP * 0.08;
            self.stage.limb(hip, knee, 0.095 * k, 0.075 * k, legs);
            self.stage.limb(knee, pedal, 0.07 * k, 0.055 * k, legs);
            let (shoulder, grip) = (b.at(0.2 * side, 1.42, lean), b.at(0.24 * side, 1.02, 0.45));
            let elbow = shoulder.mix(grip, 0.5) + b.right * (0.07 * side) - V3::UP * 0.06;
            self.stage.limb(shoulder, elbow, 0.065 * k, 0.055 * k, top);
            self.stage.limb(elbow, grip, 0.05 * k, 0.042 * k, top);
        }
        self.stage
            .limb(b.at(0.0, 0.92, -0.2), b.at(0.0, 1.46, lean), 0.18 * k, 0.2 * k, top);
        self.stage.blob(b.at(0.0, 1.66, lean + 0.1), 0.095 * k, 0.125 * k, skin);
        let helmet = rng.chance(0.5);
        let hat = if helmet { scale(rng.pick(&PAINTS), 1.2) } else { rng.pick(&HAIR) };
        self.stage.blob(b.at(0.0, 1.72, lean + 0.06), 0.12 * k, 0.1 * k, look(hat));
    }

    fn bicycle(&mut self, b: &Body, label: u8, seed: u32, color: Rgb) {
        let tube = Look::new(Mat::Matt, label, color);
        let black = Look::new(Mat::Matt, label, rgb(24, 24, 25));
        for z in [-0.52, 0.52] {
            let (c, r) = (b.at(0.0, 0.34, z), 0.34);
            let (u, v) = (b.forward * r, V3::UP * r);
            let frame = Frame {
                origin: c,
                u: b.forward * (1.0 / r),
                v: V3::UP * (1.0 / r),
            };
            let look = Look::new(Mat::Rim, label, rgb(34, 34, 36)).seed(seed);
            self.stage
                .polygon(&[c - u - v, c + u - v, c + u + v, c - u + v], frame, look, false);
            self.stage.limb(b.at(0.0, 0.02, z), b.at(0.0, 0.68, z), 0.03, 0.03, black);
        }
        let (crank, seat, head, hub, fork) = (
            b.at(0.0, 0.3, 0.05),
            b.at(0.0, 0.85, -0.2),
            b.at(0.0, 0.88, 0.35),
            b.at(0.0, 0.34, -0.52),
            b.at(0.0, 0.34, 0.52),
        );
        for (p, q) in [(crank, seat), (crank, head), (seat, head), (hub, crank), (hub, seat), (fork, head)] {
            self.stage.limb(p, q, 0.022, 0.022, tube);
        }
        self.stage.limb(b.at(-0.27, 1.02, 0.42), b.at(0.27, 1.02, 0.42), 0.02, 0.02, black);
        self.stage.limb(head, b.at(0.0, 1.02, 0.42), 0.02, 0.02, black);
        self.stage.limb(b.at(0.0, 0.92, -0.32), b.at(0.0, 0.94, -0.08), 0.07, 0.04, black);
    }

    /// Bicycles without a rider belong to no class.
    fn parked_bicycles(&mut self, side: usize, outer: f32) {
        let sign = if side == 1 { 1.0 } else { -1.0 };
        for cell in self.cells(24.0) {
            let mut rng = Rng::of(self.scene.seed, 60 + side as u64, cell);
            let z = (cell as f32 + rng.unit()) * 24.0;
            if !rng.chance(0.16 * self.scene.options.clutter) || self.ahead(z) > 60.0 || self.in_mouth(side, z, 4.0) {
                continue;
            }
            for k in 0..1 + rng.below(5) {
                let foot = self.road.on_ground(sign * (outer - 0.3), 0.0, z + 0.6 * k as f32);
                let b = Body {
                    foot,
                    right: self.road.forward(z),
                    forward: V3 { x: sign, y: 0.0, z: 0.25 }.unit(),
                    k: 1.0,
                };
                self.bicycle(&b, id::VOID, rng.seed32(), rng.pick(&PAINTS));
            }
        }
    }
}
