//! Pictures, predictions and truth side by side.

use super::{draw, failed};
use crate::data::Sample;
use crate::metrics::IGNORE;
use anyhow::Result;
use maskline_models::Class;
use plotters::prelude::*;
use std::path::Path;

const HEAD: usize = 34;
const LEGEND: usize = 40;
const GAP: usize = 4;
const DARK: RGBColor = RGBColor(24, 24, 28);
const LIGHT: RGBColor = RGBColor(232, 232, 236);

/// Draws one sample a row: picture, prediction over the picture, prediction, truth. Pixels without a label are black. Each
/// sample comes with its predicted class numbers at its own size.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn sheet(rows: &[(&Sample, Vec<u8>)], classes: &[Class], path: &Path) -> Result<()> {
    let scored: Vec<&Class> = classes.iter().filter(|c| !c.ignore).collect();
    let colors: Vec<[u8; 3]> = scored.iter().map(|c| c.color.rgb()).collect();
    let cell = rows.iter().map(|(s, _)| s.width).max().unwrap_or(1) + GAP;
    let per_line = (4 * cell / 150).max(1);
    let legend = LEGEND * scored.len().div_ceil(per_line);
    let heights: usize = rows.iter().map(|(s, _)| s.height + GAP).sum();
    let size = ((4 * cell) as u32, (HEAD + legend + heights) as u32);
    draw(path, size, DARK, |area| {
        let style = ("sans-serif", 18).into_font().color(&LIGHT);
        for (i, title) in ["picture", "prediction over it", "prediction", "truth (black: no label)"]
            .iter()
            .enumerate()
        {
            area.draw_text(title, &style, ((i * cell + 8) as i32, 8)).map_err(|e| failed(&e))?;
        }
        for (i, class) in scored.iter().enumerate() {
            let (x, y) = ((i % per_line * 150 + 8) as i32, (HEAD + i / per_line * LEGEND) as i32);
            let [r, g, b] = class.color.rgb();
            let patch = Rectangle::new([(x, y + 4), (x + 22, y + 26)], RGBColor(r, g, b).filled());
            area.draw(&patch).map_err(|e| failed(&e))?;
            area.draw_text(&class.name, &style, (x + 30, y + 6)).map_err(|e| failed(&e))?;
        }
        let mut top = HEAD + legend;
        for (sample, ids) in rows {
            let paint = |id: u8| {
                if id == IGNORE {
                    [0; 3]
                } else {
                    colors.get(usize::from(id)).copied().unwrap_or([255; 3])
                }
            };
            let flat = |ids: &[u8]| ids.iter().flat_map(|id| paint(*id)).collect::<Vec<u8>>();
            let (said, truth) = (flat(ids), flat(&sample.labels));
            let blended: Vec<u8> = sample
                .rgb
                .iter()
                .zip(&said)
                .map(|(a, b)| ((u16::from(*a) + u16::from(*b)) / 2) as u8)
                .collect();
            for (column, rgb) in [&sample.rgb, &blended, &said, &truth].into_iter().enumerate() {
                let picture = BitMapElement::with_owned_buffer(
                    ((column * cell) as i32, top as i32),
                    (sample.width as u32, sample.height as u32),
                    rgb.clone(),
                );
                if let Some(picture) = picture {
                    area.draw(&picture).map_err(|e| failed(&e))?;
                }
            }
            top += sample.height + GAP;
        }
        Ok(())
    })
}
