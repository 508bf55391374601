//! A confusion matrix: for each true class, where its pixels went.

use super::{INK, PAPER, draw, failed};
use crate::metrics::Confusion;
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const CELL: i32 = 58;
const LEFT: i32 = 120;
const TOP: i32 = 120;

/// Draws the matrix, each row in per cent of its true class. `names` in the order of the classes.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn confusion(matrix: &Confusion, names: &[String], path: &Path) -> Result<()> {
    let n = matrix.classes();
    let side = |start: i32| (start + CELL * n as i32 + 24) as u32;
    draw(path, (side(LEFT), side(TOP)), PAPER, |area| {
        let text = |text: &str, at: (i32, i32), size: i32, pos: Pos, color: &RGBColor| {
            let style = ("sans-serif", size).into_font().color(color).pos(pos);
            area.draw_text(text, &style, at).map_err(|e| failed(&e))
        };
        let (left, middle) = (Pos::new(HPos::Left, VPos::Center), Pos::new(HPos::Center, VPos::Center));
        text(
            "true class in rows, what the model said in columns, % of the row",
            (14, 20),
            16,
            left,
            &INK,
        )?;
        for class in 0..n {
            let centre = CELL * class as i32 + CELL / 2;
            let name = names.get(class).map_or("", String::as_str);
            text(name, (LEFT - 8, TOP + centre), 15, Pos::new(HPos::Right, VPos::Center), &INK)?;
            // Every other name a line higher, so that long ones do not touch.
            text(name, (LEFT + centre, TOP - 14 - 22 * (class as i32 % 2)), 15, middle, &INK)?;
            let total: u64 = (0..n).map(|p| matrix.count(class, p)).sum();
            for said in 0..n {
                let share = if total > 0 {
                    matrix.count(class, said) as f64 / total as f64
                } else {
                    0.0
                };
                let (x, y) = (LEFT + CELL * said as i32, TOP + CELL * class as i32);
                let fade = |full: u8| (255.0 - share.sqrt() * (255.0 - f64::from(full))) as u8;
                let color = RGBColor(fade(23), fade(74), fade(140));
                let cell = Rectangle::new([(x, y), (x + CELL - 1, y + CELL - 1)], color.filled());
                area.draw(&cell).map_err(|e| failed(&e))?;
                let ink = if share > 0.3 { PAPER } else { INK };
                if total > 0 && share >= 0.0005 {
                    text(&format!("{:.1}", 100.0 * share), (x + CELL / 2, y + CELL / 2), 15, middle, &ink)?;
                }
            }
        }
        Ok(())
    })
}
