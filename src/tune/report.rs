//! The result as JSON (docs/formats.md).

use super::wish::{Floor, Goal};
use super::{Net, Tuned, Verdict};
use crate::bench::{ClipUsed, Machine};
use maskline_models::Precision;
use serde::Serialize;

/// Everything that was found.
#[derive(Serialize)]
pub struct Json<'a> {
    maskline: &'a str,
    machine: &'a Machine,
    clip: &'a ClipUsed,
    frames: u64,
    models: Vec<JsonNet<'a>>,
    reference: JsonReference<'a>,
    wanted: Wanted,
    points: Vec<JsonPoint<'a>>,
    recommended: Option<usize>,
    pipeline: Option<&'a str>,
    shortfall: Option<String>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct JsonNet<'a> {
    name: &'a str,
    origin: &'a str,
    sha256: &'a str,
    precision: Precision,
}

#[derive(Serialize)]
struct JsonReference<'a> {
    model: &'a str,
    width: u32,
    height: u32,
    miou: Option<f64>,
}

#[derive(Serialize)]
struct Wanted {
    speed: Option<Goal>,
    quality: Option<Floor>,
}

#[derive(Serialize)]
struct JsonPoint<'a> {
    model: &'a str,
    precision: Precision,
    provider: &'a str,
    width: u32,
    height: u32,
    sessions: usize,
    threads: usize,
    every: String,
    frames_per_s: f64,
    latency_p95_ms: Option<f64>,
    agreement: f64,
    miou: Option<f64>,
    frontier: bool,
    confirmed: bool,
}

impl<'a> From<&'a Net> for JsonNet<'a> {
    fn from(net: &'a Net) -> Self {
        Self {
            name: &net.name,
            origin: &net.origin,
            sha256: &net.sha256,
            precision: net.precision,
        }
    }
}

/// The result, to be written as JSON.
pub fn report(tuned: &Tuned) -> Json<'_> {
    let (reference, (width, height)) = (&tuned.nets[tuned.reference.0], tuned.reference.1);
    let point = |i: usize| {
        let (point, setup) = (&tuned.points[i], &tuned.points[i].setup);
        let net = &tuned.nets[setup.net];
        JsonPoint {
            model: &net.name,
            precision: net.precision,
            provider: setup.provider.as_str(),
            width: setup.size.0,
            height: setup.size.1,
            sessions: setup.sessions,
            threads: setup.threads,
            every: point.every.to_string(),
            frames_per_s: point.frames_per_s,
            latency_p95_ms: point.latency_p95_ms,
            agreement: point.agreement,
            miou: point.miou,
            frontier: tuned.frontier[i],
            confirmed: point.confirmed,
        }
    };
    let (recommended, pipeline, shortfall) = match &tuned.verdict {
        Verdict::Frontier => (None, None, None),
        Verdict::Recommended { point, pipeline } => (Some(*point), Some(pipeline.as_str()), None),
        Verdict::Impossible(shortfall) => (None, None, Some(tuned.shortfall(shortfall))),
    };
    Json {
        maskline: env!("CARGO_PKG_VERSION"),
        machine: &tuned.machine,
        clip: &tuned.clip,
        frames: tuned.frames,
        models: tuned.nets.iter().map(JsonNet::from).collect(),
        reference: JsonReference {
            model: &reference.name,
            width,
            height,
            miou: tuned.reference_miou,
        },
        wanted: Wanted {
            speed: tuned.wish.goal,
            quality: tuned.wish.floor,
        },
        points: (0..tuned.points.len()).map(point).collect(),
        recommended,
        pipeline,
        shortfall,
        notes: &tuned.notes,
    }
}
