//! The same with the crate `yuv` and a resize of RGB.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use maskline::frame::{Frame, PixelFormat};
use maskline_models::fill::Filler;
use maskline_models::{Fit, Input};
use yuv::{YuvBiPlanarImage, YuvConversionMode, YuvError, YuvPlanarImage, YuvRange, YuvStandardMatrix};

const RANGE: YuvRange = YuvRange::Limited;
const MATRIX: YuvStandardMatrix = YuvStandardMatrix::Bt601;

/// The whole frame to RGB, then to the net's size, then into the tensor.
pub struct Preprocess {
    filler: Filler,
    resizer: Resizer,
    rgb: Vec<u8>,
    small: Image<'static>,
}

impl Preprocess {
    pub fn new(input: &Input, fit: &Fit) -> Self {
        Self {
            filler: Filler::new(input),
            resizer: Resizer::new(),
            rgb: Vec::new(),
            small: Image::new(fit.width, fit.height, PixelType::U8x3),
        }
    }

    pub fn run(&mut self, frame: &Frame, tensor: &mut [f32]) {
        let (width, height) = (frame.format.width, frame.format.height);
        self.rgb.resize(3 * width as usize * height as usize, 0);
        to_rgb(frame, &mut self.rgb).expect("planes of a whole frame");
        let large = ImageRef::new(width, height, &self.rgb, PixelType::U8x3).expect("bytes of a whole frame");
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.resizer
            .resize(&large, &mut self.small, &options)
            .expect("pictures of one kind");
        let (width, height) = (self.small.width() as usize, self.small.height() as usize);
        self.filler.fill(self.small.buffer(), width, height, tensor);
    }
}

fn to_rgb(frame: &Frame, rgb: &mut [u8]) -> Result<(), YuvError> {
    let (pixels, width, height) = (&frame.pixels, frame.format.width, frame.format.height);
    let stride = |plane| pixels.stride(plane) as u32;
    match frame.format.pixels {
        PixelFormat::I420 => {
            let planes = YuvPlanarImage {
                y_plane: pixels.plane(0),
                y_stride: stride(0),
                u_plane: pixels.plane(1),
                u_stride: stride(1),
                v_plane: pixels.plane(2),
                v_stride: stride(2),
                width,
                height,
            };
            yuv::yuv420_to_rgb(&planes, rgb, 3 * width, RANGE, MATRIX)
        }
        PixelFormat::Nv12 => {
            let planes = YuvBiPlanarImage {
                y_plane: pixels.plane(0),
                y_stride: stride(0),
                uv_plane: pixels.plane(1),
                uv_stride: stride(1),
                width,
                height,
            };
            yuv::yuv_nv12_to_rgb(&planes, rgb, 3 * width, RANGE, MATRIX, YuvConversionMode::Balanced)
        }
    }
}

/// Planes of one size to RGB.
pub fn planes_to_rgb([y, u, v]: [&[u8]; 3], (width, height): (usize, usize), rgb: &mut [u8]) -> Result<(), YuvError> {
    let stride = width as u32;
    let planes = YuvPlanarImage {
        y_plane: y,
        y_stride: stride,
        u_plane: u,
        u_stride: stride,
        v_plane: v,
        v_stride: stride,
        width: stride,
        height: height as u32,
    };
    yuv::yuv444_to_rgb(&planes, rgb, 3 * stride, RANGE, MATRIX)
}
