//! Asphalt with its markings, pavement, kerb, grass.

use super::{Finish, Painter, Surface};
use crate::Layout;
use crate::math::{Cyclic, Rgb, floor, mix, rgb, scale, smoothstep, within};
use crate::random::{faded, fractal, hash2, noise};
use crate::road::Zone;

/// Number of a zone in `Look::p[0]`.
pub(crate) fn zone_code(zone: Zone) -> f32 {
    match zone {
        Zone::Road => 0.0,
        Zone::Pavement => 1.0,
        Zone::Kerb => 2.0,
        Zone::Grass => 3.0,
        Zone::Dry => 4.0,
        Zone::Lot => 5.0,
    }
}

impl Painter<'_> {
    pub(super) fn ground(&self, s: &Surface) -> Finish {
        let z = s.at.z;
        let d = s.at.x - self.road.center(z);
        // On the ground u and v of the piece are metres across and along.
        let (fd, fz) = (s.fu, s.fv);
        let shift = (self.road.seed & 127) as f32;
        let albedo = match s.look.p[0] as i32 {
            0 => self.asphalt(d, z, fd, fz, shift),
            1 => self.pavement(d, z, fd, fz, shift),
            2 => {
                let joint = within(0.0, 0.03, z.wrap(0.9), fz);
                scale(
                    rgb(168, 164, 156),
                    (0.65 + 0.5 * fractal(d * 3.0, z * 1.2, fz * 2.0, 3)) * (1.0 - 0.5 * joint),
                )
            }
            3 => grass(s.look.color, d, z, fd.max(fz), shift),
            4 => dry(s.look.color, d, z, fd.max(fz), shift),
            _ => {
                let n = fractal(d * 0.3 + shift, z * 0.3, fz * 0.3, 4);
                scale(rgb(122, 120, 116), 0.6 + 0.6 * n)
            }
        };
        Finish::matt(albedo)
    }

    fn asphalt(&self, d: f32, z: f32, fd: f32, fz: f32, shift: f32) -> Rgb {
        let road = self.road;
        let base = mix(rgb(66, 68, 72), rgb(134, 131, 127), road.asphalt * road.asphalt);
        let wear = fractal(d * 0.25 + shift, z * 0.05, fd * 0.25, 4);
        let grain = faded(d * 24.0, z * 24.0, fd.max(fz) * 24.0);
        let coarse = faded(d * 6.0 + shift, z * 5.0, fd.max(fz) * 5.0);
        let mut tone = (0.72 + 0.5 * wear) * (0.88 + 0.24 * grain) * (0.93 + 0.14 * coarse);
        // Tyre tracks are polished or darkened, the middle of a lane holds oil.
        let lane_phase = ((d.abs() - road.inner) / road.lane).wrap(1.0);
        let track = within(0.16, 0.34, lane_phase, 0.15).max(within(0.66, 0.84, lane_phase, 0.15));
        tone *= 1.0 + (road.asphalt - 0.6) * 0.22 * track - 0.06 * within(0.42, 0.58, lane_phase, 0.12);
        // Repairs: rectangles of other asphalt, seams, manholes.
        let (cell_d, cell_z) = (floor(d / 2.7), floor(z / 9.0));
        let patch = hash2(cell_d as i32, cell_z as i32, road.seed as u32);
        if patch < 0.07 {
            let inside = within(0.3, 2.2, d - cell_d * 2.7, fd) * within(1.0, 1.5 + patch * 90.0, z - cell_z * 9.0, fz);
            tone *= 1.0 - inside * (0.35 - patch * 9.0);
        } else if patch > 0.97 {
            let (a, b) = (d - (cell_d + 0.5) * 2.7, z - (cell_z + 0.5) * 9.0);
            tone *= 1.0 - 0.5 * smoothstep(0.42, 0.34, (a * a + b * b).sqrt());
        }
        let crack_at = d * 0.9 + 0.9 * noise(z * 0.35, shift) + noise(z * 1.7, 4.0) * 0.2;
        let crack = within(0.0, 0.025, (crack_at + shift).wrap(5.3), fd) * smoothstep(0.62, 0.75, noise(z * 0.09, cell_d + shift));
        tone *= 1.0 - 0.4 * crack * (road.asphalt * 1.6).min(1.0);
        let mut color = scale(base, tone);
        let side = usize::from(d > 0.0);
        let gutter = smoothstep(0.7, 0.0, road.edge[side] - d.abs());
        if road.layout != Layout::Motorway {
            color = scale(color, 1.0 - 0.22 * gutter * noise(z * 0.4, 9.0));
        }
        let (white, yellow) = self.markings(d, z, fd, fz);
        let worn = 0.25 + 0.75 * smoothstep(0.15, 0.5, fractal(d * 3.0 + 11.0, z * 2.0, fz * 2.0, 3));
        color = mix(color, rgb(222, 222, 216), white * worn * 0.92);
        mix(color, rgb(214, 172, 62), yellow * worn * 0.9)
    }

    /// How much of a pixel is white and how much yellow paint.
    fn markings(&self, d: f32, z: f32, fd: f32, fz: f32) -> (f32, f32) {
        let road = self.road;
        let motorway = road.layout == Layout::Motorway;
        let own = d * road.drive; // positive on our side
        let wide = if motorway { 0.15 } else { 0.11 };
        let line = |at: f32| within(at - wide * 0.5, at + wide * 0.5, own, fd);
        let period = road.dash[0] + road.dash[1];
        let dashed = within(0.0, road.dash[0], z.wrap(period), fz) + within(period, period + road.dash[0], z.wrap(period), fz);
        let (mut white, mut yellow) = (0.0f32, 0.0f32);
        let near_junction = self.junctions.iter().map(|j| (z - j.z).abs() - j.half).fold(f32::MAX, f32::min);
        let open = smoothstep(-0.2, 0.2, near_junction); // lines stop in a junction
        for lane in 1..road.own_lanes {
            white = white.max(line(road.inner + lane as f32 * road.lane) * dashed);
        }
        for lane in 1..road.other_lanes {
            white = white.max(line(-road.median - lane as f32 * road.lane) * dashed);
        }
        if motorway {
            let inner = line(road.inner);
            if road.yellow_center {
                yellow = yellow.max(inner);
            } else {
                white = white.max(inner);
            }
            white = white.max(line(road.inner + road.own_lanes as f32 * road.lane + 0.1));
            white = white.max(line(-road.median - road.other_lanes as f32 * road.lane - 0.1));
            white = white.max(line(-road.median + 0.1));
        } else {
            if road.other_lanes > 0 {
                let center = if road.center_solid {
                    line(-0.12).max(line(0.12))
                } else {
                    line(0.0) * dashed
                };
                if road.yellow_center {
                    yellow = yellow.max(center);
                } else {
                    white = white.max(center);
                }
            }
            for (side, sign) in [(0, -1.0), (1, 1.0)] {
                let kerb = road.edge[side] * sign * road.drive;
                let inward = -kerb.signum();
                if road.parking[side] {
                    let bay = within(0.0, 0.1, z.wrap(6.0), fz);
                    let strip = within(kerb.min(kerb + inward * 2.1), kerb.max(kerb + inward * 2.1), own, fd);
                    white = white
                        .max(strip * bay * 0.7)
                        .max(line(kerb + inward * 2.2) * within(0.0, 1.0, z.wrap(2.0), fz) * 0.7);
                } else if road.yellow_edge {
                    let paint = line(kerb + inward * 0.3).max(line(kerb + inward * 0.55));
                    yellow = yellow.max(paint * 0.8);
                }
            }
            white *= open;
            yellow *= open;
            for j in &self.junctions {
                let (along, on_own) = (z - j.z, within(0.0, 50.0, own, fd));
                if j.lights {
                    white = white.max(within(-j.half - 1.6, -j.half - 1.25, along, fz) * on_own);
                    white = white.max(within(j.half + 1.25, j.half + 1.6, along, fz) * (1.0 - on_own));
                }
                if j.zebra {
                    let across = within(0.0, 0.5, d.wrap(1.0), fd);
                    white = white.max(across * within(j.half + 2.5, j.half + 5.5, along, fz));
                }
                if j.lights && !j.zebra && along.abs() < j.half {
                    let (a, b) = ((d + along).wrap(2.2), (d - along).wrap(2.2));
                    let f = fd + fz;
                    yellow = yellow.max(within(0.0, 0.12, a, f).max(within(0.0, 0.12, b, f)) * 0.75);
                }
                // The mouth of the side road has its own give-way line.
                let mouth = |edge: f32| within(edge + 0.1, edge + 0.35, d.abs(), fd) * within(0.0, 0.6, along.wrap(1.0), fz);
                for side in 0..2 {
                    if j.sides[side] && (d > 0.0) == (side == 1) && along.abs() < j.half {
                        white = white.max(mouth(road.edge[side]));
                    }
                }
            }
            // Now and then an arrow or letters in the lane, as a rough glyph.
            let slot = floor(z / 31.0);
            let lane_at = floor(own / road.lane);
            if hash2(slot as i32, lane_at as i32, road.seed as u32 ^ 77) < 0.25 && near_junction > 8.0 {
                let (a, b) = ((own / road.lane).frac() - 0.5, (z / 31.0).frac() * 31.0 - 10.0);
                let stem = within(-0.05, 0.05, a, fd / road.lane) * within(0.0, 3.0, b, fz);
                let head = within(0.0, (2.0 - (b - 2.6)).max(0.0) * 0.08, a.abs(), fd / road.lane) * within(2.6, 4.4, b, fz);
                white = white.max(stem.max(head) * 0.85);
            }
        }
        (white.min(1.0), yellow.min(1.0))
    }

    fn pavement(&self, d: f32, z: f32, fd: f32, fz: f32, shift: f32) -> Rgb {
        let style = hash2(self.road.seed as i32 & 4095, 3, 5);
        let base = mix(rgb(92, 89, 85), rgb(158, 152, 142), hash2(self.road.seed as i32 & 4095, 4, 5));
        let wear = fractal(d * 0.5 + shift, z * 0.4, fd * 0.5, 4);
        let grain = faded(d * 18.0, z * 18.0, fd.max(fz) * 18.0);
        let mut tone = (0.65 + 0.6 * wear) * (0.9 + 0.2 * grain);
        if style < 0.7 {
            let (w, l) = if style < 0.35 { (0.6, 0.9) } else { (0.3, 0.3) };
            let row = floor(z / l);
            let a = d / w + if row as i32 & 1 == 0 { 0.5 } else { 0.0 };
            let keep = (1.4 - (fd / w).max(fz / l) * 1.5).clamp(0.0, 1.0);
            let slab = hash2(floor(a) as i32, row as i32, 3) - 0.5;
            let joint = within(0.0, 0.04 / w, a.frac(), fd / w).max(within(0.0, 0.03 / l, (z / l).frac(), fz / l));
            tone *= 1.0 + (slab * 0.22 - 0.4 * joint) * keep;
        } else {
            tone *= 0.75;
        }
        scale(base, tone)
    }
}

fn grass(color: Rgb, d: f32, z: f32, f: f32, shift: f32) -> Rgb {
    let broad = fractal(d * 0.2 + shift, z * 0.2, f * 0.2, 4);
    let blades = faded(d * 14.0, z * 9.0, f * 12.0);
    let color = mix(
        color,
        [color[0] * 1.9, color[1] * 1.35, color[2] * 0.9],
        smoothstep(0.45, 0.75, broad) * 0.7,
    );
    scale(color, (0.6 + 0.7 * broad) * (0.6 + 0.8 * blades))
}

fn dry(color: Rgb, d: f32, z: f32, f: f32, shift: f32) -> Rgb {
    let broad = fractal(d * 0.15 + shift, z * 0.15, f * 0.15, 4);
    let tufts = faded(d * 5.0, z * 4.0, f * 5.0);
    let green = mix(
        color,
        rgb(96, 100, 58),
        smoothstep(0.5, 0.75, fractal(d * 0.4, z * 0.3 + shift, f * 0.4, 3)) * 0.6,
    );
    scale(green, (0.65 + 0.6 * broad) * (0.75 + 0.5 * tufts))
}
