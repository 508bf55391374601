//! How many pictures a second a loader prepares, with and without weather, so that one sees whether it keeps up with the steps:
//! `cargo run --release -p maskline-training --example loader -- CONFIG.toml [LOADERS]`.

use anyhow::{Context, Result, anyhow};
use maskline_training::config::RunConfig;
use maskline_training::data::{Loader, Plan, Recipe, Source};
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 7;
const BATCHES: usize = 40; // a round

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().context("usage: loader CONFIG.toml [LOADERS]")?;
    let loaders = args.next().map_or(Ok(1), |n| n.parse())?;
    let config = RunConfig::parse(&std::fs::read_to_string(&path)?).map_err(|e| anyhow!(e))?;
    let classes = config.read_classes().map_err(|e| anyhow!(e))?;
    let nominal = (config.input.width, config.input.height);
    let sources = Source::load_all(&config.data, &classes, nominal)?;
    let [width, height] = config.augment.crop.unwrap_or([nominal.0, nominal.1]);
    let recipe = |weather| {
        let mut augment = config.augment.clone();
        augment.weather = weather;
        Arc::new(Recipe {
            sources: sources.clone(),
            augment,
            input: config.contract_input(),
            size: (width as usize, height as usize),
            nominal: (nominal.0 as usize, nominal.1 as usize),
            batch: config.train.batch,
            sequence: config.train.sequence,
            seed: config.seed,
        })
    };
    let cases = [0.0, 0.5, 1.0].map(|share| (share, recipe(share)));
    let steps = Plan::new(&sources, config.seed, 0).steps(config.train.batch);
    let count = BATCHES.min(steps);
    let mut speeds = vec![Vec::new(); cases.len()];
    for round in 0..ROUNDS {
        for ((_, recipe), speeds) in cases.iter().zip(&mut speeds) {
            let start = Instant::now();
            let found = Loader::start(recipe, round as u32, 0..count, loaders).count();
            speeds.push((found * config.train.batch) as f64 / start.elapsed().as_secs_f64());
        }
    }
    println!(
        "{width}x{height}, batches of {}, {loaders} loaders: images/s, median (least) of {ROUNDS}",
        config.train.batch
    );
    for ((share, _), speeds) in cases.iter().zip(&mut speeds) {
        speeds.sort_by(f64::total_cmp);
        println!(
            "weather over {:3.0} %   {:7.1} ({:.1})",
            100.0 * share,
            speeds[ROUNDS / 2],
            speeds[0]
        );
    }
    Ok(())
}
