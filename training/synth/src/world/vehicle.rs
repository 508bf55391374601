//! Cars and vans, built from a side profile.

use super::{Builder, PAINTS, id};
use crate::math::{Rgb, V3, rgb, scale};
use crate::random::Rng;
use crate::stage::{Frame, Look, Mat};

/// Side profile of a car: lengths from its middle (forward positive) and heights, in metres.
struct Profile {
    length: f32,
    width: f32,
    height: f32,
    /// Height of the belt line behind and before the cabin, and of the bonnet's and boot's ends.
    belt: f32,
    nose: f32,
    tail: f32,
    /// Where the cabin stands on the belt line and where its roof begins and ends: rear foot, rear top, front top, front foot.
    cabin: [f32; 4],
}

/// A vehicle's place: foot point, direction, and what is to its right.
pub(super) struct Pose {
    pub foot: V3,
    pub forward: V3,
    pub right: V3,
}

impl Pose {
    /// The point `x` metres to its right, `y` up and `z` forward of its foot.
    pub fn at(&self, x: f32, y: f32, z: f32) -> V3 {
        self.foot + self.right * x + V3::UP * y + self.forward * z
    }
}

fn saloon(rng: &mut Rng) -> Profile {
    let length = rng.range(4.2, 4.9);
    let h = length * 0.5;
    Profile {
        length,
        width: rng.range(1.68, 1.85),
        height: rng.range(1.38, 1.48),
        belt: 0.93,
        nose: 0.72,
        tail: 0.92,
        cabin: [-h + 0.75, -h + 1.35, 0.35, 1.1],
    }
}

fn hatch(rng: &mut Rng) -> Profile {
    let length = rng.range(3.5, 4.3);
    let h = length * 0.5;
    Profile {
        length,
        width: rng.range(1.6, 1.78),
        height: rng.range(1.4, 1.55),
        belt: 0.95,
        nose: 0.74,
        tail: 0.95,
        cabin: [-h + 0.1, -h + 0.55, 0.3, 1.0],
    }
}

fn estate(rng: &mut Rng) -> Profile {
    let length = rng.range(4.4, 4.8);
    let h = length * 0.5;
    Profile {
        length,
        width: 1.78,
        height: rng.range(1.45, 1.55),
        belt: 0.95,
        nose: 0.74,
        tail: 0.95,
        cabin: [-h + 0.08, -h + 0.4, 0.4, 1.15],
    }
}

fn off_road(rng: &mut Rng) -> Profile {
    let length = rng.range(4.2, 4.9);
    let h = length * 0.5;
    Profile {
        length,
        width: rng.range(1.82, 1.98),
        height: rng.range(1.68, 1.9),
        belt: 1.12,
        nose: 0.98,
        tail: 1.12,
        cabin: [-h + 0.05, -h + 0.25, 0.4, 1.0],
    }
}

fn van(rng: &mut Rng) -> Profile {
    let length = rng.range(4.6, 5.6);
    let h = length * 0.5;
    Profile {
        length,
        width: rng.range(1.85, 2.0),
        height: rng.range(1.9, 2.5),
        belt: 1.2,
        nose: 1.0,
        tail: 1.2,
        cabin: [-h + 0.02, -h + 0.06, h - 1.5, h - 0.75],
    }
}

impl Builder<'_, '_> {
    /// A vehicle of any kind, its foot on the road, looking along `forward`. `heavy` is the chance of a lorry or bus.
    pub(super) fn vehicle(&mut self, foot: V3, forward: V3, seed: u64, heavy: f32, braking: bool) {
        let mut rng = Rng::new(seed);
        let climb = self.road.climb(foot.z) * if forward.z > 0.0 { 1.0 } else { -1.0 };
        let forward = V3 {
            x: forward.x,
            y: climb * forward.z.abs(),
            z: forward.z,
        }
        .unit();
        let pose = Pose {
            foot,
            forward,
            right: V3::UP.cross(forward).unit(),
        };
        if rng.chance(heavy) {
            self.lorry(&pose, &mut rng, braking);
            return;
        }
        let kind = rng.below(20);
        let p = match kind {
            0..=5 => saloon(&mut rng),
            6..=11 => hatch(&mut rng),
            12..=13 => estate(&mut rng),
            14..=17 => off_road(&mut rng),
            _ => van(&mut rng),
        };
        let white = kind > 17 && rng.chance(0.6);
        let color = if white {
            rgb(230, 230, 228)
        } else {
            scale(rng.pick(&PAINTS), rng.range(0.4, 1.1))
        };
        self.car(&pose, &p, color, kind > 17, &mut rng, braking);
    }

