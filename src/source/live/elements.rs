//! The front of a live pipeline: what receives a stream, and what decodes it.

use super::LiveOptions;
use super::address::{Address, Place};
use crate::media::{Watch, chain, element, location};
use crate::source::file::discard;
use crate::source::inside;
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How RTP packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Inside the RTSP connection: nothing is lost, and firewalls let it through.
    #[default]
    Tcp,
    /// In packets of their own.
    Udp,
    /// UDP, and TCP where nothing arrives for five seconds.
    Auto,
}

impl Transport {
    /// By its name.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "auto" => Ok(Self::Auto),
            other => Err(format!("found {other:?}, wanted tcp, udp or auto")),
        }
    }

    /// As rtspsrc's `protocols` takes it.
    fn protocols(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp+udp-mcast",
            Self::Auto => "udp+udp-mcast+tcp",
        }
    }
}

/// How long a packet is waited for that overtook others, in milliseconds. Packets in order wait for nothing.
const REORDER_MS: u32 = 200;
/// How long a server may take to answer.
const ANSWER_S: u32 = 10;
/// What the kernel keeps of packets that nobody has read yet; a key frame comes in one burst.
const UDP_BUFFER_BYTES: i32 = 2 << 20;

/// Adds what receives and decodes the video of `address` and hands it to `video`.
///
/// # Errors
/// 78 where an element is missing.
pub(super) fn build(watch: &Watch, address: &Address, options: &LiveOptions, threads: Option<usize>, video: &gst::Element) -> Result<()> {
    if let Place::Test(pattern) = &address.place {
        return pattern.build(watch, video, true);
    }
    let decode = element("decodebin")?;
    let pipeline = watch.pipeline().upcast_ref::<gst::Bin>();
    match &address.place {
        Place::Rtsp(_) => {
            let source = receiver(address, options)?;
            pipeline
                .add_many([&source, &decode])
                .context("GStreamer elements cannot be added")?;
            take_video_of_rtsp(&source, &decode);
        }
        Place::Device(_) => {
            let filter = element("capsfilter")?;
            filter.set_property("caps", device_caps(options.size, options.rate));
            chain(pipeline, &[&receiver(address, options)?, &filter, &decode])?;
        }
        _ => chain(pipeline, &[&receiver(address, options)?, &decode])?,
    }
    watch
        .pipeline()
        .connect_deep_element_added(move |_, _, element| inside::limit_threads(element, threads));
    decode.connect("autoplug-continue", false, |args| {
        let caps = args[2].get::<gst::Caps>().ok();
        let name = caps.as_ref().and_then(|c| c.structure(0)).map(|s| s.name().to_string());
        let decoded = !name.is_some_and(|name| inside::is_beside_pictures(&name));
        Some(decoded.to_value())
    });
    take_decoded_video(&decode, video, watch.pipeline());
    Ok(())
}

/// The element that receives the stream. Every value is set as a property: an address is data, never a launch string.
fn receiver(address: &Address, options: &LiveOptions) -> Result<gst::Element> {
    let login = |source: &gst::Element| {
        let (user, password) = (&address.login.user, &address.login.password);
        if user.is_some() || password.is_some() {
            source.set_property("user-id", user.as_deref().unwrap_or_default());
            source.set_property("user-pw", password.as_ref().map_or("", |p| p.reveal()));
        }
    };
    match &address.place {
        Place::Rtsp(location) => {
            let source = element("rtspsrc")?;
            source.set_property("location", location);
            source.set_property_from_str("protocols", options.transport.protocols());
            source.set_property("latency", REORDER_MS);
            source.set_property("tcp-timeout", u64::from(ANSWER_S) * 1_000_000);
            login(&source);
            Ok(source)
        }
        Place::Http(location) => {
            let source = element("souphttpsrc")?;
            source.set_property("location", location);
            source.set_property("timeout", ANSWER_S);
            source.set_property("retries", 0);
            login(&source);
            Ok(source)
        }
        Place::Srt(uri) => {
            let source = element("srtsrc")?;
            source.set_property("uri", uri);
            if let Some(password) = &address.login.password {
                source.set_property("passphrase", password.reveal());
            }
            Ok(source)
        }
        Place::Udp { host, port } => {
            let source = element("udpsrc")?;
            source.set_property("address", host);
            source.set_property("port", i32::from(*port));
            source.set_property("buffer-size", UDP_BUFFER_BYTES);
            let caps = gst::Caps::builder("video/mpegts")
                .field("systemstream", true)
                .field("packetsize", 188);
            source.set_property("caps", caps.build());
            Ok(source)
        }
        Place::Device(path) => {
            let source = element("v4l2src")?;
            source.set_property("device", location(path)?);
            Ok(source)
        }
        Place::File(path) => {
            let source = element("filesrc")?;
            source.set_property("location", location(path)?);
            Ok(source)
        }
        Place::Test(_) => unreachable!("a pattern is made, not received"),
    }
}

/// What a device may give: raw pictures or any codec that cameras have, of a size and rate where they are asked for. Which of
/// these it is, device and decoder make out.
fn device_caps(size: Option<(u32, u32)>, rate: Option<(u32, u32)>) -> gst::Caps {
    let kinds = ["video/x-raw", "image/jpeg", "video/x-h264", "video/x-h265"];
    let kind = |name: &str| {
        let mut kind = gst::Structure::new_empty(name);
        if let Some((width, height)) = size {
            kind.set("width", width as i32);
            kind.set("height", height as i32);
        }
        if let Some((n, d)) = rate {
            kind.set("framerate", gst::Fraction::new(n as i32, d as i32));
        }
        kind
    };
    kinds.into_iter().map(kind).collect()
}

