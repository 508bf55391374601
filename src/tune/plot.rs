//! The points as a picture: speed to the right, quality upwards, the frontier as a line, what is wanted as a green area.

use super::point::Point;
use super::wish::{Aim, Goal};
use super::{Tuned, Verdict, split};
use crate::error::{Kind, fault};
use crate::sheet::encode;
use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};
use std::ops::Range;
use std::sync::Once;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, BitMapBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Width and height in pixels, and what of the width names the colours.
const SIZE: (u32, u32) = (1200, 800);
const NAMES_WIDTH: i32 = 330;
const INK: RGBColor = RGBColor(40, 40, 48);
const PALE: RGBColor = RGBColor(130, 130, 138);
const PAPER: RGBColor = RGBColor(255, 255, 255);
const WANTED: RGBColor = RGBColor(222, 243, 225);
/// Of Okabe and Ito: people who do not tell red from green tell these.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

/// Draws a search, as the bytes of a PNG.
///
/// # Errors
/// Kind 70 if something cannot be drawn.
pub fn plot(tuned: &Tuned) -> Result<Vec<u8>> {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        // The only failure is a damaged font; without it text is missing, which a test would see.
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
    let mut rgb = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
    {
        let area = BitMapBackend::with_buffer(&mut rgb, SIZE).into_drawing_area();
        area.fill(&PAPER).map_err(failed)?;
        Picture::new(tuned).draw(&area)?;
        area.present().map_err(failed)?;
    }
    encode(&rgb, SIZE.0, SIZE.1).context("cannot write the plot as PNG")
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    fault(Kind::Internal, format!("cannot draw the plot: {error}"))
}

fn font(size: i32, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color)
}

/// What is drawn, in the units of the axes.
struct Picture<'a> {
    tuned: &'a Tuned,
    speed: fn(&Point) -> Option<f64>,
    x_name: &'static str,
    x: Range<f64>,
    y: Range<f64>,
    /// Names of what differs but for the interval, in the order of their colours.
    series: Vec<String>,
}

impl<'a> Picture<'a> {
    fn new(tuned: &'a Tuned) -> Self {
        let (x_name, speed) = axis(tuned.aim);
        let goal = tuned.limits.goal.map(|goal| match goal {
            Goal::FramesPerS(value) | Goal::LatencyMs(value) => value,
        });
        let speeds = tuned.points.iter().filter_map(speed).chain(goal);
        let floor = tuned.limits.floor.map(|f| 100.0 * f);
        let reference = tuned.reference_miou.map(|m| 100.0 * m);
        let qualities = tuned.points.iter().map(|p| 100.0 * p.quality());
        let mut series = Vec::new();
        for point in &tuned.points {
            let name = name(tuned, point);
            if !series.contains(&name) {
                series.push(name);
            }
        }
        Self {
            tuned,
            speed,
            x_name,
            x: room(speeds, 0.1),
            y: room(qualities.chain(floor).chain(reference), 0.5),
            series,
        }
    }

    fn at(&self, point: &Point) -> Option<(f64, f64)> {
        Some(((self.speed)(point)?, 100.0 * point.quality()))
    }

