//! How a tensor's values are spread, in constant memory, and where its 8-bit range should end.

/// Bins of a histogram: enough that a range of a tenth of the values' own still has 400.
const BINS: usize = 4096;

/// What an 8-bit tensor can hold; 0 is always inside, because padding is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lowest value, at most 0.
    pub low: f32,
    /// Highest value, at least 0.
    pub high: f32,
}

impl Range {
    /// Just 0.
    pub const ZERO: Self = Self { low: 0.0, high: 0.0 };

    /// The range that holds `values` too. NaN and infinities make it infinite.
    pub fn with(self, values: &[f32]) -> Self {
        let finite = |v: f32| if v.is_nan() { f32::INFINITY } else { v };
        values.iter().fold(self, |range, &v| Self {
            low: range.low.min(finite(v)),
            high: range.high.max(finite(v)),
        })
    }

    /// Whether both ends are numbers.
    pub fn is_finite(self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}

/// Counts of values in equal steps over a range that is known beforehand.
#[derive(Debug, Clone)]
pub struct Histogram {
    range: Range,
    counts: Vec<u64>,
}

impl Histogram {
    /// An empty one.
    pub fn new(range: Range) -> Self {
        Self {
            range,
            counts: vec![0; BINS],
        }
    }

    fn step(&self) -> f32 {
        (self.range.high - self.range.low) / BINS as f32
    }

    /// Counts values. Zeros are left out: every scale holds them exactly, so they say nothing about the range, and behind a
    /// ReLU there are so many of them that they would hide all else.
    pub fn add(&mut self, values: &[f32]) {
        let step = self.step();
        if step <= 0.0 {
            return;
        }
        for &v in values.iter().filter(|v| **v != 0.0) {
            let bin = ((v - self.range.low) / step) as usize; // below 0 and NaN become 0
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// The range that leaves out `1 - share` of the values at each end.
    pub fn percentile(&self, share: f64) -> Range {
        let total: u64 = self.counts.iter().sum();
        let cut = ((1.0 - share) * total as f64) as u64;
        let end = |mut bins: Box<dyn Iterator<Item = usize>>| {
            let mut seen = 0;
            bins.find(|&bin| {
                seen += self.counts[bin];
                seen > cut
            })
        };
        let edge = |bin: usize| self.range.low + bin as f32 * self.step();
        let low = end(Box::new(0..BINS)).map_or(0.0, edge);
        let high = end(Box::new((0..BINS).rev())).map_or(0.0, |bin| edge(bin + 1));
        Range {
            low: low.min(0.0),
            high: high.max(0.0),
        }
    }

    /// The range whose quantized distribution differs least from the true one, by Kullback-Leibler divergence (Migacz, "8-bit
    /// inference with TensorRT", GTC 2017). One limit counts for both sides; a side without values costs no levels.
    pub fn entropy(&self) -> Range {
        let sided = self.range.low < 0.0 && self.range.high > 0.0;
        let levels = if sided { 128 } else { 256 };
        let largest = self.range.high.max(-self.range.low);
        let folded = self.magnitudes(largest);
        let best = (levels..=BINS)
            .step_by(16)
            .map(|bins| (divergence(&folded, bins, levels), bins))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let limit = best.map_or(largest, |(_, bins)| largest * bins as f32 / BINS as f32);
        Range {
            low: self.range.low.max(-limit),
            high: self.range.high.min(limit),
        }
    }

    fn magnitudes(&self, largest: f32) -> Vec<f64> {
        let mut folded = vec![0.0; BINS];
        if largest > 0.0 {
            for (bin, &count) in self.counts.iter().enumerate() {
                let middle = self.range.low + (bin as f32 + 0.5) * self.step();
                let at = (middle.abs() / largest * BINS as f32) as usize;
                folded[at.min(BINS - 1)] += count as f64;
            }
        }
        folded
    }
}

/// Divergence of the first `bins` magnitudes, with all larger ones moved into the last, from the same in `levels` steps.
fn divergence(magnitudes: &[f64], bins: usize, levels: usize) -> f64 {
    let mut truth = magnitudes[..bins].to_vec();
    truth[bins - 1] += magnitudes[bins..].iter().sum::<f64>();
    let mut coarse = vec![0.0; bins];
    for level in 0..levels {
        let (start, end) = (level * bins / levels, (level + 1) * bins / levels);
        let (inside, filled) = (&magnitudes[start..end], truth[start..end].iter().filter(|c| **c > 0.0).count());
        let sum: f64 = inside.iter().sum();
        for (value, truth) in coarse[start..end].iter_mut().zip(&truth[start..end]) {
            *value = if *truth > 0.0 { sum / filled as f64 } else { 0.0 };
        }
    }
    let (all, all_coarse): (f64, f64) = (truth.iter().sum(), coarse.iter().sum());
    if all == 0.0 || all_coarse == 0.0 {
        return f64::INFINITY;
    }
    let term = |(t, c): (&f64, &f64)| match (*t / all, *c / all_coarse) {
        (0.0, _) => 0.0,
        (t, c) => t * (t / c.max(1e-9)).ln(), // a filled bin that became empty costs much, yet not infinitely much
    };
    truth.iter().zip(&coarse).map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bell curve of width 1 with one value far outside.
    fn bell_with_outlier() -> (Vec<f32>, Range) {
        let mut values: Vec<f32> = Vec::new();
        for i in -400..=400 {
            let x = i as f32 / 100.0;
            values.extend(std::iter::repeat_n(x, (1000.0 * (-x * x / 2.0).exp()) as usize));
        }
        values.push(100.0);
        let range = Range::ZERO.with(&values);
        (values, range)
    }

    fn filled(values: &[f32], range: Range) -> Histogram {
        let mut histogram = Histogram::new(range);
        values.chunks(1000).for_each(|part| histogram.add(part));
        histogram
    }

    #[test]
    fn percentile_and_entropy_leave_an_outlier_outside_and_min_max_does_not() {
        let (values, range) = bell_with_outlier();
        assert_eq!(range.high, 100.0);
        let histogram = filled(&values, range);
        for (name, range) in [("percentile", histogram.percentile(0.9999)), ("entropy", histogram.entropy())] {
            assert!((2.5..20.0).contains(&range.high), "{name}: {range:?}");
            assert!((-5.0..-2.5).contains(&range.low), "{name}: {range:?}");
        }
    }

    #[test]
    fn a_range_without_outliers_is_kept() {
        let values: Vec<f32> = (0..=10_000).map(|i| i as f32 / 1000.0).collect(); // evenly spread over 0-10
        let histogram = filled(&values, Range::ZERO.with(&values));
        assert!((histogram.percentile(1.0).high - 10.0).abs() < 1e-3);
        assert!(histogram.entropy().high > 9.0, "{:?}", histogram.entropy());
        assert_eq!(histogram.entropy().low, 0.0);
    }

    #[test]
    fn zero_is_always_inside_and_zeros_do_not_count() {
        let values = [vec![0.0; 100_000], vec![2.0; 10], vec![3.0; 10]].concat();
        let histogram = filled(&values, Range::ZERO.with(&values));
        let range = histogram.percentile(0.999);
        assert!(range.low == 0.0 && range.high >= 3.0, "{range:?}");
        assert_eq!(filled(&[0.0; 5], Range::ZERO).percentile(0.9), Range::ZERO);
        assert_eq!(Histogram::new(Range::ZERO).entropy(), Range::ZERO);
        assert!(!Range::ZERO.with(&[f32::NAN]).is_finite());
    }
}
