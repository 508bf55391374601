//! RGB rows into the model's input tensor: layout, colour order and normalisation in one pass.

use crate::contract::{Channels, Input, Layout};

/// Turns 8-bit RGB rows at the model's size into the input tensor.
#[derive(Debug, Clone)]
pub struct Filler {
    layout: Layout,
    /// For each channel of the tensor: the byte of an RGB pixel that it comes from.
    source: [usize; 3],
    factor: [f32; 3],
    offset: [f32; 3],
}

impl Filler {
    /// A filler for this input. `(p * scale - mean) / std` is computed as `p * factor + offset`.
    pub fn new(input: &Input) -> Self {
        let source = source_bytes(input.channels);
        let factor = std::array::from_fn(|c| input.scale / input.std[c]);
        let offset = std::array::from_fn(|c| -input.mean[c] / input.std[c]);
        Self {
            layout: input.layout,
            source,
            factor,
            offset,
        }
    }

    /// Fills row `y` of a `width` x `height` tensor (3 * width * height values, batch 1) from `3 * width` RGB bytes.
    ///
    /// # Panics
    /// If a slice is not of that length or `y` is not below `height`.
    pub fn fill_row(&self, rgb: &[u8], y: usize, width: usize, height: usize, tensor: &mut [f32]) {
        assert!(
            rgb.len() == 3 * width && tensor.len() == 3 * width * height && y < height,
            "row, tensor and size agree"
        );
        match self.layout {
            Layout::Nchw => {
                for (c, plane) in tensor.chunks_exact_mut(width * height).enumerate() {
                    let (byte, factor, offset) = (self.source[c], self.factor[c], self.offset[c]);
                    let row = &mut plane[y * width..][..width];
                    for (value, pixel) in row.iter_mut().zip(rgb.as_chunks::<3>().0) {
                        *value = f32::from(pixel[byte]) * factor + offset;
                    }
                }
            }
            Layout::Nhwc => {
                let row = &mut tensor[y * width * 3..][..width * 3];
                for (values, pixel) in row.as_chunks_mut::<3>().0.iter_mut().zip(rgb.as_chunks::<3>().0) {
                    for c in 0..3 {
                        values[c] = f32::from(pixel[self.source[c]]) * self.factor[c] + self.offset[c];
                    }
                }
            }
        }
    }

    /// The same from a row of red, one of green and one of blue bytes, `width` each: what a decoder's planes convert to
    /// fastest.
    ///
    /// # Panics
    /// If a slice is not of that length or `y` is not below `height`.
    pub fn fill_planar_row(&self, rgb: [&[u8]; 3], y: usize, width: usize, height: usize, tensor: &mut [f32]) {
        assert!(
            rgb.iter().all(|row| row.len() == width) && tensor.len() == 3 * width * height && y < height,
            "rows, tensor and size agree"
        );
        for c in 0..3 {
            let (row, factor, offset) = (rgb[self.source[c]], self.factor[c], self.offset[c]);
            match self.layout {
                Layout::Nchw => {
                    let values = &mut tensor[(c * height + y) * width..][..width];
                    for (value, &pixel) in values.iter_mut().zip(row) {
                        *value = f32::from(pixel) * factor + offset;
                    }
                }
                Layout::Nhwc => {
                    let values = tensor[y * width * 3..][..width * 3].as_chunks_mut::<3>().0;
                    for (value, &pixel) in values.iter_mut().zip(row) {
                        value[c] = f32::from(pixel) * factor + offset;
                    }
                }
            }
        }
    }

    /// Fills a whole tensor from `3 * width * height` RGB bytes without row padding.
    ///
    /// # Panics
    /// If a slice is not of that length.
    pub fn fill(&self, rgb: &[u8], width: usize, height: usize, tensor: &mut [f32]) {
        assert_eq!(rgb.len(), 3 * width * height, "picture and size agree");
        for (y, row) in rgb.chunks_exact(3 * width).enumerate() {
            self.fill_row(row, y, width, height, tensor);
        }
    }
}

fn source_bytes(channels: Channels) -> [usize; 3] {
    match channels {
        Channels::Rgb => [0, 1, 2],
        Channels::Bgr => [2, 1, 0],
    }
}

/// What [`Filler::fill`] must agree with: the contract's formula, one value at a time in double precision.
pub fn fill_reference(input: &Input, rgb: &[u8], width: usize, height: usize) -> Vec<f32> {
    let mut tensor = vec![0.0; 3 * width * height];
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let pixel = f64::from(rgb[(y * width + x) * 3 + source_bytes(input.channels)[c]]);
                let value = (pixel * f64::from(input.scale) - f64::from(input.mean[c])) / f64::from(input.std[c]);
                let at = match input.layout {
                    Layout::Nchw => (c * height + y) * width + x,
                    Layout::Nhwc => (y * width + x) * 3 + c,
                };
                tensor[at] = value as f32;
            }
        }
    }
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::tests::sample;

    #[test]
    fn the_filler_agrees_with_the_contracts_formula() {
        let (width, height) = (13, 5);
        let rgb: Vec<u8> = (0..3 * width * height).map(|i| (i * 89 % 256) as u8).collect();
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for channels in [Channels::Rgb, Channels::Bgr] {
                let input = Input {
                    layout,
                    channels,
                    ..sample().input
                };
                let mut tensor = vec![0.0; rgb.len()];
                Filler::new(&input).fill(&rgb, width, height, &mut tensor);
                let wanted = fill_reference(&input, &rgb, width, height);
                let worst = tensor.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-6, "{layout:?} {channels:?}: {worst}");
                let mut planar = vec![0.0; rgb.len()];
                for y in 0..height {
                    let row = &rgb[y * 3 * width..][..3 * width];
                    let colors: [Vec<u8>; 3] = std::array::from_fn(|c| row.iter().skip(c).step_by(3).copied().collect());
                    Filler::new(&input).fill_planar_row(colors.each_ref().map(Vec::as_slice), y, width, height, &mut planar);
                }
                assert_eq!(planar, tensor, "{layout:?} {channels:?}");
            }
        }
    }

    #[test]
    fn blue_first_puts_blue_first() {
        let input = Input {
            channels: Channels::Bgr,
            scale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            ..sample().input
        };
        let mut tensor = vec![0.0; 3];
        Filler::new(&input).fill(&[10, 20, 30], 1, 1, &mut tensor);
        assert_eq!(tensor, [30.0, 20.0, 10.0]);
    }
}
