//! Prepares batches on threads of its own, ahead of the step that needs them.

use super::{Plan, Source};
use crate::augment::{Augment, View, mix};
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
    /// `[n, 3, height, width]`, normalised.
    pub images: Vec<f32>,
    /// `[n, height, width]`, class numbers or [`crate::metrics::IGNORE`].
    pub labels: Vec<u8>,
    /// The other truth, where pictures were blended with each other.
    pub second: Option<Second>,
    /// Number of pictures.
    pub count: usize,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
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
    /// Pictures in a batch.
    pub batch: usize,
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
        let mut images = vec![0.0; self.batch * 3 * pixels];
        let mut labels = vec![0; self.batch * pixels];
        let mut rgb = vec![0; 3 * pixels];
        let draws = plan.batch(step, self.batch);
        let parts = images.chunks_exact_mut(3 * pixels).zip(labels.chunks_exact_mut(pixels));
        for ((at, source, sample), (image, label)) in draws.zip(parts) {
            let mut random = Random::of(&[self.seed, PICTURE, u64::from(epoch), at as u64]);
            let sample = &self.sources[source].samples[sample];
            let view = View {
                width,
                height,
                nominal: self.nominal,
            };
            self.augment.apply(sample, view, &mut random, &mut rgb, label);
            filler.fill(&rgb, width, height, image);
        }
        let mut batch = Batch {
            images,
            labels,
            second: None,
            count: self.batch,
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
