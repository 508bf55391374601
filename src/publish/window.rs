//! A window that shows a stream, or the frames of a run as they are written. It has a queue of its own, so that a slow screen
//! costs the stream nothing.

use super::{Next, Screen, Shown, Subscription};
use crate::error::{Kind, fault};
use crate::frame::{Frame, VideoFormat};
use crate::media::{Event, Picture, Side, Watch, chain, element, init};
use crate::pending::Unnamed;
use crate::privacy::shown;
use crate::sink::Sink;
use crate::source::StopFlag;
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Pictures that wait for the screen.
const PICTURES: usize = 2;
/// Time between looks whether the window was closed.
const LOOK: Duration = Duration::from_millis(100);

/// An open window. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Window {
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Window {
    /// Opens a window of this title for what `screen` shows; it appears with the first picture.
    ///
    /// # Errors
    /// 69 where there is no display, 78 where a GStreamer plugin is missing.
    pub fn open(screen: &Arc<Screen>, title: &str) -> Result<Self> {
        static NAMED: Once = Once::new();
        init()?;
        // It stands in the title.
        NAMED.call_once(|| glib::set_application_name("maskline"));
        display()?;
        let (title, shown) = (shown(title), screen.hub.subscribe(PICTURES));
        let closed = Arc::<AtomicBool>::default();
        let told = closed.clone();
        let thread = thread::Builder::new().name("window".into()).spawn(move || {
            if let Err(error) = show(&title, &shown, &told) {
                tracing::warn!("the window of {title} is gone: {error:#}");
            }
            told.store(true, Ordering::Relaxed);
        });
        Ok(Self {
            closed,
            thread: Some(thread.context("cannot start a thread for a window")?),
        })
    }

    /// Whether somebody closed it, or the display went away.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Shows pictures until the stream ends or the window is closed.
fn show(title: &str, screen: &Subscription<Shown>, closed: &AtomicBool) -> Result<()> {
    let mut pane: Option<Pane> = None;
    while !closed.load(Ordering::Relaxed) {
        match screen.next(LOOK) {
            Next::Item(shown) => {
                let fits = pane.take().filter(|pane| pane.format == *shown.masked.format());
                let fits = fits.map_or_else(|| Pane::new(&shown.masked, title), Ok)?;
                // Refused only after the end, which is found below.
                fits.source.push_buffer(shown.masked.buffer(0, None)).ok();
                pane = Some(fits);
            }
            Next::Nothing => {}
            Next::End => return Ok(()),
        }
        match pane.as_mut().and_then(|pane| pane.watch.poll(Duration::ZERO)) {
            None => {}
            // That is how a sink says that somebody closed its window.
            Some(Event::End | Event::Failed(_)) => return Ok(()),
        }
    }
    Ok(())
}

/// A window for pictures of one format.
struct Pane {
    format: Arc<VideoFormat>,
    source: AppSrc,
    watch: Watch,
}

impl Pane {
    fn new(picture: &Picture, title: &str) -> Result<Self> {
        let caps = picture.info().to_caps().context("a picture has no caps")?;
        let source = AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
        let (convert, scale, sink) = (element("videoconvert")?, element("videoscale")?, display()?);
        // At once: the queue before it has dropped what is too old.
        sink.set_property("sync", false);
        let mut watch = Watch::new(Side::Writing("the window".into()));
        chain(watch.pipeline().upcast_ref(), &[source.upcast_ref(), &convert, &scale, &sink])?;
        let mut tags = gst::TagList::new();
        tags.make_mut().add::<gst::tags::Title>(&title, gst::TagMergeMode::Replace);
        watch.play()?;
        source.send_event(gst::event::Tag::new(tags));
        let format = picture.format().clone();
        Ok(Self { format, source, watch })
    }
}

/// What shows pictures, and the variable that tells whether there is a display of its kind. GStreamer's own choice would also
/// try what ends the program where there is none.
const SINKS: [(&str, &str); 2] = [("WAYLAND_DISPLAY", "waylandsink"), ("DISPLAY", "ximagesink")];

/// A sink for the display that is here.
///
/// # Errors
/// 69 where there is none.
fn display() -> Result<gst::Element> {
    let present = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut sinks = SINKS
        .iter()
        .filter(|(variable, _)| present(variable))
        .filter_map(|(_, sink)| element(sink).ok());
    let opens = |sink: &gst::Element| {
        let opened = sink.set_state(gst::State::Ready).is_ok();
        sink.set_state(gst::State::Null).ok();
        opened
    };
    let text = match SINKS.iter().any(|(variable, _)| present(variable)) {
        false => "no window can be opened, since there is no display here: run it on a desktop, or leave --window out",
        true => "no window can be opened on this display: look whether it runs (DISPLAY), and apt install gstreamer1.0-x",
    };
    sinks.find(opens).ok_or_else(|| fault(Kind::Unavailable, text))
}

/// A sink whose frames are also shown in a window. Closing the window ends the run as the end of the input does.
pub(crate) struct Windowed {
    inner: Box<dyn Sink>,
    screen: Arc<Screen>,
    window: Window,
    stop: StopFlag,
}

impl Windowed {
    /// Opens the window.
    ///
    /// # Errors
    /// Those of [`Window::open`].
    pub fn new(inner: Box<dyn Sink>, title: &str, stop: StopFlag) -> Result<Self> {
        let screen = Arc::<Screen>::default();
        Ok(Self {
            window: Window::open(&screen, title)?,
            inner,
            screen,
            stop,
        })
    }
}

impl Sink for Windowed {
    fn write(&mut self, frame: Frame) -> Result<()> {
        if self.window.is_closed() {
            self.stop.request();
        } else {
            let copy = Frame {
                index: frame.index,
                pts_ns: frame.pts_ns,
                duration_ns: frame.duration_ns,
                format: frame.format.clone(),
                pixels: frame.pixels.copy()?,
                arrived: frame.arrived,
            };
            self.screen.hub.give(&Shown {
                index: frame.index,
                pts_ns: frame.pts_ns,
                arrived: frame.arrived,
                masked: Picture::of(copy)?,
                raw: None,
                map: None,
                filler: false,
            });
        }
        self.inner.write(frame)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.screen.hub.end();
        self.inner.finish()
    }

    fn complete(self: Box<Self>) -> Result<Option<Unnamed>> {
        self.screen.hub.end();
        self.inner.complete()
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }

    fn partial(&self) -> Option<&Path> {
        self.inner.partial()
    }
}
