//! A contact sheet: six frames of a run in one PNG.

use crate::error::{Kind, WithKind, fault};
use crate::frame::{Frame, VideoFormat};
use crate::pending::{PendingFile, Unnamed};
use crate::preprocess::Preprocessor;
use anyhow::Result;
use maskline_models::contract::{Channels, Input, InputType, Layout, Resize, Size};
use maskline_models::{Fit, Rect};
use std::path::Path;

const COLUMNS: usize = 3;
const ROWS: usize = 2;
/// Width of one picture in pixels; the height follows the frame's shape.
const CELL_WIDTH: u32 = 480;
/// Pixels between the pictures.
const GAP: usize = 4;
const PAPER: u8 = 24;

/// Collects frames over a whole run, evenly, without having to know how long it will be.
pub struct ContactSheet {
    file: PendingFile,
    shrink: Preprocessor,
    width: usize,
    height: usize,
    /// RGB pictures of frames 0, `stride`, 2 `stride`, ...; between one and two sheets' worth.
    pictures: Vec<Vec<u8>>,
    stride: u64,
}

impl ContactSheet {
    /// A sheet for frames of this format, to be called `path`.
    ///
    /// # Errors
    /// If the frames have no pixels, or kind 74 if no file can be made there.
    pub fn new(path: &Path, format: &VideoFormat) -> Result<Self> {
        let (numerator, denominator) = format.pixel_aspect;
        let shape = f64::from(format.height) * f64::from(denominator) / (f64::from(format.width) * f64::from(numerator));
        let height = (f64::from(CELL_WIDTH) * shape).round().clamp(1.0, 4096.0) as u32;
        // A model input that leaves the pixel values as they are.
        let input = Input {
            tensor: String::new(),
            layout: Layout::Nhwc,
            channels: Channels::Rgb,
            dtype: InputType::F32,
            size: Size::Fixed { width: CELL_WIDTH, height },
            resize: Resize::Stretch,
            scale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        let content = Rect {
            x: 0,
            y: 0,
            width: CELL_WIDTH,
            height,
        };
        let fit = Fit {
            width: CELL_WIDTH,
            height,
            content,
            pad: 0,
        };
        Ok(Self {
            file: PendingFile::create(path)?,
            shrink: Preprocessor::new(&input, &fit, format)?,
            width: CELL_WIDTH as usize,
            height: height as usize,
            pictures: Vec::new(),
            stride: 1,
        })
    }

    /// Looks at the next frame of the run.
    ///
    /// # Errors
    /// If the frame is not of the format that was announced.
    pub fn offer(&mut self, frame: &Frame) -> Result<()> {
        if !frame.index.is_multiple_of(self.stride) {
            return Ok(());
        }
        if self.pictures.len() == 2 * COLUMNS * ROWS {
            let mut nth = 0;
            self.pictures.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.stride *= 2;
            return self.offer(frame);
        }
        let tensor = self.shrink.run(frame)?;
        self.pictures.push(tensor.values.iter().map(|v| *v as u8).collect());
        self.shrink.pool().recycle(tensor);
        Ok(())
    }

    /// Writes the PNG; without a frame there is none.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn complete(mut self) -> Result<Option<Unnamed>> {
        if self.pictures.is_empty() {
            return Ok(None);
        }
        let (width, height) = (COLUMNS * (self.width + GAP) + GAP, ROWS * (self.height + GAP) + GAP);
        let mut sheet = vec![PAPER; 3 * width * height];
        let cells = (COLUMNS * ROWS).min(self.pictures.len());
        for cell in 0..cells {
            let picture = &self.pictures[spread(cell, cells, self.pictures.len())];
            let (left, top) = (
                GAP + cell % COLUMNS * (self.width + GAP),
                GAP + cell / COLUMNS * (self.height + GAP),
            );
            for (y, row) in picture.chunks_exact(3 * self.width).enumerate() {
                sheet[3 * ((top + y) * width + left)..][..row.len()].copy_from_slice(row);
            }
        }
        self.file
            .bytes(&encode(&sheet, width as u32, height as u32).kind(Kind::Internal)?)?;
        self.file.complete().map(Some)
    }
}

/// Whether a sheet can have this name.
///
/// # Errors
/// Kind 64 for an extension that promises another kind of picture.
pub fn check(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        return Ok(());
    }
    let line = format!("the sheet {} would be a PNG: give it a name that ends in .png", path.display());
    Err(fault(Kind::Usage, line))
}

/// An RGB picture as the bytes of a PNG.
pub(crate) fn encode(rgb: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(png)
}

/// Which of `of` pictures stands in cell `cell` of `cells`: the first in the first, the last in the last.
fn spread(cell: usize, cells: usize, of: usize) -> usize {
    if cells < 2 { 0 } else { cell * (of - 1) / (cells - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Matrix, OwnedPixels, PixelFormat, Pixels, Range};
    use std::sync::Arc;
    use std::time::Instant;

    fn sheet_of(frames: u64) -> (usize, u64, Option<Vec<u8>>) {
        let format = Arc::new(VideoFormat {
            width: 33,
            height: 17,
            pixels: PixelFormat::I420,
            matrix: Matrix::Bt601,
            range: Range::Full,
            rate: None,
            pixel_aspect: (1, 1),
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let mut sheet = ContactSheet::new(&path, &format).unwrap();
        for index in 0..frames {
            let mut pixels = OwnedPixels::black(&format, 16);
            pixels.plane_mut(0).fill((index % 256) as u8);
            let frame = Frame {
                index,
                pts_ns: 0,
                duration_ns: None,
                format: format.clone(),
                pixels: Box::new(pixels),
                arrived: Instant::now(),
            };
            sheet.offer(&frame).unwrap();
        }
        let (held, stride) = (sheet.pictures.len(), sheet.stride);
        sheet.complete().unwrap().map_or(Ok(()), Unnamed::replace).unwrap();
        (held, stride, std::fs::read(&path).ok())
    }

    fn pixels(png: &[u8]) -> Vec<u8> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_sheet_spans_the_run_however_long_it_is() {
        for (frames, stride) in [(1, 1), (5, 1), (12, 1), (13, 2), (100, 16), (200, 32)] {
            let (held, found, png) = sheet_of(frames);
            assert_eq!(found, stride, "{frames} frames");
            assert!(held as u64 * stride >= frames && held <= 12, "{frames} frames: {held} pictures");
            let sheet = pixels(&png.unwrap());
            let first = 3 * (GAP * (COLUMNS * (480 + GAP) + GAP) + GAP);
            assert_eq!(sheet[first], 0, "the first cell is frame 0");
        }
    }

    #[test]
    fn without_frames_there_is_no_sheet() {
        assert_eq!(sheet_of(0).2, None);
    }
}
