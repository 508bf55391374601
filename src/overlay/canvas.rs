//! Drawings over the picture: OpenCV draws them once, and what they do to each plane is kept.

use super::blend::apply_row;
use crate::color::rgb_to_ycbcr;
use crate::frame::{PixelFormat, Pixels, VideoFormat};
use anyhow::Result;
use opencv::core::{CV_8UC1, CV_8UC3, Mat, MatTraitConst, MatTraitConstManual, Point, Rect, Scalar, Vec3b};
use opencv::imgproc::{FILLED, FONT_HERSHEY_SIMPLEX, LINE_8, LINE_AA, get_text_size, put_text, rectangle};

pub(super) const WHITE: [u8; 3] = [255; 3];
pub(super) const RED: [u8; 3] = [255, 48, 32];
pub(super) const BLACK: [u8; 3] = [0; 3];

/// What a finished drawing does to the picture.
#[derive(Debug)]
pub(super) struct Drawing(Vec<Span>);

/// Bytes of one row of a plane: `(byte * keep + add) >> 8`.
#[derive(Debug)]
struct Span {
    plane: usize,
    row: usize,
    /// Bytes from the start of the row.
    left: usize,
    keep: Vec<u16>,
    add: Vec<u16>,
}

impl Drawing {
    /// What was drawn, for pictures of this format; the canvas has its size.
    pub(super) fn of(format: &VideoFormat, canvas: &Canvas) -> Self {
        Self(spans(format, canvas))
    }

    pub(super) fn draw(&self, pixels: &mut dyn Pixels) {
        for span in &self.0 {
            let start = span.row * pixels.stride(span.plane) + span.left;
            apply_row(&mut pixels.plane_mut(span.plane)[start..][..span.keep.len()], &span.keep, &span.add);
        }
    }
}

/// A drawing of the frame's size: RGB colours, and how much of the picture they cover, of 255.
pub(super) struct Canvas {
    pub(super) colors: Mat,
    pub(super) cover: Mat,
}

/// A panel behind a line of text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    /// Height in pixels.
    pub height: i32,
    pub color: [u8; 3],
    /// How much of the picture it covers, of 255.
    pub cover: f64,
}

impl Canvas {
    /// A canvas on which nothing is drawn.
    ///
    /// # Errors
    /// If OpenCV has no memory.
    pub(super) fn blank(format: &VideoFormat) -> Result<Self> {
        let (width, height) = (format.width as i32, format.height as i32);
        Ok(Self {
            colors: Mat::new_rows_cols_with_default(height, width, CV_8UC3, scalar(BLACK))?,
            cover: Mat::new_rows_cols_with_default(height, width, CV_8UC1, Scalar::all(0.0))?,
        })
    }

    /// Writes white text on a panel, as much of it as fits. `place` says where the upper left corner of a panel of this
    /// width and height should be; it is moved so that all of it is in the picture.
    ///
    /// # Errors
    /// If OpenCV cannot draw.
    pub(super) fn text(&mut self, text: &str, panel: Panel, place: impl FnOnce(i32, i32) -> (i32, i32)) -> Result<()> {
        let (width, height) = (self.cover.cols(), self.cover.rows());
        let line = panel.height;
        let (font, weight) = (FONT_HERSHEY_SIMPLEX, if line >= 32 { 2 } else { 1 });
        let letters = get_text_size("Ag", font, 1.0, weight, &mut 0)?.height;
        let scale = 0.55 * f64::from(line) / f64::from(letters);
        let pad = line / 4;
        let wide = |text: &str| get_text_size(text, font, scale, weight, &mut 0).map(|size| size.width + 2 * pad);
        let text = shortened(text, |text| Ok(wide(text)? <= width))?;
        let size = (wide(&text)?.min(width), line.min(height));
        let (x, y) = place(size.0, size.1);
        let area = Rect::new(x.clamp(0, width - size.0), y.clamp(0, height - size.1), size.0, size.1);
        rectangle(&mut self.colors, area, scalar(panel.color), FILLED, LINE_8, 0)?;
        rectangle(&mut self.cover, area, Scalar::all(panel.cover), FILLED, LINE_8, 0)?;
        let at = Point::new(area.x + pad, area.y + (f64::from(line) * 0.775) as i32);
        put_text(&mut self.colors, &text, at, font, scale, scalar(WHITE), weight, LINE_AA, false)?;
        put_text(&mut self.cover, &text, at, font, scale, Scalar::all(255.0), weight, LINE_AA, false)?;
        Ok(())
    }
}

