//! The blend of one plane: the class map's row is turned into rows of `keep` and `add`, stretched to the plane's width once
//! per row of the map, mixed vertically and applied, all in 16-bit integers.

use crate::frame::{ClassMap, ConfidenceMap, PixelFormat, Pixels, VideoFormat};
use multiversion::multiversion;
use std::ops::Range;

/// Steps between two neighbouring pixels of the class map.
const STEPS: u32 = 16;

/// How a class changes Y, Cb and Cr. Packed into 16-bit fields so that one multiplication weighs all of them:
/// `keep` (0-256) in the highest, then `add / 16` (12 bits) of Y, Cb and Cr; times [`STEPS`] each still fits its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mix {
    keep: u16,
    add: [u16; 3],
}

impl Mix {
    /// The picture as it is.
    pub(super) const UNTOUCHED: Self = Self { keep: 256, add: [128; 3] };

    /// Towards a colour by a share of 0-1.
    pub(super) fn towards(color: [u8; 3], share: f32) -> Self {
        let share = (share * 256.0).round() as u16;
        Self {
            keep: 256 - share,
            add: color.map(|c| u16::from(c) * share + 128), // at most 255 * 256 + 128
        }
    }

    fn pack(self) -> u64 {
        let [y, cb, cr] = self.add.map(|a| u64::from(a >> 4));
        u64::from(self.keep) << 48 | y << 32 | cb << 16 | cr
    }
}

/// Shift of the field of a component (0-2) in a packed [`Mix`].
const fn field(component: usize) -> u32 {
    32 - 16 * component as u32
}

/// What is blended: a byte for each pixel, by which the table has a mix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'m> {
    width: u32,
    height: u32,
    values: &'m [u8],
}

impl<'m> From<&'m ClassMap> for Cells<'m> {
    fn from(map: &'m ClassMap) -> Self {
        Self {
            width: map.width,
            height: map.height,
            values: &map.ids,
        }
    }
}

impl<'m> From<&'m ConfidenceMap> for Cells<'m> {
    fn from(map: &'m ConfidenceMap) -> Self {
        Self {
            width: map.width,
            height: map.height,
            values: &map.levels,
        }
    }
}

impl Cells<'_> {
    /// Whether there are any, and as many as their size says.
    pub(super) fn is_whole(&self) -> bool {
        !self.values.is_empty() && self.values.len() == self.width as usize * self.height as usize
    }
}

/// One axis: for each place of the plane the class map's pixel at or before it, and how far it lies towards the next one.
#[derive(Debug, Clone, Default)]
struct Axis {
    from: u32,
    places: Vec<(u32, u32)>,
    /// For each of the class map's pixels its first place, or the next one if it has none; then the number of places.
    firsts: Vec<u32>,
}

impl Axis {
    /// `places` places, each `scale` luma pixels long, over a frame of `length` luma pixels and a class map of `from`.
    fn new(from: u32, places: usize, scale: f64, length: u32) -> Self {
        let place = |i: usize| {
            let middle = (i as f64 + 0.5) * scale * f64::from(from) / f64::from(length) - 0.5;
            let middle = (middle.clamp(0.0, f64::from(from - 1)) * f64::from(STEPS)).round() as u32;
            (middle / STEPS, middle % STEPS)
        };
        let places: Vec<_> = (0..places).map(place).collect();
        let first = |pixel| places.partition_point(|(at, _)| *at < pixel) as u32;
        Self {
            from,
            firsts: (0..=from).map(first).collect(),
            places,
        }
    }

    /// Stretches a row of packed mixes, the last one twice, to the places. Where neighbours are alike, which is nearly
    /// everywhere, nothing needs to be mixed: `put` gets whole ranges of places with one mix, [`STEPS`] times as large.
    fn stretch(&self, packed: &[u64], mut put: impl FnMut(Range<usize>, u64)) {
        let (pixels, mut begin) = (self.from as usize, 0);
        while begin < pixels {
            let mix = packed[begin];
            // The last pixel whose right neighbour is like it, and one more.
            let last = packed[begin + 1..].iter().position(|p| *p != mix).map_or(pixels, |n| begin + n);
            let [from, edge] = [begin, last].map(|pixel| self.firsts[pixel] as usize);
            if from < edge {
                put(from..edge, mix * u64::from(STEPS));
            }
            if last == pixels {
                return;
            }
            let next = packed[last + 1];
            for place in edge..self.firsts[last + 1] as usize {
                let step = u64::from(self.places[place].1);
                put(place..place + 1, mix * (u64::from(STEPS) - step) + next * step);
            }
            begin = last + 1;
        }
    }
}

/// Blends planes of one size: luma, or both chroma components.
#[derive(Debug)]
pub(super) struct PlaneBlender {
    /// Planes of the frame, each with the shifts of the components that lie side by side in its rows.
    targets: Vec<(usize, Vec<u32>)>,
    size: (usize, usize),
    /// Luma pixels that one place of the plane is long.
    scale: f64,
    frame: (u32, u32),
    table: Vec<u64>,
    columns: Axis,
    rows: Axis,
    packed: Vec<u64>,
    /// The two stretched rows around the current one, by number of the class map's row modulo 2.
    stretched: [Stretched; 2],
}

#[derive(Debug, Default)]
struct Stretched {
    row: Option<u32>,
    /// Whether nothing is drawn in it; then the rest is not up to date.
    plain: bool,
    keep: Vec<u16>,
    /// One for each target.
    add: [Vec<u16>; 2],
}

