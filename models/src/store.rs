//! Opening a model: an ONNX file with its contract inside, or with a sidecar beside it.

use crate::builtin;
use crate::contract::{Contract, Grid, METADATA_KEY};
use crate::onnx::{Header, ValueInfoProto, data_type, dimension};
use prost::Message;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a model cannot be used. Each is one line with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// No such built-in model.
    #[error("there is no built-in model {0:?}; there are: {1}")]
    UnknownBuiltin(String, String),
    /// Not an ONNX file.
    #[error("{0} is not an ONNX model: {1}")]
    NotOnnx(String, String),
    /// Neither metadata nor sidecar.
    #[error(
        "{0} says nothing about its input and classes: it has no `maskline` metadata and there is no {1}; write that sidecar (see docs/models.md), or name one with --contract (contract in [model])"
    )]
    NoContract(String, PathBuf),
    /// A contract that is not one.
    #[error("the contract of {0} is not valid: {1}")]
    BadContract(String, String),
    /// Contract and graph disagree.
    #[error("{0} and its contract disagree: {1}")]
    Disagree(String, String),
}

/// A model: its ONNX bytes and the contract that says how to use them.
#[derive(Clone)]
pub struct Model {
    /// Where it came from, as people name it: a path or `builtin:NAME`.
    pub origin: String,
    /// The file, where there is one; ONNX Runtime reads external weights relative to it.
    pub path: Option<PathBuf>,
    /// The ONNX file's bytes.
    pub onnx: Cow<'static, [u8]>,
    /// How to use it.
    pub contract: Contract,
    /// The graph's inputs and outputs, as the file states them.
    pub graph: GraphBorder,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("origin", &self.origin)
            .field("bytes", &self.onnx.len())
            .finish_non_exhaustive()
    }
}

/// Inputs and outputs of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GraphBorder {
    /// Inputs that are no weights.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
}

/// One graph input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Tensor name.
    pub name: String,
    /// Element type as in [`data_type`], 0 where not stated.
    pub element: i32,
    /// Axis sizes, `None` where free; no list where the rank is not stated.
    pub shape: Option<Vec<Option<i64>>>,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let element = match self.element {
            data_type::FLOAT => "f32",
            data_type::UINT8 => "u8",
            data_type::INT32 => "i32",
            data_type::INT64 => "i64",
            0 => "?",
            other => return write!(f, "{} type {other}", self.name),
        };
        write!(f, "{} {element} ", self.name)?;
        match &self.shape {
            Some(axes) => {
                let axes: Vec<_> = axes.iter().map(|a| a.map_or("?".into(), |n| n.to_string())).collect();
                write!(f, "[{}]", axes.join(","))
            }
            None => write!(f, "[..]"),
        }
    }
}

/// Whether a TOML is the configuration that a model was trained with. One that cannot be read is a sidecar, so that somebody hears
/// of it.
fn is_training(path: &Path) -> bool {
    let table = std::fs::read_to_string(path).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| table.contains_key("net") && table.contains_key("train"))
}

fn has_contract(onnx: &[u8]) -> bool {
    Header::decode(onnx).is_ok_and(|header| header.metadata_props.iter().any(|p| p.key == METADATA_KEY))
}

impl Model {
    /// Opens `builtin:NAME`, the bare name of a built-in model, or a file; the sidecar of `NAME.onnx` is `NAME.toml` beside
    /// it unless `sidecar` names another. A sidecar counts before the metadata; the configuration that the model was trained
    /// with is none, where the file has a contract of its own.
    ///
    /// # Errors
    /// [`ModelError`]: unreadable, no ONNX, no contract, or a contract that does not fit the graph.
    pub fn open(name: &str, sidecar: Option<&Path>) -> Result<Self, ModelError> {
        let built_in = name.strip_prefix("builtin:");
        let looks_like_a_path = name.contains(['/', '\\', '.']);
        if built_in.is_some() || (!looks_like_a_path && !Path::new(name).is_file()) {
            let name = built_in.unwrap_or(name);
            let bytes = builtin::find(name).ok_or_else(|| ModelError::UnknownBuiltin(name.into(), builtin::names().join(", ")))?;
            return Self::from_bytes(format!("builtin:{name}"), Cow::Borrowed(bytes), sidecar);
        }
        let path = Path::new(name);
        let bytes = std::fs::read(path).map_err(|e| ModelError::Read(path.into(), e))?;
        let beside = path.with_extension("toml");
        let counts = |path: &PathBuf| path.is_file() && !(is_training(path) && has_contract(&bytes));
        let sidecar = sidecar.map(Path::to_path_buf).or_else(|| Some(beside).filter(counts));
        let mut model = Self::from_bytes(name.into(), Cow::Owned(bytes), sidecar.as_deref())?;
        model.path = Some(path.into());
        Ok(model)
    }

