//! Pictures of a batch mixed with each other: CutMix, ClassMix and mixup.

use super::Augment;
use crate::data::{Batch, Second};
use crate::metrics::IGNORE;
use crate::random::Random;
use serde::{Deserialize, Serialize};

/// How two pictures become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mix {
    /// A rectangle of the other picture with its labels (Yun et al. 2019).
    Cutmix,
    /// Half of the classes of the other picture with their pixels (Olsson et al. 2021).
    Classmix,
    /// The mean of both, one of them counting more, and both labels (Zhang et al. 2018).
    Mixup,
}

/// Mixes the pictures of a batch, each with another one of it as that was before. Sequences stay as they are.
pub(crate) fn mix(augment: &Augment, batch: &mut Batch, random: &mut Random) {
    let Some(kind) = augment.mix.filter(|_| batch.count > 1 && batch.frames == 1) else {
        return;
    };
    let before = batch.clone();
    let pixels = batch.width * batch.height;
    let mut blend = 0.0;
    if kind == Mix::Mixup {
        blend = beta(augment.mix_alpha, random); // one for the batch, so that its loss is a sum of two
        batch.second = Some(Second {
            labels: before.labels.clone(),
            share: blend,
        });
    }
    for picture in 0..batch.count {
        if !random.chance(augment.mix_share) {
            continue;
        }
        let other = (picture + 1 + random.below(batch.count - 1)) % batch.count;
        let labels = &before.labels[other * pixels..][..pixels];
        match kind {
            Mix::Cutmix => {
                let share = beta(augment.mix_alpha, random);
                let inside = rectangle(share, (batch.width, batch.height), random);
                paste(batch, &before, picture, other, inside);
            }
            Mix::Classmix => {
                let taken = half_of_classes(labels, random);
                paste(batch, &before, picture, other, |i| taken[usize::from(labels[i])]);
            }
            Mix::Mixup => merge(batch, &before, picture, other, blend),
        }
    }
}

/// Copies the pixels that are `inside` from another picture, with their labels.
fn paste(batch: &mut Batch, before: &Batch, picture: usize, other: usize, inside: impl Fn(usize) -> bool) {
    let pixels = batch.width * batch.height;
    for i in (0..pixels).filter(|i| inside(*i)) {
        batch.labels[picture * pixels + i] = before.labels[other * pixels + i];
        for channel in 0..3 {
            batch.images[(3 * picture + channel) * pixels + i] = before.images[(3 * other + channel) * pixels + i];
        }
    }
}

/// Blends another picture in. A pixel without label in one of both has none.
fn merge(batch: &mut Batch, before: &Batch, picture: usize, other: usize, share: f32) {
    let pixels = batch.width * batch.height;
    let theirs = &before.images[3 * other * pixels..][..3 * pixels];
    for (value, their) in batch.images[3 * picture * pixels..][..3 * pixels].iter_mut().zip(theirs) {
        *value += share * (their - *value);
    }
    let Some(second) = &mut batch.second else { return };
    let first = &mut batch.labels[picture * pixels..][..pixels];
    let second = &mut second.labels[picture * pixels..][..pixels];
    let theirs = &before.labels[other * pixels..][..pixels];
    for ((first, second), their) in first.iter_mut().zip(second).zip(theirs) {
        *second = *their;
        if *first == IGNORE || *their == IGNORE {
            (*first, *second) = (IGNORE, IGNORE);
        }
    }
}

/// A rectangle in the form of the picture that covers that share of it, anywhere in it.
fn rectangle(share: f32, (width, height): (usize, usize), random: &mut Random) -> impl Fn(usize) -> bool {
    let side = |whole: usize| ((whole as f32 * share.sqrt()).round() as usize).min(whole);
    let (wide, high) = (side(width), side(height));
    let (left, top) = (random.below(width - wide + 1), random.below(height - high + 1));
    move |i| (left..left + wide).contains(&(i % width)) && (top..top + high).contains(&(i / width))
}

/// Which labels to take: half of the classes that occur, and one at least.
fn half_of_classes(labels: &[u8], random: &mut Random) -> [bool; 256] {
    let mut occurs = [false; 256];
    labels.iter().for_each(|label| occurs[usize::from(*label)] = true);
    let mut classes: Vec<usize> = (0..usize::from(IGNORE)).filter(|class| occurs[*class]).collect();
    random.shuffle(&mut classes);
    let mut taken = [false; 256];
    let half = classes.len().div_ceil(2);
    classes[..half].iter().for_each(|class| taken[*class] = true);
    taken
}

