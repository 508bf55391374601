//! A net's forward pass, written down by burn's `capture` backend instead of being computed.

use anyhow::{Context, Result, anyhow};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_capture::{CaptureBackend, CapturedGraph};
use burn_ir::{GraphIr, TensorId};
use std::collections::{BTreeMap, HashMap};

/// What a module did with inputs of one size.
pub(super) struct Recording {
    /// Operations in order, with the ids of inputs and outputs.
    pub(super) graph: GraphIr,
    /// Weights and other constants.
    pub(super) values: BTreeMap<TensorId, TensorData>,
    /// Where in the module a constant lies, e.g. `encoder.0.first.conv.weight`.
    pub(super) paths: HashMap<TensorId, String>,
}

/// Records `forward` for inputs of these shapes. The module itself is left as it was.
///
/// # Errors
/// One line, if the pass cannot be recorded.
pub(super) fn record<M: Module>(
    module: &M,
    forward: &dyn Fn(&M, Vec<Tensor<4>>) -> Vec<Tensor<4>>,
    inputs: &[[usize; 4]],
) -> Result<Recording> {
    let device = Device::capture();
    let mut paths = Paths::default();
    let captured = device.capture_scope(|scope| {
        // `valid` copies the running statistics, which clones share and which would else move to the capture device
        let module = module.valid().to_device(&device);
        module.visit(&mut paths);
        // an input must come from elsewhere: what is made in the scope is a constant
        let inputs: Vec<_> = inputs
            .iter()
            .map(|s| Tensor::<4>::zeros(*s, &Device::flex()).to_device(&device))
            .collect();
        let ids: Vec<_> = inputs.iter().map(id_of).collect();
        let outputs = forward(&module, inputs);
        scope.complete(ids, outputs.iter().map(id_of))
    });
    let CapturedGraph { graph, values } = captured.map_err(|e| anyhow!("{e}")).context("the net cannot be recorded")?;
    Ok(Recording {
        graph,
        values,
        paths: paths.found,
    })
}

fn id_of<const D: usize>(tensor: &Tensor<D>) -> TensorId {
    let primitive = tensor.clone().try_into_primitive::<CaptureBackend>();
    primitive.expect("the tensor lives on the capture device").id()
}

/// Collects the paths of all parameters.
#[derive(Default)]
struct Paths {
    path: Vec<String>,
    found: HashMap<TensorId, String>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.insert(id_of(&param.val()), self.path.join("."));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let primitive = param.val().try_into_primitive::<CaptureBackend>();
        let id = primitive.expect("the tensor lives on the capture device").id();
        self.found.insert(id, self.path.join("."));
    }
}
