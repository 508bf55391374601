//! `compare`

use super::outputs;
use crate::cli::CompareArgs;
use crate::{compare, plots};
use anyhow::Result;
use std::path::Path;

/// Prints the table, and writes and draws what was asked for.
pub fn run(args: &CompareArgs) -> Result<()> {
    let size = (args.size.width, args.size.height);
    let builtin = || maskline_models::builtin::names().into_iter().map(|name| format!("builtin:{name}"));
    let models: Vec<String> = if args.models.is_empty() {
        builtin().collect()
    } else {
        args.models.clone()
    };
    let inputs: Vec<&Path> = models.iter().map(Path::new).chain(args.papers.as_deref()).collect();
    outputs::check(&[args.json.as_deref(), args.plot.as_deref()], &inputs)?;
    let mut points = models.iter().map(|m| compare::model(m, size)).collect::<Result<Vec<_>>>()?;
    points.append(&mut compare::papers(args.papers.as_deref(), size)?);
    print!("{}", compare::table(&points, size));
    if let Some(path) = &args.json {
        outputs::write_json(path, &points)?;
    }
    if let Some(path) = &args.plot {
        plots::accuracy(&points, size, path)?;
    }
    Ok(())
}
