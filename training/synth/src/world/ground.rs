//! The ground as a strip of quads along the street.

use super::Builder;
use crate::math::{Rgb, V3, rgb, scale, v3};
use crate::random::Rng;
use crate::road::Zone;
use crate::shade::zone_code;
use crate::stage::{Frame, Look, Mat};

impl Builder<'_, '_> {
    pub(super) fn ground(&mut self) {
        let mut rng = Rng::of(self.scene.seed, 10, 0);
        let green = scale(
            rng.pick(&[rgb(88, 108, 46), rgb(70, 92, 44), rgb(104, 112, 60), rgb(60, 80, 38)]),
            rng.range(0.8, 1.3),
        );
        let straw = scale(
            rng.pick(&[rgb(178, 150, 96), rgb(160, 138, 98), rgb(140, 124, 92), rgb(190, 166, 118)]),
            rng.range(0.7, 1.2),
        );
        let mut cuts: Vec<f32> = Vec::new();
        let mut z = (self.from / 4.0).floor() * 4.0;
        while z < self.to {
            cuts.push(z);
            z += if self.ahead(z) < 120.0 {
                4.0
            } else {
                20.0 - (z / 4.0).floor() * 4.0 % 20.0
            };
        }
        for j in &self.junctions {
            cuts.extend([j.z - j.half, j.z + j.half]);
        }
        cuts.sort_by(f32::total_cmp);
        cuts.dedup_by(|a, b| (*a - *b).abs() < 0.01);
        for pair in cuts.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let middle = (a + b) * 0.5;
            let [left, right] = self.road.edge;
            self.strip(a, b, [-left, right], [0.0, 0.0], Zone::Road, green);
            for (side, sign) in [(0, -1.0), (1, 1.0f32)] {
                let edge = self.road.edge[side];
                if self.junctions.iter().any(|j| j.sides[side] && (middle - j.z).abs() < j.half) {
                    self.strip(a, b, [sign * edge, sign * (edge + 180.0)], [0.0, 0.0], Zone::Road, green);
                    continue;
                }
                for k in 0..self.road.strips[side].len() {
                    let s = self.road.strips[side][k];
                    let color = if s.zone == Zone::Dry { straw } else { green };
                    if k == 0 && s.zone == Zone::Kerb {
                        // The kerb's upright face.
                        self.strip(a, b, [sign * edge, sign * edge], [0.0, s.high], Zone::Kerb, color);
                        self.strip(a, b, [sign * edge, sign * (edge + s.to)], [s.high, s.high], Zone::Kerb, color);
                    } else {
                        self.strip(a, b, [sign * (edge + s.from), sign * (edge + s.to)], [s.low, s.high], s.zone, color);
                    }
                }
            }
        }
    }

    /// Ground from `d[0]` to `d[1]` across, at those heights, and from `a` to `b` along.
    fn strip(&mut self, a: f32, b: f32, d: [f32; 2], y: [f32; 2], zone: Zone, color: Rgb) {
        let p = |k: usize, z: f32| self.road.point(d[k], y[k], z);
        let corners = [p(0, a), p(0, b), p(1, b), p(1, a)];
        let frame = Frame {
            origin: V3::default(),
            u: v3(1.0, 0.0, 0.0),
            v: v3(0.0, 0.0, 1.0),
        };
        let look = Look::new(Mat::Ground, zone.label(), color).p([zone_code(zone), 0.0, 0.0, 0.0]);
        self.stage.polygon(&corners, frame, look, false);
    }
}