    /// A model from bytes in memory.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_bytes(origin: String, onnx: Cow<'static, [u8]>, sidecar: Option<&Path>) -> Result<Self, ModelError> {
        let header = Header::decode(&onnx[..]).map_err(|e| ModelError::NotOnnx(origin.clone(), e.to_string()))?;
        let Some(net) = header.graph.filter(|g| !g.output.is_empty() && header.ir_version > 0) else {
            return Err(ModelError::NotOnnx(origin, "found no graph with outputs in it".into()));
        };
        let embedded = header.metadata_props.iter().rev().find(|p| p.key == METADATA_KEY);
        let contract = match (sidecar, embedded) {
            (Some(sidecar), _) => {
                let text = std::fs::read_to_string(sidecar).map_err(|e| ModelError::Read(sidecar.into(), e))?;
                Contract::from_toml(&text).map_err(|e| ModelError::BadContract(format!("{origin} in {}", sidecar.display()), e))?
            }
            (None, Some(entry)) => Contract::from_json(&entry.value).map_err(|e| ModelError::BadContract(origin.clone(), e))?,
            (None, None) => {
                let sidecar = Path::new(&origin).with_extension("toml");
                return Err(ModelError::NoContract(origin, sidecar));
            }
        };
        let weights: std::collections::HashSet<_> = net.initializer.iter().map(|i| i.name.as_str()).collect();
        let graph = GraphBorder {
            inputs: net.input.iter().filter(|i| !weights.contains(i.name.as_str())).map(port).collect(),
            outputs: net.output.iter().map(port).collect(),
        };
        let model = Self {
            origin,
            path: None,
            onnx,
            contract,
            graph,
        };
        model.check_names().map_err(|e| ModelError::Disagree(model.origin.clone(), e))?;
        Ok(model)
    }

    /// SHA-256 of the ONNX file in hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.onnx).iter().map(|b| format!("{b:02x}")).collect()
    }

    fn check_names(&self) -> Result<(), String> {
        let has = |ports: &[Port], name: &str, what: &str| {
            if ports.iter().any(|p| p.name == name) {
                return Ok(());
            }
            let names: Vec<_> = ports.iter().map(Port::to_string).collect();
            Err(format!(
                "the contract names the {what} tensor {name:?}, the graph has {}",
                names.join(", ")
            ))
        };
        has(&self.graph.inputs, &self.contract.input.tensor, "input")?;
        for head in &self.contract.heads {
            has(&self.graph.outputs, &head.tensor, "output")?;
            if let Some(confidence) = &head.confidence {
                has(&self.graph.outputs, confidence, "confidence")?;
            }
        }
        for state in &self.contract.states {
            has(&self.graph.inputs, &state.input, "state input")?;
            has(&self.graph.outputs, &state.output, "state output")?;
            if let Some(grid) = state.grid {
                let ends = [(&self.graph.inputs, &state.input), (&self.graph.outputs, &state.output)];
                ends.into_iter().try_for_each(|(ports, name)| check_grid(ports, name, grid))?;
            }
        }
        Ok(())
    }
}

/// Whether a tensor can be a state of that kind, as far as the graph tells.
fn check_grid(ports: &[Port], name: &str, grid: Grid) -> Result<(), String> {
    let Some(port) = ports.iter().find(|p| p.name == name) else {
        return Ok(());
    };
    let wanted = [Some(1), Some(i64::from(grid.channels)), None, None];
    let agree = |axes: &Vec<Option<i64>>| axes.len() == 4 && axes.iter().zip(wanted).all(|(a, w)| a.is_none() || w.is_none() || *a == w);
    if [0, data_type::FLOAT].contains(&port.element) && port.shape.as_ref().is_none_or(agree) {
        return Ok(());
    }
    Err(format!(
        "the graph has {port}, the contract's state of {} channels with a stride of {} makes it f32 [1,{},height/{},width/{}]",
        grid.channels, grid.stride, grid.channels, grid.stride, grid.stride
    ))
}

