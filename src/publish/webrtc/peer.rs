//! One browser: GStreamer's end of the connection.

use super::offer::Offer;
use crate::error::{Kind, fault};
use crate::media::{Event, Side, Watch, chain, element};
use crate::publish::{Coder, feed};
use anyhow::{Context, Result};
use crossbeam_channel::{Sender, bounded};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_webrtc::{
    WebRTCBundlePolicy, WebRTCICEGatheringState, WebRTCPeerConnectionState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection,
    WebRTCSDPType, WebRTCSessionDescription,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long GStreamer may take for one step of the exchange.
const STEP: Duration = Duration::from_secs(5);
/// How long the connection may take to come about, and to come back.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to one browser.
pub(super) struct Peer {
    watch: Watch,
    webrtc: gst::Element,
    coder: Arc<Coder>,
    state: WebRTCPeerConnectionState,
    /// Whether the stream has: webrtcbin itself never comes to an end.
    ended: Arc<AtomicBool>,
    /// Until when the connection must be there.
    deadline: Option<Instant>,
}

impl Peer {
    /// Takes an offer and gives the answer, with the addresses of this machine in it.
    ///
    /// # Errors
    /// 65 for an offer that does not work out, 70 where GStreamer does not answer in time, 78 where a plugin is missing.
    pub fn answer(offer: &Offer, coder: &Arc<Coder>, stun: Option<&str>) -> Result<(Self, String)> {
        let webrtc = element("webrtcbin")?;
        webrtc.set_property("bundle-policy", WebRTCBundlePolicy::MaxBundle);
        if let Some(stun) = stun {
            webrtc.set_property("stun-server", stun);
        }
        let mut watch = Watch::new(Side::Writing("a browser".into()));
        let (source, parser, payloader) = (feed::source(coder), element("h264parse")?, feed::payloader(offer.payload)?);
        let pipeline = watch.pipeline().upcast_ref::<gst::Bin>();
        pipeline.add(&webrtc).context("GStreamer elements cannot be added")?;
        chain(pipeline, &[source.upcast_ref(), &parser, &payloader])?;
        let sink = webrtc.request_pad_simple("sink_%u").context("webrtcbin takes a stream")?;
        let packets = payloader.static_pad("src").context("a payloader has a source pad")?;
        packets.link(&sink).context("webrtcbin takes packets")?;
        let ended = Arc::<AtomicBool>::default();
        let told = ended.clone();
        packets.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
                told.store(true, Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        // Not more than what is offered: the profile within H.264 is the browser's to name.
        let codec = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("encoding-name", "H264")
            .field("payload", offer.payload as i32)
            .field("clock-rate", 90_000_i32);
        let transceiver = sink.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_property("direction", WebRTCRTPTransceiverDirection::Sendonly);
        transceiver.set_property("codec-preferences", codec.build());
        // The stream's own caps name a profile and a level, which no offer has to the letter: webrtcbin would find nothing in
        // common. Where it has not seen them before the answer, the preference counts.
        let held = packets.add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, |_, _| gst::PadProbeReturn::Ok);
        let gathered = gathering(&webrtc);
        watch.play()?;

        let description = WebRTCSessionDescription::new(WebRTCSDPType::Offer, offer.sdp.clone());
        ask(&webrtc, |w, done| {
            w.emit_by_name::<()>("set-remote-description", &[&description, done]);
        })?;
        let reply = ask(&webrtc, |w, done| {
            w.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, done]);
        })?;
        let answer = reply.and_then(|r| r.get::<WebRTCSessionDescription>("answer").ok());
        let answer = answer.ok_or_else(|| fault(Kind::BadInput, "the offer cannot be answered: wanted one that receives video"))?;
        let accepted = answer.sdp().medias().any(|m| m.media() == Some("video") && m.port() != 0);
        if !accepted {
            return Err(fault(Kind::BadInput, "the offer has no video that can be answered: wanted H.264"));
        }
        ask(&webrtc, |w, done| {
            w.emit_by_name::<()>("set-local-description", &[&answer, done]);
        })?;
        if let Some(held) = held {
            packets.remove_probe(held);
        }
        // Where it takes longer, what was found by then is good enough.
        gathered.recv_timeout(STEP).ok();
        let local = webrtc.property::<Option<WebRTCSessionDescription>>("local-description");
        let sdp = local.context("webrtcbin has an answer")?.sdp().as_text()?;
        let peer = Self {
            watch,
            webrtc,
            coder: coder.clone(),
            state: WebRTCPeerConnectionState::New,
            ended,
            deadline: Some(Instant::now() + PATIENCE),
        };
        Ok((peer, sdp))
    }

    /// Whether there is a connection, or one may still come about.
    pub fn is_alive(&mut self) -> bool {
        use WebRTCPeerConnectionState as State;
        match self.watch.poll(Duration::ZERO) {
            None if self.ended.load(Ordering::Relaxed) => return false,
            None => {}
            Some(Event::End) => return false,
            Some(Event::Failed(error)) => {
                tracing::warn!("a browser is shown nothing more: {error:#}");
                return false;
            }
        }
        let state = self.webrtc.property::<State>("connection-state");
        let before = std::mem::replace(&mut self.state, state);
        match state {
            State::Failed | State::Closed => return false,
            State::Connected if before != state => {
                self.deadline = None;
                // What it missed while it connected is worth nothing to it.
                self.coder.want_keyframe();
            }
            State::Connected => {}
            _ => {
                self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
        }
        self.deadline.is_none_or(|deadline| Instant::now() < deadline)
    }
}

/// Asks webrtcbin something and waits for its reply.
///
/// # Errors
/// 65 where it refuses, 70 where it does not answer.
fn ask(webrtc: &gst::Element, request: impl FnOnce(&gst::Element, &gst::Promise)) -> Result<Option<gst::Structure>> {
    let (tell, told) = bounded(1);
    let promise = gst::Promise::with_change_func(move |reply| {
        // Nobody waits any more where it took too long.
        tell.try_send(reply.map(|r| r.map(|r| r.to_owned())).map_err(|e| format!("{e:?}")))
            .ok();
    });
    request(webrtc, &promise);
    let reply = told.recv_timeout(STEP);
    let reply = reply.map_err(|_| fault(Kind::Internal, format!("webrtcbin does not answer within {} s", STEP.as_secs())))?;
    let reply = reply.map_err(|said| fault(Kind::Internal, format!("webrtcbin gave up ({said})")))?;
    if let Some(error) = reply.as_ref().and_then(|r| r.get::<glib::Error>("error").ok()) {
        let said = error.message().replace('\n', " ");
        return Err(fault(
            Kind::BadInput,
            format!("the offer cannot be taken ({said}): wanted one that receives video"),
        ));
    }
    Ok(reply)
}

/// Tells when all addresses of this machine are known.
fn gathering(webrtc: &gst::Element) -> crossbeam_channel::Receiver<()> {
    let (tell, told): (Sender<()>, _) = bounded(1);
    webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
        if webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state") == WebRTCICEGatheringState::Complete {
            tell.try_send(()).ok();
        }
    });
    told
}
