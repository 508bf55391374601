//! Which stream an address means, however a client writes it.

use gstreamer::glib;
use gstreamer::glib::translate::ToGlibPtr;
use gstreamer_rtsp_server as server;
use gstreamer_rtsp_server::subclass::prelude::*;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use server::gst_rtsp::RTSPUrl;
use server::gst_rtsp::ffi::GstRTSPUrl;
use std::ffi::CStr;

/// What is not written as it is in a part of a path. The server's own `stream=0` has to stay.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'=');

glib::wrapper! {
    /// Takes every path in one spelling.
    pub(super) struct Mounts(ObjectSubclass<Inner>) @extends server::RTSPMountPoints;
}

impl Default for Mounts {
    fn default() -> Self {
        glib::Object::new()
    }
}

#[derive(Default)]
pub(super) struct Inner;

#[glib::object_subclass]
impl ObjectSubclass for Inner {
    const NAME: &'static str = "MasklineMounts";
    type Type = Mounts;
    type ParentType = server::RTSPMountPoints;
}

impl ObjectImpl for Inner {}

impl RTSPMountPointsImpl for Inner {
    fn make_path(&self, url: &RTSPUrl) -> Option<glib::GString> {
        Some(canonical(&path_of(url)).into())
    }
}

/// One part of a path.
pub(super) fn encoded(part: &[u8]) -> String {
    match part {
        // These mean something else in a path.
        b"." | b".." => "%2E".repeat(part.len()),
        _ => percent_encode(part, &ESCAPED).to_string(),
    }
}

/// A path as clients may spell it, in the one spelling of [`encoded`].
fn canonical(path: &[u8]) -> String {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let parts = path.split(|byte| *byte == b'/');
    let parts: Vec<_> = parts.map(|part| encoded(&percent_decode(part).collect::<Vec<_>>())).collect();
    parts.join("/")
}

/// The path of an address, byte by byte: the binding's own functions end the program where it is not UTF-8.
fn path_of(url: &RTSPUrl) -> Vec<u8> {
    let url: *const GstRTSPUrl = url.to_glib_none().0;
    // SAFETY: `url` lives for the whole call, and its path is null or a string that ends in a null byte.
    let path = unsafe {
        let path = (*url).abspath;
        (!path.is_null()).then(|| CStr::from_ptr(path).to_bytes().to_vec())
    };
    path.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_spelling_that_stays_in_its_part_of_the_path() {
        for (name, wanted) in [
            ("front", "front"),
            ("Straße 1", "Stra%C3%9Fe%201"),
            ("../%n\n\"'", "..%2F%25n%0A%22%27"),
            ("..", "%2E%2E"),
            ("a/raw", "a%2Fraw"),
        ] {
            assert_eq!(encoded(name.as_bytes()), wanted);
            assert_eq!(canonical(format!("/{wanted}/raw/").as_bytes()), format!("/{wanted}/raw"));
        }
    }

    #[test]
    fn a_client_may_escape_more_or_less_and_control_paths_stay() {
        assert_eq!(canonical(b"/%66ront/stream=0"), "/front/stream=0");
        assert_eq!(canonical("/Straße%201".as_bytes()), "/Stra%C3%9Fe%201");
        assert_eq!(canonical(b"/%ff\xff%zz"), "/%FF%FF%25zz");
        assert_eq!(canonical(b""), "");
    }
}
