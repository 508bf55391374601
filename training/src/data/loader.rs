//! Prepares batches on threads of its own, ahead of the step that needs them.

use super::{Plan, Source};
use crate::augment::{Augment, Place, View, mix};
use crate::random::Random;
use maskline_models::Input;
use maskline_models::fill::Filler;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// One batch, ready for the net.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[frames, n, 3, height, width]`, normalised: the first pictures of n sequences, then the second ones, and so on.
    pub images: Vec<f32>,
    /// `[frames, n, height, width]`, class numbers or [`crate::metrics::IGNORE`].
    pub labels: Vec<u8>,
    /// The other truth, where pictures were blended with each other; of single pictures only.
    pub second: Option<Second>,
    /// Number of sequences.
    pub count: usize,
    /// Pictures of each.
    pub frames: usize,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

impl Batch {
    /// Its frames in order, each as a batch of single pictures.
    pub fn into_frames(self) -> impl Iterator<Item = Self> {
        let Self { count, width, height, .. } = self;
        let labels = count * width * height;
        let (mut images_left, mut labels_left) = (self.images.into_iter(), self.labels.into_iter());
        let mut second = self.second;
        (0..self.frames).map(move |_| Self {
            images: images_left.by_ref().take(3 * labels).collect(),
            labels: labels_left.by_ref().take(labels).collect(),
            second: second.take(),
            count,
            frames: 1,
            width,
            height,
        })
    }
}

/// The truth of the pictures that were blended into those of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Second {
    /// As those of the batch; the same where a picture was left as it was.
    pub labels: Vec<u8>,
    /// How much they count, 0-1; those of the batch count for the rest.
    pub share: f32,
}

/// Everything that decides what a batch holds.
#[derive(Debug)]
pub struct Recipe {
    /// Where samples come from.
    pub sources: Vec<Source>,
    /// How they are changed.
    pub augment: Augment,
    /// The net's input.
    pub input: Input,
    /// Width and height of the batch in pixels.
    pub size: (usize, usize),
    /// Width and height that the model is made for: a sample is first thought to be scaled to it.
    pub nominal: (usize, usize),
    /// Sequences in a batch.
    pub batch: usize,
    /// Pictures in a sequence, in the order of their video and all changed alike; 1 for single pictures.
    pub sequence: usize,
    /// The run's seed.
    pub seed: u64,
}

const PICTURE: u64 = 2;
const MIX: u64 = 4;

impl Recipe {
    /// The batch of that step; depends on nothing but the recipe, epoch and step.
    pub fn batch(&self, plan: &Plan, epoch: u32, step: usize) -> Batch {
        let (width, height) = self.size;
        let pixels = width * height;
        let filler = Filler::new(&self.input);
        let mut images = vec![0.0; self.sequence * self.batch * 3 * pixels];
        let mut labels = vec![0; self.sequence * self.batch * pixels];
        let mut rgb = vec![0; 3 * pixels];
        let view = View {
            width,
            height,
            nominal: self.nominal,
        };
        for (place, (at, source, sample)) in plan.batch(step, self.batch).enumerate() {
            let mut first = None;
            for (frame, sample) in plan.sequence(source, sample, self.sequence).enumerate() {
                let mut random = Random::of(&[self.seed, PICTURE, u64::from(epoch), at as u64]);
                let sample = &self.sources[source].samples[sample];
                let number = frame * self.batch + place;
                let label = &mut labels[number * pixels..][..pixels];
                let first = *first.get_or_insert(sample);
                let of_sequence = Place { first, frame };
                self.augment
                    .apply_in_sequence(sample, of_sequence, view, &mut random, &mut rgb, label);
                filler.fill(&rgb, width, height, &mut images[number * 3 * pixels..][..3 * pixels]);
            }
        }
        let mut batch = Batch {
            images,
            labels,
            second: None,
            count: self.batch,
            frames: self.sequence,
            width,
            height,
        };
        mix(
            &self.augment,
            &mut batch,
            &mut Random::of(&[self.seed, MIX, u64::from(epoch), step as u64]),
        );
        batch
    }
}

/// Gives the batches of one epoch in order.
#[derive(Debug)]
pub struct Loader {
    queues: Vec<Receiver<Batch>>,
    threads: Vec<JoinHandle<()>>,
    next: usize,
}

const AHEAD_BATCHES: usize = 3; // per thread

impl Loader {
    /// Starts `threads` threads that prepare the batches `range` of an epoch.
    pub fn start(recipe: &Arc<Recipe>, epoch: u32, range: Range<usize>, threads: usize) -> Self {
        let plan = Arc::new(Plan::new(&recipe.sources, recipe.seed, epoch));
        let (mut queues, mut handles) = (Vec::new(), Vec::new());
        for thread in 0..threads {
            let (tx, rx) = sync_channel(AHEAD_BATCHES);
            let (recipe, plan) = (recipe.clone(), plan.clone());
            let steps = (range.start + thread..range.end).step_by(threads);
            handles.push(std::thread::spawn(move || fill(&recipe, &plan, epoch, steps, &tx)));
            queues.push(rx);
        }
        Self {
            queues,
            threads: handles,
            next: 0,
        }
    }
}