pub(super) fn scalar([r, g, b]: [u8; 3]) -> Scalar {
    Scalar::from((f64::from(r), f64::from(g), f64::from(b)))
}

/// What OpenCV's letters can write of a name, as much of it as fits: other characters become question marks.
fn shortened(name: &str, fits: impl Fn(&str) -> Result<bool>) -> Result<String> {
    let known = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    // More than this never fits, and each try costs its length.
    let mut text: String = name.chars().map(known).take(500).collect();
    if text.len() == name.chars().count() && fits(&text)? {
        return Ok(text);
    }
    while !text.is_empty() && !fits(&format!("{text}.."))? {
        text.pop();
    }
    Ok(text + "..")
}

/// The parts of all planes that a drawing changes. A chroma sample gets the mean of the pixels it stands for.
fn spans(format: &VideoFormat, canvas: &Canvas) -> Vec<Span> {
    let components: &[&[usize]] = match format.pixels {
        PixelFormat::I420 => &[&[0], &[1], &[2]],
        PixelFormat::Nv12 => &[&[0], &[1, 2]],
    };
    let mut spans = Vec::new();
    for (plane, components) in components.iter().enumerate() {
        let (columns, rows) = format.plane_size(plane);
        let step = if plane == 0 { 1 } else { 2 };
        for row in 0..rows {
            let mut open: Option<Span> = None;
            for column in 0..columns {
                let mixed = mix(format, canvas, (column * step, row * step), step);
                let Some((keep, ycbcr)) = mixed else {
                    spans.extend(open.take());
                    continue;
                };
                let span = open.get_or_insert_with(|| Span {
                    plane,
                    row,
                    left: column * components.len(),
                    keep: Vec::new(),
                    add: Vec::new(),
                });
                for &component in *components {
                    span.keep.push(keep);
                    span.add.push(ycbcr[component]);
                }
            }
            spans.extend(open);
        }
    }
    spans
}

/// What `step` x `step` pixels keep of the picture and what is added to each component; nothing where nothing is drawn.
fn mix(format: &VideoFormat, canvas: &Canvas, (x, y): (usize, usize), step: usize) -> Option<(u16, [u16; 3])> {
    let (width, height) = (format.width as usize, format.height as usize);
    let (cover, colors) = (canvas.cover.data_bytes().ok()?, canvas.colors.data_typed::<Vec3b>().ok()?);
    let (mut covered, mut sum, mut pixels) = (0_u32, [0_u32; 3], 0);
    for y in y..(y + step).min(height) {
        for x in x..(x + step).min(width) {
            let at = y * width + x;
            pixels += 1;
            let share = u32::from(cover[at]);
            if share > 0 {
                covered += share;
                let ycbcr = rgb_to_ycbcr(colors[at].0, format.matrix, format.range);
                (0..3).for_each(|c| sum[c] += share * u32::from(ycbcr[c]));
            }
        }
    }
    if covered == 0 {
        return None;
    }
    let keep = 256 - 256 * covered / (255 * pixels);
    // So much of the colour as the picture leaves, with a half for rounding.
    let add = |sum: u32| (sum * (256 - keep) / covered + 128) as u16;
    Some((keep as u16, sum.map(add)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_what_fits_and_what_can_be_written() {
        let all = |_: &str| Ok(true);
        assert_eq!(shortened("Straße 🚗", all).unwrap(), "Stra?e ?");
        assert_eq!(shortened("crossing", |t| Ok(t.len() <= 6)).unwrap(), "cros..");
        assert_eq!(shortened("crossing", |_| Ok(false)).unwrap(), "..");
    }
}
