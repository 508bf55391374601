//! What GStreamer has on this machine.

use super::{init, package};
use anyhow::Result;
use gstreamer as gst;
use gstreamer::prelude::*;

/// An element that may be there.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its factory.
    pub(crate) name: &'static str,
    /// Plugin and its version, where it is installed.
    pub(crate) plugin: Option<String>,
    /// Debian's package of it.
    pub(crate) package: &'static str,
}

/// GStreamer's own version, e.g. `1.22.0`.
///
/// # Errors
/// 78 where it cannot be started.
pub(crate) fn version() -> Result<String> {
    init()?;
    let (major, minor, micro, _) = gst::version();
    Ok(format!("{major}.{minor}.{micro}"))
}

/// Looks elements up, without making them. To be called after [`version`].
pub(crate) fn look_up(names: &[&'static str]) -> Vec<Found> {
    let plugin = |name: &str| {
        let factory = gst::ElementFactory::find(name)?;
        let plugin = factory.plugin()?;
        Some(format!("{} {}", plugin.plugin_name(), plugin.version()))
    };
    names
        .iter()
        .map(|&name| Found {
            name,
            plugin: plugin(name),
            package: package(name),
        })
        .collect()
}
