//! What had a say in the weights of a net, down to the first run that they come from.

use crate::config::{DataConfig, RunConfig};
use maskline_models::Model;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Data that learned weights come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// What was learned from, in words: data sets, and weights of which no more is known.
    pub data: Vec<String>,
    /// Scenes rendered in memory alone: no other picture was learned from, nor measured on to choose among the weights.
    pub rendered_only: bool,
}

impl Lineage {
    /// Of a run that begins with random weights.
    pub fn of_run(config: &RunConfig) -> Self {
        let entries = || config.data.iter().chain(&config.validation);
        let own = Self {
            data: Vec::new(),
            rendered_only: entries().all(|entry| entry.rendered() > 0),
        };
        config.data.iter().map(DataConfig::describe).fold(own, Self::with)
    }

    /// Of an exported model, as its contract says.
    pub fn of_model(model: &Model) -> Self {
        match &model.contract.training {
            Some(training) if !training.data.is_empty() => Self {
                data: training.data.clone(),
                rendered_only: training.rendered_only,
            },
            _ => Self::unknown(Path::new(&model.origin)),
        }
    }

    /// Of weights from elsewhere.
    pub fn unknown(weights: &Path) -> Self {
        Self::default().with(format!("weights of {}", weights.display()))
    }

    /// Of what both had a say in.
    pub fn and(mut self, other: &Self) -> Self {
        self.rendered_only &= other.rendered_only;
        other.data.iter().cloned().fold(self, Self::with)
    }

    fn with(mut self, description: String) -> Self {
        if !self.data.contains(&description) {
            self.data.push(description);
        }
        self
    }
}
