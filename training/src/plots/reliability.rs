//! The reliability diagram: how often pixels of a confidence are right, and how many pixels have it.

use super::{BLUE, GRID, INK, ORANGE, PAPER, draw, failed, quiet_mesh};
use crate::eval::{Bin, Calibration};
use anyhow::Result;
use plotters::prelude::*;
use std::path::Path;

/// Draws the diagram, 760x860 pixels: a bar a bin, and the line that the best temperature gives.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn reliability(calibration: &Calibration, path: &Path) -> Result<()> {
    let font = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let width = 1.0 / calibration.bins.len() as f64;
    let bar = |i: usize, height: f64| [(i as f64 * width, 0.0), ((i + 1) as f64 * width, height)];
    let t = &calibration.temperature;
    draw(path, (760, 860), PAPER, |area| {
        let (upper, lower) = area.split_vertically(640);
        let mut chart = ChartBuilder::on(&upper)
            .margin(14)
            .caption(
                format!("calibration error {:.2} %", 100.0 * calibration.ece),
                ("sans-serif", 18).into_font().color(&INK),
            )
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)
            .map_err(|e| failed(&e))?;
        let mut mesh = chart.configure_mesh();
        quiet_mesh(&mut mesh);
        mesh.x_desc("confidence")
            .y_desc("share that is right")
            .draw()
            .map_err(|e| failed(&e))?;
        let filled = |(i, bin): (usize, &Bin)| (bin.pixels > 0).then(|| Rectangle::new(bar(i, bin.accuracy), BLUE.mix(0.55).filled()));
        chart
            .draw_series(calibration.bins.iter().enumerate().filter_map(filled))
            .map_err(|e| failed(&e))?
            .label("as it is")
            .legend(|(x, y)| Rectangle::new([(x, y - 6), (x + 22, y + 6)], BLUE.mix(0.55).filled()));
        let after: Vec<_> = t
            .bins_after
            .iter()
            .filter(|bin| bin.pixels > 0)
            .map(|bin| (bin.confidence, bin.accuracy))
            .collect();
        chart
            .draw_series(LineSeries::new(after, ORANGE.stroke_width(2)).point_size(4))
            .map_err(|e| failed(&e))?
            .label(format!("with temperature {:.2} ({:.2} %)", t.value, 100.0 * t.ece_after))
            .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], ORANGE.stroke_width(3)));
        chart
            .draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], INK.stroke_width(1)))
            .map_err(|e| failed(&e))?
            .label("calibrated")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], INK.stroke_width(1)));
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(PAPER.mix(0.85));
        labels.border_style(GRID).label_font(font(15)).draw().map_err(|e| failed(&e))?;

        let all = calibration.bins.iter().map(|b| b.pixels).sum::<u64>().max(1) as f64;
        let share = |bin: &Bin| 100.0 * bin.pixels as f64 / all;
        let mut chart = ChartBuilder::on(&lower)
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..1.0, 0.0..100.0)
            .map_err(|e| failed(&e))?;
        let mut mesh = chart.configure_mesh();
        quiet_mesh(&mut mesh);
        mesh.y_labels(5).x_desc("confidence").y_desc("% of pixels");
        mesh.y_label_formatter(&|y| format!("{y:.0}")).draw().map_err(|e| failed(&e))?;
        let bars = calibration.bins.iter().enumerate();
        chart
            .draw_series(bars.map(|(i, bin)| Rectangle::new(bar(i, share(bin)), BLUE.mix(0.55).filled())))
            .map_err(|e| failed(&e))?;
        Ok(())
    })
}
