//! Why a net says what it says: how sure it is of each pixel, where it looks, and which places speak for a class.

mod attention;
mod cam;
mod certainty;

pub use attention::{Layer, Look, Map, SelfAttention};
pub use cam::{Speakers, grad_cam};
pub use certainty::Certainty;

use crate::checkpoint::Checkpoint;
use crate::data::Sample;
use crate::error::{Kind, fault};
use crate::nets::Net;
use crate::predict::{Answer, Prepared, Segmenter, best_classes, predict, prepare};
use crate::scale::resize_plane;
use anyhow::{Result, anyhow};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use maskline_models::{Class, Input};

/// Values on a grid of places, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Rows of places.
    pub rows: usize,
    /// Places in a row.
    pub columns: usize,
    /// `rows * columns` values.
    pub values: Vec<f32>,
}

impl Grid {
    /// The same divided by its highest value, so that this is 1; as it is where no value is above 0.
    fn scaled(mut self) -> Self {
        let highest = self.values.iter().copied().fold(0.0, f32::max);
        if highest > 0.0 {
            self.values.iter_mut().for_each(|v| *v /= highest);
        }
        self
    }

    /// At the size of a picture, bilinear.
    fn at_size_of(&self, sample: &Sample) -> Result<Vec<f32>> {
        resize_plane(&self.values, (self.columns, self.rows), (sample.width, sample.height))
    }
}

/// What to find out beyond the certainty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// Grad-CAM for these, by their number among the classes that count.
    pub classes: Vec<usize>,
    /// The layer whose places are judged; else the coarsest one.
    pub layer: Option<String>,
    /// One pixel of each picture, x and y: what it looks at, and what speaks for a class at it.
    pub point: Option<(usize, usize)>,
    /// A size that the net shall run at; else as the runtime runs it.
    pub size: Option<(u32, u32)>,
}

/// What was found out about a picture; all planes have its size and values from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The class number of every pixel.
    pub prediction: Vec<u8>,
    /// How sure the net is.
    pub certainty: Certainty,
    /// Where attention looks: a title and a plane for each of the net's maps.
    pub attention: Vec<(String, Vec<f32>)>,
    /// Grad-CAM: a title and a plane for each class that was asked for.
    pub speaking: Vec<(String, Vec<f32>)>,
}

/// A trained net that can be asked.
pub struct Explainer {
    watched: Watched,
    /// The same on a device with gradients, its statistics as they were learnt.
    frozen: Net,
    input: Input,
    names: Vec<String>,
    temperature: f32,
}

impl Explainer {
    /// The net of a checkpoint. `temperature` divides its scores before the softmax (Guo et al. 2017); 1 leaves them as they are.
    ///
    /// # Errors
    /// If the checkpoint does not fit its own configuration (exit code 78).
    pub fn open(checkpoint: &Checkpoint, device: &Device, temperature: f32) -> Result<Self> {
        let classes = checkpoint.head.classes.iter().filter(|c| !c.ignore);
        Ok(Self {
            watched: Watched {
                net: checkpoint.best_net(device)?,
                device: device.clone(),
                look: Look::default(),
            },
            frozen: checkpoint.best_net(&device.clone().autodiff())?.freeze(),
            input: checkpoint.head.config.contract_input(),
            names: classes.map(|c: &Class| c.name.clone()).collect(),
            temperature,
        })
    }

    /// The number of a class by its name.
    ///
    /// # Errors
    /// One line with the names (exit code 64).
    pub fn class(&self, name: &str) -> Result<usize> {
        let place = self.names.iter().position(|n| n == name);
        place.ok_or_else(|| {
            let line = format!("there is no class {name:?}: wanted one of {}", self.names.join(", "));
            fault(Kind::Usage, line)
        })
    }

