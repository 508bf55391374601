//! The preprocessor against a plain reference: one pixel at a time in double precision.

use super::*;
use crate::color::ycbcr_to_rgb_reference;
use crate::frame::{Matrix, OwnedPixels, Pixels, Range};
use maskline_models::contract::{Channels, InputType, Layout, Resize, Size};
use std::time::Instant;

fn format(width: u32, height: u32, pixels: PixelFormat, matrix: Matrix, range: Range) -> VideoFormat {
    VideoFormat {
        width,
        height,
        pixels,
        matrix,
        range,
        rate: None,
        pixel_aspect: (1, 1),
    }
}

fn input(layout: Layout, resize: Resize) -> Input {
    Input {
        tensor: "image".into(),
        layout,
        channels: Channels::Rgb,
        dtype: InputType::F32,
        size: Size::Multiple {
            of: 1,
            width: 40,
            height: 24,
        },
        resize,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    }
}

/// A frame of smooth content whose row padding is filled with garbage.
fn frame(format: &VideoFormat, align: usize) -> Frame {
    let mut pixels = OwnedPixels::black(format, align);
    for plane in 0..format.pixels.planes() {
        let stride = pixels.stride(plane);
        let (width, height) = format.plane_size(plane);
        let components = if format.pixels == PixelFormat::Nv12 && plane == 1 { 2 } else { 1 };
        for (y, row) in pixels.plane_mut(plane).chunks_mut(stride).enumerate() {
            for (x, byte) in row.iter_mut().enumerate() {
                let (column, component) = (x / components, x % components);
                let (fx, fy) = (column as f64 / width as f64, y as f64 / height as f64);
                let kind = plane + component;
                let wave = (fx * (3.0 + kind as f64) + fy * 4.0 + kind as f64).sin();
                *byte = if column < width { (128.0 + 90.0 * wave) as u8 } else { 255 };
            }
        }
    }
    Frame {
        index: 0,
        pts_ns: 0,
        duration_ns: None,
        format: Arc::new(format.clone()),
        pixels: Box::new(pixels),
        arrived: Instant::now(),
    }
}

/// Sample `component` of kind 0-2 (Y, Cb, Cr) at a column and row of its plane.
fn sample(frame: &Frame, kind: usize, x: usize, y: usize) -> f64 {
    let (plane, step, offset) = match (frame.format.pixels, kind) {
        (PixelFormat::Nv12, 1 | 2) => (1, 2, kind - 1),
        _ => (kind, 1, 0),
    };
    f64::from(frame.pixels.plane(plane)[y * frame.pixels.stride(plane) + x * step + offset])
}

/// Weights of the samples of a plane's axis for output `out` of `size`: a triangle over `extent` samples, widened where it
/// shrinks.
fn weights(out: usize, size: usize, extent: f64, samples: usize) -> Vec<f64> {
    let scale = extent / size as f64;
    let radius = scale.max(1.0);
    let centre = (out as f64 + 0.5) * scale;
    let raw: Vec<f64> = (0..samples)
        .map(|i| (1.0 - ((i as f64 + 0.5 - centre) / radius).abs()).max(0.0))
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|w| w / sum).collect()
}

fn reference(frame: &Frame, fit: &Fit) -> Vec<[f64; 3]> {
    let format = &frame.format;
    let planes: Vec<Vec<f64>> = (0..3)
        .map(|kind| {
            let (columns, rows) = format.plane_size(kind);
            let halves = if kind == 0 { 1.0 } else { 2.0 };
            let (width, height) = (fit.content.width as usize, fit.content.height as usize);
            let mut plane = Vec::new();
            for y in 0..height {
                let vertical = weights(y, height, f64::from(format.height) / halves, rows);
                for x in 0..width {
                    let horizontal = weights(x, width, f64::from(format.width) / halves, columns);
                    let mut sum = 0.0;
                    for (row, wy) in vertical.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                        for (column, wx) in horizontal.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                            sum += wx * wy * sample(frame, kind, column, row);
                        }
                    }
                    plane.push(sum);
                }
            }
            plane
        })
        .collect();
    (0..planes[0].len())
        .map(|i| {
            let codes = [0, 1, 2].map(|kind| planes[kind][i].round() as u8);
            ycbcr_to_rgb_reference(codes, format.matrix, format.range)
        })
        .collect()
}

fn check(format: &VideoFormat, align: usize, layout: Layout, resize: Resize) {
    let input = input(layout, resize);
    let fit = Fit::plan(&input, format.width, format.height, Some((40, 24))).unwrap();
    let frame = frame(format, align);
    let mut preprocessor = Preprocessor::new(&input, &fit, format).unwrap();
    // The second run gets the first one's memory, which must not show.
    let mut dirty = preprocessor.run(&frame).unwrap();
    dirty.values.fill(f32::NAN);
    preprocessor.pool().recycle(dirty);
    let tensor = preprocessor.run(&frame).unwrap();
    let wanted = reference(&frame, &fit);
    let (width, height, content) = (fit.width as usize, fit.height as usize, fit.content);
    let (mut sum, mut worst) = (0.0, 0.0_f64);
    for y in 0..height {
        for x in 0..width {
            let inside = (content.x..content.x + content.width).contains(&(x as u32))
                && (content.y..content.y + content.height).contains(&(y as u32));
            let pixel = if inside {
                wanted[(y - content.y as usize) * content.width as usize + x - content.x as usize]
            } else {
                [f64::from(fit.pad); 3]
            };
            for (c, wanted) in pixel.into_iter().enumerate() {
                let at = match layout {
                    Layout::Nchw => (c * height + y) * width + x,
                    Layout::Nhwc => (y * width + x) * 3 + c,
                };
                let difference = (f64::from(tensor.values[at]) - wanted).abs();
                sum += difference;
                worst = worst.max(difference);
                assert!(inside || difference == 0.0, "bars are of the grey that was asked for");
            }
        }
    }
    // One code more or less per plane after rounding is up to 5 in RGB; on average it is far less.
    let mean = sum / tensor.values.len() as f64;
    assert!(worst < 6.0 && mean < 0.7, "{format:?} align {align}: worst {worst}, mean {mean}");
}

