//! Which piece each sample of the picture sees, by depth; four samples a pixel, in bands that fit the cache.

use crate::shade::{Painter, Surface};
use crate::stage::{Decal, Mat, NO_LABEL, Outline, Prim, Stage};

/// Rows of pixels that are drawn together.
const BAND_ROWS: usize = 24;
const NOTHING: u32 = u32::MAX;

struct Band {
    y0: usize,
    rows: usize,
    columns: usize,
    depth: Vec<f32>,
    id: Vec<u32>,
    light: Vec<u8>,
    label_depth: Vec<f32>,
    label: Vec<u8>,
}

/// Draws the stage: linear colours and hard labels, row by row.
pub(crate) fn draw(stage: &Stage, painter: &Painter, width: usize, height: usize) -> (Vec<[f32; 3]>, Vec<u8>) {
    let mut colors = Vec::with_capacity(width * height);
    let mut labels = Vec::with_capacity(width * height);
    let columns = width * 2;
    let size = columns * BAND_ROWS * 2;
    let mut band = Band {
        y0: 0,
        rows: 0,
        columns,
        depth: vec![0.0; size],
        id: vec![NOTHING; size],
        light: vec![255; size],
        label_depth: vec![0.0; size],
        label: vec![0; size],
    };
    for y0 in (0..height).step_by(BAND_ROWS) {
        band.begin(y0, BAND_ROWS.min(height - y0));
        let (top, bottom) = (y0 as f32, (y0 + band.rows) as f32);
        let touches = |p: &Prim| p.y_max > top && p.y_min < bottom;
        for (i, prim) in stage.prims.iter().enumerate() {
            if touches(prim) {
                band.fill(prim, i as u32);
            }
        }
        for decal in &stage.decals {
            if touches(&decal.prim) {
                band.darken(decal, &stage.prims);
            }
        }
        band.resolve(stage, painter, &mut colors, &mut labels);
    }
    (colors, labels)
}

/// The columns of samples (half pixels) that a sample row crosses inside an outline, end excluded.
fn span(outline: &Outline, y: f32, columns: usize) -> Option<(usize, usize)> {
    let (mut left, mut right) = (f32::MAX, f32::MIN);
    let points = &outline.points[..outline.len];
    let mut a = points[points.len() - 1];
    for &b in points {
        if (a[1] <= y) != (b[1] <= y) {
            let x = a[0] + (b[0] - a[0]) * ((y - a[1]) / (b[1] - a[1]));
            left = left.min(x);
            right = right.max(x);
        }
        a = b;
    }
    // Sample i lies at pixel (i + 0.5) / 2.
    let first = (left * 2.0 - 0.5).ceil().max(0.0);
    let end = (right * 2.0 - 0.5).ceil().min(columns as f32);
    (first < end).then_some((first as usize, end as usize))
}

impl Band {
    fn begin(&mut self, y0: usize, rows: usize) {
        self.y0 = y0;
        self.rows = rows;
        self.depth.fill(0.0);
        self.id.fill(NOTHING);
        self.light.fill(255);
        self.label_depth.fill(0.0);
        self.label.fill(NO_LABEL);
    }

    fn at(&self, column: usize, row: usize) -> (f32, f32) {
        ((column as f32 + 0.5) * 0.5, self.y0 as f32 + (row as f32 + 0.5) * 0.5)
    }

    fn sample_rows(&self, prim: &Prim) -> std::ops::Range<usize> {
        let low = ((prim.y_min - self.y0 as f32) * 2.0 - 0.5).ceil().max(0.0) as usize;
        let high = ((prim.y_max - self.y0 as f32) * 2.0 - 0.5)
            .ceil()
            .clamp(0.0, (self.rows * 2) as f32) as usize;
        low..high.max(low)
    }

    fn fill(&mut self, prim: &Prim, id: u32) {
        let masked = crate::shade::has_mask(prim);
        let labelled = prim.look.label != NO_LABEL;
        for row in self.sample_rows(prim) {
            let (_, y) = self.at(0, row);
            let Some((first, end)) = span(&prim.outline, y, self.columns) else {
                continue;
            };
            let line = row * self.columns;
            let base = prim.iz[1] * y + prim.iz[2];
            for column in first..end {
                let x = (column as f32 + 0.5) * 0.5;
                let iz = prim.iz[0] * x + base;
                let at = line + column;
                let (nearer, label_nearer) = (iz > self.depth[at], labelled && iz > self.label_depth[at]);
                if !nearer && !label_nearer {
                    continue;
                }
                let (mut paints, mut labels) = (true, true);
                if masked {
                    let z = 1.0 / iz;
                    let u = (prim.uz[0] * x + prim.uz[1] * y + prim.uz[2]) * z;
                    let v = (prim.vz[0] * x + prim.vz[1] * y + prim.vz[2]) * z;
                    (paints, labels) = crate::shade::mask(prim, u, v, z);
                }
                if nearer && paints {
                    self.depth[at] = iz;
                    self.id[at] = id;
                }
                if label_nearer && labels {
                    self.label_depth[at] = iz;
                    self.label[at] = prim.look.label;
                }
            }
        }
    }

