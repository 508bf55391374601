//! Lorries, coaches and double-deckers.

use super::vehicle::Pose;
use super::{Builder, PAINTS, id};
use crate::math::{V3, rgb, scale};
use crate::random::Rng;
use crate::stage::{Frame, Look, Mat};

impl Builder<'_, '_> {
    /// A box lorry, a coach or a double-decker.
    pub(super) fn lorry(&mut self, pose: &Pose, rng: &mut Rng, braking: bool) {
        let bus = rng.chance(0.45);
        let (length, width) = (if bus { rng.range(9.0, 12.0) } else { rng.range(6.0, 14.0) }, 2.5);
        let height = if bus { rng.pick(&[3.0, 3.3, 4.3]) } else { rng.range(2.8, 4.0) };
        let tone = rng.range(0.6, 1.1);
        let body = scale(
            rng.pick(&[
                rgb(232, 232, 230),
                rgb(190, 30, 34),
                rgb(40, 70, 140),
                rgb(210, 196, 150),
                rgb(60, 110, 80),
                rgb(150, 152, 156),
            ]),
            tone,
        );
        let seed = rng.seed32();
        self.cast(pose.foot, pose.forward, width, length, height);
        let flat = V3 {
            x: pose.forward.x,
            y: 0.0,
            z: pose.forward.z,
        };
        let paint = Look::new(Mat::Paint, id::CAR, body).seed(seed).p([0.0, 0.02, 1.0, 0.0]);
        let base = pose.foot + V3::UP * 0.5;
        let dark = Look::new(Mat::Matt, id::CAR, rgb(30, 30, 32)).p([2.0, 0.0, 0.0, 0.0]);
        if bus {
            self.stage.cuboid(
                base,
                flat,
                V3 {
                    x: width,
                    y: height - 0.5,
                    z: length,
                },
                paint,
            );
        } else {
            let cab = 2.0;
            self.stage.cuboid(
                base - pose.forward * (cab * 0.5),
                flat,
                V3 {
                    x: width,
                    y: height - 0.5,
                    z: length - cab - 0.3,
                },
                paint,
            );
            let cab_color = scale(rng.pick(&PAINTS), 1.0);
            let cab_paint = Look { color: cab_color, ..paint };
            self.stage.cuboid(
                base + pose.forward * (length * 0.5 - cab * 0.5),
                flat,
                V3 { x: 2.3, y: 2.3, z: cab },
                cab_paint,
            );
        }
        self.stage.cuboid(
            pose.foot + V3::UP * 0.2,
            flat,
            V3 {
                x: width * 0.9,
                y: 0.5,
                z: length * 0.97,
            },
            dark,
        );
        let glass = Look::new(Mat::Glass, id::CAR, [0.02; 3]).seed(seed);
        let h = length * 0.5 + 0.02;
        let at = |x: f32, y: f32, z: f32| pose.at(x, y, z);
        let s = &mut self.stage;
        let mut patch = |x: f32, y0: f32, y1: f32, z: f32, look: Look| {
            let frame = Frame {
                origin: at(0.0, 0.0, z),
                u: pose.right,
                v: V3::UP,
            };
            s.polygon(&[at(-x, y0, z), at(x, y0, z), at(x, y1, z), at(-x, y1, z)], frame, look, false);
        };
        patch(1.08, 1.4, if bus { 2.5 } else { 2.4 }, h, glass);
        let stripe = Look::new(Mat::Sign, id::CAR, scale(body, 0.5)).seed(seed).p([0.0, 1.2, 5.0, 0.4]);
        if bus {
            patch(1.1, height - 1.4, height - 0.5, -h, glass);
            patch(1.2, 0.9, height - 1.8, -h, stripe);
        } else if rng.chance(0.6) {
            patch(1.1, 1.4, height - 0.4, -h, stripe);
        }
        let tail = Look::new(Mat::Lamp, id::CAR, rgb(190, 22, 20)).p([0.9, if braking { 1.0 } else { 0.1 }, 0.0, 0.0]);
        let head = Look::new(Mat::Lamp, id::CAR, rgb(236, 236, 226)).p([1.3, 0.1, 0.0, 0.0]);
        for x in [-1.05, 1.05] {
            let s = &mut self.stage;
            for (z, y, look) in [(-h - 0.01, 0.9, tail), (h + 0.01, 0.8, head)] {
                let c = at(x, y, z);
                let (u, v) = (pose.right * 0.13, V3::UP * 0.12);
                s.plain(&[c - u - v, c + u - v, c + u + v, c - u + v], look);
            }
            if bus {
                for (low, high) in [(1.5, 2.5), (2.9, 3.9)] {
                    if high < height {
                        let side = x.signum() * (width * 0.5 + 0.02);
                        let frame = Frame {
                            origin: at(side, 0.0, 0.0),
                            u: pose.forward,
                            v: V3::UP,
                        };
                        let look = Look { p: [0.0; 4], ..glass };
                        let e = length * 0.46;
                        s.polygon(
                            &[at(side, low, -e), at(side, low, e), at(side, high, e), at(side, high, -e)],
                            frame,
                            look,
                            false,
                        );
                    }
                }
            }
        }
        for z in [-length * 0.34, length * 0.36] {
            self.axle(pose, width * 0.5, z, 0.5, rgb(110, 110, 112), seed);
        }
    }
}