#[test]
fn odd_sizes_and_padded_rows_agree_with_the_reference() {
    for (width, height) in [(64, 48), (57, 33), (854, 31), (31, 17), (1, 1), (2, 3)] {
        for pixels in [PixelFormat::I420, PixelFormat::Nv12] {
            for align in [1, 16] {
                let format = format(width, height, pixels, Matrix::Bt601, Range::Limited);
                check(&format, align, Layout::Nchw, Resize::Stretch);
            }
        }
    }
}

#[test]
fn every_matrix_range_and_layout_agrees_with_the_reference() {
    for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
        for range in [Range::Limited, Range::Full] {
            for (pixels, layout) in [(PixelFormat::I420, Layout::Nchw), (PixelFormat::Nv12, Layout::Nhwc)] {
                check(&format(95, 63, pixels, matrix, range), 8, layout, Resize::Stretch);
            }
        }
    }
}

#[test]
fn a_letterboxed_frame_has_bars_on_the_right_sides() {
    for (width, height) in [(90, 31), (31, 90)] {
        let format = format(width, height, PixelFormat::I420, Matrix::Bt709, Range::Limited);
        check(&format, 4, Layout::Nchw, Resize::Letterbox { pad: 114 });
    }
}

/// A plane whose last row ends with its pixels, as a cropped buffer of a decoder has it.
struct ShortPlanes(OwnedPixels, VideoFormat);

impl Pixels for ShortPlanes {
    fn plane(&self, plane: usize) -> &[u8] {
        let (width, height) = self.1.plane_size(plane);
        &self.0.plane(plane)[..self.0.stride(plane) * (height - 1) + width]
    }

    fn plane_mut(&mut self, plane: usize) -> &mut [u8] {
        self.0.plane_mut(plane)
    }

    fn stride(&self, plane: usize) -> usize {
        self.0.stride(plane)
    }

    fn copy(&self) -> anyhow::Result<Box<dyn Pixels>> {
        Ok(Box::new(Self(self.0.clone(), self.1.clone())))
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}

#[test]
fn a_last_row_without_padding_is_no_problem() {
    let format = format(57, 33, PixelFormat::I420, Matrix::Bt601, Range::Full);
    let input = input(Layout::Nchw, Resize::Stretch);
    let fit = Fit::plan(&input, 57, 33, Some((40, 24))).unwrap();
    let mut preprocessor = Preprocessor::new(&input, &fit, &format).unwrap();
    let mut frame = frame(&format, 16);
    let wanted = preprocessor.run(&frame).unwrap();
    let pixels = frame.pixels.into_any().downcast::<OwnedPixels>().unwrap();
    frame.pixels = Box::new(ShortPlanes(*pixels, format.clone()));
    assert_eq!(preprocessor.run(&frame).unwrap().values, wanted.values);
}

#[test]
fn a_frame_of_another_format_is_refused() {
    let announced = format(64, 48, PixelFormat::I420, Matrix::Bt601, Range::Limited);
    let other = format(64, 48, PixelFormat::I420, Matrix::Bt709, Range::Limited);
    let input = input(Layout::Nchw, Resize::Stretch);
    let fit = Fit::plan(&input, 64, 48, None).unwrap();
    let error = Preprocessor::new(&input, &fit, &announced)
        .unwrap()
        .run(&frame(&other, 1))
        .unwrap_err();
    assert!(error.to_string().contains("Bt709"), "{error}");
}

#[test]
fn a_picture_in_rgb_lands_where_the_same_frame_would() {
    let input = input(Layout::Nchw, Resize::Letterbox { pad: 9 });
    let fit = Fit::plan(&input, 2, 2, Some((40, 24))).unwrap();
    let tensor = from_rgb(&input, &fit, &[[200, 100, 50]; 4].concat(), 2, 2).unwrap();
    let plane = fit.width as usize * fit.height as usize;
    let middle = plane / 2 + fit.width as usize / 2;
    assert_eq!([0, 1, 2].map(|c| tensor.values[c * plane + middle]), [200.0, 100.0, 50.0]);
    assert_eq!([0, 1, 2].map(|c| tensor.values[c * plane]), [9.0; 3]);
    assert!(
        from_rgb(&input, &fit, &[0; 11], 2, 2)
            .unwrap_err()
            .to_string()
            .contains("wanted 12")
    );
}
