//! A training run: epochs of steps, validation, checkpoints, and a folder that holds everything about it.

mod folder;
mod live;
mod validate;

pub use folder::RunFolder;

use crate::checkpoint::{Checkpoint, EpochRow, Head, Progress};
use crate::config::RunConfig;
use crate::data::{Batch, Loader, Plan, Recipe, Source, class_counts};
use crate::error::{Kind, fault};
use crate::metrics::{Scores, scored_names};
use crate::nets::Net;
use crate::optimizer::clip;
use crate::random::Random;
use crate::weights::Weights;
use anyhow::Result;
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use live::Live;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What `train` is told on the command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// The run's folder.
    pub out: PathBuf,
    /// Go on from its last checkpoint.
    pub resume: bool,
    /// The device, without autodiff.
    pub device: Device,
    /// Its name, for the record.
    pub device_name: String,
    /// Set by the first Ctrl-C: finish the step, save and leave.
    pub stop: Arc<AtomicBool>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// False if it was stopped before its end.
    pub finished: bool,
    /// How far it came.
    pub progress: Progress,
    /// The last validation of this sitting.
    pub scores: Option<Scores>,
}

/// Trains until the end, the time limit or a stop.
///
/// # Errors
/// Data, device or files that cannot be used, or a loss that is no number any more; each one line.
pub fn run(config: &RunConfig, options: &Options) -> Result<Outcome> {
    let mut run = Run::start(config, options)?;
    let finished = run.epochs(options)?;
    run.live.end();
    Ok(Outcome {
        finished,
        scores: run.scores,
        progress: run.head.progress,
    })
}

struct Run {
    head: Head,
    folder: RunFolder,
    recipe: Arc<Recipe>,
    validation: Vec<Source>,
    class_weights: Option<Tensor<1>>,
    net: Net,
    optimizer: ModuleOptimizer,
    average: Option<Weights>,
    plain: Device,
    device: Device, // with autodiff
    live: Live,
    scores: Option<Scores>,
    before_s: f64, // of earlier sittings
    begun: Instant,
    saved: Instant,
}

const STEP: u64 = 3;

impl Run {
    fn start(config: &RunConfig, options: &Options) -> Result<Self> {
        let classes = config.read_classes().map_err(|e| fault(Kind::Config, e))?;
        let folder = RunFolder::open(&options.out, options.resume)?;
        let nominal = (config.input.width, config.input.height);
        let sources = Source::load_all(&config.data, &classes, nominal)?;
        let validation = Source::load_all(&config.validation, &classes, nominal)?;
        let scored = scored_names(&classes).len();
        let weights = config
            .loss
            .weights(&class_counts(&sources, scored))
            .map_err(|e| fault(Kind::Config, e))?;
        let [width, height] = config.augment.crop.unwrap_or([nominal.0, nominal.1]);
        let recipe = Recipe {
            sources,
            augment: config.augment.clone(),
            input: config.contract_input(),
            size: (width as usize, height as usize),
            nominal: (nominal.0 as usize, nominal.1 as usize),
            batch: config.train.batch,
            seed: config.seed,
        };
        let device = options.device.clone().autodiff();
        device.seed(config.seed);
        let mut head = Head::new(config.clone(), classes, folder::origin(&options.device_name));
        let live = Live::new();
        let (net, optimizer, average) = if options.resume {
            let checkpoint = Checkpoint::read(&folder.last())?;
            folder::same_run(&checkpoint.head, config)?;
            head.progress = checkpoint.head.progress.clone();
            head.origin = checkpoint.head.origin.clone();
            let net = checkpoint.net(&device)?;
            let optimizer = checkpoint.optimizer(config.optimizer.init(&net))?;
            let average = checkpoint.average(&options.device)?;
            live.line(&format!(
                "resumed after epoch {} and {} steps",
                head.progress.epoch, head.progress.step_in_epoch
            ));
            (net, optimizer, average)
        } else {
            let mut net = config.init_net(scored, &device);
            if let Some(path) = &config.init {
                net = take_weights(net, path, &options.device, &live)?;
            }
            let average = (config.optimizer.ema > 0.0).then(|| Weights::of(&net.valid()));
            (net.clone(), config.optimizer.init(&net), average)
        };
        let cost = config.net.cost(scored, nominal.1 as usize, nominal.0 as usize);
        folder.write_start(&head, cost)?;
        let count = |list: &[Source]| list.iter().map(|s| s.samples.len()).sum::<usize>();
        for source in &recipe.sources {
            live.line(&format!("learning from {} pictures: {}", source.samples.len(), source.description));
        }
        live.line(&format!(
            "measuring on {} pictures; {} parameters",
            count(&validation),
            net.num_params()
        ));
        Ok(Self {
            before_s: head.progress.elapsed_s,
            head,
            folder,
            recipe: Arc::new(recipe),
            validation,
            class_weights: weights.map(|w| Tensor::from_floats(w.as_slice(), &device)),
            net,
            optimizer,
            average,
            plain: options.device.clone(),
            device,
            live,
            scores: None,
            begun: Instant::now(),
            saved: Instant::now(),
        })
    }

