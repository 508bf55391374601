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
use crate::frame::{ClassMap, ConfidenceMap, Frame, VideoFormat};
use anyhow::{Context, Result};
use blend::{Cells, Mix, PlaneBlender};
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
    /// Whether pixels are the darker the less sure the net is of them.
    pub confidence: bool,
}

impl Default for OverlayOptions {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            only: None,
            outlines: false,
            legend: true,
            confidence: false,
        }
    }
}

/// Draws class maps over frames of one format.
pub struct Overlay {
    format: VideoFormat,
    planes: Vec<PlaneBlender>,
    /// Blends by levels of confidence.
    shades: Option<Vec<PlaneBlender>>,
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
            shades: options.confidence.then(|| blend::planes(format, &shades(format))),
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
    /// leave the picture as it is. Where `confidence` is known and to be drawn, unsure pixels are darker.
    ///
    /// # Errors
    /// If the frame is not of the format that was announced, or a map has no pixels.
    pub fn draw(&mut self, frame: &mut Frame, classes: &ClassMap, confidence: Option<&ConfidenceMap>) -> Result<()> {
        frame.check_format(&self.format)?;
        if !Cells::from(classes).is_whole() {
            let (found, width, height) = (classes.ids.len(), classes.width, classes.height);
            return Err(fault(Kind::Internal, format!("class map has {found} ids for {width}x{height}")));
        }
        for plane in &mut self.planes {
            plane.draw(&mut *frame.pixels, classes.into());
        }
        if let (Some(shades), Some(confidence)) = (&mut self.shades, confidence) {
            if !Cells::from(confidence).is_whole() {
                let (found, width, height) = (confidence.levels.len(), confidence.width, confidence.height);
                return Err(fault(Kind::Internal, format!("confidence has {found} values for {width}x{height}")));
            }
            for plane in shades {
                plane.draw(&mut *frame.pixels, confidence.into());
            }
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

/// Steps in which a picture darkens: where neighbours are alike, blending them takes little time.
const SHADES: usize = 32;

/// Towards black for every level of confidence: not at all where the net is sure, and as dark as it gets from a half on.
fn shades(format: &VideoFormat) -> [Mix; 256] {
    const DARKEST: f32 = 0.9;
    let black = rgb_to_ycbcr([0; 3], format.matrix, format.range);
    std::array::from_fn(|level| {
        let doubt = (255 - level) * SHADES / 256;
        match doubt {
            0 => Mix::UNTOUCHED,
            _ => Mix::towards(black, (2.0 * DARKEST * doubt as f32 / SHADES as f32).min(DARKEST)),
        }
    })
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
