//! What is written of every class map: JSON lines, masks, and what an embedding program wants of it.

use super::wire::{Segmented, Step, Tally};
use super::{FrameClasses, OnClasses, OnEvent};
use crate::frame::ClassMap;
use crate::messages::{Line, Look, MessageOptions, Schedule, Watch, class_masks, regions};
use crate::pending::PendingFile;
use crate::sink::masks::MaskWriter;
use anyhow::Result;
use maskline_models::{Class, Fit, Rect};
use std::sync::Arc;

/// What is written of class maps.
pub(super) struct Recorder {
    pub classes: Arc<Vec<Class>>,
    pub masks: Option<MaskWriter>,
    pub json: Option<Lines>,
    /// Only if there are zones.
    pub zones: Option<Watch>,
    pub on_classes: Option<OnClasses>,
    pub on_event: Option<OnEvent>,
}

/// A file of JSON lines.
pub(super) struct Lines {
    pub file: PendingFile,
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
        self.json.is_some() || self.masks.is_some() || self.zones.is_some() || self.on_classes.is_some()
    }

    fn record(&mut self, segmented: &mut Segmented) -> Result<()> {
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
        if let Some(masks) = &mut self.masks {
            masks.write(frame.index, map, &whole(map), frame.format.width, frame.format.height)?;
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

impl Lines {
    /// Lines of these options, as often as they say.
    pub fn new(file: PendingFile, options: MessageOptions) -> Self {
        Self {
            file,
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
        self.file.line(&line)
    }
}

impl Step<Segmented, Segmented> for Recorder {
    fn step(&mut self, mut segmented: Segmented) -> Result<Segmented> {
        self.record(&mut segmented)?;
        Ok(segmented)
    }

    fn end(&mut self, tally: &mut Tally) {
        tally.json = self.json.take().map(|lines| lines.file);
        tally.masks = self.masks.take();
        tally.rules = self.zones.as_ref().map(Watch::report).unwrap_or_default();
    }
}
