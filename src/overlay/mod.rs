//! Class maps blended into the frame's own planes, without a trip through RGB: every byte becomes
//! `(byte * keep + add) >> 8`, with `keep` and `add` from a table by class in the frame's own YCbCr.

mod blend;
mod canvas;
mod legend;
mod outline;
mod sign;
mod zones;

pub(crate) use sign::Sign;

use crate::color::rgb_to_ycbcr;
use crate::error::{Kind, fault};
use crate::frame::{ClassMap, Frame, VideoFormat};
use anyhow::{Context, Result};
use blend::{Mix, PlaneBlender};
use legend::Legend;
use maskline_models::Class;
use outline::Outliner;
use zones::ZoneMark;

/// How the overlay looks.
#[derive(Debug, Clone, PartialEq)]
pub struct OverlayOptions {
    /// Share of the class colour, 0-1.
    pub alpha: f32,
    /// Only these classes, by name; `None` for all that are drawn by themselves.
    pub only: Option<Vec<String>>,
    /// Whether borders between classes are drawn as white lines.
    pub outlines: bool,
    /// Whether the classes present are named in a corner.
    pub legend: bool,
}

impl Default for OverlayOptions {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            only: None,
            outlines: false,
            legend: true,
        }
    }
}

/// Draws class maps over frames of one format.
pub struct Overlay {
    format: VideoFormat,
    planes: Vec<PlaneBlender>,
    outliner: Option<Outliner>,
    legend: Option<Legend>,
    zones: Vec<ZoneMark>,
}

impl Overlay {
    /// An overlay for these classes and this format.
    ///
    /// # Errors
    /// Kind 78 if `only` names a class that there is not, or alpha is not 0-1.
    pub fn new(classes: &[Class], format: &VideoFormat, options: OverlayOptions) -> Result<Self> {
        if !(0.0..=1.0).contains(&options.alpha) {
            return Err(fault(
                Kind::Config,
                format!("alpha is {}, wanted 0 (video only) to 1 (classes only)", options.alpha),
            ));
        }
        let drawn = drawn_classes(classes, options.only.as_deref())?;
        let mut mixes = [Mix::UNTOUCHED; 256];
        for class in &drawn {
            mixes[usize::from(class.id)] = Mix::towards(rgb_to_ycbcr(class.color.rgb(), format.matrix, format.range), options.alpha);
        }
        Ok(Self {
            format: format.clone(),
            planes: blend::planes(format, &mixes),
            outliner: options.outlines.then(|| Outliner::new(format, &drawn)),
            legend: options.legend.then(|| Legend::new(format, drawn)),
            zones: Vec::new(),
        })
    }

    /// The same with zones: the name of each, and its corners in shares (0-1) of the frame.
    ///
    /// # Errors
    /// If OpenCV cannot draw them.
    pub fn with_zones<'z>(mut self, zones: impl Iterator<Item = (&'z str, &'z [[f64; 2]])>) -> Result<Self> {
        let mark = |(name, polygon)| ZoneMark::new(&self.format, name, polygon);
        self.zones = zones.map(mark).collect::<Result<_>>().context("cannot draw the zones")?;
        Ok(self)
    }

    /// Draws the zones over the frame; `on` tells for each whether one of its rules is on.
    ///
    /// # Errors
    /// If the frame is not of the format that was announced.
    pub fn draw_zones(&self, frame: &mut Frame, on: &[bool]) -> Result<()> {
        frame.check_format(&self.format)?;
        for (zone, on) in self.zones.iter().zip(on) {
            zone.draw(&mut *frame.pixels, *on);
        }
        Ok(())
    }

    /// Blends a class map over the frame. A map of another size is scaled up with soft borders; classes that are not drawn
    /// leave the picture as it is.
    ///
    /// # Errors
    /// If the frame is not of the format that was announced, or the map has no pixels.
    pub fn draw(&mut self, frame: &mut Frame, classes: &ClassMap) -> Result<()> {
        frame.check_format(&self.format)?;
        let pixels = classes.width as usize * classes.height as usize;
        if pixels == 0 || classes.ids.len() != pixels {
            let (found, width, height) = (classes.ids.len(), classes.width, classes.height);
            return Err(fault(Kind::Internal, format!("class map has {found} ids for {width}x{height}")));
        }
        for plane in &mut self.planes {
            plane.draw(&mut *frame.pixels, classes);
        }
        if let Some(outliner) = &mut self.outliner {
            outliner.draw(&mut *frame.pixels, classes);
        }
        if let Some(legend) = &mut self.legend {
            legend.draw(&mut *frame.pixels, classes)?;
        }
        Ok(())
    }
}

fn drawn_classes(classes: &[Class], only: Option<&[String]>) -> Result<Vec<Class>> {
    let Some(only) = only else {
        return Ok(classes.iter().filter(|c| c.is_drawn()).cloned().collect());
    };
    let unknown = only.iter().filter(|name| !classes.iter().any(|c| c.name == **name));
    let unknown: Vec<_> = unknown.map(|name| format!("{name:?}")).collect();
    if !unknown.is_empty() {
        let names: Vec<_> = classes.iter().filter(|c| !c.ignore).map(|c| c.name.as_str()).collect();
        return Err(fault(
            Kind::Config,
            format!("there is no class {}; the model has {}", unknown.join(", "), names.join(", ")),
        ));
    }
    Ok(classes.iter().filter(|c| only.contains(&c.name)).cloned().collect())
}

#[cfg(test)]
mod tests;
