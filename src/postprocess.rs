//! Scores to a class map: the best class of every pixel, and of a letterboxed input only what the frame covers.

use crate::error::{Kind, fault};
use crate::frame::{ClassMap, ConfidenceMap};
use crate::infer::{Scores, Values};
use anyhow::{Result, ensure};
use maskline_models::contract::Layout;
use maskline_models::{Fit, Head};
use multiversion::multiversion;

/// Turns the scores of one head into class maps that cover exactly the frame's content.
#[derive(Debug)]
pub struct Postprocessor {
    fit: Fit,
    head: String,
    /// Class id of each score channel.
    ids: Vec<u8>,
    /// Whether a class of that id is in the contract.
    known: [bool; 256],
    best: Vec<f32>,
    channel: Vec<u32>,
    nan_frames: u64,
}

impl Postprocessor {
    /// A postprocessor for a head and a geometry.
    pub fn new(head: &Head, fit: &Fit) -> Self {
        let mut known = [false; 256];
        for class in &head.classes {
            known[usize::from(class.id)] = true;
        }
        Self {
            fit: *fit,
            head: head.name.clone(),
            ids: head.scored().map(|c| c.id).collect(),
            known,
            best: Vec::new(),
            channel: Vec::new(),
            nan_frames: 0,
        }
    }

    /// The class map of one frame at the size of the scores. A score that is NaN loses against any other.
    ///
    /// # Errors
    /// Kind 78 if all scores are NaN, if there is another number of classes than in the contract, or an id that is not in it.
    pub fn run(&mut self, scores: &Scores) -> Result<ClassMap> {
        let area = self.content(scores);
        let mut ids = Vec::with_capacity(area.width * area.height);
        match &scores.values {
            Values::U8(values) => self.copy_ids(scores, area, values, &mut ids)?,
            Values::I32(values) => self.copy_ids(scores, area, values, &mut ids)?,
            Values::I64(values) => self.copy_ids(scores, area, values, &mut ids)?,
            Values::Floats {
                scores: values,
                classes,
                layout,
            } => {
                ensure!(
                    *classes == self.ids.len() && values.len() == classes * scores.width * scores.height,
                    fault(
                        Kind::Config,
                        format!("head {:?} gave {classes} classes, its contract has {}", self.head, self.ids.len())
                    )
                );
                self.best_classes(scores, area, values, *layout, &mut ids)?;
            }
        }
        Ok(ClassMap {
            width: area.width as u32,
            height: area.height as u32,
            ids,
        })
    }

    /// How sure the net is of each pixel of the class map of the same scores, where it says so. NaN is not sure at all.
    pub fn confidence(&self, scores: &Scores) -> Option<ConfidenceMap> {
        let values = scores.confidence.as_ref()?;
        let area = self.content(scores);
        let rows = values.chunks_exact(scores.width).skip(area.y).take(area.height);
        let cells = rows.flat_map(|row| &row[area.x..][..area.width]);
        Some(ConfidenceMap {
            width: area.width as u32,
            height: area.height as u32,
            levels: cells.map(|share| (255.0 * share).round() as u8).collect(), // saturates, and NaN becomes 0
        })
    }

    /// Frames so far with some scores that were NaN.
    pub fn nan_frames(&self) -> u64 {
        self.nan_frames
    }

    /// The part of the scores that the frame covers; the output of a net may be smaller than its input.
    fn content(&self, scores: &Scores) -> Area {
        let along = |from: u32, length: u32, whole: u32, size: usize| {
            let scale = size as f64 / f64::from(whole);
            let start = ((f64::from(from) * scale).round() as usize).min(size - 1);
            let end = (f64::from(from + length) * scale).round() as usize;
            (start, end.clamp(start + 1, size) - start)
        };
        let content = self.fit.content;
        let (x, width) = along(content.x, content.width, self.fit.width, scores.width);
        let (y, height) = along(content.y, content.height, self.fit.height, scores.height);
        Area { x, y, width, height }
    }

