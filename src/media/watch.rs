//! A running GStreamer pipeline and what its bus says.

use super::decoder_package;
use crate::error::{Kind, fault};
use crate::privacy::{Secret, shown};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::time::Duration;

/// Which way the data goes: decides how a failure is told and its exit code.
#[derive(Debug, Clone)]
pub(crate) enum Side {
    /// An input by its name.
    Reading(String),
    /// An output by its name.
    Writing(String),
    /// A live source by its name, and what its messages must not show.
    Live(String, Vec<Secret>),
}

/// What the bus said.
#[derive(Debug)]
pub(crate) enum Event {
    /// Everything went through.
    End,
    /// It failed, in one line with its kind.
    Failed(anyhow::Error),
}

/// Owns a pipeline: stops it when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    side: Side,
    /// What no decoder was found for: the words of GStreamer and the name of the caps.
    missing: Option<(String, String)>,
    /// How often in a row no thread was seen running.
    still: u32,
}

/// Looks at a pipeline without running threads until it counts as dead.
const STILL_LOOKS: u32 = 10;

impl Watch {
    pub(crate) fn new(side: Side) -> Self {
        let pipeline = gst::Pipeline::new();
        let bus = pipeline.bus().expect("a pipeline has a bus from its beginning");
        // Nobody looks at the others, and a bus keeps them all.
        bus.set_sync_handler(|_, message| match message.view() {
            gst::MessageView::Error(_) | gst::MessageView::Eos(_) | gst::MessageView::Element(_) => gst::BusSyncReply::Pass,
            _ => gst::BusSyncReply::Drop,
        });
        Self {
            pipeline,
            bus,
            side,
            missing: None,
            still: 0,
        }
    }

    pub(crate) fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// Lets data flow.
    ///
    /// # Errors
    /// What the bus says about it.
    pub(crate) fn play(&mut self) -> anyhow::Result<()> {
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(match self.poll(Duration::from_secs(1)) {
                Some(Event::Failed(error)) => error,
                _ => fault(Kind::Internal, format!("{}: GStreamer does not start the pipeline", self.name())),
            });
        }
        Ok(())
    }

    /// The next thing that matters on the bus, waiting for it at most so long.
    pub(crate) fn poll(&mut self, wait: Duration) -> Option<Event> {
        let wait = gst::ClockTime::from_nseconds(wait.as_nanos() as u64);
        let mut message = self.bus.timed_pop(wait);
        while let Some(this) = message {
            match this.view() {
                gst::MessageView::Eos(_) => return Some(Event::End),
                gst::MessageView::Error(error) => return Some(Event::Failed(self.failure(&error.error()))),
                _ => self.note_missing(&this),
            }
            message = self.bus.pop();
        }
        None
    }

    /// Whether all streaming threads have stood still for a while, so that nothing will come any more.
    ///
    /// decodebin of GStreamer 1.22 may swallow an error of a demuxer that fails while it is being built in; without this
    /// one would wait for ever.
    pub(crate) fn is_dead(&mut self) -> bool {
        let mut elements = self.pipeline.iterate_recurse().into_iter().flatten();
        let running = elements.any(|e| e.pads().iter().any(|p| p.task_state() == gst::TaskState::Started));
        self.still = if running { 0 } else { self.still + 1 };
        self.still >= STILL_LOOKS
    }

    /// The error for a pipeline that [`Watch::is_dead`].
    pub(crate) fn dead(&self) -> anyhow::Error {
        fault(
            Kind::BadInput,
            format!("{} cannot be decoded: wanted a video file that is whole", self.name()),
        )
    }

    /// What is missing to decode a stream, if GStreamer said so.
    pub(crate) fn missing_decoder(&self) -> Option<anyhow::Error> {
        let (what, caps) = self.missing.as_ref()?;
        let text = format!("{}: no {what} is installed: apt install {}", self.name(), decoder_package(caps));
        Some(fault(Kind::Config, text))
    }

    fn note_missing(&mut self, message: &gst::Message) {
        let Some(structure) = message.structure().filter(|s| s.name() == "missing-plugin") else {
            return;
        };
        let caps = structure.get::<gst::Caps>("detail").ok();
        let caps = caps.and_then(|c| c.structure(0).map(|s| s.name().to_string())).unwrap_or_default();
        let what = structure.get::<String>("name").unwrap_or_else(|_| format!("decoder for {caps}"));
        // Sound is never decoded here, so only what concerns the picture can stop anything.
        if !caps.starts_with("audio/") && !caps.starts_with("text/") {
            self.missing.get_or_insert((what, caps));
        }
    }

    fn name(&self) -> &str {
        match &self.side {
            Side::Reading(name) | Side::Writing(name) | Side::Live(name, _) => name,
        }
    }

    fn failure(&self, error: &gst::glib::Error) -> anyhow::Error {
        if let Some(missing) = self.missing_decoder() {
            return missing;
        }
        let said = shown(&error.message().trim_end_matches('.').replace('\n', " "));
        let name = self.name();
        match &self.side {
            Side::Writing(_) => match error.kind::<gst::ResourceError>() {
                Some(gst::ResourceError::NoSpaceLeft) => {
                    let text = format!("{name}: no space is left on the device: free some or write elsewhere");
                    fault(Kind::Io, text)
                }
                Some(_) => fault(Kind::Io, format!("{name} cannot be written ({said}): choose another place")),
                None => fault(Kind::Internal, format!("{name} cannot be encoded: {said}")),
            },
            Side::Live(_, secrets) => live_failure(name, &secrets.iter().fold(said, |said, secret| secret.hidden_in(&said)), error),
            Side::Reading(_) => match error.kind::<gst::ResourceError>() {
                Some(gst::ResourceError::Read) => fault(Kind::Io, format!("{name} cannot be read: {said}")),
                _ => {
                    let text = format!("{name} cannot be decoded ({said}): wanted a video file that is whole");
                    fault(Kind::BadInput, text)
                }
            },
        }
    }
}

/// Most of what happens to a live source may be over a moment later.
fn live_failure(name: &str, said: &str, error: &gst::glib::Error) -> anyhow::Error {
    if error.kind::<gst::ResourceError>() == Some(gst::ResourceError::NotAuthorized) {
        let text = format!("{name} refuses the login ({said}): set user and password, in the address or in [source]");
        return fault(Kind::Config, text);
    }
    match error.kind::<gst::StreamError>() {
        Some(gst::StreamError::WrongType | gst::StreamError::TypeNotFound) => fault(
            Kind::BadInput,
            format!("{name} gives no video ({said}): wanted the address of a video"),
        ),
        _ => fault(Kind::Temporary, said),
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Going to NULL cannot fail; GStreamer's binding only says so for all changes of state.
        self.pipeline.set_state(gst::State::Null).ok();
    }
}