    fn darken(&mut self, decal: &Decal, prims: &[Prim]) {
        let prim = &decal.prim;
        for row in self.sample_rows(prim) {
            let (_, y) = self.at(0, row);
            let Some((first, end)) = span(&prim.outline, y, self.columns) else {
                continue;
            };
            for column in first..end {
                let at = row * self.columns + column;
                let Some(under) = prims.get(self.id[at] as usize) else { continue };
                if under.look.mat != Mat::Ground {
                    continue;
                }
                let x = (column as f32 + 0.5) * 0.5;
                let iz = prim.iz[0] * x + prim.iz[1] * y + prim.iz[2];
                if iz <= 0.0 || (iz - self.depth[at]).abs() > 0.12 * iz {
                    continue;
                }
                let u = (prim.uz[0] * x + prim.uz[1] * y + prim.uz[2]) / iz;
                let v = (prim.vz[0] * x + prim.vz[1] * y + prim.vz[2]) / iz;
                let edge = (1.0 - u.abs()).min(1.0 - v.abs()).max(0.0) / decal.softness.max(0.02);
                let dark = decal.strength * edge.min(1.0) * (2.0 - edge.min(1.0)).min(1.0);
                self.light[at] = (f32::from(self.light[at]) * (1.0 - dark)) as u8;
            }
        }
    }

    fn resolve(&self, stage: &Stage, painter: &Painter, colors: &mut Vec<[f32; 3]>, labels: &mut Vec<u8>) {
        for row in 0..self.rows {
            for column in 0..self.columns / 2 {
                let top = row * 2 * self.columns + column * 2;
                let samples = [top, top + 1, top + self.columns, top + self.columns + 1];
                let ids = samples.map(|s| self.id[s]);
                let (x, y) = (column as f32 + 0.5, (self.y0 + row) as f32 + 0.5);
                let light = samples.iter().map(|&s| f32::from(self.light[s])).sum::<f32>() * (1.0 / 1020.0);
                let color = if ids.iter().all(|i| *i == ids[0]) {
                    paint(stage, painter, ids[0], x, y, light)
                } else {
                    let mut sum = [0.0; 3];
                    for (k, id) in ids.iter().enumerate() {
                        // A piece seen by several samples is painted once.
                        if ids[..k].contains(id) {
                            continue;
                        }
                        let share = ids.iter().filter(|i| *i == id).count() as f32 * 0.25;
                        let (sx, sy) = (x - 0.25 + (k & 1) as f32 * 0.5, y - 0.25 + (k >> 1) as f32 * 0.5);
                        let c = paint(stage, painter, *id, sx, sy, light);
                        sum = [sum[0] + c[0] * share, sum[1] + c[1] * share, sum[2] + c[2] * share];
                    }
                    sum
                };
                colors.push(color);
                let mut seen = samples.map(|s| self.label[s]);
                if seen.contains(&NO_LABEL) {
                    let far = painter.far_label(x, y);
                    seen.iter_mut().filter(|l| **l == NO_LABEL).for_each(|l| *l = far);
                }
                labels.push(majority(seen));
            }
        }
    }
}

fn paint(stage: &Stage, painter: &Painter, id: u32, x: f32, y: f32, light: f32) -> [f32; 3] {
    match stage.prims.get(id as usize) {
        None => painter.far(x, y),
        Some(prim) => painter.near(&Surface::at(prim, stage.camera, x, y), light),
    }
}

/// The label most samples have; among equals the thing that is rarer on the street, so that thin poles survive.
fn majority(labels: [u8; 4]) -> u8 {
    /// From the commonest class to the rarest.
    const RARITY: [u8; 12] = [1, 2, 9, 0, 4, 3, 8, 6, 5, 10, 11, 7];
    let mut best = (0, 0, labels[0]);
    for label in labels {
        let votes = labels.iter().filter(|l| **l == label).count();
        let rank = (votes, RARITY[usize::from(label)], label);
        if rank > best {
            best = rank;
        }
    }
    best.2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_wins_and_a_tie_goes_to_the_thin_thing() {
        assert_eq!(majority([3, 3, 3, 8]), 3);
        assert_eq!(majority([0, 2, 0, 2]), 2);
        assert_eq!(majority([8, 9, 9, 8]), 9);
    }

    #[test]
    fn a_span_covers_the_sample_centres_inside_the_outline() {
        let mut outline = Outline {
            points: [[0.0; 2]; 9],
            len: 4,
        };
        outline.points[..4].copy_from_slice(&[[1.0, 0.0], [3.0, 0.0], [3.0, 2.0], [1.0, 2.0]]);
        assert_eq!(span(&outline, 1.0, 100), Some((2, 6)));
        assert_eq!(span(&outline, 3.0, 100), None);
        assert_eq!(span(&outline, 1.0, 4), Some((2, 4)));
    }
}
