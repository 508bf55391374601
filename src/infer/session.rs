//! A model in ONNX Runtime: tensor in, scores out, without a copy on either side.

use super::check::{check_graph, state_shape};
use super::golden::check_goldens;
use super::placement::{check_placement, placement};
use super::runtime::{Runtime, one_line, runtime};
use super::{Buffer, Provider, Scores, Segmenter, SessionOptions, Values, provider};
use crate::error::{Kind, WithKind, fault};
use crate::frame::Tensor;
use anyhow::{Context, Result, bail};
use maskline_models::contract::{Grid, Layout, OutputKind};
use maskline_models::{Fit, Head, Input, Model};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, TensorRef, TensorValueType};

/// Which provider runs the net and why not another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReport {
    /// The one that runs it.
    pub taken: String,
    /// How many nodes of the net each provider of ONNX Runtime got, in words.
    pub placement: String,
    /// The others that were tried before it, each with one line that says why not.
    pub refused: Vec<(String, String)>,
}

/// A [`Segmenter`] that is an ONNX Runtime session.
pub struct OnnxSegmenter {
    session: Session,
    outputs: RunOptions<HasSelectedOutputs>,
    input: Input,
    head: Head,
    /// The output with the confidence, if that is asked for.
    confidence: Option<String>,
    states: Vec<State>,
    report: ProviderReport,
    /// Golden samples that agreed at opening.
    goldens: usize,
}

/// What one frame leaves for the next.
struct State {
    input: String,
    output: String,
    grid: Option<Grid>,
    shape: Vec<i64>,
    value: DynValue,
}

impl State {
    /// Begins anew where frames of another size come.
    fn fit(&mut self, fit: Fit) -> Result<()> {
        let shape = self.grid.map(|grid| grid.shape(fit.width, fit.height).map(|n| n as i64));
        if let Some(shape) = shape.filter(|shape| self.shape != *shape) {
            (self.shape, self.value) = (shape.to_vec(), zeros(&shape)?);
        }
        Ok(())
    }
}

impl OnnxSegmenter {
    /// Loads ONNX Runtime if that has not happened yet, makes a session on the provider asked for, checks contract against
    /// graph, runs the net once at the size of `fit` and compares the golden samples of the head.
    ///
    /// # Errors
    /// Kind 78 with one line and the remedy. A provider that was asked for by name is never replaced by another.
    pub fn open(model: &Model, head: Option<&str>, fit: Fit, options: &SessionOptions) -> Result<Self> {
        let head = model.contract.head(head).map_err(|e| fault(Kind::Config, e))?;
        let runtime = runtime()?;
        let asked = match options.provider {
            Provider::Auto => &Provider::ORDER[..],
            _ => std::slice::from_ref(&options.provider),
        };
        let mut refused = Vec::new();
        for provider in asked {
            match Self::open_on(runtime, model, head, fit, *provider, options) {
                Ok(mut segmenter) => {
                    segmenter.report.refused = refused;
                    return Ok(segmenter);
                }
                Err(error) => refused.push((provider.to_string(), format!("{error:#}"))),
            }
        }
        let (name, why) = refused.pop().expect("at least one provider is asked");
        Err(fault(Kind::Config, format!("{} cannot run on {name}: {why}", model.origin)))
    }

