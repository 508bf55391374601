//! A picture that nobody writes to any more, so that any number of outputs can hold it.

use super::pixels::{GstPixels, buffer_of, enlarged, filled, info_of};
use crate::frame::{Frame, VideoFormat};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer_video::{VideoFrameExt, VideoFrameRef, VideoInfo};
use std::sync::Arc;
use std::time::Instant;

/// Planes of one frame in a GStreamer buffer; cloning it copies no pixel.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    buffer: gst::Buffer,
    info: VideoInfo,
    format: Arc<VideoFormat>,
}

impl Picture {
    /// The picture of a frame. Memory that came from GStreamer is taken over as it is.
    ///
    /// # Errors
    /// 70 where memory cannot be had or mapped.
    pub(crate) fn of(frame: Frame) -> Result<Self> {
        let format = frame.format.clone();
        let info = info_of(&format)?;
        let mut buffer = buffer_of(frame, &info)?;
        {
            let fresh = buffer.make_mut();
            fresh.set_pts(gst::ClockTime::NONE);
            fresh.set_dts(gst::ClockTime::NONE);
            fresh.set_duration(gst::ClockTime::NONE);
            fresh.unset_flags(gst::BufferFlags::all());
        }
        Ok(Self { buffer, info, format })
    }

    /// A picture of that format; `paint` gets the number, the bytes and the stride of each plane.
    ///
    /// # Errors
    /// 70 where memory cannot be had or mapped.
    pub(crate) fn painted(format: &Arc<VideoFormat>, paint: impl FnMut(usize, &mut [u8], usize)) -> Result<Self> {
        let info = info_of(format)?;
        let buffer = filled(&info, paint)?;
        let format = format.clone();
        Ok(Self { buffer, info, format })
    }

    /// Size and colour.
    pub(crate) fn format(&self) -> &Arc<VideoFormat> {
        &self.format
    }

    /// The same as GStreamer describes it.
    pub(crate) fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// A buffer with these times that shares the pixels.
    pub(crate) fn buffer(&self, pts_ns: u64, duration_ns: Option<u64>) -> gst::Buffer {
        let mut buffer = self.buffer.clone();
        let own = buffer.make_mut();
        own.set_pts(gst::ClockTime::from_nseconds(pts_ns));
        own.set_duration(duration_ns.map(gst::ClockTime::from_nseconds));
        buffer
    }

    /// The same in the layout of `coded`, whose planes are as large or one row or column larger; what is larger repeats the
    /// last row or column. Pixels are shared where nothing is larger.
    ///
    /// # Errors
    /// 70 where memory cannot be had or mapped.
    pub(crate) fn coded(&self, coded: &VideoInfo, pts_ns: u64) -> Result<gst::Buffer> {
        if (self.info.width(), self.info.height()) == (coded.width(), coded.height()) {
            return Ok(self.buffer(pts_ns, None));
        }
        let planes = self.map()?;
        let mut buffer = enlarged(&self.format, |plane| planes.plane(plane), coded)?;
        buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(pts_ns));
        Ok(buffer)
    }

    /// The same in memory of its own, to be drawn on.
    ///
    /// # Errors
    /// 70 where memory cannot be had or mapped.
    pub(crate) fn to_frame(&self) -> Result<Frame> {
        let copy = self.buffer.copy_deep().context("no memory for a picture")?;
        Ok(Frame {
            index: 0,
            pts_ns: 0,
            duration_ns: None,
            format: self.format.clone(),
            pixels: Box::new(GstPixels::map(copy, &self.info)?),
            arrived: Instant::now(),
        })
    }

    /// The planes, to be read.
    ///
    /// # Errors
    /// 70 where the memory cannot be mapped.
    pub(crate) fn map(&self) -> Result<Mapped<'_>> {
        let frame = VideoFrameRef::from_buffer_ref_readable(self.buffer.as_ref(), &self.info);
        Ok(Mapped(frame.ok().context("a picture cannot be mapped")?))
    }
}

/// A picture whose planes can be read.
pub(crate) struct Mapped<'p>(VideoFrameRef<&'p gst::BufferRef>);

impl Mapped<'_> {
    /// Bytes of a plane, and how many there are from one row to the next.
    pub(crate) fn plane(&self, plane: usize) -> (&[u8], usize) {
        let bytes = self.0.plane_data(plane as u32).expect("its format has that plane");
        (bytes, self.0.plane_stride()[plane].unsigned_abs() as usize)
    }
}