fn fill(recipe: &Recipe, plan: &Plan, epoch: u32, steps: impl Iterator<Item = usize>, tx: &SyncSender<Batch>) {
    for step in steps {
        if tx.send(recipe.batch(plan, epoch, step)).is_err() {
            break; // the training left first
        }
    }
}

impl Iterator for Loader {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let queue = self.next % self.queues.len();
        self.next += 1;
        self.queues[queue].recv().ok()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.queues.clear(); // the threads see it and end
        for thread in self.threads.drain(..) {
            // A panic has been printed by its thread, and showed as a missing batch.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;
    use crate::data::Sample;

    const SIDE: usize = 16;

    /// Pictures of two clips of three frames whose red says which frame it is.
    fn recipe(sequence: usize) -> Recipe {
        let sample = |number: usize| Sample {
            name: format!("{}_{number}", if number < 3 { "a" } else { "b" }),
            width: SIDE,
            height: SIDE,
            rgb: (0..SIDE * SIDE)
                .flat_map(|i| [10 * (number as u8 + 1), 8 * (i % SIDE) as u8, 8 * (i / SIDE) as u8])
                .collect(),
            labels: vec![number as u8; SIDE * SIDE],
        };
        let text =
            "name = 'a'\n[net]\nkind = 'unet'\nwidths = [2, 2]\n[[data]]\nkind = 'synth'\ncount = 1\n[train]\nepochs = 1\nbatch = 1\n";
        let mut input = RunConfig::parse(text).unwrap().contract_input();
        (input.scale, input.mean, input.std) = (1.0, [0.0; 3], [1.0; 3]);
        Recipe {
            sources: vec![Source {
                description: String::new(),
                weight: 1.0,
                samples: (0..6).map(sample).collect(),
            }],
            augment: Augment {
                flip: true,
                scale: [0.8, 1.25],
                ..Augment::none()
            },
            input,
            size: (SIDE, SIDE),
            nominal: (SIDE, SIDE),
            batch: 2,
            sequence,
            seed: 5,
        }
    }

    #[test]
    fn frames_of_a_sequence_follow_each_other_and_are_cut_alike() {
        let recipe = recipe(3);
        let plan = Plan::new(&recipe.sources, recipe.seed, 0);
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..plan.steps(recipe.batch) {
            let batch = recipe.batch(&plan, 0, step);
            assert_eq!((batch.frames, batch.count, batch.labels.len()), (3, 2, 6 * SIDE * SIDE));
            for place in 0..2 {
                let frame = |number: usize| &batch.images[(number * 2 + place) * 3 * SIDE * SIDE..][..3 * SIDE * SIDE];
                let middle = SIDE * SIDE / 2 + SIDE / 2;
                let label = |number: usize| batch.labels[(number * 2 + place) * SIDE * SIDE + middle];
                let first = label(0);
                assert!(first == 0 || first == 3, "both clips are as long as a sequence");
                assert_eq!([label(1), label(2)], [first + 1, first + 2]);
                // green and blue are those of the place in the sample: alike where the cut is
                assert_eq!(frame(0)[SIDE * SIDE..], frame(1)[SIDE * SIDE..]);
                assert_eq!(frame(0)[SIDE * SIDE..], frame(2)[SIDE * SIDE..]);
                seen.insert(frame(0)[SIDE * SIDE..].iter().map(|v| v.to_bits()).collect::<Vec<_>>());
            }
        }
        assert!(seen.len() > 2, "sequences differ from each other");
    }

    #[test]
    fn a_sequence_of_one_frame_is_a_single_picture() {
        let recipe = recipe(1);
        let plan = Plan::new(&recipe.sources, recipe.seed, 0);
        let batch = recipe.batch(&plan, 0, 0);
        let (mut rgb, mut label) = (vec![0; 3 * SIDE * SIDE], vec![0; SIDE * SIDE]);
        let (at, source, sample) = plan.batch(0, 2).next().unwrap();
        let view = View {
            width: SIDE,
            height: SIDE,
            nominal: recipe.nominal,
        };
        let mut random = Random::of(&[recipe.seed, PICTURE, 0, at as u64]);
        let sample = &recipe.sources[source].samples[sample];
        recipe.augment.apply(sample, view, &mut random, &mut rgb, &mut label);
        assert_eq!(batch.labels[..SIDE * SIDE], label);
        assert_eq!(batch.images[0], f32::from(rgb[0]));
    }
}
