//! ROC and precision over recall, a line a class.

use super::{Area, INK, PAPER, draw, failed, quiet_mesh};
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

/// The points of a line; `None` for a class without one.
type Line<'r> = Option<&'r [(f64, f64)]>;

/// Draws both charts beside each other and the areas of the classes beside them, 1560x700 pixels.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn ranking(ranking: &Ranking, path: &Path) -> Result<()> {
    let roc: Vec<Line<'_>> = ranking.classes.iter().map(|c| c.auc.map(|_| &c.roc[..])).collect();
    let recall: Vec<Line<'_>> = ranking
        .classes
        .iter()
        .map(|c| c.average_precision.map(|_| &c.precision_recall[..]))
        .collect();
    draw(path, (1560, 700), PAPER, |area| {
        let (left, rest) = area.split_horizontally(640);
        let (middle, right) = rest.split_horizontally(640);
        chart(&left, "ROC", ("false positive rate", "true positive rate"), &roc)?;
        chart(&middle, "precision over recall", ("recall", "precision"), &recall)?;
        areas(&right, &ranking.classes)
    })
}

fn chart(area: &Area<'_>, title: &str, axes: (&str, &str), lines: &[Line<'_>]) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(title, ("sans-serif", 18).into_font().color(&INK))
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)
        .map_err(|e| failed(&e))?;
    let mut mesh = chart.configure_mesh();
    quiet_mesh(&mut mesh);
    mesh.x_desc(axes.0).y_desc(axes.1).draw().map_err(|e| failed(&e))?;
    for (points, color) in lines.iter().zip(COLORS.iter().cycle()) {
        let points = points.iter().copied().flatten().copied();
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))
            .map_err(|e| failed(&e))?;
    }
    Ok(())
}

/// The legend: a line a class with both areas.
fn areas(area: &Area<'_>, classes: &[ClassRanking]) -> Result<()> {
    let style = ("sans-serif", 15).into_font().color(&INK);
    let text = |text: &str, x: i32, y: i32| area.draw_text(text, &style, (x, y)).map_err(|e| failed(&e));
    let number = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{v:.4}"));
    text("AUC", 150, 50)?;
    text("AP", 216, 50)?;
    for ((class, color), y) in classes.iter().zip(COLORS.iter().cycle()).zip((76..).step_by(24)) {
        let sample = PathElement::new([(4, y + 7), (26, y + 7)], color.stroke_width(3));
        area.draw(&sample).map_err(|e| failed(&e))?;
        text(&class.name, 34, y)?;
        text(&number(class.auc), 150, y)?;
        text(&number(class.average_precision), 216, y)?;
    }
    Ok(())
}
