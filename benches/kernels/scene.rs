//! What all are measured on: a frame of 1280x720, a class map and scores at the size that the built-in nets take for it.

use maskline::frame::{ClassMap, Frame, Matrix, OwnedPixels, PixelFormat, Pixels, Range, VideoFormat};
use maskline::testing::Brightness;
use maskline_models::classes::driving_classes;
use maskline_models::contract::{Contract, Size};
use maskline_models::{Fit, Input};
use std::sync::Arc;
use std::time::Instant;

pub const CLASSES: usize = 11;

pub struct Scene {
    pub frame: Frame,
    pub fit: Fit,
    pub contract: Contract,
    pub map: ClassMap,
}

impl Scene {
    pub fn new(pixels: PixelFormat) -> Self {
        let mut contract = Brightness::default().contract();
        contract.input.size = Size::Multiple {
            of: 32,
            width: 480,
            height: 352,
        };
        contract.heads[0].classes = driving_classes();
        let format = VideoFormat {
            width: 1280,
            height: 720,
            pixels,
            matrix: Matrix::Bt601, // the only one that OpenCV knows
            range: Range::Limited,
            rate: Some((25, 1)),
            pixel_aspect: (1, 1),
        };
        let fit = Fit::plan(&contract.input, format.width, format.height, None).expect("a size that every net takes");
        Self {
            frame: frame(format),
            map: driving_map(fit.width as usize, fit.height as usize),
            fit,
            contract,
        }
    }

    pub fn input(&self) -> &Input {
        &self.contract.input
    }

    /// Width and height of the net's input.
    pub fn size(&self) -> (usize, usize) {
        (self.fit.width as usize, self.fit.height as usize)
    }

    /// All planes behind each other without padding, as OpenCV wants them.
    pub fn packed(&self) -> Vec<u8> {
        (0..self.frame.format.pixels.planes())
            .flat_map(|p| self.frame.pixels.plane(p))
            .copied()
            .collect()
    }

    /// Scores that make every pixel's class hard to foresee; the class of the map wins.
    pub fn scores(&self) -> Vec<f32> {
        let pixels = self.map.ids.len();
        let score = |i: usize| (i * 7919 % 1009) as f32 / 1009.0;
        (0..CLASSES * pixels)
            .map(|i| score(i) + f32::from(u8::from(usize::from(self.map.ids[i % pixels]) == i / pixels)))
            .collect()
    }
}

/// Waves; no row padding, which OpenCV could not take.
fn frame(format: VideoFormat) -> Frame {
    let mut pixels = OwnedPixels::black(&format, 1);
    for plane in 0..format.pixels.planes() {
        let stride = pixels.stride(plane);
        for (i, byte) in pixels.plane_mut(plane).iter_mut().enumerate() {
            let (x, y) = ((i % stride) as f64 / 40.0, (i / stride) as f64 / 30.0);
            *byte = (128.0 + 60.0 * (x + (plane + 1) as f64 * y).sin()) as u8;
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

/// Sky, buildings, trees, road and a few cars.
fn driving_map(width: usize, height: usize) -> ClassMap {
    let ids = (0..width * height).map(|i| {
        let (x, y) = ((i % width) as f64 / width as f64, (i / width) as f64 / height as f64);
        let wave = 0.05 * (x * 40.0).sin();
        match () {
            () if y < 0.3 + wave => 0,
            () if y < 0.5 + wave && x < 0.4 => 1,
            () if y < 0.5 + wave => 5,
            () if (x * 7.0).fract() < 0.3 && y < 0.6 => 8,
            () if (x - 0.5).abs() < y - 0.4 => 3,
            () => 4,
        }
    });
    ClassMap {
        width: width as u32,
        height: height as u32,
        ids: ids.collect(),
    }
}
