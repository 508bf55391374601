//! Motion between two frames, from their luma at low resolution, by OpenCV's dense inverse search (DIS optical flow: Kroeger,
//! Timofte, Dai and Van Gool, ECCV 2016).

use crate::frame::{Frame, VideoFormat};
use crate::scale::LumaScaler;
use anyhow::{Context, Result};
use maskline_models::field::Field;
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

/// A cell that differs by more than this, of 255, looks different.
const VISIBLE: f32 = 8.0;

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
    /// Share (0-1) of the picture whose motion does not hold both ways and that looks different as well: on a bare road or in
    /// the sky any motion explains what is seen, and it does not matter.
    pub lost: f64,
}

impl Motion {
    /// Whether another scene begins with this frame.
    pub fn is_cut(&self) -> bool {
        self.back.is_cut(self.residual)
    }
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
        let residuals = self.residuals(previous, current, flow.data_typed::<Vec2f>()?);
        let mut back = self.field(flow.data_typed::<Vec2f>()?);
        let mut flow = Mat::default();
        self.flow.calc(&before, &now, &mut flow)?;
        let mut ahead = self.field(flow.data_typed::<Vec2f>()?);
        let pixels = (self.width as f32, self.height as f32);
        back.confirm(&ahead, pixels);
        let unconfirmed = back.clone();
        ahead.confirm(&unconfirmed, pixels);
        let seen = |(sure, residual): &(&bool, &f32)| !**sure && **residual > VISIBLE;
        let lost = back.sure.iter().zip(&residuals).filter(seen).count();
        let cells = residuals.len() as f64;
        Ok(Motion {
            back,
            ahead,
            residual: residuals.iter().map(|r| f64::from(*r)).sum::<f64>() / cells,
            lost: lost as f64 / cells,
        })
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

    /// How much each cell differs from where the flow says that it comes from: mean difference of luma, 0-255.
    fn residuals(&self, previous: &[u8], current: &[u8], flow: &[Vec2f]) -> Vec<f32> {
        let clamp = |at: f32, length: usize| ((at + 0.5) as usize).min(length - 1);
        let (width, height) = (self.width / CELL, self.height / CELL);
        let mut cells = vec![0.0; width * height];
        for y in 0..height * CELL {
            for x in 0..width * CELL {
                let pixel = y * self.width + x;
                let from = clamp(y as f32 + flow[pixel][1], self.height) * self.width + clamp(x as f32 + flow[pixel][0], self.width);
                cells[y / CELL * width + x / CELL] += f32::from(previous[from].abs_diff(current[pixel]));
            }
        }
        cells.iter_mut().for_each(|cell| *cell /= (CELL * CELL) as f32);
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{OwnedPixels, Pixels};
    use crate::testing::plain;
    use std::sync::Arc;
    use std::time::Instant;

    /// A textured scene, moved by so many pixels.
    fn frame(width: u32, height: u32, dx: i32, dy: i32) -> Frame {
        let format = VideoFormat {
            rate: None,
            ..plain(width, height)
        };
        let mut pixels = OwnedPixels::black(&format, 64);
        let stride = pixels.stride(0);
        for (y, row) in pixels.plane_mut(0).chunks_mut(stride).enumerate() {
            for (x, sample) in row.iter_mut().enumerate() {
                let (x, y) = ((x as i32 - dx) as f32, (y as i32 - dy) as f32);
                let waves = (x / 11.0).sin() + (y / 13.0).cos() + ((x + 2.0 * y) / 23.0).sin() + ((x * x + y * y) / 9000.0).sin();
                *sample = (126.0 + 25.0 * waves) as u8;
            }
        }
        Frame {
            index: 0,
            pts_ns: 0,
            duration_ns: None,
            format: Arc::new(format),
            pixels: Box::new(pixels),
            arrived: Instant::now(),
        }
    }

    fn motion(method: MotionMethod, first: &Frame, second: &Frame) -> Motion {
        let mut estimator = MotionEstimator::new(method, &first.format).unwrap().unwrap();
        assert!(estimator.next(first).unwrap().is_none());
        estimator.next(second).unwrap().unwrap()
    }

    #[test]
    fn a_pan_is_found_both_ways_at_any_size() {
        for (width, height) in [(640, 360), (854, 478), (375, 641), (96, 96)] {
            for method in [MotionMethod::Dis, MotionMethod::DisFast] {
                let (dx, dy) = (width as i32 / 40, -(height as i32) / 60);
                let found = motion(method, &frame(width, height, 0, 0), &frame(width, height, dx, dy));
                let wanted = [dx as f32 / width as f32, dy as f32 / height as f32];
                for (field, sign) in [(&found.back, -1.0), (&found.ahead, 1.0)] {
                    let missed = |s: &[f32; 2]| (s[0] - sign * wanted[0]).hypot(s[1] - sign * wanted[1]);
                    let mut all: Vec<f32> = field.shifts.iter().map(missed).collect();
                    all.sort_by(f32::total_cmp);
                    assert!(all[all.len() / 2] < 0.004, "{width}x{height} {method}: {}", all[all.len() / 2]);
                }
                assert!(found.back.unsure() < 0.35 && !found.is_cut(), "{width}x{height} {method}");
            }
        }
    }

    #[test]
    fn another_picture_is_a_cut_and_the_same_one_is_still() {
        let first = frame(320, 180, 0, 0);
        let same = motion(MotionMethod::Dis, &first, &first);
        assert!(
            same.back.length() < 1e-4 && same.back.unsure() == 0.0 && same.residual < 0.5,
            "{same:?}"
        );
        let mut other = frame(320, 180, 0, 0);
        let stride = other.pixels.stride(0);
        for (y, row) in other.pixels.plane_mut(0).chunks_mut(stride).enumerate() {
            row.iter_mut()
                .enumerate()
                .for_each(|(x, s)| *s = if (x / 40 + y / 30) % 2 == 0 { 30 } else { 220 });
        }
        assert!(motion(MotionMethod::Dis, &first, &other).is_cut());
    }

    #[test]
    fn tiny_frames_have_no_motion_and_neither_has_the_method_none() {
        let tiny = frame(16, 16, 0, 0);
        assert!(MotionEstimator::new(MotionMethod::Dis, &tiny.format).unwrap().is_none());
        assert!(
            MotionEstimator::new(MotionMethod::None, &frame(640, 360, 0, 0).format)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn methods_go_by_name() {
        for (name, method) in MotionMethod::NAMES {
            assert_eq!((name.parse(), method.to_string().as_str()), (Ok(method), name));
        }
        assert!("flow".parse::<MotionMethod>().unwrap_err().contains("dis-fast"));
    }
}
