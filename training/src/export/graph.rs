//! An ONNX graph while it is written: names, constants, nodes, and shapes that depend on the input's size.

use super::record::Recording;
use super::table::name_of;
use anyhow::{Result, bail, ensure};
use burn::tensor::{DType, TensorData};
use burn_ir::{IrVisitorMut, OperationIr, TensorId, TensorIr, TensorStatus};
use maskline_models::onnx::{AttributeProto, NodeProto, TensorProto, attribute_type, data_type};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Sizes of one axis, one for each recording.
pub(super) type Axis = Vec<usize>;

/// The graph under construction.
pub(super) struct Graph {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) initializers: BTreeMap<String, TensorProto>,
    /// Graph inputs in order.
    pub(super) inputs: Vec<(TensorId, String)>,
    names: HashMap<TensorId, String>,
    taken: HashSet<String>,
    shapes: HashMap<TensorId, Vec<Axis>>,
    values: BTreeMap<TensorId, TensorData>,
    paths: HashMap<TensorId, String>,
    /// Computed shapes that exist already, by what they hold.
    computed: HashMap<Vec<Axis>, String>,
}

impl Graph {
    /// An empty graph that can look things up in the recordings; `inputs` names the first one's inputs, `outputs` its
    /// outputs.
    ///
    /// # Errors
    /// One line, if the recordings do not show the same net.
    pub(super) fn new(recordings: &[Recording], inputs: &[&str], outputs: &[&str]) -> Result<Self> {
        let first = &recordings[0];
        let shapes = shapes(recordings)?;
        let mut graph = Self {
            nodes: Vec::new(),
            initializers: BTreeMap::new(),
            inputs: Vec::new(),
            names: HashMap::new(),
            taken: HashSet::new(),
            shapes,
            values: first.values.clone(),
            paths: first.paths.clone(),
            computed: HashMap::new(),
        };
        ensure!(
            (first.graph.inputs.len(), first.graph.outputs.len()) == (inputs.len(), outputs.len()),
            "the net has {} inputs and {} outputs, {} and {} were named",
            first.graph.inputs.len(),
            first.graph.outputs.len(),
            inputs.len(),
            outputs.len()
        );
        for (id, name) in first.graph.inputs.iter().zip(inputs) {
            graph.inputs.push((*id, (*name).into()));
            graph.values.remove(id);
        }
        for (id, name) in first
            .graph
            .inputs
            .iter()
            .chain(&first.graph.outputs)
            .zip(inputs.iter().chain(outputs))
        {
            graph.names.insert(*id, (*name).into());
            graph.taken.insert((*name).into());
        }
        Ok(graph)
    }

