//! What a browser offers to take.

use crate::error::{Kind, fault};
use anyhow::Result;
use gstreamer_sdp::{SDPMediaRef, SDPMessage};

/// Larger ones are no offers.
const MOST_BYTES: usize = 64 << 10;

/// An offer to take H.264.
#[derive(Debug)]
pub(super) struct Offer {
    pub sdp: SDPMessage,
    /// The number that the browser gives H.264.
    pub payload: u32,
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// 65 with what was wanted.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |what: &str| Err(fault(Kind::BadInput, what));
        // The parser takes almost anything for SDP.
        if text.len() > MOST_BYTES || !text.starts_with("v=0") {
            return refuse("the offer is no SDP: wanted the text of a WebRTC offer as application/sdp");
        }
        let Ok(sdp) = SDPMessage::parse_buffer(text.as_bytes()) else {
            return refuse("the offer cannot be read: wanted a WebRTC offer as application/sdp");
        };
        if !sdp.medias().any(|m| m.attribute_val("fingerprint").is_some()) && sdp.attribute_val("fingerprint").is_none() {
            return refuse("the offer has no fingerprint: wanted one of WebRTC, which is encrypted");
        }
        match sdp.medias().filter(|m| m.media() == Some("video")).find_map(h264) {
            Some(payload) => Ok(Self { sdp, payload }),
            None => refuse("the offer has no video in H.264 with packetization-mode=1: wanted a browser that plays it"),
        }
    }
}

/// The payload type of the best H.264 in a medium: what decodes most, among those whose packets may be parts of pictures.
fn h264(media: &SDPMediaRef) -> Option<u32> {
    let lines = |key: &'static str| (0..).map_while(move |n| media.attribute_val_n(key, n));
    let payload_of = |line: &str| line.split(' ').next()?.parse::<u32>().ok();
    let is_h264 = |line: &&str| {
        let codec = line.split(' ').nth(1).unwrap_or_default();
        codec.to_ascii_uppercase().starts_with("H264/90000")
    };
    let candidates = lines("rtpmap").filter(is_h264).filter_map(payload_of).filter(|p| *p < 128);
    let rank = |payload: &u32| {
        let format = lines("fmtp").find(|line| payload_of(line) == Some(*payload))?;
        let value = |key: &str| {
            let parameters = format.split_once(' ')?.1.split(';');
            parameters
                .filter_map(|p| p.trim().split_once('='))
                .find(|(k, _)| *k == key)
                .map(|(_, v)| v)
        };
        if value("packetization-mode") != Some("1") {
            return None;
        }
        // Constrained baseline, main, high; Firefox names no profile that it does not decode.
        let profile = value("profile-level-id").unwrap_or("42e01f").get(..2).map(str::to_ascii_lowercase);
        Some(match profile.as_deref() {
            Some("64") => 3,
            Some("4d") => 2,
            Some("42") => 1,
            _ => 0,
        })
    };
    // The first of the best, since browsers name first what they like best.
    let ranked = candidates.filter_map(|payload| Some((rank(&payload)?, payload)));
    let best = ranked.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, payload)| payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::kind_of;

    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 AA\r\n";

    fn payload(media: &str) -> Result<u32> {
        gstreamer::init().unwrap();
        Offer::parse(&format!("{HEAD}{media}")).map(|offer| offer.payload)
    }

    #[test]
    fn the_fullest_profile_whose_packets_may_be_parts_of_pictures_is_taken() {
        let media = "m=video 9 UDP/TLS/RTP/SAVPF 96 102 104 106 108 110\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\n\
            a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\na=rtpmap:104 H264/90000\r\n\
            a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=64001f\r\na=rtpmap:106 h264/90000\r\n\
            a=fmtp:106 packetization-mode=1; profile-level-id=4d001f\r\na=rtpmap:108 H264/90000\r\n\
            a=fmtp:108 packetization-mode=1;profile-level-id=4d001f\r\na=rtpmap:110 H264/90000\r\n";
        assert_eq!(payload(media).unwrap(), 106);
    }

    #[test]
    fn what_is_no_offer_of_h264_is_refused_in_one_line() {
        gstreamer::init().unwrap();
        let vp8 = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n";
        let plain = HEAD.replace("a=fingerprint:sha-256 AA\r\n", "");
        let huge = "v=0\r\n".repeat(20_000);
        for text in [
            "",
            "hello",
            "{}",
            &plain,
            &huge,
            &format!("{HEAD}{vp8}"),
            &format!("{HEAD}{audio}"),
            HEAD,
        ] {
            let error = Offer::parse(text).map(drop).unwrap_err();
            assert_eq!(kind_of(&error), Kind::BadInput);
            assert!(!error.to_string().contains('\n'));
        }
    }
}
