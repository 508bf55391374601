//! `nets`

use super::read_config;
use crate::cli::NetsArgs;
use crate::error::{Kind, fault};
use crate::nets::{Kind as NetKind, NetConfig};
use anyhow::Result;

/// Channels of the memory of those that are listed with one.
const MEMORY: usize = 64;

/// Lists nets with their parameters and cost.
pub fn run(args: &NetsArgs) -> Result<()> {
    let classes = maskline_models::classes::driving_classes().iter().filter(|c| !c.ignore).count();
    let mut nets = Vec::new();
    for kind in NetKind::ALL {
        for stem_stride in [1, 2] {
            let mut net = NetConfig::new(kind);
            net.stem_stride = stem_stride;
            nets.push((format!("{} (default widths)", kind.name()), net.clone()));
            if stem_stride == 2 {
                net.memory = MEMORY;
                nets.push((format!("{} with a memory", kind.name()), net));
            }
        }
    }
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
        println!("{name:38} {:>12} {:>8.2}   {options}", cost.parameters, cost.gmacs());
    }
    Ok(())
}
