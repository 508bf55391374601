//! Pictures, predictions and truth side by side.

use super::{Area, draw, failed};
use crate::data::Sample;
use crate::eval::Frame;
use crate::metrics::IGNORE;
use anyhow::Result;
use maskline_models::Class;
use plotters::prelude::*;
use std::path::Path;

pub(super) const HEAD: usize = 34;
pub(super) const LEGEND: usize = 40;
pub(super) const CAPTION: usize = 30;
pub(super) const GAP: usize = 4;
pub(super) const DARK: RGBColor = RGBColor(24, 24, 28);
const LIGHT: RGBColor = RGBColor(232, 232, 236);
/// Pixels that are wrong.
const WRONG: [u8; 3] = [230, 40, 40];

/// One line of a sheet: pictures of one size.
struct Row<const N: usize> {
    caption: Option<String>,
    size: (usize, usize),
    pictures: [Vec<u8>; N],
}

/// Draws one sample a row: picture, prediction over the picture, prediction, truth. Pixels without a label are black. Each
/// sample comes with its predicted class numbers at its own size.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn sheet(rows: &[(&Sample, Vec<u8>)], classes: &[Class], path: &Path) -> Result<()> {
    let colors = colors(classes);
    let rows: Vec<Row<4>> = rows
        .iter()
        .map(|(sample, ids)| {
            let (said, truth) = (flat(ids, &colors), flat(&sample.labels, &colors));
            Row {
                caption: None,
                size: (sample.width, sample.height),
                pictures: [sample.rgb.clone(), blended(&sample.rgb, &said), said, truth],
            }
        })
        .collect();
    let titles = ["picture", "prediction over it", "prediction", "truth (black: no label)"];
    grid(&rows, titles, classes, path)
}

/// Draws one frame a row: picture, truth, prediction, and the picture in grey with its wrong pixels in red. Pixels without a
/// label are black.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn worst(frames: &[Frame], classes: &[Class], path: &Path) -> Result<()> {
    let colors = colors(classes);
    let row = |frame: &Frame| {
        let sample = &frame.sample;
        Row {
            caption: Some(format!(
                "{}: mIoU {:.1} %, pixel accuracy {:.1} %",
                frame.name,
                100.0 * frame.miou,
                100.0 * frame.pixel_accuracy
            )),
            size: (sample.width, sample.height),
            pictures: [
                sample.rgb.clone(),
                flat(&sample.labels, &colors),
                flat(&frame.prediction, &colors),
                errors(sample, &frame.prediction),
            ],
        }
    };
    let rows: Vec<Row<4>> = frames.iter().map(row).collect();
    grid(&rows, ["picture", "truth (black: no label)", "prediction", "errors"], classes, path)
}

/// Draws one sample a row: picture, labels over the picture, labels. Pixels without a label are black. Each comes with a caption.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn samples(samples: &[(String, Sample)], classes: &[Class], path: &Path) -> Result<()> {
    let colors = colors(classes);
    let row = |(caption, sample): &(String, Sample)| {
        let labels = flat(&sample.labels, &colors);
        Row {
            caption: Some(caption.clone()),
            size: (sample.width, sample.height),
            pictures: [sample.rgb.clone(), blended(&sample.rgb, &labels), labels],
        }
    };
    let rows: Vec<Row<3>> = samples.iter().map(row).collect();
    grid(&rows, ["picture", "labels over it", "labels (black: none)"], classes, path)
}

pub(super) fn colors(classes: &[Class]) -> Vec<[u8; 3]> {
    classes.iter().filter(|c| !c.ignore).map(|c| c.color.rgb()).collect()
}

pub(super) fn flat(ids: &[u8], colors: &[[u8; 3]]) -> Vec<u8> {
    let paint = |id: &u8| match *id {
        IGNORE => [0; 3],
        id => colors.get(usize::from(id)).copied().unwrap_or([255; 3]),
    };
    ids.iter().flat_map(paint).collect()
}

pub(super) fn blended(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| ((u16::from(*a) + u16::from(*b)) / 2) as u8).collect()
}

pub(super) fn errors(sample: &Sample, prediction: &[u8]) -> Vec<u8> {
    let pixels = sample.rgb.chunks_exact(3).zip(sample.labels.iter().zip(prediction));
    pixels
        .flat_map(|(rgb, (truth, said))| match *truth {
            IGNORE => [0; 3],
            truth if truth != *said => WRONG,
            _ => [(rgb.iter().map(|v| u16::from(*v)).sum::<u16>() / 6 + 40) as u8; 3],
        })
        .collect()
}

fn grid<const N: usize>(rows: &[Row<N>], titles: [&str; N], classes: &[Class], path: &Path) -> Result<()> {
    let scored: Vec<&Class> = classes.iter().filter(|c| !c.ignore).collect();
    let cell = rows.iter().map(|row| row.size.0).max().unwrap_or(1) + GAP;
    let high = LEGEND * scored.len().div_ceil(per_line(N * cell));
    let height = |row: &Row<N>| row.size.1 + GAP + row.caption.as_ref().map_or(0, |_| CAPTION);
    let size = ((N * cell) as u32, (HEAD + high + rows.iter().map(height).sum::<usize>()) as u32);
    draw(path, size, DARK, |area| {
        for (i, title) in titles.iter().enumerate() {
            text(area, title, (i * cell + 8, 8))?;
        }
        legend(area, &scored, (N * cell, HEAD))?;
        let mut top = HEAD + high;
        for row in rows {
            if let Some(caption) = &row.caption {
                text(area, caption, (8, top + 6))?;
            }
            let (place, size) = (top + height(row) - row.size.1 - GAP, (row.size.0 as u32, row.size.1 as u32));
            for (column, rgb) in row.pictures.iter().enumerate() {
                let at = ((column * cell) as i32, place as i32);
                if let Some(picture) = BitMapElement::with_owned_buffer(at, size, rgb.clone()) {
                    area.draw(&picture).map_err(|e| failed(&e))?;
                }
            }
            top += height(row);
        }
        Ok(())
    })
}

/// Classes that stand side by side in a legend of that width.
pub(super) fn per_line(width: usize) -> usize {
    (width / 150).max(1)
}

/// Colours and names of classes, from `top` on over that width.
pub(super) fn legend(area: &Area<'_>, classes: &[&Class], (width, top): (usize, usize)) -> Result<()> {
    for (i, class) in classes.iter().enumerate() {
        let (x, y) = (i % per_line(width) * 150 + 8, top + i / per_line(width) * LEGEND);
        let [r, g, b] = class.color.rgb();
        let corners = [(x as i32, y as i32 + 4), (x as i32 + 22, y as i32 + 26)];
        let patch = Rectangle::new(corners, RGBColor(r, g, b).filled());
        area.draw(&patch).map_err(|e| failed(&e))?;
        text(area, &class.name, (x + 30, y + 6))?;
    }
    Ok(())
}

pub(super) fn text(area: &Area<'_>, text: &str, (x, y): (usize, usize)) -> Result<()> {
    let style = ("sans-serif", 18).into_font().color(&LIGHT);
    area.draw_text(text, &style, (x as i32, y as i32)).map_err(|e| failed(&e))
}
