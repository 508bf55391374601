//! Fields of motion: for every cell of a coarse grid, where in another frame the same thing is.

use crate::frame::ClassMap;

/// Where the content of each cell of a frame lies in another frame: displacements in shares of width and height, so that a
/// field fits class maps of any size.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Cells in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[dx / width, dy / height]` a cell, row by row.
    pub shifts: Vec<[f32; 2]>,
    /// Whether the motion holds both ways, a cell; where it does not, what is shown there is not seen in the other frame.
    pub sure: Vec<bool>,
}

/// The two cells around a place on an axis and how far it lies towards the second one.
#[derive(Debug, Clone, Copy)]
struct Between {
    first: usize,
    second: usize,
    share: f32,
}

impl Between {
    /// `at` in shares of the axis, `cells` cells; their middles are the places that are known.
    fn new(at: f32, cells: usize) -> Self {
        let last = cells - 1;
        let place = (at * cells as f32 - 0.5).clamp(0.0, last as f32);
        let first = (place as usize).min(last);
        Self {
            first,
            second: (first + 1).min(last),
            share: place - first as f32,
        }
    }

    fn mix(self, first: f32, second: f32) -> f32 {
        first + (second - first) * self.share
    }
}

/// The middle of cell `i` of `cells`, in shares of the axis.
fn middle(i: usize, cells: usize) -> f32 {
    (i as f32 + 0.5) / cells as f32
}

impl Field {
    /// Nothing moved.
    pub fn still(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            shifts: vec![[0.0; 2]; width * height],
            sure: vec![true; width * height],
        }
    }

    /// The shift at a place, in shares of the frame, between the cells around it.
    fn shift(&self, x: f32, y: f32) -> [f32; 2] {
        let (column, row) = (Between::new(x, self.width), Between::new(y, self.height));
        let at = |row: usize, column: usize| self.shifts[row * self.width + column];
        let (a, b) = (at(row.first, column.first), at(row.first, column.second));
        let (c, d) = (at(row.second, column.first), at(row.second, column.second));
        std::array::from_fn(|i| row.mix(column.mix(a[i], b[i]), column.mix(c[i], d[i])))
    }

    fn cell(&self, x: f32, y: f32) -> usize {
        let along = |at: f32, cells: usize| ((at * cells as f32).max(0.0) as usize).min(cells - 1);
        along(y, self.height) * self.width + along(x, self.width)
    }

    /// This field and then `next`: from this field's frame to the frame that `next` leads to. Sure where both are and where
    /// the way does not leave the picture. Both have one size.
    pub fn then(&self, next: &Self) -> Self {
        let mut composed = self.clone();
        for row in 0..self.height {
            for column in 0..self.width {
                let cell = row * self.width + column;
                let shift = self.shifts[cell];
                let x = middle(column, self.width) + shift[0];
                let y = middle(row, self.height) + shift[1];
                let further = next.shift(x, y);
                composed.shifts[cell] = [shift[0] + further[0], shift[1] + further[1]];
                let inside = (0.0..1.0).contains(&x) && (0.0..1.0).contains(&y);
                composed.sure[cell] = self.sure[cell] && inside && next.sure[next.cell(x, y)];
            }
        }
        composed
    }

    /// Marks the cells where `back`, the field of the opposite direction, does not lead to where this one began. Half a pixel
    /// of a grid of `pixels` width and height is allowed, and more the larger the motion (Sundaram, Brox and Keutzer 2010).
    pub fn confirm(&mut self, back: &Self, pixels: (f32, f32)) {
        let squared = |v: [f32; 2]| (v[0] * pixels.0).powi(2) + (v[1] * pixels.1).powi(2);
        for row in 0..self.height {
            for column in 0..self.width {
                let cell = row * self.width + column;
                let shift = self.shifts[cell];
                let returned = back.shift(middle(column, self.width) + shift[0], middle(row, self.height) + shift[1]);
                let missed = squared([shift[0] + returned[0], shift[1] + returned[1]]);
                self.sure[cell] = missed <= 0.25 + 0.05 * squared(shift);
            }
        }
    }

    /// Share of the cells whose motion does not hold.
    pub fn unsure(&self) -> f64 {
        self.sure.iter().filter(|s| !**s).count() as f64 / self.sure.len() as f64
    }

    /// Mean length of the shifts, in shares of the width or height.
    pub fn length(&self) -> f64 {
        let sum: f64 = self.shifts.iter().map(|s| f64::from(s[0].hypot(s[1]))).sum();
        sum / self.shifts.len() as f64
    }
}

/// Stretches fields over class maps of one size.
#[derive(Debug, Default)]
pub struct Warper {
    size: (usize, usize, usize),
    columns: Vec<Between>,
    /// Two shifts a column of the grid, for the row at hand.
    row: Vec<[f32; 2]>,
}

