//! Fields of motion: for every cell of a coarse grid, where in another frame the same thing is; class maps moved by them, and
//! how much they flicker.

/// A residual above this (of 255) that motion cannot explain is another scene.
const CUT_RESIDUAL: f64 = 20.0;
/// With this share of cells whose motion does not hold it is one at a smaller residual too.
const CUT_UNSURE: f64 = 0.5;
/// The smaller residual.
const CUT_RESIDUAL_IF_UNSURE: f64 = 10.0;

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

    /// Whether another scene begins: what is seen is not explained by the motion. `residual` is the mean difference of luma
    /// (0-255) between this field's frame and the other one moved onto it.
    pub fn is_cut(&self, residual: f64) -> bool {
        residual > CUT_RESIDUAL || (residual > CUT_RESIDUAL_IF_UNSURE && self.unsure() > CUT_UNSURE)
    }

    /// Mean length of the shifts, in shares of the width or height.
    pub fn length(&self) -> f64 {
        let sum: f64 = self.shifts.iter().map(|s| f64::from(s[0].hypot(s[1]))).sum();
        sum / self.shifts.len() as f64
    }
}

/// Pixels of a class map that are moved at once where no cell of the field is narrower.
const RUN: usize = 4;

/// Pixels of one row of a class map that move as one.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The first of them.
    pub to: usize,
    /// Where the first of them comes from; the others follow it.
    pub from: usize,
    /// How many: four of them, or one.
    pub length: usize,
    /// The cell of the field in which they lie.
    pub cell: usize,
}

/// Stretches fields over class maps of one size. A map is moved in tiles no larger than a cell of the field: within a cell the
/// motion is one value anyway.
#[derive(Debug, Default)]
pub struct Warper {
    /// Width and height of the map, and those of the field.
    size: (usize, usize, usize, usize),
    /// Width and height of a tile.
    tile: (usize, usize),
    /// Where the middle of each column of tiles lies among the columns of the field, and the column it is in.
    columns: Vec<(Between, usize)>,
    /// Shifts between two rows of the field, in pixels.
    mixed: Vec<[f32; 2]>,
    /// How far each tile of the row at hand moves, in pixels, and its cell.
    row: Vec<(i32, i32, usize)>,
}

impl Warper {
    fn fit(&mut self, field: &Field, width: usize, height: usize) {
        if self.size == (width, height, field.width, field.height) {
            return;
        }
        self.size = (width, height, field.width, field.height);
        self.tile = (
            if width >= RUN * field.width { RUN } else { 1 },
            (height / field.height).clamp(1, RUN),
        );
        self.columns = (0..width.div_ceil(self.tile.0))
            .map(|tile| {
                let at = tile_middle(tile, self.tile.0, width);
                (Between::new(at, field.width), (at * field.width as f32) as usize)
            })
            .collect();
    }

    /// For every pixel of a class map the place in the other map of the same size that the field leads to, nearest neighbour,
    /// clamped to the picture, in the order of the pixels.
    pub fn each(&mut self, field: &Field, width: usize, height: usize, mut put: impl FnMut(Run)) {
        self.fit(field, width, height);
        let (across, down) = (width as f32, height as f32);
        let (last_x, last_y) = (width as i32 - 1, height as i32 - 1);
        for top in (0..height).step_by(self.tile.1) {
            let at = tile_middle(top / self.tile.1, self.tile.1, height);
            let between = Between::new(at, field.height);
            let rows = [between.first, between.second].map(|r| &field.shifts[r * field.width..][..field.width]);
            let cells = (at * field.height as f32) as usize * field.width;
            self.mixed.clear();
            let pairs = rows[0].iter().zip(rows[1]);
            self.mixed
                .extend(pairs.map(|(a, b)| [between.mix(a[0], b[0]) * across, between.mix(a[1], b[1]) * down]));
            self.row.clear();
            self.row.extend(self.columns.iter().map(|&(column, cell)| {
                let (a, b) = (self.mixed[column.first], self.mixed[column.second]);
                let [dx, dy] = [0, 1].map(|i| rounded(column.mix(a[i], b[i])));
                (dx, dy, cells + cell)
            }));
            for y in top..(top + self.tile.1).min(height) {
                for (tile, &(dx, dy, cell)) in self.row.iter().enumerate() {
                    let (x, length) = (tile * self.tile.0, self.tile.0);
                    let from_row = (y as i32).saturating_add(dy).clamp(0, last_y) as usize * width;
                    let from_x = (x as i32).saturating_add(dx);
                    let to = y * width + x;
                    if from_x >= 0 && from_x as usize + length <= width && x + length <= width {
                        let from = from_row + from_x as usize;
                        put(Run { to, from, length, cell });
                        continue;
                    }
                    for i in 0..length.min(width - x) {
                        let from = from_row + from_x.saturating_add(i as i32).clamp(0, last_x) as usize;
                        put(Run {
                            to: to + i,
                            from,
                            length: 1,
                            cell,
                        });
                    }
                }
            }
        }
    }

    /// The ids that a class map of `width` times `height` becomes when its content moves as the field says.
    ///
    /// # Panics
    /// If there are not as many ids as pixels.
    pub fn map(&mut self, field: &Field, ids: &[u8], (width, height): (usize, usize)) -> Vec<u8> {
        assert_eq!(ids.len(), width * height, "one id a pixel");
        let mut moved = vec![0; ids.len()];
        self.each(field, width, height, |run| run.copy(ids, &mut moved));
        moved
    }

