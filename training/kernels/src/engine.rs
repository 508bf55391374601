//! Drives the register tiles over whole tensors: the forward direction, which is the input gradient as well, and the weight gradient.

use crate::number::{Bf16, Number};
use crate::scratch::Scratch;
use crate::simd::{Isa, Kernel, Simd};
use crate::strip::{Sink, Source, Strip};
use crate::tile;
use rayon::prelude::*;
use std::ops::Range;

/// Input weights and accumulators of a strip should stay in a core's second-level cache.
const STRIP_FLOATS: usize = 96 * 1024;
/// Products (channels times taps) between two visits of an output tile: their inputs and weights stay in the first-level cache.
const CHUNK_PRODUCTS: usize = 288;
/// Lanes of the weight gradient between two reductions: eight rows of them are 32 KiB.
const CHUNK_LANES: usize = 1024;
/// Tasks of the weight gradient. Fixed, so that the sums, hence the results, do not depend on the number of threads.
const GRADIENT_TASKS: usize = 32;

/// Images, rows and columns (the same on both sides), and the size of the square kernel: 1 or 3.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) kernel: usize,
}

impl Geometry {
    /// Rows of a strip when `channels` planes must fit, evenly divided, at least `min_strips` of them in an image where it has the rows.
    fn strip_rows(&self, channels: usize, min_strips: usize) -> usize {
        let fit = (STRIP_FLOATS / (channels.max(1) * (self.width + 1))).clamp(4, 64);
        let strips = self.height.div_ceil(fit).max(min_strips).min(self.height.div_ceil(2)).max(1);
        self.height.div_ceil(strips)
    }

    /// (image, first row, rows) of every strip.
    fn strips(&self, rows: usize) -> Vec<(usize, usize, usize)> {
        (0..self.batch)
            .flat_map(|n| (0..self.height).step_by(rows).map(move |y| (n, y, rows.min(self.height - y))))
            .collect()
    }
}

/// Weights as the forward tile reads them: blocks of output channels, in each `[input plane][tap][output channel]`, with the weights of
/// all channels of a plane in one lane.
pub(crate) struct Packed {
    data: Vec<f32>,
    blocks: Vec<Range<usize>>,
    inputs: usize,
    planes: usize,
    taps: usize,
}

impl Packed {
    /// Packs `weight(output, input, tap)`.
    pub(crate) fn new(isa: Isa, outputs: usize, inputs: usize, taps: usize, weight: impl Fn(usize, usize, usize) -> f32 + Sync) -> Self {
        if isa.multiplies_bf16() {
            Self::of::<Bf16>(isa, outputs, inputs, taps, weight)
        } else {
            Self::of::<f32>(isa, outputs, inputs, taps, weight)
        }
    }

    fn of<N: Number>(isa: Isa, outputs: usize, inputs: usize, taps: usize, weight: impl Fn(usize, usize, usize) -> f32 + Sync) -> Self {
        let blocks = even_blocks(0..outputs, isa.tile_channels());
        let planes = inputs.div_ceil(N::PACK);
        let mut data = vec![0.0; outputs * planes * taps];
        let mut rest = &mut data[..];
        let mut parts = Vec::with_capacity(blocks.len());
        for block in &blocks {
            let (part, tail) = rest.split_at_mut(block.len() * planes * taps);
            parts.push((block.clone(), part));
            rest = tail;
        }
        parts.into_par_iter().for_each(|(block, part)| {
            let mut at = part.iter_mut();
            for first in (0..inputs).step_by(N::PACK) {
                for t in 0..taps {
                    for (o, to) in block.clone().zip(&mut at) {
                        *to = N::lane(|k| if first + k < inputs { weight(o, first + k, t) } else { 0.0 });
                    }
                }
            }
        });
        Self {
            data,
            blocks,
            inputs,
            planes,
            taps,
        }
    }

    fn outputs(&self) -> usize {
        self.blocks.last().map_or(0, |b| b.end)
    }
}

/// Divides `range` into the fewest blocks of at most `max`, as equal as can be.
fn even_blocks(range: Range<usize>, max: usize) -> Vec<Range<usize>> {
    let count = range.len().div_ceil(max);
    (0..count)
        .map(|b| range.start + range.len() * b / count..range.start + range.len() * (b + 1) / count)
        .collect()
}

