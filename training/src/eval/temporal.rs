//! How steady class maps are over the frames of a clip.

use super::flow::Luma;
use crate::data::Sample;
use crate::metrics::{Confusion, IGNORE};
use anyhow::Result;
use maskline_models::field::{Field, Warper};
use serde::Serialize;

/// How steady class maps are. Means are over the pairs of neighbouring frames; `None` where there are none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Temporal {
    /// Pairs that were compared.
    pub pairs: u64,
    /// Pairs that were left out because another scene begins, or another size.
    pub cuts: u64,
    /// Along the optical flow.
    #[serde(flatten)]
    pub predicted: Steadiness,
    /// The same of the labels: what the flow, what comes into view and what hands draw anew cost.
    pub labels: Steadiness,
    /// Share (0-1) of the pixels of one label in both frames whose predicted class changes. Needs no flow.
    pub flicker_at_same_label: Option<f64>,
    /// The same for each class of the label.
    pub classes: Vec<ClassFlicker>,
}

/// How steady class maps are along the optical flow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Steadiness {
    /// Mean share (0-1) of the pixels whose class is not that of the map before, moved as the picture moved.
    pub flicker: Option<f64>,
    /// Mean IoU of a map with the map before, moved as the picture moved (Varghese et al. 2020).
    pub consistency: Option<f64>,
}

/// How restless the pixels of a label are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFlicker {
    /// Its name.
    pub name: String,
    /// Share (0-1) of its pixels whose predicted class changes although the label does not.
    pub flicker: Option<f64>,
}

/// Counts, frame by frame.
#[derive(Debug)]
pub struct TemporalTally {
    names: Vec<String>,
    previous: Option<Frame>,
    warper: Warper,
    cuts: u64,
    predicted: Sums,
    labels: Sums,
    /// Pixels of each label in two frames, and those of them whose predicted class changes.
    same_label: Vec<[u64; 2]>,
}

#[derive(Debug)]
struct Frame {
    luma: Luma,
    labels: Vec<u8>,
    predicted: Vec<u8>,
}

#[derive(Debug, Default)]
struct Sums {
    pairs: u64,
    flicker: f64,
    consistency: f64,
}

impl Sums {
    /// Counts a pair of maps of `n` classes, `before` moved; pixels without a class in one of them do not count.
    fn add(&mut self, before: &[u8], now: &[u8], n: usize, names: &[String]) {
        let mut confusion = Confusion::new(n);
        let known: Vec<u8> = before
            .iter()
            .zip(now)
            .map(|(b, n)| if *n == IGNORE { IGNORE } else { *b })
            .collect();
        confusion.add(&known, now);
        let scores = confusion.scores(names);
        if scores.pixels > 0 {
            self.pairs += 1;
            self.flicker += 1.0 - scores.pixel_accuracy;
            self.consistency += scores.miou;
        }
    }

    fn mean(&self) -> Steadiness {
        let mean = |sum: f64| (self.pairs > 0).then(|| sum / self.pairs as f64);
        Steadiness {
            flicker: mean(self.flicker),
            consistency: mean(self.consistency),
        }
    }
}

impl TemporalTally {
    /// Nothing counted yet; `names` in the order of the classes.
    pub fn new(names: Vec<String>) -> Self {
        Self {
            same_label: vec![[0; 2]; names.len()],
            names,
            previous: None,
            warper: Warper::default(),
            cuts: 0,
            predicted: Sums::default(),
            labels: Sums::default(),
        }
    }

    /// The next frame begins another clip.
    pub fn cut(&mut self) {
        self.cuts += u64::from(self.previous.take().is_some());
    }

    /// Counts the next frame of the clip with its predicted class numbers.
    ///
    /// # Errors
    /// If the picture's bytes do not fit its size.
    pub fn add(&mut self, sample: &Sample, predicted: &[u8]) -> Result<()> {
        let Some(luma) = Luma::new(&sample.rgb, sample.width, sample.height)? else {
            self.cut();
            return Ok(());
        };
        let frame = Frame {
            luma,
            labels: sample.labels.clone(),
            predicted: predicted.to_vec(),
        };
        if let Some(before) = self.previous.take() {
            let same_size = before.labels.len() == frame.labels.len();
            let motion = frame.luma.since(&before.luma).filter(|m| same_size && !m.back.is_cut(m.residual));
            match motion {
                Some(motion) => self.pair(&before, &frame, &motion.back, (sample.width, sample.height)),
                None => self.cuts += 1,
            }
        }
        self.previous = Some(frame);
        Ok(())
    }

    fn pair(&mut self, before: &Frame, now: &Frame, back: &Field, size: (usize, usize)) {
        let n = self.names.len();
        let moved = self.warper.map(back, &before.predicted, size);
        self.predicted.add(&moved, &now.predicted, n, &self.names);
        let moved = self.warper.map(back, &before.labels, size);
        self.labels.add(&moved, &now.labels, n, &self.names);
        let labels = before.labels.iter().zip(&now.labels);
        for ((was, is), (before, now)) in labels.zip(before.predicted.iter().zip(&now.predicted)) {
            if was == is && *is != IGNORE {
                let [pixels, changed] = &mut self.same_label[usize::from(*is)];
                *pixels += 1;
                *changed += u64::from(before != now);
            }
        }
    }

