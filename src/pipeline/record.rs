//! What is written of every class map: JSON lines, and what an embedding program wants of it.

use super::wire::{Segmented, Step, Tally};
use super::{FrameClasses, OnClasses};
use crate::frame::ClassMap;
use crate::pending::PendingFile;
use crate::sink::masks::MaskWriter;
use anyhow::Result;
use maskline_models::{Class, Fit, Rect};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// What is written of class maps.
pub(super) struct Recorder {
    pub classes: Arc<Vec<Class>>,
    pub masks: Option<MaskWriter>,
    pub json: Option<PendingFile>,
    pub on_classes: Option<OnClasses>,
}

/// A class map covers exactly the frame: what a letterbox added is gone already.
fn whole(map: &ClassMap) -> Fit {
    let (width, height) = (map.width, map.height);
    Fit {
        width,
        height,
        content: Rect { x: 0, y: 0, width, height },
        pad: 0,
    }
}

impl Recorder {
    pub fn has_work(&self) -> bool {
        self.json.is_some() || self.masks.is_some() || self.on_classes.is_some()
    }

    fn record(&mut self, segmented: &Segmented) -> Result<()> {
        let Segmented { frame, map, .. } = segmented;
        let classes = FrameClasses {
            index: frame.index,
            pts_ns: frame.pts_ns,
            format: &frame.format,
            map,
            classes: &self.classes,
            inference: segmented.inference,
            age_frames: segmented.age_frames,
        };
        if let Some(masks) = &mut self.masks {
            masks.write(frame.index, map, &whole(map), frame.format.width, frame.format.height)?;
        }
        if let Some(json) = &mut self.json {
            json_line(json, &classes)?;
        }
        self.on_classes.as_mut().map_or(Ok(()), |call| call(&classes))
    }
}

impl Step<Segmented, Segmented> for Recorder {
    fn step(&mut self, segmented: Segmented) -> Result<Segmented> {
        self.record(&segmented)?;
        Ok(segmented)
    }

    fn end(&mut self, tally: &mut Tally) {
        tally.json = self.json.take();
        tally.masks = self.masks.take();
    }
}

/// One line of `--json` (docs/formats.md).
#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    pts_ns: u64,
    #[serde(serialize_with = "by_name")]
    share: &'a FrameClasses<'a>,
    inference_ms: f64,
    age_frames: u32,
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
fn json_line(file: &mut PendingFile, frame: &FrameClasses<'_>) -> Result<()> {
    file.line(&Line {
        index: frame.index,
        pts_ns: frame.pts_ns,
        share: frame,
        inference_ms: (frame.inference.as_secs_f64() * 1e6).round() / 1e3,
        age_frames: frame.age_frames,
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
