//! What is wanted, and what counts for it.

use serde::Serialize;
use std::fmt;

/// What a user asks for; without anything it is the frontier alone.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Wish {
    /// How fast.
    pub goal: Option<Goal>,
    /// How good at least.
    pub floor: Option<Floor>,
}

/// How fast a run shall be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// At least so many frames per second.
    FramesPerS(f64),
    /// 95 % of the frames are on their way for at most so many milliseconds.
    LatencyMs(f64),
}

/// How good class maps shall be at least.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Floor {
    /// Share (0-1) of the pixels that have the class of the reference.
    Agreement(f64),
    /// Points (per cent) of mIoU that may be lost against the reference.
    LossPoints(f64),
}

/// What makes one way of running better than another, beside its quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Frames per second.
    Rate,
    /// A short way of each frame.
    Latency,
    /// Both, where nothing says which.
    Both,
}

impl Wish {
    /// What counts.
    pub fn aim(&self) -> Aim {
        match (self.goal, self.floor) {
            (Some(Goal::LatencyMs(_)), _) => Aim::Latency,
            (None, None) => Aim::Both,
            _ => Aim::Rate,
        }
    }
}

/// A wish in figures that points are held against.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// How fast.
    pub goal: Option<Goal>,
    /// Least quality: agreement or mIoU as a share (0-1).
    pub floor: Option<f64>,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FramesPerS(rate) => write!(f, "at least {rate} frames/s"),
            Self::LatencyMs(ms) => write!(f, "a latency (p95) of at most {ms} ms"),
        }
    }
}
