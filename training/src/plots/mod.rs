//! Pictures about a run and its measures: curves, a confusion matrix, calibration, predictions beside truth, and why they are so. All PNG, with
//! a font of their own, so that they look the same on a machine without any.

mod accuracy;
mod confusion;
mod curves;
mod explanation;
mod ranking;
mod rates;
mod reliability;
mod sheet;

pub use accuracy::accuracy;
pub use confusion::confusion;
pub use curves::curves;
pub use explanation::{Tile, explanation, tile, tiles};
pub use ranking::ranking;
pub use rates::rates;
pub use reliability::reliability;
pub use sheet::{samples, sheet, worst};

use crate::data::write_rgb;
use crate::error::{Kind, fault};
use anyhow::Result;
use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::path::Path;
use std::sync::Once;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Draws on a white canvas and writes it.
fn draw(path: &Path, size: (u32, u32), background: RGBColor, paint: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<()> {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        for style in [FontStyle::Normal, FontStyle::Bold] {
            // The only failure is a damaged font; without it text is missing, which a test would see.
            let _ = register_font("sans-serif", style, dejavu::sans::regular());
        }
    });
    let mut rgb = vec![0; 3 * size.0 as usize * size.1 as usize];
    {
        let area = BitMapBackend::with_buffer(&mut rgb, size).into_drawing_area();
        area.fill(&background).map_err(|e| failed(&e))?;
        paint(&area)?;
        area.present().map_err(|e| failed(&e))?;
    }
    write_rgb(path, size.0 as usize, size.1 as usize, &rgb)
}

/// Lines and letters of a chart's axes and grid.
fn quiet_mesh(mesh: &mut MeshStyle<'_, '_, RangedCoordf64, RangedCoordf64, BitMapBackend<'_>>) {
    mesh.light_line_style(PAPER)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 15).into_font().color(&INK));
}

fn failed(error: &dyn std::fmt::Display) -> anyhow::Error {
    fault(Kind::Internal, format!("cannot draw: {error}"))
}

