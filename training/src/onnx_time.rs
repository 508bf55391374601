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
    // Not zeros: those are faster where a net turns everything below 0 into them.
    let picture: Vec<f32> = (0..3 * width * height).map(|i| (i as f32 * 0.37).sin()).collect();
    let times = in_turn(models, &picture, (width, height), threads, rounds)?;
    Ok(times.into_iter().map(median).collect())
}

/// Milliseconds of every call, the rounds of each model; every round begins with another one of them.
///
/// # Errors
/// One line with exit code 78, if ONNX Runtime refuses a model or the size.
pub(crate) fn in_turn(
    models: &[&Model],
    picture: &[f32],
    (width, height): (usize, usize),
    threads: Option<usize>,
    rounds: usize,
) -> Result<Vec<Vec<f64>>> {
    let open = |model: &&Model| OnnxNet::open_on(model, None, threads);
    let mut nets = models.iter().map(open).collect::<Result<Vec<_>>>()?;
    let mut times = vec![Vec::new(); nets.len()];
    let mut order: Vec<usize> = (0..nets.len()).collect();
    for round in 0..WARM_UP + rounds {
        for &which in &order {
            let shape = match nets[which].layout() {
                Layout::Nchw => [1, 3, height, width],
                Layout::Nhwc => [1, height, width, 3],
            };
            let start = Instant::now();
            nets[which].class_map(picture, shape)?;
            if round >= WARM_UP {
                times[which].push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        order.rotate_left(1);
    }
    Ok(times)
}

/// Rounds that do not count: the first ones allocate.
const WARM_UP: usize = 2;

/// The middle one of times; no number where there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
