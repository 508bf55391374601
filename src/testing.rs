//! Tiny valid models for tests of this crate and of its binary. Not part of the API that versions keep stable.

use crate::frame::{Matrix, PixelFormat, Range, VideoFormat};
use maskline_models::Contract;
use maskline_models::classes::Class;
use maskline_models::contract::{CONTRACT_VERSION, Channels, Head, Input, InputType, Layout, OutputKind, Resize, Size, State};
use maskline_models::onnx::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, append_contract, attribute_type, data_type, dimension,
};
use prost::Message;
use std::path::{Path, PathBuf};

/// What most video looks like: I420, BT.709, limited range, square pixels, 25 frames a second.
pub fn plain(width: u32, height: u32) -> VideoFormat {
    VideoFormat {
        width,
        height,
        pixels: PixelFormat::I420,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        rate: Some((25, 1)),
        pixel_aspect: (1, 1),
    }
}

/// A net of one 1x1 convolution that tells dark pixels (class 0) from bright ones (class 1) at half of full white.
///
/// The fields are what a test may want to be different.
#[derive(Debug, Clone)]
pub struct Brightness {
    /// Fixed or flexible size.
    pub size: Size,
    /// Stretch or letterbox.
    pub resize: Resize,
    /// Axis order of the input, and of the output where that is float.
    pub layout: Layout,
    /// What comes out.
    pub output: Output,
    /// Multiplied with every score; NaN makes a net that gives only NaN.
    pub gain: f32,
    /// Whether it gives its confidence too, the higher of its two probabilities.
    pub confident: bool,
    /// How many classes the graph scores; the contract always says 2.
    pub classes: usize,
    /// Name of the input in the graph.
    pub input_name: String,
    /// Whether the net counts frames in a recurrent state (`memory`, one number) and adds the count to all scores.
    pub counts: bool,
    /// Shape of that state as the graph states it.
    pub memory: Vec<i64>,
    /// Height and width of a constant in the graph, which makes every other size fail although the shapes say nothing.
    pub constant: Option<(usize, usize)>,
}

/// What a [`Brightness`] net gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Class ids of that element type (one of [`data_type`]), with or without a channel axis of size 1.
    Ids {
        /// One of [`data_type`].
        element: i32,
        /// Whether the shape is `[1, 1, h, w]` instead of `[1, h, w]`.
        channel_axis: bool,
    },
    /// Float scores.
    Logits,
    /// The same after a softmax.
    Probabilities,
}

impl Default for Brightness {
    fn default() -> Self {
        Self {
            size: Size::Multiple {
                of: 8,
                width: 64,
                height: 48,
            },
            resize: Resize::Stretch,
            layout: Layout::Nchw,
            output: Output::Ids {
                element: data_type::UINT8,
                channel_axis: true,
            },
            gain: 1.0,
            confident: false,
            classes: 2,
            input_name: "image".into(),
            counts: false,
            memory: vec![1],
            constant: None,
        }
    }
}

impl Brightness {
    /// The contract that fits it: input `image`, output `classes`, classes `dark` (blue) and `bright` (orange).
    pub fn contract(&self) -> Contract {
        let class = |id, name: &str, color: &str| Class {
            id,
            name: name.into(),
            color: color.parse().expect("a literal colour"),
            ignore: false,
            background: false,
        };
        Contract {
            version: CONTRACT_VERSION,
            name: "brightness".into(),
            description: "Tells dark pixels from bright ones".into(),
            licence: "MIT".into(),
            input: Input {
                tensor: "image".into(),
                layout: self.layout,
                channels: Channels::Rgb,
                dtype: InputType::F32,
                size: self.size,
                resize: self.resize,
                scale: 1.0 / 255.0,
                mean: [0.5; 3],
                std: [0.5; 3],
            },
            heads: vec![Head {
                name: "brightness".into(),
                tensor: "classes".into(),
                kind: match self.output {
                    Output::Ids { .. } => OutputKind::ClassIds,
                    Output::Logits => OutputKind::Logits,
                    Output::Probabilities => OutputKind::Probabilities,
                },
                layout: self.layout,
                confidence: self.confident.then(|| "confidence".into()),
                temperature: None,
                classes: vec![class(0, "dark", "#1e3cff"), class(1, "bright", "#ff8c00")],
            }],
            states: if self.counts {
                vec![State {
                    input: "memory".into(),
                    output: "memory_next".into(),
                    grid: None,
                }]
            } else {
                Vec::new()
            },
            training: None,
            goldens: Vec::new(),
        }
    }

