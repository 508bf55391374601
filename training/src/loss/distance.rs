//! How far every pixel lies from a set of pixels.

/// Stands for "nowhere": no sum of squares of a picture's sides comes near.
const FAR: f32 = 1e12;

/// Euclidean distance of every pixel to the nearest pixel of a set, in pixels; `None` where the set is empty. Exact and in linear
/// time (Felzenszwalb and Huttenlocher 2012): squared distances along each row, then along each column.
pub(super) fn distances(inside: &[bool], width: usize) -> Option<Vec<f32>> {
    if !inside.contains(&true) {
        return None;
    }
    let height = inside.len() / width;
    let mut squares: Vec<f32> = inside.iter().map(|i| if *i { 0.0 } else { FAR }).collect();
    let mut hull = Hull::new(width.max(height));
    for row in squares.chunks_exact_mut(width) {
        hull.transform(row);
    }
    let mut column = vec![0.0; height];
    for x in 0..width {
        let places = (0..height).map(|y| y * width + x);
        column.iter_mut().zip(places.clone()).for_each(|(value, i)| *value = squares[i]);
        hull.transform(&mut column);
        column.iter().zip(places).for_each(|(value, i)| squares[i] = *value);
    }
    squares.iter_mut().for_each(|square| *square = square.sqrt());
    Some(squares)
}

/// The lower hull of parabolas, one over each place: where each begins to be the lowest.
struct Hull {
    tops: Vec<usize>,
    begins: Vec<f32>,
    values: Vec<f32>,
}

impl Hull {
    fn new(longest: usize) -> Self {
        Self {
            tops: Vec::with_capacity(longest),
            begins: Vec::with_capacity(longest),
            values: vec![0.0; longest],
        }
    }

    /// Replaces every value by the least `values[q] + (p - q)^2` over all places q.
    fn transform(&mut self, line: &mut [f32]) {
        let values = &mut self.values[..line.len()];
        values.copy_from_slice(line);
        self.tops.clear();
        self.begins.clear();
        for q in (0..line.len()).filter(|q| values[*q] < FAR) {
            let mut begin = f32::NEG_INFINITY;
            while let (Some(top), Some(last)) = (self.tops.last(), self.begins.last()) {
                let height = |p: usize| values[p] + (p * p) as f32;
                begin = (height(q) - height(*top)) / (2 * (q - top)) as f32;
                if begin > *last {
                    break;
                }
                self.tops.pop();
                self.begins.pop();
                begin = f32::NEG_INFINITY;
            }
            self.tops.push(q);
            self.begins.push(begin);
        }
        if self.tops.is_empty() {
            return;
        }
        let mut k = 0;
        for (p, value) in line.iter_mut().enumerate() {
            while k + 1 < self.tops.len() && self.begins[k + 1] < p as f32 {
                k += 1;
            }
            let top = self.tops[k];
            *value = values[top] + (p.abs_diff(top) * p.abs_diff(top)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn distances_are_those_of_looking_at_every_pixel() {
        let mut random = Random::of(&[4]);
        for (width, height, share) in [(13, 9, 0.05), (9, 14, 0.3), (1, 20, 0.2), (16, 1, 0.1), (20, 20, 0.01)] {
            let mut inside: Vec<bool> = (0..width * height).map(|_| random.chance(share)).collect();
            inside[random.below(width * height)] = true;
            let found = distances(&inside, width).unwrap();
            for (i, found) in found.iter().enumerate() {
                let to = |j: usize| ((i % width) as f32 - (j % width) as f32).hypot((i / width) as f32 - (j / width) as f32);
                let wanted = (0..inside.len()).filter(|j| inside[*j]).map(to).fold(f32::INFINITY, f32::min);
                assert!((found - wanted).abs() < 1e-4, "{width}x{height} at {i}: {found} {wanted}");
            }
        }
        assert_eq!(distances(&[false; 6], 3), None);
    }
}
