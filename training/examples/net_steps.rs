//! Times a training step of every net in turn: `cargo run --release -p maskline-training --example net_steps`.

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use maskline_training::loss::LossConfig;
use maskline_training::nets::{Kind, Net, NetConfig};
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
    let mut times = vec![Vec::new(); nets.len()];
    for round in 0..=ROUNDS {
        for ((_, net), times) in nets.iter().zip(&mut times) {
            let start = Instant::now();
            loss.loss(net.forward(images.clone()), labels.clone(), None).backward();
            // The first round allocates.
            if round > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    println!("{n} pictures of {w}x{h}, {CLASSES} classes; forward and backward, ms: median (least) of {ROUNDS}");
    for ((kind, _), times) in nets.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("{:16} {:6.0} ({:.0})", kind.name(), 1e3 * times[ROUNDS / 2], 1e3 * times[0]);
    }
}
