//! Loss, mIoU and learning rate over the epochs.

use super::{Area, BLUE, GREEN, GRID, INK, ORANGE, PAPER, draw, failed};
use crate::checkpoint::EpochRow;
use anyhow::Result;
use plotters::prelude::*;
use std::path::Path;

/// A named line; a point a value.
struct Curve {
    name: &'static str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Draws the curves of a run, 1000x900 pixels.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn curves(history: &[EpochRow], path: &Path) -> Result<()> {
    let curve = |name, color, value: &dyn Fn(&EpochRow) -> Option<f64>| Curve {
        name,
        color,
        points: history.iter().filter_map(|row| Some((f64::from(row.epoch), value(row)?))).collect(),
    };
    let charts = [
        ("loss", vec![curve("training loss", BLUE, &|row| Some(row.loss))]),
        (
            "%",
            vec![
                curve("validation mIoU", ORANGE, &|row| row.miou.map(|m| 100.0 * m)),
                curve("training mIoU", BLUE, &|row| row.training_miou.map(|m| 100.0 * m)),
                curve("validation pixel accuracy", GREEN, &|row| row.pixel_accuracy.map(|a| 100.0 * a)),
            ],
        ),
        ("rate", vec![curve("learning rate", BLUE, &|row| Some(row.rate))]),
    ];
    let last = history.last().map_or(1.0, |row| f64::from(row.epoch)).max(2.0);
    draw(path, (1000, 900), PAPER, |area| {
        for (part, (unit, curves)) in area.split_evenly((3, 1)).iter().zip(&charts) {
            chart(part, unit, curves, last)?;
        }
        Ok(())
    })
}

fn chart(area: &Area<'_>, unit: &str, curves: &[Curve], last: f64) -> Result<()> {
    let values = || curves.iter().flat_map(|c| c.points.iter().map(|p| p.1));
    let top = values().fold(f64::MIN_POSITIVE, f64::max) * 1.08;
    let low = values().fold(f64::INFINITY, f64::min).min(top);
    // From 0 unless that would press everything into the upper edge; with room for a legend of several lines below them.
    let room = if curves.len() > 1 { 0.6 } else { 0.3 };
    let low = if low > 0.6 * top { low - room * (top - low) } else { 0.0 };
    let ends_low = curves
        .iter()
        .filter_map(|c| c.points.last())
        .any(|p| p.1 < low + 0.35 * (top - low));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(76)
        .build_cartesian_2d(1.0..last, low..top)
        .map_err(|e| failed(&e))?;
    chart
        .configure_mesh()
        .light_line_style(RGBColor(244, 244, 246))
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 15).into_font().color(&INK))
        .x_desc("epoch")
        .y_desc(unit)
        // Short runs have marks between their epochs; those at an epoch may be a rounding away from it.
        .x_label_formatter(&|x| match (x - x.round()).abs() < 1e-6 {
            true => format!("{x:.0}"),
            false => String::new(),
        })
        .y_label_formatter(&|y| {
            if top < 0.1 {
                format!("{y:.1e}")
            } else {
                format!("{y:.4}").trim_end_matches('0').trim_end_matches('.').into()
            }
        })
        .draw()
        .map_err(|e| failed(&e))?;
    for curve in curves {
        let color = curve.color;
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), color.stroke_width(2)))
            .map_err(|e| failed(&e))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], color.stroke_width(3)));
        if curve.points.len() <= 40 {
            let dots = curve.points.iter().map(|p| Circle::new(*p, 3, color.filled()));
            chart.draw_series(dots).map_err(|e| failed(&e))?;
        }
    }
    chart
        .configure_series_labels()
        .position(if unit != "%" {
            SeriesLabelPosition::UpperRight
        } else if ends_low {
            SeriesLabelPosition::UpperLeft
        } else {
            SeriesLabelPosition::LowerRight
        })
        .background_style(PAPER.mix(0.85))
        .border_style(GRID)
        .label_font(("sans-serif", 15).into_font().color(&INK))
        .draw()
        .map_err(|e| failed(&e))
}