/// A number from the beta distribution with both parameters `alpha`, above 0 and up to 1 (Johnk 1964).
fn beta(alpha: f32, random: &mut Random) -> f32 {
    let power = 1.0 / f64::from(alpha);
    loop {
        let [x, y] = [random.unit(), random.unit()].map(|u| f64::from(u).powf(power));
        if x + y > 0.0 && x + y <= 1.0 {
            return (x / (x + y)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: usize = 8 * 6;

    /// Three pictures whose every value is their number, each with two classes of its own; the last pixel has no label.
    fn batch() -> Batch {
        let label = |i: usize| {
            if i % PIXELS == PIXELS - 1 {
                IGNORE
            } else {
                (2 * (i / PIXELS) + i % 2) as u8
            }
        };
        Batch {
            images: (0..9 * PIXELS).map(|i| (i / (3 * PIXELS)) as f32).collect(),
            labels: (0..3 * PIXELS).map(label).collect(),
            second: None,
            count: 3,
            frames: 1,
            width: 8,
            height: 6,
        }
    }

    fn mixed(kind: Mix, seed: u64) -> Batch {
        let augment = Augment {
            mix: Some(kind),
            mix_share: 1.0,
            ..Augment::none()
        };
        let mut batch = batch();
        mix(&augment, &mut batch, &mut Random::of(&[seed]));
        batch
    }

    #[test]
    fn pasted_pixels_bring_their_labels_with_them() {
        for kind in [Mix::Cutmix, Mix::Classmix] {
            let mut pasted = 0;
            for seed in 0..20 {
                let batch = mixed(kind, seed);
                for (i, label) in batch.labels.iter().enumerate().filter(|(_, label)| **label != IGNORE) {
                    let (picture, pixel) = (i / PIXELS, i % PIXELS);
                    let colours = [0, 1, 2].map(|c| batch.images[(3 * picture + c) * PIXELS + pixel]);
                    assert_eq!(colours, [f32::from(label / 2); 3], "{kind:?} {seed} {i}");
                    pasted += usize::from(usize::from(label / 2) != picture);
                }
            }
            assert!((500..2400).contains(&pasted), "{kind:?}: {pasted} of {}", 20 * 3 * PIXELS);
        }
    }

    #[test]
    fn classmix_takes_one_of_two_classes_whole() {
        let batch = mixed(Mix::Classmix, 1);
        for picture in 0..3 {
            let own = batch.labels[picture * PIXELS..][..PIXELS - 1].iter();
            let foreign: Vec<u8> = own.copied().filter(|label| usize::from(label / 2) != picture).collect();
            assert!((23..=24).contains(&foreign.len()) && foreign.iter().all(|label| *label == foreign[0]));
        }
    }

    #[test]
    fn mixup_blends_pictures_and_keeps_both_labels() {
        let batch = mixed(Mix::Mixup, 2);
        let second = batch.second.clone().unwrap();
        for i in 0..3 * PIXELS {
            let (picture, pixel) = (i / PIXELS, i % PIXELS);
            let (first, other) = (batch.labels[i], second.labels[i]);
            if pixel == PIXELS - 1 {
                assert_eq!((first, other), (IGNORE, IGNORE));
                continue;
            }
            assert!(usize::from(first / 2) == picture && first / 2 != other / 2 && first % 2 == other % 2);
            let (from, to) = (f32::from(first / 2), f32::from(other / 2));
            assert!((batch.images[3 * picture * PIXELS + pixel] - (from + second.share * (to - from))).abs() < 1e-6);
        }
    }

    #[test]
    fn a_share_of_none_and_a_single_picture_stay_as_they_are() {
        let mut augment = Augment {
            mix: Some(Mix::Cutmix),
            mix_share: 0.0,
            ..Augment::none()
        };
        let mut three = batch();
        mix(&augment, &mut three, &mut Random::of(&[1]));
        assert_eq!(three, batch());
        augment.mix_share = 1.0;
        let mut one = batch();
        (one.count, one.second) = (1, None);
        let before = one.clone();
        mix(&augment, &mut one, &mut Random::of(&[1]));
        assert_eq!(one, before);
    }

    #[test]
    fn beta_is_even_at_1_and_at_both_ends_near_0() {
        let mut random = Random::of(&[9]);
        let mut share = |alpha: f32| (0..2000).filter(|_| (0.25..0.75).contains(&beta(alpha, &mut random))).count() as f64 / 2000.0;
        let (even, ends) = (share(1.0), share(0.2));
        assert!((even - 0.5).abs() < 0.05, "{even}");
        assert!((ends - 0.172).abs() < 0.04, "{ends}"); // the integral of its density
    }
}
