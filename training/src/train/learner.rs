//! What a step of training is: batches in, better weights out. Knows no files, epochs or clocks.

use super::adversary::{Adversary, labelled, one_hot};
use super::teacher::Teacher;
use crate::checkpoint::{Checkpoint, Parts};
use crate::config::RunConfig;
use crate::data::Batch;
use crate::error::{Kind, fault};
use crate::exported::{self, Exported, Folded};
use crate::freeze;
use crate::lineage::Lineage;
use crate::metrics::IGNORE;
use crate::nets::{Net, Seen};
use crate::ops::Precision;
use crate::optimizer::{clip, shrink};
use crate::pretrained::{self, PretrainedConfig};
use crate::random::Random;
use crate::weights::Weights;
use anyhow::Result;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use maskline_models::Class;
use std::path::Path;

/// A net and everything that changes it.
pub(super) struct Learner {
    config: RunConfig,
    net: Net,
    optimizer: ModuleOptimizer,
    average: Option<Weights>,
    adversary: Option<Adversary>,
    teacher: Option<Teacher>,
    class_weights: Option<Vec<f32>>,
    weights: Option<Tensor<1>>, // the same on the device
    folded: Folded,             // what the first batch settles
    device: Device,             // with autodiff
}

/// What a net took from elsewhere.
pub(super) struct Taken {
    /// Tensors that were taken.
    pub(super) count: usize,
    /// All tensors of the net.
    pub(super) all: usize,
    /// The licence of those that were taken.
    pub(super) licence: String,
    /// What they come from.
    pub(super) lineage: Lineage,
}

const STEP: u64 = 3;

impl Learner {
    /// A new net, or the one of a checkpoint of this run. `plain` is a device without autodiff.
    ///
    /// # Errors
    /// If the checkpoint or the teacher does not fit (exit code 78).
    pub(super) fn new(
        config: &RunConfig,
        classes: &[Class],
        class_weights: Option<Vec<f32>>,
        checkpoint: Option<&Checkpoint>,
        plain: &Device,
    ) -> Result<Self> {
        let device = plain.clone().autodiff();
        device.seed(config.seed);
        let scored = classes.iter().filter(|c| !c.ignore).count();
        let (net, optimizer, average) = match checkpoint {
            Some(checkpoint) => {
                let net = checkpoint.net(&device)?;
                let optimizer = checkpoint.optimizer(config.optimizer.init(&net))?;
                (net, optimizer, checkpoint.average(plain)?)
            }
            None => {
                let net = config.init_net(scored, &device);
                let optimizer = config.optimizer.init(&net);
                (net, optimizer, None)
            }
        };
        let adversary = config.adversarial.as_ref();
        let adversary = adversary.map(|adversarial| Adversary::new(adversarial, scored, checkpoint, &device));
        let teacher = config.distill.as_ref();
        let teacher = teacher.map(|distill| Teacher::open(distill, config, classes, plain));
        let mut learner = Self {
            config: config.clone(),
            net,
            optimizer,
            average,
            adversary: adversary.transpose()?,
            teacher: teacher.transpose()?,
            weights: class_weights.as_ref().map(|w| Tensor::from_floats(w.as_slice(), &device)),
            class_weights,
            folded: Folded::default(),
            device,
        };
        if checkpoint.is_none() {
            learner.begin_average();
        }
        Ok(learner)
    }

    fn begin_average(&mut self) {
        self.average = (self.config.optimizer.ema > 0.0).then(|| Weights::of(&self.net.valid()));
    }

    /// Takes the tensors of another checkpoint or of an exported model wherever path and shape agree.
    ///
    /// # Errors
    /// If it cannot be read, is quantized, or none of them does (exit code 78).
    pub(super) fn take_weights(&mut self, path: &Path) -> Result<Taken> {
        let plain = self.device.clone().without_autodiff();
        let all = Weights::of(&self.net.valid()).len();
        let net = self.net.clone();
        let (net, count, licence, lineage) = if exported::is_model(path) {
            let model = Exported::read("init", path)?;
            let (licence, lineage) = (model.contract.licence.clone(), model.lineage.clone());
            let (net, count, folded) = model.put_into(net, &plain);
            self.folded = folded;
            (net, count, licence, lineage)
        } else {
            let checkpoint = Checkpoint::read(path)?;
            let (net, count) = Weights::of(&checkpoint.best_net(&plain)?).put_into(net);
            let lineage = checkpoint.head.lineage();
            (net, count, checkpoint.head.config.licence, lineage)
        };
        if count == 0 {
            return Err(fault(
                Kind::Config,
                format!("init = {}: none of its tensors has a path and shape of this net", path.display()),
            ));
        }
        self.net = net;
        self.begin_average();
        Ok(Taken {
            count,
            all,
            licence,
            lineage,
        })
    }

