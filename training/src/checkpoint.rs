//! Checkpoints: one file with the net, the moving average of its weights, the optimiser's state and how far the run is.
//! Written beside its place and renamed, so that a kill at any moment leaves a whole one.

use crate::config::RunConfig;
use crate::error::{Kind, fault, io_fault};
use crate::lineage::Lineage;
use crate::metrics::Scores;
use crate::nets::{Discriminator, Net};
use crate::weights::Weights;
use anyhow::Result;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, DType, Device};
use burn_store::burn_pack::{Reader, Tensor as Packed, Writer};
use maskline_models::Class;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The key of the JSON part in the file's metadata.
const KEY: &str = "maskline-training";
const VERSION: u32 = 1;

/// How far a run is. With the seed this is the whole state of its random numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that are done.
    pub epoch: u32,
    /// Steps that are done in the epoch after those.
    pub step_in_epoch: usize,
    /// Steps that are done in all.
    pub step: u64,
    /// Seconds that they took, over all sittings.
    pub elapsed_s: f64,
    /// Sum of the losses of this epoch's steps.
    pub loss_sum: f64,
    /// One row an epoch.
    pub history: Vec<EpochRow>,
    /// Best validation so far.
    pub best: Option<Best>,
}

/// What is known after an epoch; a row of `metrics.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Steps so far.
    pub step: u64,
    /// Mean loss of its steps.
    pub loss: f64,
    /// Learning rate of its last step.
    pub rate: f64,
    /// Mean IoU on the validation data, where it was measured.
    pub miou: Option<f64>,
    /// Pixel accuracy on the validation data.
    pub pixel_accuracy: Option<f64>,
    /// Mean IoU on some of the pictures that are learned from, as they are.
    #[serde(default)]
    pub training_miou: Option<f64>,
    /// Pictures learnt from per second of this epoch.
    pub images_per_s: f64,
    /// Seconds since the start, over all sittings.
    pub elapsed_s: f64,
}

/// The best validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its epoch, from 1.
    pub epoch: u32,
    /// Its measures.
    pub scores: Scores,
}

/// Where a run comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Commit of the trainer.
    pub commit: String,
    /// Day of its start, `YYYY-MM-DD`.
    pub date: String,
    /// Device it runs on.
    pub device: String,
}

/// The readable part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    version: u32,
    /// The run's configuration.
    pub config: RunConfig,
    /// Its classes.
    pub classes: Vec<Class>,
    /// How far it is.
    pub progress: Progress,
    /// Where it comes from.
    pub origin: Origin,
    #[serde(default)]
    lineage: Option<Lineage>, // files from before it was kept have none
}

impl Head {
    /// The readable part for a run.
    pub fn new(config: RunConfig, classes: Vec<Class>, origin: Origin) -> Self {
        Self {
            version: VERSION,
            lineage: Some(Lineage::of_run(&config)),
            config,
            classes,
            progress: Progress::default(),
            origin,
        }
    }

    /// What the weights come from. A file that does not say so has its own data and the names of the weights it took.
    pub fn lineage(&self) -> Lineage {
        let config = &self.config;
        let pretrained = config.pretrained.as_ref().map(|pretrained| &pretrained.path);
        let teacher = config.distill.as_ref().map(|distill| &distill.teacher);
        self.lineage.clone().unwrap_or_else(|| {
            let taken = [config.init.as_ref(), pretrained, teacher].into_iter().flatten();
            taken.fold(Lineage::of_run(config), |lineage, path| lineage.and(&Lineage::unknown(path)))
        })
    }

    /// Adds what something comes from that has a say in the weights.
    pub fn add(&mut self, lineage: &Lineage) {
        self.lineage = Some(self.lineage().and(lineage));
    }

    /// Number of classes that count.
    pub fn scored(&self) -> usize {
        self.classes.iter().filter(|c| !c.ignore).count()
    }
}

/// A checkpoint that was read.
pub struct Checkpoint {
    /// The readable part.
    pub head: Head,
    parts: BTreeMap<String, Vec<u8>>,
}

/// The tensors of a checkpoint. Its nets are without autodiff.
pub struct Parts<'a> {
    /// The net as it was trained.
    pub net: Net,
    /// The net with averaged weights, if the run averages them.
    pub average: Option<Net>,
    /// The state of its optimiser.
    pub optimizer: &'a ModuleOptimizer,
    /// The discriminator of adversarial training and the state of its optimiser, if there is one.
    pub adversary: Option<(Discriminator, &'a ModuleOptimizer)>,
}

