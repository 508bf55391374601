//! Loss over the learning rate of a sweep.

use super::{BLUE, GRID, INK, ORANGE, PAPER, draw, failed, quiet_mesh};
use crate::train::sweep::{Point, Suggestion};
use anyhow::Result;
use plotters::prelude::*;
use std::path::Path;

/// Draws the losses of a sweep over the logarithm of its rates, with a line at the suggested rate; 900x600 pixels.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn rates(points: &[Point], suggestion: Option<Suggestion>, path: &Path) -> Result<()> {
    let decade = |rate: f64| rate.log10();
    let ends = points.first().zip(points.last());
    let (from, to) = ends.map_or((-5.0, 0.0), |(a, b)| (decade(a.rate), decade(b.rate)));
    let smooth = points.iter().map(|p| p.smooth);
    let low = points.iter().map(|p| p.loss.min(p.smooth)).fold(f64::INFINITY, f64::min).min(1e6);
    // Where the loss explodes, the rest must stay visible.
    let start = points.first().map_or(1.0, |p| p.smooth);
    let top = smooth.fold(f64::MIN_POSITIVE, f64::max).min(2.0 * start);
    let margin = (0.15 * (top - low)).max(1e-6);
    draw(path, (900, 600), PAPER, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(36)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(from..to.max(from + 1e-6), low - margin..top + margin)
            .map_err(|e| failed(&e))?;
        let mut mesh = chart.configure_mesh();
        quiet_mesh(&mut mesh);
        mesh.x_desc("learning rate")
            .y_desc("loss")
            .x_label_formatter(&|x| format!("{:.1e}", 10f64.powf(*x)))
            .draw()
            .map_err(|e| failed(&e))?;
        let seen = points.iter().filter(|p| p.loss <= top + margin);
        let raw = seen.map(|p| Circle::new((decade(p.rate), p.loss), 2, INK.mix(0.3).filled()));
        chart.draw_series(raw).map_err(|e| failed(&e))?;
        chart
            .draw_series(LineSeries::new(
                points.iter().map(|p| (decade(p.rate), p.smooth)),
                BLUE.stroke_width(2),
            ))
            .map_err(|e| failed(&e))?
            .label("smooth loss")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], BLUE.stroke_width(3)));
        if let Some(suggestion) = suggestion {
            let x = decade(suggestion.steepest);
            chart
                .draw_series(LineSeries::new([(x, low - margin), (x, top + margin)], ORANGE.stroke_width(2)))
                .map_err(|e| failed(&e))?
                .label(format!("steepest at {:.2e}", suggestion.steepest))
                .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], ORANGE.stroke_width(3)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(PAPER.mix(0.85))
            .border_style(GRID)
            .label_font(("sans-serif", 15).into_font().color(&INK))
            .draw()
            .map_err(|e| failed(&e))
    })
}