    fn car(&mut self, pose: &Pose, p: &Profile, color: Rgb, panel_van: bool, rng: &mut Rng, braking: bool) {
        let seed = rng.seed32();
        let (h, w) = (p.length * 0.5, p.width * 0.5);
        let clear = 0.2;
        self.cast(pose.foot, pose.forward, p.width, p.length, p.height * 0.8);
        let gloss = rng.range(0.0, 0.08);
        let paint = Look::new(Mat::Paint, id::CAR, color).seed(seed).p([0.0, gloss, rng.unit(), 0.0]);
        let dark = Look::new(Mat::Matt, id::CAR, rgb(26, 26, 28));
        let glass = Look::new(Mat::Glass, id::CAR, [0.02; 3]).seed(seed);
        let at = |x: f32, y: f32, z: f32| pose.at(x, y, z);
        let [c0, c1, c2, c3] = p.cabin;
        let roof = w * 0.78;
        // Flanks: u along the car, v the height, so that paint knows where it is.
        let flank = Frame {
            origin: pose.foot,
            u: pose.forward,
            v: V3::UP,
        };
        for x in [-w, w] {
            let lower = [
                at(x, clear, -h + 0.12),
                at(x, 0.6, -h),
                at(x, p.tail, -h + 0.06),
                at(x, p.belt, c0.max(-h + 0.1)),
                at(x, p.belt, c3),
                at(x, p.nose, h - 0.12),
                at(x, 0.5, h),
                at(x, clear, h - 0.15),
            ];
            self.stage.polygon(&lower, flank, paint, false);
            let top = x * 0.79;
            let side = [at(x, p.belt, c0), at(x, p.belt, c3), at(top, p.height, c2), at(top, p.height, c1)];
            let rise = 1.0 / (p.height - p.belt);
            let pane = Frame {
                origin: at(0.0, p.belt, 0.0),
                u: pose.forward,
                v: V3::UP * rise,
            };
            let look = Look {
                mat: Mat::CarSide,
                p: if panel_van {
                    [c2 - 1.0, c3, c2 - 0.9, c2]
                } else {
                    [c0, c3, c1, c2]
                },
                ..paint
            };
            self.stage.polygon(&side, pane, look, false);
        }
        let across = |stage: &mut crate::stage::Stage, corners: [V3; 4], look: Look| {
            let frame = Frame {
                origin: pose.foot,
                u: pose.right,
                v: V3::UP,
            };
            stage.polygon(&corners, frame, look, false);
        };
        let s = &mut self.stage;
        // Bonnet, windscreen, roof, rear window, boot.
        across(
            s,
            [
                at(-w, p.belt, c3),
                at(w, p.belt, c3),
                at(w * 0.96, p.nose, h - 0.12),
                at(-w * 0.96, p.nose, h - 0.12),
            ],
            paint,
        );
        across(
            s,
            [
                at(-w * 0.97, p.belt, c3),
                at(w * 0.97, p.belt, c3),
                at(roof, p.height, c2),
                at(-roof, p.height, c2),
            ],
            glass,
        );
        across(
            s,
            [
                at(-roof, p.height, c1),
                at(roof, p.height, c1),
                at(roof, p.height, c2),
                at(-roof, p.height, c2),
            ],
            paint,
        );
        let rear = if panel_van { paint } else { glass };
        across(
            s,
            [
                at(-w * 0.97, p.belt, c0),
                at(w * 0.97, p.belt, c0),
                at(roof, p.height, c1),
                at(-roof, p.height, c1),
            ],
            rear,
        );
        across(
            s,
            [
                at(-w, p.belt, c0),
                at(w, p.belt, c0),
                at(w, p.tail, -h + 0.06),
                at(-w, p.tail, -h + 0.06),
            ],
            paint,
        );
        // Front and rear faces with bumpers.
        across(
            s,
            [at(-w, clear, h - 0.1), at(w, clear, h - 0.1), at(w, 0.5, h), at(-w, 0.5, h)],
            paint,
        );
        across(
            s,
            [
                at(-w, 0.5, h),
                at(w, 0.5, h),
                at(w * 0.96, p.nose, h - 0.12),
                at(-w * 0.96, p.nose, h - 0.12),
            ],
            paint,
        );
        across(
            s,
            [at(-w, clear, -h + 0.08), at(w, clear, -h + 0.08), at(w, 0.6, -h), at(-w, 0.6, -h)],
            paint,
        );
        across(
            s,
            [at(-w, 0.6, -h), at(w, 0.6, -h), at(w, p.tail, -h + 0.06), at(-w, p.tail, -h + 0.06)],
            paint,
        );
        across(
            s,
            [
                at(-w * 0.95, 0.08, 0.0),
                at(w * 0.95, 0.08, 0.0),
                at(w * 0.95, clear + 0.1, 0.0),
                at(-w * 0.95, clear + 0.1, 0.0),
            ],
            dark,
        );
        // Details stand a centimetre or two before the sheet metal.
        let mut patch = |x0: f32, x1: f32, y0: f32, y1: f32, z: f32, look: Look| {
            across(s, [at(x0, y0, z), at(x1, y0, z), at(x1, y1, z), at(x0, y1, z)], look);
        };
        let bumper = if rng.chance(0.4) {
            dark
        } else {
            Look {
                color: scale(color, 0.8),
                ..paint
            }
        };
        let (front, back) = (h + 0.03, -h - 0.03);
        patch(-w * 0.98, w * 0.98, 0.28, 0.5, front, bumper);
        patch(-w * 0.5, w * 0.5, 0.52, p.nose - 0.06, front - 0.01, dark);
        patch(-w * 0.98, w * 0.98, 0.3, 0.52, back, bumper);
        let plate = |color: Rgb| Look::new(Mat::Sign, id::CAR, color).seed(seed).p([0.0, 0.26, 6.0, 0.25]);
        let yellow = if rng.chance(0.5) { rgb(226, 186, 60) } else { rgb(226, 226, 220) };
        self.plate(pose, 0.38, front + 0.015, plate(rgb(228, 228, 224)));
        self.plate(pose, if p.tail > 1.0 { 0.75 } else { 0.66 }, back - 0.015, plate(yellow));
        let s = &mut self.stage;
        let mut patch = |x0: f32, x1: f32, y0: f32, y1: f32, z: f32, look: Look| {
            across(s, [at(x0, y0, z), at(x1, y0, z), at(x1, y1, z), at(x0, y1, z)], look);
        };
        let on = rng.range(0.0, 0.6);
        let head = Look::new(Mat::Lamp, id::CAR, rgb(236, 236, 226)).p([1.3, on * 0.3, 0.0, 0.0]);
        let tail = Look::new(Mat::Lamp, id::CAR, rgb(190, 22, 20)).p([0.9, if braking { 1.0 } else { 0.06 }, 0.0, 0.0]);
        for side in [-1.0, 1.0] {
            let (a, b) = (side * w * 0.95, side * w * 0.58);
            patch(a.min(b), a.max(b), (p.nose - 0.2).max(0.54), p.nose - 0.05, front, head);
            let b = side * w * if panel_van || p.tail > 1.0 { 0.84 } else { 0.7 };
            let high = if p.tail > 1.0 { 0.95 } else { p.tail - 0.04 };
            patch(a.min(b), a.max(b), high - 0.19, high, back, tail);
        }
        let radius = if p.height > 1.6 { 0.36 } else { 0.31 };
        let hub = rng.pick(&[rgb(150, 152, 154), rgb(190, 190, 190), rgb(70, 70, 72)]);
        for z in [-h + p.length * 0.19, h - p.length * 0.18] {
            self.axle(pose, w, z, radius, hub, seed);
        }
        // Mirrors.
        for x in [-w - 0.1, w + 0.1] {
            self.stage.ball(
                at(x, p.belt + 0.06, c3 - 0.35),
                0.1,
                Look::new(Mat::Matt, id::CAR, scale(color, 0.8)),
            );
        }
    }

