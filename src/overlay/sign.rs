//! A line of text across the whole picture, for what nobody may overlook.

use super::canvas::{Canvas, Drawing, Panel, RED, scalar};
use crate::frame::{Frame, VideoFormat};
use anyhow::{Context, Result};
use opencv::core::{MatTraitConst, Rect, Scalar};
use opencv::imgproc::{FILLED, LINE_8, rectangle};

/// How much of the picture the rest of it is darkened by, of 255.
const SHADE: f64 = 110.0;

/// A red band with text in the middle of a picture that is darkened otherwise.
#[derive(Debug)]
pub(crate) struct Sign(Drawing);

impl Sign {
    /// A sign with this text for pictures of this format.
    ///
    /// # Errors
    /// If OpenCV cannot draw.
    pub(crate) fn new(format: &VideoFormat, text: &str) -> Result<Self> {
        let draw = || -> Result<Canvas> {
            let mut canvas = Canvas::blank(format)?;
            let (width, height) = (canvas.cover.cols(), canvas.cover.rows());
            let band = (height / 9).clamp(14.min(height), 120);
            let top = (height - band) / 2;
            let whole = Rect::new(0, 0, width, height);
            rectangle(&mut canvas.cover, whole, Scalar::all(SHADE), FILLED, LINE_8, 0)?;
            let across = Rect::new(0, top, width, band);
            rectangle(&mut canvas.colors, across, scalar(RED), FILLED, LINE_8, 0)?;
            rectangle(&mut canvas.cover, across, Scalar::all(255.0), FILLED, LINE_8, 0)?;
            let panel = Panel {
                height: band * 3 / 4,
                color: RED,
                cover: 255.0,
            };
            canvas.text(text, panel, |wide, high| ((width - wide) / 2, (height - high) / 2))?;
            Ok(canvas)
        };
        let canvas = draw().context("cannot draw a sign")?;
        Ok(Self(Drawing::of(format, &canvas)))
    }

    /// Draws it over a frame of its format.
    pub(crate) fn draw(&self, frame: &mut Frame) {
        self.0.draw(&mut *frame.pixels);
    }
}