    fn elapsed_s(&self) -> f64 {
        self.before_s + self.begun.elapsed().as_secs_f64()
    }

    /// Trains to the end; false if it was stopped.
    fn epochs(&mut self, options: &Options) -> Result<bool> {
        let epochs = self.head.config.train.epochs;
        while self.head.progress.epoch < epochs {
            let epoch = self.head.progress.epoch;
            let steps = Plan::new(&self.recipe.sources, self.recipe.seed, epoch).steps(self.recipe.batch);
            let started = (Instant::now(), self.head.progress.step_in_epoch);
            let mut loader = Loader::start(&self.recipe, epoch, started.1, self.head.config.train.loaders);
            let mut rate = 0.0;
            // At least one step, so that an epoch that begins after the time is over has a loss.
            while self.head.progress.step_in_epoch < steps && (self.head.progress.step_in_epoch == 0 || self.share(steps) < 1.0) {
                let batch = loader
                    .next()
                    .ok_or_else(|| fault(Kind::Internal, "a thread that prepares pictures ended early"))?;
                rate = self.rate(steps);
                let loss = self.step(batch, rate)?;
                self.head.progress.loss_sum += f64::from(loss);
                self.head.progress.step_in_epoch += 1;
                self.head.progress.step += 1;
                self.show(steps, loss, rate);
                if options.stop.load(Ordering::SeqCst) {
                    self.save(&self.folder.last())?;
                    self.live.line("stopped and saved; go on with --resume");
                    return Ok(false);
                }
                if self.saved.elapsed() > Duration::from_secs_f64(60.0 * self.head.config.train.checkpoint_minutes) {
                    self.save(&self.folder.last())?;
                }
            }
            drop(loader);
            let over = self.share(steps) >= 1.0 || epoch + 1 == epochs;
            self.end_epoch(steps, rate, over, started)?;
            if over {
                break;
            }
        }
        self.folder.write_end(&self.head)?;
        Ok(true)
    }

    /// Share of the run that is done, 0-1: of the epochs or of the time, whichever is further.
    fn share(&self, steps: usize) -> f64 {
        let config = &self.head.config.train;
        let progress = &self.head.progress;
        let done = f64::from(progress.epoch) + progress.step_in_epoch as f64 / steps as f64;
        let by_epochs = done / f64::from(config.epochs);
        match config.max_minutes {
            Some(minutes) => by_epochs.max(self.elapsed_s() / (60.0 * minutes)),
            None => by_epochs,
        }
    }

    fn rate(&self, steps: usize) -> f64 {
        let config = &self.head.config;
        config.optimizer.rate * config.schedule.factor(self.head.progress.step, self.share(steps))
    }

    /// One step; gives its loss.
    fn step(&mut self, batch: Batch, rate: f64) -> Result<f32> {
        let config = &self.head.config;
        // Dropout draws from the device's generator: seeded for each step, so that a resumed run draws the same.
        self.device.seed(Random::of(&[config.seed, STEP, self.head.progress.step]).bits());
        let (n, h, w) = (batch.count, batch.height, batch.width);
        let images = Tensor::<4>::from_data(TensorData::new(batch.images, [n, 3, h, w]), &self.device);
        let labels: Vec<i32> = batch.labels.into_iter().map(i32::from).collect();
        let labels = Tensor::<3, Int>::from_data(TensorData::new(labels, [n, h, w]), &self.device);
        let (logits, coarse) = self.net.forward_auxiliary(images); // [n, classes, h, w]
        let loss = config.loss.with_auxiliary(logits, coarse, labels, self.class_weights.clone());
        let value: f32 = loss.clone().into_scalar();
        if !value.is_finite() {
            return Err(fault(
                Kind::Config,
                format!(
                    "the loss is {value} at step {}: lower optimizer.rate or set optimizer.clip_norm",
                    self.head.progress.step
                ),
            ));
        }
        let grads = GradientsParams::from_grads(loss.backward(), &self.net);
        let grads = if config.optimizer.clip_norm > 0.0 {
            clip(&self.net, grads, config.optimizer.clip_norm).0
        } else {
            grads
        };
        self.net = self.optimizer.step(rate, self.net.clone(), grads);
        if let Some(average) = &mut self.average {
            // A young average follows quickly, or it would remember the random first weights.
            let young = (1.0 + self.head.progress.step as f32) / (10.0 + self.head.progress.step as f32);
            average.average(Weights::of(&self.net), config.optimizer.ema.min(young));
        }
        Ok(value)
    }

