//! The only types that travel between the stages: [`Frame`], [`Tensor`] and [`ClassMap`], and the [`Packet`]s of other
//! streams that go around them.

use crate::error::{Kind, fault};
use maskline_models::Fit;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How the planes of a frame are laid out. Both are 8-bit 4:2:0; a source converts anything else to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// Three planes: Y, U, V; chroma planes of half size, rounded up.
    I420,
    /// Two planes: Y, and U and V interleaved; chroma of half size, rounded up.
    Nv12,
}

impl PixelFormat {
    /// Number of planes.
    pub fn planes(self) -> usize {
        match self {
            Self::I420 => 3,
            Self::Nv12 => 2,
        }
    }
}

/// The matrix between RGB and YCbCr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601, standard definition.
    Bt601,
    /// ITU-R BT.709, high definition.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance.
    Bt2020,
}

/// The values that stand for black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Luma 16-235, chroma 16-240.
    Limited,
    /// 0-255.
    Full,
}

/// What is the same for every frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFormat {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Layout of the planes.
    pub pixels: PixelFormat,
    /// Conversion to RGB.
    pub matrix: Matrix,
    /// Range of values.
    pub range: Range,
    /// Frames per second as a fraction; `None` where the rate varies or is not known.
    pub rate: Option<(u32, u32)>,
    /// Width to height of one pixel.
    pub pixel_aspect: (u32, u32),
}

impl VideoFormat {
    /// Width and height in pixels of one sample plane of the picture: 0 is luma, others chroma. For NV12 the width of
    /// plane 1 counts pairs of bytes.
    pub fn plane_size(&self, plane: usize) -> (usize, usize) {
        let (width, height) = (self.width as usize, self.height as usize);
        if plane == 0 {
            (width, height)
        } else {
            (width.div_ceil(2), height.div_ceil(2))
        }
    }

    /// Bytes of a picture: a byte of luma a pixel, and two of chroma for four of them. Rows may take more in memory.
    pub fn bytes(&self) -> usize {
        let pixels = |plane| {
            let (width, height) = self.plane_size(plane);
            width * height
        };
        pixels(0) + 2 * pixels(1)
    }
}

/// Memory that holds the planes of one frame, wherever it came from.
pub trait Pixels: Any + Send {
    /// Bytes of a plane: `stride(plane)` bytes a row, the last row at least as long as its pixels.
    fn plane(&self, plane: usize) -> &[u8];
    /// The same to write to.
    fn plane_mut(&mut self, plane: usize) -> &mut [u8];
    /// Bytes from one row to the next; at least the row's own bytes, often more.
    fn stride(&self, plane: usize) -> usize;
    /// The same planes, rows as they are, in memory of their own.
    ///
    /// # Errors
    /// Where memory cannot be had.
    fn copy(&self) -> anyhow::Result<Box<dyn Pixels>>;
    /// Back to what it was, so that a sink can take over memory it knows without a copy.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// One decoded picture.
pub struct Frame {
    /// Its number in the stream, from 0, without gaps.
    pub index: u64,
    /// Presentation time in nanoseconds from the start of the output.
    pub pts_ns: u64,
    /// How long it is shown, where known.
    pub duration_ns: Option<u64>,
    /// Size and colour.
    pub format: Arc<VideoFormat>,
    /// The planes.
    pub pixels: Box<dyn Pixels>,
    /// When it came into this program.
    pub arrived: Instant,
}

impl Frame {
    /// The same frame with pixels of its own.
    ///
    /// # Errors
    /// Where memory cannot be had.
    pub fn duplicate(&self) -> anyhow::Result<Self> {
        Ok(Self {
            index: self.index,
            pts_ns: self.pts_ns,
            duration_ns: self.duration_ns,
            format: self.format.clone(),
            pixels: self.pixels.copy()?,
            arrived: self.arrived,
        })
    }

    /// Whether it is of the format that was announced.
    ///
    /// # Errors
    /// Kind 70 if not.
    pub fn check_format(&self, announced: &VideoFormat) -> anyhow::Result<()> {
        if *self.format == *announced {
            return Ok(());
        }
        let line = format!("frame is {:?}, announced were {announced:?}", self.format);
        Err(fault(Kind::Internal, line))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("index", &self.index)
            .field("pts_ns", &self.pts_ns)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Planes in ordinary memory: for pictures, tests and whoever embeds the library.
#[derive(Debug, Clone)]
pub struct OwnedPixels {
    planes: Vec<Vec<u8>>,
    strides: Vec<usize>,
}

impl OwnedPixels {
    /// Black planes for `format`, each row padded to a multiple of `align` bytes (1 for none).
    pub fn black(format: &VideoFormat, align: usize) -> Self {
        let (mut planes, mut strides) = (Vec::new(), Vec::new());
        for plane in 0..format.pixels.planes() {
            let (width, height) = format.plane_size(plane);
            let bytes = if plane == 1 && format.pixels == PixelFormat::Nv12 {
                2 * width
            } else {
                width
            };
            let stride = bytes.next_multiple_of(align.max(1));
            let black = match (plane, format.range) {
                (0, Range::Limited) => 16,
                (0, Range::Full) => 0,
                _ => 128,
            };
            planes.push(vec![black; stride * height]);
            strides.push(stride);
        }
        Self { planes, strides }
    }
}

impl Pixels for OwnedPixels {
    fn plane(&self, plane: usize) -> &[u8] {
        &self.planes[plane]
    }

    fn plane_mut(&mut self, plane: usize) -> &mut [u8] {
        &mut self.planes[plane]
    }

    fn stride(&self, plane: usize) -> usize {
        self.strides[plane]
    }

    fn copy(&self) -> anyhow::Result<Box<dyn Pixels>> {
        Ok(Box::new(self.clone()))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// One compressed packet that passes the program untouched: a piece of an audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Presentation time in nanoseconds from the start of the output.
    pub pts_ns: u64,
    /// How long it lasts, where known.
    pub duration_ns: Option<u64>,
    /// The packet itself.
    pub bytes: Vec<u8>,
}

/// A stream of packets beside the video.
pub struct PacketStream {
    /// What the packets are, with the codec's headers: GStreamer caps as text.
    pub caps: String,
    /// The packets in their order. It waits for nothing but the disk, so whoever muxes may take them when it wants them.
    pub packets: Box<dyn Iterator<Item = anyhow::Result<Packet>> + Send>,
    /// Where the output ends if the video was cut short.
    pub end: EndMark,
}

impl fmt::Debug for PacketStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketStream").field("caps", &self.caps).finish_non_exhaustive()
    }
}

/// The time at which everything ends, set once the video is cut short (by a limit or a signal); until then, open.
#[derive(Debug, Clone)]
pub struct EndMark(Arc<AtomicU64>);

impl Default for EndMark {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl EndMark {
    /// Nothing that begins at `end_ns` or later belongs to the output.
    pub fn set(&self, end_ns: u64) {
        self.0.store(end_ns, Ordering::Release);
    }

    /// Whether something that begins at `pts_ns` belongs to the output.
    pub fn admits(&self, pts_ns: u64) -> bool {
        pts_ns < self.0.load(Ordering::Acquire)
    }
}

/// A model's input: `3 * width * height` values in the contract's layout.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// The values.
    pub values: Vec<f32>,
    /// How the frame lies in it.
    pub fit: Fit,
}

/// One class id per pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassMap {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height` class ids, row by row.
    pub ids: Vec<u8>,
}

/// How sure the net is of each pixel of a class map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfidenceMap {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height` levels, row by row: 0 for a confidence of 0, 255 for 1.
    pub levels: Vec<u8>,
}
