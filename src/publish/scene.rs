//! For tests: painted pictures, a screen that shows them, and what comes out of decoders.

use super::{Screen, Shown};
use crate::color::rgb_to_ycbcr;
use crate::frame::{ClassMap, Frame, OwnedPixels, PixelFormat, Pixels, VideoFormat};
use crate::media::{Picture, chain, element, init};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::{VideoFrameExt, VideoFrameRef, VideoInfo};
use maskline_models::Class;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(super) use crate::testing::plain as format;

/// Two colours that no mistake turns into each other.
pub(super) const ORANGE: [u8; 3] = [220, 120, 20];
pub(super) const BLUE: [u8; 3] = [40, 60, 200];

/// A picture of one colour.
pub(super) fn picture(format: &VideoFormat, rgb: [u8; 3]) -> Picture {
    init().unwrap();
    let ycbcr = rgb_to_ycbcr(rgb, format.matrix, format.range);
    let mut pixels = OwnedPixels::black(format, 32);
    for plane in 0..format.pixels.planes() {
        let samples: &[_] = match (format.pixels, plane) {
            (PixelFormat::Nv12, 1) => &ycbcr[1..],
            _ => &ycbcr[plane..=plane],
        };
        let bytes = samples.iter().copied().cycle();
        pixels.plane_mut(plane).iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }
    Picture::of(Frame {
        index: 0,
        pts_ns: 0,
        duration_ns: None,
        format: Arc::new(format.clone()),
        pixels: Box::new(pixels),
        arrived: Instant::now(),
    })
    .unwrap()
}

/// What the class maps of a [`Stage`] look like from afar.
pub(super) const CLASSES_MEAN: [u8; 3] = [157, 133, 33];

/// The classes of the maps of a [`Stage`]: two of one colour.
pub(super) fn classes() -> Vec<Class> {
    let class = |id, name: &str, color: &str| Class {
        id,
        name: name.into(),
        color: color.parse().unwrap(),
        ignore: false,
        background: false,
    };
    vec![class(0, "road", "#1ea03c"), class(1, "car", "#dc7814"), class(7, "bus", "#dc7814")]
}

/// Shows orange pictures with the plain picture in blue and a class map of ids 0, 1 and 7.
pub(super) struct Stage {
    pub screen: Arc<Screen>,
    masked: Picture,
    raw: Picture,
    next: u64,
}

impl Stage {
    pub fn new(width: u32, height: u32) -> Self {
        let format = format(width, height);
        Self {
            screen: Arc::default(),
            masked: picture(&format, ORANGE),
            raw: picture(&format, BLUE),
            next: 0,
        }
    }

    /// From now on pictures are of another size.
    pub fn resize(&mut self, width: u32, height: u32) {
        let format = format(width, height);
        (self.masked, self.raw) = (picture(&format, ORANGE), picture(&format, BLUE));
    }

    pub fn ids() -> Vec<u8> {
        (0..12 * 8).map(|at| [0, 1, 7][at % 3]).collect()
    }

    /// Shows the next moment and returns its number.
    pub fn show(&mut self, filler: bool) -> u64 {
        let index = self.next;
        self.next += 1;
        let map = ClassMap {
            width: 12,
            height: 8,
            ids: Self::ids(),
        };
        self.screen.hub.give(&Shown {
            index,
            pts_ns: index * 40_000_000,
            arrived: Instant::now(),
            masked: self.masked.clone(),
            raw: (!filler && self.screen.is_raw_wanted()).then(|| self.raw.clone()),
            map: (!filler).then(|| Arc::new(map)),
            filler,
        });
        index
    }

    /// Shows on and on, 25 moments a second, until what comes back is dropped.
    pub fn run(mut self) -> Running {
        let (screen, stop, filler) = (
            self.screen.clone(),
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (stopped, is_filler) = (stop.clone(), filler.clone());
        let thread = thread::spawn(move || {
            let mut due = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                self.show(is_filler.load(Ordering::Relaxed));
                due += Duration::from_millis(40);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            self.screen.hub.end();
        });
        Running {
            screen,
            filler,
            stop,
            thread: Some(thread),
        }
    }
}

/// A stage that shows by itself.
pub(super) struct Running {
    pub screen: Arc<Screen>,
    /// Whether it shows filler.
    pub filler: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// A decoded picture.
#[derive(Debug)]
pub(super) struct Decoded {
    pub width: u32,
    pub height: u32,
    /// Mean colour of its middle.
    pub rgb: [u8; 3],
    pub pts_ns: u64,
}

impl Decoded {
    /// Out of a sample of packed RGB.
    pub fn of(sample: &gst::Sample) -> Self {
        let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let frame = VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info).unwrap();
        let (stride, bytes) = (frame.plane_stride()[0] as usize, frame.plane_data(0).unwrap());
        let (width, height) = (info.width() as usize, info.height() as usize);
        let (mut sum, mut pixels) = ([0_u32; 3], 0);
        for y in height / 3..=height * 2 / 3 {
            for x in width / 3..=width * 2 / 3 {
                pixels += 1;
                (0..3).for_each(|c| sum[c] += u32::from(bytes[y * stride + 3 * x + c]));
            }
        }
        Self {
            width: info.width(),
            height: info.height(),
            rgb: sum.map(|s| (s / pixels) as u8),
            pts_ns: sample.buffer().and_then(|b| b.pts()).map_or(0, |pts| pts.nseconds()),
        }
    }

