//! Class maps carried between inferred frames. The net runs on key frames only; the frames between get the key frames' maps,
//! moved as the picture moved.
//!
//! Before the net, [`MotionEstimator`] finds what moved and [`KeyPicker`] decides what is inferred; behind it, [`Carrier`] gives
//! the other frames their maps.

mod carry;
pub mod field;
mod keys;
mod motion;
mod votes;

pub use carry::{Carried, Carrier, Sight};
pub use keys::{Every, KeyPicker, KeyReason, OLDEST_FRAMES, is_cut};
pub use motion::{Motion, MotionEstimator, MotionMethod};

use crate::frame::{Frame, VideoFormat};
use anyhow::Result;
use std::time::Instant;

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
            lookahead: true,
            measure: false,
        }
    }
}

impl TemporalOptions {
    /// Whether there is anything to do but inferring every frame.
    pub fn is_wanted(&self) -> bool {
        self.every != Every::Frames(1) || self.smooth > 0.0 || self.hold_fps.is_some() || self.measure
    }

    /// Frames that may wait on their way around the net, so that it has always something to do.
    pub fn frames_around(&self) -> usize {
        match self.every {
            Every::Frames(n) => (2 * n as usize).clamp(2, 16),
            Every::Auto => 16,
        }
    }
}

/// Looks at each frame before the net.
pub struct Lookout {
    estimator: Option<MotionEstimator>,
    picker: KeyPicker,
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
        Ok(Sight { motion, key })
    }
}
