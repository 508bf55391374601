//! Decoded planes to the model's input: each plane is scaled to the model's size, then every row is converted to RGB and
//! normalised into the tensor. The frame is never turned into a picture of its own size.

use crate::color::ToRgb;
use crate::frame::{Frame, PixelFormat, Tensor, VideoFormat};
use crate::scale::Scaler;
use anyhow::{Result, ensure};
use maskline_models::fill::Filler;
use maskline_models::{Fit, Input};
use std::sync::{Arc, Mutex, PoisonError};

/// Tensors that a [`TensorPool`] keeps at most; more are never in flight between two stages.
const POOL_TENSORS: usize = 8;

/// Takes tensors back that are no longer needed, so that their memory serves the next frame. Clones share one pool.
#[derive(Debug, Clone, Default)]
pub struct TensorPool(Arc<Mutex<Vec<Vec<f32>>>>);

impl TensorPool {
    /// Takes a tensor back.
    pub fn recycle(&self, tensor: Tensor) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < POOL_TENSORS {
            free.push(tensor.values);
        }
    }

    /// Memory for `length` values; what they are is not defined.
    fn take(&self, length: usize) -> Vec<f32> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        values.resize(length, 0.0);
        values
    }
}

/// Turns frames of one format into input tensors.
pub struct Preprocessor {
    fit: Fit,
    format: VideoFormat,
    to_rgb: ToRgb,
    writer: RowWriter,
    scaler: Scaler,
    /// Y, then Cb and Cr (I420) or both interleaved (NV12), at the content's size.
    scaled: Vec<Vec<u8>>,
    /// One row of Cb and Cr, taken apart.
    chroma: [Vec<u8>; 2],
    pool: TensorPool,
}

impl Preprocessor {
    /// A preprocessor for this input, geometry and format of frames.
    ///
    /// # Errors
    /// If the frames have no pixels.
    pub fn new(input: &Input, fit: &Fit, format: &VideoFormat) -> Result<Self> {
        ensure!(
            format.width > 0 && format.height > 0,
            "frames are {}x{}, wanted at least 1x1",
            format.width,
            format.height
        );
        let width = fit.content.width as usize;
        Ok(Self {
            fit: *fit,
            format: format.clone(),
            to_rgb: ToRgb::new(format.matrix, format.range),
            writer: RowWriter::new(input, fit),
            scaler: Scaler::default(),
            scaled: vec![Vec::new(); format.pixels.planes()],
            chroma: [vec![0; width], vec![0; width]],
            pool: TensorPool::default(),
        })
    }

    /// Where tensors can be given back.
    pub fn pool(&self) -> TensorPool {
        self.pool.clone()
    }

    /// The input tensor of a frame: every plane scaled with an antialiased triangle filter.
    ///
    /// # Errors
    /// If the frame is not of the format that was announced.
    pub fn run(&mut self, frame: &Frame) -> Result<Tensor> {
        frame.check_format(&self.format)?;
        let size = (self.fit.content.width, self.fit.content.height);
        for (plane, scaled) in self.scaled.iter_mut().enumerate() {
            self.scaler.plane(frame, plane, size, scaled)?;
        }
        let mut values = self.pool.take(3 * self.fit.width as usize * self.fit.height as usize);
        let width = self.fit.content.width as usize;
        for row in 0..self.fit.content.height as usize {
            let samples = |plane: usize, bytes: usize| &self.scaled[plane][row * width * bytes..][..width * bytes];
            let (luma, (cb, cr)) = match self.format.pixels {
                PixelFormat::I420 => (samples(0, 1), (samples(1, 1), samples(2, 1))),
                PixelFormat::Nv12 => {
                    let [cb, cr] = &mut self.chroma;
                    for ((pair, cb), cr) in samples(1, 2).as_chunks::<2>().0.iter().zip(&mut *cb).zip(&mut *cr) {
                        [*cb, *cr] = *pair;
                    }
                    (samples(0, 1), (&cb[..], &cr[..]))
                }
            };
            self.to_rgb.row([luma, cb, cr], self.writer.content());
            self.writer.write(row, &mut values);
        }
        self.writer.write_bars(&mut values);
        Ok(Tensor { values, fit: self.fit })
    }
}

/// The input tensor of a picture of `3 * width * height` RGB bytes, scaled as a frame is.
///
/// # Errors
/// If the bytes do not fit the size.
pub fn from_rgb(input: &Input, fit: &Fit, rgb: &[u8], width: u32, height: u32) -> Result<Tensor> {
    let wanted = 3 * width as usize * height as usize;
    ensure!(
        rgb.len() == wanted && wanted > 0,
        "picture has {} bytes, wanted {wanted} for {width}x{height} RGB",
        rgb.len()
    );
    let mut scaled = Vec::new();
    Scaler::default().rgb(rgb, (width, height), (fit.content.width, fit.content.height), &mut scaled)?;
    let mut writer = RowWriter::new(input, fit);
    let mut values = vec![0.0; 3 * fit.width as usize * fit.height as usize];
    for (row, pixels) in scaled.chunks_exact(3 * fit.content.width as usize).enumerate() {
        let [r, g, b] = writer.content();
        for (x, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
            [r[x], g[x], b[x]] = *pixel;
        }
        writer.write(row, &mut values);
    }
    writer.write_bars(&mut values);
    Ok(Tensor { values, fit: *fit })
}

/// Writes rows of RGB into the tensor, with the bars of a letterbox around them.
struct RowWriter {
    filler: Filler,
    fit: Fit,
    /// One row of each colour over the tensor's whole width; outside the content the bars' grey.
    rgb: [Vec<u8>; 3],
}

impl RowWriter {
    fn new(input: &Input, fit: &Fit) -> Self {
        Self {
            filler: Filler::new(input),
            fit: *fit,
            rgb: std::array::from_fn(|_| vec![fit.pad; fit.width as usize]),
        }
    }

    /// Where a row of the content belongs.
    fn content(&mut self) -> [&mut [u8]; 3] {
        let (x, width) = (self.fit.content.x as usize, self.fit.content.width as usize);
        self.rgb.each_mut().map(|row| &mut row[x..x + width])
    }

    /// Writes it as row `row` of the content.
    fn write(&self, row: usize, values: &mut [f32]) {
        self.fill(self.fit.content.y as usize + row, values);
    }

    /// Writes the rows above and below the content; to be called last, as it overwrites the content row.
    fn write_bars(&mut self, values: &mut [f32]) {
        let (top, height) = (self.fit.content.y as usize, self.fit.height as usize);
        let bottom = top + self.fit.content.height as usize;
        if top > 0 || bottom < height {
            self.rgb.iter_mut().for_each(|row| row.fill(self.fit.pad));
            (0..top).chain(bottom..height).for_each(|y| self.fill(y, values));
        }
    }

    fn fill(&self, y: usize, values: &mut [f32]) {
        let rows = self.rgb.each_ref().map(Vec::as_slice);
        self.filler
            .fill_planar_row(rows, y, self.fit.width as usize, self.fit.height as usize, values);
    }
}

#[cfg(test)]
mod tests;