/// Sets up only the video of an RTSP session, the first one if there are several.
fn take_video_of_rtsp(source: &gst::Element, decode: &gst::Element) {
    let chosen = AtomicBool::new(false);
    source.connect("select-stream", false, move |args| {
        let caps = args[2].get::<gst::Caps>().ok();
        let media = caps.as_ref().and_then(|c| c.structure(0)?.get::<String>("media").ok());
        let wanted = media.as_deref() == Some("video") && !chosen.swap(true, Ordering::AcqRel);
        Some(wanted.to_value())
    });
    let decode = decode.downgrade();
    source.connect_pad_added(move |_, pad| {
        let sink = decode.upgrade().and_then(|decode| decode.static_pad("sink"));
        if let Some(sink) = sink.filter(|sink| !sink.is_linked()) {
            // Where it fails, no frame comes, which is noticed.
            pad.link(&sink).ok();
        }
    });
}

/// Links the first decoded video to `video` and lets all else vanish; a stream without any is an error.
fn take_decoded_video(decode: &gst::Element, video: &gst::Element, pipeline: &gst::Pipeline) {
    let found = Arc::new(AtomicBool::new(false));
    let (target, pipeline, seen) = (video.downgrade(), pipeline.downgrade(), found.clone());
    decode.connect_pad_added(move |_, pad| {
        let (Some(target), Some(pipeline)) = (target.upgrade(), pipeline.upgrade()) else {
            return;
        };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is_video = caps.structure(0).is_some_and(|s| s.name() == "video/x-raw");
        let sink = target.static_pad("sink").expect("a converter has a sink pad");
        if is_video && !sink.is_linked() && pad.link(&sink).is_ok() {
            seen.store(true, Ordering::Release);
            return;
        }
        discard(pad, &pipeline);
    });
    decode.connect_no_more_pads(move |decode| {
        if !found.load(Ordering::Acquire) {
            gst::element_error!(decode, gst::StreamError::WrongType, ["there is no video in it"]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{self, Side};
    use crate::privacy::Secret;

    fn made(address: &str, options: &LiveOptions) -> gst::Element {
        media::init().unwrap();
        receiver(&Address::parse(address).unwrap(), options).unwrap()
    }

    #[test]
    fn user_and_password_go_to_the_element_and_not_into_its_address() {
        let options = LiveOptions {
            transport: Transport::Udp,
            ..LiveOptions::default()
        };
        for address in ["rtsp://me:hunter22@camera/1?a=b", "https://me:hunter22@camera/1?a=b"] {
            let source = made(address, &options);
            assert!(source.property::<String>("location").ends_with("://camera/1?a=b"));
            assert_eq!(source.property::<String>("user-id"), "me");
            assert_eq!(source.property::<String>("user-pw"), "hunter22");
        }
        let protocols = made("rtsp://camera/1", &options).property_value("protocols");
        assert_eq!(gst::glib::FlagsValue::from_value(&protocols).unwrap().1.len(), 2);
    }

    #[test]
    fn every_kind_of_source_is_set_by_properties() {
        let options = LiveOptions::default();
        let udp = made("udp://127.0.0.1:5004", &options);
        assert_eq!(
            (udp.property::<String>("address"), udp.property::<i32>("port")),
            ("127.0.0.1".into(), 5004)
        );
        let srt = made("srt://127.0.0.1:9000?passphrase=hunter2222", &options);
        assert!(!srt.property::<String>("uri").contains("hunter"));
        let device = made("device:/dev/video7", &options);
        assert_eq!(device.property::<String>("device"), "/dev/video7");
        let file = made("! fakesink location=x.mp4", &options);
        assert_eq!(file.property::<String>("location"), "! fakesink location=x.mp4");
    }

    #[test]
    fn a_device_may_give_raw_pictures_or_jpeg_of_the_size_and_rate_that_are_asked_for() {
        media::init().unwrap();
        let accepts = |caps: &gst::Caps, text: &str| caps.can_intersect(&text.parse::<gst::Caps>().unwrap());
        let any = device_caps(None, None);
        let exact = device_caps(Some((640, 480)), Some((30, 1)));
        for kind in ["video/x-raw,format=YUY2", "image/jpeg"] {
            let other = format!("{kind},width=1920,height=1080,framerate=25/1");
            assert!(accepts(&any, &other) && !accepts(&exact, &other), "{other}");
            let wanted = format!("{kind},width=640,height=480,framerate=30/1");
            assert!(accepts(&exact, &wanted), "{wanted}");
        }
        assert!(!accepts(&any, "audio/x-raw"));
    }

    #[test]
    fn the_front_of_every_source_can_be_built() {
        media::init().unwrap();
        for address in ["rtsp://a/1", "http://a/1", "srt://a:1", "udp://a:1", "device:/dev/video7", "a.mp4"] {
            let watch = Watch::new(Side::Live(address.into(), vec![Secret::new("hunter22")]));
            let video = element("fakesink").unwrap();
            watch.pipeline().add(&video).unwrap();
            build(&watch, &Address::parse(address).unwrap(), &LiveOptions::default(), Some(1), &video).unwrap();
        }
    }
}
