//! A sheet of samples with their labels beside them, to look at.

use crate::pairs::sample;
use crate::picture::write_png;
use crate::{Picture, SceneOptions, Shares};
use anyhow::Result;
use rayon::prelude::*;
use std::path::Path;

/// Writes a PNG of `columns` by `rows` samples; right of each one are its labels in colour. Gives the class shares.
///
/// # Errors
/// When the file cannot be written.
pub fn write_sheet(path: &Path, columns: usize, rows: usize, seed: u64, size: (usize, usize), options: &SceneOptions) -> Result<Shares> {
    let (width, height) = size;
    let pictures: Vec<Picture> = (0..columns * rows)
        .into_par_iter()
        .map(|index| sample(seed, index, width, height, options))
        .collect();
    let line = columns * width * 2 * 3;
    let mut sheet = vec![0u8; line * rows * height];
    let mut shares = Shares::default();
    for (index, picture) in pictures.iter().enumerate() {
        shares.add(&picture.labels);
        let (x, y) = (index % columns * width * 2 * 3, index / columns * height);
        for (part, pixels) in [&picture.rgb, &picture.colored_labels()].into_iter().enumerate() {
            for (row, bytes) in pixels.chunks_exact(width * 3).enumerate() {
                let at = (y + row) * line + x + part * width * 3;
                sheet[at..at + width * 3].copy_from_slice(bytes);
            }
        }
    }
    write_png(path, columns * width * 2, rows * height, png::ColorType::Rgb, None, &sheet)?;
    Ok(shares)
}
