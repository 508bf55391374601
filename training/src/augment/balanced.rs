//! Where to look so that rare classes are seen as often as common ones.

use crate::data::Sample;
use crate::metrics::IGNORE;
use crate::random::Random;

/// A pixel of a class that is drawn evenly over the classes of the sample, as x and y; none where nothing is labelled.
pub(super) fn pixel(sample: &Sample, random: &mut Random) -> Option<(usize, usize)> {
    let mut counts = [0; 256];
    sample.labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
    let classes: Vec<usize> = (0..usize::from(IGNORE)).filter(|class| counts[*class] > 0).collect();
    if classes.is_empty() {
        return None;
    }
    let class = classes[random.below(classes.len())];
    let number = random.below(counts[class]);
    let mut own = (0..sample.labels.len()).filter(|i| usize::from(sample.labels[*i]) == class);
    own.nth(number).map(|i| (i % sample.width, i / sample.width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_one_pixel_is_met_as_often_as_one_of_a_thousand() {
        let mut sample = Sample {
            name: String::new(),
            width: 40,
            height: 30,
            rgb: vec![0; 3600],
            labels: vec![3; 1200],
        };
        sample.labels[7 * 40 + 5] = 8;
        sample.labels[100..200].fill(IGNORE);
        let mut random = Random::of(&[1]);
        let drawn: Vec<_> = (0..400).filter_map(|_| pixel(&sample, &mut random)).collect();
        let rare = drawn.iter().filter(|at| **at == (5, 7)).count();
        assert!((150..250).contains(&rare), "{rare}");
        assert!(drawn.iter().all(|(x, y)| sample.labels[y * 40 + x] != IGNORE));
        sample.labels.fill(IGNORE);
        assert_eq!(pixel(&sample, &mut random), None);
    }
}
