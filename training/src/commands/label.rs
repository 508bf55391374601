//! `label`

use super::{begin_with, no_head_of_a_checkpoint};
use crate::cli::LabelArgs;
use crate::error::{Kind, fault};
use crate::eval::Subject;
use crate::label::{Acceptance, label};
use anyhow::Result;

/// Labels a folder of pictures, and says how much of them.
pub fn run(args: &LabelArgs) -> Result<()> {
    let usage = |line: String| fault(Kind::Usage, line);
    if !(0.0..=1.0).contains(&args.threshold) {
        return Err(usage(format!("--threshold is {}, wanted 0 to 1", args.threshold)));
    }
    if !(args.temperature > 0.0 && args.temperature.is_finite()) {
        return Err(usage(format!("--temperature is {}, wanted more than 0", args.temperature)));
    }
    no_head_of_a_checkpoint(args.head.as_deref(), &args.model)?;
    let device = begin_with(&args.compute, &args.model)?;
    let mut subject = Subject::open(&args.model, args.head.as_deref(), &device, args.compute.threads)?;
    let accept = Acceptance {
        threshold: args.threshold,
        temperature: args.temperature,
    };
    let size = args.size.map(|s| (s.width, s.height));
    let found = label(&mut subject, &args.images, &args.out, accept, size)?;
    println!("{} pictures; share of the pixels of each class:", found.pictures);
    for (name, share) in &found.shares {
        println!("  {name:14} {:6.2} %", 100.0 * share);
    }
    println!("  {:14} {:6.2} %   (id {})", "no label", 100.0 * found.unsure, found.unsure_id);
    println!(
        "to learn from them: kind = \"folders\", images = {:?}, labels = {:?}",
        args.images.display().to_string(),
        args.out.display().to_string()
    );
    Ok(())
}
