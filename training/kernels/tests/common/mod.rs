//! Numbers and comparisons for the kernel tests.
#![allow(dead_code)] // not every test file uses all of it

/// Reproducible numbers between -1 and 1.
pub fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

/// The inner product in f64.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Panics unless the slices differ by less than `tolerance` of the largest number of `wanted`.
#[track_caller]
pub fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32, what: impl std::fmt::Debug) {
    assert_eq!(found.len(), wanted.len(), "{what:?}");
    let scale = wanted.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!(
            (f - w).abs() <= tolerance * scale,
            "{what:?}: element {i} is {f}, the reference says {w}"
        );
    }
}
