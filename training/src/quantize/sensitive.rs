//! Which layers lose most in int8, and how many must stay float.

use super::compare::{agreement, maps, scores};
use super::labelled::Labelled;
use super::plan::{Layer, Plan};
use super::qdq::{self, Scheme};
use super::{Range, packed};
use crate::error::{Kind, fault};
use anyhow::Result;
use maskline_models::Model;
use maskline_models::onnx::ModelProto;
use serde::Serialize;
use std::collections::HashMap;

/// Pictures that a single layer is judged by.
const PICTURES: usize = 8;

/// What a layer does to the class map when it alone is int8.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// The layer.
    pub layer: String,
    /// Share of pixels (0-1) that get another class than from the float model.
    pub changed: f64,
}

/// All that is needed to write the model with any choice of layers in int8.
pub struct Choice<'a> {
    /// The float model.
    pub model: &'a Model,
    /// Its graph.
    pub float: &'a ModelProto,
    /// Layers that can be int8.
    pub layers: &'a [Layer],
    /// Ranges of all tensors that can be.
    pub ranges: &'a HashMap<String, Range>,
    /// Integers.
    pub scheme: Scheme,
}

impl Choice<'_> {
    /// The model with all layers in int8 but these.
    pub fn without(&self, float_layers: &[Sensitivity]) -> ModelProto {
        let stays = |layer: &&Layer| !float_layers.iter().any(|f| f.layer == layer.name);
        let layers: Vec<Layer> = self.layers.iter().filter(stays).cloned().collect();
        self.write(&layers)
    }

    fn write(&self, layers: &[Layer]) -> ModelProto {
        let plan = Plan::new(self.float.graph.as_ref().unwrap_or(&Default::default()), layers);
        qdq::write(self.float, &plan, self.ranges, self.scheme)
    }

    /// Every layer with what it changes alone, worst first.
    ///
    /// # Errors
    /// If ONNX Runtime refuses a model or a picture.
    pub fn ranking(&self, pictures: Labelled<'_>, say: &dyn Fn(&str)) -> Result<Vec<Sensitivity>> {
        let pictures = pictures.first(PICTURES);
        let float = maps(self.model, pictures)?;
        let mut list = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            say(&format!("layer {} of {} alone: {}", number + 1, self.layers.len(), layer.name));
            let model = packed(&self.write(std::slice::from_ref(layer)), &self.model.contract)?;
            list.push(Sensitivity {
                layer: layer.name.clone(),
                changed: 1.0 - agreement(&float, &maps(&model, pictures)?),
            });
        }
        list.sort_by(|a, b| b.changed.total_cmp(&a.changed));
        Ok(list)
    }

    /// How many of the worst layers must stay float for a loss of at most `limit` points of mean IoU on these pictures: doubled
    /// until it is enough, then narrowed down.
    ///
    /// # Errors
    /// If ONNX Runtime refuses a model or a picture; or if even the last layer alone loses too much (exit code 78).
    pub fn enough(&self, ranking: &[Sensitivity], limit: f64, pictures: Labelled<'_>, say: &dyn Fn(&str)) -> Result<usize> {
        let classes = &self.model.contract.heads[0].classes;
        let miou = |model: &Model| -> Result<f64> { Ok(100.0 * scores(classes, pictures.samples, &maps(model, pictures)?).miou) };
        let float = miou(self.model)?;
        let holds = |count: usize| -> Result<bool> {
            let model = packed(&self.without(&ranking[..count]), &self.model.contract)?;
            let loss = float - miou(&model)?;
            say(&format!(
                "{count} layers in float: {loss:.2} points lost, at most {limit:.2} wanted"
            ));
            Ok(loss <= limit)
        };
        let most = ranking.len() - 1; // with no layer in int8 nothing would be left to do
        let (mut below, mut count) = (None, 0);
        while !holds(count)? {
            if count == most {
                let line = format!("even one int8 layer loses more than {limit} points of mIoU: use --to f16, or a higher --max-loss");
                return Err(fault(Kind::Config, line));
            }
            below = Some(count);
            count = (2 * count).max(1).min(most);
        }
        while let Some(low) = below.filter(|low| count - low > 1) {
            let middle = usize::midpoint(low, count);
            if holds(middle)? {
                count = middle;
            } else {
                below = Some(middle);
            }
        }
        Ok(count)
    }
}
