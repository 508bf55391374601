//! The legend: the classes in the picture, each with its colour, in a corner.

use super::blend::apply_row;
use crate::color::rgb_to_ycbcr;
use crate::frame::{ClassMap, PixelFormat, Pixels, VideoFormat};
use anyhow::{Context, Result};
use maskline_models::{Class, Color};
use opencv::core::{CV_8UC1, Mat, MatTraitConst, MatTraitConstManual, Point, Scalar};
use opencv::imgproc::{FONT_HERSHEY_SIMPLEX, LINE_AA, get_text_size, put_text};

/// A class comes into the legend at this share of the picture.
const APPEARS: f64 = 0.002;

/// The most of the picture's height that the legend covers.
const MOST_HEIGHT: f64 = 0.4;

/// The least height of a line in pixels at which its letters can still be read.
const LEAST_LINE: usize = 12;

/// Rows for which the size of the letters leaves room, so that it stays the same while the first ones come in.
const USUAL_ROWS: usize = 11;

/// How much of the picture shows through the panel, of 256.
const PANEL_KEEP: u16 = 88;

/// Draws the legend. A class that was in it stays, so that rows are only ever added.
#[derive(Debug)]
pub(super) struct Legend {
    format: VideoFormat,
    /// In the order in which they are listed.
    classes: Vec<Class>,
    shown: Vec<bool>,
    panel: Option<Panel>,
}

/// A drawn legend: what it does to a rectangle of each plane.
#[derive(Debug)]
struct Panel {
    planes: Vec<PanelPlane>,
}

#[derive(Debug)]
struct PanelPlane {
    /// Bytes from the start of a row, and rows from the top.
    left: usize,
    top: usize,
    /// Bytes in a row of the panel.
    bytes: usize,
    keep: Vec<u16>,
    add: Vec<u16>,
}

impl Legend {
    pub(super) fn new(format: &VideoFormat, classes: Vec<Class>) -> Self {
        Self {
            format: format.clone(),
            shown: vec![false; classes.len()],
            classes,
            panel: None,
        }
    }

    pub(super) fn draw(&mut self, pixels: &mut dyn Pixels, map: &ClassMap) -> Result<()> {
        let mut counts = [0_u32; 256];
        for id in &map.ids {
            counts[usize::from(*id)] += 1;
        }
        let mut changed = false;
        for (class, shown) in self.classes.iter().zip(&mut self.shown) {
            let share = f64::from(counts[usize::from(class.id)]) / map.ids.len() as f64;
            if !*shown && share >= APPEARS {
                (*shown, changed) = (true, true);
            }
        }
        if changed {
            let shown: Vec<&Class> = self.classes.iter().zip(&self.shown).filter(|(_, s)| **s).map(|(c, _)| c).collect();
            let room = shown.len().max(self.classes.len().min(USUAL_ROWS));
            self.panel = panel(&self.format, &shown, room).context("cannot draw the legend")?;
        }
        if let Some(panel) = &self.panel {
            for (plane, part) in panel.planes.iter().enumerate() {
                let stride = pixels.stride(plane);
                let bytes = pixels.plane_mut(plane);
                for (row, (keep, add)) in part
                    .keep
                    .chunks_exact(part.bytes)
                    .zip(part.add.chunks_exact(part.bytes))
                    .enumerate()
                {
                    let start = (part.top + row) * stride + part.left;
                    apply_row(&mut bytes[start..start + part.bytes], keep, add);
                }
            }
        }
        Ok(())
    }
}

/// Sizes in pixels, all even so that chroma agrees.
struct Layout {
    line: usize,
    pad: usize,
    swatch: usize,
    font_scale: f64,
    thickness: i32,
}

impl Layout {
    /// For a legend with room for so many rows.
    fn new(frame_height: u32, room: usize) -> Result<Self> {
        // A line is 1/24 of the picture, less where many must share the height, and never too small to be read.
        // The padding takes a third of a line.
        let share = (f64::from(frame_height) * MOST_HEIGHT / (room as f64 + 0.34)) as usize;
        let line = (frame_height as usize / 24).max(18).min(share).max(LEAST_LINE) & !1;
        let thickness = if line >= 32 { 2 } else { 1 };
        let height = get_text_size("Ag", FONT_HERSHEY_SIMPLEX, 1.0, thickness, &mut 0)?.height;
        Ok(Self {
            line,
            pad: (line / 3).max(4) & !1,
            swatch: (line * 2 / 3) & !1,
            font_scale: 0.55 * line as f64 / f64::from(height),
            thickness,
        })
    }

    /// Lines that a picture of this height has room for.
    fn lines(&self, frame_height: u32) -> usize {
        ((f64::from(frame_height) * MOST_HEIGHT) as usize).saturating_sub(self.pad) / self.line
    }
}

/// What stands in each of at most `lines` lines, and the colour before it.
fn rows(classes: &[&Class], lines: usize) -> Vec<(String, Option<Color>)> {
    let named = if classes.len() <= lines {
        classes.len()
    } else {
        lines.saturating_sub(1)
    };
    let mut rows: Vec<_> = classes[..named].iter().map(|c| (c.name.clone(), Some(c.color))).collect();
    if named < classes.len() && lines > 0 {
        rows.push((format!("{} more", classes.len() - named), None));
    }
    rows
}

