//! Decoded planes to the model's input: each plane is scaled to the model's size, then every row is converted to RGB and
//! normalised into the tensor. The frame is never turned into a picture of its own size.

use crate::color::ToRgb;
use crate::error::{Kind, fault};
use crate::frame::{Frame, PixelFormat, Pixels, Tensor, VideoFormat};
use anyhow::{Context, Result, ensure};
use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
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
    resizer: Resizer,
    /// Y, then Cb and Cr (I420) or both interleaved (NV12), at the content's size.
    scaled: Vec<Image<'static>>,
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
        let kinds: &[PixelType] = match format.pixels {
            PixelFormat::I420 => &[PixelType::U8; 3],
            PixelFormat::Nv12 => &[PixelType::U8, PixelType::U8x2],
        };
        let width = fit.content.width as usize;
        Ok(Self {
            fit: *fit,
            format: format.clone(),
            to_rgb: ToRgb::new(format.matrix, format.range),
            writer: RowWriter::new(input, fit),
            resizer: Resizer::new(),
            scaled: kinds
                .iter()
                .map(|k| Image::new(fit.content.width, fit.content.height, *k))
                .collect(),
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
        check_format(frame, &self.format)?;
        for plane in 0..self.scaled.len() {
            scale_plane(&mut self.resizer, &*frame.pixels, plane, &self.format, &mut self.scaled[plane])
                .with_context(|| format!("cannot scale plane {plane}"))?;
        }
        let mut values = self.pool.take(3 * self.fit.width as usize * self.fit.height as usize);
        let width = self.fit.content.width as usize;
        for row in 0..self.fit.content.height as usize {
            let samples = |plane: usize, bytes: usize| &self.scaled[plane].buffer()[row * width * bytes..][..width * bytes];
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

/// Makes small pictures of the luma of frames.
pub struct LumaScaler {
    format: VideoFormat,
    resizer: Resizer,
    scaled: Image<'static>,
}

impl LumaScaler {
    /// A scaler from frames of this format to `width x height` pixels.
    ///
    /// # Errors
    /// If either has no pixels.
    pub fn new(format: &VideoFormat, width: u32, height: u32) -> Result<Self> {
        ensure!(
            format.width > 0 && format.height > 0 && width > 0 && height > 0,
            "frames are {}x{}, scaled to {width}x{height}, wanted at least 1x1",
            format.width,
            format.height
        );
        Ok(Self {
            format: format.clone(),
            resizer: Resizer::new(),
            scaled: Image::new(width, height, PixelType::U8),
        })
    }

    /// `width * height` luma samples, row by row, scaled with an antialiased triangle filter.
    ///
    /// # Errors
    /// If the frame is not of the format that was announced.
    pub fn run(&mut self, frame: &Frame) -> Result<&[u8]> {
        check_format(frame, &self.format)?;
        scale_plane(&mut self.resizer, &*frame.pixels, 0, &self.format, &mut self.scaled).context("cannot scale luma")?;
        Ok(self.scaled.buffer())
    }
}

fn check_format(frame: &Frame, announced: &VideoFormat) -> Result<()> {
    if *frame.format == *announced {
        return Ok(());
    }
    let line = format!("frame is {:?}, announced were {announced:?}", frame.format);
    Err(fault(Kind::Internal, line))
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
    let source = ImageRef::new(width, height, rgb, PixelType::U8x3).context("cannot read the picture")?;
    let mut scaled = Image::new(fit.content.width, fit.content.height, PixelType::U8x3);
    Resizer::new()
        .resize(&source, &mut scaled, &scaling())
        .context("cannot scale the picture")?;
    let mut writer = RowWriter::new(input, fit);
    let mut values = vec![0.0; 3 * fit.width as usize * fit.height as usize];
    for (row, pixels) in scaled.buffer().chunks_exact(3 * fit.content.width as usize).enumerate() {
        let [r, g, b] = writer.content();
        for (x, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
            [r[x], g[x], b[x]] = *pixel;
        }
        writer.write(row, &mut values);
    }
    writer.write_bars(&mut values);
    Ok(Tensor { values, fit: *fit })
}

fn scaling() -> ResizeOptions {
    ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
}

/// Scales one plane. For odd frame sizes the last chroma sample counts half, as it covers only one luma sample.
fn scale_plane(resizer: &mut Resizer, pixels: &dyn Pixels, plane: usize, format: &VideoFormat, scaled: &mut Image) -> Result<()> {
    let (width, height) = format.plane_size(plane);
    let kind = scaled.pixel_type();
    let (stride, bytes) = (pixels.stride(plane), pixels.plane(plane));
    let needed = stride * (height - 1) + width * kind.size();
    if bytes.len() < needed || stride < width * kind.size() {
        return Err(fault(
            Kind::Internal,
            format!(
                "plane has {} bytes in rows of {stride}, wanted {needed} for {width}x{height}",
                bytes.len()
            ),
        ));
    }
    let options = if plane == 0 {
        scaling()
    } else {
        scaling().crop(0.0, 0.0, f64::from(format.width) / 2.0, f64::from(format.height) / 2.0)
    };
    if bytes.len() >= stride * height && stride.is_multiple_of(kind.size()) {
        let rows = ImageRef::new((stride / kind.size()) as u32, height as u32, bytes, kind)?;
        // Without this the filter would reach into the padding at the end of the rows.
        resizer.resize(&CroppedImage::new(&rows, 0, 0, width as u32, height as u32)?, scaled, &options)?;
    } else {
        let packed: Vec<u8> = bytes
            .chunks(stride)
            .take(height)
            .flat_map(|r| &r[..width * kind.size()])
            .copied()
            .collect();
        let rows = ImageRef::new(width as u32, height as u32, &packed, kind)?;
        resizer.resize(&rows, scaled, &options)?;
    }
    Ok(())
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