    fn copy_ids<T: Copy + TryInto<u8> + Into<i64>>(&self, scores: &Scores, area: Area, values: &[T], ids: &mut Vec<u8>) -> Result<()> {
        ensure!(
            values.len() == scores.width * scores.height,
            "head {:?} gave {} ids for {}x{} pixels",
            self.head,
            values.len(),
            scores.width,
            scores.height
        );
        let mut strange = None;
        for row in values.chunks_exact(scores.width).skip(area.y).take(area.height) {
            ids.extend(row[area.x..][..area.width].iter().map(|&value| match value.try_into() {
                Ok(id) if self.known[usize::from(id)] => id,
                _ => {
                    strange = Some(value.into());
                    0
                }
            }));
        }
        match strange {
            None => Ok(()),
            Some(id) => Err(fault(
                Kind::Config,
                format!(
                    "head {:?} gave class {id}, its contract has no such class: correct the [[head.class]] list",
                    self.head
                ),
            )),
        }
    }

    fn best_classes(&mut self, scores: &Scores, area: Area, values: &[f32], layout: Layout, ids: &mut Vec<u8>) -> Result<()> {
        let (mut any_nan, mut any_number) = (false, false);
        self.best.resize(area.width, 0.0);
        self.channel.resize(area.width, 0);
        for y in area.y..area.y + area.height {
            self.best.fill(f32::NEG_INFINITY);
            self.channel.fill(0);
            let row = y * scores.width + area.x;
            match layout {
                Layout::Nchw => {
                    for (channel, plane) in values.chunks_exact(scores.width * scores.height).enumerate() {
                        let found = take_better(&plane[row..][..area.width], channel as u32, &mut self.best, &mut self.channel);
                        any_nan |= found.nan;
                        any_number |= found.number;
                    }
                }
                Layout::Nhwc => {
                    let classes = self.ids.len();
                    let pixels = values[row * classes..][..area.width * classes].chunks_exact(classes);
                    for (pixel, (best, best_channel)) in pixels.zip(self.best.iter_mut().zip(&mut self.channel)) {
                        for (channel, &score) in pixel.iter().enumerate() {
                            any_nan |= score.is_nan();
                            any_number |= !score.is_nan();
                            if score > *best {
                                (*best, *best_channel) = (score, channel as u32);
                            }
                        }
                    }
                }
            }
            ids.extend(self.channel.iter().map(|&c| self.ids[c as usize]));
        }
        self.nan_frames += u64::from(any_nan);
        if any_number {
            return Ok(());
        }
        Err(fault(
            Kind::Config,
            format!(
                "all scores of head {:?} are NaN, wanted numbers: check scale, mean, std and channels of the model's contract, or try the provider cpu",
                self.head
            ),
        ))
    }
}

#[derive(Debug, Clone, Copy)]
struct Area {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

struct Found {
    nan: bool,
    number: bool,
}

/// Where a score beats the best one so far, puts it and its channel there. All slices have one length.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn take_better(scores: &[f32], channel: u32, best: &mut [f32], best_channel: &mut [u32]) -> Found {
    let (mut nan, mut number) = (0_u32, 0_u32);
    for ((&score, best), best_channel) in scores.iter().zip(best).zip(best_channel) {
        let is_nan = score.is_nan();
        nan |= u32::from(is_nan);
        number |= u32::from(!is_nan);
        let better = score > *best;
        *best = if better { score } else { *best };
        *best_channel = if better { channel } else { *best_channel };
    }
    Found {
        nan: nan != 0,
        number: number != 0,
    }
}

/// A class map at another size, each pixel the class whose area it lies in.
pub fn scale_nearest(classes: &ClassMap, width: u32, height: u32) -> ClassMap {
    let columns: Vec<usize> = nearest(classes.width, width).collect();
    let mut ids = Vec::with_capacity(width as usize * height as usize);
    let mut previous = None;
    for row in nearest(classes.height, height) {
        if previous == Some(row) {
            ids.extend_from_within(ids.len() - width as usize..);
        } else {
            let from = &classes.ids[row * classes.width as usize..][..classes.width as usize];
            ids.extend(columns.iter().map(|&x| from[x]));
        }
        previous = Some(row);
    }
    ClassMap { width, height, ids }
}

