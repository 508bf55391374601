//! ONNX files run by ONNX Runtime on the processor: what the exporter checks its work with, and what `eval` measures.

use crate::error::{Kind, fault};
use anyhow::Result;
use maskline_models::contract::{Layout, OutputKind, State};
use maskline_models::{Head, Model};
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::TensorRef;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A model in an ONNX Runtime session.
pub struct OnnxNet {
    session: Session,
    input: String,
    layout: Layout,
    head: Head,
    memory: Vec<Memory>,
}

/// A recurrent state between two frames.
struct Memory {
    state: State,
    /// Its size where that does not go with the picture's.
    fixed: Vec<usize>,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Memory {
    fn new(state: &State, model: &Model) -> Result<Self> {
        let port = model.graph.inputs.iter().find(|port| port.name == state.input);
        let axes = port.and_then(|port| port.shape.clone()).unwrap_or_default();
        let fixed: Option<Vec<usize>> = axes.into_iter().map(|n| usize::try_from(n?).ok()).collect();
        if fixed.is_none() && state.grid.is_none() {
            let line = format!("the state {:?} has no fixed size: give it a grid in the contract", state.input);
            return Err(fault(Kind::Config, line));
        }
        Ok(Self {
            state: state.clone(),
            fixed: fixed.unwrap_or_default(),
            shape: Vec::new(),
            values: Vec::new(),
        })
    }

    /// Begins with zeros where nothing is remembered, or pictures of another size or number come.
    fn fit(&mut self, [batch, height, width]: [usize; 3]) {
        let shape = match self.state.grid {
            Some(grid) => {
                let [_, channels, height, width] = grid.shape(width as u32, height as u32);
                vec![batch, channels, height, width]
            }
            None => self.fixed.clone(),
        };
        if self.shape != shape || self.values.is_empty() {
            self.values = vec![0.0; shape.iter().product()];
            self.shape = shape;
        }
    }
}

impl OnnxNet {
    /// Loads ONNX Runtime if that has not happened yet, and the model; `head` chooses one of its heads, else the first.
    ///
    /// # Errors
    /// One line with exit code 78: ONNX Runtime is missing, refuses the model, or there is no such head.
    pub fn open(model: &Model, head: Option<&str>) -> Result<Self> {
        Self::open_on(model, head, None)
    }

    /// The same on so many threads; `None`: on all cores.
    ///
    /// # Errors
    /// As [`OnnxNet::open`].
    pub fn open_on(model: &Model, head: Option<&str>, threads: Option<usize>) -> Result<Self> {
        let head = model.contract.head(head).map_err(|e| fault(Kind::Config, e))?.clone();
        Ok(Self {
            session: session(&model.onnx, &model.origin, threads)?,
            input: model.contract.input.tensor.clone(),
            layout: model.contract.input.layout,
            head,
            memory: model.contract.states.iter().map(|s| Memory::new(s, model)).collect::<Result<_>>()?,
        })
    }

    /// The head that answers.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether it has a memory, so that pictures must come in order.
    pub fn remembers(&self) -> bool {
        !self.memory.is_empty()
    }

    /// Forgets the pictures before: what comes next is the first of a clip.
    pub fn reset(&mut self) {
        self.memory.iter_mut().for_each(|memory| memory.values.clear());
    }

    /// Order of the input's axes.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Class ids `[n, h, w]` for `images` `[n, 3, h, w]` (in the layout and normalisation of the contract), whatever kind of
    /// output the head has.
    ///
    /// # Errors
    /// One line, if the net refuses the input or gives something else than its contract says.
    pub fn class_map(&mut self, images: &[f32], shape: [usize; 4]) -> Result<Vec<u8>> {
        let scored: Vec<u8> = self.head.scored().map(|c| c.id).collect();
        let tensor = self.head.tensor.clone();
        if self.head.kind != OutputKind::ClassIds {
            let (scores, out) = self.floats(&tensor, images, shape)?;
            return ids_of(&scores, &out, &scored);
        }
        let outputs = self.run(images, shape)?;
        let value = outputs.get(&tensor).ok_or_else(|| missing(&tensor))?;
        if let Ok((_, ids)) = value.try_extract_tensor::<u8>() {
            return Ok(ids.to_vec());
        }
        let wide: Vec<i64> = match value.try_extract_tensor::<i64>() {
            Ok((_, ids)) => ids.to_vec(),
            Err(_) => value
                .try_extract_tensor::<i32>()
                .map_err(|e| fault(Kind::Config, format!("output {tensor} holds no class ids: {e}")))?
                .1
                .iter()
                .map(|id| i64::from(*id))
                .collect(),
        };
        let narrow = wide.into_iter().map(u8::try_from).collect::<Result<_, _>>();
        narrow.map_err(|_| fault(Kind::Config, format!("output {tensor} holds class ids above 255")))
    }