fn port(value: &ValueInfoProto) -> Port {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let axis = |d: &crate::onnx::DimensionProto| match d.value {
        Some(dimension::Value::DimValue(n)) => Some(n),
        _ => None,
    };
    Port {
        name: value.name.clone(),
        element: tensor.map_or(0, |t| t.elem_type),
        shape: tensor.and_then(|t| t.shape.as_ref()).map(|s| s.dim.iter().map(axis).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::tests::sample;
    use crate::onnx::{GraphProto, ModelProto, append_contract};

    fn bare(input: &str, output: &str) -> Vec<u8> {
        let value = |name: &str| ValueInfoProto {
            name: name.into(),
            r#type: None,
        };
        let graph = GraphProto {
            input: vec![value(input)],
            output: vec![value(output)],
            ..GraphProto::default()
        };
        ModelProto {
            ir_version: 8,
            graph: Some(graph),
            ..ModelProto::default()
        }
        .encode_to_vec()
    }

    fn open(bytes: Vec<u8>) -> Result<Model, ModelError> {
        Model::from_bytes("x.onnx".into(), Cow::Owned(bytes), None)
    }

    #[test]
    fn a_contract_written_into_a_file_is_read_back_and_the_last_one_counts() {
        let mut onnx = bare("image", "class_map");
        append_contract(&mut onnx, &sample());
        append_contract(
            &mut onnx,
            &Contract {
                name: "second".into(),
                ..sample()
            },
        );
        assert_eq!(open(onnx).unwrap().contract.name, "second");
    }

    #[test]
    fn files_that_are_no_models_are_told_from_models_without_a_contract() {
        for bytes in [&b""[..], b"hello, world, this is a text file", &[0xff; 64]] {
            assert!(matches!(open(bytes.to_vec()), Err(ModelError::NotOnnx(..))), "{bytes:?}");
        }
        let error = open(bare("image", "class_map")).unwrap_err();
        assert!(error.to_string().contains("there is no x.toml"), "{error}");
    }

    #[test]
    fn a_contract_for_another_graph_is_refused_with_the_names_there_are() {
        let mut onnx = bare("picture", "class_map");
        append_contract(&mut onnx, &sample());
        let error = open(onnx).unwrap_err().to_string();
        assert!(error.contains("\"image\"") && error.contains("picture"), "{error}");
    }

    #[test]
    fn a_sidecar_counts_before_the_metadata() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("net.onnx");
        let mut onnx = bare("image", "class_map");
        append_contract(&mut onnx, &sample());
        std::fs::write(&file, onnx).unwrap();
        let name = file.to_str().unwrap();
        assert_eq!(Model::open(name, None).unwrap().contract.name, "sample");
        let other = Contract {
            name: "beside".into(),
            ..sample()
        };
        std::fs::write(file.with_extension("toml"), toml::to_string(&other).unwrap()).unwrap();
        assert_eq!(Model::open(name, None).unwrap().contract.name, "beside");
        std::fs::write(file.with_extension("toml"), "version = 1\n").unwrap();
        assert!(matches!(Model::open(name, None), Err(ModelError::BadContract(..))));
        // the configuration that it was trained with, under the same name
        std::fs::write(
            file.with_extension("toml"),
            "name = \"net\"\n[net]\nkind = \"unet\"\n[train]\nepochs = 1\n",
        )
        .unwrap();
        assert_eq!(Model::open(name, None).unwrap().contract.name, "sample");
        std::fs::write(&file, bare("image", "class_map")).unwrap();
        assert!(
            matches!(Model::open(name, None), Err(ModelError::BadContract(..))),
            "all that a file without a contract has"
        );
    }

    #[test]
    fn an_unknown_name_and_a_missing_file_are_told_apart() {
        assert!(matches!(Model::open("builtin:nothing", None), Err(ModelError::UnknownBuiltin(..))));
        assert!(matches!(Model::open("nothing", None), Err(ModelError::UnknownBuiltin(..))));
        assert!(matches!(Model::open("./nothing.onnx", None), Err(ModelError::Read(..))));
    }
}
