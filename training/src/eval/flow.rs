//! Motion between two pictures, by block matching from coarse to fine. No well-kept crate has dense optical flow without OpenCV,
//! which the trainer does without.

use crate::scale::resize_rgb;
use anyhow::Result;
use maskline_models::field::Field;

/// Longer side of the finest pictures that are compared, in pixels.
const LONG_SIDE: usize = 480;
/// Sides of a cell of the field, and of the window around it that is compared, in pixels.
const CELL: usize = 4;
const WINDOW: usize = 8;
/// The coarsest pictures are no shorter than this.
const SHORTEST_SIDE: usize = 24;
/// Pixels to each side that are searched at every size, and at the coarsest one.
const REACH: i32 = 2;
const FIRST_REACH: i32 = 4;
/// What a pixel away from the coarser motion costs, in grey levels summed over the window: so little that only plain ground
/// follows it.
const AWAY: i32 = 16;

/// A picture's luma at full, half, quarter... size.
#[derive(Debug, Clone)]
pub struct Luma {
    planes: Vec<Plane>, // the finest first
}

#[derive(Debug, Clone)]
struct Plane {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// What moved between two pictures.
#[derive(Debug, Clone)]
pub struct Motion {
    /// From the second picture to where its content was in the first.
    pub back: Field,
    /// Mean difference of luma between the second picture and the first one moved onto it, 0-255.
    pub residual: f64,
}

impl Luma {
    /// The luma of an RGB picture; `None` if it is too small to find motion in.
    ///
    /// # Errors
    /// If the bytes do not fit the size.
    pub fn new(rgb: &[u8], width: usize, height: usize) -> Result<Option<Self>> {
        let long = width.max(height).max(1);
        let side = |length: usize| length * LONG_SIDE.min(long) / long / CELL * CELL; // whole cells
        let size = (side(width), side(height));
        if size.0.min(size.1) < SHORTEST_SIDE {
            return Ok(None);
        }
        let small = resize_rgb(rgb, (width, height), size)?;
        let luma = |p: &[u8; 3]| ((77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2])) >> 8) as u8;
        let mut planes = vec![Plane {
            width: size.0,
            height: size.1,
            pixels: small.as_chunks::<3>().0.iter().map(luma).collect(),
        }];
        while let Some(half) = planes.last().and_then(Plane::half) {
            planes.push(half);
        }
        Ok(Some(Self { planes }))
    }

    /// What moved since `before`; `None` if the pictures have other sizes.
    pub fn since(&self, before: &Self) -> Option<Motion> {
        let (now, then) = (&self.planes[0], &before.planes[0]);
        if (now.width, now.height) != (then.width, then.height) {
            return None;
        }
        let (mut back, residual) = self.search(before);
        let (ahead, _) = before.search(self);
        back.confirm(&ahead, (now.width as f32, now.height as f32));
        Some(Motion { back, residual })
    }

    /// Where each cell lies in the other picture, and the mean difference of luma that is left.
    fn search(&self, other: &Self) -> (Field, f64) {
        let mut grid: Option<Grid> = None;
        for (plane, target) in self.planes.iter().zip(&other.planes).rev() {
            let mut finer = Grid::new(plane);
            for row in 0..finer.rows {
                for column in 0..finer.columns {
                    let block = Block::new(plane, target, column, row);
                    finer.shifts[row * finer.columns + column] = block.best(grid.as_ref(), column, row);
                }
            }
            finer.smooth();
            grid = Some(finer);
        }
        let (plane, target) = (&self.planes[0], &other.planes[0]);
        let grid = grid.unwrap_or_else(|| Grid::new(plane));
        let mut field = Field::still(grid.columns, grid.rows);
        let (width, height) = (plane.width as f32, plane.height as f32);
        let mut difference = 0;
        for (cell, shift) in grid.shifts.iter().enumerate() {
            let block = Block::new(plane, target, cell % grid.columns, cell / grid.columns);
            let [dx, dy] = block.between(*shift);
            field.shifts[cell] = [dx / width, dy / height];
            difference += i64::from(block.difference(*shift));
        }
        let pixels = (grid.shifts.len() * WINDOW * WINDOW) as f64;
        (field, difference as f64 / pixels)
    }
}