/// For each of `to` places along an axis: which of `from` it lies in.
pub(crate) fn nearest(from: u32, to: u32) -> impl Iterator<Item = usize> {
    (0..to).map(move |i| ((2 * u64::from(i) + 1) * u64::from(from) / (2 * u64::from(to))) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Brightness;
    use maskline_models::Rect;

    fn whole(width: u32, height: u32) -> Fit {
        Fit {
            width,
            height,
            content: Rect { x: 0, y: 0, width, height },
            pad: 0,
        }
    }

    /// A head whose ids are not its channels: 7, 3, 9 (and 255 ignored).
    fn head() -> Head {
        let mut head = Brightness::default().contract().heads.remove(0);
        let class = |id: u8, ignore| {
            let mut class = head.classes[0].clone();
            (class.id, class.name, class.ignore) = (id, format!("c{id}"), ignore);
            class
        };
        head.classes = vec![class(7, false), class(255, true), class(3, false), class(9, false)];
        head
    }

    fn floats(width: usize, height: usize, layout: Layout, values: Vec<f32>) -> Scores {
        Scores {
            width,
            height,
            values: Values::Floats {
                scores: values.into(),
                classes: 3,
                layout,
            },
            confidence: None,
        }
    }

    /// Plain argmax with NaN below everything; the first of equals wins.
    fn reference(values: &[f32], pixels: usize, layout: Layout) -> Vec<u8> {
        let at = |pixel: usize, c: usize| match layout {
            Layout::Nchw => values[c * pixels + pixel],
            Layout::Nhwc => values[pixel * 3 + c],
        };
        (0..pixels)
            .map(|pixel| {
                let mut best = 0;
                for c in 1..3 {
                    let (a, b) = (at(pixel, c), at(pixel, best));
                    if !a.is_nan() && (b.is_nan() || a > b) {
                        best = c;
                    }
                }
                [7, 3, 9][best]
            })
            .collect()
    }

    #[test]
    fn the_best_class_of_every_pixel_agrees_with_a_plain_argmax() {
        for (width, height) in [(1, 1), (7, 3), (33, 5), (854, 2)] {
            for layout in [Layout::Nchw, Layout::Nhwc] {
                let mut seed = 1_u32;
                let values: Vec<f32> = (0..3 * width * height)
                    .map(|i| {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if i % 11 == 3 { f32::NAN } else { (seed >> 24) as f32 - 128.0 }
                    })
                    .collect();
                let mut post = Postprocessor::new(&head(), &whole(width as u32, height as u32));
                let map = post.run(&floats(width, height, layout, values.clone())).unwrap();
                assert_eq!(map.ids, reference(&values, width * height, layout), "{width}x{height} {layout:?}");
                assert_eq!((map.width as usize, map.height as usize), (width, height));
            }
        }
    }

    #[test]
    fn some_nan_is_counted_and_nothing_but_nan_is_an_error_with_the_remedy() {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let mut post = Postprocessor::new(&head(), &whole(2, 1));
            post.run(&floats(2, 1, layout, vec![1.0; 6])).unwrap();
            assert_eq!(post.nan_frames(), 0);
            post.run(&floats(2, 1, layout, vec![1.0, f32::NAN, 1.0, 1.0, 1.0, 1.0])).unwrap();
            assert_eq!(post.nan_frames(), 1);
            let error = post.run(&floats(2, 1, layout, vec![f32::NAN; 6])).unwrap_err().to_string();
            assert!(error.contains("NaN") && error.contains("mean"), "{error}");
        }
    }

    #[test]
    fn ids_pass_through_and_one_that_the_contract_lacks_is_refused() {
        let scores = |values| Scores {
            width: 3,
            height: 1,
            values,
            confidence: None,
        };
        let mut post = Postprocessor::new(&head(), &whole(3, 1));
        assert_eq!(post.run(&scores(Values::U8(vec![7, 3, 255].into()))).unwrap().ids, [7, 3, 255]);
        assert_eq!(post.run(&scores(Values::I32(vec![9, 9, 3].into()))).unwrap().ids, [9, 9, 3]);
        assert_eq!(post.run(&scores(Values::I64(vec![9, 7, 3].into()))).unwrap().ids, [9, 7, 3]);
        for bad in [-1, 4, 263, i64::MAX] {
            let error = post.run(&scores(Values::I64(vec![7, bad, 3].into()))).unwrap_err().to_string();
            assert!(error.contains(&bad.to_string()), "{error}");
        }
    }

    #[test]
    fn the_bars_of_a_letterbox_are_cut_off_also_where_the_output_is_smaller_than_the_input() {
        let mut fit = whole(8, 6);
        fit.content = Rect {
            x: 2,
            y: 2,
            width: 4,
            height: 2,
        };
        let mut ids = vec![3; 48];
        for (x, y) in [(2, 2), (3, 2), (4, 2), (5, 2), (2, 3), (3, 3), (4, 3), (5, 3)] {
            ids[y * 8 + x] = 7;
        }
        let scores = Scores {
            width: 8,
            height: 6,
            values: Values::U8(ids.into()),
            confidence: Some((0..48).map(|i| i as f32 / 47.0).collect::<Vec<_>>().into()),
        };
        let map = Postprocessor::new(&head(), &fit).run(&scores).unwrap();
        assert_eq!((map.width, map.height, map.ids), (4, 2, vec![7; 8]));
        let sure = Postprocessor::new(&head(), &fit).confidence(&scores).unwrap();
        let level = |cell: u32| (255.0 * cell as f32 / 47.0).round() as u8;
        assert_eq!((sure.width, sure.height), (4, 2));
        assert_eq!(sure.levels, [18, 19, 20, 21, 26, 27, 28, 29].map(level));
        let half = Scores {
            width: 4,
            height: 3,
            values: Values::U8(vec![3, 3, 3, 3, 3, 7, 7, 3, 3, 3, 3, 3].into()),
            confidence: None,
        };
        let map = Postprocessor::new(&head(), &fit).run(&half).unwrap();
        assert_eq!((map.width, map.height, map.ids), (2, 1, vec![7; 2]));
    }

    #[test]
    fn another_number_of_classes_is_refused() {
        let scores = Scores {
            width: 1,
            height: 1,
            values: Values::Floats {
                scores: vec![0.0; 5].into(),
                classes: 5,
                layout: Layout::Nchw,
            },
            confidence: None,
        };
        let error = Postprocessor::new(&head(), &whole(1, 1)).run(&scores).unwrap_err().to_string();
        assert!(error.contains("5 classes") && error.contains("has 3"), "{error}");
    }

    #[test]
    fn a_confidence_that_is_no_share_is_taken_for_the_nearest_one() {
        let scores = Scores {
            width: 5,
            height: 1,
            values: Values::U8(vec![7; 5].into()),
            confidence: Some(vec![0.0, 1.0, -3.0, 7.0, f32::NAN].into()),
        };
        let post = Postprocessor::new(&head(), &whole(5, 1));
        assert_eq!(post.confidence(&scores).unwrap().levels, [0, 255, 0, 255, 0]);
        let scores = Scores {
            confidence: None,
            ..scores
        };
        assert_eq!(post.confidence(&scores), None);
    }

    #[test]
    fn scaling_a_class_map_keeps_its_areas() {
        let map = ClassMap {
            width: 2,
            height: 2,
            ids: vec![1, 2, 3, 4],
        };
        assert_eq!(scale_nearest(&map, 2, 2), map);
        assert_eq!(scale_nearest(&map, 4, 3).ids, [1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
        assert_eq!(scale_nearest(&map, 1, 1).ids, [4]);
    }
}
