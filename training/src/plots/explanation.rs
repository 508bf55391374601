//! Why a net said what it said, on one sheet a picture.

use super::sheet::{CAPTION, DARK, GAP, HEAD, LEGEND, blended, colors, errors, flat, legend, per_line, text};
use super::{draw, failed};
use crate::data::{Sample, write_rgb};
use crate::explain::Explanation;
use crate::metrics::IGNORE;
use anyhow::Result;
use maskline_models::Class;
use plotters::prelude::*;
use std::path::Path;

/// Tiles side by side.
const COLUMNS: usize = 4;
/// The narrowest place for a tile, so that titles do not run into each other.
const NARROWEST: usize = 400;
/// Length of the scale of heat in the legend.
const SCALE: usize = 256;

/// One picture of a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// A word for file names, e.g. `confidence` or `decoder.0.gate`.
    pub name: String,
    /// What it shows, for people.
    pub title: String,
    /// `3 * width * height` bytes, of the sample's size.
    pub rgb: Vec<u8>,
}

/// All tiles of a picture. `point` is marked wherever the picture can be seen.
pub fn tiles(sample: &Sample, explanation: &Explanation, classes: &[Class], point: Option<(usize, usize)>) -> Vec<Tile> {
    let tile = |name: &str, title: String, rgb: Vec<u8>| Tile {
        name: name.into(),
        title,
        rgb,
    };
    let heats: Vec<[u8; 3]> = (0..=255_u8).map(|step| heat(f32::from(step) / 255.0)).collect();
    let hot = |value: f32| heats[((255.0 * value) as usize).min(255)];
    let plane = |values: &[f32]| values.iter().flat_map(|v| hot(*v)).collect::<Vec<u8>>();
    let percent = |values: &[f32]| 100.0 * values.iter().sum::<f32>() / values.len().max(1) as f32;
    let marked = |mut rgb: Vec<u8>| {
        if let Some(point) = point {
            mark(&mut rgb, sample, point);
        }
        rgb
    };
    let certainty = &explanation.certainty;
    let said = flat(&explanation.prediction, &colors(classes));
    let mut tiles = vec![
        tile("picture", "picture".into(), marked(sample.rgb.clone())),
        tile("prediction", "prediction over it".into(), marked(blended(&sample.rgb, &said))),
    ];
    for (name, title, values) in [
        ("confidence", "confidence", &certainty.confidence),
        ("margin", "margin over the second class", &certainty.margin),
        ("entropy", "entropy", &certainty.entropy),
    ] {
        tiles.push(tile(name, format!("{title}, mean {:.1} %", percent(values)), plane(values)));
    }
    let labelled = sample.labels.iter().any(|truth| *truth != IGNORE);
    if labelled {
        let wrong = |i: usize| sample.labels[i] != IGNORE && sample.labels[i] != explanation.prediction[i];
        let sure: Vec<f32> = (0..sample.labels.len())
            .filter(|i| wrong(*i))
            .map(|i| certainty.confidence[i])
            .collect();
        let labels = sample.labels.iter().filter(|truth| **truth != IGNORE).count();
        let share = 100.0 * sure.len() as f64 / labels as f64;
        let paint = |i: usize| match sample.labels[i] {
            IGNORE => [0; 3],
            _ if wrong(i) => hot(certainty.confidence[i]),
            _ => [52; 3],
        };
        let title = format!("errors (red), {share:.1} % of the labelled pixels");
        tiles.push(tile("errors", title, errors(sample, &explanation.prediction)));
        let title = format!("confidence of the wrong, mean {:.1} %", percent(&sure));
        let rgb = (0..sample.labels.len()).flat_map(paint).collect();
        tiles.push(tile("wrong-confidence", title, rgb));
    }
    let grey: Vec<u8> = sample
        .rgb
        .chunks_exact(3)
        .flat_map(|rgb| [(rgb.iter().map(|v| u16::from(*v)).sum::<u16>() / 3) as u8; 3])
        .collect();
    for (kind, maps) in [("attention", &explanation.attention), ("speaking", &explanation.speaking)] {
        for (title, values) in maps {
            let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            let name = format!("{kind}-{}", words.collect::<Vec<_>>().join("-"));
            tiles.push(tile(&name, title.clone(), marked(blended(&grey, &plane(values)))));
        }
    }
    tiles
}