    /// What the weights of the teacher come from, if there is one.
    pub(super) fn teacher_lineage(&self) -> Option<&Lineage> {
        self.teacher.as_ref().map(Teacher::lineage)
    }

    /// What an exported model has folded gets the statistics of the first pictures `[n, 3, h, w]` that come by.
    fn settle(&mut self, images: &Tensor<4>) {
        let folded = std::mem::take(&mut self.folded);
        if !folded.is_empty() {
            let _held = Precision::F32.hold(); // what is measured uses them too
            let plain = self.device.clone().without_autodiff();
            self.net = folded.settle(self.net.clone(), images, &plain);
            self.begin_average();
        }
    }

    /// Fills the encoder with weights from elsewhere; gives how many tensors they were.
    ///
    /// # Errors
    /// As [`pretrained::load`].
    pub(super) fn take_pretrained(&mut self, config: &PretrainedConfig) -> Result<usize> {
        let plain = self.device.clone().without_autodiff();
        let units = self.config.net.pretrained_units();
        let (net, count) = pretrained::load(self.net.clone(), &units, config, &plain)?;
        self.net = net;
        self.begin_average();
        Ok(count)
    }

    /// From here on what the configuration freezes in that epoch, counted from 0, keeps its values, and all else learns.
    pub(super) fn freeze(&mut self, epoch: u32) {
        self.net = freeze::apply(&self.config.freeze, self.net.clone(), epoch);
    }

    /// Number of parameters.
    pub(super) fn parameters(&self) -> usize {
        self.net.num_params()
    }

    /// How many of them learn now.
    pub(super) fn learning(&self) -> usize {
        freeze::learning(&self.net)
    }

    /// The net as it is, without autodiff.
    pub(super) fn plain_net(&self) -> Net {
        self.net.valid()
    }

    /// The net that is measured and exported: with averaged weights where the run has them.
    pub(super) fn measured_net(&self) -> Net {
        let net = self.net.valid();
        match &self.average {
            Some(average) => average.put_into(net).0,
            None => net,
        }
    }

    /// Whether a net is left: no weight has run away.
    pub(super) fn is_sound(&self) -> bool {
        Weights::of(&self.plain_net()).are_finite()
    }

