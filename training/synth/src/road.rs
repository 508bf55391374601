//! The street in plan: lanes, kerbs, what lies beside, curves, hills and junctions. All of it is a function of the
//! distance z along the street and the distance d across it (0 between the two directions, right is positive).

use crate::math::{V3, cos, sin, v3};
use crate::random::Rng;
use crate::{Layout, SceneOptions};

/// What the ground is made of; decides its label too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    Road,
    Pavement,
    Kerb,
    Grass,
    /// Dry grass and earth.
    Dry,
    /// A yard or a place: asphalt that belongs to the road class.
    Lot,
}

impl Zone {
    pub fn label(self) -> u8 {
        match self {
            Zone::Road | Zone::Lot => 3,
            Zone::Pavement | Zone::Kerb => 4,
            Zone::Grass | Zone::Dry => 5,
        }
    }
}

/// A strip of ground beside the carriageway: distances from its edge and heights over the road, in metres.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strip {
    pub from: f32,
    pub to: f32,
    pub low: f32,
    pub high: f32,
    pub zone: Zone,
}

/// A side road.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Junction {
    pub z: f32,
    pub half: f32,
    pub sides: [bool; 2],
    pub lights: bool,
    pub zebra: bool,
}

/// The fixed part of a scene's geometry.
#[derive(Debug, Clone)]
pub(crate) struct Road {
    pub seed: u64,
    pub layout: Layout,
    /// The side that one drives on: -1 left, 1 right.
    pub drive: f32,
    pub lane: f32,
    pub own_lanes: usize,
    pub other_lanes: usize,
    /// Where the first own lane begins (a motorway has a hard strip there).
    pub inner: f32,
    /// Width of the reserve between the directions of a motorway, on the other side of d = 0.
    pub median: f32,
    /// Distance of the carriageway's edges from d = 0: left, right.
    pub edge: [f32; 2],
    pub parking: [bool; 2],
    pub strips: [Vec<Strip>; 2],
    /// Distance of the house fronts from d = 0.
    pub front: [f32; 2],
    /// Distance of the first row of trees from d = 0.
    pub trees: [f32; 2],
    pub junction_every: f32,
    waves: [[f32; 3]; 2],
    hills: [[f32; 3]; 2],
    pub yellow_edge: bool,
    pub yellow_center: bool,
    pub center_solid: bool,
    pub dash: [f32; 2],
    pub asphalt: f32,
}

impl Road {
    pub fn new(seed: u64, options: &SceneOptions) -> Self {
        let mut rng = Rng::of(seed, 1, 0);
        let layout = match options.layout {
            Layout::Any => match rng.below(8) {
                0..=4 => Layout::City,
                5 | 6 => Layout::Suburb,
                _ => Layout::Motorway,
            },
            chosen => chosen,
        };
        let motorway = layout == Layout::Motorway;
        let drive = rng.sign();
        let lane = if motorway { rng.range(3.4, 3.8) } else { rng.range(2.9, 3.6) };
        let (own_lanes, other_lanes) = match layout {
            Layout::Motorway => (2 + rng.below(4), 2 + rng.below(4)),
            Layout::Suburb => (1, 1),
            _ => (rng.pick(&[1, 1, 1, 1, 2]), rng.pick(&[0, 1, 1, 1, 1, 2])),
        };
        let parking = if motorway {
            [false; 2]
        } else {
            [rng.chance(0.42), rng.chance(0.42)]
        };
        let median = if motorway { rng.range(1.6, 7.0) } else { 0.0 };
        let inner = if motorway { rng.range(0.7, 1.6) } else { 0.0 };
        let wide = if rng.chance(0.12) && !motorway { rng.range(1.0, 6.0) } else { 0.0 };
        let mut edge = [0.0; 2];
        let mut strips = [Vec::new(), Vec::new()];
        let (mut front, mut trees) = ([0.0; 2], [0.0; 2]);
        for side in 0..2 {
            let own = (side == 1) == (drive > 0.0);
            let lanes = if own { own_lanes } else { other_lanes } as f32;
            edge[side] = lanes * lane + if parking[side] { 2.3 } else { 0.0 };
            edge[side] += match (motorway, own) {
                (true, true) => inner + rng.range(0.8, 3.2),
                (true, false) => median + rng.range(1.0, 3.0),
                _ => rng.range(0.2, 0.9) + wide * 0.5,
            };
            (strips[side], front[side], trees[side]) = beside(&mut rng, layout, edge[side]);
        }
        let bend = if motorway { 26.0 } else { 9.0 };
        let wave = |rng: &mut Rng, most: f32, low: f32, high: f32| {
            [
                rng.range(0.0, most),
                std::f32::consts::TAU / rng.range(low, high),
                rng.range(0.0, 6.3),
            ]
        };
        Self {
            seed,
            layout,
            drive,
            lane,
            own_lanes,
            other_lanes,
            inner,
            median,
            edge,
            parking,
            strips,
            front,
            trees,
            junction_every: rng.range(60.0, 150.0),
            waves: [wave(&mut rng, bend, 380.0, 900.0), wave(&mut rng, bend * 0.25, 170.0, 300.0)],
            hills: [wave(&mut rng, 4.5, 350.0, 800.0), wave(&mut rng, 0.7, 120.0, 250.0)],
            yellow_edge: rng.chance(0.4),
            yellow_center: rng.chance(if motorway { 0.5 } else { 0.2 }),
            center_solid: rng.chance(0.2),
            dash: [rng.range(2.0, 6.0), rng.range(4.0, 12.0)],
            asphalt: rng.unit(),
        }
    }