    /// Flicker between two class maps of one size: the share (0-1) of the pixels of `ids` whose class is not that of the map
    /// before, moved as the field from `ids` to `before` says.
    ///
    /// # Panics
    /// If the maps are of other sizes.
    pub fn flicker(&mut self, field: &Field, before: &[u8], ids: &[u8], (width, height): (usize, usize)) -> f64 {
        assert!(before.len() == ids.len() && ids.len() == width * height, "two maps of one size");
        let mut changed = 0_usize;
        self.each(field, width, height, |run| changed += run.differing(before, ids));
        changed as f64 / ids.len().max(1) as f64
    }
}

/// The nearest whole number. `floor` would be a call on CPUs that are only known to have SSE2.
fn rounded(value: f32) -> i32 {
    let above = (value + 0.5) as i32;
    above.saturating_sub(i32::from(above as f32 > value + 0.5))
}

/// The middle of a tile, in shares of the axis of so many pixels.
fn tile_middle(tile: usize, side: usize, pixels: usize) -> f32 {
    let first = tile * side;
    (first + (first + side).min(pixels)) as f32 / (2 * pixels) as f32
}

impl Run {
    /// The places that the pixels come from and go to.
    #[inline]
    pub fn places(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.length).map(move |i| (self.from + i, self.to + i))
    }

    /// Takes them from one map into the other.
    #[inline]
    pub fn copy(self, from: &[u8], to: &mut [u8]) {
        // Of known length, four bytes are one load and one store.
        match self.length {
            RUN => to[self.to..self.to + RUN].copy_from_slice(&from[self.from..self.from + RUN]),
            _ => to[self.to] = from[self.from],
        }
    }

    /// How many of them are of another class where they come from than where they go.
    #[inline]
    pub fn differing(self, from: &[u8], to: &[u8]) -> usize {
        let differ = |(a, b): (&u8, &u8)| usize::from(a != b);
        match self.length {
            RUN => from[self.from..self.from + RUN]
                .iter()
                .zip(&to[self.to..self.to + RUN])
                .map(differ)
                .sum(),
            _ => differ((&from[self.from], &to[self.to])),
        }
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

    fn picture(width: usize, height: usize) -> Vec<u8> {
        (0..width * height).map(|i| (i * 7 % 251) as u8).collect()
    }

    #[test]
    fn a_still_field_leaves_the_map_as_it_is() {
        for (width, height) in [(1, 1), (7, 3), (544, 320), (33, 65)] {
            let map = picture(width, height);
            assert_eq!(
                Warper::default().map(&Field::still(5, 4), &map, (width, height)),
                map,
                "{width}x{height}"
            );
        }
    }

    /// What [`Warper::each`] does, a pixel at a time.
    fn warp_reference(field: &Field, map: &[u8], (width, height): (usize, usize)) -> Vec<u8> {
        let tile = (
            if width >= RUN * field.width { RUN } else { 1 },
            (height / field.height).clamp(1, RUN),
        );
        let ids = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| {
            let [dx, dy] = field.shift(tile_middle(x / tile.0, tile.0, width), tile_middle(y / tile.1, tile.1, height));
            let place = |at: usize, shift: f32, pixels: usize| {
                (at as f32 + (shift * pixels as f32 + 0.5).floor()).clamp(0.0, pixels as f32 - 1.0) as usize
            };
            map[place(y, dy, height) * width + place(x, dx, width)]
        });
        ids.collect()
    }

    #[test]
    fn a_map_moved_in_tiles_is_the_one_moved_by_pixels() {
        for (width, height) in [(544, 306), (37, 23), (5, 3), (1, 9), (81, 61)] {
            let map = picture(width, height);
            for (columns, rows) in [(9, 6), (1, 1), (20, 15)] {
                let mut field = Field::still(columns, rows);
                for (i, shift) in field.shifts.iter_mut().enumerate() {
                    *shift = [(i as f32 * 0.7).sin() * 0.2, (i as f32 * 1.3).cos() * 1.1];
                }
                field.shifts[0] = [1e12, -1e12];
                let warped = Warper::default().map(&field, &map, (width, height));
                let wanted = warp_reference(&field, &map, (width, height));
                let wrong = warped.iter().zip(&wanted).filter(|(a, b)| a != b).count();
                // The order in which rows and columns are mixed may round another way.
                assert!(
                    wrong * 1000 <= wanted.len(),
                    "{width}x{height} by {columns}x{rows}: {wrong} of {}",
                    wanted.len()
                );
            }
        }
    }

    #[test]
    fn a_shift_moves_whole_pixels_and_repeats_the_edge() {
        let map = picture(10, 4);
        let warped = Warper::default().map(&moved(5, 2, [0.2, -0.25]), &map, (10, 4));
        for y in 0..4_usize {
            for x in 0..10_usize {
                let from = y.saturating_sub(1) * 10 + (x + 2).min(9);
                assert_eq!(warped[y * 10 + x], map[from], "{x},{y}");
            }
        }
    }

    #[test]
    fn what_moved_with_the_picture_does_not_flicker_and_what_changed_does() {
        let before = picture(10, 4);
        let field = moved(5, 2, [0.2, 0.0]);
        let mut now = Warper::default().map(&field, &before, (10, 4));
        assert_eq!(Warper::default().flicker(&field, &before, &now, (10, 4)), 0.0);
        now[3] = 255;
        now[17] = 255;
        assert_eq!(Warper::default().flicker(&field, &before, &now, (10, 4)), 0.05);
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
