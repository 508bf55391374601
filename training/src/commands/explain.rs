//! `explain`

use super::begin;
use super::export::measured;
use crate::checkpoint::Checkpoint;
use crate::cli::ExplainArgs;
use crate::data::{Sample, Source, new_folder, read_picture};
use crate::error::{Kind, fault};
use crate::explain::{Explainer, Explanation, Question};
use crate::metrics::IGNORE;
use crate::plots;
use anyhow::Result;
use std::collections::BTreeSet;

/// Draws a sheet for every picture, and says in a line how sure the net was.
pub fn run(args: &ExplainArgs) -> Result<()> {
    let device = begin(&args.compute)?;
    let checkpoint = Checkpoint::read(&args.checkpoint)?;
    let (config, classes) = (&checkpoint.head.config, &checkpoint.head.classes);
    let temperature = match &args.measured {
        Some(path) => measured(path, classes)?.temperature.unwrap_or(1.0),
        None => 1.0,
    };
    let mut explainer = Explainer::open(&checkpoint, &device, temperature as f32)?;
    let question = Question {
        classes: args.classes.iter().map(|name| explainer.class(name)).collect::<Result<_>>()?,
        layer: args.layer.clone(),
        point: args.point.map(|p| (p.x, p.y)),
        size: args.size.map(|s| (s.width, s.height)),
    };
    let samples = samples(args, &checkpoint)?;
    new_folder(&args.out)?;
    println!(
        "{} ({}), confidence at temperature {temperature:.3}",
        config.name,
        config.net.kind.name()
    );
    let mut names = BTreeSet::new();
    for sample in &samples {
        let explanation = explainer.explain(sample, &question)?;
        let tiles = plots::tiles(sample, &explanation, classes, question.point);
        let size = (sample.width, sample.height);
        let name = free_name(&mut names, &sample.name);
        plots::explanation(&sample.name, size, &tiles, classes, &args.out.join(format!("{name}.png")))?;
        if args.maps {
            for tile in &tiles {
                plots::tile(tile, size, &args.out.join(format!("{name}-{}.png", tile.name)))?;
            }
        }
        println!("{}", summary(sample, &explanation));
    }
    println!("{} sheets in {}", samples.len(), args.out.display());
    Ok(())
}

fn samples(args: &ExplainArgs, checkpoint: &Checkpoint) -> Result<Vec<Sample>> {
    let data = args.data.configs()?;
    if data.is_empty() && args.pictures.is_empty() {
        return Err(fault(
            Kind::Usage,
            "name pictures, or labelled ones with --data DIR, --images DIR --labels DIR, or --config FILE",
        ));
    }
    let input = &checkpoint.head.config.input;
    let sources = Source::load_all(&data, &checkpoint.head.classes, (input.width, input.height))?;
    let plain = args.pictures.iter().map(|path| read_picture(path));
    let labelled = sources.into_iter().flat_map(|source| source.samples).map(Ok);
    plain.chain(labelled).collect()
}

/// The name, or with a number behind it where another picture has it.
fn free_name(taken: &mut BTreeSet<String>, name: &str) -> String {
    let name = name.replace(['/', '\\'], "-");
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or(name);
    taken.insert(free.clone());
    free
}

fn summary(sample: &Sample, explanation: &Explanation) -> String {
    let confidence = &explanation.certainty.confidence;
    let mean = |wanted: &dyn Fn(usize) -> bool| {
        let of: Vec<f32> = (0..confidence.len()).filter(|i| wanted(*i)).map(|i| confidence[i]).collect();
        match of.len() {
            0 => "-".into(),
            n => format!("{:.1} %", 100.0 * of.iter().sum::<f32>() / n as f32),
        }
    };
    let right = |i: usize| sample.labels[i] == explanation.prediction[i];
    let labelled = |i: usize| sample.labels[i] != IGNORE;
    let all = mean(&|_| true);
    if !(0..confidence.len()).any(labelled) {
        return format!("{}: mean confidence {all}", sample.name);
    }
    format!(
        "{}: mean confidence {all}, where it is right {}, where it is wrong {}",
        sample.name,
        mean(&|i| labelled(i) && right(i)),
        mean(&|i| labelled(i) && !right(i))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_one_name_do_not_overwrite_each_other() {
        let mut taken = BTreeSet::new();
        let names: Vec<_> = ["a", "a", "b/c", "a"].iter().map(|name| free_name(&mut taken, name)).collect();
        assert_eq!(names, ["a", "a-2", "b-c", "a-3"]);
    }
}