    /// How far the street has swung to the right at `z`.
    pub fn center(&self, z: f32) -> f32 {
        self.waves.iter().map(|w| w[0] * sin(z * w[1] + w[2])).sum()
    }

    /// The swing's change per metre.
    pub fn slope(&self, z: f32) -> f32 {
        self.waves.iter().map(|w| w[0] * w[1] * cos(z * w[1] + w[2])).sum()
    }

    /// Height of the carriageway.
    pub fn height(&self, z: f32) -> f32 {
        self.hills.iter().map(|w| w[0] * sin(z * w[1] + w[2])).sum()
    }

    pub fn climb(&self, z: f32) -> f32 {
        self.hills.iter().map(|w| w[0] * w[1] * cos(z * w[1] + w[2])).sum()
    }

    /// A point `y` over the carriageway.
    pub fn point(&self, d: f32, y: f32, z: f32) -> V3 {
        v3(d + self.center(z), self.height(z) + y, z)
    }

    /// A point `y` over the ground that is there.
    pub fn on_ground(&self, d: f32, y: f32, z: f32) -> V3 {
        self.point(d, y + self.ground(d), z)
    }

    /// Height of the ground over the carriageway.
    pub fn ground(&self, d: f32) -> f32 {
        let side = usize::from(d > 0.0);
        let off = d.abs() - self.edge[side];
        match self.strips[side].iter().find(|s| off >= s.from && off < s.to) {
            Some(s) => s.low + (s.high - s.low) * (off - s.from) / (s.to - s.from),
            None => 0.0,
        }
    }

    /// The direction of the street at `z`.
    pub fn forward(&self, z: f32) -> V3 {
        v3(self.slope(z), 0.0, 1.0).unit()
    }

    /// Middle of an own lane, 0 being the innermost.
    pub fn own_lane(&self, index: usize) -> f32 {
        self.drive * (self.inner + (index as f32 + 0.5) * self.lane)
    }

    pub fn other_lane(&self, index: usize) -> f32 {
        -self.drive * (self.median + (index as f32 + 0.5) * self.lane)
    }

    /// The k-th junction, if that stretch of street has one.
    pub fn junction(&self, k: i64) -> Option<Junction> {
        if self.layout == Layout::Motorway {
            return None;
        }
        let mut rng = Rng::of(self.seed, 2, k);
        let sides = [rng.chance(0.55), rng.chance(0.55)];
        let z = (k as f32 + rng.range(0.3, 0.7)) * self.junction_every;
        let (lights, zebra) = (rng.chance(0.5), rng.chance(0.45));
        (sides[0] || sides[1]).then(|| Junction {
            z,
            half: rng.range(3.5, 8.0),
            sides,
            lights,
            zebra,
        })
    }

    /// The junctions between two distances.
    pub fn junctions(&self, from: f32, to: f32) -> Vec<Junction> {
        let (a, b) = (
            (from / self.junction_every).floor() as i64 - 1,
            (to / self.junction_every).floor() as i64 + 1,
        );
        (a..=b)
            .filter_map(|k| self.junction(k))
            .filter(|j| j.z + j.half > from && j.z - j.half < to)
            .collect()
    }
}

