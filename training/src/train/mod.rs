//! A training run: epochs of steps, validation, checkpoints, and a folder that holds everything about it.

mod adversary;
mod folder;
pub mod folds;
mod learner;
mod live;
pub mod sweep;
mod teacher;
mod validate;

pub use adversary::AdversarialConfig;
pub use folder::RunFolder;
pub use teacher::DistillConfig;

use crate::checkpoint::{Checkpoint, EpochRow, Head, Progress};
use crate::config::{DataConfig, RunConfig};
use crate::data::{Batch, Loader, Plan, Recipe, Sample, Source, class_counts, find, in_order, shared};
use crate::error::{Kind, fault};
use crate::freeze;
use crate::lineage::Lineage;
use crate::metrics::{Scores, scored_names};
use crate::stop::Stop;
use anyhow::Result;
use burn::tensor::Device;
use learner::Learner;
use live::Live;
use maskline_models::Class;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// When to finish the step, save and leave.
    pub stop: Stop,
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
    let folder = RunFolder::open(&options.out, options.resume)?;
    let _lock = folder.lock()?;
    let checkpoint = options.resume.then(|| Checkpoint::read(&folder.last())).transpose()?;
    if let Some(checkpoint) = &checkpoint {
        folder::same_run(&checkpoint.head, config)?;
        let classes = config.read_classes().map_err(|e| fault(Kind::Config, e))?;
        folder::same_classes(&checkpoint.head, &classes)?;
        let progress = &checkpoint.head.progress;
        let reached = bounds_reached(config, progress);
        if !reached.is_empty() && folder.is_finished() && progress.step_in_epoch == 0 {
            let larger = reached.join(" and a larger ");
            Live::new().line(&format!("the run is at its end: a longer one takes a larger {larger}"));
            return Ok(Outcome {
                finished: true,
                scores: None,
                progress: progress.clone(),
            });
        }
    }
    config.train.precision.check(&options.device)?;
    let mut run = Run::start(config, options, folder, checkpoint)?;
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
    learner: Learner,
    plain: Device,
    live: Live,
    scores: Option<Scores>,
    before_s: f64, // of earlier sittings
    begun: Instant,
    saved: Instant,
}

