//! Barriers, gantries, bridges and what else stands beside a motorway.

use super::{Builder, id};
use crate::math::{V3, rgb, scale};
use crate::random::Rng;
use crate::stage::{Frame, Look, Mat};

impl Builder<'_, '_> {
    pub(super) fn motorway(&mut self) {
        let mut rng = Rng::of(self.scene.seed, 80, 0);
        let road = self.road;
        // Between the directions, and now and then outside.
        let middle = -road.drive * (road.median * 0.5 - 0.2);
        self.barrier(middle, rng.chance(0.5), 81);
        for side in 0..2 {
            let sign = if side == 1 { 1.0 } else { -1.0 };
            if rng.chance(0.5) {
                self.barrier(sign * (road.edge[side] + 0.4), rng.chance(0.3), 82 + side as u64);
            }
            if rng.chance(0.3) {
                self.noise_wall(side);
            }
            if rng.chance(0.3) {
                self.far_fence(side);
            }
        }
        let lamps = rng.pick(&[0.0, 40.0, 60.0]);
        if lamps > 0.0 {
            let d = if rng.chance(0.5) {
                middle
            } else {
                road.drive * (road.edge[usize::from(road.drive > 0.0)] + 1.0)
            };
            for cell in self.cells(lamps) {
                let foot = road.on_ground(d, 0.0, cell as f32 * lamps);
                if self.ahead(foot.z) > -2.0 && self.ahead(foot.z) < 300.0 {
                    self.mast(foot, d == middle);
                }
            }
        }
        for cell in self.cells(110.0) {
            let mut rng = Rng::of(self.scene.seed, 84, cell);
            let z = (cell as f32 + rng.range(0.2, 0.8)) * 110.0;
            match rng.below(10) {
                0 | 1 => self.gantry(z, &mut rng),
                2 => self.bridge(z, &mut rng),
                3 | 4 => self.billboard(z, &mut rng),
                5 | 6 => {
                    let d = road.drive * (road.edge[usize::from(road.drive > 0.0)] + 1.2);
                    self.road_sign(d, z, true, rgb(130, 132, 132), &mut rng);
                }
                _ => self.far_building(z, &mut rng),
            }
        }
    }

    /// A concrete wall or a guard rail on posts, the whole way.
    fn barrier(&mut self, d: f32, concrete: bool, kind: u64) {
        let mut rng = Rng::of(self.scene.seed, kind, 0);
        let tone = scale(
            rng.pick(&[rgb(176, 170, 158), rgb(150, 148, 142), rgb(196, 188, 172)]),
            rng.range(0.7, 1.1),
        );
        let height = if concrete { rng.range(0.8, 1.25) } else { 0.8 };
        for cell in self.cells(12.0) {
            let (a, b) = (cell as f32 * 12.0, cell as f32 * 12.0 + 12.0);
            if self.ahead(a) > 320.0 || self.ahead(b) < -4.0 {
                continue;
            }
            if concrete {
                let look = Look::new(Mat::Concrete, id::FENCE, tone).seed(kind as u32).p([6.0, 0.0, 0.0, 0.0]);
                for off in [-0.3, 0.3] {
                    let (p, q) = (self.road.on_ground(d + off, 0.0, a), self.road.on_ground(d + off, 0.0, b));
                    let (r, s) = (
                        self.road.on_ground(d + off * 0.4, height, b),
                        self.road.on_ground(d + off * 0.4, height, a),
                    );
                    self.stage.polygon(
                        &[p, q, r, s],
                        Frame {
                            origin: p,
                            u: (q - p).unit(),
                            v: V3::UP,
                        },
                        look,
                        false,
                    );
                }
                let top = [(-0.12, a), (0.12, a), (0.12, b), (-0.12, b)].map(|(o, z)| self.road.on_ground(d + o, height, z));
                self.stage.plain(&top, look);
                continue;
            }
            let steel = Look::new(Mat::Matt, id::FENCE, scale(rgb(168, 170, 168), 0.9)).p([2.0, 0.0, 0.0, 0.0]);
            let post = Look::new(Mat::Matt, id::FENCE, rgb(120, 120, 118));
            let (p, q) = (self.road.on_ground(d, 0.62, a), self.road.on_ground(d, 0.62, b));
            self.stage.limb(p, q, 0.16, 0.16, steel);
            if self.ahead(a) < 90.0 {
                for k in 0..6 {
                    let foot = self.road.on_ground(d, 0.0, a + 2.0 * k as f32);
                    self.stage.limb(foot, foot + V3::UP * 0.6, 0.06, 0.06, post);
                }
            }
        }
    }

