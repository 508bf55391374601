//! What a live stream shows, to any number of outputs at once: each has a queue of its own that drops rather than waits.

mod backoff;
mod coder;
mod encoder;
mod feed;
mod hls;
mod hub;
mod outputs;
mod pipe;
pub(crate) mod preview;
mod publisher;
mod push;
mod recording;
pub(crate) mod rtsp;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod testing;
mod view;
pub(crate) mod webrtc;
pub(crate) mod window;

pub(crate) use coder::{Coder, CoderOptions, Coders, Unit};
pub(crate) use hls::{Hls, HlsOptions, HlsReport};
pub(crate) use hub::{Hub, Next, Subscription};
pub(crate) use outputs::{OutputOptions, Outputs, OutputsReport};
pub(crate) use publisher::{Finished, Publisher};
pub(crate) use push::{Push, PushOptions, PushReport, Target};
pub(crate) use recording::{RecordOptions, RecordReport, RecordState, Recorded, Recording, file_stem, recorded};
pub(crate) use view::View;

use crate::error::{Kind, fault, io_fault};
use crate::frame::ClassMap;
use crate::media::Picture;
use anyhow::Result;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// One moment of a stream. Nobody writes to it any more; cloning it copies no pixel.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Number among all that was shown, filler included, from 0.
    pub index: u64,
    /// Presentation time in nanoseconds from the first frame; grows with every `Shown`.
    pub pts_ns: u64,
    /// When the frame came into this program; for filler, when it was made.
    pub arrived: Instant,
    /// The frame with its classes drawn over it.
    pub masked: Picture,
    /// The frame as it came; only while somebody wants it ([`Screen::want_raw`]), and never for filler.
    pub raw: Option<Picture>,
    /// The class ids at the net's resolution; `None` for filler.
    pub map: Option<Arc<ClassMap>>,
    /// The last good frame again, with a mark: nothing comes from the source.
    pub filler: bool,
}

/// Where a stream shows itself.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    pub hub: Hub<Shown>,
    raw_wanted: AtomicUsize,
}

/// As long as this lives, frames are shown as they came as well.
#[derive(Debug)]
pub(crate) struct RawWanted(Arc<Screen>);

impl Drop for RawWanted {
    fn drop(&mut self) {
        self.0.raw_wanted.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Screen {
    /// From now on [`Shown::raw`] is there, until what comes back is dropped. It costs a copy of every frame.
    pub fn want_raw(self: &Arc<Self>) -> RawWanted {
        self.raw_wanted.fetch_add(1, Ordering::Relaxed);
        RawWanted(self.clone())
    }

    /// Whether somebody wants frames as they came.
    pub fn is_raw_wanted(&self) -> bool {
        self.raw_wanted.load(Ordering::Relaxed) > 0
    }
}

/// Makes a folder, but not what it lies in: a disk that is not mounted is not replaced by a folder.
fn make_folder(folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = folder.display();
            let text = format!("cannot make the folder {name}: what it lies in does not exist; make it first: mkdir -p {name}");
            Err(fault(Kind::Io, text))
        }
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io_fault("make the folder", folder, error)),
        _ => Ok(()),
    }
}
