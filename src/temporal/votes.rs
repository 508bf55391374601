//! Hysteresis of classes: a pixel changes its class when enough inferred frames in a row say so.

use crate::frame::ClassMap;
use maskline_models::field::{Field, Warper};

/// A class map with how sure each pixel's class is: the exponential mean of the votes of inferred frames, +1 for the class and
/// -1 for another one.
#[derive(Debug, Clone)]
pub struct Votes {
    /// For each class id that a pixel may hold: the weight of what was before, 0 (every frame decides alone) to below 1.
    smooth: [f32; 256],
    /// `width * height` means, 0-1.
    means: Vec<f32>,
}

impl Votes {
    /// Votes with this memory for a pixel that holds the class of each id. Nothing has been seen.
    pub fn new(smooth: [f32; 256]) -> Self {
        Self { smooth, means: Vec::new() }
    }

    /// Forgets everything: another scene.
    pub fn forget(&mut self) {
        self.means.clear();
    }

    /// Casts the votes of an inferred frame; `map` keeps a pixel's earlier class until it is outvoted. `earlier` is the decided
    /// map of the key frame before, and `way` leads from this frame to it; where that is not sure, this frame decides.
    pub fn cast(&mut self, map: &mut ClassMap, earlier: Option<(&ClassMap, &Field)>, warper: &mut Warper) {
        let smooth = |class: u8| self.smooth[usize::from(class)];
        let fresh = |class: u8| 1.0 - smooth(class);
        let known = earlier.filter(|(e, _)| (e.width, e.height) == (map.width, map.height) && self.means.len() == e.ids.len());
        let Some((earlier, way)) = known else {
            self.means = map.ids.iter().map(|class| fresh(*class)).collect();
            return;
        };
        let mut means: Vec<f32> = map.ids.iter().map(|class| fresh(*class)).collect();
        warper.each(way, map.width as usize, map.height as usize, |run| {
            if !way.sure[run.cell] {
                return;
            }
            for (from, to) in run.places() {
                let (class, held) = (&mut map.ids[to], earlier.ids[from]);
                let (before, against) = (smooth(held) * self.means[from], fresh(held));
                if *class == held {
                    means[to] = before + against;
                } else if before >= against {
                    *class = held;
                    means[to] = before - against;
                }
            }
        });
        self.means = means;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(class: u8) -> ClassMap {
        ClassMap {
            width: 4,
            height: 2,
            ids: vec![class; 8],
        }
    }

    /// After how many frames of another class a pixel that was long of one class changes.
    fn frames_to_change(smooth: f32) -> usize {
        let (mut votes, mut warper, still) = (Votes::new([smooth; 256]), Warper::default(), Field::still(2, 2));
        let mut held = map(1);
        votes.cast(&mut held, None, &mut warper);
        for _ in 0..50 {
            let mut next = map(1);
            votes.cast(&mut next, Some((&held, &still)), &mut warper);
            held = next;
        }
        (1..100)
            .find(|_| {
                let mut next = map(2);
                votes.cast(&mut next, Some((&held, &still)), &mut warper);
                held = next;
                held == map(2)
            })
            .unwrap()
    }

    #[test]
    fn the_smoother_the_longer_a_class_is_held() {
        assert_eq!(frames_to_change(0.0), 1);
        assert_eq!(frames_to_change(0.4), 1);
        assert_eq!(frames_to_change(0.6), 2);
        assert_eq!(frames_to_change(0.8), 4);
        assert!(frames_to_change(0.95) > 10);
    }

    #[test]
    fn each_class_is_held_as_long_as_it_is_told() {
        let mut smooth = [0.0; 256];
        smooth[1] = 0.9;
        let (mut votes, mut warper, still) = (Votes::new(smooth), Warper::default(), Field::still(2, 2));
        let mut held = map(1);
        held.ids[0] = 2;
        votes.cast(&mut held, None, &mut warper);
        votes.cast(&mut held.clone(), Some((&held, &still)), &mut warper);
        let mut next = map(3);
        votes.cast(&mut next, Some((&held, &still)), &mut warper);
        assert_eq!(next.ids, [3, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn where_motion_is_not_sure_the_new_frame_decides() {
        let (mut votes, mut warper, mut way) = (Votes::new([0.9; 256]), Warper::default(), Field::still(4, 2));
        let mut held = map(1);
        votes.cast(&mut held, None, &mut warper);
        votes.cast(&mut held.clone(), Some((&held, &way)), &mut warper);
        way.sure[3] = false;
        let mut next = map(2);
        votes.cast(&mut next, Some((&held, &way)), &mut warper);
        assert_eq!(next.ids, [1, 1, 1, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn after_a_cut_nothing_is_held() {
        let (mut votes, mut warper) = (Votes::new([0.9; 256]), Warper::default());
        let mut held = map(1);
        votes.cast(&mut held, None, &mut warper);
        votes.forget();
        let mut next = map(2);
        votes.cast(&mut next, Some((&held, &Field::still(2, 2))), &mut warper);
        assert_eq!(next, map(2));
    }
}
