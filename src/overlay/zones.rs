//! Zones over the picture: outline and name, thin and light while no rule is on, thick and red when one is.

use super::canvas::{BLACK, Canvas, Drawing, Panel, RED, WHITE, scalar};
use crate::frame::{Pixels, VideoFormat};
use anyhow::Result;
use opencv::core::{Point, Scalar, Vector};
use opencv::imgproc::{LINE_AA, polylines};

/// How much of the picture the panel behind a name covers while no rule is on, of 255.
const PANEL: f64 = 168.0;

/// What a drawn zone does to the picture.
#[derive(Debug)]
pub(super) struct ZoneMark {
    /// While no rule is on, and when one is.
    looks: [Drawing; 2],
}

impl ZoneMark {
    /// A zone of this name with corners in shares (0-1) of the frame.
    ///
    /// # Errors
    /// If OpenCV cannot draw.
    pub(super) fn new(format: &VideoFormat, name: &str, polygon: &[[f64; 2]]) -> Result<Self> {
        Ok(Self {
            looks: [look(format, name, polygon, false)?, look(format, name, polygon, true)?],
        })
    }

    pub(super) fn draw(&self, pixels: &mut dyn Pixels, on: bool) {
        self.looks[usize::from(on)].draw(pixels);
    }
}

fn look(format: &VideoFormat, name: &str, polygon: &[[f64; 2]], on: bool) -> Result<Drawing> {
    let (width, height) = (format.width as i32, format.height as i32);
    let mut canvas = Canvas::blank(format)?;
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
    let (color, cover) = if on { (RED, 255.0) } else { (BLACK, PANEL) };
    let panel = Panel {
        height: (height / 28).max(14),
        color,
        cover,
    };
    let top = corners.iter().min_by_key(|p| (p.y, p.x)).unwrap_or_default();
    // Above the highest corner, or below it where there is no room.
    canvas.text(name, panel, |_, high| {
        let above = top.y - 3 * unit - high;
        (top.x, if above >= 0 { above } else { top.y + 3 * unit })
    })?;
    Ok(Drawing::of(format, &canvas))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::rgb_to_ycbcr;
    use crate::frame::{Matrix, OwnedPixels, PixelFormat, Range};

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
    }
}