/// Draws all tiles with their titles, the classes and the scale of heat.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn explanation(name: &str, size: (usize, usize), tiles: &[Tile], classes: &[Class], path: &Path) -> Result<()> {
    let scored: Vec<&Class> = classes.iter().filter(|c| !c.ignore).collect();
    let (wide, high) = (size.0.max(NARROWEST) + GAP, CAPTION + size.1 + GAP);
    let width = COLUMNS * wide;
    let top = HEAD + LEGEND * (1 + scored.len().div_ceil(per_line(width)));
    let height = top + high * tiles.len().div_ceil(COLUMNS);
    draw(path, (width as u32, height as u32), DARK, |area| {
        text(area, name, (8, 8))?;
        legend(area, &scored, (width, HEAD))?;
        let scale = top - LEGEND;
        text(area, "0", (8, scale + 6))?;
        for step in 0..SCALE {
            let [r, g, b] = heat(step as f32 / (SCALE - 1) as f32);
            let x = (26 + step) as i32;
            let corners = [(x, scale as i32 + 4), (x + 1, scale as i32 + 26)]; // without a width nothing is filled
            let line = Rectangle::new(corners, RGBColor(r, g, b).filled());
            area.draw(&line).map_err(|e| failed(&e))?;
        }
        text(area, "1; where something looks or speaks: of the highest", (34 + SCALE, scale + 6))?;
        for (i, tile) in tiles.iter().enumerate() {
            let (x, y) = (i % COLUMNS * wide, top + i / COLUMNS * high);
            text(area, &tile.title, (x + 8, y + 6))?;
            let at = (x as i32, (y + CAPTION) as i32);
            if let Some(picture) = BitMapElement::with_owned_buffer(at, (size.0 as u32, size.1 as u32), tile.rgb.clone()) {
                area.draw(&picture).map_err(|e| failed(&e))?;
            }
        }
        Ok(())
    })
}

/// Writes one tile as it is.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn tile(tile: &Tile, size: (usize, usize), path: &Path) -> Result<()> {
    write_rgb(path, size.0, size.1, &tile.rgb)
}

/// The colour of a value from 0 to 1.
fn heat(value: f32) -> [u8; 3] {
    let RGBColor(r, g, b) = ViridisRGB::get_color(value.clamp(0.0, 1.0));
    [r, g, b]
}

