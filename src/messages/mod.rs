//! What a class map says in numbers: shares, regions, masks for COCO tools, and what happens in zones. One line of JSON a
//! frame or an interval holds all of it (docs/formats.md).

mod area;
mod line;
mod regions;
mod rle;
mod zones;

pub use line::{Line, SCHEMA, Schedule};
pub use regions::{MOST_REGIONS, Region, Regions, regions};
pub use rle::{ClassMask, class_masks};
pub use zones::{Event, Look, Rule, RuleState, Watch, When, Zone, ZoneLook, unknown_classes};

use crate::frame::ClassMap;
use maskline_models::Class;

/// What the lines hold besides the shares, and how often there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageOptions {
    /// Whether connected regions are listed.
    pub regions: bool,
    /// The smallest region, as a share (0-1) of the frame.
    pub min_area: f64,
    /// Whether the mask of every class is there as COCO run lengths.
    pub rle: bool,
    /// A line an interval of so many nanoseconds, instead of one a frame.
    pub every_ns: Option<u64>,
}

impl Default for MessageOptions {
    fn default() -> Self {
        Self {
            regions: false,
            min_area: 0.001,
            rle: false,
            every_ns: None,
        }
    }
}

/// The share of every class that counts, in the order of the contract.
pub fn shares<'a>(map: &ClassMap, classes: &'a [Class]) -> Vec<(&'a Class, f64)> {
    let mut counts = [0; 256];
    count(&map.ids, &mut counts);
    let counted = classes.iter().filter(|c| !c.ignore);
    counted.map(|c| (c, share(counts[usize::from(c.id)], map.ids.len()))).collect()
}

/// Adds the pixels of each class.
fn count(ids: &[u8], counts: &mut [u64; 256]) {
    for id in ids {
        counts[usize::from(*id)] += 1;
    }
}

fn share(pixels: u64, of: usize) -> f64 {
    pixels as f64 / of.max(1) as f64
}

/// A share as it is written: six digits.
fn written(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}