    /// Unnormalised scores `[classes, height, width]` of one picture; probabilities become their logarithms, whose softmax they
    /// are.
    ///
    /// # Errors
    /// One line, if the net refuses the input or gives something else than its contract says.
    pub fn scores(&mut self, picture: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
        let (tensor, kind) = (self.head.tensor.clone(), self.head.kind);
        let classes = self.head.scored().count();
        let [_, a, b, c] = shape;
        let (height, width) = match self.layout {
            Layout::Nchw => (b, c),
            Layout::Nhwc => (a, b),
        };
        let (mut scores, out) = self.floats(&tensor, picture, shape)?;
        if out != [1, classes, height, width] {
            return Err(fault(
                Kind::Config,
                format!(
                    "scores have shape {out:?}, wanted [1, {classes}, {height}, {width}]: classes of the contract, size of the picture"
                ),
            ));
        }
        if kind == OutputKind::Probabilities {
            scores.iter_mut().for_each(|p| *p = p.max(1e-12).ln());
        }
        Ok(scores)
    }

    /// The values and shape of a float output.
    ///
    /// # Errors
    /// One line, if the net refuses the input or has no such float output.
    pub fn floats(&mut self, output: &str, images: &[f32], shape: [usize; 4]) -> Result<(Vec<f32>, Vec<usize>)> {
        let outputs = self.run(images, shape)?;
        let value = outputs.get(output).ok_or_else(|| missing(output))?;
        let (shape, values) = value
            .try_extract_tensor::<f32>()
            .map_err(|e| fault(Kind::Config, format!("output {output} holds no floats: {e}")))?;
        Ok((values.to_vec(), shape.iter().map(|n| *n as usize).collect()))
    }

    /// The shapes of all outputs, by name.
    ///
    /// # Errors
    /// One line, if the net refuses the input.
    pub fn shapes(&mut self, images: &[f32], shape: [usize; 4]) -> Result<HashMap<String, Vec<usize>>> {
        let outputs = self.run(images, shape)?;
        let shapes = outputs.iter().filter_map(|(name, value)| {
            let shape = value.dtype().tensor_shape()?;
            Some((name.to_owned(), shape.iter().map(|n| *n as usize).collect()))
        });
        Ok(shapes.collect())
    }

    /// Shows every output of floats to `visit`, with its name.
    ///
    /// # Errors
    /// One line, if the net refuses the input.
    pub fn every_float(&mut self, images: &[f32], shape: [usize; 4], visit: &mut dyn FnMut(&str, &[f32])) -> Result<()> {
        for (name, value) in &self.run(images, shape)? {
            if let Ok((_, values)) = value.try_extract_tensor::<f32>() {
                visit(name, values);
            }
        }
        Ok(())
    }

