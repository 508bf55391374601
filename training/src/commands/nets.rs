//! `nets`

use super::read_config;
use crate::cli::NetsArgs;
use crate::error::{Kind, fault};
use crate::nets::{Encoder, Kind as NetKind, NetConfig};
use anyhow::Result;

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
        let usual = [1, 2, 4].map(strided).into_iter().filter(|net| net.multiple() <= 32); // few pictures have other sides
        nets.extend(usual.map(|net| (format!("{name} (default widths)"), net)));
        let mut memory = strided(if kind == NetKind::Fcn { 1 } else { 2 });
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

/// Lists nets with their parameters and cost.
pub fn run(args: &NetsArgs) -> Result<()> {
    let classes = maskline_models::classes::driving_classes().iter().filter(|c| !c.ignore).count();
    let mut nets = shapes();
    for path in &args.configs {
        let config = read_config(path)?;
        nets.push((config.name, config.net));
    }
    let (width, height) = (args.size.width, args.size.height);
    println!(
        "{:38} {:>12} {:>8}   {classes} classes, {width}x{height}",
        "net", "parameters", "GMACs"
    );
    for (name, net) in nets {
        let of = net.multiple();
        if !width.is_multiple_of(of) || !height.is_multiple_of(of) {
            return Err(fault(
                Kind::Usage,
                format!("--size is {width}x{height}, but {name} needs multiples of {of}"),
            ));
        }
        let cost = net.cost(classes, height as usize, width as usize);
        let mut options = format!("stem stride {}, widths {:?}", net.stem_stride, net.widths);
        if !net.depths.is_empty() {
            options += &format!(", depths {:?}", net.depths);
        }
        if net.memory > 0 {
            options += &format!(", memory {}", net.memory);
        }
        if net.heads > 0 {
            options += &format!(", heads {}", net.heads);
        }
        println!("{name:38} {:>12} {:>8.2}   {options}", cost.parameters, cost.gmacs());
    }
    Ok(())
}