    /// Sizes of a tensor's axes in all recordings.
    pub(super) fn shape(&self, id: TensorId) -> &[Axis] {
        self.shapes.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The ONNX name of a tensor that is read; a constant becomes an initializer.
    ///
    /// # Errors
    /// One line, if nothing has made the tensor.
    pub(super) fn read(&mut self, tensor: &TensorIr) -> Result<String> {
        if let Some(name) = self.names.get(&tensor.id) {
            return Ok(name.clone());
        }
        let Some(value) = self.values.remove(&tensor.id) else {
            bail!("{} is read before anything makes it", tensor.id);
        };
        let path = self.paths.get(&tensor.id).cloned();
        let name = self.free(path.as_deref().unwrap_or("constant"));
        let (kind, bytes) = encode(value)?;
        self.add_initializer(&name, kind, tensor.shape.iter().map(|n| *n as i64).collect(), bytes);
        self.names.insert(tensor.id, name.clone());
        Ok(name)
    }

    /// Makes `tensor` another name of `name`.
    pub(super) fn alias(&mut self, tensor: &TensorIr, name: String) {
        if let Some(wanted) = self.names.get(&tensor.id).cloned() {
            self.push("Identity", vec![name], wanted, Vec::new()); // a graph output keeps its own name
        } else {
            self.names.insert(tensor.id, name);
        }
    }

    /// Makes `out` a copy of the constant `name` in another shape; false if `name` is no constant.
    pub(super) fn reshape_constant(&mut self, name: &str, dims: &[i64], out: &TensorIr) -> bool {
        let Some(constant) = self.initializers.get(name).cloned() else {
            return false;
        };
        let reshaped = self.free(name);
        self.add_initializer(&reshaped, constant.data_type, dims.to_vec(), constant.raw_data);
        self.alias(out, reshaped);
        true
    }

    /// Adds a node that makes `out`.
    pub(super) fn emit(&mut self, op: &str, inputs: Vec<String>, out: &TensorIr, attributes: Vec<AttributeProto>) {
        let name = match self.names.get(&out.id) {
            Some(name) => name.clone(),
            None => {
                let name = self.name_for(op, &inputs);
                self.names.insert(out.id, name.clone());
                name
            }
        };
        self.push(op, inputs, name, attributes);
    }

    /// Adds a node whose result only other new nodes read; gives that result's name.
    pub(super) fn step(&mut self, op: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) -> String {
        let name = self.name_for(op, &inputs);
        self.push(op, inputs, name.clone(), attributes);
        name
    }

    /// Adds a node whose result is the graph output `output`.
    pub(super) fn end(&mut self, op: &str, inputs: Vec<String>, output: &str, attributes: Vec<AttributeProto>) {
        self.taken.insert(output.into());
        self.push(op, inputs, output.into(), attributes);
    }

    fn push(&mut self, op: &str, inputs: Vec<String>, output: String, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input: inputs,
            name: output.clone(),
            output: vec![output],
            op_type: op.into(),
            attribute,
            ..NodeProto::default()
        });
    }

    /// Named after the weights that a node reads; what follows directly gets a suffix, all else its operator and a number.
    fn name_for(&mut self, op: &str, inputs: &[String]) -> String {
        let layer = inputs
            .iter()
            .filter(|i| self.initializers.contains_key(*i))
            .find_map(|i| i.rsplit_once('.'));
        if let Some((layer, _)) = layer {
            return self.free(layer);
        }
        let kind = snake(op);
        let follows = matches!(op, "Relu" | "LeakyRelu" | "Sigmoid" | "HardSigmoid" | "Tanh" | "Softmax");
        match inputs.first() {
            Some(first) if follows && first.contains('.') => self.free(&format!("{first}.{kind}")),
            _ => self.free(&kind),
        }
    }

    /// `base`, with a number behind it if it is taken.
    pub(super) fn free(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    }

    /// A constant list of integers.
    pub(super) fn integers(&mut self, list: &[i64]) -> String {
        let text: Vec<_> = list.iter().map(|n| n.to_string().replace('-', "m")).collect();
        let name = format!("int_{}", text.join("_"));
        if !self.initializers.contains_key(&name) {
            self.taken.insert(name.clone());
            let bytes = list.iter().flat_map(|n| n.to_le_bytes()).collect();
            self.add_initializer(&name, data_type::INT64, vec![list.len() as i64], bytes);
        }
        name
    }

    /// A constant list of floats.
    pub(super) fn floats(&mut self, base: &str, list: &[f32]) -> String {
        let name = self.free(base);
        let bytes = list.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.add_initializer(&name, data_type::FLOAT, vec![list.len() as i64], bytes);
        name
    }

    /// A constant scalar of the element type of `like`.
    pub(super) fn scalar(&mut self, value: f64, like: DType) -> Result<String> {
        let (kind, bytes) = match like {
            DType::F32 => (data_type::FLOAT, (value as f32).to_le_bytes().to_vec()),
            DType::I64 => (data_type::INT64, (value as i64).to_le_bytes().to_vec()),
            DType::I32 => (data_type::INT32, (value as i32).to_le_bytes().to_vec()),
            other => bail!("the exporter writes no constants of type {other:?}"),
        };
        let name = format!("{}_{value}", if kind == data_type::FLOAT { "float" } else { "scalar" });
        let name = name.replace('-', "m").replace('.', "p"); // a dot would look like a path of the module
        let name = if kind == data_type::INT32 { format!("{name}_i32") } else { name };
        if !self.initializers.contains_key(&name) {
            self.taken.insert(name.clone());
            self.add_initializer(&name, kind, Vec::new(), bytes);
        }
        Ok(name)
    }

    fn add_initializer(&mut self, name: &str, kind: i32, dims: Vec<i64>, raw_data: Vec<u8>) {
        let tensor = TensorProto {
            dims,
            data_type: kind,
            name: name.into(),
            raw_data,
            ..TensorProto::default()
        };
        self.initializers.insert(name.into(), tensor);
    }

    /// A shape as a one-dimensional tensor: a constant where all recordings agree, else computed from the inputs' sizes.
    ///
    /// # Errors
    /// One line, if a size does not follow from the inputs' sizes.
    pub(super) fn shape_tensor(&mut self, shape: &[Axis]) -> Result<String> {
        if let Some(sizes) = shape.iter().map(fixed).collect::<Option<Vec<i64>>>() {
            return Ok(self.integers(&sizes));
        }
        if let Some(name) = self.computed.get(shape) {
            return Ok(name.clone());
        }
        let mut parts = Vec::new();
        for axis in shape {
            parts.push(match fixed(axis) {
                Some(size) => self.integers(&[size]),
                None => self.size_of(axis)?,
            });
        }
        let name = if parts.len() == 1 {
            parts.remove(0)
        } else {
            self.step("Concat", parts, vec![int("axis", 0)])
        };
        self.computed.insert(shape.to_vec(), name.clone());
        Ok(name)
    }

    /// One size that depends on an input's size: that size times and divided by constants.
    fn size_of(&mut self, axis: &Axis) -> Result<String> {
        let key = vec![axis.clone()];
        if let Some(name) = self.computed.get(&key) {
            return Ok(name.clone());
        }
        for (id, input) in self.inputs.clone() {
            for (at, source) in self.shape(id).to_vec().into_iter().enumerate() {
                let Some((times, by)) = ratio(axis, &source) else { continue };
                let (start, end) = (at as i64, at as i64 + 1);
                let mut name = self.step("Shape", vec![input.clone()], vec![int("start", start), int("end", end)]);
                for (op, factor) in [("Mul", times), ("Div", by)] {
                    if factor != 1 {
                        let factor = self.integers(&[factor]);
                        name = self.step(op, vec![name, factor], Vec::new());
                    }
                }
                self.computed.insert(key, name.clone());
                return Ok(name);
            }
        }
        bail!(
            "a size of {axis:?} does not follow from a size of the input, so the net cannot be exported with free sizes; export it with a fixed size"
        )
    }
}

