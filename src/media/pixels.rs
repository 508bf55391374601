//! Decoded buffers as [`Pixels`], and formats as caps.

use crate::error::{Kind, fault};
use crate::frame::{Frame, Matrix, PixelFormat, Pixels, Range, VideoFormat};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer_video::prelude::*;
use gstreamer_video::{self as video, VideoFrame, VideoInfo};
use std::any::Any;

/// A GStreamer buffer, mapped where it lies.
pub(crate) struct GstPixels {
    frame: VideoFrame<video::video_frame::Writable>,
}

impl GstPixels {
    /// Maps a buffer to be written to. A decoder keeps its reference pictures; such a buffer is copied first, with its
    /// rows as they are.
    ///
    /// # Errors
    /// 70 where the buffer is not what its caps say.
    pub(crate) fn map(mut buffer: gst::Buffer, info: &VideoInfo) -> Result<Self> {
        if !buffer.is_writable() || !buffer.is_all_memory_writable() {
            buffer = buffer.copy_deep().context("no memory for a decoded picture")?;
        }
        let frame = VideoFrame::from_buffer_writable(buffer, info);
        let frame = frame.map_err(|_| fault(Kind::Internal, "a decoded picture cannot be mapped"))?;
        Ok(Self { frame })
    }

    /// The buffer, unmapped.
    pub(crate) fn into_buffer(self) -> gst::Buffer {
        self.frame.into_buffer()
    }
}

impl Pixels for GstPixels {
    fn plane(&self, plane: usize) -> &[u8] {
        self.frame.plane_data(plane as u32).expect("its format has that plane")
    }

    fn plane_mut(&mut self, plane: usize) -> &mut [u8] {
        self.frame.plane_data_mut(plane as u32).expect("its format has that plane")
    }

    fn stride(&self, plane: usize) -> usize {
        self.frame.plane_stride()[plane].unsigned_abs() as usize
    }

    fn copy(&self) -> Result<Box<dyn Pixels>> {
        let buffer = self.frame.buffer().copy_deep().context("no memory for a picture")?;
        Ok(Box::new(Self::map(buffer, self.frame.info())?))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// The format of decoded video.
///
/// # Errors
/// 70 for a layout that no source may let through.
pub(crate) fn format_of(info: &VideoInfo) -> Result<VideoFormat> {
    let pixels = match info.format() {
        video::VideoFormat::I420 => PixelFormat::I420,
        video::VideoFormat::Nv12 => PixelFormat::Nv12,
        other => {
            return Err(fault(
                Kind::Internal,
                format!("decoded video is {}, wanted I420 or NV12", other.to_str()),
            ));
        }
    };
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        video::VideoColorMatrix::Bt709 => Matrix::Bt709,
        video::VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        video::VideoColorMatrix::Bt601 | video::VideoColorMatrix::Fcc => Matrix::Bt601,
        // Untold: what every player assumes.
        _ if info.height() > 576 => Matrix::Bt709,
        _ => Matrix::Bt601,
    };
    let range = match colorimetry.range() {
        video::VideoColorRange::Range0_255 => Range::Full,
        _ => Range::Limited,
    };
    let (fps, par) = (info.fps(), info.par());
    Ok(VideoFormat {
        width: info.width(),
        height: info.height(),
        pixels,
        matrix,
        range,
        rate: (fps.numer() > 0).then(|| (fps.numer() as u32, fps.denom() as u32)),
        pixel_aspect: (par.numer() as u32, par.denom() as u32),
    })
}

/// The same for GStreamer.
///
/// # Errors
/// 70 for sizes beyond GStreamer's.
pub(crate) fn info_of(format: &VideoFormat) -> Result<VideoInfo> {
    use video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoTransferFunction};
    let pixels = match format.pixels {
        PixelFormat::I420 => video::VideoFormat::I420,
        PixelFormat::Nv12 => video::VideoFormat::Nv12,
    };
    let range = match format.range {
        Range::Full => VideoColorRange::Range0_255,
        Range::Limited => VideoColorRange::Range16_235,
    };
    let (matrix, transfer, primaries) = match format.matrix {
        Matrix::Bt601 => (
            VideoColorMatrix::Bt601,
            VideoTransferFunction::Bt601,
            VideoColorPrimaries::Smpte170m,
        ),
        Matrix::Bt709 => (VideoColorMatrix::Bt709, VideoTransferFunction::Bt709, VideoColorPrimaries::Bt709),
        Matrix::Bt2020 => (
            VideoColorMatrix::Bt2020,
            VideoTransferFunction::Bt202010,
            VideoColorPrimaries::Bt2020,
        ),
    };
    let fraction = |(n, d): (u32, u32)| gst::Fraction::new(n as i32, d.max(1) as i32);
    VideoInfo::builder(pixels, format.width, format.height)
        .fps(fraction(format.rate.unwrap_or((0, 1))))
        .par(fraction(format.pixel_aspect))
        .colorimetry(&VideoColorimetry::new(range, matrix, transfer, primaries))
        .build()
        .with_context(|| format!("{}x{} is no picture size", format.width, format.height))
}

