//! Pictures as JPEG, made smaller and put into JPEG's own colours (BT.601, full range) on the way.
//!
//! A picture of 1280x720 at 960 takes 3.7 ms of one core: scaled first and converted then, which is half of what one element
//! for both takes, and less than going through RGB.

use crate::error::{Kind, fault};
use crate::frame::VideoFormat;
use crate::media::{Event, Picture, Side, Watch, chain, element, init};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use std::sync::Arc;
use std::time::Duration;

/// How long one picture may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes JPEGs of pictures of any format; it is built anew when that changes.
pub(super) struct JpegCoder {
    width: u32,
    quality: u32,
    line: Option<Line>,
}

/// For pictures of one format.
struct Line {
    format: Arc<VideoFormat>,
    source: AppSrc,
    sink: AppSink,
    watch: Watch,
}

impl JpegCoder {
    /// For JPEGs at most so wide, of a quality from 1 to 100.
    pub fn new(width: u32, quality: u32) -> Self {
        Self {
            width,
            quality,
            line: None,
        }
    }

    /// A JPEG file with square pixels.
    ///
    /// # Errors
    /// 70 where it cannot be encoded, 78 where a GStreamer plugin is missing.
    pub fn encode(&mut self, picture: &Picture) -> Result<Vec<u8>> {
        let line = match self.line.take().filter(|line| line.format == *picture.format()) {
            Some(line) => line,
            None => Line::new(picture, self.width, self.quality)?,
        };
        self.line.insert(line).encode(picture)
    }
}

impl Line {
    fn new(picture: &Picture, width: u32, quality: u32) -> Result<Self> {
        init()?;
        let format = picture.format();
        let (width, height) = size(format, width);
        let caps = picture.info().to_caps().context("a picture has no caps")?;
        let source = AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
        let (scale, scaled, convert, converted) = (
            element("videoscale")?,
            element("capsfilter")?,
            element("videoconvert")?,
            element("capsfilter")?,
        );
        let small = || {
            gst::Caps::builder("video/x-raw")
                .field("width", width as i32)
                .field("height", height as i32)
                .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        };
        scaled.set_property("caps", small().build());
        // Noise against banding is lost on eight bits, and costs a third of the conversion.
        convert.set_property_from_str("dither", "none");
        // Full range, BT.601, as every reader of JPEG takes it.
        let jfif = small().field("format", "I420").field("colorimetry", "1:4:0:0");
        converted.set_property("caps", jfif.build());
        let encoder = element("jpegenc")?;
        encoder.set_property("quality", quality as i32);
        let sink = AppSink::builder().sync(false).async_(false).build();
        let watch = Watch::new(Side::Writing("the preview".into()));
        let elements = [
            source.upcast_ref(),
            &scale,
            &scaled,
            &convert,
            &converted,
            &encoder,
            sink.upcast_ref(),
        ];
        chain(watch.pipeline().upcast_ref(), &elements)?;
        let mut line = Self {
            format: format.clone(),
            source,
            sink,
            watch,
        };
        line.watch.play()?;
        Ok(line)
    }

    fn encode(&mut self, picture: &Picture) -> Result<Vec<u8>> {
        let failed = || fault(Kind::Internal, "a picture cannot be encoded as JPEG");
        self.source.push_buffer(picture.buffer(0, None)).map_err(|_| failed())?;
        let wait = gst::ClockTime::from_nseconds(PATIENCE.as_nanos() as u64);
        let Some(sample) = self.sink.try_pull_sample(wait) else {
            return Err(match self.watch.poll(Duration::ZERO) {
                Some(Event::Failed(error)) => error,
                _ => failed(),
            });
        };
        let map = sample
            .buffer()
            .and_then(|b| b.map_readable().ok())
            .context("a JPEG cannot be mapped")?;
        Ok(map.as_slice().to_vec())
    }
}

/// Width and height in square pixels, at most so wide.
fn size(format: &VideoFormat, most: u32) -> (u32, u32) {
    let aspect = f64::from(format.pixel_aspect.0) / f64::from(format.pixel_aspect.1.max(1));
    let (wide, high) = (f64::from(format.width) * aspect.max(f64::MIN_POSITIVE), f64::from(format.height));
    let share = (f64::from(most) / wide).min(1.0);
    let side = |length: f64| (length * share).round().clamp(1.0, 16384.0) as u32;
    (side(wide), side(high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Matrix, PixelFormat, Range};
    use crate::publish::scene;

    #[test]
    fn a_picture_gets_smaller_with_square_pixels_and_never_larger() {
        for ((width, height, pixel_aspect), wanted) in [
            ((1280, 720, (1, 1)), (960, 540)),
            ((640, 360, (1, 1)), (640, 360)),
            ((720, 576, (64, 45)), (960, 540)),
            ((1081, 1921, (1, 1)), (960, 1706)),
            ((3, 1, (1, 1)), (3, 1)),
        ] {
            let format = VideoFormat {
                pixel_aspect,
                ..scene::format(width, height)
            };
            assert_eq!(size(&format, 960), wanted);
        }
    }

    #[test]
    fn colours_come_through_from_every_layout_matrix_and_range() {
        let colour = [200, 60, 30];
        let mut coder = JpegCoder::new(64, 90);
        for pixels in [PixelFormat::I420, PixelFormat::Nv12] {
            for (matrix, range) in [
                (Matrix::Bt601, Range::Limited),
                (Matrix::Bt709, Range::Limited),
                (Matrix::Bt709, Range::Full),
            ] {
                let format = VideoFormat {
                    pixels,
                    matrix,
                    range,
                    ..scene::format(129, 71)
                };
                let jpeg = coder.encode(&scene::picture(&format, colour)).unwrap();
                let decoded = scene::decode_jpeg(&jpeg);
                assert_eq!((decoded.width, decoded.height), (64, 35));
                decoded.expect(colour, &format!("{pixels:?} {matrix:?} {range:?}"));
            }
        }
    }
}
