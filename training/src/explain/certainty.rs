//! How sure a net is.

use crate::predict::softmax;

/// How sure a net is of each pixel; all values from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Certainty {
    /// Probability of the best class.
    pub confidence: Vec<f32>,
    /// How far that is above the probability of the second best.
    pub margin: Vec<f32>,
    /// Entropy of all probabilities as a share of the highest that there is: 0 for one certain class, 1 for all alike.
    pub entropy: Vec<f32>,
}

impl Certainty {
    /// From scores `[classes, pixels]`, which `temperature` divides before the softmax.
    pub fn of(scores: &[f32], pixels: usize, temperature: f32) -> Self {
        let mut shares: Vec<f32> = scores.iter().map(|score| score / temperature).collect();
        softmax(&mut shares, pixels);
        let (mut best, mut second, mut entropy) = (vec![0.0_f32; pixels], vec![0.0_f32; pixels], vec![0.0_f32; pixels]);
        for plane in shares.chunks_exact(pixels) {
            for (pixel, share) in plane.iter().enumerate() {
                second[pixel] = second[pixel].max(best[pixel].min(*share));
                best[pixel] = best[pixel].max(*share);
                if *share > 0.0 {
                    entropy[pixel] -= share * share.ln();
                }
            }
        }
        let most = ((scores.len() / pixels) as f32).ln().max(f32::MIN_POSITIVE);
        Self {
            margin: best.iter().zip(&second).map(|(best, second)| best - second).collect(),
            entropy: entropy.iter().map(|nats| (nats / most).clamp(0.0, 1.0)).collect(),
            confidence: best,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_score_comes_out() {
        // three classes, three pixels: all alike; one certain; odds of 3 to 1 to 0
        let scores = [1.0, 90.0, 3f32.ln(), 1.0, 0.0, 0.0, 1.0, 0.0, -90.0];
        let found = Certainty::of(&scores, 3, 1.0);
        let close = |found: &[f32], wanted: [f32; 3]| found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(&found.confidence, [1.0 / 3.0, 1.0, 0.75]), "{found:?}");
        assert!(close(&found.margin, [0.0, 1.0, 0.5]), "{found:?}");
        let nats = -(0.75 * 0.75f32.ln() + 0.25 * 0.25f32.ln());
        assert!(close(&found.entropy, [1.0, 0.0, nats / 3f32.ln()]), "{found:?}");
        let hot = Certainty::of(&scores, 3, 2.0);
        let root = 3f32.sqrt();
        assert!(close(&hot.confidence, [1.0 / 3.0, 1.0, root / (root + 1.0)]), "{hot:?}");
    }
}