/// A white cross with a black rim.
fn mark(rgb: &mut [u8], sample: &Sample, (x, y): (usize, usize)) {
    for (reach, color) in [(2_i32, [0; 3]), (1, [255; 3])] {
        for along in -7..=7_i32 {
            for across in 1 - reach..reach {
                for (dx, dy) in [(along, across), (across, along)] {
                    let (x, y) = (x as i32 + dx, y as i32 + dy);
                    if x >= 0 && y >= 0 && (x as usize) < sample.width && (y as usize) < sample.height {
                        rgb[3 * (y as usize * sample.width + x as usize)..][..3].copy_from_slice(&color);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Certainty;
    use maskline_models::classes::driving_classes;

    fn sample() -> Sample {
        Sample {
            name: "a".into(),
            width: 60,
            height: 40,
            rgb: vec![90; 7200],
            labels: (0..2400).map(|i| if i < 60 { IGNORE } else { 3 }).collect(),
        }
    }

    fn explained() -> Explanation {
        let scores: Vec<f32> = (0..11 * 2400)
            .map(|i| if i / 2400 == 3 { (i % 60) as f32 / 20.0 } else { 0.0 })
            .collect();
        Explanation {
            prediction: (0..2400).map(|i| if i < 600 { 1 } else { 3 }).collect(),
            certainty: Certainty::of(&scores, 2400, 1.0),
            attention: vec![("let through, decoder.0.gate".into(), vec![0.5; 2400])],
            speaking: vec![(
                "for car everywhere, encoder.2".into(),
                (0..2400).map(|i| i as f32 / 2400.0).collect(),
            )],
        }
    }

    #[test]
    fn the_tiles_of_a_picture_say_what_is_wrong_and_how_sure_that_was() {
        let (sample, explained) = (sample(), explained());
        let found = tiles(&sample, &explained, &driving_classes(), Some((59, 0)));
        let names: Vec<_> = found.iter().map(|tile| tile.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "picture",
                "prediction",
                "confidence",
                "margin",
                "entropy",
                "errors",
                "wrong-confidence",
                "attention-let-through-decoder-0-gate",
                "speaking-for-car-everywhere-encoder-2"
            ]
        );
        assert!(found.iter().all(|tile| tile.rgb.len() == 7200));
        let red = found[5].rgb.chunks_exact(3).filter(|p| *p == [230, 40, 40]).count();
        assert_eq!(red, 540, "without the unlabelled row");
        assert!(found[5].title.contains("23.1 %"), "{}", found[5].title);
        assert_eq!(found[6].rgb[..3], [0; 3]);
        let step = (255.0 * explained.certainty.confidence[61]).floor();
        assert_eq!(found[6].rgb[3 * 61..][..3], heat(step / 255.0));
        assert_eq!(found[6].rgb[7197..], [52; 3]);
        assert_eq!(found[0].rgb[3 * 59..][..3], [255; 3], "the mark");
        assert_ne!(found[2].rgb[..3], found[2].rgb[3 * 59..][..3]);

        let unlabelled = Sample {
            labels: vec![IGNORE; 2400],
            ..sample
        };
        let found = tiles(&unlabelled, &explained, &driving_classes(), None);
        assert!(!found.iter().any(|tile| tile.name.contains("wrong") || tile.name == "errors"));
        assert_eq!(found[0].rgb, unlabelled.rgb);
    }

    #[test]
    fn a_sheet_has_room_for_all_tiles_and_shows_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let (sample, classes) = (sample(), driving_classes());
        let found = tiles(&sample, &explained(), &classes, None);
        explanation("a", (60, 40), &found, &classes, &path).unwrap();
        let sheet = image::open(&path).unwrap().into_rgb8();
        let wide = NARROWEST + GAP;
        let top = HEAD + 3 * LEGEND; // eleven classes at ten a line, and the scale
        let high = CAPTION + 40 + GAP;
        assert_eq!((sheet.width() as usize, sheet.height() as usize), (COLUMNS * wide, top + 3 * high));
        let bright = sheet.get_pixel((25 + SCALE) as u32, (top - LEGEND + 15) as u32).0;
        assert_eq!(bright, heat(1.0), "the scale of heat");
        for (i, tile) in found.iter().enumerate() {
            let (x, y) = (i % COLUMNS * wide, top + i / COLUMNS * high);
            let there = |dx: usize, dy: usize| sheet.get_pixel((x + dx) as u32, (y + CAPTION + dy) as u32).0;
            for (dx, dy) in [(0, 0), (59, 39), (30, 20)] {
                assert_eq!(there(dx, dy), tile.rgb[3 * (dy * 60 + dx)..][..3], "{}", tile.name);
            }
            let inked = (0..wide).any(|dx| (0..CAPTION).any(|dy| sheet.get_pixel((x + dx) as u32, (y + dy) as u32).0[0] > 150));
            assert!(inked, "{} has a title", tile.name);
        }
        super::tile(&found[2], (60, 40), &path).unwrap();
        assert_eq!(image::open(&path).unwrap().into_rgb8().into_raw(), found[2].rgb);
    }

    #[test]
    fn heat_goes_from_dark_to_bright() {
        let light = |value| heat(value).iter().map(|c| u32::from(*c)).sum::<u32>();
        assert!(light(0.0) < light(0.5) && light(0.5) < light(1.0));
        assert_eq!((heat(-1.0), heat(2.0)), (heat(0.0), heat(1.0)));
    }
}
