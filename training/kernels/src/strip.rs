//! The flat strip layout in which the convolutions work.
//!
//! A strip is a few rows of an image. Rows stand one after the other with one zero between them (3x3 kernels), which serves as the right
//! border of one row and the left border of the next, so the input of tap (ky, kx) for the output at flat position `p` always stands at
//! `p + ky * stride + kx`: one run of vectors covers all rows, whatever the width. The outputs at the zero columns are never read.

use crate::number::Number;
use crate::scratch::{Scratch, SharedOut};

/// Where the rows of channels come from.
pub(crate) trait Source: Sync {
    /// Writes row `y` of channel `c` of image `n` into `dst` (as long as the row).
    fn row(&self, n: usize, c: usize, y: usize, dst: &mut [f32]);
}

/// Where finished strips go.
pub(crate) trait Sink: Sync {
    /// Takes the rows `y0..y0 + strip.rows` of all channels of image `n`; channel `c` begins at `c * strip.out_plane` of `data`.
    fn take(&self, n: usize, y0: usize, strip: &Strip, data: &[f32]);
}

/// Sizes of one strip, in pixels.
#[derive(Clone, Copy)]
pub(crate) struct Strip {
    pub(crate) width: usize,
    /// Output rows.
    pub(crate) rows: usize,
    /// Zero rows and columns around the image: 1 for 3x3 kernels, 0 for 1x1.
    pub(crate) pad: usize,
    /// From a row to the next.
    pub(crate) stride: usize,
    /// Flat outputs, whole registers.
    pub(crate) len: usize,
    /// From an input channel to the next.
    pub(crate) in_plane: usize,
    /// From an output channel to the next.
    pub(crate) out_plane: usize,
}

impl Strip {
    /// `register` is how many pixels one holds.
    pub(crate) fn new(width: usize, rows: usize, kernel: usize, register: usize) -> Self {
        let pad = kernel / 2;
        let stride = width + pad;
        let len = (rows * stride).next_multiple_of(register);
        Self {
            width,
            rows,
            pad,
            stride,
            len,
            in_plane: odd_lines(len + 2 * pad * (stride + 1), register.max(16)),
            out_plane: odd_lines(len, register.max(16)),
        }
    }

    /// The rows of an input plane that lie in the image, without their border, each with its y. Everything else becomes zero.
    #[inline(always)]
    fn input_rows<'p, T: Copy + Default>(
        &self,
        plane: &'p mut [T],
        y0: usize,
        height: usize,
    ) -> impl Iterator<Item = (usize, &'p mut [T])> {
        let Self { stride, pad, .. } = *self;
        let (rows, behind) = plane.split_at_mut((self.rows + 2 * pad) * stride);
        behind.fill(T::default());
        rows.chunks_exact_mut(stride).enumerate().filter_map(move |(r, row)| {
            let y = (y0 + r).checked_sub(pad).filter(|&y| y < height);
            let (blank, inside) = row.split_at_mut(if y.is_some() { pad } else { stride });
            blank.fill(T::default());
            y.map(|y| (y, inside))
        })
    }

    /// Fills input planes for `channels`, from row `y0 - pad` on, with zeros outside the image and behind the last row.
    #[inline(always)]
    pub(crate) fn fill_input<N: Number>(
        &self,
        source: &impl Source,
        n: usize,
        channels: usize,
        y0: usize,
        height: usize,
        planes: &mut [N],
    ) {
        let mut spare = Scratch::new(self.width);
        for (c, plane) in planes.chunks_exact_mut(self.in_plane).take(channels).enumerate() {
            for (y, row) in self.input_rows(plane, y0, height) {
                N::pixels(source, n, c, y, row, spare.floats());
            }
        }
    }

    /// The same with `N::PACK` channels in each plane, a lane a pixel.
    #[inline(always)]
    pub(crate) fn fill_packed<N: Number>(
        &self,
        source: &impl Source,
        n: usize,
        channels: usize,
        y0: usize,
        height: usize,
        planes: &mut [f32],
    ) {
        let mut spare = Scratch::new(self.width);
        let groups = channels.div_ceil(N::PACK);
        for (group, plane) in planes.chunks_exact_mut(self.in_plane).take(groups).enumerate() {
            for (y, row) in self.input_rows(plane, y0, height) {
                N::channels(source, n, group, channels, y, row, spare.floats());
            }
        }
    }

    /// Fills output-shaped planes for `channels`, zero at the border columns and behind the last row.
    #[inline(always)]
    pub(crate) fn fill_output<N: Number>(
        &self,
        source: &impl Source,
        n: usize,
        channels: std::ops::Range<usize>,
        y0: usize,
        planes: &mut [N],
    ) {
        let mut spare = Scratch::new(self.width);
        for (c, plane) in channels.zip(planes.chunks_exact_mut(self.out_plane)) {
            for r in 0..self.rows {
                let row = &mut plane[r * self.stride..(r + 1) * self.stride];
                N::pixels(source, n, c, y0 + r, &mut row[..self.width], spare.floats());
                row[self.width..].fill(N::default());
            }
            plane[self.rows * self.stride..].fill(N::default());
        }
    }
}

/// Rounds up to an odd number of cache lines of so many pixels, so that equal positions of neighbouring channels fall into different cache sets.
fn odd_lines(pixels: usize, line: usize) -> usize {
    (pixels.div_ceil(line) | 1) * line
}

/// An NCHW tensor as a source.
pub(crate) struct Planes<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Source for Planes<'_> {
    #[inline(always)]
    fn row(&self, n: usize, c: usize, y: usize, dst: &mut [f32]) {
        let at = ((n * self.channels + c) * self.height + y) * self.width;
        dst.copy_from_slice(&self.data[at..at + self.width]);
    }
}

/// An NCHW tensor as a sink, with a bias for each channel.
pub(crate) struct PlanesOut<'a> {
    pub(crate) out: SharedOut,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) bias: Option<&'a [f32]>,
}

impl Sink for PlanesOut<'_> {
    #[inline(always)]
    fn take(&self, n: usize, y0: usize, strip: &Strip, data: &[f32]) {
        for c in 0..self.channels {
            for r in 0..strip.rows {
                let from = &data[c * strip.out_plane + r * strip.stride..][..strip.width];
                // SAFETY: tasks own different rows of different images.
                let to = unsafe {
                    self.out
                        .row(((n * self.channels + c) * self.height + y0 + r) * strip.width, strip.width)
                };
                match self.bias {
                    None => to.copy_from_slice(from),
                    Some(bias) => to.iter_mut().zip(from).for_each(|(to, from)| *to = from + bias[c]),
                }
            }
        }
    }
}