/// The size that all recordings agree on.
pub(super) fn fixed(axis: &Axis) -> Option<i64> {
    let first = *axis.first()?;
    axis.iter().all(|n| *n == first).then_some(first as i64)
}

/// `(p, q)` with `axis = source * p / q` in every recording, where both really vary.
pub(super) fn ratio(axis: &Axis, source: &Axis) -> Option<(i64, i64)> {
    if fixed(source).is_some() || axis.len() != source.len() {
        return None;
    }
    let proportional = axis.iter().zip(source).all(|(a, s)| a * source[0] == s * axis[0]);
    let common = gcd(axis[0], source[0]);
    (proportional && common > 0).then(|| ((axis[0] / common) as i64, (source[0] / common) as i64))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `ConvTranspose` to `conv_transpose`.
fn snake(op: &str) -> String {
    let mut name = String::new();
    for (i, c) in op.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn encode(value: TensorData) -> Result<(i32, Vec<u8>)> {
    let kind = match value.dtype() {
        DType::F32 => data_type::FLOAT,
        DType::I64 => data_type::INT64,
        DType::I32 => data_type::INT32,
        DType::U8 => data_type::UINT8,
        DType::Bool(_) => data_type::BOOL,
        other => bail!("the exporter writes no constants of type {other:?}"),
    };
    let bytes = match value.dtype() {
        DType::Bool(_) => value.iter::<bool>().map(u8::from).collect(),
        _ => value.as_bytes().to_vec(), // little-endian, as every machine that burn runs on here
    };
    Ok((kind, bytes))
}

/// The shapes of all tensors of the first recording in every recording.
fn shapes(recordings: &[Recording]) -> Result<HashMap<TensorId, Vec<Axis>>> {
    let first = &recordings[0].graph.operations;
    let mut shapes: HashMap<TensorId, Vec<Axis>> = HashMap::new();
    for (k, other) in recordings.iter().enumerate() {
        let operations = &other.graph.operations;
        let differs = first.iter().zip(operations).find(|(a, b)| without_sizes(a) != without_sizes(b));
        if let Some((a, b)) = differs {
            let (a, b) = (name_of(a), name_of(b));
            bail!("the net does different things at different sizes, first {a} and {b}; export it with a fixed size");
        }
        ensure!(
            first.len() == operations.len(),
            "the net does more at one size than at another; export it with a fixed size"
        );
        for (a, b) in first.iter().zip(operations).flat_map(|(a, b)| a.nodes().into_iter().zip(b.nodes())) {
            let axes = shapes.entry(a.id).or_insert_with(|| vec![Vec::new(); a.shape.num_dims()]);
            for (axis, size) in axes.iter_mut().zip(b.shape.iter()) {
                axis.truncate(k); // a tensor is met at each use
                axis.push(*size);
            }
        }
    }
    Ok(shapes)
}

/// An operation with all that depends on sizes taken out, to be compared with itself at another size.
fn without_sizes(operation: &OperationIr) -> OperationIr {
    struct Blank;
    impl IrVisitorMut for Blank {
        fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
            tensor.id = TensorId::new(0);
            tensor.shape = burn::tensor::Shape::new([]);
            tensor.status = TensorStatus::ReadOnly;
        }

        fn visit_range_mut(&mut self, range: &mut burn::tensor::Slice) {
            *range = burn::tensor::Slice::from(..);
        }
    }
    let mut operation = operation.clone();
    operation.visit_mut(&mut Blank);
    if let OperationIr::Module(burn_ir::ModuleOperationIr::Interpolate(resize)) = &mut operation {
        resize.output_size = [0, 0];
    }
    operation
}

/// An integer attribute.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: value,
        r#type: attribute_type::INT,
        ..AttributeProto::default()
    }
}

/// An attribute that is a list of integers.
pub(super) fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values.into_iter().map(|v| v as i64).collect(),
        r#type: attribute_type::INTS,
        ..AttributeProto::default()
    }
}

/// A float attribute.
pub(super) fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f: value as f32,
        r#type: attribute_type::FLOAT,
        ..AttributeProto::default()
    }
}

/// A text attribute.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        s: value.into(),
        r#type: attribute_type::STRING,
        ..AttributeProto::default()
    }
}
