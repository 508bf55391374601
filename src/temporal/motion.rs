//! Motion between two frames, from their luma at low resolution, by OpenCV's dense inverse search (DIS optical flow: Kroeger,
//! Timofte, Dai and Van Gool, ECCV 2016).

use super::field::Field;
use crate::frame::{Frame, VideoFormat};
use crate::preprocess::LumaScaler;
use anyhow::{Context, Result};
use opencv::core::{CV_8UC1, Mat, MatTraitConst, MatTraitConstManual, Vec2f};
use opencv::prelude::{DISOpticalFlowTrait, DenseOpticalFlowTrait};
use opencv::video::{DISOpticalFlow, DISOpticalFlow_PRESET_ULTRAFAST};
use std::fmt;
use std::str::FromStr;

/// Longer side of the small pictures in pixels.
const LONG_SIDE: u32 = 240;
/// Below this many pixels on a side there is nothing to search in.
const SHORTEST_SIDE: u32 = 24;
/// Pixels of the small picture that one cell of a field is long.
const CELL: usize = 2;
/// Steps of the search of a patch; more gain nothing that can be measured.
const STEPS: i32 = 8;

/// How motion is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MotionMethod {
    /// DIS optical flow down to a half of the small picture.
    #[default]
    Dis,
    /// DIS optical flow down to a quarter of the small picture: a quarter of the time.
    DisFast,
    /// None: class maps are repeated as they are.
    None,
}

impl MotionMethod {
    const NAMES: [(&str, Self); 3] = [("dis", Self::Dis), ("dis-fast", Self::DisFast), ("none", Self::None)];

    fn finest_scale(self) -> i32 {
        match self {
            Self::DisFast => 2,
            _ => 1,
        }
    }
}

impl FromStr for MotionMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, method)| *method)
            .ok_or_else(|| format!("found {text:?}, wanted one of dis, dis-fast, none"))
    }
}

impl fmt::Display for MotionMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, method)| method == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// What moved between a frame and the one before it.
#[derive(Debug, Clone)]
pub struct Motion {
    /// From this frame to where the content was in the one before.
    pub back: Field,
    /// From the one before to where the content is in this frame.
    pub ahead: Field,
    /// Mean difference of luma between this frame and the one before moved onto it, 0-255.
    pub residual: f64,
}

/// Finds the motion of frames in their order.
pub struct MotionEstimator {
    scaler: LumaScaler,
    flow: opencv::core::Ptr<DISOpticalFlow>,
    width: usize,
    height: usize,
    previous: Option<Vec<u8>>,
}

impl MotionEstimator {
    /// An estimator for frames of this format; `None` if they are too small to find motion in, or none is wanted.
    ///
    /// # Errors
    /// If OpenCV refuses.
    pub fn new(method: MotionMethod, format: &VideoFormat) -> Result<Option<Self>> {
        let long = format.width.max(format.height).max(1);
        // Whole cells only.
        let side = |length: u32| (length * LONG_SIDE.min(long) / long).next_multiple_of(CELL as u32).max(CELL as u32);
        let (width, height) = (side(format.width), side(format.height));
        if method == MotionMethod::None || width.min(height) < SHORTEST_SIDE {
            return Ok(None);
        }
        let open = || -> opencv::Result<_> {
            let mut flow = DISOpticalFlow::create(DISOpticalFlow_PRESET_ULTRAFAST)?;
            flow.set_finest_scale(method.finest_scale())?;
            flow.set_gradient_descent_iterations(STEPS)?;
            // The stages already keep the cores busy.
            opencv::core::set_num_threads(1)?;
            Ok(flow)
        };
        Ok(Some(Self {
            scaler: LumaScaler::new(format, width, height)?,
            flow: open().context("cannot set up optical flow")?,
            width: width as usize,
            height: height as usize,
            previous: None,
        }))
    }

    /// The motion since the frame before; `None` for the first one.
    ///
    /// # Errors
    /// If the frame is not of the format that was announced, or OpenCV fails.
    pub fn next(&mut self, frame: &Frame) -> Result<Option<Motion>> {
        let luma = self.scaler.run(frame)?.to_vec();
        let Some(previous) = self.previous.replace(luma) else {
            return Ok(None);
        };
        let current = self.previous.take().unwrap_or_default();
        let motion = self
            .between(&previous, &current)
            .context("cannot find the motion between two frames");
        self.previous = Some(current);
        motion.map(Some)
    }

    fn between(&mut self, previous: &[u8], current: &[u8]) -> opencv::Result<Motion> {
        let (rows, columns) = (self.height as i32, self.width as i32);
        let before = Mat::new_rows_cols_with_data(rows, columns, previous)?;
        let now = Mat::new_rows_cols_with_data(rows, columns, current)?;
        debug_assert_eq!(now.typ(), CV_8UC1);
        let mut flow = Mat::default();
        self.flow.calc(&now, &before, &mut flow)?;
        let residual = self.residual(previous, current, flow.data_typed::<Vec2f>()?);
        let mut back = self.field(flow.data_typed::<Vec2f>()?);
        let mut flow = Mat::default();
        self.flow.calc(&before, &now, &mut flow)?;
        let mut ahead = self.field(flow.data_typed::<Vec2f>()?);
        let pixels = (self.width as f32, self.height as f32);
        back.confirm(&ahead, pixels);
        let unconfirmed = back.clone();
        ahead.confirm(&unconfirmed, pixels);
        Ok(Motion { back, ahead, residual })
    }

    /// The mean flow of every cell.
    fn field(&self, flow: &[Vec2f]) -> Field {
        let (width, height) = (self.width / CELL, self.height / CELL);
        let mut field = Field::still(width, height);
        let scale = [1.0 / self.width as f32, 1.0 / self.height as f32].map(|s| s / (CELL * CELL) as f32);
        for (row, cells) in field.shifts.chunks_exact_mut(width).enumerate() {
            for (column, cell) in cells.iter_mut().enumerate() {
                let mut sum = [0.0; 2];
                for y in row * CELL..(row + 1) * CELL {
                    for pixel in &flow[y * self.width + column * CELL..][..CELL] {
                        sum = [sum[0] + pixel[0], sum[1] + pixel[1]];
                    }
                }
                *cell = [sum[0] * scale[0], sum[1] * scale[1]];
            }
        }
        field
    }

    fn residual(&self, previous: &[u8], current: &[u8], flow: &[Vec2f]) -> f64 {
        let clamp = |at: f32, length: usize| ((at + 0.5) as usize).min(length - 1);
        let mut sum = 0_u64;
        for y in 0..self.height {
            for x in 0..self.width {
                let pixel = y * self.width + x;
                let from = clamp(y as f32 + flow[pixel][1], self.height) * self.width + clamp(x as f32 + flow[pixel][0], self.width);
                sum += u64::from(previous[from].abs_diff(current[pixel]));
            }
        }
        sum as f64 / (self.width * self.height) as f64
    }
}
