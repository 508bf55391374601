//! The same with OpenCV. Memory is kept between the calls, and OpenCV may use one thread like everyone here.

use maskline::color::rgb_to_ycbcr;
use maskline::frame::{ClassMap, Frame, PixelFormat};
use maskline_models::{Class, Fit, Input};
use opencv::Result;
use opencv::core::{
    CV_8U, CV_32F, Mat, MatTraitConst, MatTraitConstManual, Size, Vector, add_weighted_def, lut, merge, reduce_arg_max_def, split,
};
use opencv::imgproc::{COLOR_YUV2RGB_I420, COLOR_YUV2RGB_NV12, INTER_LINEAR, INTER_NEAREST, cvt_color_def, resize};

/// The whole frame to RGB, then to the net's size, then normalised plane by plane.
pub struct Preprocess {
    code: i32,
    /// INTER_AREA (antialiased) or INTER_LINEAR.
    pub scaling: i32,
    factor: [f64; 3],
    offset: [f64; 3],
    size: Size,
    rgb: Mat,
    small: Mat,
    planes: Vector<Mat>,
}

impl Preprocess {
    pub fn new(input: &Input, fit: &Fit, pixels: PixelFormat, scaling: i32) -> Self {
        Self {
            code: match pixels {
                PixelFormat::I420 => COLOR_YUV2RGB_I420,
                PixelFormat::Nv12 => COLOR_YUV2RGB_NV12,
            },
            scaling,
            factor: std::array::from_fn(|c| f64::from(input.scale / input.std[c])),
            offset: std::array::from_fn(|c| f64::from(-input.mean[c] / input.std[c])),
            size: Size::new(fit.width as i32, fit.height as i32),
            rgb: Mat::default(),
            small: Mat::default(),
            planes: Vector::new(),
        }
    }

    pub fn run(&mut self, packed: &[u8], (width, height): (i32, i32), tensor: &mut [f32]) -> Result<()> {
        let yuv = Mat::new_rows_cols_with_data(height * 3 / 2, width, packed)?;
        cvt_color_def(&yuv, &mut self.rgb, self.code)?;
        resize(&self.rgb, &mut self.small, self.size, 0.0, 0.0, self.scaling)?;
        split(&self.small, &mut self.planes)?;
        for (c, values) in tensor.chunks_exact_mut(self.size.area() as usize).enumerate() {
            let mut values = Mat::new_rows_cols_with_data_mut(self.size.height, self.size.width, values)?;
            self.planes
                .get(c)?
                .convert_to(&mut values, CV_32F, self.factor[c], self.offset[c])?;
        }
        Ok(())
    }
}

/// The channel with the highest score of every pixel.
pub fn best_classes(scores: &[f32], classes: usize) -> Result<Mat> {
    let scores = Mat::new_rows_cols_with_data(classes as i32, (scores.len() / classes) as i32, scores)?;
    let (mut best, mut ids) = (Mat::default(), Mat::default());
    reduce_arg_max_def(&scores, &mut best, 0)?;
    best.convert_to(&mut ids, CV_8U, 1.0, 0.0)?;
    Ok(ids)
}

/// For each plane: the map through a table of colours, resized, mixed in. Every class must be drawn.
pub struct Overlay {
    /// By plane: tables of its components.
    tables: Vec<Vec<Vec<u8>>>,
    alpha: f64,
    colours: Mat,
    pair: Mat,
    large: Mat,
    /// The planes that come out.
    pub mixed: Vec<Mat>,
}

impl Overlay {
    pub fn new(frame: &Frame, classes: &[Class], alpha: f64) -> Self {
        let format = &frame.format;
        let table = |component: usize| {
            let mut table = vec![0; 256];
            for class in classes {
                table[usize::from(class.id)] = rgb_to_ycbcr(class.color.rgb(), format.matrix, format.range)[component];
            }
            table
        };
        let planes: &[&[usize]] = match format.pixels {
            PixelFormat::I420 => &[&[0], &[1], &[2]],
            PixelFormat::Nv12 => &[&[0], &[1, 2]],
        };
        Self {
            tables: planes.iter().map(|p| p.iter().map(|c| table(*c)).collect()).collect(),
            alpha,
            colours: Mat::default(),
            pair: Mat::default(),
            large: Mat::default(),
            mixed: vec![Mat::default(); planes.len()],
        }
    }

    pub fn draw(&mut self, frame: &Frame, map: &ClassMap) -> Result<()> {
        let map = Mat::new_rows_cols_with_data(map.height as i32, map.width as i32, &map.ids[..])?;
        for plane in 0..self.tables.len() {
            let (width, height) = frame.format.plane_size(plane);
            let components = self.tables[plane].len();
            let mut parts = Vector::<Mat>::new();
            for table in &self.tables[plane] {
                let table = Mat::new_rows_cols_with_data(1, 256, &table[..])?;
                lut(&map, &table, &mut self.colours)?;
                if components > 1 {
                    parts.push(self.colours.try_clone()?);
                }
            }
            if components > 1 {
                merge(&parts, &mut self.pair)?;
            }
            let small = if components > 1 { &self.pair } else { &self.colours };
            let size = Size::new(width as i32, height as i32);
            resize(small, &mut self.large, size, 0.0, 0.0, INTER_LINEAR)?;
            let flat = self.large.reshape(1, height as i32)?;
            let bytes = Mat::new_rows_cols_with_data(height as i32, (width * components) as i32, frame.pixels.plane(plane))?;
            add_weighted_def(&bytes, 1.0 - self.alpha, &flat, self.alpha, 0.0, &mut self.mixed[plane])?;
        }
        Ok(())
    }
}

/// A class map at another size.
pub fn scale_nearest(map: &ClassMap, width: u32, height: u32, large: &mut Mat) -> Result<()> {
    let map = Mat::new_rows_cols_with_data(map.height as i32, map.width as i32, &map.ids[..])?;
    resize(&map, large, Size::new(width as i32, height as i32), 0.0, 0.0, INTER_NEAREST)
}

/// The bytes of a matrix of bytes.
pub fn bytes(mat: &Mat) -> Vec<u8> {
    mat.data_bytes().map(<[u8]>::to_vec).unwrap_or_default()
}
