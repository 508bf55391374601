//! Times the kernels on the layers of typical nets: `cargo run --release -p maskline-kernels --example speed`.

use maskline_kernels::conv_transpose::UpShape;
use maskline_kernels::conv2d::ConvShape;
use maskline_kernels::{Isa, batch_norm, conv_transpose, conv2d, cross_entropy, depthwise, pool, residual};
use std::time::Instant;

/// The best of several runs, in seconds.
fn best(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    for round in 0.. {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
        if round >= 3 && begin.elapsed().as_secs_f64() > 0.4 {
            break;
        }
    }
    best
}

fn floats(len: usize) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

fn main() {
    let isas = if std::env::args().any(|a| a == "--all") {
        Isa::available().into_iter().chain(Isa::bf16()).collect()
    } else {
        vec![Isa::best()]
    };
    for isa in isas {
        println!(
            "{isa:?}, {} threads; GFLOP/s of forward, input gradient, weight gradient",
            rayon::current_num_threads()
        );
        for (batch, inputs, outputs, height, width, kernel) in [
            (4, 12, 24, 176, 240, 3),
            (4, 24, 24, 176, 240, 3),
            (4, 16, 16, 192, 256, 3),
            (4, 48, 24, 176, 240, 3),
            (4, 48, 48, 88, 120, 3),
            (4, 96, 96, 44, 60, 3),
            (4, 128, 128, 22, 30, 3),
            (4, 160, 160, 11, 15, 3),
            (4, 320, 160, 11, 15, 3),
            (4, 24, 11, 176, 240, 1),
            (4, 96, 96, 44, 60, 1),
        ] {
            let shape = ConvShape {
                batch,
                in_channels: inputs,
                out_channels: outputs,
                height,
                width,
                kernel,
            };
            let (x, w, mut y) = (floats(shape.input_len()), floats(shape.weight_len()), floats(shape.output_len()));
            let (mut dx, mut dw) = (x.clone(), w.clone());
            let forward = best(|| conv2d::forward(isa, shape, &x, &w, None, &mut y));
            let input = best(|| conv2d::input_gradient(isa, shape, &y, &w, &mut dx));
            let weight = best(|| conv2d::weight_gradient(isa, shape, &x, &y, &mut dw));
            let speeds = [forward, input, weight].map(|s| shape.flops() as f64 / s / 1e9);
            println!("conv{kernel}x{kernel} {inputs:3}->{outputs:3} {width}x{height} b{batch}: {speeds:6.1?}");
        }
        for (inputs, outputs, height, width) in [(48, 24, 88, 120), (160, 128, 11, 15)] {
            let shape = UpShape {
                batch: 4,
                in_channels: inputs,
                out_channels: outputs,
                height,
                width,
            };
            let (x, w, mut y) = (floats(shape.input_len()), floats(shape.weight_len()), floats(shape.output_len()));
            let (mut dx, mut dw) = (x.clone(), w.clone());
            let forward = best(|| conv_transpose::forward(isa, shape, &x, &w, None, &mut y));
            let input = best(|| conv_transpose::input_gradient(isa, shape, &y, &w, &mut dx));
            let weight = best(|| conv_transpose::weight_gradient(isa, shape, &x, &y, &mut dw));
            let speeds = [forward, input, weight].map(|s| shape.flops() as f64 / s / 1e9);
            println!("up2x2 {inputs:3}->{outputs:3} {width}x{height} b4: {speeds:6.1?}");
        }
        others(isa);
    }
}

/// The operations that memory bounds: milliseconds at 24 channels, 240x176, batch 4.
fn others(isa: Isa) {
    let (batch, channels, height, width) = (4, 24, 176, 240);
    let len = batch * channels * height * width;
    let (x, dy, mut y) = (floats(len), floats(len), vec![0.0; len]);
    let parameters = floats(channels);
    let ms = |seconds: f64| (seconds * 1e5).round() / 100.0;

    let shape = batch_norm::NormShape {
        batch,
        channels,
        plane: height * width,
        relu: true,
    };
    let stats = batch_norm::forward(isa, shape, &x, &parameters, &parameters, 1e-5, &mut y);
    let forward = best(|| drop(batch_norm::forward(isa, shape, &x, &parameters, &parameters, 1e-5, &mut y)));
    let backward = best(|| drop(batch_norm::backward(isa, shape, &x, &parameters, &parameters, &stats, &dy, &mut y)));
    println!("batch norm + relu: {} ms forward, {} ms backward", ms(forward), ms(backward));

    let forward = best(|| residual::forward(isa, &x, &dy, &mut y));
    let mut dx = vec![0.0; len];
    let backward = best(|| residual::backward(isa, &y, &dy, &mut dx));
    println!("sum of a residual block: {} ms forward, {} ms backward", ms(forward), ms(backward));

    let shape = pool::PoolShape {
        planes: batch * channels,
        height,
        width,
    };
    let (mut small, mut corner) = (vec![0.0; shape.output_len()], vec![0; shape.output_len()]);
    let forward = best(|| pool::forward(isa, shape, &x, &mut small, &mut corner));
    let backward = best(|| pool::backward(isa, shape, &small, &corner, &mut y));
    println!("max pool: {} ms forward, {} ms backward", ms(forward), ms(backward));

    let shape = depthwise::DepthwiseShape {
        batch,
        channels,
        height,
        width,
    };
    let (w, mut dw) = (floats(channels * 9), vec![0.0; channels * 9]);
    let forward = best(|| depthwise::forward(isa, shape, &x, &w, None, &mut y));
    let weight = best(|| depthwise::weight_gradient(isa, shape, &x, &dy, &mut dw));
    println!("depthwise: {} ms forward, {} ms weight gradient", ms(forward), ms(weight));

    let shape = cross_entropy::LossShape {
        batch,
        classes: 12,
        plane: 2 * height * width,
    };
    let labels: Vec<i32> = (0..batch * shape.plane).map(|i| (i / 7 % 12) as i32).collect();
    let loss = best(|| {
        cross_entropy::value_and_gradient(isa, shape, &x, &labels, None, Some(11), &mut y);
    });
    println!("cross entropy of 12 classes, twice the pixels: {} ms", ms(loss));
}