/// Convolves every image of `source` with `weights` into `sink`.
pub(crate) fn forward(isa: Isa, geometry: Geometry, weights: &Packed, source: &impl Source, sink: &impl Sink) {
    let per_image = (2 * rayon::current_num_threads()).div_ceil(geometry.batch.max(1));
    let rows = geometry.strip_rows(weights.planes + weights.outputs(), per_image);
    geometry
        .strips(rows)
        .into_par_iter()
        .for_each(|(n, y0, rows)| match geometry.kernel {
            1 => isa.launch(ForwardStrip::<_, _, 1> {
                geometry,
                weights,
                source,
                sink,
                n,
                y0,
                rows,
            }),
            _ => isa.launch(ForwardStrip::<_, _, 3> {
                geometry,
                weights,
                source,
                sink,
                n,
                y0,
                rows,
            }),
        });
}

struct ForwardStrip<'a, I, O, const K: usize> {
    geometry: Geometry,
    weights: &'a Packed,
    source: &'a I,
    sink: &'a O,
    n: usize,
    y0: usize,
    rows: usize,
}

impl<I: Source, O: Sink, const K: usize> Kernel for ForwardStrip<'_, I, O, K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self {
            geometry,
            weights,
            source,
            sink,
            n,
            y0,
            rows,
        } = self;
        let strip = Strip::new(geometry.width, rows, K, S::LANES);
        let in_floats = weights.planes * strip.in_plane;
        let mut scratch = Scratch::new(in_floats + weights.outputs() * strip.out_plane);
        let (input, output) = scratch.floats().split_at_mut(in_floats);
        strip.fill_packed::<S::Number>(source, n, weights.inputs, y0, geometry.height, input);
        if weights.inputs == 0 {
            output.fill(0.0);
        }
        let chunk = CHUNK_PRODUCTS / (K * K);
        for first in (0..weights.planes).step_by(chunk) {
            let planes = chunk.min(weights.planes - first);
            let mut p = 0;
            while p < strip.len {
                let wide = p + 3 * S::LANES <= strip.len;
                for block in &weights.blocks {
                    // SAFETY: the tile stays inside the planes of the strip, and the block inside the packed weights.
                    unsafe {
                        let x = input.as_ptr().add(first * strip.in_plane + p);
                        let w = weights
                            .data
                            .as_ptr()
                            .add((block.start * weights.planes + first * block.len()) * weights.taps);
                        let out = output.as_mut_ptr().add(block.start * strip.out_plane + p);
                        let start = first == 0;
                        if wide {
                            forward_block::<S, 3, K>(block.len(), planes, x, &strip, w, out, start);
                        } else {
                            forward_block::<S, 1, K>(block.len(), planes, x, &strip, w, out, start);
                        }
                    }
                }
                p += if wide { 3 * S::LANES } else { S::LANES };
            }
        }
        sink.take(n, y0, &strip, output);
    }
}

/// Calls the tile of `outputs` channels.
///
/// # Safety
/// As for [`tile::forward`], with `outputs` in `1..=S::TILE`.
#[inline(always)]
unsafe fn forward_block<S: Simd, const PB: usize, const K: usize>(
    outputs: usize,
    planes: usize,
    x: *const f32,
    strip: &Strip,
    w: *const f32,
    out: *mut f32,
    first: bool,
) {
    macro_rules! tiles {
        ($($ob:literal)*) => {
            match outputs {
                $($ob if $ob <= S::TILE => unsafe {
                    tile::forward::<S, $ob, PB, K>(planes, x, strip.in_plane, strip.stride, w, out, strip.out_plane, first)
                },)*
                _ => unreachable!("blocks hold 1 to {} channels", S::TILE),
            }
        };
    }
    tiles!(1 2 3 4 5 6 7 8)
}

