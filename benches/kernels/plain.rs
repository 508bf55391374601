//! The same in plain loops, one pixel at a time, as one would write it first.

use maskline::color::{rgb_to_ycbcr, ycbcr_to_rgb_reference};
use maskline::frame::{ClassMap, Frame, Matrix, PixelFormat, Range};
use maskline_models::{Class, Fit, Input};

/// First sample and weights of a triangle over `from` samples for each of `to` places.
type Axis = Vec<(usize, Vec<f64>)>;

fn axis(from: usize, to: usize) -> Axis {
    let scale = from as f64 / to as f64;
    let radius = scale.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - radius).floor().max(0.0) as usize;
            let last = ((centre + radius).ceil() as usize).min(from);
            let weight = |s: usize| (1.0 - ((s as f64 + 0.5 - centre) / radius).abs()).max(0.0);
            let sum: f64 = (first..last).map(weight).sum();
            (first, (first..last).map(|s| weight(s) / sum).collect())
        })
        .collect()
}

/// Every sample at its place by the triangle filter, then to RGB, then normalised.
pub fn preprocess(frame: &Frame, input: &Input, fit: &Fit) -> Vec<f32> {
    let (format, width, height) = (&frame.format, fit.width as usize, fit.height as usize);
    let axes = [0, 1].map(|plane| {
        let (columns, rows) = format.plane_size(plane);
        (axis(columns, width), axis(rows, height))
    });
    let mut tensor = vec![0.0; 3 * width * height];
    for y in 0..height {
        for x in 0..width {
            let ycbcr = std::array::from_fn(|kind| {
                let (columns, rows) = &axes[kind.min(1)];
                sample(frame, kind, &columns[x], &rows[y]).round() as u8
            });
            let rgb = ycbcr_to_rgb_reference(ycbcr, format.matrix, format.range);
            for c in 0..3 {
                let value = rgb[c].round() as f32 * input.scale;
                tensor[(c * height + y) * width + x] = (value - input.mean[c]) / input.std[c];
            }
        }
    }
    tensor
}

fn sample(frame: &Frame, kind: usize, (x, columns): &(usize, Vec<f64>), (y, rows): &(usize, Vec<f64>)) -> f64 {
    let (plane, step, offset) = match (frame.format.pixels, kind) {
        (PixelFormat::Nv12, 1 | 2) => (1, 2, kind - 1),
        _ => (kind, 1, 0),
    };
    let (bytes, stride) = (frame.pixels.plane(plane), frame.pixels.stride(plane));
    let mut sum = 0.0;
    for (dy, wy) in rows.iter().enumerate() {
        for (dx, wx) in columns.iter().enumerate() {
            sum += wy * wx * f64::from(bytes[(y + dy) * stride + (x + dx) * step + offset]);
        }
    }
    sum
}

pub fn to_rgb(ycbcr: [&[u8]; 3], matrix: Matrix, range: Range, rgb: &mut [u8]) {
    for (i, pixel) in rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        *pixel = ycbcr_to_rgb_reference(ycbcr.map(|p| p[i]), matrix, range).map(|v| v.round() as u8);
    }
}

/// The channel with the highest score of every pixel.
pub fn best_classes(scores: &[f32], classes: usize) -> Vec<u8> {
    let pixels = scores.len() / classes;
    (0..pixels)
        .map(|pixel| {
            let mut best = 0;
            for class in 1..classes {
                if scores[class * pixels + pixel] > scores[best * pixels + pixel] {
                    best = class;
                }
            }
            best as u8
        })
        .collect()
}

/// Class colours, interpolated between the pixels of the map and mixed into each byte.
pub fn overlay(frame: &mut Frame, map: &ClassMap, classes: &[Class], alpha: f64) {
    let format = frame.format.clone();
    let mut colours = [None; 256];
    for class in classes.iter().filter(|c| c.is_drawn()) {
        colours[usize::from(class.id)] = Some(rgb_to_ycbcr(class.color.rgb(), format.matrix, format.range).map(f64::from));
    }
    let place = |i: usize, length: usize, from: u32| {
        let middle = ((i as f64 + 0.5) * f64::from(from) / length as f64 - 0.5).clamp(0.0, f64::from(from - 1));
        let lower = middle as usize;
        (lower, (lower + 1).min(from as usize - 1), middle - lower as f64)
    };
    for plane in 0..format.pixels.planes() {
        let (width, height) = format.plane_size(plane);
        let components = if format.pixels == PixelFormat::Nv12 && plane == 1 { 2 } else { 1 };
        let stride = frame.pixels.stride(plane);
        let bytes = frame.pixels.plane_mut(plane);
        for y in 0..height {
            let (y0, y1, fy) = place(y, height, map.height);
            for x in 0..width {
                let (x0, x1, fx) = place(x, width, map.width);
                for component in 0..components {
                    let byte = &mut bytes[y * stride + x * components + component];
                    let old = f64::from(*byte);
                    let blended = |x: usize, y: usize| {
                        let colour = colours[usize::from(map.ids[y * map.width as usize + x])];
                        colour.map_or(old, |c| old * (1.0 - alpha) + c[plane + component] * alpha)
                    };
                    let row = |y: usize| blended(x0, y) * (1.0 - fx) + blended(x1, y) * fx;
                    *byte = (row(y0) * (1.0 - fy) + row(y1) * fy).round() as u8;
                }
            }
        }
    }
}

/// The class whose area each pixel's centre lies in.
pub fn scale_nearest(map: &ClassMap, width: u32, height: u32) -> Vec<u8> {
    let at = |i: u32, from: u32, to: u32| ((2 * i + 1) * from / (2 * to)) as usize;
    let mut ids = Vec::new();
    for y in 0..height {
        for x in 0..width {
            ids.push(map.ids[at(y, map.height, height) * map.width as usize + at(x, map.width, width)]);
        }
    }
    ids
}
