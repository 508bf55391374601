//! How long ONNX Runtime takes for a picture, without anything around it.

use crate::onnx_run::OnnxNet;
use anyhow::Result;
use maskline_models::Model;
use maskline_models::contract::Layout;
use std::time::Instant;

/// Median milliseconds of a call on the processor for one picture of that size, for each model. The models run in turn, so that
/// whatever else the machine does meets all of them. `threads`: of ONNX Runtime, all cores where none are named.
///
/// # Errors
/// One line with exit code 78, if ONNX Runtime refuses a model or the size.
pub fn medians_ms(models: &[&Model], (width, height): (usize, usize), threads: Option<usize>, rounds: usize) -> Result<Vec<f64>> {
    let mut nets = Vec::new();
    for model in models {
        nets.push(OnnxNet::open_on(model, None, threads)?);
    }
    // Not zeros: those are faster where a net turns everything below 0 into them.
    let picture: Vec<f32> = (0..3 * width * height).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut times = vec![Vec::new(); nets.len()];
    for round in 0..=rounds {
        for (net, times) in nets.iter_mut().zip(&mut times) {
            let shape = match net.layout() {
                Layout::Nchw => [1, 3, height, width],
                Layout::Nhwc => [1, height, width, 3],
            };
            let start = Instant::now();
            net.class_map(&picture, shape)?;
            // The first round allocates.
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// The middle one of times; no number where there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
