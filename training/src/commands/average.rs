//! `average`

use super::export::measured;
use super::outputs;
use crate::average::{Named, average, contract, normal};
use crate::cli::AverageArgs;
use crate::error::{Kind, fault};
use crate::files::write_whole;
use anyhow::Result;
use maskline_models::Model;
use std::path::Path;

/// Writes the mean of models.
pub fn run(args: &AverageArgs) -> Result<()> {
    let usage = |line: String| fault(Kind::Usage, line);
    let shares = match &args.shares[..] {
        [] => vec![1.0; args.models.len()],
        shares if shares.len() == args.models.len() => shares.to_vec(),
        shares => {
            return Err(usage(format!(
                "--shares has {} numbers, wanted {}, one for each model",
                shares.len(),
                args.models.len()
            )));
        }
    };
    if let Some(share) = shares.iter().find(|share| !(**share > 0.0 && share.is_finite())) {
        return Err(usage(format!("--shares has {share}, wanted numbers above 0")));
    }
    let inputs: Vec<&Path> = args.models.iter().map(Path::new).chain(args.measured.as_deref()).collect();
    outputs::check(&[Some(&args.out)], &inputs)?;
    let open = |name: &String| Model::open(name, None).map_err(|e| fault(Kind::Config, e));
    let models: Vec<Model> = args.models.iter().map(open).collect::<Result<_>>()?;
    let named = Named {
        name: args.name.clone(),
        licence: args.licence.clone(),
    };
    let measured = match &args.measured {
        Some(path) => Some(measured(path, &models[0].contract.heads[0].classes)?),
        None => None,
    };
    let shares = normal(&shares);
    let mut contract = contract(&models, &shares, &named)?;
    if let Some(measured) = measured {
        measured.put_into(&mut contract);
    }
    let mean = average(&models, &shares, &contract)?;
    write_whole(&args.out, &mean.onnx)?;
    println!("{}: {:.2} MB", args.out.display(), mean.onnx.len() as f64 / 1e6);
    for part in mean.contract.training.iter().flat_map(|training| &training.averaged) {
        println!("  {part}");
    }
    Ok(())
}
