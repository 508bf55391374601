//! One connection to a live source: a pipeline, the newest frame out of it, and an end that nobody has to wait for.

use super::address::Address;
use super::elements;
use super::newest::Newest;
use super::voice::Voice;
use crate::error::{Kind, fault};
use crate::media::{Event, Side, Watch};
use crate::source::SourceOptions;
use crate::source::stream::{fixed_caps, running_ns, tail};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSinkCallbacks;
use gstreamer_video::VideoInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the end of a connection is waited for. A pipeline that a silent server or a driver holds is left to itself: it
/// ends when it can, or with the process.
const TAKE_DOWN: Duration = Duration::from_secs(1);
/// A stream that told its length may end earlier by so much, since what containers tell is rounded.
const TOLERANCE_NS: u64 = 2_000_000_000;

/// What all connections of a source are made with.
pub(super) struct Wiring {
    pub address: Address,
    options: SourceOptions,
    voice: Voice,
    /// The format of all frames, once the first has come.
    fixed: Option<gst::Caps>,
    /// What the stream looked like last: width, height and rate.
    looks: Arc<Mutex<Option<Looks>>>,
}

type Looks = (u32, u32, gst::Fraction);

/// A decoded frame that has just come.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub sample: gst::Sample,
    pub arrived: Instant,
    /// When it is shown, by the clock of its connection.
    pub running_ns: Option<u64>,
}

/// What there was to see of a connection.
pub(super) enum Look {
    Frame(Newcomer),
    End,
    Failed(anyhow::Error),
    Nothing,
}

impl Wiring {
    pub fn new(address: Address, options: &SourceOptions, voice: Voice) -> Self {
        Self {
            address,
            options: options.clone(),
            voice,
            fixed: None,
            looks: Arc::default(),
        }
    }

    /// From now on, frames of every connection are scaled to this format.
    ///
    /// # Errors
    /// 70 for a format without caps.
    pub fn fix(&mut self, info: &VideoInfo) -> Result<()> {
        let caps = info.to_caps().context("decoded video has no caps")?;
        self.fixed = caps.structure(0).map(fixed_caps);
        Ok(())
    }

    /// Says when the stream begins to look different; its frames are scaled all the same.
    fn watch_looks(&self, first: &gst::Element) {
        let (looks, voice) = (self.looks.clone(), self.voice.clone());
        let pad = first.static_pad("sink").expect("a converter has a sink pad");
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && let gst::EventView::Caps(caps) = event.view()
                && let Ok(now) = VideoInfo::from_caps(caps.caps())
            {
                let now: Looks = (now.width(), now.height(), now.fps());
                let before = looks.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
                if let Some(before) = before.filter(|before| *before != now) {
                    let text = |(width, height, rate): Looks| format!("{width}x{height} at {}/{} fps", rate.numer(), rate.denom());
                    voice.say(format_args!(
                        "the stream changed from {} to {}: its frames are scaled into the first format",
                        text(before),
                        text(now)
                    ));
                }
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// A connection, from its first step on.
pub(super) struct Connection {
    /// Taken when it ends.
    watch: Option<Watch>,
    newest: Arc<Newest<Newcomer>>,
    /// The thread that starts the pipeline: a device or a server may take its time.
    starting: Option<JoinHandle<()>>,
    refused: Arc<AtomicBool>,
    name: String,
    /// How far the stream has come, by its own clock.
    reached_ns: Option<u64>,
}

impl Connection {
    /// Begins to connect, and returns at once.
    ///
    /// # Errors
    /// 78 where an element is missing.
    pub fn start(wiring: &Wiring) -> Result<Self> {
        let Wiring { address, options, .. } = wiring;
        let secrets = address.login.password.iter().cloned().collect();
        let watch = Watch::new(Side::Live(address.name.clone(), secrets));
        let tail = tail(&watch, true)?;
        if let Some(caps) = &wiring.fixed {
            tail.filter.set_property("caps", caps);
        }
        tail.sink.set_property("sync", address.needs_clock());
        wiring.watch_looks(&tail.first);
        let newest = Arc::new(Newest::default());
        let place = newest.clone();
        let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let running_ns = running_ns(&sample);
            place.put(Newcomer {
                sample,
                arrived: Instant::now(),
                running_ns,
            });
            Ok(gst::FlowSuccess::Ok)
        });
        tail.sink.set_callbacks(callbacks.build());
        elements::build(&watch, address, &options.live_options, options.threads, &tail.first)?;

        let refused = Arc::new(AtomicBool::new(false));
        let (pipeline, told) = (watch.pipeline().clone(), refused.clone());
        let start = move || told.store(pipeline.set_state(gst::State::Playing).is_err(), Ordering::Release);
        let starting = thread::Builder::new().name("connect".into()).spawn(start);
        Ok(Self {
            watch: Some(watch),
            newest,
            starting: Some(starting.context("cannot start a thread that connects")?),
            refused,
            name: address.name.clone(),
            reached_ns: None,
        })
    }

    /// Waits so long for a frame or an end.
    pub fn look(&mut self, wait: Duration) -> Look {
        if let Some(new) = self.take(wait) {
            return Look::Frame(new);
        }
        let Some(watch) = &mut self.watch else { return Look::End };
        match watch.poll(Duration::ZERO) {
            Some(Event::Failed(error)) => Look::Failed(error),
            Some(Event::End) => Look::End,
            None if self.refused.load(Ordering::Acquire) => {
                Look::Failed(fault(Kind::Temporary, format!("{}: GStreamer cannot start it", self.name)))
            }
            None => Look::Nothing,
        }
    }

    /// The newest frame, waiting so long for it.
    pub fn take(&mut self, wait: Duration) -> Option<Newcomer> {
        let new = self.newest.take(wait)?;
        self.reached_ns = new.running_ns.or(self.reached_ns);
        Some(new)
    }

    /// How many frames newer ones took the place of.
    pub fn replaced(&self) -> u64 {
        self.newest.replaced()
    }

    /// Whether the stream told how long it is, and came there.
    pub fn is_complete(&self) -> bool {
        let told = self.watch.as_ref().and_then(|w| w.pipeline().query_duration::<gst::ClockTime>());
        told.is_some_and(|told| self.reached_ns.unwrap_or(0) + TOLERANCE_NS >= told.nseconds())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (watch, starting) = (self.watch.take(), self.starting.take());
        let (tell, told) = mpsc::channel();
        let end = move || {
            // Else it might be started again after its end.
            starting.map(JoinHandle::join);
            drop(watch);
            tell.send(()).ok();
        };
        // Where there is no thread to be had, the pipeline has ended here and now.
        if thread::Builder::new().name("take down".into()).spawn(end).is_ok() {
            told.recv_timeout(TAKE_DOWN).ok();
        }
    }
}