/// Blenders for all planes of a format.
pub(super) fn planes(format: &VideoFormat, mixes: &[Mix; 256]) -> Vec<PlaneBlender> {
    let chroma = match format.pixels {
        PixelFormat::I420 => vec![(1, vec![field(1)]), (2, vec![field(2)])],
        PixelFormat::Nv12 => vec![(1, vec![field(1), field(2)])],
    };
    let table: Vec<u64> = mixes.iter().map(|m| m.pack()).collect();
    [(vec![(0, vec![field(0)])], 1.0), (chroma, 2.0)]
        .into_iter()
        .map(|(targets, scale)| PlaneBlender {
            size: format.plane_size(targets[0].0),
            targets,
            scale,
            frame: (format.width, format.height),
            table: table.clone(),
            columns: Axis::default(),
            rows: Axis::default(),
            packed: Vec::new(),
            stretched: Default::default(),
        })
        .collect()
}

impl PlaneBlender {
    /// Blends a map of any size.
    pub(super) fn draw(&mut self, pixels: &mut dyn Pixels, map: Cells<'_>) {
        let (width, height) = self.size;
        if self.columns.from != map.width {
            self.columns = Axis::new(map.width, width, self.scale, self.frame.0);
        }
        if self.rows.from != map.height {
            self.rows = Axis::new(map.height, height, self.scale, self.frame.1);
        }
        self.stretched.iter_mut().for_each(|s| s.row = None);
        for y in 0..height {
            let (upper, step) = self.rows.places[y];
            let lower = (upper + 1).min(map.height - 1);
            self.stretch(map, upper);
            self.stretch(map, lower);
            let [a, b] = [upper, lower].map(|row| &self.stretched[row as usize % 2]);
            if a.plain && b.plain {
                continue;
            }
            for (target, (plane, fields)) in self.targets.iter().enumerate() {
                let stride = pixels.stride(*plane);
                let row = &mut pixels.plane_mut(*plane)[y * stride..][..width * fields.len()];
                blend_row(row, [&a.keep, &a.add[target]], [&b.keep, &b.add[target]], step as u16);
            }
        }
    }

    /// Makes sure that a row of the class map lies stretched in its place.
    fn stretch(&mut self, map: Cells<'_>, row: u32) {
        let stretched = &mut self.stretched[row as usize % 2];
        if stretched.row == Some(row) {
            return;
        }
        stretched.row = Some(row);
        let ids = &map.values[row as usize * map.width as usize..][..map.width as usize];
        let untouched = Mix::UNTOUCHED.pack();
        self.packed.clear();
        self.packed.extend(ids.iter().map(|id| self.table[usize::from(*id)]));
        self.packed.push(self.packed[ids.len() - 1]); // the last pixel's right neighbour is itself
        stretched.plain = self.packed.iter().all(|p| *p == untouched);
        let components = self.targets[0].1.len();
        stretched.keep.resize(components * self.columns.places.len(), 0);
        stretched.add.iter_mut().for_each(|add| add.resize(stretched.keep.len(), 0));
        let Stretched {
            keep,
            add: [first, second],
            ..
        } = stretched;
        let part = |mixed: u64, field: u32| (mixed >> (field + 4) & 0xfff) as u16;
        let keep_of = |mixed: u64| (mixed >> 52) as u16;
        match &self.targets[..] {
            [(_, fields)] if fields.len() == 1 => self.columns.stretch(&self.packed, |places, mixed| {
                keep[places.clone()].fill(keep_of(mixed));
                first[places].fill(part(mixed, fields[0]));
            }),
            [(_, fields)] => {
                let (keep, add) = (keep.as_chunks_mut::<2>().0, first.as_chunks_mut::<2>().0);
                self.columns.stretch(&self.packed, |places, mixed| {
                    keep[places.clone()].fill([keep_of(mixed); 2]);
                    add[places].fill([part(mixed, fields[0]), part(mixed, fields[1])]);
                });
            }
            targets => {
                let (a, b) = (targets[0].1[0], targets[1].1[0]);
                self.columns.stretch(&self.packed, |places, mixed| {
                    keep[places.clone()].fill(keep_of(mixed));
                    first[places.clone()].fill(part(mixed, a));
                    second[places].fill(part(mixed, b));
                });
            }
        }
    }
}

/// `(byte * keep + add) >> 8` with both mixed from an upper and a lower row; `step` sixteenths of the lower one. The keeps
/// are 0-256, the adds a sixteenth of their value; all slices have one length.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn blend_row(bytes: &mut [u8], [keep_a, add_a]: [&[u16]; 2], [keep_b, add_b]: [&[u16]; 2], step: u16) {
    let n = bytes.len();
    let (keep_a, add_a, keep_b, add_b) = (&keep_a[..n], &add_a[..n], &keep_b[..n], &add_b[..n]);
    let rest = STEPS as u16 - step;
    for x in 0..n {
        let keep = (keep_a[x] * rest + keep_b[x] * step) >> 4;
        let add = add_a[x] * rest + add_b[x] * step;
        bytes[x] = ((u16::from(bytes[x]) * keep + add) >> 8) as u8;
    }
}

/// `(byte * keep + add) >> 8`; all slices have one length.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
pub(super) fn apply_row(bytes: &mut [u8], keep: &[u16], add: &[u16]) {
    let n = bytes.len();
    let (keep, add) = (&keep[..n], &add[..n]);
    for x in 0..n {
        bytes[x] = ((u16::from(bytes[x]) * keep[x] + add[x]) >> 8) as u8;
    }
}