impl Run {
    fn start(config: &RunConfig, options: &Options, folder: RunFolder, checkpoint: Option<Checkpoint>) -> Result<Self> {
        let classes = config.read_classes().map_err(|e| fault(Kind::Config, e))?;
        let nominal = (config.input.width, config.input.height);
        there(config, checkpoint.is_some())?;
        let live = Live::new();
        let scenes: usize = config.data.iter().chain(&config.validation).map(DataConfig::rendered).sum();
        if scenes > 0 {
            live.line(&format!("rendering {scenes} scenes"));
        }
        let (recipe, class_weights) = recipe(config, &classes)?;
        let validation = Source::load_all(&config.validation, &classes, nominal)?;
        let mut head = Head::new(config.clone(), classes, folder::origin(&options.device_name));
        if let Some(checkpoint) = &checkpoint {
            // What the run began with, whatever the configuration says now.
            head.config.init.clone_from(&checkpoint.head.config.init);
            head.config.pretrained.clone_from(&checkpoint.head.config.pretrained);
            head.progress = checkpoint.head.progress.clone();
            head.origin = checkpoint.head.origin.clone();
            head.add(&checkpoint.head.lineage());
            live.line(&format!(
                "resumed after epoch {} and {} steps",
                head.progress.epoch, head.progress.step_in_epoch
            ));
            let before = checkpoint.head.config.train.precision;
            if before != config.train.precision {
                live.line(&format!("in {} from here, in {before} until here", config.train.precision));
            }
        }
        let mut origin_licence = checkpoint.as_ref().map(|checkpoint| checkpoint.head.config.licence.clone());
        let mut learner = Learner::new(config, &head.classes, class_weights, checkpoint.as_ref(), &options.device)?;
        if let (Some(path), None) = (&config.init, &checkpoint) {
            let taken = learner.take_weights(path)?;
            live.line(&format!("took {} of {} tensors from {}", taken.count, taken.all, path.display()));
            if taken.count * 2 < taken.all {
                live.line("that is less than half: [net] describes another net, whose weights are random where they differ");
            }
            if !head.config.licence.is_empty() && !taken.licence.is_empty() && head.config.licence != taken.licence {
                live.line(&format!("the weights that it begins with are under: {}", taken.licence));
            }
            origin_licence = Some(taken.licence);
            head.add(&taken.lineage);
        }
        if head.config.licence.is_empty() {
            head.config.licence = origin_licence.unwrap_or_default(); // whatever the weights learn next
        }
        if let (Some(pretrained), None) = (&config.pretrained, &checkpoint) {
            let count = learner.take_pretrained(pretrained)?;
            live.line(&format!(
                "took all {count} tensors of the encoder from {}",
                pretrained.path.display()
            ));
            head.add(&Lineage::unknown(&pretrained.path));
        }
        if let Some(teacher) = learner.teacher_lineage() {
            head.add(teacher);
        }
        learner.freeze(head.progress.epoch);
        let cost = config.net.cost(head.scored(), nominal.1 as usize, nominal.0 as usize);
        folder.write_start(&head, cost)?;
        let count = |list: &[Source]| list.iter().map(|s| s.samples.len()).sum::<usize>();
        for source in &recipe.sources {
            live.line(&format!("learning from {} pictures: {}", source.samples.len(), source.description));
        }
        let shared = shared(&config.data, &config.validation)?;
        if shared > 0 {
            live.line(&format!(
                "{shared} of the pictures to measure on are learned from too, which flatters"
            ));
        }
        live.line(&format!(
            "measuring on {} pictures; {} parameters{}",
            count(&validation),
            learner.parameters(),
            if config.freeze.is_empty() {
                String::new()
            } else {
                format!(", {} of them learn", learner.learning())
            }
        ));
        Ok(Self {
            before_s: head.progress.elapsed_s,
            head,
            folder,
            recipe: Arc::new(recipe),
            validation,
            learner,
            plain: options.device.clone(),
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
        let _held = options.stop.hold();
        let epochs = self.head.config.train.epochs;
        let accumulate = self.head.config.train.accumulate;
        while self.head.progress.epoch < epochs && !self.out_of_patience() {
            let epoch = self.head.progress.epoch;
            if freeze::changes(&self.head.config.freeze, epoch) {
                self.learner.freeze(epoch);
                self.live
                    .line(&format!("epoch {}: {} parameters learn", epoch + 1, self.learner.learning()));
            }
            let steps = Plan::new(&self.recipe.sources, self.recipe.seed, epoch).steps(self.recipe.batch * accumulate);
            let started = (Instant::now(), self.head.progress.step_in_epoch);
            let range = started.1 * accumulate..steps * accumulate;
            let mut loader = Loader::start(&self.recipe, epoch, range, self.head.config.train.loaders);
            let mut rate = self.rate(steps);
            // At least one step, so that an epoch that begins after the time is over has a loss.
            while self.head.progress.step_in_epoch < steps && (self.head.progress.step_in_epoch == 0 || self.share(steps) < 1.0) {
                let batches = step_of(&mut loader, accumulate)?;
                rate = self.rate(steps);
                let loss = self.learner.step(batches, self.head.progress.step, rate)?;
                self.head.progress.loss_sum += f64::from(loss);
                self.head.progress.step_in_epoch += 1;
                self.head.progress.step += 1;
                self.show(steps, loss, rate);
                if options.stop.asked() && self.head.progress.step_in_epoch < steps {
                    self.save(&self.folder.last())?;
                    return Ok(self.stopped());
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
            if options.stop.asked() && !self.out_of_patience() {
                return Ok(self.stopped());
            }
        }
        if self.out_of_patience() {
            let epoch = self.head.progress.best.as_ref().map_or(0, |best| best.epoch);
            self.live.line(&format!(
                "ended: no better mIoU since epoch {epoch}, and train.patience is {}",
                self.head.config.train.patience.unwrap_or_default()
            ));
        }
        self.folder.write_end(&self.head)?;
        Ok(true)
    }

    /// Says that a run that is saved ends here for now, which is not its end.
    fn stopped(&self) -> bool {
        self.live.line("stopped and saved; go on with --resume");
        false
    }

    /// Whether the last validations, as many as the configuration has patience for, were no better than one before.
    fn out_of_patience(&self) -> bool {
        out_of_patience(&self.head.config, &self.head.progress)
    }

    /// Share of the run that is done by now, with so many steps an epoch.
    fn share(&self, steps: usize) -> f64 {
        share(&self.head.config, &self.head.progress, self.elapsed_s(), steps)
    }

    fn rate(&self, steps: usize) -> f64 {
        let config = &self.head.config;
        config.optimizer.rate * config.schedule.factor(self.head.progress.step, self.share(steps))
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
            pictures: self.recipe.batch * self.recipe.sequence * self.head.config.train.accumulate,
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
        let pictures = (done - started.1) * self.recipe.batch * self.recipe.sequence * self.head.config.train.accumulate;
        let images_per_s = pictures as f64 / trained_s.max(1e-9);
        self.check_weights()?;
        let epoch = self.head.progress.epoch + 1;
        let due = over || epoch.is_multiple_of(self.head.config.validate.every_epochs);
        let (scores, training) = if due && !self.validation.is_empty() {
            (Some(self.measure(in_order(&self.validation))?), self.measure_training()?)
        } else {
            (None, None)
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
            training_miou: training.map(|s| s.miou),
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

    fn measure<'a>(&self, samples: impl IntoIterator<Item = (bool, &'a Sample)>) -> Result<Scores> {
        let names = scored_names(&self.head.classes);
        validate::measure(self.learner.measured_net(), &self.plain, &self.recipe.input, samples, &names)
    }

    /// The measures on some of the pictures that are learned from, as they are.
    fn measure_training(&self) -> Result<Option<Scores>> {
        let samples = validate::spread(&self.recipe.sources, self.head.config.validate.training_pictures);
        (!samples.is_empty()).then(|| self.measure(samples)).transpose()
    }

    fn write_sheet(&self) -> Result<()> {
        let sources = if self.validation.is_empty() {
            &self.recipe.sources
        } else {
            &self.validation
        };
        validate::sheet(
            self.learner.measured_net(),
            &self.plain,
            &self.recipe.input,
            sources,
            &self.head.classes,
            &self.folder.sheet(),
        )
    }

    /// Nothing is measured or saved of a net that is lost, so that what was saved before stays.
    fn check_weights(&self) -> Result<()> {
        if self.learner.is_sound() {
            return Ok(());
        }
        let step = self.head.progress.step;
        let line = format!(
            "after step {step} the net's weights are no numbers any more and are not saved: begin anew with a lower optimizer.rate or with optimizer.clip_norm (init takes the weights of a checkpoint)"
        );
        Err(fault(Kind::Config, line))
    }

    fn save(&mut self, path: &Path) -> Result<()> {
        self.check_weights()?;
        self.head.progress.elapsed_s = self.elapsed_s();
        crate::checkpoint::save(path, &self.head, self.learner.parts())?;
        self.saved = Instant::now();
        Ok(())
    }
}

/// Share of a run that is done, 0-1: of the epochs or of the time, whichever is further.
fn share(config: &RunConfig, progress: &Progress, elapsed_s: f64, steps: usize) -> f64 {
    let done = f64::from(progress.epoch) + progress.step_in_epoch as f64 / steps as f64;
    let by_epochs = done / f64::from(config.train.epochs);
    match config.train.max_minutes {
        Some(minutes) => by_epochs.max(elapsed_s / (60.0 * minutes)),
        None => by_epochs,
    }
}

fn out_of_patience(config: &RunConfig, progress: &Progress) -> bool {
    let best = progress.best.as_ref().map_or(0, |best| best.epoch);
    let since = progress.history.iter().filter(|row| row.epoch > best && row.miou.is_some()).count();
    config.train.patience.is_some_and(|patience| since >= patience)
}

/// What has to be larger for a run at its end to go on: all bounds that it has reached, as a user names them.
fn bounds_reached(config: &RunConfig, progress: &Progress) -> Vec<&'static str> {
    let (epochs, minutes) = (config.train.epochs, config.train.max_minutes);
    let bounds = [
        ("--epochs", progress.epoch >= epochs),
        ("--max-minutes", minutes.is_some_and(|minutes| progress.elapsed_s >= 60.0 * minutes)),
        ("train.patience", out_of_patience(config, progress)),
    ];
    bounds.into_iter().filter_map(|(name, reached)| reached.then_some(name)).collect()
}

/// Refuses weights and pictures that are not there, before minutes of rendering.
fn there(config: &RunConfig, resumed: bool) -> Result<()> {
    let distill = config.distill.as_ref().map(|distill| &distill.teacher);
    let init = config.init.as_ref().filter(|_| !resumed);
    for (key, path) in [("init", init), ("distill.teacher", distill)] {
        let Some(path) = path else { continue };
        if path.extension().is_some_and(|e| e == "ckpt") && !path.is_file() {
            let line = format!(
                "{key}: there is no checkpoint {}: train what it comes from first, or name another",
                path.display()
            );
            return Err(fault(Kind::Config, line));
        }
    }
    config.data.iter().chain(&config.validation).try_for_each(find)
}

/// What batches are made of, and the weights of the classes.
fn recipe(config: &RunConfig, classes: &[Class]) -> Result<(Recipe, Option<Vec<f32>>)> {
    let nominal = (config.input.width, config.input.height);
    let sources = Source::load_all(&config.data, classes, nominal)?;
    let counts = class_counts(&sources, scored_names(classes).len());
    if config.distill.is_none() && counts.iter().all(|count| count.pixels == 0) {
        let line = "no pixel of [[data]] has a label of a class that counts: look at the labels and at the class list (`data check` shows the shares)";
        return Err(fault(Kind::BadInput, line));
    }
    let weights = config.loss.weights(&counts).map_err(|e| fault(Kind::Config, e))?;
    let [width, height] = config.augment.crop.unwrap_or([nominal.0, nominal.1]);
    let recipe = Recipe {
        sources,
        augment: config.augment.clone(),
        input: config.contract_input(),
        size: (width as usize, height as usize),
        nominal: (nominal.0 as usize, nominal.1 as usize),
        batch: config.train.batch,
        sequence: config.train.sequence,
        seed: config.seed,
    };
    Ok((recipe, weights))
}

/// The batches of one step.
fn step_of(loader: &mut Loader, accumulate: usize) -> Result<Vec<Batch>> {
    let batches: Vec<Batch> = loader.take(accumulate).collect();
    if batches.len() < accumulate {
        return Err(fault(Kind::Internal, "a thread that prepares pictures ended early"));
    }
    Ok(batches)
}
