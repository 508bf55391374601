//! Zones over the picture: outline and name, thin and light while no rule is on, thick and red when one is.

use super::blend::apply_row;
use crate::color::rgb_to_ycbcr;
use crate::frame::{PixelFormat, Pixels, VideoFormat};
use anyhow::Result;
use opencv::core::{CV_8UC1, CV_8UC3, Mat, MatTraitConst, MatTraitConstManual, Point, Rect, Scalar, Vec3b, Vector};
use opencv::imgproc::{FILLED, FONT_HERSHEY_SIMPLEX, LINE_8, LINE_AA, get_text_size, polylines, put_text, rectangle};

const WHITE: [u8; 3] = [255; 3];
const RED: [u8; 3] = [255, 48, 32];
const BLACK: [u8; 3] = [0; 3];

/// How much of the picture the panel behind a name covers while no rule is on, of 255.
const PANEL: f64 = 168.0;

/// What a drawn zone does to the picture.
#[derive(Debug)]
pub(super) struct ZoneMark {
    /// While no rule is on, and when one is.
    looks: [Vec<Span>; 2],
}

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

impl ZoneMark {
    /// A zone of this name with corners in shares (0-1) of the frame.
    ///
    /// # Errors
    /// If OpenCV cannot draw.
    pub(super) fn new(format: &VideoFormat, name: &str, polygon: &[[f64; 2]]) -> Result<Self> {
        let look = |on| -> Result<Vec<Span>> { Ok(spans(format, &Canvas::draw(format, name, polygon, on)?)) };
        Ok(Self {
            looks: [look(false)?, look(true)?],
        })
    }

    pub(super) fn draw(&self, pixels: &mut dyn Pixels, on: bool) {
        for span in &self.looks[usize::from(on)] {
            let start = span.row * pixels.stride(span.plane) + span.left;
            apply_row(&mut pixels.plane_mut(span.plane)[start..][..span.keep.len()], &span.keep, &span.add);
        }
    }
}

/// A drawing of the frame's size: RGB colours, and how much of the picture they cover, of 255.
struct Canvas {
    colors: Mat,
    cover: Mat,
}

impl Canvas {
    fn draw(format: &VideoFormat, name: &str, polygon: &[[f64; 2]], on: bool) -> Result<Self> {
        let (width, height) = (format.width as i32, format.height as i32);
        let mut canvas = Self {
            colors: Mat::new_rows_cols_with_default(height, width, CV_8UC3, scalar(BLACK))?,
            cover: Mat::new_rows_cols_with_default(height, width, CV_8UC1, Scalar::all(0.0))?,
        };
        let unit = (height / 360).max(1);
        let (color, thickness) = if on { (RED, 4 * unit) } else { (WHITE, unit) };
        let place = |share: f64, length: i32| ((share * f64::from(length)) as i32).clamp(0, length - 1);
        let corners = polygon.iter().map(|[x, y]| Point::new(place(*x, width), place(*y, height)));
        let corners: Vector<Point> = corners.collect();
        // A dark rim keeps the line visible on whatever lies under it.
        polylines(
            &mut canvas.cover,
            &corners,
            true,
            Scalar::all(255.0),
            thickness + 2 * unit,
            LINE_AA,
            0,
        )?;
        polylines(&mut canvas.colors, &corners, true, scalar(color), thickness, LINE_AA, 0)?;
        canvas.label(name, &corners, unit, on)?;
        Ok(canvas)
    }

    /// Writes the name above the highest corner, or below it where there is no room.
    fn label(&mut self, name: &str, corners: &Vector<Point>, unit: i32, on: bool) -> Result<()> {
        let (width, height) = (self.cover.cols(), self.cover.rows());
        let line = (height / 28).max(14);
        let (font, weight) = (FONT_HERSHEY_SIMPLEX, if line >= 32 { 2 } else { 1 });
        let letters = get_text_size("Ag", font, 1.0, weight, &mut 0)?.height;
        let scale = 0.55 * f64::from(line) / f64::from(letters);
        let pad = line / 4;
        let wide = |text: &str| get_text_size(text, font, scale, weight, &mut 0).map(|size| size.width + 2 * pad);
        let text = shortened(name, |text| Ok(wide(text)? <= width))?;
        let size = (wide(&text)?.min(width), line.min(height));
        let top = corners.iter().min_by_key(|p| (p.y, p.x)).unwrap_or_default();
        let above = top.y - 3 * unit - size.1;
        let y = if above >= 0 { above } else { top.y + 3 * unit };
        let panel = Rect::new(top.x.min(width - size.0), y.clamp(0, height - size.1), size.0, size.1);
        let (color, cover) = if on { (RED, 255.0) } else { (BLACK, PANEL) };
        rectangle(&mut self.colors, panel, scalar(color), FILLED, LINE_8, 0)?;
        rectangle(&mut self.cover, panel, Scalar::all(cover), FILLED, LINE_8, 0)?;
        let at = Point::new(panel.x + pad, panel.y + (f64::from(line) * 0.775) as i32);
        put_text(&mut self.colors, &text, at, font, scale, scalar(WHITE), weight, LINE_AA, false)?;
        put_text(&mut self.cover, &text, at, font, scale, Scalar::all(255.0), weight, LINE_AA, false)?;
        Ok(())
    }
}

