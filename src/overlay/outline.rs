//! Borders between classes as lines.

use super::blend::apply_row;
use crate::color::rgb_to_ycbcr;
use crate::frame::{ClassMap, PixelFormat, Pixels, VideoFormat};
use crate::postprocess::nearest;
use maskline_models::Class;
use multiversion::multiversion;

/// What stands for every class that is not drawn, so that borders among those vanish.
const NOT_DRAWN: u8 = 255;

/// Share of white in a line, of 256.
const WHITE_SHARE: u16 = 208;

/// Draws a light line wherever a drawn class ends.
#[derive(Debug)]
pub(super) struct Outliner {
    format: VideoFormat,
    /// Width of a line in pixels.
    width: usize,
    /// Number of a drawn class by id.
    shown: [u8; 256],
    white: u8,
    columns: Vec<usize>,
    rows: Vec<usize>,
    from: (u32, u32),
    here: Vec<u8>,
    below: Vec<u8>,
    keep: Vec<u16>,
    add: Vec<u16>,
}

impl Outliner {
    pub(super) fn new(format: &VideoFormat, drawn: &[Class]) -> Self {
        let mut shown = [NOT_DRAWN; 256];
        for (number, class) in drawn.iter().enumerate().take(usize::from(NOT_DRAWN)) {
            shown[usize::from(class.id)] = number as u8;
        }
        Self {
            width: (format.height as usize / 360).max(1),
            shown,
            white: rgb_to_ycbcr([255; 3], format.matrix, format.range)[0],
            format: format.clone(),
            columns: Vec::new(),
            rows: Vec::new(),
            from: (0, 0),
            here: Vec::new(),
            below: Vec::new(),
            keep: Vec::new(),
            add: Vec::new(),
        }
    }

    pub(super) fn draw(&mut self, pixels: &mut dyn Pixels, classes: &ClassMap) {
        let (width, height) = (self.format.width, self.format.height as usize);
        if self.from != (classes.width, classes.height) {
            self.columns = nearest(classes.width, width).collect();
            self.rows = nearest(classes.height, self.format.height).collect();
            self.from = (classes.width, classes.height);
        }
        for y in 0..height {
            let ids = |y: usize| &classes.ids[self.rows[y] * classes.width as usize..][..classes.width as usize];
            let below = (y + self.width).min(height - 1);
            let stretch = |ids: &[u8], to: &mut Vec<u8>| {
                to.clear();
                to.extend(self.columns.iter().map(|x| self.shown[usize::from(ids[*x])]));
            };
            // Neighbouring rows mostly show the same row of the class map.
            if y == 0 || self.rows[y] != self.rows[y - 1] {
                stretch(ids(y), &mut self.here);
            }
            if y == 0 || self.rows[below] != self.rows[(y - 1 + self.width).min(height - 1)] {
                stretch(ids(below), &mut self.below);
            }
            self.line(pixels, y);
        }
    }

    /// Draws what of the lines lies in row `y`, with `here` and `below` stretched.
    fn line(&mut self, pixels: &mut dyn Pixels, y: usize) {
        let width = self.below.len();
        self.keep.clear();
        self.keep.resize(width, 256);
        // Beyond the right edge the picture goes on as it is.
        let shift = self.width.min(width);
        let last = self.here[width - 1];
        self.here.resize(width + shift, last);
        mark_borders(&self.here, &self.here[shift..], &self.below, &mut self.keep);
        if self.keep.iter().all(|k| *k == 256) {
            return;
        }
        let mut apply = |plane: usize, row: usize, keep: &[u16], color: u8| {
            self.add.clear();
            self.add.extend(keep.iter().map(|k| (256 - k) * u16::from(color) + 128));
            let stride = pixels.stride(plane);
            apply_row(&mut pixels.plane_mut(plane)[row * stride..][..keep.len()], keep, &self.add);
        };
        apply(0, y, &self.keep, self.white);
        if y.is_multiple_of(2) {
            let pairs = self.keep.iter().step_by(2);
            match self.format.pixels {
                PixelFormat::I420 => {
                    let keep: Vec<u16> = pairs.copied().collect();
                    apply(1, y / 2, &keep, 128);
                    apply(2, y / 2, &keep, 128);
                }
                PixelFormat::Nv12 => {
                    let keep: Vec<u16> = pairs.flat_map(|k| [*k; 2]).collect();
                    apply(1, y / 2, &keep, 128);
                }
            }
        }
    }
}

/// What a pixel keeps: less where its right or lower neighbour is of another class.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn mark_borders(here: &[u8], right: &[u8], below: &[u8], keep: &mut [u16]) {
    let n = keep.len();
    let (here, right, below) = (&here[..n], &right[..n], &below[..n]);
    for x in 0..n {
        let border = (here[x] != right[x]) | (here[x] != below[x]);
        keep[x] = if border { 256 - WHITE_SHARE } else { 256 };
    }
}
