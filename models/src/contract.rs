//! The model contract: everything that must be known to use an ONNX segmentation model rightly.
//!
//! It lies as one JSON value under [`METADATA_KEY`] in the ONNX file's `metadata_props`, or as TOML in a sidecar file.

use crate::classes::{Class, check_classes};
use crate::golden::Golden;
use serde::{Deserialize, Serialize};

/// The key of the contract in an ONNX file's `metadata_props`.
pub const METADATA_KEY: &str = "maskline";

/// The version of the contract that this crate reads and writes.
pub const CONTRACT_VERSION: u32 = 1;

/// How to feed a model and how to read what it gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// [`CONTRACT_VERSION`] of the writer.
    pub version: u32,
    /// The model's name, e.g. `unet-road`.
    pub name: String,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The licence of the weights (SPDX, or words where SPDX has none).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
    /// The picture that goes in.
    pub input: Input,
    /// The class maps that come out; the first is the default one.
    #[serde(rename = "head")]
    pub heads: Vec<Head>,
    /// Recurrent state: what must be fed back from one frame to the next.
    #[serde(default, rename = "state", skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<State>,
    /// Where the weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Provenance>,
    /// Inputs with the class maps they must give. Those of a net with states are the first frames of one clip, in this order.
    #[serde(default, rename = "golden", skip_serializing_if = "Vec::is_empty")]
    pub goldens: Vec<Golden>,
}

/// The input tensor and how pixels become its values: `(pixel * scale - mean[c]) / std[c]`, pixel in 0-255, `c` in the
/// tensor's own channel order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Name of the graph input.
    pub tensor: String,
    /// Order of the axes.
    pub layout: Layout,
    /// Order of the colours along the channel axis.
    pub channels: Channels,
    /// Element type.
    #[serde(default)]
    pub dtype: InputType,
    /// Sizes that the net takes.
    pub size: Size,
    /// How a frame of another shape is brought to that size.
    #[serde(default)]
    pub resize: Resize,
    /// Factor on the 0-255 pixel value, before mean and std.
    pub scale: f32,
    /// Subtracted per channel after scaling.
    pub mean: [f32; 3],
    /// Divides per channel at the end.
    pub std: [f32; 3],
}

/// Axis order of a picture tensor with batch size 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[1, channels, height, width]`
    Nchw,
    /// `[1, height, width, channels]`
    Nhwc,
}

/// Colour order along the channel axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV reads pictures.
    Bgr,
}

/// Element type of the input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputType {
    /// 32-bit float.
    #[default]
    F32,
}

/// Sizes that the net takes, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Size {
    /// Just this one.
    Fixed {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Any multiple of `of`; made for about `width` x `height` pixels.
    Multiple {
        /// Both sides must be multiples of this.
        of: u32,
        /// Width it was trained for.
        width: u32,
        /// Height it was trained for.
        height: u32,
    },
}

/// How a frame is brought to the model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Resize {
    /// Both axes scaled on their own.
    #[default]
    Stretch,
    /// Scaled evenly and centred; the rest is filled with this grey value (0-255).
    Letterbox {
        /// Grey value of the bars.
        #[serde(default)]
        pad: u8,
    },
}

/// One class map that the model gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// What a user chooses it by (`--head`).
    pub name: String,
    /// Name of the graph output.
    pub tensor: String,
    /// What its numbers are.
    pub kind: OutputKind,
    /// Order of the axes; for class ids the channel axis may be missing.
    #[serde(default = "nchw")]
    pub layout: Layout,
    /// Graph output with a confidence (0-1) for every pixel, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    /// What scores are divided by before the softmax, so that probabilities are calibrated (Guo et al. 2017). The
    /// confidence output of our own exporter was made with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Its classes; scores come in the order of this list, with ignored classes left out.
    #[serde(rename = "class")]
    pub classes: Vec<Class>,
}

fn nchw() -> Layout {
    Layout::Nchw
}

impl Head {
    /// The classes that the net can answer with, in the order of its scores.
    pub fn scored(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter().filter(|c| !c.ignore)
    }
}

/// What the numbers of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    /// Unnormalised scores, one channel a class (float).
    Logits,
    /// Scores that sum to one, one channel a class (float).
    Probabilities,
    /// One class id per pixel (uint8, int32 or int64).
    ClassIds,
}

/// A recurrent state (float32): graph output `output` of one frame is graph input `input` of the next; zeros at the start of
/// a clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Name of the graph input.
    pub input: String,
    /// Name of the graph output.
    pub output: String,
    /// Its size, where that goes with the picture's; a state without it has the one size that the graph states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Grid>,
}

/// The size of a state that is a feature map: `[1, channels, height / stride, width / stride]` of the input's height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Channels.
    pub channels: u32,
    /// Input pixels that a value covers along each side.
    pub stride: u32,
}

