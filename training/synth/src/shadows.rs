//! What the sun reaches: house rows and trees as a profile along the street, looked up per pixel.

use crate::math::{V3, smoothstep};
use crate::random::noise;
use crate::road::Road;

/// A crown that throws a shadow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crown {
    pub y: f32,
    pub z: f32,
    pub radius: f32,
    /// Share of light that it lets through.
    pub thin: f32,
}

/// Heights of the house rows per metre, and crowns per two metres, from `start` on.
#[derive(Debug, Clone)]
pub(crate) struct Shadows {
    start: f32,
    houses: [Vec<f32>; 2],
    fronts: [f32; 2],
    crowns: [Vec<Option<Crown>>; 2],
    /// A bridge over the road: from, to and the height of its underside.
    pub bridges: Vec<[f32; 3]>,
}

const CROWN_STEP_M: f32 = 2.0;

impl Shadows {
    pub fn new(start: f32, end: f32, fronts: [f32; 2]) -> Self {
        let metres = (end - start).max(1.0) as usize + 1;
        let crowns = vec![None; metres / CROWN_STEP_M as usize + 1];
        Self {
            start,
            houses: [vec![0.0; metres], vec![0.0; metres]],
            fronts,
            crowns: [crowns.clone(), crowns],
            bridges: Vec::new(),
        }
    }

    pub fn house(&mut self, side: usize, from: f32, to: f32, height: f32) {
        let last = self.houses[side].len() as f32;
        let (a, b) = ((from - self.start).clamp(0.0, last), (to - self.start).clamp(0.0, last));
        for h in &mut self.houses[side][a as usize..b as usize] {
            *h = h.max(height);
        }
    }

    pub fn crown(&mut self, side: usize, crown: Crown) {
        let last = self.crowns[side].len() as f32;
        let a = ((crown.z - crown.radius - self.start) / CROWN_STEP_M).clamp(0.0, last) as usize;
        let b = ((crown.z + crown.radius - self.start) / CROWN_STEP_M + 1.0).clamp(0.0, last) as usize;
        for cell in &mut self.crowns[side][a..b] {
            *cell = Some(crown);
        }
    }

    /// 0 in full shadow, 1 in the sun.
    pub fn sun(&self, road: &Road, to_sun: V3, at: V3, pixel_m: f32) -> f32 {
        let across = to_sun.x - road.slope(at.z) * to_sun.z;
        let d = at.x - road.center(at.z);
        let y = at.y - road.height(at.z);
        let mut open = 1.0f32;
        for [from, to, low] in &self.bridges {
            let t = (low - y) / to_sun.y;
            let z = at.z + t * to_sun.z;
            if t > 0.3 && z > *from && z < *to {
                return 0.0;
            }
        }
        if across.abs() < 0.02 {
            return open;
        }
        let side = usize::from(across > 0.0);
        let sign = if side == 1 { 1.0 } else { -1.0 };
        let t = (self.fronts[side] * sign - d) / across;
        if t > 0.15 {
            let (z, h) = (at.z + t * to_sun.z - self.start, y + t * to_sun.y);
            if z >= 0.0 && (z as usize) < self.houses[side].len() {
                let roof = self.houses[side][z as usize];
                let soft = 0.02 * t + pixel_m;
                open = smoothstep(roof - soft, roof + soft, h);
            }
        }
        if open == 0.0 {
            return 0.0;
        }
        // Crowns stand in a plane of their own.
        let near = road.trees[side] * sign;
        let t = (near - d) / across;
        if t > -0.2 {
            let z = at.z + t * to_sun.z;
            let cell = (z - self.start) / CROWN_STEP_M;
            if cell >= 0.0
                && (cell as usize) < self.crowns[side].len()
                && let Some(c) = self.crowns[side][cell as usize]
            {
                let (a, b) = ((z - c.z) / c.radius, (y + t * to_sun.y - c.y) / c.radius);
                let r2 = a * a + b * b;
                let gaps = noise(a * 5.0 + c.z, b * 5.0) * 0.6 + noise(a * 13.0, b * 13.0 + c.z) * 0.4;
                if r2 < 1.2 {
                    let dense = smoothstep(1.15, 0.6, r2 + (gaps - 0.5) * 0.5) * (1.0 - c.thin);
                    open *= 1.0 - dense * smoothstep(0.75, 0.45, gaps);
                }
                // The trunk.
                if a.abs() * c.radius < 0.18 && b < 0.0 {
                    open *= 0.3;
                }
            }
        }
        open
    }
}
