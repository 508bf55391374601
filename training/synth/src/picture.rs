//! A rendered picture, its PNG files and its class shares.

use anyhow::{Context, Result};
use maskline_models::classes::{driving_classes, palette};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// A picture and the class id of every pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// RGB bytes, row by row without padding: `width * height * 3`.
    pub rgb: Vec<u8>,
    /// Class ids, row by row: `width * height`.
    pub labels: Vec<u8>,
}

impl Picture {
    /// Writes the picture as an RGB PNG.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_image(&self, path: &Path) -> Result<()> {
        write_png(path, self.width, self.height, png::ColorType::Rgb, None, &self.rgb)
    }

    /// Writes the labels as an indexed 8-bit PNG: pixel value = class id, in the palette of the driving classes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_labels(&self, path: &Path) -> Result<()> {
        let colors = palette(&driving_classes());
        let table: Vec<u8> = colors[..12].iter().flatten().copied().collect();
        write_png(path, self.width, self.height, png::ColorType::Indexed, Some(table), &self.labels)
    }

    /// The labels in their colours, as RGB bytes.
    pub fn colored_labels(&self) -> Vec<u8> {
        let colors = palette(&driving_classes());
        self.labels.iter().flat_map(|id| colors[usize::from(*id)]).collect()
    }
}

pub(crate) fn write_png(
    path: &Path,
    width: usize,
    height: usize,
    color: png::ColorType,
    palette: Option<Vec<u8>>,
    data: &[u8],
) -> Result<()> {
    let told = || format!("{}: cannot write the picture", path.display());
    let file = File::create(path).with_context(told)?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    if let Some(table) = palette {
        encoder.set_palette(table);
    }
    let mut writer = encoder.write_header().with_context(told)?;
    writer.write_image_data(data).with_context(told)?;
    writer.finish().with_context(told)
}

/// Pixel counts per class, summed over pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares {
    counts: [u64; 12],
}

impl Shares {
    /// Adds a picture's labels.
    pub fn add(&mut self, labels: &[u8]) {
        for id in labels {
            if let Some(count) = self.counts.get_mut(usize::from(*id)) {
                *count += 1;
            }
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Shares) {
        for (a, b) in self.counts.iter_mut().zip(other.counts) {
            *a += b;
        }
    }

    /// Share of each class id in all pixels, 0-1; all zero when nothing was added.
    pub fn shares(&self) -> [f64; 12] {
        let total = self.counts.iter().sum::<u64>().max(1) as f64;
        self.counts.map(|n| n as f64 / total)
    }

    /// One line for people: `sky 17.0 % building 23.1 % ...`.
    pub fn line(&self) -> String {
        let parts: Vec<String> = driving_classes()
            .iter()
            .zip(self.shares())
            .map(|(c, s)| format!("{} {:.1} %", c.name, s * 100.0))
            .collect();
        parts.join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one() {
        let mut shares = Shares::default();
        shares.add(&[0, 0, 3, 11]);
        let mut more = Shares::default();
        more.add(&[3, 3, 3, 3]);
        shares.merge(&more);
        assert_eq!(shares.shares()[3], 5.0 / 8.0);
        assert!((shares.shares().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(shares.line().contains("road 62.5 %"));
    }
}
