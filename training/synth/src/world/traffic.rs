//! Who else is on the road: parked, in our direction, oncoming, on bicycles.

use super::Builder;
use crate::Layout;
use crate::math::sin;
use crate::random::Rng;

impl Builder<'_, '_> {
    pub(super) fn traffic(&mut self) {
        let road = self.road;
        let motorway = road.layout == Layout::Motorway;
        let clutter = self.scene.options.clutter;
        let mut rng = Rng::of(self.scene.seed, 90, 0);
        let ego = &self.scene.ego;
        let busy = rng.pick(&[0.12, 0.3, 0.5, 0.75]) * clutter;
        let heavy = if motorway { 0.12 } else { 0.05 };
        let gap = if motorway { rng.range(18.0, 34.0) } else { rng.range(9.0, 18.0) };
        for lane in 0..road.own_lanes {
            let same = lane == ego.lane;
            let extra = if same { 0.0 } else { rng.range(-0.12, 0.12) * ego.speed };
            // In our own lane everyone keeps our pace; the first place before us stays free.
            let shift = ego.way(self.time) + extra * self.time;
            let d = road.own_lane(lane);
            for cell in self.moving_cells(gap, shift) {
                let mut rng = Rng::of(self.scene.seed, 91 + lane as u64, cell);
                let z = (cell as f32 + rng.range(0.25, 0.75)) * gap + shift;
                let ahead = self.ahead(z);
                let free = if same {
                    ahead < gap.min(14.0) - 2.0
                } else {
                    (-2.0..4.5).contains(&ahead) && extra == 0.0
                };
                let keep = rng.chance(busy);
                let (seed, braking, sway) = (rng.next(), rng.chance(0.35), rng.range(-0.25, 0.25));
                if !keep || free || !(-8.0..240.0).contains(&ahead) {
                    continue;
                }
                let z = z + 0.8 * sin(self.time * 0.4 + sway * 20.0);
                self.vehicle(
                    road.point(d + sway, 0.0, z),
                    road.forward(z),
                    seed,
                    heavy,
                    braking && ego.speed < 12.0,
                );
            }
        }
        for lane in 0..road.other_lanes {
            let shift = -self.time * (ego.speed.max(if motorway { 24.0 } else { 5.0 }) * (0.85 + 0.1 * lane as f32));
            let d = road.other_lane(lane);
            let standing = road.layout != Layout::Motorway && ego.speed < 1.0;
            let shift = if standing { shift * 0.4 } else { shift };
            for cell in self.moving_cells(gap, shift) {
                let mut rng = Rng::of(self.scene.seed, 98 + lane as u64, cell);
                let z = (cell as f32 + rng.range(0.25, 0.75)) * gap + shift;
                let (keep, seed, sway) = (rng.chance(busy), rng.next(), rng.range(-0.25, 0.25));
                if keep && (-6.0..240.0).contains(&self.ahead(z)) {
                    self.vehicle(road.point(d + sway, 0.0, z), -road.forward(z), seed, heavy, false);
                }
            }
        }
        if motorway {
            return;
        }
        for side in 0..2usize {
            let sign = if side == 1 { 1.0 } else { -1.0 };
            if road.parking[side] {
                self.parked(side, sign, rng.range(0.3, 0.95) * clutter.min(1.2));
            }
        }
        self.cyclists(clutter);
    }

    fn parked(&mut self, side: usize, sign: f32, full: f32) {
        let road = self.road;
        for cell in self.cells(6.0) {
            let mut rng = Rng::of(self.scene.seed, 105 + side as u64, cell);
            let z = (cell as f32 + rng.range(0.42, 0.58)) * 6.0;
            if !rng.chance(full) || self.in_mouth(side, z, 5.5) || !(-6.0..130.0).contains(&self.ahead(z)) || self.before_zebra(z) {
                continue;
            }
            let d = sign * (road.edge[side] - 1.1 + rng.range(-0.15, 0.1));
            let way = if rng.chance(0.8) { sign * road.drive } else { -sign * road.drive };
            let forward = road.forward(z) * way;
            self.vehicle(road.point(d, 0.0, z), forward, rng.next(), 0.02, false);
        }
    }

    fn before_zebra(&self, z: f32) -> bool {
        self.junctions.iter().any(|j| j.zebra && (z - j.z - j.half - 4.0).abs() < 5.0)
    }

    fn cyclists(&mut self, clutter: f32) {
        let road = self.road;
        let mut rng = Rng::of(self.scene.seed, 110, 0);
        let busy = rng.pick(&[0.1, 0.3, 0.5, 0.9]) * clutter;
        for side in 0..2usize {
            let sign = if side == 1 { 1.0 } else { -1.0 };
            let own = (side == 1) == (road.drive > 0.0);
            let way = if own || road.other_lanes == 0 { 1.0 } else { -1.0 };
            let shift = way * 4.6 * self.time;
            for cell in self.moving_cells(11.0, shift) {
                let mut rng = Rng::of(self.scene.seed, 111 + side as u64, cell);
                let z = (cell as f32 + rng.range(0.1, 0.9)) * 11.0 + shift;
                let inset = if road.parking[side] { 3.0 } else { 0.75 } + rng.range(0.0, 0.5);
                let (keep, seed) = (rng.chance(busy), rng.next());
                if keep && (-2.0..90.0).contains(&self.ahead(z)) {
                    self.cyclist(road.point(sign * (road.edge[side] - inset), 0.0, z), road.forward(z) * way, seed);
                }
            }
        }
    }
}
