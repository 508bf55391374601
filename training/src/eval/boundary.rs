//! Boundary F1: how near the contours of predicted classes lie to the true ones (Csurka et al. 2013).

use crate::metrics::IGNORE;
use serde::Serialize;

/// Boundary F1 of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassBoundary {
    /// Its name.
    pub name: String,
    /// Mean over the pictures in which it has a contour, true or predicted; `None` where there is no such picture.
    pub f1: Option<f64>,
    /// Number of those pictures.
    pub pictures: u64,
}

/// Boundary F1 of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Boundary {
    /// How far a contour may lie from the true one and count as found, as a share of the picture's diagonal.
    pub tolerance: f64,
    /// Mean over the pictures of the mean over their classes; `None` where no picture has a contour.
    pub mean_f1: Option<f64>,
    /// Each class.
    pub classes: Vec<ClassBoundary>,
}

/// Counts picture by picture.
#[derive(Debug, Clone)]
pub struct BoundaryTally {
    tolerance: f64,
    classes: Vec<Mean>,
    pictures: Mean,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl BoundaryTally {
    /// Nothing counted yet. `tolerance` is a share of the diagonal.
    pub fn new(classes: usize, tolerance: f64) -> Self {
        Self {
            tolerance,
            classes: vec![Mean::default(); classes],
            pictures: Mean::default(),
        }
    }

    /// Counts one picture of `width` times `height` class numbers. Pixels labelled [`IGNORE`] belong to no class on either side,
    /// as in the boundary measure of Takikawa et al. (2019).
    pub fn add(&mut self, truth: &[u8], prediction: &[u8], (width, height): (usize, usize)) {
        let visible: Vec<u8> = truth
            .iter()
            .zip(prediction)
            .map(|(t, p)| if *t == IGNORE { IGNORE } else { *p })
            .collect();
        let near = disc(self.tolerance * (width as f64).hypot(height as f64));
        let (wanted, said) = (contours(truth, width), contours(&visible, width));
        let n = self.classes.len();
        let recall = found(&wanted, &said, (width, height), &near, n);
        let precision = found(&said, &wanted, (width, height), &near, n);
        let mut picture = Mean::default();
        for (mean, (recall, precision)) in self.classes.iter_mut().zip(recall.iter().zip(&precision)) {
            let f1 = match (recall.share(), precision.share()) {
                (None, None) => continue,
                (Some(r), Some(p)) if r + p > 0.0 => 2.0 * r * p / (r + p),
                _ => 0.0,
            };
            mean.add(f1);
            picture.add(f1);
        }
        if let Some(mean) = picture.value() {
            self.pictures.add(mean);
        }
    }

    /// The measures; `names` in the order of the classes.
    pub fn finish(&self, names: &[String]) -> Boundary {
        Boundary {
            tolerance: self.tolerance,
            mean_f1: self.pictures.value(),
            classes: names
                .iter()
                .zip(&self.classes)
                .map(|(name, mean)| ClassBoundary {
                    name: name.clone(),
                    f1: mean.value(),
                    pictures: mean.count,
                })
                .collect(),
        }
    }
}

/// The class of every pixel that has a neighbour (of four, inside the picture) of another class; all others are [`IGNORE`].
fn contours(map: &[u8], width: usize) -> Vec<u8> {
    let differs = |i: usize, class: u8| {
        let x = i % width;
        (x > 0 && map[i - 1] != class)
            || (x + 1 < width && map[i + 1] != class)
            || (i >= width && map[i - width] != class)
            || map.get(i + width).is_some_and(|other| *other != class)
    };
    map.iter()
        .enumerate()
        .map(|(i, class)| if differs(i, *class) { *class } else { IGNORE })
        .collect()
}

/// Steps to all pixels whose centre is at most `radius` away, the nearest first.
fn disc(radius: f64) -> Vec<(isize, isize)> {
    let reach = radius.floor() as isize;
    let squares = |(x, y): &(isize, isize)| x * x + y * y;
    let all = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (x, y)));
    let mut steps: Vec<_> = all.filter(|step| squares(step) as f64 <= radius * radius).collect();
    steps.sort_by_key(squares);
    steps
}

