//! Times a training step of every net in turn, in every precision that the CPU has: `cargo run --release -p maskline-training --example
//! net_steps`, with `RAYON_NUM_THREADS=1` on one thread.

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use maskline_training::loss::LossConfig;
use maskline_training::nets::{Kind, Net, NetConfig};
use maskline_training::ops::Precision;
use std::time::Instant;

const CLASSES: usize = 11;
const SHAPE: [usize; 4] = [4, 3, 288, 352]; // of the pictures
const ROUNDS: usize = 7;

fn main() {
    let device = Device::flex().autodiff();
    let [n, _, h, w] = SHAPE;
    let images = Tensor::<4>::random(SHAPE, Distribution::Normal(0.0, 1.0), &device);
    let labels: Vec<i32> = (0..n * h * w).map(|i| (i / 997 % CLASSES) as i32).collect();
    let labels = Tensor::<3, Int>::from_data(TensorData::new(labels, [n, h, w]), &device);
    let loss = LossConfig::default();
    let nets: Vec<(Kind, Net)> = Kind::ALL
        .iter()
        .map(|kind| {
            let config = NetConfig {
                stem_stride: if *kind == Kind::Segformer { 4 } else { 2 },
                ..NetConfig::new(*kind)
            };
            (*kind, config.init(CLASSES, &device))
        })
        .collect();
    let precisions: Vec<Precision> = [Precision::F32, Precision::Bf16]
        .into_iter()
        .filter(|precision| precision.check(&device).is_ok())
        .collect();
    let mut times = vec![vec![Vec::new(); precisions.len()]; nets.len()];
    for round in 0..=ROUNDS {
        for ((_, net), times) in nets.iter().zip(&mut times) {
            for (precision, times) in precisions.iter().zip(times) {
                let _held = precision.hold();
                let start = Instant::now();
                loss.loss(net.forward(images.clone()), labels.clone(), None).backward();
                // The first round allocates.
                if round > 0 {
                    times.push(start.elapsed().as_secs_f64());
                }
            }
        }
    }
    println!("{n} pictures of {w}x{h}, {CLASSES} classes; forward and backward, ms: median (least) of {ROUNDS}, in {precisions:?}");
    for ((kind, _), times) in nets.iter().zip(&mut times) {
        print!("{:16}", kind.name());
        for times in times {
            times.sort_by(f64::total_cmp);
            print!(" {:6.0} ({:.0})", 1e3 * times[ROUNDS / 2], 1e3 * times[0]);
        }
        println!();
    }
}
