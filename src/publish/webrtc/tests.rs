use super::*;
use crate::error::kind_of;
use crate::media::element;
use crate::publish::scene::{BLUE, Client, ORANGE, Running, Stage};
use crate::publish::{CoderOptions, View};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_sdp::SDPMessage;
use gstreamer_webrtc::{
    WebRTCBundlePolicy, WebRTCICEGatheringState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSDPType,
    WebRTCSessionDescription,
};
use std::time::Instant;

const WAIT: Duration = Duration::from_secs(20);

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn stream(view: View) -> (Running, Arc<Coder>) {
    let stage = Stage::new(160, 90).run();
    let coder = Coder::new(stage.screen.clone(), view, CoderOptions::default());
    (stage, coder)
}

/// A browser, as far as it goes.
struct Browser {
    webrtc: gst::Element,
    client: Client,
}

impl Browser {
    fn new() -> Self {
        init().unwrap();
        let (pipeline, webrtc, decode) = (gst::Pipeline::new(), element("webrtcbin").unwrap(), element("decodebin").unwrap());
        webrtc.set_property("bundle-policy", WebRTCBundlePolicy::MaxBundle);
        pipeline.add_many([&webrtc, &decode]).unwrap();
        let to = decode.clone();
        webrtc.connect_pad_added(move |_, pad| {
            if pad.direction() == gst::PadDirection::Src {
                pad.link(&to.static_pad("sink").unwrap()).unwrap();
            }
        });
        let codec = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("encoding-name", "H264")
            .field("payload", 109_i32)
            .field("clock-rate", 90_000_i32)
            .field("packetization-mode", "1")
            .field("profile-level-id", "42e01f");
        let client = Client::of(pipeline, &decode);
        client.play();
        webrtc.emit_by_name::<WebRTCRTPTransceiver>("add-transceiver", &[&WebRTCRTPTransceiverDirection::Recvonly, &codec.build()]);
        Self { webrtc, client }
    }

    fn describe(&self, signal: &str, description: &WebRTCSessionDescription) {
        let promise = gst::Promise::new();
        self.webrtc.emit_by_name::<()>(signal, &[description, &promise]);
        promise.wait();
    }

    fn offer(&self) -> String {
        let promise = gst::Promise::new();
        self.webrtc.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        promise.wait();
        let offer = promise.get_reply().unwrap().get::<WebRTCSessionDescription>("offer").unwrap();
        self.describe("set-local-description", &offer);
        until("addresses are known", || {
            let state = self.webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
            state == WebRTCICEGatheringState::Complete
        });
        let local = self.webrtc.property::<WebRTCSessionDescription>("local-description");
        local.sdp().as_text().unwrap()
    }

    fn accept(&self, answer: &str) {
        let sdp = SDPMessage::parse_buffer(answer.as_bytes()).unwrap();
        self.describe("set-remote-description", &WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp));
    }
}

#[test]
fn a_browser_sees_the_stream_after_one_exchange_and_the_encoder_rests_when_it_has_left() {
    for (view, wanted) in [(View::Masked, ORANGE), (View::Raw, BLUE)] {
        let (stage, coder) = stream(view);
        let webrtc = WebRtc::new(WebRtcOptions::default());
        let browser = Browser::new();
        let answer = webrtc.whep(&browser.offer(), &coder).unwrap();
        assert!(
            answer.sdp.contains("a=sendonly") && answer.sdp.contains("a=candidate:"),
            "{}",
            answer.sdp
        );
        browser.accept(&answer.sdp);
        let picture = browser.client.next(WAIT).unwrap();
        assert_eq!((picture.width, picture.height), (160, 90));
        picture.expect(wanted, view.name());
        for _ in 0..50 {
            browser.client.next(WAIT).unwrap();
        }
        assert_eq!(webrtc.len(), 1);
        assert!(webrtc.end(&answer.session));
        assert!(!webrtc.end(&answer.session));
        until("the encoder rests", || stage.screen.hub.subscribers() == 0);
    }
}

#[test]
fn sessions_are_bounded_and_end_with_the_stream() {
    let (stage, coder) = stream(View::Masked);
    let webrtc = WebRtc::new(WebRtcOptions {
        sessions: 1,
        ..WebRtcOptions::default()
    });
    let browser = Browser::new();
    let answer = webrtc.whep(&browser.offer(), &coder).unwrap();
    browser.accept(&answer.sdp);
    browser.client.next(WAIT).unwrap();
    let second = Browser::new().offer();
    let error = webrtc.whep(&second, &coder).unwrap_err();
    assert_eq!(kind_of(&error), Kind::Temporary);
    drop(stage);
    until("the session ends with the stream", || webrtc.len() == 0);
}

#[test]
fn an_offer_that_is_refused_takes_no_place_and_one_that_never_connects_is_given_up() {
    let (_stage, coder) = stream(View::Masked);
    let webrtc = WebRtc::new(WebRtcOptions {
        sessions: 1,
        ..WebRtcOptions::default()
    });
    assert_eq!(kind_of(&webrtc.whep("hello", &coder).unwrap_err()), Kind::BadInput);
    assert_eq!(webrtc.len(), 0);
    let started = Instant::now();
    webrtc.whep(&Browser::new().offer(), &coder).unwrap();
    let deadline = Instant::now() + Duration::from_secs(40);
    while webrtc.len() > 0 {
        assert!(Instant::now() < deadline, "it is not given up");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(started.elapsed() > Duration::from_secs(5), "{:?}", started.elapsed());
}