    /// The ONNX file without a contract.
    pub fn bare_onnx(&self) -> Vec<u8> {
        let mut node = Vec::new();
        let mut add = |op: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>| {
            node.push(NodeProto {
                input: input.iter().map(ToString::to_string).collect(),
                output: vec![output.into()],
                name: output.into(),
                op_type: op.into(),
                attribute,
                ..NodeProto::default()
            });
        };
        let nchw = self.layout == Layout::Nchw;
        let first = if nchw {
            self.input_name.as_str()
        } else {
            add("Transpose", &[&self.input_name], "planes", vec![ints("perm", &[0, 3, 1, 2])]);
            "planes"
        };
        add("Conv", &[first, "weight", "bias"], "raw", vec![ints("kernel_shape", &[1, 1])]);
        let constant = if self.constant.is_some() { "constant" } else { "zero" };
        add("Add", &["raw", constant], "sized", Vec::new());
        if self.counts {
            add("Add", &["memory", "one"], "memory_next", Vec::new());
            add("Add", &["sized", "memory"], "scores", Vec::new());
        } else {
            add("Identity", &["sized"], "scores", Vec::new());
        }
        let last = match self.output {
            Output::Ids { element, channel_axis } => {
                add(
                    "ArgMax",
                    &["scores"],
                    "best",
                    vec![int("axis", 1), int("keepdims", i64::from(channel_axis))],
                );
                add("Cast", &["best"], "classes", vec![int("to", i64::from(element))]);
                None
            }
            Output::Logits => Some("scores"),
            Output::Probabilities => {
                add("Softmax", &["scores"], "shares", vec![int("axis", 1)]);
                Some("shares")
            }
        };
        if self.confident {
            add("Softmax", &["scores"], "certainties", vec![int("axis", 1)]);
            add(
                "ReduceMax",
                &["certainties"],
                "confidence",
                vec![ints("axes", &[1]), int("keepdims", 0)],
            );
        }
        match last {
            Some(last) if nchw => add("Identity", &[last], "classes", Vec::new()),
            Some(last) => add("Transpose", &[last], "classes", vec![ints("perm", &[0, 2, 3, 1])]),
            None => {}
        }
        // Class 0 wins below the middle, class 1 above it, further ones never do.
        let signs: Vec<f32> = (0..self.classes)
            .map(|c| match c {
                0 => -1.0,
                1 => 1.0,
                _ => 0.0,
            })
            .collect();
        let weight: Vec<f32> = signs.iter().flat_map(|s| [s * self.gain / 3.0; 3]).collect();
        let bias: Vec<f32> = (0..self.classes).map(|c| if c < 2 { 0.0 } else { -9.0 }).collect();
        let (rows, columns) = self.constant.unwrap_or((1, 1));
        let initializer = vec![
            floats("weight", &[self.classes as i64, 3, 1, 1], &weight),
            floats("bias", &[self.classes as i64], &bias),
            floats("zero", &[1], &[0.0]),
            floats("one", &[1], &[1.0]),
            floats("constant", &[1, 1, rows as i64, columns as i64], &vec![0.0; rows * columns]),
        ];
        let (height, width) = match self.size {
            Size::Fixed { width, height } => (fixed(height.into()), fixed(width.into())),
            Size::Multiple { .. } => (free("height"), free("width")),
        };
        let shape = |channels: i64| {
            if nchw {
                vec![fixed(1), fixed(channels), height.clone(), width.clone()]
            } else {
                vec![fixed(1), height.clone(), width.clone(), fixed(channels)]
            }
        };
        let (element, out_shape) = match self.output {
            Output::Ids {
                element,
                channel_axis: true,
            } => (element, vec![fixed(1), fixed(1), height.clone(), width.clone()]),
            Output::Ids { element, .. } => (element, vec![fixed(1), height.clone(), width.clone()]),
            _ => (data_type::FLOAT, shape(self.classes as i64)),
        };
        let confidence = value("confidence", data_type::FLOAT, vec![fixed(1), height.clone(), width.clone()]);
        let confidence = if self.confident { vec![confidence] } else { Vec::new() };
        let memory = |name| {
            let shape = self.memory.iter().map(|n| fixed(*n)).collect();
            let state = value(name, data_type::FLOAT, shape);
            if self.counts { vec![state] } else { Vec::new() }
        };
        let graph = GraphProto {
            node,
            name: "brightness".into(),
            initializer,
            input: [vec![value(&self.input_name, data_type::FLOAT, shape(3))], memory("memory")].concat(),
            output: [vec![value("classes", element, out_shape)], confidence, memory("memory_next")].concat(),
        };
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 17,
            }],
            producer_name: "maskline".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            metadata_props: Vec::new(),
        }
        .encode_to_vec()
    }

    /// The ONNX file with its contract.
    pub fn onnx(&self) -> Vec<u8> {
        let mut onnx = self.bare_onnx();
        append_contract(&mut onnx, &self.contract());
        onnx
    }

    /// Writes `brightness.onnx` into a folder and returns its path.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("brightness.onnx");
        std::fs::write(&path, self.onnx()).expect("a test's own folder can be written");
        path
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i,
        r#type: attribute_type::INT,
        ..AttributeProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: ints.to_vec(),
        r#type: attribute_type::INTS,
        ..AttributeProto::default()
    }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        name: name.into(),
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

fn fixed(n: i64) -> DimensionProto {
    DimensionProto {
        value: Some(dimension::Value::DimValue(n)),
    }
}

fn free(name: &str) -> DimensionProto {
    DimensionProto {
        value: Some(dimension::Value::DimParam(name.into())),
    }
}

fn value(name: &str, elem_type: i32, dim: Vec<DimensionProto>) -> ValueInfoProto {
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type,
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
    }
}