    fn draw(&self, area: &Area<'_>) -> Result<()> {
        let (title, rest) = area.split_vertically(62);
        let (left, names) = rest.split_horizontally(SIZE.0 as i32 - NAMES_WIDTH);
        self.draw_title(&title)?;
        self.draw_names(&names)?;
        let mut chart = ChartBuilder::on(&left)
            .margin(12)
            .x_label_area_size(48)
            .y_label_area_size(66)
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(failed)?;
        self.draw_wanted(&mut chart)?;
        let what = match self.tuned.reference_miou {
            Some(_) => "mIoU against the labels (%)",
            None => "agreement with the reference (%)",
        };
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(222, 222, 226).mix(0.7))
            .axis_style(INK)
            .label_style(font(16, INK))
            .axis_desc_style(font(18, INK))
            .x_desc(self.x_name)
            .y_desc(what)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .draw()
            .map_err(failed)?;
        self.draw_lines(&mut chart)?;
        self.draw_points(&mut chart)
    }

    fn draw_title(&self, area: &Area<'_>) -> Result<()> {
        let (tuned, clip) = (self.tuned, &self.tuned.clip);
        let clip = clip.name.as_deref().map_or("", |name| name.rsplit('/').next().unwrap_or(name));
        let wanted = match tuned.wanted() {
            wanted if wanted.is_empty() => "what speed costs which quality".into(),
            wanted => format!("wanted: {wanted}"),
        };
        let line = |text: &str, y: i32, style: TextStyle<'_>| area.draw_text(&fitting(text, 128), &style, (16, y)).map_err(failed);
        line(&wanted, 12, font(20, INK))?;
        line(&format!("{}; {}", fitting(clip, 48), tuned.machine), 40, font(14, PALE))
    }

    /// The colours, and what the marks mean.
    fn draw_names(&self, area: &Area<'_>) -> Result<()> {
        let rows = (SIZE.1 as usize - 62 - 190) / 24;
        let mut y = 16;
        for (number, name) in self.series.iter().take(rows).enumerate() {
            let style = color(number).filled();
            area.draw(&Circle::new((12, y + 7), 6, style)).map_err(failed)?;
            area.draw_text(&fitting(name, 42), &font(14, INK), (26, y)).map_err(failed)?;
            y += 24;
        }
        if self.series.len() > rows {
            let more = format!("and {} more, in the same colours", self.series.len() - rows);
            area.draw_text(&more, &font(14, PALE), (26, y)).map_err(failed)?;
            y += 24;
        }
        let (net, (width, height)) = (&self.tuned.nets[self.tuned.reference.0], self.tuned.reference.1);
        y += 16;
        for line in [
            "filled: on the frontier".to_owned(),
            "numbers: the net on every n-th frame".to_owned(),
            "1 x 2: sessions x threads of each".to_owned(),
            format!("reference: {} {}", net.name, net.precision),
            format!("    at {width}x{height}, every frame"),
        ] {
            area.draw_text(&fitting(&line, 44), &font(14, PALE), (6, y)).map_err(failed)?;
            y += 22;
        }
        Ok(())
    }

    /// Where points are as wanted.
    fn draw_wanted(&self, chart: &mut Chart<'_>) -> Result<()> {
        let limits = &self.tuned.limits;
        if limits.goal.is_none() && limits.floor.is_none() {
            return Ok(());
        }
        let (low, high) = match limits.goal {
            Some(Goal::FramesPerS(rate)) => (rate, self.x.end),
            Some(Goal::LatencyMs(ms)) => (self.x.start, ms),
            None => (self.x.start, self.x.end),
        };
        let floor = limits.floor.map_or(self.y.start, |f| 100.0 * f);
        let area = Rectangle::new([(low, floor), (high, self.y.end)], WANTED.filled());
        chart.draw_series([area]).map_err(failed)?;
        let at = (low.max(self.x.start), self.y.end);
        let style = font(15, RGBColor(70, 130, 80));
        let label = EmptyElement::at(at) + Text::new("wanted", (6, 6), style);
        chart.draw_series([label]).map(drop).map_err(failed)
    }

    /// The frontier, and the reference where the labels tell how good it is.
    fn draw_lines(&self, chart: &mut Chart<'_>) -> Result<()> {
        if let Some(miou) = self.tuned.reference_miou {
            let y = 100.0 * miou;
            let line = LineSeries::new([(self.x.start, y), (self.x.end, y)], PALE.stroke_width(1));
            chart.draw_series(line).map_err(failed)?;
            let style = font(14, PALE).pos(Pos::new(HPos::Right, VPos::Bottom));
            let label = EmptyElement::at((self.x.end, y)) + Text::new("reference", (-6, -3), style);
            chart.draw_series([label]).map_err(failed)?;
        }
        let sign = if self.tuned.aim == Aim::Latency { -1.0 } else { 1.0 };
        let all: Vec<_> = self.tuned.points.iter().filter_map(|p| self.at(p)).collect();
        let beaten = |&(x, y): &(f64, f64)| all.iter().any(|&(a, b)| sign * a >= sign * x && b >= y && (a, b) != (x, y));
        let mut best: Vec<_> = all.iter().copied().filter(|p| !beaten(p)).collect();
        best.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Between two ways of running there is none: what can be had there is the slower one's speed with the worse one's quality.
        let corner = |pair: &[(f64, f64)]| {
            if sign > 0.0 {
                (pair[0].0, pair[1].1)
            } else {
                (pair[1].0, pair[0].1)
            }
        };
        let steps = best.windows(2).flat_map(|pair| [pair[0], corner(pair)]);
        let line: Vec<_> = steps.chain(best.last().copied()).collect();
        chart
            .draw_series(LineSeries::new(line, PALE.stroke_width(2)))
            .map(drop)
            .map_err(failed)
    }

    fn draw_points(&self, chart: &mut Chart<'_>) -> Result<()> {
        let (chosen, word) = match &self.tuned.verdict {
            Verdict::Frontier => (None, ""),
            Verdict::Recommended { point, .. } => (Some(*point), "recommended"),
            Verdict::Impossible(shortfall) => (Some(shortfall.nearest), "nearest"),
        };
        for (number, point) in self.tuned.points.iter().enumerate() {
            let Some(at) = self.at(point) else { continue };
            let name = name(self.tuned, point);
            let color = color(self.series.iter().position(|s| *s == name).unwrap_or(0));
            let (fill, ink) = match self.tuned.frontier[number] {
                true => (color.filled(), INK),
                false => (color.stroke_width(2), PALE),
            };
            let every = point.every.to_string();
            let label = EmptyElement::at(at) + Circle::new((0, 0), 6, fill) + Text::new(every, (8, -18), font(14, ink));
            chart.draw_series([label]).map_err(failed)?;
            if chosen == Some(number) {
                // Above it, where no point of the frontier is.
                let style = font(17, INK).pos(Pos::new(HPos::Center, VPos::Bottom));
                let ring = EmptyElement::at(at) + Circle::new((0, 0), 12, INK.stroke_width(2)) + Text::new(word, (0, -20), style);
                chart.draw_series([ring]).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// What lies along the horizontal axis: its name, and its value for a point.
fn axis(aim: Aim) -> (&'static str, fn(&Point) -> Option<f64>) {
    match aim {
        Aim::Latency => ("latency, p95 (ms)", |p| p.latency_p95_ms),
        Aim::Rate | Aim::Both => ("frames per second", |p| Some(p.frames_per_s)),
    }
}

fn color(series: usize) -> RGBColor {
    COLORS[series % COLORS.len()]
}

/// What a point's colour stands for.
fn name(tuned: &Tuned, point: &Point) -> String {
    let (setup, net) = (&point.setup, &tuned.nets[point.setup.net]);
    let (width, height) = setup.size;
    let split = split(setup.sessions, setup.threads);
    format!("{} {} {width}x{height} {} {split}", net.name, net.precision, setup.provider)
}

/// Where all these values lie, with a tenth around them, and at least so much.
fn room(values: impl Iterator<Item = f64>, least: f64) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let around = (0.1 * (high - low)).max(least);
    (low - around).max(0.0)..high + around
}

/// A number for an axis.
fn short(value: f64) -> String {
    format!("{value:.1}").trim_end_matches(".0").to_owned()
}

/// So many characters at most; names may be of any length.
fn fitting(text: &str, most: usize) -> String {
    let printable: String = text.chars().filter(|c| !c.is_control()).collect();
    if printable.chars().count() <= most {
        return printable;
    }
    let cut: String = printable.chars().take(most - 3).collect();
    cut + "..."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::tests::tuned;

    fn pixels(png: &[u8]) -> Vec<[u8; 3]> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.width, info.height), SIZE);
        bytes.as_chunks::<3>().0.to_vec()
    }

    fn count(pixels: &[[u8; 3]], color: RGBColor) -> usize {
        pixels.iter().filter(|p| **p == [color.0, color.1, color.2]).count()
    }

    #[test]
    fn points_names_and_the_wanted_area_are_there() {
        let drawn = pixels(&plot(&tuned()).unwrap());
        // A filled disc of radius 6 has more than 100 pixels; each colour has one beside its name as well.
        assert!(count(&drawn, COLORS[0]) > 200, "{}", count(&drawn, COLORS[0]));
        assert!(count(&drawn, COLORS[1]) > 130, "{}", count(&drawn, COLORS[1]));
        assert_eq!(count(&drawn, COLORS[2]), 0, "two setups have two colours");
        assert!(count(&drawn, WANTED) > 10_000);
        assert!(count(&drawn, INK) > 1_000, "axes and text");
        let mut without = tuned();
        without.limits = crate::tune::wish::Limits::default();
        assert_eq!(count(&pixels(&plot(&without).unwrap()), WANTED), 0);
    }

    #[test]
    fn a_single_point_and_names_of_any_length_can_be_drawn() {
        let mut lonely = tuned();
        lonely.points.truncate(1);
        lonely.frontier.truncate(1);
        lonely.nets[0].name = "n\u{1b}é".repeat(300);
        lonely.clip.name = Some("x".repeat(5000));
        assert!(count(&pixels(&plot(&lonely).unwrap()), COLORS[0]) > 200);
    }
}