/// The panel for these classes; none if there are none or the picture is too small for one line. Classes for which there is
/// no line left are counted in the last one.
fn panel(format: &VideoFormat, classes: &[&Class], room: usize) -> Result<Option<Panel>> {
    let layout = Layout::new(format.height, room)?;
    let Layout { line, pad, swatch, .. } = layout;
    let (font, scale, thickness) = (FONT_HERSHEY_SIMPLEX, layout.font_scale, layout.thickness);
    let margin = pad;
    let space = |length: u32| (length as usize & !1).saturating_sub(2 * margin);
    let rows = rows(
        classes,
        layout.lines(format.height).min(space(format.height).saturating_sub(pad) / line),
    );
    let mut text_width = 0;
    for (text, _) in &rows {
        text_width = text_width.max(get_text_size(text, font, scale, thickness, &mut 0)?.width as usize);
    }
    let width = ((3 * pad + swatch + text_width).next_multiple_of(2)).min(space(format.width));
    let height = (rows.len() * line + pad).min(space(format.height));
    if rows.is_empty() || width < 2 * pad + swatch {
        return Ok(None);
    }
    let mut text = Mat::new_rows_cols_with_default(height as i32, width as i32, CV_8UC1, Scalar::all(0.0))?;
    // Per pixel: the class whose swatch covers it, if any.
    let mut swatches = vec![None; width * height];
    for (number, (name, color)) in rows.iter().enumerate() {
        let middle = pad / 2 + number * line + line / 2;
        let top = (middle - swatch / 2) & !1;
        for row in swatches.chunks_exact_mut(width).skip(top).take(swatch) {
            row[pad..pad + swatch].fill(*color);
        }
        let baseline = middle + (0.55 * line as f64 / 2.0).round() as usize;
        let at = Point::new((2 * pad + swatch) as i32, baseline as i32);
        put_text(&mut text, name, at, font, scale, Scalar::all(255.0), thickness, LINE_AA, false)?;
    }
    debug_assert!(text.is_continuous());
    let coverage = text.data_bytes()?;
    let ycbcr = |rgb| rgb_to_ycbcr(rgb, format.matrix, format.range);
    let (black, white) = (ycbcr([0; 3]), ycbcr([255; 3]));
    // What a pixel keeps of the picture and what is added, by component.
    let mix = |x: usize, y: usize, component: usize| -> (u16, u16) {
        if let Some(color) = swatches[y * width + x] {
            return (0, u16::from(ycbcr(color.rgb())[component]) * 256 + 128);
        }
        let text = u32::from(coverage[y * width + x]);
        let keep = u32::from(PANEL_KEEP) * (255 - text) / 255;
        let panel = (256 - u32::from(PANEL_KEEP)) * u32::from(black[component]) * (255 - text) / 255;
        let letters = 256 * u32::from(white[component]) * text / 255;
        (keep as u16, (panel + letters + 128) as u16)
    };
    let components: &[&[usize]] = match format.pixels {
        PixelFormat::I420 => &[&[0], &[1], &[2]],
        PixelFormat::Nv12 => &[&[0], &[1, 2]],
    };
    let planes = components.iter().enumerate().map(|(plane, components)| {
        let (step, columns, rows) = if plane == 0 {
            (1, width, height)
        } else {
            (2, width / 2, height / 2)
        };
        let (mut keep, mut add) = (Vec::new(), Vec::new());
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            for &component in *components {
                let (k, a) = mix(x * step, y * step, component);
                keep.push(k);
                add.push(a);
            }
        }
        PanelPlane {
            left: margin / step * components.len(),
            top: margin / step,
            bytes: columns * components.len(),
            keep,
            add,
        }
    });
    Ok(Some(Panel { planes: planes.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_rows_fit_wherever_they_can_be_read() {
        for height in [360, 480, 720, 1080, 2160] {
            let layout = Layout::new(height, USUAL_ROWS).unwrap();
            assert!(layout.lines(height) >= USUAL_ROWS, "{height}: {} lines", layout.lines(height));
            assert!(
                layout.line >= LEAST_LINE && layout.line <= height as usize / 20,
                "{height}: {}",
                layout.line
            );
        }
        assert_eq!(Layout::new(240, USUAL_ROWS).unwrap().line, LEAST_LINE);
    }

    #[test]
    fn what_has_no_line_is_counted_in_the_last() {
        let class = |name: &str| Class {
            id: 0,
            name: name.into(),
            color: "#ffffff".parse().unwrap(),
            ignore: false,
            background: false,
        };
        let (a, b, c) = (class("a"), class("b"), class("c"));
        let names = |lines| rows(&[&a, &b, &c], lines).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(3), ["a", "b", "c"]);
        assert_eq!(names(2), ["a", "2 more"]);
        assert_eq!(names(0), [""; 0]);
    }
}
