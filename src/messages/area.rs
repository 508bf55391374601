//! The pixels of a class map that lie in a polygon.

use std::ops::Range;

/// Runs of pixels, as ranges of a class map's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Area {
    pub runs: Vec<Range<usize>>,
    /// How many pixels they are; at least one.
    pub pixels: usize,
}

impl Area {
    /// The pixels whose centres lie in the polygon (corners in shares of the frame, 0-1), by the even-odd rule: zones that share
    /// an edge share no pixel, as they would where a library paints the edge too. A polygon between all centres has the pixel
    /// that its middle lies in.
    pub fn new(polygon: &[[f64; 2]], width: u32, height: u32) -> Self {
        let mut runs = Vec::new();
        let mut crossings = Vec::new();
        for row in 0..height as usize {
            let y = (row as f64 + 0.5) / f64::from(height);
            crossings.clear();
            for ([x0, y0], [x1, y1]) in edges(polygon) {
                if (y0 > y) != (y1 > y) {
                    crossings.push(x0 + (y - y0) / (y1 - y0) * (x1 - x0));
                }
            }
            crossings.sort_by(f64::total_cmp);
            for pair in crossings.chunks_exact(2) {
                let column = |x: f64| (x * f64::from(width) - 0.5).ceil().clamp(0.0, f64::from(width)) as usize;
                let run = row * width as usize + column(pair[0])..row * width as usize + column(pair[1]);
                if !run.is_empty() {
                    runs.push(run);
                }
            }
        }
        if runs.is_empty() && width > 0 && height > 0 {
            let middle = |axis: usize, size: u32| {
                let mean = polygon.iter().map(|p| p[axis]).sum::<f64>() / polygon.len().max(1) as f64;
                ((mean * f64::from(size)) as usize).min(size as usize - 1)
            };
            let pixel = middle(1, height) * width as usize + middle(0, width);
            runs.push(pixel..pixel + 1);
        }
        let pixels = runs.iter().map(Range::len).sum();
        Self { runs, pixels }
    }
}

fn edges(polygon: &[[f64; 2]]) -> impl Iterator<Item = ([f64; 2], [f64; 2])> + '_ {
    polygon.iter().copied().zip(polygon.iter().copied().cycle().skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(left: f64, top: f64, right: f64, bottom: f64) -> [[f64; 2]; 4] {
        [[left, top], [right, top], [right, bottom], [left, bottom]]
    }

    #[test]
    fn zones_side_by_side_have_each_pixel_once() {
        let (width, height) = (17, 9);
        let mut seen = vec![0; width * height];
        for (left, right) in [(0.0, 0.3), (0.3, 0.55), (0.55, 1.0)] {
            for (top, bottom) in [(0.0, 0.47), (0.47, 1.0)] {
                for run in Area::new(&square(left, top, right, bottom), width as u32, height as u32).runs {
                    seen[run].iter_mut().for_each(|n| *n += 1);
                }
            }
        }
        assert!(seen.iter().all(|n| *n == 1), "{seen:?}");
    }

    #[test]
    fn a_triangle_has_half_of_its_square_and_a_concave_polygon_leaves_its_bay_out() {
        let triangle = Area::new(&[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 100, 100);
        assert!((4900..=5050).contains(&triangle.pixels), "{}", triangle.pixels);
        let u = [
            [0.0, 0.0],
            [0.2, 0.0],
            [0.2, 0.8],
            [0.8, 0.8],
            [0.8, 0.0],
            [1.0, 0.0],
            [1.0, 1.0],
            [0.0, 1.0],
        ];
        let area = Area::new(&u, 10, 10);
        assert_eq!(
            (area.pixels, area.runs[0].clone(), area.runs[1].clone()),
            (4 * 8 + 2 * 10, 0..2, 8..10)
        );
    }

    #[test]
    fn a_polygon_between_all_pixel_centres_has_one_pixel() {
        for (left, right, pixel) in [(0.501, 0.502, 10), (0.999, 1.0, 15)] {
            let area = Area::new(&square(left, left, right, right), 4, 4);
            assert_eq!((area.pixels, area.runs[0].start), (1, pixel));
        }
    }
}
