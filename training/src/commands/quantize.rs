//! `quantize`

use super::outputs;
use crate::cli::{QuantizeActivations, QuantizeArgs, QuantizeRanges, QuantizeTo};
use crate::config::DataConfig;
use crate::data::{Sample, Source};
use crate::error::{Kind, fault};
use crate::files::write_whole;
use crate::quantize::{Activations, Int8, Keep, Labelled, Method, Pictures, Report, Scheme, Target, quantize, spread, takes};
use anyhow::Result;
use maskline_models::Model;
use std::path::Path;

/// Quantizes a model, prints how both compare and writes what was asked for.
pub fn run(args: &QuantizeArgs) -> Result<()> {
    let target = target(args)?;
    let model = Model::open(&args.model, None).map_err(|e| fault(Kind::Config, e))?;
    takes(&model)?;
    let inputs: Vec<&Path> = [Path::new(&args.model)]
        .into_iter()
        .chain(args.data.config.as_deref())
        .chain(args.data.folders())
        .collect();
    outputs::check(&[Some(&args.out), args.json.as_deref()], &inputs)?;
    let [learned, measured] = args.data.pair(&args.eval_split)?;
    if learned.is_empty() || measured.is_empty() {
        return Err(fault(
            Kind::Usage,
            "name the labelled pictures: --data DIR, --images DIR --labels DIR, or --config FILE with [[data]] and [[validation]]",
        ));
    }
    let load = |configs: &[DataConfig]| Source::load_all(configs, &model.contract.heads[0].classes, (480, 360));
    let sources = load(&learned)?;
    let (calibration, rest) = spread(&samples(&sources), args.samples);
    // without splits: measured on what is left
    let other = if learned == measured { None } else { Some(load(&measured)?) };
    let wants_check = matches!(
        target,
        Target::Int8(Int8 {
            keep: Keep::MaxLoss(_),
            ..
        })
    );
    let (check, rest) = match (wants_check, &other) {
        (false, _) => (Vec::new(), rest),
        (true, Some(_)) => spread(&rest, args.samples),
        (true, None) => spread(&rest, rest.len() / 2),
    };
    let evaluation = other.as_ref().map_or(rest, |o| samples(o));
    if evaluation.is_empty() || (wants_check && check.is_empty()) {
        let line = format!(
            "found {} pictures, and --samples {} leaves none to measure on: use fewer samples or more pictures",
            calibration.len(),
            args.samples
        );
        return Err(fault(Kind::BadInput, line));
    }
    let size = args.size.map(|s| (s.width, s.height));
    let labelled = |samples| Labelled { samples, size };
    let pictures = Pictures {
        calibration: labelled(&calibration),
        check: labelled(&check),
        evaluation: labelled(&evaluation),
        rendered: learned.iter().all(|entry| entry.rendered() > 0),
    };
    let name = args.name.clone().unwrap_or_else(|| {
        let suffix = match args.to {
            QuantizeTo::Int8 => "int8",
            QuantizeTo::F16 => "f16",
            QuantizeTo::WeightsInt8 => "weights-int8",
        };
        format!("{}-{suffix}", model.contract.name)
    });
    let described = |configs: &[DataConfig]| configs.iter().map(DataConfig::describe).collect::<Vec<_>>().join("; ");
    let words = [described(&learned), described(&measured)];
    let done = quantize(&model, target, name, pictures, &words, &|line| eprintln!("{line}"))?;
    write_whole(&args.out, &done.model.onnx)?;
    print(&done.report, &args.out, &words[1]);
    if let Some(path) = &args.json {
        outputs::write_json(path, &done.report)?;
    }
    Ok(())
}

fn samples(sources: &[Source]) -> Vec<&Sample> {
    sources.iter().flat_map(|s| &s.samples).collect()
}

/// What the arguments ask for; those that the target does not know are refused.
fn target(args: &QuantizeArgs) -> Result<Target> {
    let percentile = args.percentile.unwrap_or(99.99);
    if !(50.0..=100.0).contains(&percentile) {
        return Err(fault(Kind::Usage, format!("--percentile is {percentile}, wanted 50 to 100")));
    }
    if let Some(points) = args.max_loss.filter(|p| !p.is_finite()) {
        return Err(fault(
            Kind::Usage,
            format!("--max-loss is {points}, wanted points of mIoU such as 0.5"),
        ));
    }
    if args.to != QuantizeTo::Int8 {
        let given = [
            ("--ranges", args.ranges.is_some()),
            ("--percentile", args.percentile.is_some()),
            ("--weight-bits", args.weight_bits.is_some()),
            ("--activations", args.activations.is_some()),
            ("--float-layers", args.float_layers.is_some()),
            ("--max-loss", args.max_loss.is_some()),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
            return Err(fault(Kind::Usage, format!("{flag} belongs to --to int8: leave it out")));
        }
    }
    let ranges = match args.ranges.unwrap_or(QuantizeRanges::Percentile) {
        QuantizeRanges::Percentile => Method::Percentile(percentile),
        _ if args.percentile.is_some() => return Err(fault(Kind::Usage, "--percentile belongs to --ranges percentile: leave it out")),
        QuantizeRanges::Minmax => Method::MinMax,
        QuantizeRanges::Entropy => Method::Entropy,
    };
    Ok(match args.to {
        QuantizeTo::F16 => Target::F16,
        QuantizeTo::WeightsInt8 => Target::WeightsInt8,
        QuantizeTo::Int8 => Target::Int8(Int8 {
            ranges,
            scheme: Scheme {
                activations: match args.activations.unwrap_or(QuantizeActivations::U8) {
                    QuantizeActivations::U8 => Activations::U8,
                    QuantizeActivations::S8 => Activations::S8,
                },
                weight_bits: args.weight_bits.unwrap_or(7),
            },
            keep: match (args.float_layers, args.max_loss) {
                (Some(count), _) if count > 0 => Keep::Layers(count),
                (_, Some(points)) => Keep::MaxLoss(points),
                _ => Keep::Nothing,
            },
        }),
    })
}

fn print(report: &Report, out: &Path, measured: &str) {
    let size = |bytes: usize| format!("{:.2} MB", bytes as f64 / 1e6);
    let (speed, percent) = (&report.speed, |share: f64| format!("{:.2} %", 100.0 * share));
    println!("{} from {}: {}", out.display(), report.model, report.method);
    println!("measured on {} pictures: {measured}", report.pictures);
    println!("{:34} {:>12} {:>12}", "", "float", "quantized");
    let row = |what: &str, float: String, quantized: String| println!("{what:34} {float:>12} {quantized:>12}");
    row("mean IoU", percent(report.float.miou), percent(report.quantized.miou));
    row(
        "pixel accuracy",
        percent(report.float.pixel_accuracy),
        percent(report.quantized.pixel_accuracy),
    );
    let [width, height] = speed.size;
    row(
        &format!("{width}x{height} on this CPU, median"),
        format!("{:.1} ms", speed.float_ms),
        format!("{:.1} ms", speed.quantized_ms),
    );
    row("file", size(report.float_bytes), size(report.quantized_bytes));
    println!("{} of the pixels have the same class", percent(report.agreement));
    let times = if speed.ratio <= 1.0 {
        format!("{:.2} times as fast as the float model", 1.0 / speed.ratio)
    } else {
        format!("SLOWER than the float model: it takes {:.2} times as long", speed.ratio)
    };
    println!("on this CPU it is {times} (median of {} alternating pairs)", speed.pairs);
    for layer in &report.float_layers {
        println!(
            "in float: {} (alone in int8 it changes {} of the pixels)",
            layer.layer,
            percent(layer.changed)
        );
    }
}