    /// Everything that a checkpoint needs to go on bit for bit.
    pub(super) fn parts(&self) -> Parts<'_> {
        Parts {
            net: self.plain_net(),
            average: self.average.as_ref().map(|_| self.measured_net()),
            optimizer: &self.optimizer,
            adversary: self.adversary.as_ref().map(|a| (a.discriminator.valid(), &a.optimizer)),
        }
    }

    /// One step, number `step` of the run, with the gradient of all `batches` together; gives their loss.
    ///
    /// # Errors
    /// If the loss is no number any more (exit code 78).
    pub(super) fn step(&mut self, batches: Vec<Batch>, step: u64, rate: f64) -> Result<f32> {
        let _held = self.config.train.precision.hold();
        // Dropout draws from the device's generator: seeded for each step, so that a resumed run draws the same.
        self.device.seed(Random::of(&[self.config.seed, STEP, step]).bits());
        let mut gradients = GradientsAccumulator::new();
        let mut sum = 0.0;
        let shares = self.shares(&batches);
        let even = 1.0 / batches.len() as f32;
        for (batch, share) in batches.into_iter().zip(shares) {
            let loss = self.loss(batch, share, even);
            let value: f32 = loss.clone().into_scalar();
            if !value.is_finite() {
                return Err(fault(
                    Kind::Config,
                    format!("the loss is {value} at step {step}: lower optimizer.rate or set optimizer.clip_norm"),
                ));
            }
            sum += value;
            gradients.accumulate(&self.net, GradientsParams::from_grads(loss.backward(), &self.net));
        }
        let config = &self.config.optimizer;
        let mut gradients = gradients.grads();
        if config.clip_norm > 0.0 {
            gradients = clip(&self.net, gradients, config.clip_norm).0;
        }
        let rates = freeze::rates(&self.config.freeze, rate);
        self.net = self.optimizer.step(rates.clone(), self.net.clone(), gradients);
        if config.l1 > 0.0 {
            self.net = shrink(self.net.clone(), config.l1, rates);
        }
        if let Some(adversary) = &mut self.adversary {
            adversary.step((rate / config.rate).min(1.0)); // a sweep goes beyond
        }
        if let Some(average) = &mut self.average {
            // A young average follows quickly, or it would remember the random first weights.
            let young = (1.0 + step as f32) / (10.0 + step as f32);
            average.average(Weights::of(&self.net), config.ema.min(young));
        }
        Ok(sum)
    }

    /// How much each batch counts: as much as its labelled pixels weigh, as if all were one batch.
    fn shares(&self, batches: &[Batch]) -> Vec<f32> {
        let weight = |label: &u8| match &self.class_weights {
            _ if *label == IGNORE => 0.0,
            Some(weights) => f64::from(weights[usize::from(*label)]),
            None => 1.0,
        };
        let sums: Vec<f64> = batches.iter().map(|batch| batch.labels.iter().map(weight).sum()).collect();
        let all: f64 = sums.iter().sum();
        let even = 1.0 / batches.len() as f64;
        let share = |sum: &f64| if all > 0.0 { sum / all } else { even };
        sums.iter().map(|sum| share(sum) as f32).collect()
    }

    /// The mean loss of all frames of a batch's sequences, each of which begins with nothing remembered: what one frame gets wrong is
    /// traced back through those before it (truncated back-propagation through time, Williams and Peng 1990). What there is for a
    /// discriminator to learn from it counts `share`, as the labelled pixels do; what a teacher says of all pixels counts `even`.
    fn loss(&mut self, batch: Batch, share: f32, even: f32) -> Tensor<1> {
        let frames = batch.frames as f32;
        let (mut state, mut sum) = (None, None);
        for frame in batch.into_frames() {
            let (loss, next) = self.frame_loss(frame, state, [share, even].map(|s| s / frames));
            state = next;
            sum = Some(match sum {
                Some(sum) => sum + loss,
                None => loss,
            });
        }
        sum.expect("a sequence has at least one frame")
    }

    /// The loss of one frame of each sequence after those that left `state`, and the next state.
    fn frame_loss(&mut self, batch: Batch, state: Option<Tensor<4>>, [share, even]: [f32; 2]) -> (Tensor<1>, Option<Tensor<4>>) {
        let (n, h, w) = (batch.count, batch.height, batch.width);
        let images = Tensor::<4>::from_data(TensorData::new(batch.images, [n, 3, h, w]), &self.device);
        self.settle(&images);
        let labels = |labels: Vec<u8>| {
            let labels: Vec<i32> = labels.into_iter().map(i32::from).collect();
            Tensor::<3, Int>::from_data(TensorData::new(labels, [n, h, w]), &self.device)
        };
        let first = labels(batch.labels);
        let second = batch.second.map(|second| (labels(second.labels), second.share));
        let Seen {
            scores: logits, // [n, classes, h, w]
            auxiliary: coarse,
            state,
        } = self.net.step(images.clone(), state);
        let against = |labels: Tensor<3, Int>| {
            let (config, weights) = (&self.config.loss, self.weights.clone());
            config.with_auxiliary(logits.clone(), coarse.clone(), labels, weights)
        };
        let mut loss = against(first.clone());
        if let Some((second, blend)) = &second {
            loss = loss.mul_scalar(1.0 - blend) + against(second.clone()).mul_scalar(*blend);
        }
        let mut extra = None;
        if let Some(teacher) = &self.teacher {
            extra = Some(teacher.loss(images.clone(), logits.clone()).mul_scalar(even));
        }
        if let Some(adversary) = &mut self.adversary {
            let classes = logits.dims()[1];
            let mut truth = one_hot(first.clone(), classes);
            if let Some((second, blend)) = second {
                truth = truth.mul_scalar(1.0 - blend) + one_hot(second, classes).mul_scalar(blend);
            }
            let maps = softmax(logits, 1) * labelled(first);
            adversary.study(images.clone(), truth, maps.clone().detach(), share);
            loss = loss + adversary.fool(images, maps);
        }
        loss = loss.mul_scalar(share);
        (extra.map_or(loss.clone(), |extra| loss + extra), state)
    }
}
