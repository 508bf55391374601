//! ROC and precision over recall, a line a class.

use super::{Area, GRID, INK, PAPER, draw, failed};
use crate::eval::{ClassRanking, Ranking};
use anyhow::Result;
use plotters::prelude::*;
use std::path::Path;

/// Colours that stay apart on white; classes beyond them begin anew.
const COLORS: [RGBColor; 12] = [
    RGBColor(31, 95, 168),
    RGBColor(205, 96, 24),
    RGBColor(46, 125, 70),
    RGBColor(190, 30, 45),
    RGBColor(120, 70, 160),
    RGBColor(125, 85, 60),
    RGBColor(215, 90, 170),
    RGBColor(90, 90, 96),
    RGBColor(150, 150, 20),
    RGBColor(20, 160, 180),
    RGBColor(230, 160, 0),
    RGBColor(0, 0, 0),
];

/// What a line is called, and its points; `None` for a class without one.
type Line = Option<(String, Vec<(f64, f64)>)>;

/// Draws both charts beside each other, 1440x760 pixels.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn ranking(ranking: &Ranking, path: &Path) -> Result<()> {
    draw(path, (1440, 760), PAPER, |area| {
        let (left, right) = area.split_horizontally(720);
        let roc = |c: &ClassRanking| c.auc.map(|auc| (format!("{} {auc:.3}", c.name), c.roc.clone()));
        let recall = |c: &ClassRanking| {
            let area = c.average_precision?;
            Some((format!("{} {area:.3}", c.name), c.precision_recall.clone()))
        };
        let lines = |line: &dyn Fn(&ClassRanking) -> Line| ranking.classes.iter().map(line).collect::<Vec<_>>();
        chart(
            &left,
            "ROC (area)",
            ("false positive rate", "true positive rate"),
            &lines(&roc),
            SeriesLabelPosition::LowerRight,
        )?;
        chart(
            &right,
            "precision over recall (average precision)",
            ("recall", "precision"),
            &lines(&recall),
            SeriesLabelPosition::LowerLeft,
        )
    })
}

fn chart(area: &Area<'_>, title: &str, axes: (&str, &str), lines: &[Line], legend: SeriesLabelPosition) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(title, ("sans-serif", 18).into_font().color(&INK))
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)
        .map_err(|e| failed(&e))?;
    chart
        .configure_mesh()
        .light_line_style(PAPER)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 15).into_font().color(&INK))
        .x_desc(axes.0)
        .y_desc(axes.1)
        .draw()
        .map_err(|e| failed(&e))?;
    for (i, line) in lines.iter().enumerate() {
        let Some((name, points)) = line else { continue };
        let color = COLORS[i % COLORS.len()];
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))
            .map_err(|e| failed(&e))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], color.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(PAPER.mix(0.85))
        .border_style(GRID)
        .label_font(("sans-serif", 15).into_font().color(&INK))
        .draw()
        .map_err(|e| failed(&e))
}
