//! What is written of every class map: JSON lines, masks, and what an embedding program wants of it.

use super::hosting::{Ear, Hosting};
use super::wire::{Segmented, Step, Tally};
use super::{FrameClasses, OnClasses, OnEvent};
use crate::frame::ClassMap;
use crate::messages::{Line, Look, MessageOptions, Schedule, Watch, ZoneLook, class_masks, regions};
use crate::pending::PendingFile;
use crate::sink::ClassVideo;
use crate::sink::masks::MaskWriter;
use crate::stats::pulse::ZoneNow;
use anyhow::{Context, Result};
use maskline_models::{Class, Fit, Rect};
use std::sync::Arc;

/// What is written of class maps.
pub(super) struct Recorder {
    pub classes: Arc<Vec<Class>>,
    pub masks: Option<MaskWriter>,
    pub class_video: Option<ClassVideo>,
    pub json: Option<Lines>,
    /// Only if there are zones.
    pub zones: Option<Watch>,
    pub on_classes: Option<OnClasses>,
    pub on_event: Option<OnEvent>,
    pub hosting: Option<Hosting>,
    /// Version of the host's wishes that is followed.
    pub seen: u64,
}

/// What lines are written on.
pub(super) enum Paper {
    File(PendingFile),
    Ear(Arc<dyn Ear>),
}

/// JSON lines.
pub(super) struct Lines {
    pub paper: Paper,
    pub options: MessageOptions,
    pub schedule: Schedule,
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
        self.json.is_some()
            || self.masks.is_some()
            || self.class_video.is_some()
            || self.zones.is_some()
            || self.on_classes.is_some()
            || self.hosting.is_some()
    }

    /// Follows what the host wishes now.
    fn follow(&mut self) {
        let Some(look) = self.hosting.as_ref().and_then(|h| h.looks.newer(&mut self.seen)) else {
            return;
        };
        self.zones = (!look.zones.is_empty()).then(|| Watch::new(&look.zones, &self.classes));
        if let Some(json) = &mut self.json {
            json.schedule = Schedule::new(look.messages.every_ns);
            json.options = look.messages;
        }
    }

    fn record(&mut self, segmented: &mut Segmented) -> Result<()> {
        self.follow();
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
        let look = self.zones.as_mut().map(|zones| zones.look(frame.index, frame.pts_ns, map));
        if let Some(call) = &mut self.on_event {
            look.iter().flat_map(|look| &look.events).for_each(call);
        }
        if let Some(Hosting { ear, pulse, .. }) = &self.hosting {
            look.iter().flat_map(|look| &look.events).for_each(|event| ear.event(event));
            pulse.saw(shares_of(&classes), look.as_ref().map_or(Vec::new(), zones_of));
        }
        if let Some(masks) = &mut self.masks {
            masks.write(frame.index, map, &whole(map), frame.format.width, frame.format.height)?;
        }
        if let Some(video) = &mut self.class_video {
            video.write(frame.pts_ns, frame.duration_ns, map, &whole(map))?;
        }
        if let Some(json) = &mut self.json {
            json.write(&classes, look.as_ref())?;
        }
        if let Some(call) = &mut self.on_classes {
            call(&classes)?;
        }
        segmented.zones_on = look.map_or(Vec::new(), |look| look.zones.iter().map(|z| !z.on.is_empty()).collect());
        Ok(())
    }
}

/// The shares of the frame by name.
fn shares_of(classes: &FrameClasses<'_>) -> Vec<(String, f64)> {
    classes
        .shares()
        .into_iter()
        .map(|(class, share)| (class.name.clone(), share))
        .collect()
}

/// The zones and their rules that are on.
fn zones_of(look: &Look) -> Vec<ZoneNow> {
    let zone = |zone: &ZoneLook| ZoneNow {
        name: zone.name.to_string(),
        on: zone.on.iter().map(ToString::to_string).collect(),
    };
    look.zones.iter().map(zone).collect()
}

impl Lines {
    /// Lines of these options, as often as they say.
    pub fn new(paper: Paper, options: MessageOptions) -> Self {
        Self {
            paper,
            schedule: Schedule::new(options.every_ns),
            options,
        }
    }

    /// Writes the line of one frame, if it is due.
    fn write(&mut self, frame: &FrameClasses<'_>, look: Option<&Look>) -> Result<()> {
        if !self.schedule.due(frame.pts_ns, look.is_some_and(|l| !l.events.is_empty())) {
            return Ok(());
        }
        let (width, height) = (frame.format.width, frame.format.height);
        let options = &self.options;
        let found = options
            .regions
            .then(|| regions(frame.map, frame.classes, width, height, options.min_area))
            .transpose()?;
        let masks = options.rle.then(|| class_masks(frame.map, frame.classes, width, height));
        let line = Line::new(frame.index, frame.pts_ns, (width, height), frame.shares())
            .inferred(frame.inference, frame.age_frames)
            .regions(found)
            .rle(masks)
            .zones(look);
        match &mut self.paper {
            Paper::File(file) => file.line(&line),
            Paper::Ear(ear) => {
                ear.line(serde_json::to_vec(&line.of(ear.name())).context("a line that is no JSON")?);
                Ok(())
            }
        }
    }
}

impl Step<Segmented, Segmented> for Recorder {
    fn step(&mut self, mut segmented: Segmented) -> Result<Segmented> {
        self.record(&mut segmented)?;
        Ok(segmented)
    }

    fn end(&mut self, tally: &mut Tally) {
        tally.json = self.json.take().and_then(|lines| match lines.paper {
            Paper::File(file) => Some(file),
            Paper::Ear(_) => None,
        });
        tally.masks = self.masks.take();
        tally.class_video = self.class_video.take();
        tally.rules = self.zones.as_ref().map(Watch::report).unwrap_or_default();
    }
}
