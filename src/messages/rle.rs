//! Masks as compressed COCO run lengths, the `counts` of `pycocotools.mask`: runs of pixels without and with the class in turn,
//! column by column, written as differences in a code of six bits a character (maskApi.c, `rleToString`).

use crate::frame::ClassMap;
use crate::postprocess::nearest;
use maskline_models::Class;
use serde::Serialize;

/// The pixels of one class at the size of the frame; `pycocotools.mask.decode` takes it as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassMask {
    /// Its id.
    pub class: u8,
    /// Its name.
    pub name: String,
    /// Height and width of the mask in pixels.
    pub size: [u32; 2],
    /// The run lengths.
    pub counts: String,
}

/// The mask of every class that counts and is in the picture, at the size of the frame: each pixel has the class of the class
/// map's pixel that it lies in, as in the PNG masks.
pub fn class_masks(map: &ClassMap, classes: &[Class], width: u32, height: u32) -> Vec<ClassMask> {
    let mut masks: Vec<Runs> = vec![Runs::default(); 256];
    let rows: Vec<usize> = nearest(map.height, height).collect();
    let (mut column, mut from) = (Vec::new(), None);
    for (x, map_x) in nearest(map.width, width).enumerate() {
        // Neighbouring columns mostly show the same column of the class map.
        if from.replace(map_x) != Some(map_x) {
            runs_of_column(map, map_x, &rows, &mut column);
        }
        let top = x as u64 * u64::from(height);
        for &(id, start, end) in &column {
            masks[usize::from(id)].add(top + start, top + end);
        }
    }
    let pixels = u64::from(width) * u64::from(height);
    let present = classes.iter().filter(|c| !c.ignore && masks[usize::from(c.id)].end > 0);
    let mask = |class: &Class| ClassMask {
        class: class.id,
        name: class.name.clone(),
        size: [height, width],
        counts: compress(&masks[usize::from(class.id)].counts(pixels)),
    };
    present.map(mask).collect()
}

/// Class, first row and the row behind the last of every run in a column of the frame.
fn runs_of_column(map: &ClassMap, x: usize, rows: &[usize], runs: &mut Vec<(u8, u64, u64)>) {
    runs.clear();
    for (y, row) in rows.iter().enumerate() {
        let id = map.ids[row * map.width as usize + x];
        match runs.last_mut() {
            Some((last, _, end)) if *last == id => *end = y as u64 + 1,
            _ => runs.push((id, y as u64, y as u64 + 1)),
        }
    }
}

/// Run lengths that grow: without, with, without, ...
#[derive(Debug, Clone, Default)]
struct Runs {
    lengths: Vec<u64>,
    /// Behind the last pixel with the class.
    end: u64,
}

impl Runs {
    fn add(&mut self, start: u64, end: u64) {
        match self.lengths.last_mut() {
            Some(last) if self.end == start => *last += end - start,
            _ => self.lengths.extend([start - self.end, end - start]),
        }
        self.end = end;
    }

    fn counts(&self, pixels: u64) -> Vec<u64> {
        let mut counts = self.lengths.clone();
        if self.end < pixels {
            counts.push(pixels - self.end);
        }
        counts
    }
}

fn compress(counts: &[u64]) -> String {
    let mut text = String::with_capacity(2 * counts.len());
    for (i, count) in counts.iter().enumerate() {
        let mut rest = *count as i64;
        if i > 2 {
            rest -= counts[i - 2] as i64;
        }
        loop {
            let bits = (rest & 0x1f) as u8;
            rest >>= 5;
            let more = if bits & 0x10 == 0 { rest != 0 } else { rest != -1 };
            text.push(char::from(48 + bits + if more { 0x20 } else { 0 }));
            if !more {
                break;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Vec<Class> {
        let class = |id: u8| Class {
            id,
            name: format!("class {id}"),
            color: "#ffffff".parse().unwrap(),
            ignore: id == 3,
            background: false,
        };
        (0..5).map(class).collect()
    }

    fn masks(map: &ClassMap, width: u32, height: u32) -> Vec<(u8, String)> {
        let masks = class_masks(map, &classes(), width, height);
        assert!(masks.iter().all(|m| m.size == [height, width]));
        masks.into_iter().map(|m| (m.class, m.counts)).collect()
    }

    fn map(width: u32, height: u32, id: impl Fn(u32, u32) -> u32) -> ClassMap {
        let ids = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| id(x, y) as u8);
        ClassMap {
            width,
            height,
            ids: ids.collect(),
        }
    }

    /// All expected strings are what `pycocotools.mask.encode` 2.0.11 gives for the same masks.
    #[test]
    fn masks_are_what_pycocotools_writes() {
        let small = [[0, 0, 1, 1], [0, 2, 2, 1], [0, 2, 1, 1]];
        let small = map(4, 3, |x, y| small[y as usize][x as usize]);
        let wanted = |counts: [&str; 3]| (0_u8..).zip(counts.map(String::from)).collect::<Vec<_>>();
        assert_eq!(masks(&small, 4, 3), wanted(["048", "6113", "421O3"]));
        assert_eq!(masks(&small, 9, 7), wanted(["0`05BS1", "l0232000<", "`05200N2000<"]));
        assert_eq!(masks(&map(4, 3, |_, _| 4), 4, 3), [(4, "0<".into())], "absent classes have no mask");
        assert!(masks(&map(4, 3, |_, _| 3), 4, 3).is_empty(), "a class that does not count has none");
    }

    #[test]
    fn long_and_shrinking_runs_are_what_pycocotools_writes() {
        let map = map(64, 48, |x, y| (x * x / 97 + y * y / 61) % 3);
        let ends = [
            (11513, "0]1R1nNDKK0O0K000J060KO0001O]1m0h", "6\\MOKKJ51J00J060J1Q1"),
            (11419, "]1f0g0EJ0KJ51J0;000_O01O]1a0TOEJ0KJ5", "K0O0K000J060KO0001O0"),
            (11229, "S2<f0OKKJ51J00J060J1T36\\MOKKJ51J00J060J1T36", "OEJ0KJ51J0;000_O01O0"),
        ];
        for ((_, counts), (length, start, end)) in masks(&map, 480, 270).iter().zip(ends) {
            assert_eq!(counts.len(), length);
            assert!(counts.starts_with(start) && counts.ends_with(end), "{counts}");
        }
    }
}
