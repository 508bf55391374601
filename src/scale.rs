//! Planes of frames and pictures at another size, scaled with an antialiased triangle filter.
//!
//! The pixel types are named in the calls: with the library's function for any type, this crate would compile its filters for
//! eleven types in every build, which takes minutes.

use crate::error::{Kind, fault};
use crate::frame::{Frame, PixelFormat, VideoFormat};
use anyhow::{Context, Result, ensure};
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{InnerPixel, U8, U8x2, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// Scales; it keeps its working memory.
#[derive(Debug, Default, Clone)]
pub struct Scaler {
    resizer: Resizer,
    /// Rows without padding, where they must be copied.
    packed: Vec<u8>,
}

impl Scaler {
    /// One plane of a frame at `size` (width and height in samples); for NV12 a sample of plane 1 is a pair of bytes. For odd
    /// frame sizes the last chroma sample counts half, as it covers only one luma sample.
    ///
    /// # Errors
    /// Kind 70 if the plane is shorter than the frame's format says.
    pub fn plane(&mut self, frame: &Frame, plane: usize, size: (u32, u32), scaled: &mut Vec<u8>) -> Result<()> {
        match (frame.format.pixels, plane) {
            (PixelFormat::Nv12, 1) => self.typed_plane::<U8x2>(frame, plane, size, scaled),
            _ => self.typed_plane::<U8>(frame, plane, size, scaled),
        }
        .with_context(|| format!("cannot scale plane {plane}"))
    }

    /// A picture of `3 * width * height` RGB bytes, `from` and `to` being width and height in pixels.
    ///
    /// # Errors
    /// If there are too few bytes, or either size has no pixels.
    pub fn rgb(&mut self, rgb: &[u8], from: (u32, u32), to: (u32, u32), scaled: &mut Vec<u8>) -> Result<()> {
        let picture = TypedImageRef::<U8x3>::from_buffer(from.0, from.1, rgb).context("cannot read the picture")?;
        scaled.resize(3 * to.0 as usize * to.1 as usize, 0);
        let mut scaled = TypedImage::<U8x3>::from_buffer(to.0, to.1, scaled)?;
        self.resizer
            .resize_typed(&picture, &mut scaled, &triangle())
            .context("cannot scale the picture")
    }

    fn typed_plane<P: PixelTrait + InnerPixel + Default>(
        &mut self,
        frame: &Frame,
        plane: usize,
        size: (u32, u32),
        scaled: &mut Vec<u8>,
    ) -> Result<()> {
        let format = &*frame.format;
        let (width, height) = format.plane_size(plane);
        let row = width * P::size();
        let (stride, bytes) = (frame.pixels.stride(plane), frame.pixels.plane(plane));
        let needed = stride * (height - 1) + row;
        if bytes.len() < needed || stride < row {
            let found = bytes.len();
            let line = format!("plane has {found} bytes in rows of {stride}, wanted {needed} for {width}x{height}");
            return Err(fault(Kind::Internal, line));
        }
        let options = if plane == 0 {
            triangle()
        } else {
            triangle().crop(0.0, 0.0, f64::from(format.width) / 2.0, f64::from(format.height) / 2.0)
        };
        scaled.resize(size.0 as usize * size.1 as usize * P::size(), 0);
        let mut scaled = TypedImage::<P>::from_buffer(size.0, size.1, scaled)?;
        let whole_rows = bytes.len() >= stride * height && stride.is_multiple_of(P::size());
        let (bytes, stride) = if whole_rows {
            (&bytes[..stride * height], stride)
        } else {
            self.packed.clear();
            bytes
                .chunks(stride)
                .take(height)
                .for_each(|r| self.packed.extend_from_slice(&r[..row]));
            (&self.packed[..], row)
        };
        let rows = TypedImageRef::<P>::from_buffer((stride / P::size()) as u32, height as u32, bytes)?;
        // Without this the filter would reach into the padding at the end of the rows.
        let picture = TypedCroppedImage::new(rows, 0, 0, width as u32, height as u32)?;
        Ok(self.resizer.resize_typed(&picture, &mut scaled, &options)?)
    }
}

fn triangle() -> ResizeOptions {
    ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
}

/// Makes small pictures of the luma of frames.
pub struct LumaScaler {
    format: VideoFormat,
    size: (u32, u32),
    scaler: Scaler,
    scaled: Vec<u8>,
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
            size: (width, height),
            scaler: Scaler::default(),
            scaled: Vec::new(),
        })
    }

    /// `width * height` luma samples, row by row, scaled with an antialiased triangle filter.
    ///
    /// # Errors
    /// If the frame is not of the format that was announced.
    pub fn run(&mut self, frame: &Frame) -> Result<&[u8]> {
        frame.check_format(&self.format)?;
        self.scaler.plane(frame, 0, self.size, &mut self.scaled)?;
        Ok(&self.scaled)
    }
}