/// The gradient of the weights: `[row channel][column channel][tap]` sums over all images and pixels of `rows` times shifted `cols`.
pub(crate) fn weight_gradient(
    isa: Isa,
    geometry: Geometry,
    (rows, row_channels): (&impl Source, usize),
    (cols, col_channels): (&impl Source, usize),
    out: &mut [f32],
) {
    let columns = col_channels * geometry.kernel * geometry.kernel;
    assert_eq!(out.len(), row_channels * columns);
    // The division is a function of the shape only: see GRADIENT_TASKS.
    let strip_rows = geometry.strip_rows(row_channels + col_channels, 1);
    let strips = geometry.strips(strip_rows);
    let pixel_groups = strips.len().min(16).min((1 << 20) / out.len().max(1)).max(1);
    let row_groups = GRADIENT_TASKS.div_ceil(pixel_groups).min(row_channels.div_ceil(8)).max(1);
    let row_groups: Vec<_> = even_blocks(0..row_channels.div_ceil(8), row_channels.div_ceil(8).div_ceil(row_groups).max(1))
        .into_iter()
        .map(|b| b.start * 8..(b.end * 8).min(row_channels))
        .collect();
    let pixel_groups = even_blocks(0..strips.len(), strips.len().div_ceil(pixel_groups).max(1));
    let tasks: Vec<_> = pixel_groups
        .iter()
        .flat_map(|p| row_groups.iter().map(move |r| (p.clone(), r.clone())))
        .collect();
    let parts: Vec<Vec<f32>> = tasks
        .into_par_iter()
        .map(|(pixels, range)| {
            let strips = &strips[pixels];
            let mut sums = vec![0.0; range.len() * columns];
            match geometry.kernel {
                1 => isa.launch(GradientTask::<_, _, 1> {
                    geometry,
                    rows,
                    range,
                    cols,
                    col_channels,
                    strips,
                    sums: &mut sums,
                }),
                _ => isa.launch(GradientTask::<_, _, 3> {
                    geometry,
                    rows,
                    range,
                    cols,
                    col_channels,
                    strips,
                    sums: &mut sums,
                }),
            }
            sums
        })
        .collect();
    out.par_chunks_mut(8 * columns).enumerate().for_each(|(block, out)| {
        let group = row_groups
            .iter()
            .position(|g| g.contains(&(block * 8)))
            .expect("the groups cover all blocks");
        let from = (block * 8 - row_groups[group].start) * columns;
        out.fill(0.0);
        for part in parts.iter().skip(group).step_by(row_groups.len()) {
            out.iter_mut().zip(&part[from..]).for_each(|(sum, x)| *sum += x);
        }
    });
}

struct GradientTask<'a, R, C, const K: usize> {
    geometry: Geometry,
    rows: &'a R,
    range: Range<usize>,
    cols: &'a C,
    col_channels: usize,
    strips: &'a [(usize, usize, usize)],
    /// `[range][column channel][tap]`
    sums: &'a mut [f32],
}

impl<R: Source, C: Source, const K: usize> Kernel for GradientTask<'_, R, C, K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let columns = self.col_channels * K * K;
        let blocks = even_blocks(0..self.range.len(), S::TILE);
        for &(n, y0, rows) in self.strips {
            let pack = S::Number::PACK;
            let strip = Strip::new(self.geometry.width, rows, K, S::LANES * pack);
            let col_numbers = self.col_channels * strip.in_plane;
            let mut scratch = Scratch::new((col_numbers + self.range.len() * strip.out_plane) / pack);
            let (cols, rows) = S::Number::of_lanes(scratch.floats()).split_at_mut(col_numbers);
            strip.fill_input(self.cols, n, self.col_channels, y0, self.geometry.height, cols);
            strip.fill_output(self.rows, n, self.range.clone(), y0, rows);
            for p in (0..strip.len).step_by(CHUNK_LANES * pack) {
                let len = (CHUNK_LANES * pack).min(strip.len - p);
                for block in &blocks {
                    let mut column = 0;
                    while column < columns {
                        let width = if column + 3 <= columns { 3 } else { 1 };
                        let (channel, tap) = (column / (K * K), column % (K * K));
                        let step = if K == 1 { strip.in_plane } else { 1 };
                        // SAFETY: rows and columns lie inside their planes for `len` pixels from `p`, sums inside the task's own.
                        unsafe {
                            let row = rows.as_ptr().add(block.start * strip.out_plane + p);
                            let col = cols.as_ptr().add(channel * strip.in_plane + tap / K * strip.stride + p);
                            let out = self.sums.as_mut_ptr().add(block.start * columns + column);
                            if width == 3 {
                                correlate_block::<S, 3>(block.len(), len, row, strip.out_plane, col, step, out, columns);
                            } else {
                                correlate_block::<S, 1>(block.len(), len, row, strip.out_plane, col, step, out, columns);
                            }
                        }
                        column += width;
                    }
                }
            }
        }
    }
}

/// Calls the tile of `rows` rows.
///
/// # Safety
/// As for [`tile::correlate`], with `rows` in `1..=S::TILE`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn correlate_block<S: Simd, const CB: usize>(
    rows: usize,
    len: usize,
    row: *const S::Number,
    row_step: usize,
    col: *const S::Number,
    col_step: usize,
    out: *mut f32,
    out_stride: usize,
) {
    macro_rules! tiles {
        ($($rb:literal)*) => {
            match rows {
                $($rb if $rb <= S::TILE => unsafe {
                    tile::correlate::<S, $rb, CB>(len, row, row_step, col, col_step, out, out_stride)
                },)*
                _ => unreachable!("blocks hold 1 to {} rows", S::TILE),
            }
        };
    }
    tiles!(1 2 3 4 5 6 7 8)
}
