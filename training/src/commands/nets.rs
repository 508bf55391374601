//! `nets`

use super::{outputs, read_config};
use crate::cli::{NetsArgs, Size};
use crate::config::InputConfig;
use crate::error::{Kind, fault};
use crate::export::{ExportOptions, bare_contract, record};
use crate::nets::{Encoder, Kind as NetKind, NetConfig};
use crate::{device, onnx_cost, onnx_time};
use anyhow::Result;
use maskline_models::contract::Size as ModelSize;
use maskline_models::{Model, classes::driving_classes};
use serde::Serialize;
use std::borrow::Cow;
use std::path::Path;

/// What is listed: a net by its configuration, or a model in a file.
enum Net {
    Shape(NetConfig),
    File(Box<Model>),
}

/// A line of the list.
#[derive(Serialize)]
struct Row {
    name: String,
    parameters: usize,
    /// Sides of pictures must be multiples of it.
    multiple: u32,
    /// In the order of the sizes.
    costs: Vec<Cost>,
    /// What shapes it, for nets of configurations.
    #[serde(skip_serializing_if = "Option::is_none")]
    net: Option<NetConfig>,
}

#[derive(Serialize)]
struct Cost {
    size: Size,
    gmacs: f64,
    /// Milliseconds of a bare call of ONNX Runtime, median; where they were asked for.
    ms: Option<f64>,
}

/// The whole list.
#[derive(Serialize)]
struct List {
    classes: usize,
    /// Threads of ONNX Runtime; `None`: all cores.
    threads: Option<usize>,
    nets: Vec<Row>,
}

/// Lists nets with their parameters and cost.
pub fn run(args: &NetsArgs) -> Result<()> {
    let inputs: Vec<&Path> = args.nets.iter().map(Path::new).collect();
    outputs::check(&[args.json.as_deref()], &inputs)?;
    let classes = driving_classes().iter().filter(|c| !c.ignore).count();
    let mut nets = if args.only {
        Vec::new()
    } else {
        shapes().into_iter().map(|(name, net)| (name, Net::Shape(net))).collect()
    };
    for name in &args.nets {
        nets.push(named(name)?);
    }
    for (name, net) in &nets {
        args.sizes.iter().try_for_each(|size| fits(name, net, *size))?;
    }
    let mut rows = nets
        .iter()
        .map(|(name, net)| row(name, net, classes, &args.sizes))
        .collect::<Result<Vec<_>>>()?;
    if args.time {
        time(args, &nets, &mut rows)?;
    }
    print(args, classes, &rows);
    if let Some(path) = &args.json {
        let list = List {
            classes,
            threads: args.threads,
            nets: rows,
        };
        outputs::write_json(path, &list)?;
    }
    Ok(())
}

/// Channels of the memory of those that are listed with one.
const MEMORY: usize = 64;

/// One net of every shape, with its default widths.
fn shapes() -> Vec<(String, NetConfig)> {
    let mut nets = Vec::new();
    for kind in NetKind::ALL {
        let name = kind.name();
        let strided = |stem_stride| NetConfig {
            stem_stride,
            ..NetConfig::new(kind)
        };
        // Attention to more places than a stem of 4 leaves takes more memory than most machines have.
        let (strides, stride) = match kind {
            NetKind::Segformer => (&[4][..], 4),
            NetKind::Fcn => (&[1, 2, 4][..], 1),
            _ => (&[1, 2, 4][..], 2),
        };
        let usual = strides.iter().map(|stride| strided(*stride)).filter(|net| net.multiple() <= 32); // few pictures have other sides
        nets.extend(usual.map(|net| (format!("{name} (default widths)"), net)));
        let mut memory = strided(stride);
        memory.memory = MEMORY;
        nets.push((format!("{name} with a memory"), memory));
        if kind == NetKind::Unet {
            let (mut residual, mut separable) = (strided(2), strided(2));
            (residual.residual, separable.separable) = (true, true);
            nets.push((format!("{name}, residual"), residual));
            nets.push((format!("{name}, separable"), separable));
        }
        if matches!(kind, NetKind::Unet | NetKind::Fcn) {
            let encoders = [Encoder::Vgg16, Encoder::Vgg16Bn];
            nets.extend(encoders.map(|e| (format!("{name}, encoder {}", e.name()), NetConfig::new(kind).with_encoder(e))));
        }
    }
    nets
}

fn named(name: &str) -> Result<(String, Net)> {
    if name.ends_with(".toml") {
        let config = read_config(Path::new(name))?;
        return Ok((config.name, Net::Shape(config.net)));
    }
    let model = Model::open(name, None).map_err(|e| fault(Kind::Config, e))?;
    Ok((name.into(), Net::File(Box::new(model))))
}

