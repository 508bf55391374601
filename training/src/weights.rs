//! A net's tensors by name: their moving average, and moving them from one net into another.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeMap;

/// The values of all tensors of a net (parameters and running statistics) by their path, on its device.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor<1>>, // flattened
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Weights {
    /// Copies a net's tensors. Call it on a net without autodiff (`net.valid()`): its running statistics are up to date.
    pub fn of<M: Module>(net: &M) -> Self {
        let mut collect = Collect::default();
        net.visit(&mut collect);
        collect.weights
    }

    /// Tensors of these shapes and numbers, by their paths.
    ///
    /// # Panics
    /// If a tensor's numbers are not as many as its shape says.
    pub fn from_values(values: BTreeMap<String, (Vec<usize>, Vec<f32>)>, device: &Device) -> Self {
        let mut weights = Self::default();
        for (path, (shape, numbers)) in values {
            assert_eq!(shape.iter().product::<usize>(), numbers.len(), "{path}");
            let count = numbers.len();
            weights.shapes.insert(path.clone(), shape);
            weights
                .tensors
                .insert(path, Tensor::from_data(TensorData::new(numbers, [count]), device));
        }
        weights
    }

    /// Whether every value is a number.
    pub fn are_finite(&self) -> bool {
        let finite = |tensor: &Tensor<1>| tensor.clone().into_data().iter::<f32>().all(|value| value.is_finite());
        self.tensors.values().all(finite)
    }

    /// The shape of the tensor with that path.
    pub fn shape(&self, path: &str) -> Option<&[usize]> {
        self.shapes.get(path).map(Vec::as_slice)
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The numbers of every tensor by its path, in row-major order.
    pub fn values(&self) -> BTreeMap<String, Vec<f32>> {
        let numbers = |tensor: &Tensor<1>| tensor.clone().into_data().try_into_vec::<f32>().unwrap_or_default();
        self.tensors.iter().map(|(path, tensor)| (path.clone(), numbers(tensor))).collect()
    }

    /// Moves every tensor towards that of `newer`: `self = decay * self + (1 - decay) * newer`. One that is equal stays so, bit for
    /// bit, which a sum of two shares would not give.
    pub fn average(&mut self, newer: Self, decay: f32) {
        for (path, new) in newer.tensors {
            let mixed = match self.tensors.remove(&path) {
                Some(old) => (new - old.clone()).mul_scalar(1.0 - decay) + old,
                None => new,
            };
            self.tensors.insert(path.clone(), mixed);
        }
        self.shapes = newer.shapes;
    }

    /// The net with every tensor replaced whose path and shape agree, and how many did.
    pub fn put_into<M: Module>(&self, net: M) -> (M, usize) {
        let mut put = Put {
            weights: self,
            path: Vec::new(),
            taken: 0,
        };
        let net = net.map(&mut put);
        (net, put.taken)
    }
}

#[derive(Default)]
struct Collect {
    weights: Weights,
    path: Vec<String>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        let value = param.val().without_autodiff();
        self.weights.shapes.insert(path.clone(), value.dims().to_vec());
        let count: usize = value.dims().iter().product();
        self.weights.tensors.insert(path, value.reshape([count]));
    }
}

struct Put<'a> {
    weights: &'a Weights,
    path: Vec<String>,
    taken: usize,
}

impl ModuleMapper for Put<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let (Some(flat), Some(shape)) = (self.weights.tensors.get(&path), self.weights.shapes.get(&path)) else {
            return param;
        };
        let (id, old, mapper) = param.consume();
        if *shape != old.dims().to_vec() {
            return Param::from_mapped_value(id, old, mapper);
        }
        self.taken += 1;
        let mut new: Tensor<D> = flat.clone().to_device(&old.device().inner()).reshape(old.dims());
        if old.is_autodiff() {
            new = Tensor::from_inner(new).set_require_grad(old.is_require_grad());
        }
        Param::from_mapped_value(id, new, mapper)
    }
}
