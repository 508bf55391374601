//! What lies between frames: class maps carried from inferred frames to those between them, moved as the picture moved, and
//! cuts, at which a net with a memory forgets.
//!
//! Before the net, [`MotionEstimator`] finds what moved and [`KeyPicker`] decides what is inferred; behind it, [`Carrier`] gives
//! the other frames their maps.

mod carry;
mod keys;
mod motion;
mod votes;

pub use carry::{Carried, Carrier, Sight};
pub use keys::{Every, KeyPicker, KeyReason, OLDEST_FRAMES};
pub use motion::{Motion, MotionEstimator, MotionMethod};

use crate::error::{Kind, fault};
use crate::frame::{Frame, VideoFormat};
use anyhow::Result;
use maskline_models::Class;
use std::collections::BTreeMap;
use std::time::Instant;

/// Frames that may go around the net at once: what comes in 200 ms at 60 frames a second.
const MOST_AROUND: usize = 12;
/// Each of them holds a whole picture; so many bytes are enough, but for four of them.
const AROUND_BYTES: usize = 16 << 20;
/// The same for frames that wait for the next key frame. Four instead of all cost 0.05 points of mIoU at every eighth frame and
/// 0.3 at every twelfth (`maskline eval`, CamVid).
const WAITING_BYTES: usize = 8 << 20;
/// Frames of a live source that may be on their way. More would only be shown late, all at once, behind a slow inference.
const LIVE_FRAMES: usize = 3;
/// From this interval on one inference is over before the next begins.
const SPARSE: u32 = 8;
/// After a longer gap between two frames (an outage, a seek) what a net remembers says nothing any more.
const LONGEST_GAP_NS: u64 = 2_000_000_000;

/// How class maps are carried.
#[derive(Debug, Clone, PartialEq)]
pub struct TemporalOptions {
    /// How often the net runs.
    pub every: Every,
    /// How motion is found.
    pub motion: MotionMethod,
    /// Frames per second that the run shall reach; the net is left out where there is no time for it.
    pub hold_fps: Option<f64>,
    /// Weight of the earlier class of a pixel, 0 (none) to below 1.
    pub smooth: f32,
    /// The same for single classes, by name.
    pub smooth_of: BTreeMap<String, f32>,
    /// Whether frames wait for the next key frame, which makes maps better and the delay longer.
    pub lookahead: bool,
    /// Measures flicker also where no motion is followed.
    pub measure: bool,
}

impl Default for TemporalOptions {
    fn default() -> Self {
        Self {
            every: Every::default(),
            motion: MotionMethod::default(),
            hold_fps: None,
            smooth: 0.0,
            smooth_of: BTreeMap::new(),
            lookahead: true,
            measure: false,
        }
    }
}

impl TemporalOptions {
    /// Whether there is anything to do but inferring every frame.
    pub fn is_wanted(&self) -> bool {
        self.every != Every::Frames(1) || self.is_smoothed() || self.hold_fps.is_some() || self.measure
    }

    fn is_smoothed(&self) -> bool {
        self.smooth > 0.0 || self.smooth_of.values().any(|s| *s > 0.0)
    }

    /// The weight of the class that a pixel holds, for every class id.
    ///
    /// # Errors
    /// Kind 78 if `smooth_of` names a class that there is not.
    fn smooth_by_id(&self, classes: &[Class]) -> Result<[f32; 256]> {
        let mut by_id = [self.smooth; 256];
        for (name, smooth) in &self.smooth_of {
            let Some(class) = classes.iter().find(|c| c.name == *name) else {
                let names: Vec<_> = classes.iter().map(|c| c.name.as_str()).collect();
                let line = format!("found the class {name:?}, wanted one of the model's: {}", names.join(", "));
                return Err(fault(Kind::Config, line));
            };
            by_id[usize::from(class.id)] = *smooth;
        }
        Ok(by_id)
    }

    /// Frames of this format that may wait on their way around the net, so that it has always something to do.
    pub fn frames_around(&self, format: &VideoFormat) -> usize {
        let room = (AROUND_BYTES / format.bytes().max(1)).clamp(4, MOST_AROUND);
        match self.every {
            Every::Frames(n) => (2 * n as usize).clamp(2, room),
            Every::Auto => room,
        }
    }

    /// Frames of a live source that may be on their way to their maps: a key frame and a few that follow.
    pub fn frames_live(&self) -> usize {
        match self.every {
            Every::Frames(n) => LIVE_FRAMES.min(n as usize + 1),
            Every::Auto => LIVE_FRAMES,
        }
    }

    /// Whether the net has so little to do that two inferences would hardly ever run at once.
    pub fn is_sparse(&self) -> bool {
        self.hold_fps.is_some() || matches!(self.every, Every::Frames(n) if n >= SPARSE)
    }
}

/// Frames of this format that may wait for the next key frame.
fn frames_waiting(format: &VideoFormat) -> usize {
    (WAITING_BYTES / format.bytes().max(1)).max(4)
}

/// Looks at each frame before the net.
pub struct Lookout {
    estimator: Option<MotionEstimator>,
    picker: KeyPicker,
    last_ns: Option<u64>,
}

impl Lookout {
    /// A lookout for frames of this format.
    ///
    /// # Errors
    /// Those of [`MotionEstimator::new`].
    pub fn new(options: &TemporalOptions, format: &VideoFormat) -> Result<Self> {
        let method = match options.motion {
            MotionMethod::None if options.measure => MotionMethod::default(),
            method => method,
        };
        Ok(Self {
            estimator: MotionEstimator::new(method, format)?,
            picker: KeyPicker::new(options.every, options.hold_fps),
            last_ns: None,
        })
    }

    /// What moved, and whether the frame is inferred.
    ///
    /// # Errors
    /// Those of [`MotionEstimator::next`].
    pub fn look(&mut self, frame: &Frame) -> Result<Sight> {
        let motion = match &mut self.estimator {
            Some(estimator) => estimator.next(frame)?,
            None => None,
        };
        let key = self.picker.next(motion.as_ref(), Instant::now());
        let last_ns = self.last_ns.replace(frame.pts_ns);
        let gap = last_ns.is_some_and(|last| frame.pts_ns.abs_diff(last) > LONGEST_GAP_NS);
        let begins = gap || matches!(key, Some(KeyReason::First | KeyReason::Cut));
        Ok(Sight { motion, key, begins })
    }
}
