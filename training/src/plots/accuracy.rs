//! Accuracy over cost: models beside published ones, over parameters and over multiplications.

use super::{Area, BLUE, GREEN, INK, ORANGE, PAPER, draw, failed, quiet_mesh};
use crate::compare::{Point, Split};
use anyhow::Result;
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (1500, 820);
const LEGEND: i32 = 120;
const PALE: RGBColor = RGBColor(120, 120, 128);

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    ours: bool,
    split: Split,
    learned: Learned,
}

/// What was learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learned {
    /// The data set itself.
    Itself,
    /// More than the data set itself.
    More,
    /// Rendered scenes alone.
    Rendered,
}

impl Mark {
    fn of(point: &Point) -> Self {
        Self {
            ours: point.ours,
            split: point.split,
            learned: match (point.rendered_only, point.besides.is_empty()) {
                (true, _) => Learned::Rendered,
                (false, true) => Learned::Itself,
                (false, false) => Learned::More,
            },
        }
    }

    fn color(self) -> RGBColor {
        match (self.ours, self.learned) {
            (true, Learned::Rendered) => GREEN,
            (true, _) => BLUE,
            (false, Learned::Itself) => ORANGE,
            (false, _) => PALE,
        }
    }

    fn meaning(self) -> String {
        let who = if self.ours { "our models" } else { "published" };
        let on = match (self.split, self.ours) {
            (Split::Val, true) if self.learned != Learned::Rendered => "val, on which their weights were chosen",
            (Split::Val, _) => "val",
            (Split::Test, _) => "test",
            (Split::Other, _) => "other pictures",
        };
        let from = match (self.learned, self.ours) {
            (Learned::Itself, _) => "from these pictures alone",
            (Learned::More, true) => "with rendered or other pictures",
            (Learned::More, false) => "with pre-training or more pictures",
            (Learned::Rendered, _) => "from rendered scenes alone",
        };
        format!("{who}, {on}, {from}")
    }

    /// The mark at a place in pixels: a circle for val, a diamond for test, a square for other pictures; ours are filled.
    fn draw(self, area: &Area<'_>, (x, y): (i32, i32)) -> Result<()> {
        let style = if self.ours {
            self.color().filled()
        } else {
            self.color().stroke_width(2)
        };
        let corners = match self.split {
            Split::Val => return area.draw(&Circle::new((x, y), 7, style)).map_err(|e| failed(&e)),
            Split::Test => [(0, -9), (9, 0), (0, 9), (-9, 0), (0, -9)],
            Split::Other => [(-7, -7), (7, -7), (7, 7), (-7, 7), (-7, -7)],
        };
        let corners = corners.map(|(dx, dy)| (x + dx, y + dy));
        if self.ours {
            area.draw(&Polygon::new(corners, style)).map_err(|e| failed(&e))
        } else {
            area.draw(&PathElement::new(corners, style)).map_err(|e| failed(&e))
        }
    }
}

/// Draws mean IoU over parameters and over multiplications for a picture of `size`, 1500x820 pixels. A model appears where its
/// cost is known.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn accuracy(points: &[Point], size: (u32, u32), path: &Path) -> Result<()> {
    let gmacs = format!("thousand million multiplications for a picture of {}x{}", size.0, size.1);
    draw(path, SIZE, PAPER, |area| {
        let half = SIZE.0 as i32 / 2;
        let (upper, _) = area.split_vertically(SIZE.1 as i32 - LEGEND);
        let (left, right) = upper.split_horizontally(half);
        chart(area, &left, "millions of parameters", points, |p| p.parameters.map(|n| n / 1e6))?;
        chart(area, &right, &gmacs, points, |p| p.gmacs)?;
        legend(area, points)
    })
}

fn chart(root: &Area<'_>, part: &Area<'_>, x_name: &str, points: &[Point], cost: impl Fn(&Point) -> Option<f64>) -> Result<()> {
    // Costs lie far apart: the axis is their logarithm.
    let known: Vec<(f64, &Point)> = points.iter().filter_map(|p| Some((cost(p)?.log10(), p))).collect();
    let range = |values: &dyn Fn(&(f64, &Point)) -> f64, least: f64, room: [f64; 2]| {
        let low = known.iter().map(values).fold(f64::INFINITY, f64::min);
        let high = known.iter().map(values).fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, least) };
        let wide = (high - low).max(least);
        low - room[0] * wide..high + room[1] * wide
    };
    let xs = range(&|(x, _)| *x, 1.0, [0.25, 0.28]);
    let ys = range(&|(_, p)| p.miou, 10.0, [0.12, 0.12]);
    let mut chart = ChartBuilder::on(part)
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(xs, ys)
        .map_err(|e| failed(&e))?;
    let mut mesh = chart.configure_mesh();
    quiet_mesh(&mut mesh);
    mesh.x_desc(x_name)
        .y_desc("mean IoU, %")
        .x_label_formatter(&|x| {
            let value = 10f64.powf(*x);
            format!("{value:.*}", usize::from(value < 9.95))
        })
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()
        .map_err(|e| failed(&e))?;
    let at: Vec<((i32, i32), &Point)> = known.iter().map(|(x, p)| (chart.backend_coord(&(*x, p.miou)), *p)).collect();
    let mut taken: Vec<[i32; 4]> = at.iter().map(|((x, y), _)| [x - 9, y - 9, x + 9, y + 9]).collect();
    for (place, point) in &at {
        Mark::of(point).draw(root, *place)?;
    }
    for (place, point) in at {
        name(root, place, point, &mut taken)?;
    }
    Ok(())
}

/// Writes a point's name where there is room beside it.
fn name(root: &Area<'_>, (x, y): (i32, i32), point: &Point, taken: &mut Vec<[i32; 4]>) -> Result<()> {
    let color = Mark::of(point).color();
    let style = ("sans-serif", 15).into_font().color(&color);
    let (width, height) = root.estimate_text_size(&point.name, &style).map_err(|e| failed(&e))?;
    let (w, h) = (width as i32, height as i32);
    let around = [
        (x + 13, y - h / 2),
        (x - 13 - w, y - h / 2),
        (x - w / 2, y - 13 - h),
        (x - w / 2, y + 13),
        (x + 9, y - 11 - h),
        (x + 9, y + 11),
        (x - 9 - w, y - 11 - h),
        (x - 9 - w, y + 11),
    ];
    let free = |&(left, top): &(i32, i32)| {
        let apart = |t: &[i32; 4]| left + w < t[0] || t[2] < left || top + h < t[1] || t[3] < top;
        taken.iter().all(apart)
    };
    let (left, top) = around.iter().copied().find(free).unwrap_or(around[0]);
    taken.push([left, top, left + w, top + h]);
    root.draw_text(&point.name, &style, (left, top)).map_err(|e| failed(&e))
}

/// What the marks mean, those that occur.
fn legend(root: &Area<'_>, points: &[Point]) -> Result<()> {
    let mut marks: Vec<Mark> = Vec::new();
    for mark in points.iter().map(Mark::of) {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    let style = ("sans-serif", 15).into_font().color(&INK);
    let top = SIZE.1 as i32 - LEGEND + 12;
    for (i, mark) in marks.into_iter().enumerate() {
        let (x, y) = (40 + 720 * (i as i32 / 4), top + 26 * (i as i32 % 4));
        mark.draw(root, (x, y + 8))?;
        root.draw_text(&mark.meaning(), &style, (x + 22, y)).map_err(|e| failed(&e))?;
    }
    Ok(())
}
