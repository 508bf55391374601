//! What is done to the elements that decodebin builds in for a file.

use crate::media::codec_name;
use gstreamer as gst;
use gstreamer::prelude::*;

/// A stream of sound, as found by its demuxer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sound {
    /// Name of the demuxer's factory.
    pub(super) demuxer: String,
    /// The stream's id.
    pub(super) id: String,
}

/// Whether a stream with caps of this name is no picture, so that nothing here decodes it.
pub(super) fn is_beside_pictures(name: &str) -> bool {
    const KINDS: [&str; 7] = [
        "audio/",
        "text/",
        "subpicture/",
        "closedcaption/",
        "application/x-ssa",
        "application/x-ass",
        "application/x-subtitle",
    ];
    KINDS.iter().any(|kind| name.starts_with(kind))
}

/// Gives a video decoder so many threads; without a number it takes as many as there are cores.
pub(super) fn limit_threads(element: &gst::Element, threads: Option<usize>) {
    let of_decoder = element.factory().is_some_and(|f| f.has_type(gst::ElementFactoryType::DECODER));
    let Some(threads) = threads.filter(|_| of_decoder) else {
        return;
    };
    for name in ["max-threads", "threads", "n-threads"] {
        let kind = element.find_property(name).map(|p| p.value_type());
        // An integer for some decoders, unsigned for others: the text is right for both.
        if kind.is_some_and(|k| k == gst::glib::Type::I32 || k == gst::glib::Type::U32) {
            element.set_property_from_str(name, &threads.to_string());
        }
    }
}

/// Name of the factory of a demuxer; `None` for other elements.
pub(super) fn demuxer(element: &gst::Element) -> Option<String> {
    let factory = element.factory().filter(|f| f.has_type(gst::ElementFactoryType::DEMUXER));
    factory.map(|f| f.name().to_string())
}

/// If `element` is a demuxer, tells `found` every stream of sound with its codec, where it comes out (decodebin forgets a
/// stream that ends before the pictures flow), and mends what it says about colours.
pub(super) fn watch_demuxer(element: &gst::Element, found: impl Fn(String, Sound) + Send + Sync + 'static) {
    let Some(demuxer) = demuxer(element) else { return };
    element.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).map(|s| s.name().to_string()).unwrap_or_default();
        match (name.as_str(), pad.stream_id()) {
            ("video/x-h264" | "video/x-h265", _) if demuxer == "qtdemux" => let_stream_tell_colours(pad),
            (sound, Some(id)) if sound.starts_with("audio/") => {
                let (demuxer, id) = (demuxer.clone(), id.to_string());
                found(codec_name(&caps), Sound { demuxer, id });
            }
            _ => {}
        }
    });
}

/// qtdemux of GStreamer 1.22 reads the colours of an MP4 without the flag for full range, and what a container says counts
/// for more than what the stream says itself. H.264 and H.265 tell everything in the stream.
fn let_stream_tell_colours(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(caps) = event.view()
        {
            let mut caps = caps.caps_owned();
            let fields = caps.make_mut().iter_mut();
            fields.for_each(|s| s.remove_field("colorimetry"));
            *event = gst::event::Caps::new(&caps);
        }
        gst::PadProbeReturn::Ok
    });
}
