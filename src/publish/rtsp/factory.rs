//! Makes the pipeline behind an address for a client that comes.

use crate::media::{chain, element};
use crate::publish::{Coder, feed};
use anyhow::Result;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_rtsp_server as server;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::subclass::prelude::*;
use server::gst_rtsp::{RTSPLowerTrans, RTSPUrl};
use std::sync::{Arc, OnceLock};

/// The first payload type that is free to be given.
const PAYLOAD: u32 = 96;

glib::wrapper! {
    /// A pipeline for each client, out of the units of one coder: it begins with a keyframe, a client that is slow misses units
    /// of its own queue only, and none finds a pipeline that is just being taken down, as it may with one for all.
    pub(super) struct CoderFactory(ObjectSubclass<Inner>) @extends server::RTSPMediaFactory;
}

impl CoderFactory {
    pub(super) fn of(coder: Arc<Coder>) -> Self {
        let factory = glib::Object::new::<Self>();
        factory.imp().coder.get_or_init(|| coder);
        factory.set_protocols(RTSPLowerTrans::TCP | RTSPLowerTrans::UDP);
        factory
    }

    /// Lets this role watch, and no other.
    pub(super) fn admit(&self, role: &str) {
        let rights = gst::Structure::builder(role)
            .field(server::RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(server::RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true);
        self.add_role_from_structure(&rights.build());
    }
}

#[derive(Default)]
pub(super) struct Inner {
    coder: OnceLock<Arc<Coder>>,
}

#[glib::object_subclass]
impl ObjectSubclass for Inner {
    const NAME: &'static str = "MasklineCoderFactory";
    type Type = CoderFactory;
    type ParentType = server::RTSPMediaFactory;
}

impl ObjectImpl for Inner {}

impl RTSPMediaFactoryImpl for Inner {
    fn create_element(&self, _: &RTSPUrl) -> Option<gst::Element> {
        let bin = self.coder.get().map(pipeline)?;
        bin.map(Cast::upcast)
            .inspect_err(|error| tracing::error!("RTSP cannot show a stream: {error:#}"))
            .ok()
    }
}

fn pipeline(coder: &Arc<Coder>) -> Result<gst::Bin> {
    let bin = gst::Bin::new();
    let payloader = feed::payloader(PAYLOAD)?;
    // The server looks for this name.
    payloader.set_property("name", "pay0");
    chain(&bin, &[feed::source(coder).upcast_ref(), &element("h264parse")?, &payloader])?;
    Ok(bin)
}