    /// Runs the net on a picture.
    ///
    /// # Errors
    /// One line: a layer that there is not, a point outside of the picture or without use (exit code 64), a size that the net does
    /// not take.
    pub fn explain(&mut self, sample: &Sample, question: &Question) -> Result<Explanation> {
        let usage = |line: String| fault(Kind::Usage, line);
        let (width, height) = (sample.width, sample.height);
        if let Some((x, y)) = question.point.filter(|(x, y)| *x >= width || *y >= height) {
            let line = format!("--point is {x},{y}, wanted a pixel of {}, which is {width}x{height}", sample.name);
            return Err(usage(line));
        }
        let said = predict(&mut self.watched, &self.input, sample, question.size)?;
        let scores = said.scores.ok_or_else(|| anyhow!("a net always gives scores"))?;
        let look = std::mem::take(&mut self.watched.look);
        if question.point.is_some() && question.classes.is_empty() && !look.has_self_attention() {
            return Err(usage(
                "--point asks what one pixel looks at, but this net has no self-attention: leave it out, or name a --class".into(),
            ));
        }
        let layer = match &question.layer {
            None => look.coarsest()?,
            Some(name) => look.layer(name).map_err(usage)?,
        };
        let shown = |(title, grid): (String, Grid)| Ok((title, grid.at_size_of(sample)?));
        let speaking = question
            .classes
            .iter()
            .map(|class| shown(self.speaking(sample, question, *class, layer)?));
        Ok(Explanation {
            speaking: speaking.collect::<Result<_>>()?,
            attention: look
                .maps(question.point, (width, height))
                .into_iter()
                .map(shown)
                .collect::<Result<_>>()?,
            certainty: Certainty::of(&scores, width * height, self.temperature),
            prediction: said.classes,
        })
    }

    /// Grad-CAM for one class with its title.
    fn speaking(&self, sample: &Sample, question: &Question, class: usize, layer: &Layer) -> Result<(String, Grid)> {
        let picture = prepare(&self.input, &sample.rgb, sample.width, sample.height, question.size)?;
        let (w, h) = (picture.width, picture.height);
        let device = self.watched.device.clone().autodiff();
        let images = Tensor::<4>::from_data(TensorData::new(picture.tensor, [1, 3, h, w]), &device);
        let point = question.point.map(|(x, y)| (x * w / sample.width, y * h / sample.height));
        let forward = |images, watch: &mut dyn crate::nets::Watch| self.frozen.forward_watched(images, watch);
        let (grid, speakers) = grad_cam(&forward, images, class, point, &layer.name)?;
        let about = match speakers {
            Speakers::Point => "at the marked pixel",
            Speakers::Predicted => "where the net says so",
            Speakers::Everywhere => "everywhere (no pixel is)",
        };
        Ok((format!("for {} {about}, {}", self.names[class], layer.name), grid.scaled()))
    }
}

/// A net whose forward passes are seen.
struct Watched {
    net: Net,
    device: Device,
    look: Look,
}

impl Segmenter for Watched {
    fn segment(&mut self, picture: &Prepared) -> Result<Answer> {
        let shape = [1, 3, picture.height, picture.width];
        let images = Tensor::<4>::from_data(TensorData::new(picture.tensor.clone(), shape), &self.device);
        self.look = Look::default();
        Ok(Answer::Scores(floats(self.net.forward_watched(images, &mut self.look))?))
    }

    fn has_scores(&self) -> bool {
        true
    }
}

/// The values of a tensor in order.
fn floats(tensor: Tensor<4>) -> Result<Vec<f32>> {
    tensor
        .into_data()
        .try_into_vec::<f32>()
        .map_err(|e| anyhow!("values are not floats: {e:?}"))
}

/// The class number of every pixel of `[1, classes, h, w]` scores, without a gradient.
fn said(scores: &Tensor<4>) -> Result<Vec<u8>> {
    let [_, _, h, w] = scores.dims();
    Ok(best_classes(&floats(scores.clone())?, h * w))
}