    fn open_on(runtime: &Runtime, model: &Model, head: &Head, fit: Fit, provider: Provider, options: &SessionOptions) -> Result<Self> {
        let session = provider::session(runtime, model, provider, options)?;
        check_graph(&session, &model.contract, head, &fit)?;
        let nodes = placement(&session).unwrap_or_default();
        let own: &[&str] = match provider {
            Provider::Auto | Provider::Cpu => &["CPUExecutionProvider"],
            Provider::Cuda => &["CUDAExecutionProvider"],
            Provider::TensorRt => &["TensorrtExecutionProvider", "CUDAExecutionProvider"],
            Provider::OpenVino => &["OpenVINOExecutionProvider"],
        };
        if provider != Provider::Cpu {
            check_placement(&nodes, own)?;
        }
        let words: Vec<_> = nodes.iter().map(|(name, (nodes, _))| format!("{nodes} nodes on {name}")).collect();
        let confidence = options.confidence.then(|| confidence_of(head)).transpose()?;
        let mut selector = OutputSelector::no_default().with(&head.tensor);
        if let Some(confidence) = confidence {
            selector = selector.with(confidence);
        }
        for state in &model.contract.states {
            selector = selector.with(&state.output);
        }
        let states = model.contract.states.iter().map(|s| {
            let shape = state_shape(&session, s, &fit)?;
            Ok(State {
                input: s.input.clone(),
                output: s.output.clone(),
                grid: s.grid,
                value: zeros(&shape)?,
                shape,
            })
        });
        let mut segmenter = Self {
            states: states.collect::<Result<_>>()?,
            session,
            outputs: RunOptions::new()?.with_outputs(selector),
            input: model.contract.input.clone(),
            head: head.clone(),
            confidence: confidence.map(str::to_owned),
            report: ProviderReport {
                taken: provider.to_string(),
                placement: words.join(", "),
                refused: Vec::new(),
            },
            goldens: 0,
        };
        // A size that the net cannot take shows here and not in the middle of a run.
        let grey = Tensor {
            values: vec![0.0; 3 * fit.width as usize * fit.height as usize],
            fit,
        };
        segmenter
            .infer(&grey)
            .with_context(|| format!("cannot take {}x{}", fit.width, fit.height))?;
        segmenter.reset()?;
        segmenter.goldens = check_goldens(&mut segmenter, &model.contract, head)?;
        segmenter.reset()?;
        Ok(segmenter)
    }

    /// What runs and why.
    pub fn report(&self) -> &ProviderReport {
        &self.report
    }

    /// The head that is read.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// How many golden samples agreed when the model was opened.
    pub fn goldens(&self) -> usize {
        self.goldens
    }

    /// Whether the graph leaves open how many frames it takes at once. A net with a memory has one for one stream only.
    fn takes_batches(&self) -> bool {
        let input = self.session.inputs().iter().find(|i| i.name() == self.input.tensor);
        let open = input.and_then(|i| i.dtype().tensor_shape()?.first().copied()) == Some(-1);
        open && self.states.is_empty()
    }

