//! Streams for browsers: a WHEP offer in, the answer out (draft-ietf-wish-whep). One exchange is all there is, since the
//! answer has all addresses of this machine in it.

mod offer;
mod peer;

use super::Coder;
use crate::error::{Kind, fault};
use crate::media::init;
use anyhow::{Context, Result};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use peer::Peer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Between looks at a session.
const LOOK: Duration = Duration::from_millis(200);

/// How browsers are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebRtcOptions {
    /// How many sessions at once, of all streams together.
    pub sessions: usize,
    /// `stun://HOST:PORT`, for browsers behind a router; without it only machines that reach this one directly can watch.
    pub stun: Option<String>,
}

impl Default for WebRtcOptions {
    fn default() -> Self {
        Self { sessions: 16, stun: None }
    }
}

/// All sessions. They end when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct WebRtc {
    options: WebRtcOptions,
    sessions: Arc<Mutex<HashMap<String, Sender<()>>>>,
}

/// What a browser gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub sdp: String,
    /// The session's name, by which it is ended.
    pub session: String,
}

impl WebRtc {
    pub fn new(options: WebRtcOptions) -> Self {
        Self {
            options,
            sessions: Arc::default(),
        }
    }

    /// Begins a session that shows the units of `coder`. It waits for GStreamer, a few hundred milliseconds as a rule.
    ///
    /// The session ends by [`WebRtc::end`], with the stream, when no connection comes about in time, or when it breaks.
    ///
    /// # Errors
    /// 65 for an offer that is none or has no H.264, 75 where there are too many sessions, 78 where a plugin is missing.
    pub fn whep(&self, offer: &str, coder: &Arc<Coder>) -> Result<Answer> {
        init()?;
        let offer = offer::Offer::parse(offer)?;
        let session = format!("{:032x}", fastrand::u128(..));
        let (stop, stopped) = bounded(0);
        {
            // Taken before the work, so that many offers at once cannot pass the limit.
            let mut sessions = self.sessions();
            if sessions.len() >= self.options.sessions {
                let text = format!("{} browsers watch already, which is all that is allowed: close one", sessions.len());
                return Err(fault(Kind::Temporary, text));
            }
            sessions.insert(session.clone(), stop);
        }
        let place = Place {
            sessions: self.sessions.clone(),
            session: session.clone(),
        };
        let (peer, sdp) = Peer::answer(&offer, coder, self.options.stun.as_deref())?;
        let watch = move || {
            // The peer goes first, then its place is free.
            let (_place, mut peer) = (place, peer);
            loop {
                match stopped.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) if peer.is_alive() => {}
                    _ => break,
                }
            }
        };
        let thread = thread::Builder::new().name("webrtc".into()).spawn(watch);
        thread.context("cannot start a thread for WebRTC")?;
        Ok(Answer { sdp, session })
    }

    /// Ends a session; `false` if there is none of that name.
    pub fn end(&self, session: &str) -> bool {
        self.sessions().remove(session).is_some()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions().len()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Sender<()>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WebRtc {
    fn drop(&mut self) {
        self.sessions().clear();
    }
}

/// The place of a session among all; free again when this is dropped.
struct Place {
    sessions: Arc<Mutex<HashMap<String, Sender<()>>>>,
    session: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&self.session);
    }
}

#[cfg(test)]
mod tests;
