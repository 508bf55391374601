//! Moments of a stream, and what a decoder makes of the units.

use super::{Next, Shown, Subscription, Unit};
use crate::frame::{Frame, Matrix, OwnedPixels, PixelFormat, Pixels, Range, VideoFormat};
use crate::media::{Picture, Side, Watch, chain, element, init};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::VideoInfo;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// I420 of that size.
pub(crate) fn format(width: u32, height: u32) -> VideoFormat {
    VideoFormat {
        width,
        height,
        pixels: PixelFormat::I420,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        rate: Some((25, 1)),
        pixel_aspect: (1, 1),
    }
}

/// A moment with a ramp that moves with `index`.
pub(crate) fn shown(index: u64, pts_ns: u64, format: &VideoFormat) -> Shown {
    init().unwrap();
    let mut pixels = OwnedPixels::black(format, 1);
    let width = format.width as usize;
    for (at, value) in pixels.plane_mut(0).iter_mut().enumerate() {
        *value = 16 + ((at % width + at / width + 3 * index as usize) % 200) as u8;
    }
    let arrived = Instant::now();
    let frame = Frame {
        index,
        pts_ns,
        duration_ns: None,
        format: Arc::new(format.clone()),
        pixels: Box::new(pixels),
        arrived,
    };
    Shown {
        index,
        pts_ns,
        arrived,
        masked: Picture::of(frame).unwrap(),
        raw: None,
        map: None,
        filler: false,
    }
}

/// What waits in a queue.
pub(crate) fn all<T>(of: &Subscription<T>) -> Vec<T> {
    let next = || match of.next(Duration::ZERO) {
        Next::Item(item) => Some(item),
        Next::Nothing | Next::End => None,
    };
    std::iter::from_fn(next).collect()
}

/// How many pictures a decoder makes of these units, and their size.
pub(crate) fn decoded(units: &[Unit]) -> (usize, u32, u32) {
    let mut watch = Watch::new(Side::Reading("units".into()));
    let source = AppSrc::builder().caps(&units[0].caps).format(gst::Format::Time).build();
    let sink = AppSink::builder().sync(false).build();
    let [parser, decoder] = ["h264parse", "avdec_h264"].map(|name| element(name).unwrap());
    decoder.set_property("max-threads", 1);
    chain(
        watch.pipeline().upcast_ref(),
        &[source.upcast_ref(), &parser, &decoder, sink.upcast_ref()],
    )
    .unwrap();
    watch.play().unwrap();
    for unit in units {
        source.push_buffer(unit.buffer.clone()).unwrap();
    }
    source.end_of_stream().unwrap();
    let (mut pictures, mut size) = (0, (0, 0));
    while let Ok(sample) = sink.pull_sample() {
        assert!(!sample.buffer().unwrap().flags().contains(gst::BufferFlags::CORRUPTED));
        let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        (pictures, size) = (pictures + 1, (info.width(), info.height()));
    }
    (pictures, size.0, size.1)
}