    /// Fails unless it has this colour.
    pub fn expect(&self, rgb: [u8; 3], what: &str) {
        let near = self.rgb.iter().zip(rgb).all(|(found, wanted)| found.abs_diff(wanted) <= 10);
        assert!(near, "{what}: found {:?}, wanted {rgb:?}", self.rgb);
    }
}

/// Decodes one JPEG file.
pub(super) fn decode_jpeg(jpeg: &[u8]) -> Decoded {
    init().unwrap();
    let pipeline = gst::Pipeline::new();
    let source = AppSrc::builder().caps(&gst::Caps::new_empty_simple("image/jpeg")).build();
    let rgb = gst::Caps::builder("video/x-raw").field("format", "RGB").build();
    let sink = AppSink::builder().caps(&rgb).sync(false).build();
    let (decode, convert) = (element("jpegdec").unwrap(), element("videoconvert").unwrap());
    chain(pipeline.upcast_ref(), &[source.upcast_ref(), &decode, &convert, sink.upcast_ref()]).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    source.push_buffer(gst::Buffer::from_slice(jpeg.to_vec())).unwrap();
    source.end_of_stream().unwrap();
    let decoded = Decoded::of(&sink.pull_sample().unwrap());
    pipeline.set_state(gst::State::Null).unwrap();
    decoded
}

/// Somebody who watches: a pipeline that ends in pictures.
pub(super) struct Client {
    pipeline: gst::Pipeline,
    sink: AppSink,
}

impl Client {
    /// A pipeline whose pictures come out of `decode`, which must be in it already.
    pub fn of(pipeline: gst::Pipeline, decode: &gst::Element) -> Self {
        let rgb = gst::Caps::builder("video/x-raw").field("format", "RGB").build();
        let sink = AppSink::builder().caps(&rgb).sync(false).max_buffers(500).build();
        let convert = element("videoconvert").unwrap();
        chain(pipeline.upcast_ref(), &[&convert, sink.upcast_ref()]).unwrap();
        decode.connect_pad_added(move |_, pad| {
            pad.link(&convert.static_pad("sink").unwrap()).unwrap();
        });
        Self { pipeline, sink }
    }

    /// Watches an address of an RTSP server.
    pub fn rtsp(url: &str, transport: &str, login: Option<(&str, &str)>) -> Self {
        init().unwrap();
        let (source, decode) = (element("rtspsrc").unwrap(), element("decodebin").unwrap());
        source.set_property("location", url);
        source.set_property_from_str("protocols", transport);
        source.set_property("latency", 0_u32);
        if let Some((user, password)) = login {
            source.set_property("user-id", user);
            source.set_property("user-pw", password);
        }
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&source, &decode]).unwrap();
        let to = decode.clone();
        source.connect_pad_added(move |_, pad| {
            pad.link(&to.static_pad("sink").unwrap()).unwrap();
        });
        let client = Self::of(pipeline, &decode);
        client.play();
        client
    }

    pub fn play(&self) {
        self.pipeline.set_state(gst::State::Playing).unwrap();
    }

    /// Throws away what has come so far.
    pub fn forget(&self) {
        while self.sink.try_pull_sample(gst::ClockTime::ZERO).is_some() {}
    }

    /// The next picture, or why there is none.
    pub fn next(&self, wait: Duration) -> Result<Decoded, String> {
        let deadline = Instant::now() + wait;
        while Instant::now() < deadline {
            if let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::from_mseconds(20)) {
                return Ok(Decoded::of(&sample));
            }
            let bus = self.pipeline.bus().unwrap();
            if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]) {
                if let gst::MessageView::Error(error) = message.view() {
                    return Err(format!("{} ({:?})", error.error(), error.debug()));
                }
                return Err("end".into());
            }
        }
        Err("nothing came".into())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).ok();
    }
}
