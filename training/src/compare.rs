//! Models beside published ones: how accurate they are, what they cost, and under which conditions that was measured.

use crate::checkpoint::Checkpoint;
use crate::error::{Kind, fault, io_fault};
use crate::lineage::Lineage;
use crate::nets::Cost;
use crate::onnx_cost;
use anyhow::Result;
use maskline_models::Model;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The published results that come with the program.
const PAPERS: &str = include_str!("../papers.toml");

/// On which pictures accuracy was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The validation split, on which a run also chooses its best weights.
    Val,
    /// The test split.
    Test,
    /// Other pictures.
    Other,
}

/// A model with its accuracy and its cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// Whether it is one of the models that were asked for, and not a published one.
    pub ours: bool,
    /// Mean IoU, %.
    pub miou: f64,
    /// On which pictures.
    pub split: Split,
    /// Width and height at which it was measured, pixels.
    pub size: Option<[u32; 2]>,
    /// What it was trained on besides the training pictures of that data set; empty for nothing.
    pub besides: String,
    /// It learned from rendered scenes alone, and no other picture chose among its weights.
    pub rendered_only: bool,
    /// Parameters, where they are known.
    pub parameters: Option<f64>,
    /// Thousands of millions of multiplications with additions for a picture of the size asked for, where they are known.
    pub gmacs: Option<f64>,
    /// Where the figures are from.
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Papers {
    paper: Vec<Paper>,
}

/// A published result.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    name: String,
    miou: f64,
    split: Split,
    size: [u32; 2],
    besides: String,
    #[serde(default)]
    parameters_m: Option<f64>,
    /// With the picture size that they are for.
    #[serde(default)]
    gmacs: Option<Gmacs>,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gmacs {
    value: f64,
    size: [u32; 2],
}

/// Published results: those of a TOML, or those that come with the program. Multiplications are scaled by the number of pixels to
/// a picture of `size`: the nets are convolutions.
///
/// # Errors
/// If the file cannot be read (exit code 74) or used (78, with the line).
pub fn papers(path: Option<&Path>, size: (u32, u32)) -> Result<Vec<Point>> {
    let (name, text) = match path {
        None => ("papers.toml".into(), PAPERS.to_owned()),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| io_fault("read", path, e))?;
            (path.display().to_string(), text)
        }
    };
    let wrong = |e: toml::de::Error| {
        fault(
            Kind::Config,
            format!(
                "{name}: {}",
                e.to_string().trim().lines().map(str::trim).collect::<Vec<_>>().join(" ")
            ),
        )
    };
    let papers: Papers = toml::from_str(&text).map_err(wrong)?;
    let pixels = |[width, height]: [u32; 2]| f64::from(width) * f64::from(height);
    let mut points = Vec::new();
    for paper in papers.paper {
        let cost = paper.gmacs.iter().map(|g| g.value);
        let sizes = paper.gmacs.iter().map(|g| g.size).chain([paper.size]);
        let positive = cost.chain(paper.parameters_m).all(|v| v > 0.0) && sizes.flatten().all(|side| side > 0);
        if !positive || !(0.0..=100.0).contains(&paper.miou) {
            let line = format!(
                "{name}: {} has a figure out of range, wanted mIoU of 0 to 100 % and cost and sizes above 0",
                paper.name
            );
            return Err(fault(Kind::Config, line));
        }
        points.push(Point {
            name: paper.name,
            ours: false,
            miou: paper.miou,
            split: paper.split,
            size: Some(paper.size),
            besides: paper.besides,
            rendered_only: false,
            parameters: paper.parameters_m.map(|m| m * 1e6),
            gmacs: paper.gmacs.map(|g| g.value * pixels([size.0, size.1]) / pixels(g.size)),
            source: paper.source,
        });
    }
    Ok(points)
}

/// One of our models: an ONNX file or `builtin:NAME` with the mIoU of its contract, or the JSON of `eval` with the model that it
/// measured. `size`: width and height that its cost is for.
///
/// # Errors
/// If a file cannot be read (exit code 74), or there is no model or no mIoU in it (78).
pub fn model(name: &str, size: (u32, u32)) -> Result<Point> {
    if name.ends_with(".json") {
        return measured(Path::new(name), size);
    }
    let model = Model::open(name, None).map_err(|e| fault(Kind::Config, e))?;
    let training = model.contract.training.as_ref();
    let (Some(training), Some(miou)) = (training, training.and_then(|t| t.miou)) else {
        let line = format!("the contract of {name} names no mIoU: measure it with `eval {name} --json FILE.json` and name that file");
        return Err(fault(Kind::Config, line));
    };
    onnx_cost::fits(&model, size)?;
    let cost = onnx_cost::cost(&model, size.0 as usize, size.1 as usize)?;
    Ok(ours(
        model.contract.name.clone(),
        miou,
        &training.split,
        &Lineage::of_model(&model),
        cost,
    ))
}

/// What is needed of the JSON of `eval`.
#[derive(Deserialize)]
struct Measured {
    model: String,
    data: Vec<String>,
    scores: MeasuredScores,
}

#[derive(Deserialize)]
struct MeasuredScores {
    miou: f64,
}

fn measured(path: &Path, size: (u32, u32)) -> Result<Point> {
    let text = std::fs::read_to_string(path).map_err(|e| io_fault("read", path, e))?;
    let json: Measured =
        serde_json::from_str(&text).map_err(|e| fault(Kind::BadInput, format!("{} is not the JSON of `eval`: {e}", path.display())))?;
    let (miou, on) = (json.scores.miou, json.data.join("; "));
    let (width, height) = (size.0 as usize, size.1 as usize);
    if json.model.ends_with(".ckpt") {
        let head = Checkpoint::read(Path::new(&json.model))?.head;
        let lineage = head.lineage();
        let cost = head.config.net.cost(head.scored(), height, width);
        return Ok(ours(head.config.name, miou, &on, &lineage, cost));
    }
    let model = Model::open(&json.model, None).map_err(|e| fault(Kind::Config, e))?;
    let cost = onnx_cost::cost(&model, width, height)?;
    Ok(ours(model.contract.name.clone(), miou, &on, &Lineage::of_model(&model), cost))
}

