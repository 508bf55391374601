//! Sources that do not wait: cameras and streams from the network, and files at their own pace.
//!
//! The newest frame wins, and what is too old is left out. A connection that is lost is made again, for ever unless a number
//! of attempts is given ([`states`]); each connection is a GStreamer pipeline of its own ([`connect`]).

mod address;
mod connect;
mod credentials;
mod elements;
mod history;
mod newest;
mod states;
mod timeline;
mod voice;

pub use credentials::Credentials;
pub(crate) use credentials::{Login, expand};
pub use elements::Transport;
pub use states::State;
pub use voice::Notices;

pub(super) use address::{Address, is_address};

use super::{Opened, Source, SourceOptions};
use crate::error::{Kind, fault, kind_of};
use crate::frame::{Frame, VideoFormat};
use crate::gate::{Gate, Pass};
use crate::media::{GstPixels, format_of};
use crate::stats::SourceReport;
use anyhow::{Context, Result};
use connect::{Connection, Look, Newcomer, Wiring};
use gstreamer as gst;
use gstreamer_video::VideoInfo;
use history::History;
use states::{Machine, Policy, Seen};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use timeline::Timeline;
use voice::Voice;

/// How long to wait for a frame before looking whether it was asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How a live source is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// How RTP packets of an RTSP source travel.
    pub transport: Transport,
    /// A frame that arrived longer ago when it is taken is left out.
    pub max_age: Duration,
    /// So long without a frame is a stall, and the connection is made anew.
    pub stall_after: Duration,
    /// Gives up after so many attempts in a row that brought no frame; `None` for never.
    pub attempts: Option<u32>,
    /// Who logs in, where the address does not say it.
    pub credentials: Credentials,
    /// Width and height that a device shall give; `None` for what it prefers.
    pub size: Option<(u32, u32)>,
    /// Frames per second that a device shall give, as a fraction; `None` for what it prefers.
    pub rate: Option<(u32, u32)>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            max_age: Duration::from_millis(200),
            stall_after: Duration::from_secs(5),
            attempts: None,
            credentials: Credentials::default(),
            size: None,
            rate: None,
        }
    }
}

/// Connects and waits for the first frame, which tells the format.
///
/// # Errors
/// 64 for options that make no sense with it, 65 for an address that is none or a stream without video, 75 where all attempts
/// failed, 78 for a login that is refused or a missing plugin, 130 when it was stopped before.
pub(super) fn open(input: &str, options: &SourceOptions) -> Result<Opened> {
    let address = Address::parse(input).map_err(|e| fault(Kind::BadInput, e))?;
    let address = address.with(options.live_options.credentials.resolve("source")?);
    if options.start_ns > 0 {
        let text = format!("{}: a live source has no past, leave the start out", address.name);
        return Err(fault(Kind::Usage, text));
    }
    let name = address.name.clone();
    let mut live = Live::new(address, options);
    let Some(first) = live.wait()? else {
        return Err(match options.stop.requested() {
            true => fault(Kind::Interrupted, format!("{name}: stopped before its first frame")),
            false => fault(
                Kind::BadInput,
                format!("{name} ended before its first frame: wanted a video with frames"),
            ),
        });
    };
    let info = VideoInfo::from_caps(first.sample.caps().context("decoded video has no caps")?)?;
    let format = Arc::new(format_of(&info)?);
    let rate = format
        .rate
        .map_or(String::new(), |(n, d)| format!(" {:.2} fps", f64::from(n) / f64::from(d)));
    let description = format!("live {name}, {}x{}{rate}", format.width, format.height);
    live.wiring.fix(&info)?;
    live.format = Some(format.clone());
    live.ahead = Some(first);
    let with_sound = live.wiring.address.may_have_sound();
    Ok(Opened {
        format,
        frames: Box::new(live),
        packets: Vec::new(),
        frames_total: options.frames,
        duration_ns: None,
        description,
        notes: with_sound
            .then(|| format!("{name}: its sound, if it has any, is left out"))
            .into_iter()
            .collect(),
    })
}

/// Frames of a source that is connected again whenever it is lost.
struct Live {
    wiring: Wiring,
    options: SourceOptions,
    machine: Machine,
    history: History,
    voice: Voice,
    connection: Option<Connection>,
    /// That of the first frame, and of all others.
    format: Option<Arc<VideoFormat>>,
    /// Taken, but not yet given.
    ahead: Option<Newcomer>,
    timeline: Timeline,
    index: u64,
    /// Connections so far.
    connections: u64,
    replaced: u64,
    /// Those of them that the pulse knows of.
    told_replaced: u64,
    too_old: u64,
    ended: bool,
    /// The last attempts all failed, and no more are wanted.
    lost: bool,
}

impl Live {
    fn new(address: Address, options: &SourceOptions) -> Self {
        let voice = Voice::new(options.notices.clone(), options.started, address.name.clone());
        let policy = Policy {
            stall_after: options.live_options.stall_after,
            attempts: options.live_options.attempts,
        };
        let mut live = Self {
            wiring: Wiring::new(address, options, voice.clone()),
            options: options.clone(),
            machine: Machine::new(policy, options.started.elapsed(), fastrand::u64(..)),
            history: History::default(),
            voice,
            connection: None,
            format: None,
            ahead: None,
            timeline: Timeline::default(),
            index: 0,
            connections: 0,
            replaced: 0,
            told_replaced: 0,
            too_old: 0,
            ended: false,
            lost: false,
        };
        live.enter(State::Connecting, live.options.started.elapsed(), "the run begins");
        live
    }

    /// Writes a change of state down and says it.
    fn enter(&mut self, state: State, at: Duration, why: &str) {
        self.history.add(state, at, why);
        self.voice.say(format_args!("{state}: {why}"));
        self.options.pulse.enter(state, why);
    }