    fn noise_wall(&mut self, side: usize) {
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let mut rng = Rng::of(self.scene.seed, 86, side as i64);
        let height = rng.range(2.0, 4.5);
        let off = rng.range(1.2, 6.0);
        let tone = scale(
            rng.pick(&[rgb(170, 160, 140), rgb(130, 120, 106), rgb(150, 150, 146)]),
            rng.range(0.7, 1.1),
        );
        for cell in self.cells(20.0) {
            let mut rng = Rng::of(self.scene.seed, 87 + side as u64, cell.div_euclid(6));
            if rng.chance(0.5) {
                let look = Look::new(Mat::Concrete, id::BUILDING, tone)
                    .seed(side as u32)
                    .p([4.0, 0.0, 0.0, 0.0]);
                self.panel(
                    sign * (self.road.edge[side] + off),
                    cell as f32 * 20.0,
                    cell as f32 * 20.0 + 20.0,
                    height,
                    look,
                );
            }
        }
    }

    fn far_fence(&mut self, side: usize) {
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let off = self.road.strips[side].last().map_or(10.0, |s| s.from) - 0.3;
        for cell in self.cells(20.0) {
            let look = Look::new(Mat::Mesh, id::FENCE, rgb(110, 104, 96)).p([0.0, 0.0, 1.7, 0.0]);
            self.panel(
                sign * (self.road.edge[side] + off),
                cell as f32 * 20.0,
                cell as f32 * 20.0 + 20.0,
                1.7,
                look,
            );
        }
    }

    fn mast(&mut self, foot: V3, double: bool) {
        let grey = Look::new(Mat::Matt, id::POLE, rgb(140, 142, 142));
        self.pole(foot, 10.0, 0.1, rgb(140, 142, 142));
        for sign in [-1.0, 1.0] {
            if double || sign * self.road.drive < 0.0 {
                let end = foot
                    + V3 {
                        x: sign * 2.2,
                        y: 10.4,
                        z: 0.0,
                    };
                self.stage.limb(foot + V3::UP * 10.0, end, 0.06, 0.05, grey);
                self.stage.limb(
                    end,
                    end + V3 {
                        x: sign * 0.7,
                        y: 0.0,
                        z: 0.0,
                    },
                    0.1,
                    0.08,
                    grey,
                );
            }
        }
    }

    /// Sign boards over the lanes.
    fn gantry(&mut self, z: f32, rng: &mut Rng) {
        if self.ahead(z) < 2.0 || self.ahead(z) > 260.0 {
            return;
        }
        let road = self.road;
        let own = usize::from(road.drive > 0.0);
        let (inner, outer) = (-road.drive * 0.3, road.drive * (road.edge[own] + 0.8));
        let grey = Look::new(Mat::Matt, id::POLE, rgb(136, 138, 138));
        let (a, b) = (road.on_ground(inner, 0.0, z), road.on_ground(outer, 0.0, z));
        for foot in [a, b] {
            self.pole(foot, 7.2, 0.2, rgb(136, 138, 138));
        }
        for y in [6.0, 7.0] {
            self.stage.limb(a + V3::UP * y, b + V3::UP * y, 0.1, 0.1, grey);
        }
        let color = rng.pick(&[rgb(16, 92, 62), rgb(20, 62, 140), rgb(22, 80, 70)]);
        for k in 0..1 + rng.below(3) {
            let t = (k as f32 + rng.range(0.3, 0.7)) / 3.0;
            let half = rng.range(1.4, 2.4);
            let center = a.mix(b, t) + V3 { x: 0.0, y: 6.4, z: -0.3 };
            let aspect = rng.range(0.45, 0.75);
            self.board(
                center,
                0.0,
                half,
                aspect,
                Look::new(Mat::Sign, id::SIGN, color).seed(rng.seed32()).p([0.0, half, 4.0, aspect]),
            );
        }
    }

