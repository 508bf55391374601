//! What an output shows of a stream.

use super::Shown;
use crate::color::rgb_to_ycbcr;
use crate::frame::{ClassMap, PixelFormat, VideoFormat};
use crate::media::Picture;
use anyhow::Result;
use std::sync::Arc;

/// What an output shows of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum View {
    /// Frames with their classes drawn over them.
    #[default]
    Masked,
    /// Frames as they came.
    Raw,
    /// Class maps in the classes' colours.
    Classes,
}

impl View {
    /// By its name.
    ///
    /// # Errors
    /// If there is none of that name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "masked" => Ok(Self::Masked),
            "raw" => Ok(Self::Raw),
            "classes" => Ok(Self::Classes),
            other => Err(format!("found {other:?}, wanted masked, raw or classes")),
        }
    }

    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Masked => "masked",
            Self::Raw => "raw",
            Self::Classes => "classes",
        }
    }

    /// What this view has of a moment: nothing where the frame as it came is not there yet. Filler is the same in every view,
    /// since it has neither. `palette` has an RGB colour for every id.
    ///
    /// # Errors
    /// 70 where memory cannot be had.
    pub(crate) fn of(self, shown: &Shown, palette: &[[u8; 3]; 256]) -> Result<Option<Picture>> {
        match self {
            _ if shown.filler => Ok(Some(shown.masked.clone())),
            Self::Masked => Ok(Some(shown.masked.clone())),
            Self::Raw => Ok(shown.raw.clone()),
            Self::Classes => {
                let paint = |map: &Arc<ClassMap>| painted(map, shown.masked.format(), palette);
                shown.map.as_ref().map(paint).transpose()
            }
        }
    }
}

/// A class map by nearest neighbour as a picture of that format.
fn painted(map: &ClassMap, format: &Arc<VideoFormat>, palette: &[[u8; 3]; 256]) -> Result<Picture> {
    let codes = palette.map(|rgb| rgb_to_ycbcr(rgb, format.matrix, format.range));
    Picture::painted(format, |plane, rows, stride| {
        let (width, height) = format.plane_size(plane);
        // A sample of chroma has the class of the upper left one of its four pixels.
        let step = if plane == 0 { 1 } else { 2 };
        let channels: &[usize] = match (plane, format.pixels) {
            (1, PixelFormat::Nv12) => &[1, 2],
            (0, _) => &[0],
            (1, _) => &[1],
            _ => &[2],
        };
        let columns: Vec<_> = (0..width).map(|x| nearest(x * step, format.width, map.width)).collect();
        let (mut line, mut last) = (Vec::new(), usize::MAX);
        for (y, row) in rows.chunks_mut(stride).take(height).enumerate() {
            let from = nearest(y * step, format.height, map.height);
            if from != last {
                let ids = &map.ids[from * map.width as usize..][..map.width as usize];
                let samples = columns.iter().flat_map(|&x| channels.iter().map(move |&c| (x, c)));
                line.clear();
                line.extend(samples.map(|(x, channel)| codes[usize::from(ids[x])][channel]));
                last = from;
            }
            row[..line.len()].copy_from_slice(&line);
        }
    })
}

/// The sample of a map `map` long that lies under the middle of pixel `at` of a frame `frame` long.
fn nearest(at: usize, frame: u32, map: u32) -> usize {
    let (frame, map) = (frame as usize, map as usize);
    ((2 * at + 1) * map / (2 * frame)).min(map - 1)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{format, shown};
    use super::*;

    #[test]
    fn a_class_map_is_shown_in_its_colours_in_both_layouts_and_at_odd_sizes() {
        let mut palette = [[0; 3]; 256];
        (palette[3], palette[7]) = ([255, 0, 0], [0, 0, 255]);
        let ids = [[3, 7], [7, 3]].concat();
        let map = Arc::new(ClassMap { width: 2, height: 2, ids });
        for pixels in [PixelFormat::I420, PixelFormat::Nv12] {
            let format = VideoFormat { pixels, ..format(9, 7) };
            let moment = Shown {
                map: Some(map.clone()),
                ..shown(0, 0, &format)
            };
            let picture = View::Classes.of(&moment, &palette).unwrap().unwrap();
            let code = |id: usize| rgb_to_ycbcr(palette[id], format.matrix, format.range);
            let planes = picture.map().unwrap();
            for (x, y) in [(0, 0), (8, 0), (0, 6), (8, 6), (3, 2), (5, 2)] {
                let wanted = code([3, 7][usize::from((x > 4) != (y > 3))]);
                let at = |plane, x: usize, y: usize| {
                    let (bytes, stride) = planes.plane(plane);
                    bytes[y * stride + x]
                };
                let (x2, y2) = (x / 2, y / 2);
                let got = match pixels {
                    PixelFormat::I420 => [at(0, x, y), at(1, x2, y2), at(2, x2, y2)],
                    PixelFormat::Nv12 => [at(0, x, y), at(1, 2 * x2, y2), at(1, 2 * x2 + 1, y2)],
                };
                assert_eq!(got, wanted, "{x} {y} {pixels:?}");
            }
        }
    }

    #[test]
    fn filler_is_the_same_in_every_view_and_a_frame_that_is_not_there_is_not_shown() {
        let mut moment = shown(0, 0, &format(16, 16));
        let is_there = |view: View, moment: &Shown| view.of(moment, &[[0; 3]; 256]).unwrap().is_some();
        assert!(is_there(View::Masked, &moment) && !is_there(View::Raw, &moment) && !is_there(View::Classes, &moment));
        moment.filler = true;
        assert!([View::Masked, View::Raw, View::Classes].iter().all(|view| is_there(*view, &moment)));
    }
}