const INK: RGBColor = RGBColor(40, 40, 48);
const PAPER: RGBColor = RGBColor(255, 255, 255);
const GRID: RGBColor = RGBColor(226, 226, 230);
const BLUE: RGBColor = RGBColor(31, 95, 168);
const ORANGE: RGBColor = RGBColor(205, 96, 24);
const GREEN: RGBColor = RGBColor(46, 125, 70);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::EpochRow;
    use crate::data::Sample;
    use crate::eval::{Frame, Tally};
    use crate::metrics::Confusion;
    use crate::predict::Prediction;
    use maskline_models::classes::driving_classes;

    fn ink(path: &Path, background: [u8; 3]) -> f64 {
        let picture = image::open(path).unwrap().into_rgb8();
        let marked = picture.pixels().filter(|p| p.0 != background).count();
        marked as f64 / (picture.width() * picture.height()) as f64
    }

    #[test]
    fn curves_matrix_and_sheet_are_drawn_with_text() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let row = |epoch: u32| EpochRow {
            epoch,
            step: u64::from(epoch) * 10,
            loss: 2.0 / f64::from(epoch),
            rate: 1e-3,
            miou: epoch.is_multiple_of(2).then_some(0.1 * f64::from(epoch)),
            pixel_accuracy: None,
            training_miou: Some(0.2),
            images_per_s: 5.0,
            elapsed_s: 1.0,
        };
        for epochs in [0, 1, 5] {
            curves(&(1..=epochs).map(row).collect::<Vec<_>>(), &at("curves.png")).unwrap();
        }
        assert!(ink(&at("curves.png"), [255; 3]) > 0.01);
        let mut matrix = Confusion::new(2);
        matrix.add(&[0, 0, 1], &[0, 1, 1]);
        confusion(&matrix, &["sky".into(), "road".into()], &at("confusion.png")).unwrap();
        assert!(ink(&at("confusion.png"), [255; 3]) > 0.1);
        let sample = Sample {
            name: "a".into(),
            width: 60,
            height: 40,
            rgb: vec![90; 7200],
            labels: vec![3; 2400],
        };
        sheet(&[(&sample, vec![0; 2400])], &driving_classes(), &at("sheet.png")).unwrap();
        assert!(ink(&at("sheet.png"), [24, 24, 28]) > 0.1);
        let frame = Frame {
            name: "a".into(),
            miou: 0.5,
            pixel_accuracy: 0.75,
            prediction: (0..2400).map(|i| if i < 600 { 1 } else { 3 }).collect(),
            sample,
        };
        worst(&[frame.clone(), frame], &driving_classes(), &at("worst.png")).unwrap();
        let picture = image::open(at("worst.png")).unwrap().into_rgb8();
        assert_eq!(picture.pixels().filter(|p| p.0 == [230, 40, 40]).count(), 2 * 600);
    }

    #[test]
    fn a_sweep_of_rates_is_drawn_with_its_suggestion() {
        use crate::train::sweep::{Point, Suggestion};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rates.png");
        let point = |i: i32| Point {
            rate: 10f64.powf(-5.0 + 0.1 * f64::from(i)),
            loss: f64::from((i - 30).pow(2)) / 900.0,
            smooth: f64::from((i - 30).pow(2)) / 900.0,
        };
        let points: Vec<Point> = (0..50).map(point).collect();
        let suggestion = Suggestion {
            steepest: 1e-3,
            least: 1e-2,
        };
        rates(&points, Some(suggestion), &path).unwrap();
        assert!(ink(&path, [255; 3]) > 0.01);
        let orange = |path: &Path| {
            image::open(path)
                .unwrap()
                .into_rgb8()
                .pixels()
                .filter(|p| p.0 == [205, 96, 24])
                .count()
        };
        assert!(orange(&path) > 400);
        for points in [&points[..1], &[]] {
            rates(points, None, &path).unwrap();
        }
        assert_eq!(orange(&path), 0);
    }

    #[test]
    fn accuracy_over_cost_is_drawn_whatever_is_known() {
        use crate::compare::{Point, Split};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accuracy.png");
        let point = |name: &str, ours, parameters, gmacs| Point {
            name: name.into(),
            ours,
            miou: 60.0,
            split: Split::Val,
            size: None,
            besides: String::new(),
            rendered_only: name == "rendered",
            parameters,
            gmacs,
            source: "here".into(),
        };
        accuracy(&[], (480, 352), &path).unwrap();
        let empty = ink(&path, [255; 3]);
        let points = [
            point("one", true, Some(1e6), Some(2.0)),
            point("rendered", true, Some(2e6), Some(3.0)),
            point("two", false, Some(1e6), None),
        ];
        accuracy(&points, (480, 352), &path).unwrap();
        assert!(ink(&path, [255; 3]) > empty);
        let picture = image::open(&path).unwrap().into_rgb8();
        for (color, who) in [(BLUE, "ours"), (GREEN, "ours of rendered scenes")] {
            let filled = picture.pixels().filter(|p| p.0 == [color.0, color.1, color.2]).count();
            assert!(filled > 200, "{who} is a filled mark in both charts and in the legend: {filled}");
        }
    }

    #[test]
    fn ranking_and_reliability_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut tally = Tally::new(vec!["sky".into(), "road".into(), "none".into()], 0.01);
        let sample = Sample {
            name: "a".into(),
            width: 4,
            height: 1,
            rgb: vec![90; 12],
            labels: vec![0, 0, 1, 1],
        };
        let scores = vec![2.0, 1.0, 0.0, 1.0, 0.0, 0.5, 1.0, 0.5, -9.0, -9.0, -9.0, -9.0];
        let prediction = Prediction {
            classes: vec![0, 0, 1, 0],
            scores: Some(scores),
        };
        tally.add(&sample, &prediction);
        let measures = tally.finish();
        ranking(&measures.ranking.unwrap(), &at("ranking.png")).unwrap();
        reliability(&measures.calibration.unwrap(), &at("reliability.png")).unwrap();
        assert!(ink(&at("ranking.png"), [255; 3]) > 0.01);
        assert!(ink(&at("reliability.png"), [255; 3]) > 0.03);
    }
}
