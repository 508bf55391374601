//! Training steps on request, for comparing them with those of another library (scripts/compare/torch_step.py):
//! `cargo run --release -p maskline-training --example torch_side -- NET THREADS BATCH WIDTH HEIGHT`, NET being `unet` or `fpn` with a
//! stem of stride 2.
//!
//! First it says how many parameters the net has. Then for every line of standard input, a number of steps, it makes so many and
//! prints the seconds; at its end it prints the most memory that it had, in MB.

use anyhow::{Context, Result, bail};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use maskline_training::loss::LossConfig;
use maskline_training::nets::{Kind, NetConfig};
use maskline_training::optimizer::OptimizerConfig;
use std::time::Instant;

const CLASSES: usize = 11;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [net, sizes @ ..] = &args[..] else {
        bail!("usage: torch_side NET THREADS BATCH WIDTH HEIGHT")
    };
    let sizes = sizes
        .iter()
        .map(|n| n.parse::<usize>())
        .collect::<Result<Vec<_>, _>>()
        .context("wanted numbers")?;
    let [threads, batch, width, height] = sizes[..] else {
        bail!("usage: torch_side NET THREADS BATCH WIDTH HEIGHT")
    };
    let kind = Kind::ALL.into_iter().find(|k| k.name() == net).context("there is no such net")?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    // On a thread of the pool, as `train` does.
    rayon::scope(|_| steps(kind, [batch, 3, height, width]))
}

fn steps(kind: Kind, shape: [usize; 4]) -> Result<()> {
    let [n, _, h, w] = shape;
    let device = Device::flex().autodiff();
    device.seed(1);
    let config = NetConfig {
        stem_stride: 2,
        ..NetConfig::new(kind)
    };
    println!("{}", config.cost(CLASSES, h, w).parameters);
    let mut net = config.init(CLASSES, &device);
    let options = OptimizerConfig::default();
    let mut optimizer = options.init(&net);
    let loss = LossConfig::default();
    let images = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let labels: Vec<i32> = (0..n * h * w)
        .map(|i| if i % 17 == 0 { 255 } else { (i / 997 % CLASSES) as i32 })
        .collect();
    let labels = Tensor::<3, Int>::from_data(TensorData::new(labels, [n, h, w]), &device);
    for line in std::io::stdin().lines() {
        let count: usize = line?.trim().parse().context("wanted a number of steps")?;
        let start = Instant::now();
        for _ in 0..count {
            let value = loss.loss(net.forward(images.clone()), labels.clone(), None);
            let grads = GradientsParams::from_grads(value.backward(), &net);
            net = optimizer.step(options.rate, net, grads);
        }
        println!("{}", start.elapsed().as_secs_f64());
    }
    println!("{:.0}", peak_mb()?);
    Ok(())
}

/// The most memory that this process had in RAM.
fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kb: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kb / 1024.0)
}
