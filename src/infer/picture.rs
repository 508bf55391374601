//! One picture instead of a stream.

use super::verify::nominal_fit;
use super::{OnnxSegmenter, Segmenter, SessionOptions};
use crate::error::{Kind, fault};
use crate::frame::ClassMap;
use crate::postprocess::{Postprocessor, scale_nearest};
use crate::preprocess::from_rgb;
use anyhow::Result;
use maskline_models::{Class, Fit, Model};

/// A model that segments single pictures of any size.
///
/// ```no_run
/// let mut segmenter = maskline::PictureSegmenter::open("builtin:fpn-road")?;
/// let (width, height) = (640, 360);
/// let rgb = vec![0; 3 * width as usize * height as usize];
/// let classes = segmenter.segment_rgb(&rgb, width, height)?;
/// println!("upper left: {}", segmenter.classes()[usize::from(classes.ids[0])].name);
/// # anyhow::Ok(())
/// ```
pub struct PictureSegmenter {
    model: Model,
    net: OnnxSegmenter,
}

impl PictureSegmenter {
    /// Opens `builtin:NAME` or a file on the best provider there is.
    ///
    /// # Errors
    /// Kind 78 with one line and the remedy.
    pub fn open(name: &str) -> Result<Self> {
        Self::open_with(name, None, &SessionOptions::default())
    }

    /// The same with a head and options of the session.
    ///
    /// # Errors
    /// Kind 78 with one line and the remedy.
    pub fn open_with(name: &str, head: Option<&str>, options: &SessionOptions) -> Result<Self> {
        let model = Model::open(name, None).map_err(|e| fault(Kind::Config, e))?;
        Self::from_model(model, head, options)
    }

    /// The same from a model that is open already.
    ///
    /// # Errors
    /// Kind 78 with one line and the remedy.
    pub fn from_model(model: Model, head: Option<&str>, options: &SessionOptions) -> Result<Self> {
        let fit = nominal_fit(&model).map_err(|e| fault(Kind::Config, e))?;
        let net = OnnxSegmenter::open(&model, head, fit, options)?;
        Ok(Self { model, net })
    }

    /// The classes of its answers.
    pub fn classes(&self) -> &[Class] {
        &self.net.head().classes
    }

    /// The class of every pixel of a picture of `3 * width * height` RGB bytes; the class map has the picture's size.
    ///
    /// # Errors
    /// If the bytes do not fit the size, or the net cannot run.
    pub fn segment_rgb(&mut self, rgb: &[u8], width: u32, height: u32) -> Result<ClassMap> {
        let input = &self.model.contract.input;
        let fit = Fit::plan(input, width, height, None).map_err(|e| fault(Kind::BadInput, e))?;
        let tensor = from_rgb(input, &fit, rgb, width, height)?;
        self.net.reset()?; // pictures have nothing to do with each other
        let scores = self.net.infer(&tensor)?;
        let map = Postprocessor::new(self.net.head(), &fit).run(&scores)?;
        Ok(scale_nearest(&map, width, height))
    }
}
