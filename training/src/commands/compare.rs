//! `compare`

use crate::cli::CompareArgs;
use crate::error::io_fault;
use crate::{compare, plots};
use anyhow::Result;

/// Prints the table, and writes and draws what was asked for.
pub fn run(args: &CompareArgs) -> Result<()> {
    let size = (args.size.width, args.size.height);
    let builtin = || maskline_models::builtin::names().into_iter().map(|name| format!("builtin:{name}"));
    let models: Vec<String> = if args.models.is_empty() {
        builtin().collect()
    } else {
        args.models.clone()
    };
    let mut points = models.iter().map(|m| compare::model(m, size)).collect::<Result<Vec<_>>>()?;
    points.append(&mut compare::papers(args.papers.as_deref(), size)?);
    print!("{}", compare::table(&points, size));
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&points)?;
        std::fs::write(path, json + "\n").map_err(|e| io_fault("write", path, e))?;
    }
    if let Some(path) = &args.plot {
        plots::accuracy(&points, size, path)?;
    }
    Ok(())
}