impl Plane {
    /// The plane at half the size, while that is not too small.
    fn half(&self) -> Option<Self> {
        let (width, height) = (self.width / 2, self.height / 2);
        if width.min(height) < SHORTEST_SIDE {
            return None;
        }
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            let rows = [2 * y, 2 * y + 1].map(|y| &self.pixels[y * self.width..][..self.width]);
            pixels.extend((0..width).map(|x| {
                let sum: u32 = rows.iter().flat_map(|row| &row[2 * x..2 * x + 2]).map(|p| u32::from(*p)).sum();
                ((sum + 2) / 4) as u8
            }));
        }
        Some(Self { width, height, pixels })
    }
}

/// A shift of whole pixels for each cell of a plane.
struct Grid {
    columns: usize,
    rows: usize,
    shifts: Vec<[i32; 2]>,
}

impl Grid {
    fn new(plane: &Plane) -> Self {
        let (columns, rows) = (plane.width / CELL, plane.height / CELL);
        Self {
            columns,
            rows,
            shifts: vec![[0; 2]; columns * rows],
        }
    }

    fn at(&self, column: i32, row: i32) -> [i32; 2] {
        let inside = |at: i32, count: usize| at.clamp(0, count as i32 - 1) as usize;
        self.shifts[inside(row, self.rows) * self.columns + inside(column, self.columns)]
    }

    /// Each shift becomes the median of those around it, each axis on its own: single wrong ones vanish, edges stay.
    fn smooth(&mut self) {
        let around = |row: i32, column: i32, axis: usize| {
            let mut nine: Vec<i32> = (0..9).map(|i| self.at(column + i % 3 - 1, row + i / 3 - 1)[axis]).collect();
            nine.sort_unstable();
            nine[4]
        };
        let cells = (0..self.rows as i32).flat_map(|row| (0..self.columns as i32).map(move |column| (row, column)));
        self.shifts = cells.map(|(row, column)| [0, 1].map(|axis| around(row, column, axis))).collect();
    }
}

/// The window around a cell, which is looked for in another plane. It never leaves the planes.
struct Block<'p> {
    plane: &'p Plane,
    target: &'p Plane,
    left: usize,
    top: usize,
}

impl<'p> Block<'p> {
    fn new(plane: &'p Plane, target: &'p Plane, column: usize, row: usize) -> Self {
        let begin = |cell: usize, side: usize| (cell * CELL).saturating_sub((WINDOW - CELL) / 2).min(side - WINDOW);
        Self {
            plane,
            target,
            left: begin(column, plane.width),
            top: begin(row, plane.height),
        }
    }

    fn inside(&self, [dx, dy]: [i32; 2]) -> [i32; 2] {
        let clamp = |shift: i32, begin: usize, side: usize| shift.clamp(-(begin as i32), (side - WINDOW - begin) as i32);
        [clamp(dx, self.left, self.plane.width), clamp(dy, self.top, self.plane.height)]
    }

    /// Sum of the differences of luma.
    fn difference(&self, shift: [i32; 2]) -> i32 {
        let [dx, dy] = self.inside(shift);
        let (x, y) = ((self.left as i32 + dx) as usize, (self.top as i32 + dy) as usize);
        let row = |plane: &'p Plane, x: usize, y: usize| &plane.pixels[y * plane.width + x..][..WINDOW];
        (0..WINDOW)
            .map(|i| {
                let pairs = row(self.plane, self.left, self.top + i).iter().zip(row(self.target, x, y + i));
                pairs.map(|(a, b)| i32::from(a.abs_diff(*b))).sum::<i32>()
            })
            .sum()
    }

