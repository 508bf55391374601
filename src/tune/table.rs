//! The result for people.

use super::point::Point;
use super::{Tuned, Verdict, split};
use std::fmt;

impl fmt::Display for Tuned {
    /// The machine, the clip, a row a point from the fastest to the slowest, and what comes of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clip = &self.clip;
        let name = clip.name.as_deref().unwrap_or_default();
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "{name}: {}; {} frames in every run", clip.description, self.frames)?;
        writeln!(f, "{}\n", self.measures())?;
        let rows: Vec<_> = std::iter::once(self.heading())
            .chain(self.order().into_iter().map(|i| self.row(i)))
            .collect();
        let widths: Vec<_> = (0..COLUMNS)
            .map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0))
            .collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0..=LAST_WORD => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        write!(f, "\n* on the frontier: nothing is better in one and no worse in the others")?;
        write!(
            f,
            "\np95 ms: 95 % of the frames took at most so long from their arrival to the encoder; frames came at the clip's rate,"
        )?;
        write!(f, "\nor at 80 % of what the row can do")?;
        if let Verdict::Recommended { point, .. } = &self.verdict {
            let point = &self.points[*point];
            write!(
                f,
                "\n> recommended for {}: {}\n  {}",
                self.wanted(),
                self.describe(point),
                self.figures(point)
            )?;
        }
        Ok(())
    }
}

const COLUMNS: usize = 10;
/// The last column that is aligned to the left.
const LAST_WORD: usize = 3;

impl Tuned {
    /// What the reference and the columns are.
    fn measures(&self) -> String {
        let (net, (width, height)) = (&self.nets[self.reference.0], self.reference.1);
        let reference = format!("{} at {width}x{height} with every frame inferred", net.name);
        match self.reference_miou {
            Some(miou) => format!("mIoU against the labels, which is {:.1} % for {reference}", 100.0 * miou),
            None => format!("agreement with {reference}"),
        }
    }

    /// Numbers of the points from the fastest to the slowest.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.points.len()).collect();
        order.sort_by(|a, b| self.points[*b].faster(&self.points[*a], self.aim));
        order
    }

    fn heading(&self) -> [String; COLUMNS] {
        let quality = format!("{} %", self.quality_name());
        let names = "|model|precision|provider|size|sessions x threads|every|frames/s|p95 ms";
        let mut names = names.split('|').chain([quality.as_str()]);
        std::array::from_fn(|_| names.next().unwrap_or_default().to_owned())
    }

    fn row(&self, number: usize) -> [String; COLUMNS] {
        let point: &Point = &self.points[number];
        let (setup, net) = (&point.setup, &self.nets[point.setup.net]);
        let chosen = matches!(&self.verdict, Verdict::Recommended { point, .. } if *point == number);
        let mark = match (chosen, self.frontier[number]) {
            (true, true) => ">*",
            (true, false) => "> ",
            (false, true) => " *",
            (false, false) => "",
        };
        [
            mark.into(),
            net.name.clone(),
            net.precision.to_string(),
            setup.provider.to_string(),
            format!("{}x{}", setup.size.0, setup.size.1),
            split(setup.sessions, setup.threads),
            point.every.to_string(),
            format!("{:.1}", point.frames_per_s),
            point.latency_p95_ms.map_or("-".into(), |ms| format!("{ms:.0}")),
            format!("{:.2}", 100.0 * point.quality()),
        ]
    }
}