/// Contour pixels of a class, and how many of them lie near one of the other map.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    near: u64,
    all: u64,
}

impl Found {
    fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.near as f64 / self.all as f64)
    }
}

fn found(of: &[u8], other: &[u8], (width, height): (usize, usize), near: &[(isize, isize)], classes: usize) -> Vec<Found> {
    let mut counts = vec![Found::default(); classes];
    for (i, class) in of.iter().enumerate() {
        // A prediction outside of the classes is no class's contour; that it is wrong shows in the recall.
        let Some(count) = counts.get_mut(usize::from(*class)) else {
            continue;
        };
        let (x, y) = ((i % width) as isize, (i / width) as isize);
        let hit = near.iter().any(|(dx, dy)| {
            let (x, y) = (x + dx, y + dy);
            x >= 0 && y >= 0 && x < width as isize && y < height as isize && other[y as usize * width + x as usize] == *class
        });
        count.near += u64::from(hit);
        count.all += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Class 1 from column `from` on, class 0 before.
    fn halves(width: usize, height: usize, from: usize) -> Vec<u8> {
        (0..width * height).map(|i| u8::from(i % width >= from)).collect()
    }

    fn tally(tolerance: f64, truth: &[u8], prediction: &[u8], size: (usize, usize)) -> Boundary {
        let mut tally = BoundaryTally::new(3, tolerance);
        tally.add(truth, prediction, size);
        tally.finish(&["a".into(), "b".into(), "c".into()])
    }

    #[test]
    fn a_contour_counts_as_found_up_to_the_tolerance_and_not_beyond() {
        let size = (30, 40); // diagonal 50
        let truth = halves(30, 40, 10);
        for (shift, f1) in [(0, 1.0), (2, 1.0), (3, 0.0)] {
            let found = tally(2.0 / 50.0, &truth, &halves(30, 40, 10 + shift), size);
            assert_eq!(found.mean_f1, Some(f1), "shift {shift}");
            assert_eq!((found.classes[0].f1, found.classes[2].f1), (Some(f1), None));
        }
    }

    #[test]
    fn precision_and_recall_go_into_it() {
        // Truth: one line of class 1 at column 4. Said: the upper half of it, and as much again far away.
        let (width, height) = (20, 10);
        let truth: Vec<u8> = (0..200).map(|i| u8::from(i % width == 4)).collect();
        let said: Vec<u8> = (0..200)
            .map(|i| u8::from(i / width < 5 && (i % width == 4 || i % width == 15)))
            .collect();
        let found = tally(0.0, &truth, &said, (width, height));
        // 5 of 10 true pixels found, 5 of 10 said ones right.
        assert_eq!(found.classes[1].f1, Some(0.5));
    }

    #[test]
    fn the_edge_of_the_picture_is_no_contour_and_ignored_pixels_hide_what_is_said_there() {
        let size = (8, 8);
        assert_eq!(tally(0.01, &[0; 64], &[0; 64], size).mean_f1, None);
        // What the net says about unlabelled columns changes nothing.
        let truth: Vec<u8> = (0..64).map(|i| if i % 8 < 3 { IGNORE } else { 0 }).collect();
        let said: Vec<u8> = (0..64).map(|i| u8::from(i % 8 == 1)).collect();
        assert_eq!(tally(0.0, &truth, &said, size).mean_f1, Some(1.0));
    }

    #[test]
    fn a_class_that_is_only_said_lowers_the_mean() {
        let mut said = vec![0; 64];
        said[27] = 2;
        let found = tally(0.0, &[0; 64], &said, (8, 8));
        assert_eq!((found.classes[2].f1, found.classes[2].pictures), (Some(0.0), 1));
        assert_eq!(found.mean_f1, Some(0.0));
    }
}
