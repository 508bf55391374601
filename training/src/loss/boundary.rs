//! The boundary loss: how far from the true contour of its class probability lies.

use super::distance::distances;
use crate::metrics::IGNORE;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;

/// The mean over labelled pixels of the expected signed distance to the contour of the class that is drawn (Kervadec et al. 2019), in
/// pixels: above 0 outside of the class, 0 or less inside. Classes that a picture does not have count for nothing in it.
///
/// Takes scores `[n, classes, h, w]` and class numbers `[n, h, w]` (or [`IGNORE`]); gives one element. The distances are found on
/// the processor, whatever the device.
pub fn boundary(logits: Tensor<4>, labels: Tensor<3, Int>) -> Tensor<1> {
    let shape = logits.dims();
    let ids: Vec<i32> = labels.into_data().iter::<i32>().collect();
    let labelled = ids.iter().filter(|id| **id != i32::from(IGNORE)).count().max(1);
    let p = softmax(logits, 1);
    let distances = Tensor::from_data(TensorData::new(signed_distances(&ids, shape), shape), &p.device());
    (p * distances).sum().div_scalar(labelled as f32)
}

/// The signed distance of every pixel to every class, `[n, classes, h, w]`; 0 where the picture does not have the class or the pixel
/// is ignored.
fn signed_distances(ids: &[i32], [_, classes, h, w]: [usize; 4]) -> Vec<f32> {
    let plane = h * w;
    let mut all = vec![0.0; ids.len() * classes];
    all.par_chunks_exact_mut(plane).enumerate().for_each(|(i, signed)| {
        let ids = &ids[i / classes * plane..][..plane];
        let class = (i % classes) as i32;
        let inside: Vec<bool> = ids.iter().map(|id| *id == class).collect();
        let Some(outer) = distances(&inside, w) else { return };
        let outside: Vec<bool> = inside.iter().map(|i| !i).collect();
        let inner = distances(&outside, w); // none where the class fills the picture
        for (j, value) in signed.iter_mut().enumerate() {
            *value = match &inner {
                _ if ids[j] == i32::from(IGNORE) => 0.0,
                Some(inner) if inside[j] => 1.0 - inner[j], // the contour is part of the class
                _ => outer[j],
            };
        }
    });
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_slopes, case, value};
    use super::*;

    #[test]
    fn distances_are_below_0_inside_and_above_0_outside() {
        let ids = [0, 1, 1, 1, 255, 0];
        let signed = signed_distances(&ids, [1, 3, 1, 6]);
        assert_eq!(signed[..6], [0.0, 1.0, 2.0, 2.0, 0.0, 0.0]);
        assert_eq!(signed[6..12], [1.0, 0.0, -1.0, 0.0, 0.0, 2.0]);
        assert_eq!(signed[12..], [0.0; 6], "class 2 is not there");
    }

    #[test]
    fn two_pictures_have_distances_of_their_own() {
        let signed = signed_distances(&[0, 0, 1, 1, 1, 0], [2, 2, 1, 3]);
        assert_eq!(signed, [-1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 2.0, 1.0, 0.0, -1.0, 0.0, 1.0]);
    }

    #[test]
    fn the_loss_is_the_mean_of_the_expected_distances_and_falls_towards_the_truth() {
        // Two classes, the first two pixels of the first, the others of the second; even scores.
        let (logits, labels) = case(&[0.0; 8], &[0, 0, 1, 1]);
        // Distances of class 0: -1 0 1 2, of class 1: 2 1 0 -1
        let found = value(boundary(logits.clone(), labels.clone()));
        assert!((found - 0.5 * (2.0 + 2.0) / 4.0).abs() < 1e-6, "{found}");
        let (right, _) = case(&[9.0, 9.0, -9.0, -9.0, -9.0, -9.0, 9.0, 9.0], &[0, 0, 1, 1]);
        assert!(value(boundary(right, labels.clone())) < -0.49);
        // A mistake far from the contour costs more than one beside it.
        let (beside, _) = case(&[9.0, -9.0, -9.0, -9.0, -9.0, 9.0, 9.0, 9.0], &[0, 0, 1, 1]);
        let (far, _) = case(&[-9.0, 9.0, -9.0, -9.0, 9.0, -9.0, 9.0, 9.0], &[0, 0, 1, 1]);
        assert!(value(boundary(far, labels.clone())) > value(boundary(beside, labels.clone())) + 0.4);
        assert_slopes(logits, |x| boundary(x, labels.clone()));
    }
}