    fn show(&mut self, steps: usize, loss: f32, rate: f64) {
        let share = self.share(steps);
        let miou = self.head.progress.history.iter().rev().find_map(|row| row.miou);
        let left_s = if share > 0.0 { self.elapsed_s() * (1.0 / share - 1.0) } else { 0.0 };
        self.live.step(live::Status {
            epoch: self.head.progress.epoch + 1,
            epochs: self.head.config.train.epochs,
            step: self.head.progress.step_in_epoch,
            steps,
            pictures: self.recipe.batch,
            loss,
            rate,
            miou,
            left_s,
            share,
        });
    }

    fn end_epoch(&mut self, steps: usize, rate: f64, over: bool, started: (Instant, usize)) -> Result<()> {
        let done = self.head.progress.step_in_epoch;
        let trained_s = started.0.elapsed().as_secs_f64();
        let images_per_s = ((done - started.1) * self.recipe.batch) as f64 / trained_s.max(1e-9);
        let epoch = self.head.progress.epoch + 1;
        let due = over || epoch.is_multiple_of(self.head.config.validate.every_epochs);
        let scores = if due && !self.validation.is_empty() {
            Some(self.validate()?)
        } else {
            None
        };
        let elapsed_s = self.elapsed_s();
        let progress = &mut self.head.progress;
        let row = EpochRow {
            epoch,
            step: progress.step,
            loss: progress.loss_sum / (done.max(1)) as f64,
            rate,
            miou: scores.as_ref().map(|s| s.miou),
            pixel_accuracy: scores.as_ref().map(|s| s.pixel_accuracy),
            images_per_s,
            elapsed_s,
        };
        self.live.line(&folder::describe(&row, steps));
        progress.history.push(row);
        progress.epoch = epoch;
        progress.step_in_epoch = 0;
        progress.loss_sum = 0.0;
        progress.elapsed_s = elapsed_s;
        let best = scores
            .as_ref()
            .is_some_and(|s| progress.best.as_ref().is_none_or(|b| s.miou > b.scores.miou));
        if let (true, Some(scores)) = (best, &scores) {
            progress.best = Some(crate::checkpoint::Best {
                epoch,
                scores: scores.clone(),
            });
        }
        if best || (self.validation.is_empty() && over) {
            self.save(&self.folder.best())?;
            self.write_sheet()?;
        }
        if scores.is_some() {
            self.scores = scores;
        }
        self.save(&self.folder.last())?;
        self.folder.write_epoch(&self.head.progress)
    }

    /// The net that is measured and exported: with averaged weights where the run has them.
    fn measured_net(&self) -> Net {
        let net = self.net.valid();
        match &self.average {
            Some(average) => average.put_into(net).0,
            None => net,
        }
    }

    fn validate(&mut self) -> Result<Scores> {
        let names = scored_names(&self.head.classes);
        validate::measure(self.measured_net(), &self.plain, &self.recipe.input, &self.validation, &names)
    }

    fn write_sheet(&self) -> Result<()> {
        let sources = if self.validation.is_empty() {
            &self.recipe.sources
        } else {
            &self.validation
        };
        validate::sheet(
            self.measured_net(),
            &self.plain,
            &self.recipe.input,
            sources,
            &self.head.classes,
            &self.folder.sheet(),
        )
    }

    fn save(&mut self, path: &Path) -> Result<()> {
        self.head.progress.elapsed_s = self.elapsed_s();
        let average = self.average.as_ref().map(|_| self.measured_net());
        crate::checkpoint::save(path, &self.head, self.net.valid(), average, &self.optimizer)?;
        self.saved = Instant::now();
        Ok(())
    }
}

fn take_weights(net: Net, path: &Path, plain: &Device, live: &Live) -> Result<Net> {
    let other = Weights::of(&Checkpoint::read(path)?.best_net(plain)?);
    let all = Weights::of(&net.valid()).len();
    let (net, taken) = other.put_into(net);
    if taken == 0 {
        return Err(fault(
            Kind::Config,
            format!(
                "init = {}: none of its {} tensors has a name and shape of this net",
                path.display(),
                other.len()
            ),
        ));
    }
    live.line(&format!("took {taken} of {all} tensors from {}", path.display()));
    Ok(net)
}