/// What the sides of a file's pictures must be multiples of.
fn multiple(model: &Model) -> u32 {
    match model.contract.input.size {
        ModelSize::Multiple { of, .. } => of,
        ModelSize::Fixed { .. } => 1,
    }
}

/// Refuses a size that a net cannot take.
fn fits(name: &str, net: &Net, size: Size) -> Result<()> {
    match net {
        Net::File(model) => onnx_cost::fits(model, (size.width, size.height)),
        Net::Shape(net) => {
            let of = net.multiple();
            if size.width.is_multiple_of(of) && size.height.is_multiple_of(of) {
                return Ok(());
            }
            Err(fault(Kind::Usage, format!("--size is {size}, but {name} needs multiples of {of}")))
        }
    }
}

fn row(name: &str, net: &Net, classes: usize, sizes: &[Size]) -> Result<Row> {
    let (mut costs, mut parameters) = (Vec::new(), 0);
    for size in sizes {
        let (width, height) = (size.width as usize, size.height as usize);
        let cost = match net {
            Net::Shape(net) => net.cost(classes, height, width),
            Net::File(model) => onnx_cost::cost(model, width, height)?,
        };
        parameters = cost.parameters;
        costs.push(Cost {
            size: *size,
            gmacs: cost.gmacs(),
            ms: None,
        });
    }
    let (net, multiple) = match net {
        Net::Shape(net) => (Some(net.clone()), net.multiple()),
        Net::File(model) => (None, multiple(model)),
    };
    let name = name.to_owned();
    Ok(Row {
        name,
        parameters,
        multiple,
        costs,
        net,
    })
}

/// Measures all nets in turn, one size after the other.
fn time(args: &NetsArgs, nets: &[(String, Net)], rows: &mut [Row]) -> Result<()> {
    let models = nets
        .iter()
        .map(|(_, net)| match net {
            Net::Shape(net) => exported(net).map(Cow::Owned),
            Net::File(model) => Ok(Cow::Borrowed(&**model)),
        })
        .collect::<Result<Vec<_>>>()?;
    let models: Vec<&Model> = models.iter().map(|m| &**m).collect();
    for (i, size) in args.sizes.iter().enumerate() {
        let size = (size.width as usize, size.height as usize);
        let medians = onnx_time::medians_ms(&models, size, args.threads, args.rounds)?;
        rows.iter_mut().zip(medians).for_each(|(row, ms)| row.costs[i].ms = Some(ms));
    }
    Ok(())
}

/// A net with random weights as an ONNX file in memory: weights have no say in its speed.
fn exported(net: &NetConfig) -> Result<Model> {
    let of = net.multiple();
    let input = InputConfig {
        width: 2 * of,
        height: 2 * of,
        ..InputConfig::default()
    };
    let contract = bare_contract(net.kind.name(), input.contract_input(of), driving_classes());
    let device = device::choose("cpu").map_err(|e| fault(Kind::Config, e))?;
    let classes = contract.heads[0].scored().count();
    let exported = record(&net.init(classes, &device), net, contract, &ExportOptions::default())?;
    let name = exported.contract.name;
    Model::from_bytes(name, Cow::Owned(exported.bytes), None).map_err(|e| fault(Kind::Internal, e))
}

fn print(args: &NetsArgs, classes: usize, rows: &[Row]) {
    let mut head = format!("{:38} {:>12}", "net", "parameters");
    for size in &args.sizes {
        head += &format!(" {:>17}", format!("GMACs {size}"));
        if args.time {
            head += &format!(" {:>9}", "ms");
        }
    }
    println!("{head}   {classes} classes");
    for row in rows {
        let mut line = format!("{:38} {:>12}", row.name, row.parameters);
        for cost in &row.costs {
            line += &format!(" {:>17.2}", cost.gmacs);
            if let Some(ms) = cost.ms {
                line += &format!(" {ms:>9.1}");
            }
        }
        if let Some(net) = &row.net {
            line += &format!("   stem stride {}, widths {:?}", net.stem_stride, net.widths);
            if !net.depths.is_empty() {
                line += &format!(", depths {:?}", net.depths);
            }
            if net.heads > 0 {
                line += &format!(", heads {}", net.heads);
            }
            if net.memory > 0 {
                line += &format!(", memory {}", net.memory);
            }
        }
        println!("{line}");
    }
    if args.time {
        let threads = args.threads.map_or_else(|| "all cores".into(), |n| format!("{n} threads"));
        println!(
            "ms: a bare call of ONNX Runtime on {threads}, median of {} rounds in turn",
            args.rounds
        );
    }
}