    /// An overpass with piers.
    fn bridge(&mut self, z: f32, rng: &mut Rng) {
        if self.ahead(z) > 300.0 || self.ahead(z) < -20.0 {
            return;
        }
        let tone = scale(
            rng.pick(&[rgb(178, 170, 156), rgb(150, 146, 140), rgb(190, 176, 160)]),
            rng.range(0.7, 1.1),
        );
        let (low, deep, width) = (rng.range(5.2, 6.5), rng.range(1.2, 2.2), rng.range(7.0, 14.0));
        let skew = rng.range(-0.25, 0.25);
        let look = Look::new(Mat::Concrete, id::BUILDING, tone)
            .seed(rng.seed32())
            .p([8.0, 0.0, 0.0, 0.0]);
        let p = |d: f32, y: f32, z0: f32| {
            self.road.point(0.0, y, z)
                + V3 {
                    x: d,
                    y: 0.0,
                    z: z0 + d * skew,
                }
        };
        let w = width * 0.5;
        let reach = 90.0;
        let near = [
            p(-reach, low, -w),
            p(reach, low, -w),
            p(reach, low + deep, -w),
            p(-reach, low + deep, -w),
        ];
        let far = [
            p(-reach, low, w),
            p(reach, low, w),
            p(reach, low + deep, w),
            p(-reach, low + deep, w),
        ];
        let under = [p(-reach, low, -w), p(reach, low, -w), p(reach, low, w), p(-reach, low, w)];
        let dark = Look {
            color: scale(tone, 0.4),
            ..look
        };
        let rail = [
            p(-reach, low + deep, -w),
            p(reach, low + deep, -w),
            p(reach, low + deep + 1.0, -w),
            p(-reach, low + deep + 1.0, -w),
        ];
        let feet = [
            -self.road.edge[0] - 2.0,
            -self.road.drive * self.road.median * 0.5,
            self.road.edge[1] + 2.0,
        ]
        .map(|d| self.road.on_ground(d, -0.5, z));
        self.stage.plain(&near, look);
        self.stage.plain(&far, look);
        self.stage.plain(&under, dark);
        let bars = Look::new(Mat::Railing, id::BUILDING, rgb(120, 122, 120)).p([0.25, 0.04, 1.0, 0.0]);
        self.stage.plain(&rail, bars);
        for foot in feet {
            self.stage.cuboid(
                foot,
                V3 { x: 0.0, y: 0.0, z: 1.0 },
                V3 {
                    x: 1.0,
                    y: low + 0.6,
                    z: width * 0.7,
                },
                look,
            );
        }
        self.shadows.bridges.push([z - w, z + w, low]);
    }

    fn billboard(&mut self, z: f32, rng: &mut Rng) {
        let side = rng.below(2);
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let d = sign * (self.road.edge[side] + rng.range(8.0, 22.0));
        let foot = self.road.on_ground(d, 0.0, z);
        let (height, half) = (rng.range(6.0, 13.0), rng.range(2.5, 6.0));
        self.pole(foot, height, 0.35, rgb(120, 120, 118));
        let aspect = rng.range(0.3, 0.5);
        let look = Look::new(
            Mat::Sign,
            id::SIGN,
            rng.pick(&[rgb(230, 228, 222), rgb(60, 60, 66), rgb(40, 90, 150), rgb(170, 40, 40)]),
        );
        self.board(
            foot + V3 {
                x: 0.0,
                y: height + half * aspect,
                z: -0.4,
            },
            rng.range(-0.4, 0.4),
            half,
            aspect,
            look.seed(rng.seed32()).p([0.0, half, 5.0, aspect]),
        );
    }

    /// An office block or a shed some way off.
    fn far_building(&mut self, z: f32, rng: &mut Rng) {
        if rng.chance(0.4) || self.ahead(z) < 20.0 {
            return;
        }
        let side = rng.below(2);
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let d = sign * (self.road.front[side] + rng.range(-8.0, 30.0));
        let height = rng.range(5.0, 24.0);
        let style = crate::shade::Facade::new(rng, height, 0.0);
        self.facades.push(style);
        let look = Look::new(Mat::Facade, id::BUILDING, [0.0; 3]).seed(self.facades.len() as u32 - 1);
        let foot = self.road.on_ground(d, -1.0, z);
        let size = V3 {
            x: rng.range(14.0, 34.0),
            y: height,
            z: rng.range(14.0, 40.0),
        };
        self.stage.cuboid(foot, V3 { x: 0.0, y: 0.0, z: 1.0 }, size, look);
    }
}
