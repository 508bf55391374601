//! Moments of a stream, and what a decoder makes of the units.

use super::{Coder, CoderOptions, Next, Screen, Shown, Subscription, Unit, View};
use crate::frame::{Frame, OwnedPixels, Pixels, VideoFormat};
use crate::media::{Picture, Side, Watch, chain, element, init};
pub(crate) use crate::testing::plain as format;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::VideoInfo;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

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

/// From one frame to the next.
pub(crate) const FRAME_NS: u64 = 40_000_000;

/// A stream that is shown frame by frame.
pub(crate) struct Stage {
    pub screen: Arc<Screen>,
    pub coder: Arc<Coder>,
    pub shown: u64,
}

impl Stage {
    pub(crate) fn new(view: View) -> Self {
        let screen = Arc::<Screen>::default();
        let coder = Coder::new(screen.clone(), view, CoderOptions::default());
        Self { screen, coder, shown: 0 }
    }

    /// Shows so many frames of that size one after the other, each when the one before it has been encoded.
    pub(crate) fn show(&mut self, frames: u64, size: (u32, u32), filler: bool) -> Vec<Unit> {
        let taker = self.coder.subscribe(4);
        while self.screen.hub.subscribers() == 0 {
            thread::yield_now();
        }
        let mut units = Vec::new();
        for _ in 0..frames {
            let moment = Shown {
                filler,
                ..shown(self.shown, self.shown * FRAME_NS, &format(size.0, size.1))
            };
            self.shown += 1;
            self.screen.hub.give(&moment);
            match taker.next(Duration::from_secs(20)) {
                Next::Item(unit) => units.push(unit),
                other => panic!("{other:?}"),
            }
        }
        units
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
    let source = AppSrc::builder().caps(&units[0].caps).format(gst::Format::Time).build();
    for unit in units {
        source.push_buffer(unit.buffer.clone()).unwrap();
    }
    source.end_of_stream().unwrap();
    pictures(source.upcast())
}

/// The same of a file.
pub(crate) fn decoded_file(path: &Path) -> (usize, u32, u32) {
    init().unwrap();
    let source = element("filesrc").unwrap();
    source.set_property("location", path.to_str().unwrap());
    pictures(source)
}

fn pictures(source: gst::Element) -> (usize, u32, u32) {
    let mut watch = Watch::new(Side::Reading("a test".into()));
    let decoder = element("decodebin").unwrap();
    let sink = AppSink::builder().sync(false).build();
    let pipeline = watch.pipeline().upcast_ref::<gst::Bin>();
    chain(pipeline, &[&source, &decoder]).unwrap();
    pipeline.add(&sink).unwrap();
    let pad = sink.static_pad("sink").unwrap();
    decoder.connect_pad_added(move |_, found| {
        found.link(&pad).ok();
    });
    watch.play().unwrap();
    let (mut pictures, mut size) = (0, (0, 0));
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(20)) {
        assert!(!sample.buffer().unwrap().flags().contains(gst::BufferFlags::CORRUPTED));
        let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        (pictures, size) = (pictures + 1, (info.width(), info.height()));
    }
    assert!(sink.is_eos(), "{:?}", watch.poll(Duration::ZERO));
    (pictures, size.0, size.1)
}

/// Waits until something is so, at most half a minute.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        thread::sleep(Duration::from_millis(2));
    }
}