    /// Waits for the next frame, whatever it takes; `None` at the end, when it was asked to stop, or when it gave up after
    /// frames had been given.
    fn wait(&mut self) -> Result<Option<Newcomer>> {
        loop {
            if self.options.stop.requested() {
                return Ok(None);
            }
            if self.machine.state() == State::Connecting && self.connection.is_none() {
                self.connections += 1;
                self.options.pulse.connecting();
                self.connection = Some(Connection::start(&self.wiring)?);
            }
            let look = match &mut self.connection {
                Some(connection) => connection.look(LOOK),
                None => {
                    thread::sleep(LOOK);
                    Look::Nothing
                }
            };
            let now = self.options.started.elapsed();
            let change = match &look {
                Look::Frame(new) => self
                    .machine
                    .step(now, Seen::Frame(new.arrived.saturating_duration_since(self.options.started))),
                Look::Nothing => self.machine.step(now, Seen::Nothing),
                Look::End if self.is_over() => return Ok(None),
                Look::End => self.machine.step(now, Seen::Failed("the stream ended")),
                Look::Failed(error) if self.is_hopeless(error) => return Err(fault(kind_of(error), format!("{error:#}"))),
                Look::Failed(error) => self.machine.step(now, Seen::Failed(&format!("{error:#}"))),
            };
            if let Some((state, why)) = change {
                self.enter(state, now, &why);
            }
            if let Look::Frame(new) = look {
                return Ok(Some(new));
            }
            match self.machine.state() {
                State::Connecting | State::Live => {}
                State::Stalled | State::Lost => self.disconnect(),
            }
            if self.machine.has_given_up() {
                return self.give_up();
            }
        }
    }

    /// Whether a failure will be the same next time. What has worked once may work again.
    fn is_hopeless(&self, error: &anyhow::Error) -> bool {
        !self.history.was_live() && kind_of(error) != Kind::Temporary
    }

    /// Whether the end of the stream is that of the input: a file has one, and a stream that told its length and came there.
    fn is_over(&self) -> bool {
        self.wiring.address.is_file() || self.connection.as_ref().is_some_and(Connection::is_complete)
    }

    fn give_up(&mut self) -> Result<Option<Newcomer>> {
        self.lost = true;
        if self.index > 0 {
            return Ok(None);
        }
        let (name, tried) = (&self.wiring.address.name, self.connections);
        let attempts = if tried == 1 { "attempt" } else { "attempts" };
        let why = self.history.last_why();
        let text = format!(
            "{name} gave no frame in {tried} {attempts} ({why}): wanted a source that answers; try again later, or --attempts more"
        );
        Err(fault(Kind::Temporary, text))
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.replaced += connection.replaced();
        }
    }

    fn frame(&mut self, new: Newcomer) -> Result<Frame> {
        let format = self.format.clone().context("a live source is opened before it is read")?;
        let info = VideoInfo::from_caps(new.sample.caps().context("decoded video has no caps")?)?;
        let buffer = new.sample.buffer_owned().context("a sample without a buffer")?;
        let duration = buffer.duration().map(gst::ClockTime::nseconds).filter(|ns| *ns > 1000);
        let pts_ns = self.timeline.stamp(self.connections, new.arrived, new.running_ns);
        drop(new.sample);
        let frame = Frame {
            index: self.index,
            pts_ns,
            duration_ns: duration,
            format,
            pixels: Box::new(GstPixels::map(buffer, &info)?),
            arrived: new.arrived,
        };
        self.index += 1;
        Ok(frame)
    }

    /// The next frame, and what lets it pass: that is waited for while a frame is at hand, and not held on to for later ones.
    fn step<P>(&mut self, mut pass: impl FnMut() -> P) -> Result<Option<(Frame, P)>> {
        loop {
            if self.ended || self.index == self.options.frames.unwrap_or(u64::MAX) {
                return Ok(None);
            }
            let new = match self.ahead.take() {
                Some(first) => Some(first),
                None => self.wait()?,
            };
            let Some(new) = new else { return Ok(None) };
            let pass = pass();
            let new = self.newer_than(new);
            let replaced = self.dropped() - self.too_old;
            self.options.pulse.replaced(replaced - self.told_replaced);
            self.told_replaced = replaced;
            if new.arrived.elapsed() <= self.options.live_options.max_age {
                return Ok(Some((self.frame(new)?, pass)));
            }
            self.too_old += 1;
            self.options.pulse.too_old();
        }
    }

    /// What has come since, or the same.
    fn newer_than(&mut self, held: Newcomer) -> Newcomer {
        match self.connection.as_mut().and_then(|c| c.take(Duration::ZERO)) {
            Some(newer) => {
                self.replaced += 1;
                newer
            }
            None => held,
        }
    }

    /// Nothing comes after the last frame or a failure.
    fn last<T>(&mut self, step: Result<Option<T>>) -> Result<Option<T>> {
        if !matches!(step, Ok(Some(_))) {
            self.ended = true;
            self.disconnect();
        }
        step
    }
}

impl Source for Live {
    fn next(&mut self) -> Result<Option<Frame>> {
        let step = self.step(|| ());
        Ok(self.last(step)?.map(|(frame, ())| frame))
    }

    fn next_in_turn(&mut self, turns: &Gate) -> Result<Option<(Frame, Pass)>> {
        let step = self.step(|| turns.enter());
        self.last(step)
    }

    fn dropped(&self) -> u64 {
        self.replaced + self.connection.as_ref().map_or(0, Connection::replaced) + self.too_old
    }

    fn too_old(&self) -> u64 {
        self.too_old
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn report(&self) -> Option<SourceReport> {
        Some(self.history.report())
    }
}