fn scalar([r, g, b]: [u8; 3]) -> Scalar {
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
    use crate::frame::{Matrix, OwnedPixels, Range};

    fn format(width: u32, height: u32, pixels: PixelFormat) -> VideoFormat {
        VideoFormat {
            width,
            height,
            pixels,
            matrix: Matrix::Bt709,
            range: Range::Limited,
            rate: None,
            pixel_aspect: (1, 1),
        }
    }

    const SQUARE: [[f64; 2]; 4] = [[0.25, 0.5], [0.75, 0.5], [0.75, 0.9], [0.25, 0.9]];

    /// Planes after the zone was drawn on black, row by row without padding, chroma as Cb and Cr planes.
    fn drawn(format: &VideoFormat, name: &str, polygon: &[[f64; 2]], on: bool) -> [Vec<u8>; 3] {
        let mut pixels = OwnedPixels::black(format, 64);
        ZoneMark::new(format, name, polygon).unwrap().draw(&mut pixels, on);
        let rows = |plane: usize, skip: usize, step: usize| {
            let (columns, rows) = format.plane_size(plane);
            let row = |y: usize| &pixels.plane(plane)[y * pixels.stride(plane)..];
            (0..rows)
                .flat_map(|y| (0..columns).map(move |x| (x, y)))
                .map(|(x, y)| row(y)[x * step + skip])
                .collect::<Vec<_>>()
        };
        match format.pixels {
            PixelFormat::I420 => [rows(0, 0, 1), rows(1, 0, 1), rows(2, 0, 1)],
            PixelFormat::Nv12 => [rows(0, 0, 1), rows(1, 0, 2), rows(1, 1, 2)],
        }
    }

    #[test]
    fn a_zone_is_white_and_thin_until_a_rule_is_on_then_red_and_thick() {
        let format = format(640, 360, PixelFormat::I420);
        let [off, on] = [false, true].map(|on| drawn(&format, "lane", &SQUARE, on));
        let wide = |planes: &[Vec<u8>; 3]| (300..350).filter(|y| planes[0][y * 640 + 320] > 40).count();
        assert!(wide(&off) >= 1 && wide(&on) >= wide(&off) + 2, "{} {}", wide(&off), wide(&on));
        // In the middle of the lower edge.
        let (x, y) = (320, (0.9 * 360.0) as usize);
        let at = |planes: &[Vec<u8>; 3]| (planes[0][y * 640 + x], planes[2][y / 2 * 320 + x / 2]);
        assert!(at(&off).0 > 200 && at(&off).1 == 128, "white, if softened: {:?}", at(&off));
        let red = rgb_to_ycbcr(RED, format.matrix, format.range);
        assert_eq!(at(&on), (red[0], red[2]));
        // What lies inside the zone is left as it is.
        assert_eq!(on[0][250 * 640 + 320], 16);
    }

    #[test]
    fn both_layouts_and_odd_sizes_give_one_picture() {
        for (width, height) in [(321, 181), (64, 48), (17, 9)] {
            let [a, b] = [PixelFormat::I420, PixelFormat::Nv12].map(|p| drawn(&format(width, height, p), "zone", &SQUARE, true));
            assert_eq!(a, b, "{width}x{height}");
            assert!(a[0].iter().any(|y| *y > 16));
        }
    }

    #[test]
    fn names_are_only_text() {
        let format = format(320, 240, PixelFormat::I420);
        let whole = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        for name in [
            "",
            "\0",
            "%s%n\n\t",
            "Straße 🚗 横断歩道",
            "\u{202e}abc",
            &"w".repeat(10_000),
            "e\u{301}",
        ] {
            for polygon in [&SQUARE[..], &whole[..]] {
                drawn(&format, name, polygon, true);
            }
        }
        let all = |_: &str| Ok(true);
        assert_eq!(shortened("Straße 🚗", all).unwrap(), "Stra?e ?");
        assert_eq!(shortened("crossing", |t| Ok(t.len() <= 6)).unwrap(), "cros..");
        assert_eq!(shortened("crossing", |_| Ok(false)).unwrap(), "..");
    }
}