/// The picture of a frame as a buffer in the layout of `coded`, whose planes are as large as the frame's or one row or
/// column larger; what is larger repeats the last row or column. Memory that came from GStreamer and fits is taken over as
/// it is.
///
/// # Errors
/// 70 where memory cannot be had or mapped.
pub(crate) fn buffer_of(frame: Frame, coded: &VideoInfo) -> Result<gst::Buffer> {
    let format = &frame.format;
    let same_size = (format.width, format.height) == (coded.width(), coded.height());
    if same_size && (&*frame.pixels as &dyn Any).is::<GstPixels>() {
        let own = frame
            .pixels
            .into_any()
            .downcast::<GstPixels>()
            .expect("its type was just asked for");
        return Ok(own.into_buffer());
    }
    let pixels = frame.pixels;
    enlarged(format, |plane| (pixels.plane(plane), pixels.stride(plane)), coded)
}

/// Planes (bytes and stride of each) of that format, copied into the layout of `coded`, which is at most one row or column
/// larger; what is larger repeats the last row or column.
///
/// # Errors
/// 70 where memory cannot be had or mapped.
pub(super) fn enlarged<'p>(format: &VideoFormat, plane: impl Fn(usize) -> (&'p [u8], usize), coded: &VideoInfo) -> Result<gst::Buffer> {
    filled(coded, |index, rows, to_stride| {
        let (width, height) = format.plane_size(index);
        let pair = if index == 1 && format.pixels == PixelFormat::Nv12 { 2 } else { 1 };
        let (from, stride) = plane(index);
        let wide = coded.comp_width(index as u8) as usize * pair;
        for (y, row) in rows.chunks_mut(to_stride).take(coded.comp_height(index as u8) as usize).enumerate() {
            let line = &from[y.min(height - 1) * stride..][..width * pair];
            row[..line.len()].copy_from_slice(line);
            let last = line[line.len() - 1];
            row[line.len()..wide].fill(last);
        }
    })
}

/// A new picture; `fill` gets the number, the bytes and the stride of each plane.
///
/// # Errors
/// 70 where memory cannot be had or mapped.
pub(super) fn filled(info: &VideoInfo, mut fill: impl FnMut(usize, &mut [u8], usize)) -> Result<gst::Buffer> {
    let buffer = gst::Buffer::with_size(info.size()).context("no memory for a picture")?;
    let target = VideoFrame::from_buffer_writable(buffer, info);
    let mut target = target.map_err(|_| fault(Kind::Internal, "a new picture cannot be mapped"))?;
    for plane in 0..info.n_planes() {
        let stride = target.plane_stride()[plane as usize] as usize;
        fill(
            plane as usize,
            target.plane_data_mut(plane).context("the layout has that plane")?,
            stride,
        );
    }
    Ok(target.into_buffer())
}