/// The strips beside one edge, the distance of the house fronts and of the trees.
fn beside(rng: &mut Rng, layout: Layout, edge: f32) -> (Vec<Strip>, f32, f32) {
    let mut strips: Vec<Strip> = Vec::new();
    let mut at = 0.0;
    let mut height = 0.0;
    let mut add = |width: f32, rise: f32, zone: Zone| {
        strips.push(Strip {
            from: at,
            to: at + width,
            low: height,
            high: height + rise,
            zone,
        });
        at += width;
        height += rise;
        at
    };
    let (front, trees);
    match layout {
        Layout::Motorway => {
            add(rng.range(0.5, 2.0), 0.0, if rng.chance(0.5) { Zone::Dry } else { Zone::Lot });
            let zone = if rng.chance(0.5) { Zone::Dry } else { Zone::Grass };
            let rise = if rng.chance(0.5) { rng.range(-0.5, 4.0) } else { 0.0 };
            let foot = add(rng.range(4.0, 14.0), rise, zone);
            trees = edge + foot + rng.range(0.0, 10.0);
            front = edge + foot + rng.range(25.0, 60.0);
            add(260.0, rng.range(0.0, 14.0), if rng.chance(0.6) { zone } else { Zone::Grass });
        }
        Layout::Suburb => {
            add(0.15, 0.12, Zone::Kerb);
            let verge = rng.chance(0.45);
            if verge {
                add(rng.range(0.8, 3.0), 0.0, Zone::Grass);
            }
            let pave = add(rng.range(1.4, 2.6), 0.02, Zone::Pavement);
            trees = edge + if verge { 0.9 } else { pave + 1.2 };
            let garden = if rng.chance(0.75) { Zone::Grass } else { Zone::Pavement };
            front = edge + add(rng.range(2.5, 7.0), 0.1, garden);
            add(220.0, 0.0, Zone::Grass);
        }
        _ => {
            add(0.15, 0.12, Zone::Kerb);
            let verge = rng.chance(0.1);
            if verge {
                add(rng.range(0.8, 2.0), 0.0, Zone::Grass);
            }
            let width = add(rng.range(1.8, 6.0), 0.04, Zone::Pavement);
            trees = edge + if width > 3.0 { 1.0 } else { width + 1.5 };
            let setback = if rng.chance(0.22) { rng.range(1.0, 12.0) } else { 0.0 };
            if setback > 0.0 {
                add(setback, 0.0, rng.pick(&[Zone::Pavement, Zone::Grass, Zone::Grass, Zone::Lot]));
            }
            front = edge + width + setback;
            add(220.0, 0.0, rng.pick(&[Zone::Pavement, Zone::Grass, Zone::Lot]));
        }
    }
    (strips, front, trees)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_the_change_of_the_swing() {
        let road = Road::new(3, &SceneOptions::default());
        for k in 0..40 {
            let z = k as f32 * 23.0;
            let measured = (road.center(z + 1.0) - road.center(z - 1.0)) / 2.0;
            assert!((measured - road.slope(z)).abs() < 0.01, "{z}: {measured} and {}", road.slope(z));
        }
    }

    #[test]
    fn every_lane_lies_between_the_edges() {
        for seed in 0..60 {
            let road = Road::new(seed, &SceneOptions::default());
            for lane in 0..road.own_lanes {
                let d = road.own_lane(lane);
                let edge = road.edge[usize::from(d > 0.0)];
                assert!(d.abs() + road.lane * 0.5 <= edge + 1e-3, "seed {seed}");
            }
            for lane in 0..road.other_lanes {
                let d = road.other_lane(lane);
                assert!(d.abs() + road.lane * 0.5 <= road.edge[usize::from(d > 0.0)] + 1e-3, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_motorway_has_neither_pavement_nor_junctions() {
        let road = Road::new(
            9,
            &SceneOptions {
                layout: Layout::Motorway,
                ..SceneOptions::default()
            },
        );
        assert!(road.junctions(0.0, 5000.0).is_empty());
        assert!(road.strips.iter().flatten().all(|s| s.zone.label() != 4));
    }
}