fn ours(name: String, miou: f64, on: &str, lineage: &Lineage, cost: Cost) -> Point {
    Point {
        name,
        ours: true,
        miou: 100.0 * miou,
        split: split_of(on),
        size: None,
        besides: besides(&lineage.data, on),
        rendered_only: lineage.rendered_only,
        parameters: Some(cost.parameters as f64),
        gmacs: Some(cost.gmacs()),
        source: on.into(),
    }
}

/// The split that a description of data names.
fn split_of(on: &str) -> Split {
    let names = |split: &str| on.split(|c: char| c.is_whitespace() || ",;".contains(c)).any(|word| word == split);
    match (names("val"), names("test")) {
        (true, false) => Split::Val,
        (false, true) => Split::Test,
        _ => Split::Other,
    }
}

/// What a model was trained on besides pictures of the kind of data set that it was measured on, both as descriptions of data; "only"
/// if it has seen none of those.
fn besides(data: &[String], on: &str) -> String {
    let mut others: Vec<&str> = Vec::new();
    let mut only = true;
    for description in data {
        let other = match description.split_whitespace().next().unwrap_or_default() {
            "synth" => "rendered scenes",
            "weights" => description,
            kind => kind,
        };
        if on.split_whitespace().any(|word| word == other) {
            only = false;
        } else if !others.contains(&other) {
            others.push(other);
        }
    }
    let only = if only && !others.is_empty() { " only" } else { "" };
    others.join(", ") + only
}

/// The points as a Markdown table, the best first; `size` as for the costs.
pub fn table(points: &[Point], size: (u32, u32)) -> String {
    let mut rows: Vec<&Point> = points.iter().collect();
    rows.sort_by(|a, b| b.miou.total_cmp(&a.miou));
    let number = |v: Option<f64>, digits: usize| v.map_or_else(|| "-".into(), |v| format!("{v:.digits$}"));
    let mut text = format!(
        "| model | mIoU % | on | at | besides | M parameters | GMACs at {}x{} |\n|---|---|---|---|---|---|---|\n",
        size.0, size.1
    );
    for point in rows {
        let name = if point.ours {
            format!("**{}**", point.name)
        } else {
            point.name.clone()
        };
        let on = match point.split {
            Split::Val => "val",
            Split::Test => "test",
            Split::Other => point.source.as_str(),
        };
        let at = point.size.map_or_else(|| "its own".into(), |[w, h]| format!("{w}x{h}"));
        let besides = if point.besides.is_empty() {
            "nothing"
        } else {
            point.besides.as_str()
        };
        let (parameters, gmacs) = (number(point.parameters.map(|p| p / 1e6), 2), number(point.gmacs, 2));
        text += &format!(
            "| {name} | {:.1} | {on} | {at} | {besides} | {parameters} | {gmacs} |\n",
            point.miou
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_results_are_read_and_named_once() {
        let points = papers(None, (480, 352)).unwrap();
        let mut names: Vec<_> = points.iter().map(|p| &p.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), points.len());
        assert!(points.iter().all(|p| !p.source.is_empty() && p.miou > 30.0 && !p.ours));
        assert!(points.iter().any(|p| p.split == Split::Test && p.besides.is_empty()));
    }

    #[test]
    fn cost_is_scaled_by_pixels_and_wrong_figures_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("papers.toml");
        let text = "[[paper]]\nname = \"A\"\nmiou = 60.0\nsplit = \"test\"\nsize = [960, 720]\nbesides = \"\"\nsource = \"B 2020\"\n";
        std::fs::write(&path, format!("{text}gmacs = {{ value = 8.0, size = [960, 704] }}\n")).unwrap();
        assert_eq!(papers(Some(&path), (480, 352)).unwrap()[0].gmacs, Some(2.0));
        for (wrong, says) in [
            (text.replace("60.0", "600"), "mIoU of 0 to 100"),
            (format!("{text}parameters_m = 0\n"), "above 0"),
            (format!("{text}parameter = 3\n"), "unknown field"),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let error = papers(Some(&path), (480, 352)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_was_learned_besides_is_named_and_that_nothing_else_was() {
        let said = |data: &[&str]| {
            besides(
                &data.iter().map(|d| d.to_string()).collect::<Vec<_>>(),
                "measured on camvid data/camvid val",
            )
        };
        let (camvid, scenes) = ("camvid data/camvid train", "synth 360 scenes from seed 1");
        assert_eq!(said(&[camvid]), "");
        assert_eq!(said(&[scenes, camvid, "folders a"]), "rendered scenes, folders");
        assert_eq!(said(&[scenes, "synth 2 scenes from seed 3"]), "rendered scenes only");
        assert_eq!(said(&[camvid, "weights of builtin:unet-road"]), "weights of builtin:unet-road");
        assert_eq!(said(&[]), "");
    }

    #[test]
    fn the_split_is_read_from_the_words_of_the_data() {
        for (on, split) in [
            ("measured on camvid data/camvid val", Split::Val),
            ("camvid data/camvid test, only 0001TP", Split::Test),
            ("folders pallets/test", Split::Other),
            ("camvid a val; camvid a test", Split::Other),
        ] {
            assert_eq!(split_of(on), split, "{on}");
        }
    }
}