impl Warper {
    /// For every pixel of a class map the place in the other map of the same size that the field leads to, nearest neighbour,
    /// clamped to the picture: `put(pixel, from, cell)` in the order of the pixels, with the cell of the grid it lies in.
    pub fn each(&mut self, field: &Field, width: usize, height: usize, mut put: impl FnMut(usize, usize, usize)) {
        if self.size != (width, height, field.width) {
            self.size = (width, height, field.width);
            self.columns = (0..width).map(|x| Between::new(middle(x, width), field.width)).collect();
            self.row.resize(field.width, [0.0; 2]);
        }
        let (across, down) = (width as f32, height as f32);
        for y in 0..height {
            let between = Between::new(middle(y, height), field.height);
            let rows = [between.first, between.second].map(|r| &field.shifts[r * field.width..][..field.width]);
            for (mixed, (first, second)) in self.row.iter_mut().zip(rows[0].iter().zip(rows[1])) {
                *mixed = std::array::from_fn(|i| between.mix(first[i], second[i]));
            }
            let cells = (y * field.height / height) * field.width;
            for (x, column) in self.columns.iter().enumerate() {
                let (first, second) = (self.row[column.first], self.row[column.second]);
                let dx = column.mix(first[0], second[0]) * across;
                let dy = column.mix(first[1], second[1]) * down;
                // Float to integer saturates, below 0 as well.
                let from_x = ((x as f32 + dx + 0.5) as usize).min(width - 1);
                let from_y = ((y as f32 + dy + 0.5) as usize).min(height - 1);
                put(y * width + x, from_y * width + from_x, cells + x * field.width / width);
            }
        }
    }

    /// The class map that `map` becomes when its content moves as the field says.
    pub fn map(&mut self, field: &Field, map: &ClassMap) -> ClassMap {
        let mut ids = Vec::with_capacity(map.ids.len());
        self.each(field, map.width as usize, map.height as usize, |_, from, _| ids.push(map.ids[from]));
        ClassMap { ids, ..*map }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(width: usize, height: usize, shift: [f32; 2]) -> Field {
        Field {
            shifts: vec![shift; width * height],
            ..Field::still(width, height)
        }
    }

    fn picture(width: u32, height: u32) -> ClassMap {
        let ids = (0..width * height).map(|i| (i * 7 % 251) as u8).collect();
        ClassMap { width, height, ids }
    }

    #[test]
    fn a_still_field_leaves_the_map_as_it_is() {
        for (width, height) in [(1, 1), (7, 3), (544, 320), (33, 65)] {
            let map = picture(width, height);
            assert_eq!(Warper::default().map(&Field::still(5, 4), &map), map, "{width}x{height}");
        }
    }

    #[test]
    fn a_shift_moves_whole_pixels_and_repeats_the_edge() {
        let map = picture(10, 4);
        let warped = Warper::default().map(&moved(5, 2, [0.2, -0.25]), &map);
        for y in 0..4_usize {
            for x in 0..10_usize {
                let from = y.saturating_sub(1) * 10 + (x + 2).min(9);
                assert_eq!(warped.ids[y * 10 + x], map.ids[from], "{x},{y}");
            }
        }
    }

    #[test]
    fn one_way_and_then_another_is_their_sum_and_sure_only_inside() {
        let way = moved(10, 10, [0.1, 0.0]).then(&moved(10, 10, [0.2, 0.3]));
        for (row, cells) in way.shifts.chunks(10).enumerate() {
            for (column, shift) in cells.iter().enumerate() {
                assert!((shift[0] - 0.3).abs() < 1e-6 && (shift[1] - 0.3).abs() < 1e-6);
                assert_eq!(way.sure[10 * row + column], column < 9, "the last column has left the picture");
            }
        }
    }

    #[test]
    fn motion_that_does_not_come_back_is_not_sure() {
        let mut there = moved(8, 8, [0.25, 0.0]);
        there.confirm(&moved(8, 8, [-0.25, 0.0]), (80.0, 80.0));
        assert_eq!(there.unsure(), 0.0);
        let mut back = moved(8, 8, [-0.25, 0.0]);
        // What arrives in column 4 stands still there.
        (0..8).for_each(|row| back.shifts[8 * row + 4] = [0.0; 2]);
        there.confirm(&back, (80.0, 80.0));
        let unsure: Vec<_> = (0..8).filter(|column| !there.sure[*column]).collect();
        assert_eq!(unsure, [2]);
        assert_eq!(there.unsure(), 0.125);
    }

    #[test]
    fn the_length_of_a_field_is_the_mean_of_its_shifts() {
        assert!((moved(3, 3, [0.3, 0.4]).length() - 0.5).abs() < 1e-6);
    }
}
