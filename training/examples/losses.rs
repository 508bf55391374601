//! Times the losses on their own, and a whole training step with each: `cargo run --release -p maskline-training --example losses`.

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use maskline_training::loss::LossConfig;
use maskline_training::nets::{Kind, NetConfig};
use std::time::Instant;

const CLASSES: usize = 11;
const SHAPE: [usize; 4] = [4, 3, 288, 352]; // of the pictures
const ROUNDS: usize = 7;

fn main() {
    let device = Device::flex().autodiff();
    let [n, _, h, w] = SHAPE;
    let images = Tensor::<4>::random(SHAPE, Distribution::Normal(0.0, 1.0), &device);
    let labels: Vec<i32> = (0..n * h * w)
        .map(|i| if i % 17 == 0 { 255 } else { (i / 997 % CLASSES) as i32 })
        .collect();
    let labels = Tensor::<3, Int>::from_data(TensorData::new(labels, [n, h, w]), &device);
    let config: NetConfig = NetConfig {
        stem_stride: 2,
        ..NetConfig::new(Kind::Unet)
    };
    let net = config.init(CLASSES, &device);

    let none = LossConfig {
        cross_entropy: 0.0,
        ..LossConfig::default()
    };
    let losses = [
        ("cross-entropy", LossConfig::default()),
        (
            "with label smoothing",
            LossConfig {
                label_smoothing: 0.1,
                ..LossConfig::default()
            },
        ),
        (
            "focal",
            LossConfig {
                focal: 1.0,
                ..none.clone()
            },
        ),
        ("ohem", LossConfig { ohem: 1.0, ..none.clone() }),
        ("dice", LossConfig { dice: 1.0, ..none.clone() }),
        ("lovasz", LossConfig { lovasz: 1.0, ..none }),
        (
            "boundary beside it",
            LossConfig {
                boundary: 0.01,
                ..LossConfig::default()
            },
        ),
    ];
    let mut alone = vec![Vec::new(); losses.len()];
    let mut steps = vec![Vec::new(); losses.len()];
    for round in 0..=ROUNDS {
        for (i, (_, loss)) in losses.iter().enumerate() {
            let start = Instant::now();
            let logits = net.forward(images.clone());
            let leaf = logits.clone().detach().require_grad();
            loss.loss(logits, labels.clone(), None).backward();
            let step = start.elapsed().as_secs_f64();
            let start = Instant::now();
            loss.loss(leaf, labels.clone(), None).backward();
            // The first round allocates.
            if round > 0 {
                steps[i].push(step);
                alone[i].push(start.elapsed().as_secs_f64());
            }
        }
    }
    println!("{n} pictures of {w}x{h}, {CLASSES} classes; forward and backward, ms: median (least) of {ROUNDS}");
    for (i, (name, _)) in losses.iter().enumerate() {
        println!("{name:22} alone {}   with the net {}", times(&mut alone[i]), times(&mut steps[i]));
    }
}

fn times(seconds: &mut [f64]) -> String {
    seconds.sort_by(f64::total_cmp);
    format!("{:6.0} ({:.0})", 1e3 * seconds[seconds.len() / 2], 1e3 * seconds[0])
}