    /// Runs the net on so many frames, which lie one behind the other: the head's output, and the confidence if that is asked for.
    fn run(&mut self, values: &[f32], frames: usize, fit: Fit) -> Result<(DynValue, Option<DynValue>)> {
        let (width, height) = (fit.width as usize, fit.height as usize);
        let shape = match self.input.layout {
            Layout::Nchw => [frames, 3, height, width],
            Layout::Nhwc => [frames, height, width, 3],
        };
        let frame = TensorRef::from_array_view((shape, values))?;
        self.states.iter_mut().try_for_each(|state| state.fit(fit))?;
        let mut feeds: Vec<(&str, SessionInputValue<'_>)> = vec![(&self.input.tensor, frame.into())];
        feeds.extend(self.states.iter().map(|s| (s.input.as_str(), SessionInputValue::from(&s.value))));
        let mut outputs = self
            .session
            .run_with_options(feeds, &self.outputs)
            .map_err(|e| fault(Kind::Config, one_line(&e.to_string())))?;
        let scores = outputs.remove(&self.head.tensor).context("ONNX Runtime left the output out")?;
        let confidence = self
            .confidence
            .as_ref()
            .map(|name| outputs.remove(name).context("ONNX Runtime left the confidence out"));
        let confidence = confidence.transpose()?;
        let mut next = Vec::new();
        for state in &self.states {
            next.push(outputs.remove(&state.output).context("ONNX Runtime left a state out")?);
        }
        drop(outputs);
        for (state, value) in self.states.iter_mut().zip(next) {
            state.value = value;
        }
        Ok((scores, confidence))
    }

    /// The scores of so many frames, one behind the other.
    fn scores(&self, (value, confidence): (DynValue, Option<DynValue>), frames: usize) -> Result<Scores> {
        let shape = value.dtype().tensor_shape().context("the output is no tensor")?.to_vec();
        let axes: Vec<usize> = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        let floats = self.head.kind != OutputKind::ClassIds;
        let (classes, height, width) = match (&axes[..], self.head.layout) {
            ([n, h, w], _) if !floats && *n == frames => (1, *h, *w),
            ([n, c, h, w], Layout::Nchw) | ([n, h, w, c], Layout::Nhwc) if *n == frames => (*c, *h, *w),
            _ => (0, 0, 0),
        };
        let wanted = if floats { self.head.scored().count() } else { 1 };
        if classes != wanted || width == 0 || height == 0 {
            bail!(
                "output {:?} came as {shape:?}, wanted {wanted} channels in {:?}",
                self.head.tensor,
                self.head.layout
            );
        }
        let element = value.dtype().tensor_type();
        let values = match element {
            Some(ort::value::TensorElementType::Float32) if floats => Values::Floats {
                scores: Buffer::from_runtime(value.downcast::<TensorValueType<f32>>()?),
                classes,
                layout: self.head.layout,
            },
            Some(ort::value::TensorElementType::Uint8) if !floats => Values::U8(Buffer::from_runtime(value.downcast()?)),
            Some(ort::value::TensorElementType::Int32) if !floats => Values::I32(Buffer::from_runtime(value.downcast()?)),
            Some(ort::value::TensorElementType::Int64) if !floats => Values::I64(Buffer::from_runtime(value.downcast()?)),
            _ => bail!(
                "output {:?} came as {element:?}, which is not {:?}",
                self.head.tensor,
                self.head.kind
            ),
        };
        let confidence = confidence.map(|value| {
            let values = Buffer::from_runtime(value.downcast::<TensorValueType<f32>>()?);
            let (found, wanted) = (values.len(), frames * height * width);
            anyhow::ensure!(
                found == wanted,
                "the confidence came as {found} values, wanted {wanted}: one for each pixel of the output {:?}",
                self.head.tensor
            );
            Ok(values)
        });
        Ok(Scores {
            width,
            height,
            values,
            confidence: confidence.transpose()?,
        })
    }
}

/// The output that has a head's confidence.
///
/// # Errors
/// Kind 78 if there is none.
pub(crate) fn confidence_of(head: &Head) -> Result<&str> {
    head.confidence.as_deref().ok_or_else(|| {
        let line = format!(
            "the head {:?} gives no confidence: use a model that was exported with --confidence, or leave confidence out",
            head.name
        );
        fault(Kind::Config, line)
    })
}

/// A state before the first frame; `check_graph` has bounded its size.
fn zeros(shape: &[i64]) -> Result<DynValue> {
    let length = shape.iter().product::<i64>() as usize;
    Ok(ort::value::Tensor::from_array((shape.to_vec(), vec![0.0_f32; length]))?.into_dyn())
}

fn check_length(input: &Tensor) -> Result<()> {
    let (found, wanted) = (input.values.len(), 3 * input.fit.width as usize * input.fit.height as usize);
    if found == wanted {
        return Ok(());
    }
    Err(fault(Kind::Internal, format!("tensor has {found} values, wanted {wanted}")))
}

impl Segmenter for OnnxSegmenter {
    fn infer(&mut self, input: &Tensor) -> Result<Scores> {
        check_length(input)?;
        let value = self.run(&input.values, 1, input.fit)?;
        self.scores(value, 1).kind(Kind::Config)
    }

    fn infer_batch(&mut self, inputs: &[Tensor]) -> Result<Vec<Scores>> {
        let [first, _, ..] = inputs else {
            return inputs.iter().map(|input| self.infer(input)).collect();
        };
        if !self.takes_batches() || inputs.iter().any(|input| input.fit != first.fit) {
            return inputs.iter().map(|input| self.infer(input)).collect();
        }
        inputs.iter().try_for_each(check_length)?;
        let values: Vec<f32> = inputs.iter().flat_map(|input| input.values.iter().copied()).collect();
        let all = self.run(&values, inputs.len(), first.fit)?;
        let all = self.scores(all, inputs.len()).kind(Kind::Config)?;
        Ok((0..inputs.len()).map(|n| all.part(n, inputs.len())).collect())
    }

    fn reset(&mut self) -> Result<()> {
        for state in &mut self.states {
            state.value = zeros(&state.shape)?;
        }
        Ok(())
    }

    fn provider(&self) -> &str {
        &self.report.taken
    }
}