    fn plate(&mut self, pose: &Pose, y: f32, z: f32, look: Look) {
        let at = |x: f32, y: f32| pose.at(x, y, z);
        let frame = Frame {
            origin: at(0.0, y),
            u: pose.right,
            v: V3::UP,
        };
        self.stage.polygon(
            &[at(-0.26, y - 0.06), at(0.26, y - 0.06), at(0.26, y + 0.06), at(-0.26, y + 0.06)],
            frame,
            look,
            false,
        );
    }

    /// Two wheels with their arches.
    pub(super) fn axle(&mut self, pose: &Pose, w: f32, z: f32, radius: f32, hub: Rgb, seed: u32) {
        let tyre = Look::new(Mat::Matt, id::CAR, rgb(24, 24, 25));
        for side in [-1.0, 1.0] {
            let x = side * (w + 0.015);
            for (grow, mat, color, out) in [(1.16, Mat::Wheel, rgb(14, 14, 15), 0.0), (1.0, Mat::Wheel, hub, 0.012)] {
                let r = radius * grow;
                let c = pose.at(x + side * out, radius, z);
                let (u, v) = (pose.forward * r, V3::UP * r);
                let frame = Frame {
                    origin: c,
                    u: pose.forward * (1.0 / r),
                    v: V3::UP * (1.0 / r),
                };
                let look = Look::new(mat, id::CAR, color).seed(seed);
                self.stage
                    .polygon(&[c - u - v, c + u - v, c + u + v, c - u + v], frame, look, false);
            }
            // The tread, seen from before and behind.
            let inner = pose.at(side * (w - 0.2), radius, z);
            self.stage.limb(inner, pose.at(side * (w - 0.01), radius, z), radius, radius, tyre);
        }
    }
}