    fn run(&mut self, images: &[f32], shape: [usize; 4]) -> Result<SessionOutputs<'_>> {
        let refused = |e: ort::Error| {
            fault(
                Kind::Config,
                format!("ONNX Runtime refuses an input of {shape:?}: {}", one_line(&e)),
            )
        };
        let [n, a, b, c] = shape;
        let size = match self.layout {
            Layout::Nchw => [n, b, c],
            Layout::Nhwc => [n, a, b],
        };
        let images = TensorRef::from_array_view((shape, images)).map_err(refused)?;
        let mut feeds: Vec<(&str, SessionInputValue<'_>)> = vec![(&self.input, images.into())];
        self.memory.iter_mut().for_each(|memory| memory.fit(size));
        for memory in &self.memory {
            let value = TensorRef::from_array_view((memory.shape.clone(), &memory.values[..])).map_err(refused)?;
            feeds.push((&memory.state.input, value.into()));
        }
        let outputs = self.session.run(feeds).map_err(refused)?;
        for memory in &mut self.memory {
            let name = &memory.state.output;
            let value = outputs.get(name).ok_or_else(|| missing(name))?;
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(refused)?;
            (memory.shape, memory.values) = (shape.iter().map(|n| *n as usize).collect(), values.to_vec());
        }
        Ok(outputs)
    }
}

/// The class id of the highest score of every pixel; the first wins a tie. `scores` is `[n, c, h, w]`, `ids` names the
/// channels.
///
/// # Errors
/// One line, if there are not as many channels as ids.
pub fn ids_of(scores: &[f32], shape: &[usize], ids: &[u8]) -> Result<Vec<u8>> {
    let &[n, c, h, w] = shape else {
        return Err(fault(
            Kind::Config,
            format!("scores have shape {shape:?}, wanted [n, classes, h, w]"),
        ));
    };
    if c != ids.len() || scores.len() != n * c * h * w {
        return Err(fault(
            Kind::Config,
            format!("the net gives {c} scores a pixel, its contract names {} classes", ids.len()),
        ));
    }
    let pixels = h * w;
    let mut map = Vec::with_capacity(n * pixels);
    for picture in scores.chunks_exact(c * pixels) {
        let (mut best, mut at) = (picture[..pixels].to_vec(), vec![ids[0]; pixels]);
        for (plane, id) in picture.chunks_exact(pixels).zip(ids).skip(1) {
            for ((best, at), value) in best.iter_mut().zip(&mut at).zip(plane) {
                if value > best {
                    (*best, *at) = (*value, *id);
                }
            }
        }
        map.append(&mut at);
    }
    Ok(map)
}

fn missing(output: &str) -> anyhow::Error {
    fault(Kind::Config, format!("the graph has no output {output:?}"))
}

fn session(onnx: &[u8], origin: &str, threads: Option<usize>) -> Result<Session> {
    let refused = |e: String| fault(Kind::Config, format!("ONNX Runtime refuses {origin}: {e}"));
    let builder = Session::builder(environment()?).map_err(|e| refused(one_line(&e)))?;
    // As the runtime does: the waiting threads of one session would burn the cores of another that is measured in turn.
    let builder = builder.with_intra_op_spinning(false);
    let mut builder = builder.map_err(|e| refused(one_line(&e)))?;
    if let Some(threads) = threads {
        builder = builder.with_intra_threads(threads).map_err(|e| refused(one_line(&e)))?;
    }
    builder.commit_from_memory(onnx).map_err(|e| refused(one_line(&e)))
}

fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// ONNX Runtime itself, loaded once for the whole process.
pub(crate) fn environment() -> Result<&'static Environment> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let loaded = ENVIRONMENT.get_or_init(|| {
        let library = maskline_models::library::find_onnxruntime().map_err(|places| {
            let places: Vec<_> = places.iter().map(|p| format!("{} ({})", p.path.display(), p.reason)).collect();
            format!(
                "found no libonnxruntime in {}; run scripts/install, or set ORT_DYLIB_PATH to it",
                places.join(", ")
            )
        })?;
        let wrong = |e: String| format!("{} is no ONNX Runtime that this program can use: {e}", library.display());
        let builder = ort::init_from(&library).map_err(|e| wrong(one_line(&e)))?;
        builder.with_telemetry(false).build().map_err(|e| wrong(one_line(&e)))
    });
    loaded.as_ref().map_err(|e| fault(Kind::Config, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_scores_wins_and_ids_need_not_count_from_zero() {
        // two pictures of two pixels, three classes
        let scores = [1.0, 5.0, 3.0, 5.0, 2.0, 4.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0];
        assert_eq!(ids_of(&scores, &[2, 3, 1, 2], &[7, 3, 9]).unwrap(), [3, 7, 7, 3]);
        let error = ids_of(&scores, &[2, 3, 1, 2], &[7, 3]).unwrap_err().to_string();
        assert!(error.contains("3 scores a pixel"), "{error}");
    }
}
