//! What is written of every class map: JSON lines, and what an embedding program wants of it.

use super::FrameClasses;
use crate::pending::PendingFile;
use anyhow::Result;
use maskline_models::Class;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// One line of `--json` (docs/formats.md).
#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    pts_ns: u64,
    #[serde(serialize_with = "by_name")]
    share: &'a FrameClasses<'a>,
    inference_ms: f64,
}

fn by_name<S: Serializer>(frame: &FrameClasses<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let shares = frame.shares();
    let mut map = serializer.serialize_map(Some(shares.len()))?;
    for (class, share) in shares {
        map.serialize_entry(&class.name, &((share * 1e6).round() / 1e6))?;
    }
    map.end()
}

/// Writes the line of one frame.
pub(super) fn json_line(file: &mut PendingFile, frame: &FrameClasses<'_>) -> Result<()> {
    file.line(&Line {
        index: frame.index,
        pts_ns: frame.pts_ns,
        share: frame,
        inference_ms: (frame.inference.as_secs_f64() * 1e6).round() / 1e3,
    })
}

/// The share of every class that counts, in the order of the contract.
pub(super) fn shares<'a>(ids: &[u8], classes: &'a [Class]) -> Vec<(&'a Class, f64)> {
    let mut counts = [0_u64; 256];
    for id in ids {
        counts[usize::from(*id)] += 1;
    }
    let pixels = ids.len().max(1) as f64;
    let counted = classes.iter().filter(|c| !c.ignore);
    counted.map(|c| (c, counts[usize::from(c.id)] as f64 / pixels)).collect()
}