    /// The best shift near those that the coarser grid names for this place and its neighbours.
    fn best(&self, coarser: Option<&Grid>, column: usize, row: usize) -> [i32; 2] {
        let (column, row) = ((column / 2) as i32, (row / 2) as i32);
        let doubled = |[dx, dy]: [i32; 2]| [2 * dx, 2 * dy];
        let told = |c: i32, r: i32| coarser.map_or([0; 2], |grid| doubled(grid.at(column + c, row + r)));
        let expected = told(0, 0);
        let cost = |shift: [i32; 2]| {
            let away = (shift[0] - expected[0]).abs() + (shift[1] - expected[1]).abs();
            self.difference(shift) + AWAY * away
        };
        let mut best = ([0; 2], cost([0; 2]));
        let mut offer = |shift: [i32; 2]| {
            let shift = self.inside(shift);
            let cost = cost(shift);
            if cost < best.1 {
                best = (shift, cost);
            }
            best.0
        };
        for (c, r) in [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)] {
            offer(told(c, r));
        }
        let [x, y] = offer(expected);
        let reach = if coarser.is_some() { REACH } else { FIRST_REACH };
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                offer([x + dx, y + dy]);
            }
        }
        best.0
    }

    /// The shift with its part of a pixel: the lowest point of the parabola through the differences beside it.
    fn between(&self, shift: [i32; 2]) -> [f32; 2] {
        let here = self.difference(shift);
        [0, 1].map(|axis| {
            let beside = |by: i32| {
                let mut other = shift;
                other[axis] += by;
                (self.inside(other) == other).then(|| self.difference(other))
            };
            let part = match (beside(-1), beside(1)) {
                (Some(before), Some(after)) if before + after > 2 * here => {
                    0.5 * (before - after) as f32 / (before + after - 2 * here) as f32
                }
                _ => 0.0,
            };
            shift[axis] as f32 + part.clamp(-0.5, 0.5)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A textured scene, moved by so many pixels.
    fn scene(width: usize, height: usize, dx: f32, dy: f32) -> Luma {
        let mut rgb = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (x, y) = (x as f32 - dx, y as f32 - dy);
                let waves = (x / 7.0).sin() + (y / 9.0).cos() + ((x + 2.0 * y) / 17.0).sin() + ((x * x + y * y) / 9000.0).sin();
                rgb.extend([(126.0 + 25.0 * waves) as u8; 3]);
            }
        }
        Luma::new(&rgb, width, height).unwrap().unwrap()
    }

    #[test]
    fn a_pan_is_found() {
        // Between two whole pixels, stripes fit nearly as well a pixel further along them.
        for (dx, dy, most) in [(6.0, -4.0, 0.3), (25.0, 9.0, 0.3), (25.5, 9.0, 0.8)] {
            let motion = scene(480, 360, dx, dy).since(&scene(480, 360, 0.0, 0.0)).unwrap();
            let missed = |s: &[f32; 2]| (s[0] * 480.0 + dx).hypot(s[1] * 360.0 + dy);
            let mut all: Vec<f32> = motion.back.shifts.iter().map(missed).collect();
            all.sort_by(f32::total_cmp);
            assert!(all[all.len() / 2] < most, "{dx},{dy}: {}", all[all.len() / 2]);
            assert!(!motion.back.is_cut(motion.residual), "{dx},{dy}: {}", motion.back.unsure());
        }
    }

    #[test]
    fn the_same_picture_is_still_another_one_is_a_cut_and_tiny_ones_have_no_motion() {
        let first = scene(320, 180, 0.0, 0.0);
        let same = first.since(&first).unwrap();
        assert_eq!((same.residual, same.back.unsure()), (0.0, 0.0));
        assert!(same.back.length() < 1e-3, "{}", same.back.length());
        let board = |i: usize| if (i % 320 / 40 + i / 320 / 30).is_multiple_of(2) { 30 } else { 220 };
        let rgb: Vec<u8> = (0..320 * 180).flat_map(|i| [board(i); 3]).collect();
        let other = Luma::new(&rgb, 320, 180).unwrap().unwrap().since(&first).unwrap();
        assert!(other.back.is_cut(other.residual), "{} {}", other.residual, other.back.unsure());
        assert!(Luma::new(&[0; 3 * 16 * 16], 16, 16).unwrap().is_none());
        assert!(scene(240, 180, 0.0, 0.0).since(&first).is_none());
    }
}