/// Writes a checkpoint.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn save(path: &Path, head: &Head, parts: Parts<'_>) -> Result<()> {
    let packed = |error: &dyn std::fmt::Display| io_fault("write", path, error);
    let record = |record: ModuleRecord| record.into_bytes().map_err(|e| packed(&e));
    let state = |optimizer: &ModuleOptimizer| optimizer.into_bytes().map_err(|e| packed(&e));
    let mut named = vec![("net", record(parts.net.into_record())?)];
    if let Some(average) = parts.average {
        named.push(("average", record(average.into_record())?));
    }
    named.push(("optimizer", state(parts.optimizer)?));
    if let Some((discriminator, optimizer)) = parts.adversary {
        named.push(("discriminator", record(discriminator.into_record())?));
        named.push(("discriminator-optimizer", state(optimizer)?));
    }
    let tensors = named
        .into_iter()
        .map(|(name, bytes)| Packed::new(name.into(), DType::U8, [bytes.len()], None, bytes))
        .collect();
    let json = serde_json::to_string(head).map_err(|e| packed(&e))?;
    Writer::new(tensors)
        .with_metadata(KEY, &json)
        .auto_extension(false)
        .overwrite(true)
        .write_to_file(path)
        .map_err(|e| packed(&e))
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// If the file is missing, damaged or none of ours (exit code 78).
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |what: String| {
            fault(
                Kind::Config,
                format!(
                    "{} is not a checkpoint of maskline-training, such as the best.ckpt of a run: {what}",
                    path.display()
                ),
            )
        };
        if !path.is_file() {
            return Err(fault(Kind::Config, format!("there is no checkpoint {}", path.display())));
        }
        // Through one handle: a run that saves meanwhile puts another file in this one's place.
        let bytes = std::fs::read(path).map_err(|e| io_fault("read", path, e))?;
        let reader = Reader::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|e| wrong(e.to_string()))?;
        let json = reader
            .metadata()
            .get(KEY)
            .ok_or_else(|| wrong("it has no configuration inside".into()))?;
        let head: Head = serde_json::from_str(json).map_err(|e| wrong(e.to_string()))?;
        if head.version != VERSION {
            return Err(wrong(format!("its version is {}, wanted {VERSION}", head.version)));
        }
        let mut parts = BTreeMap::new();
        for tensor in reader.into_tensors().map_err(|e| wrong(e.to_string()))? {
            let name = tensor.name.clone();
            parts.insert(name, tensor.into_bytes().map_err(|e| wrong(e.to_string()))?.to_vec());
        }
        Ok(Self { head, parts })
    }

    fn record(&self, part: &str) -> Result<Option<ModuleRecord>> {
        let Some(bytes) = self.parts.get(part) else {
            return Ok(None);
        };
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.clone()));
        record
            .map(Some)
            .map_err(|e| fault(Kind::Config, format!("the checkpoint's part {part:?} is damaged: {e}")))
    }

    fn load(&self, part: &str, device: &Device) -> Result<Option<Net>> {
        let Some(record) = self.record(part)? else {
            return Ok(None);
        };
        let net = self.head.config.init_net(self.head.scored(), device);
        let net = net.try_load_record(record);
        net.map(Some).map_err(|e| {
            fault(
                Kind::Config,
                format!("the checkpoint's part {part:?} does not fit its own net: {e}"),
            )
        })
    }

    /// The net as it was trained.
    ///
    /// # Errors
    /// If it does not fit its own configuration (exit code 78).
    pub fn net(&self, device: &Device) -> Result<Net> {
        let net = self.load("net", device)?;
        net.ok_or_else(|| fault(Kind::Config, "the checkpoint holds no net"))
    }

    /// The net with averaged weights where the run averages them, else as trained: what is measured and exported.
    ///
    /// # Errors
    /// If it does not fit its own configuration (exit code 78).
    pub fn best_net(&self, device: &Device) -> Result<Net> {
        match self.load("average", device)? {
            Some(net) => Ok(net),
            None => self.net(device),
        }
    }

    /// The moving average of the weights, if the run has one.
    ///
    /// # Errors
    /// As [`Checkpoint::net`].
    pub fn average(&self, device: &Device) -> Result<Option<Weights>> {
        Ok(self.load("average", device)?.map(|net| Weights::of(&net)))
    }

    /// The optimiser's state put into `optimizer`.
    ///
    /// # Errors
    /// If it is missing or damaged (exit code 78).
    pub fn optimizer(&self, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
        self.state("optimizer", optimizer)
    }

    /// The discriminator of adversarial training, put into one of the same shape, and the state of its optimiser, which `optimizer`
    /// makes for it.
    ///
    /// # Errors
    /// If one is missing or damaged (exit code 78).
    pub fn adversary(
        &self,
        discriminator: Discriminator,
        optimizer: impl FnOnce(&Discriminator) -> ModuleOptimizer,
    ) -> Result<(Discriminator, ModuleOptimizer)> {
        let record = self.record("discriminator")?;
        let record = record.ok_or_else(|| fault(Kind::Config, "the checkpoint holds no discriminator"))?;
        let discriminator = discriminator
            .try_load_record(record)
            .map_err(|e| fault(Kind::Config, format!("the checkpoint's discriminator does not fit: {e}")))?;
        let optimizer = self.state("discriminator-optimizer", optimizer(&discriminator))?;
        Ok((discriminator, optimizer))
    }

    fn state(&self, part: &str, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let bytes = self.parts.get(part).cloned();
        let bytes = bytes.ok_or_else(|| fault(Kind::Config, format!("the checkpoint holds no part {part:?}")))?;
        let loaded = optimizer.from_bytes(Bytes::from_bytes_vec(bytes));
        loaded.map_err(|e| fault(Kind::Config, format!("the checkpoint's part {part:?} is damaged: {e}")))
    }
}