    /// The measures.
    pub fn finish(self) -> Temporal {
        let share = |[pixels, changed]: [u64; 2]| (pixels > 0).then(|| changed as f64 / pixels as f64);
        let sum = |i: usize| self.same_label.iter().map(|counts| counts[i]).sum();
        Temporal {
            pairs: self.predicted.pairs,
            cuts: self.cuts,
            predicted: self.predicted.mean(),
            labels: self.labels.mean(),
            flicker_at_same_label: share([sum(0), sum(1)]),
            classes: self
                .names
                .iter()
                .zip(&self.same_label)
                .map(|(name, counts)| ClassFlicker {
                    name: name.clone(),
                    flicker: share(*counts),
                })
                .collect(),
        }
    }
}

impl Temporal {
    /// The measures for people.
    pub fn table(&self) -> String {
        if self.pairs == 0 {
            return format!(
                "no frame follows another ({} cuts): --clip wants the frames of a video, under names that count on, such as a_0001.png, a_0002.png",
                self.cuts
            );
        }
        let percent = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{:.2}", 100.0 * v));
        let mut text = format!(
            "over {} pairs of frames, {} cuts left out, %   predicted   labels\n",
            self.pairs, self.cuts
        );
        for (name, value) in [
            (
                "flicker along the motion",
                (|s: &Steadiness| s.flicker) as fn(&Steadiness) -> Option<f64>,
            ),
            ("consistency along the motion (mIoU)", |s| s.consistency),
        ] {
            text += &format!(
                "  {name:44} {:>10} {:>8}\n",
                percent(value(&self.predicted)),
                percent(value(&self.labels))
            );
        }
        text += &format!(
            "  {:44} {:>10}\n",
            "flicker where the label stays",
            percent(self.flicker_at_same_label)
        );
        for class in &self.classes {
            text += &format!("    {:42} {:>10}\n", class.name, percent(class.flicker));
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (96, 64);

    /// A textured world of two classes in stripes of 24 pixels, of which the camera has gone `t` times four pixels to the right.
    fn frame(t: usize) -> Sample {
        let (mut rgb, mut labels) = (Vec::new(), Vec::new());
        for y in 0..SIZE.1 {
            for x in 0..SIZE.0 {
                let (x, y) = ((x + 4 * t) as f32, y as f32);
                let waves = (x / 5.0).sin() + (y / 6.0).cos() + ((x + 2.0 * y) / 9.0).sin();
                rgb.extend([(126.0 + 35.0 * waves) as u8; 3]);
                labels.push((x as usize / 24 % 2) as u8);
            }
        }
        Sample {
            name: t.to_string(),
            width: SIZE.0,
            height: SIZE.1,
            rgb,
            labels,
        }
    }

    fn measured(frames: &[(Sample, Vec<u8>)]) -> Temporal {
        let mut tally = TemporalTally::new(vec!["even".into(), "odd".into()]);
        frames.iter().for_each(|(sample, predicted)| tally.add(sample, predicted).unwrap());
        tally.finish()
    }

    #[test]
    fn maps_that_move_with_the_picture_are_steady() {
        let frames: Vec<_> = (0..5).map(frame).map(|f| (f.clone(), f.labels)).collect();
        let found = measured(&frames);
        assert_eq!((found.pairs, found.cuts), (4, 0));
        // At the right, four of 96 columns come into view, and they are half of the time of another class.
        assert!(found.predicted.flicker.unwrap() < 0.05, "{found:?}");
        assert!(found.predicted.consistency.unwrap() > 0.9, "{found:?}");
        assert_eq!(found.predicted, found.labels);
        assert_eq!(found.flicker_at_same_label, Some(0.0));
    }

    #[test]
    fn a_map_that_changes_its_mind_flickers_by_the_share_that_it_changes() {
        // A quarter of each picture, its upper rows, has the other class in every second frame.
        let flip = |sample: &Sample, odd: bool| {
            let upper = SIZE.0 * SIZE.1 / 4;
            let flipped = sample.labels.iter().enumerate();
            flipped
                .map(|(i, id)| if odd && i < upper { 1 - id } else { *id })
                .collect::<Vec<u8>>()
        };
        let still = frame(0); // the camera rests
        let frames: Vec<_> = (0..4).map(|t| (still.clone(), flip(&still, t % 2 == 1))).collect();
        let found = measured(&frames);
        assert_eq!(found.pairs, 3);
        assert_eq!(
            found.labels,
            Steadiness {
                flicker: Some(0.0),
                consistency: Some(1.0)
            }
        );
        assert!((found.predicted.flicker.unwrap() - 0.25).abs() < 1e-9, "{found:?}");
        // Both classes have half of the picture: three quarters of each stay, and its union is 5/4 of it.
        assert!((found.predicted.consistency.unwrap() - 0.6).abs() < 1e-9, "{found:?}");
        assert_eq!(found.flicker_at_same_label, Some(0.25));
        assert!(found.classes.iter().all(|c| c.flicker == Some(0.25)), "{found:?}");
        assert!(found.table().contains("25.00"), "{}", found.table());
    }

    #[test]
    fn cuts_and_single_frames_are_not_compared() {
        let mut other = frame(0);
        let board = |i: usize| if (i % 96 / 12 + i / 96 / 10).is_multiple_of(2) { 10 } else { 245 };
        other.rgb = (0..96 * 64).flat_map(|i| [board(i); 3]).collect();
        let frames = [frame(0), other, frame(0)].map(|f| (f.clone(), f.labels));
        let found = measured(&frames);
        assert_eq!((found.pairs, found.cuts, found.predicted.flicker), (0, 2, None));
        assert_eq!(measured(&frames[..1]).flicker_at_same_label, None);
    }
}