impl Grid {
    /// The state's axes for an input of that size in pixels.
    pub fn shape(&self, width: u32, height: u32) -> [usize; 4] {
        [1, self.channels, height / self.stride, width / self.stride].map(|n| n as usize)
    }
}

/// Where weights come from, for people and for reproduction.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provenance {
    /// Data sets it was trained on.
    pub data: Vec<String>,
    /// Scenes rendered in memory alone were learned from and chose among the weights, down to the first run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rendered_only: bool,
    /// What was trained on and what was held out.
    pub split: String,
    /// Mean IoU on the validation split, 0-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miou: Option<f64>,
    /// Commit of the trainer.
    pub commit: String,
    /// Day of the training, `YYYY-MM-DD`.
    pub date: String,
    /// Seed of the run.
    pub seed: u64,
    /// Epochs until these weights; the run may have gone on and not found better ones.
    pub epochs: u32,
    /// Hours until then.
    pub hours: f64,
    /// How the trained weights were brought to fewer bits, and on which pictures; empty where they were not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub quantization: String,
    /// The models whose mean the weights are, with their shares; empty where they are one run's. Commit, seed, epochs and hours are
    /// those of the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub averaged: Vec<String>,
}

impl Contract {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// One line that says what was found and what was wanted.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let contract: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        contract.check()?;
        Ok(contract)
    }

    /// Writes the JSON form.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a contract holds only strings, numbers and lists")
    }

    /// Reads the TOML form of a sidecar.
    ///
    /// # Errors
    /// One line that says what was found (with line and column) and what was wanted.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let contract: Self = toml::from_str(text).map_err(|e| {
            let at = e.span().map(|s| position(text, s.start));
            match at {
                Some((line, column)) => format!("line {line}, column {column}: {}", e.message().trim().replace('\n', "; ")),
                None => e.message().trim().replace('\n', "; "),
            }
        })?;
        contract.check()?;
        Ok(contract)
    }

    /// The head of that name, or the default one.
    ///
    /// # Errors
    /// One line with the names there are.
    pub fn head(&self, name: Option<&str>) -> Result<&Head, String> {
        let Some(name) = name else {
            return Ok(&self.heads[0]); // `check` refuses a contract without heads
        };
        self.heads.iter().find(|h| h.name == name).ok_or_else(|| {
            let names: Vec<_> = self.heads.iter().map(|h| h.name.as_str()).collect();
            format!("model {} has no head {name:?}; it has {}", self.name, names.join(", "))
        })
    }

    /// Whether what the net says of a frame depends on those before it.
    pub fn remembers(&self) -> bool {
        !self.states.is_empty()
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// One line naming the first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.version != CONTRACT_VERSION {
            return Err(format!(
                "contract version is {}, this program reads version {CONTRACT_VERSION}",
                self.version
            ));
        }
        let (of, width, height) = match self.input.size {
            Size::Fixed { width, height } => (1, width, height),
            Size::Multiple { of, width, height } => (of, width, height),
        };
        if of == 0 || width == 0 || height == 0 || width > 16384 || height > 16384 {
            return Err(format!("input size is {width}x{height} in multiples of {of}, wanted 1 to 16384"));
        }
        if !width.is_multiple_of(of) || !height.is_multiple_of(of) {
            return Err(format!("nominal input size {width}x{height} is not a multiple of {of}"));
        }
        let numbers = [&[self.input.scale][..], &self.input.mean, &self.input.std].concat();
        if numbers.iter().any(|n| !n.is_finite()) || self.input.std.contains(&0.0) {
            return Err("scale, mean and std must be finite and std not 0".into());
        }
        if self.heads.is_empty() {
            return Err("found no output, wanted at least one [[head]]".into());
        }
        for (i, head) in self.heads.iter().enumerate() {
            check_classes(&head.classes).map_err(|e| format!("head {:?}: {e}", head.name))?;
            if self.heads[..i].iter().any(|h| h.name == head.name) {
                return Err(format!("two heads are named {:?}", head.name));
            }
            if let Some(t) = head.temperature.filter(|t| !(*t > 0.0 && t.is_finite())) {
                return Err(format!("head {:?}: temperature is {t}, wanted more than 0", head.name));
            }
        }
        for (i, state) in self.states.iter().enumerate() {
            self.check_state(state, &self.states[..i])?;
        }
        Ok(())
    }

    fn check_state(&self, state: &State, before: &[State]) -> Result<(), String> {
        let State { input, output, grid } = state;
        if *input == self.input.tensor || before.iter().any(|s| s.input == *input) {
            return Err(format!("two inputs are named {input:?}, wanted one tensor for each state"));
        }
        if self.heads.iter().any(|h| h.tensor == *output) || before.iter().any(|s| s.output == *output) {
            return Err(format!("two outputs are named {output:?}, wanted one tensor for each state"));
        }
        let Some(Grid { channels, stride }) = *grid else { return Ok(()) };
        if channels == 0 || stride == 0 {
            return Err(format!(
                "state {input:?} has {channels} channels with a stride of {stride}, wanted at least 1 of each"
            ));
        }
        let whole = match self.input.size {
            Size::Fixed { width, height } => width.is_multiple_of(stride) && height.is_multiple_of(stride),
            Size::Multiple { of, .. } => of.is_multiple_of(stride),
        };
        if !whole {
            return Err(format!(
                "state {input:?} has a stride of {stride}, wanted one that divides the sides of every input"
            ));
        }
        Ok(())
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (before.matches('\n').count() + 1, column)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::classes::driving_classes;

    pub(crate) fn sample() -> Contract {
        Contract {
            version: CONTRACT_VERSION,
            name: "sample".into(),
            description: String::new(),
            licence: "MIT".into(),
            input: Input {
                tensor: "image".into(),
                layout: Layout::Nchw,
                channels: Channels::Rgb,
                dtype: InputType::F32,
                size: Size::Multiple {
                    of: 32,
                    width: 480,
                    height: 352,
                },
                resize: Resize::Stretch,
                scale: 1.0 / 255.0,
                mean: [0.485, 0.456, 0.406],
                std: [0.229, 0.224, 0.225],
            },
            heads: vec![Head {
                name: "classes".into(),
                tensor: "class_map".into(),
                kind: OutputKind::ClassIds,
                layout: Layout::Nchw,
                confidence: None,
                temperature: None,
                classes: driving_classes(),
            }],
            states: Vec::new(),
            training: None,
            goldens: Vec::new(),
        }
    }

    #[test]
    fn json_and_toml_give_back_what_was_written() {
        let mut contract = sample();
        contract.heads[0].temperature = Some(1.5);
        assert_eq!(Contract::from_json(&contract.to_json()).unwrap(), contract);
        assert_eq!(Contract::from_toml(&toml::to_string(&contract).unwrap()).unwrap(), contract);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = toml::to_string(&sample())
            .unwrap()
            .replace("name = \"sample\"", "name = \"sample\"\nsacle = 3");
        let error = Contract::from_toml(&text).unwrap_err();
        assert!(error.starts_with("line 3, column 1") && error.contains("sacle"), "{error}");
    }

    #[test]
    fn what_types_cannot_say_is_checked() {
        let with = |change: fn(&mut Contract)| {
            let mut contract = sample();
            change(&mut contract);
            contract.check().unwrap_err()
        };
        assert!(with(|c| c.version = 9).contains("version is 9"));
        assert!(with(|c| c.heads.clear()).contains("[[head]]"));
        assert!(with(|c| c.input.std[1] = 0.0).contains("std"));
        assert!(with(|c| c.input.scale = f32::NAN).contains("finite"));
        assert!(
            with(|c| c.input.size = Size::Multiple {
                of: 0,
                width: 1,
                height: 1
            })
            .contains("multiples of 0")
        );
        assert!(
            with(|c| c.input.size = Size::Multiple {
                of: 32,
                width: 100,
                height: 64
            })
            .contains("not a multiple")
        );
        assert!(with(|c| c.heads[0].temperature = Some(0.0)).contains("temperature is 0"));
        let second = with(|c| c.heads.push(c.heads[0].clone()));
        assert!(second.contains("two heads"), "{second}");
    }

    #[test]
    fn a_state_is_read_in_both_forms_and_must_fit_the_input() {
        let state = |grid| State {
            input: "state_in".into(),
            output: "state_out".into(),
            grid,
        };
        let grid = |channels, stride| Some(Grid { channels, stride });
        let with = |states| Contract { states, ..sample() };
        for good in [state(None), state(grid(64, 32)), state(grid(1, 8))] {
            let contract = with(vec![good]);
            assert_eq!(Contract::from_json(&contract.to_json()).unwrap(), contract);
            assert_eq!(Contract::from_toml(&toml::to_string(&contract).unwrap()).unwrap(), contract);
        }
        assert_eq!(grid(64, 32).unwrap().shape(480, 352), [1, 64, 11, 15]);
        let refused = |states| with(states).check().unwrap_err();
        assert!(refused(vec![state(grid(0, 32))]).contains("0 channels"));
        assert!(refused(vec![state(grid(4, 64))]).contains("stride of 64, wanted one that divides"));
        assert!(refused(vec![state(None), state(None)]).contains("two inputs are named \"state_in\""));
        let as_head = State {
            output: "class_map".into(),
            ..state(None)
        };
        assert!(refused(vec![as_head]).contains("two outputs are named \"class_map\""));
        let old = r#"{"input": "memory", "output": "memory_next"}"#;
        assert_eq!(serde_json::from_str::<State>(old).unwrap().grid, None);
    }

    #[test]
    fn a_missing_head_is_answered_with_those_there_are() {
        let contract = sample();
        assert_eq!(contract.head(None).unwrap().name, "classes");
        assert!(contract.head(Some("lanes")).unwrap_err().contains("it has classes"));
    }
}
