//! How burn's autodiff goes back through the kernels: one recorded step for each operation.

use super::flex::{self, Conv, Kernels, dense, vector};
use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use maskline_kernels::batch_norm::Stats;

/// A tensor that remembers where it came from.
type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn kernel_conv2d(x: Tracked<C>, weight: Tracked<C>, bias: Tracked<C>) -> Tracked<C> {
        convolve::<C>(Conv::Full, x, weight, bias)
    }

    fn kernel_depthwise(x: Tracked<C>, weight: Tracked<C>, bias: Tracked<C>) -> Tracked<C> {
        convolve::<C>(Conv::Depthwise, x, weight, bias)
    }

    fn kernel_up(x: Tracked<C>, weight: Tracked<C>, bias: Tracked<C>) -> Tracked<C> {
        convolve::<C>(Conv::Up, x, weight, bias)
    }

    fn kernel_pool(x: Tracked<C>) -> Tracked<C> {
        let prepared = Pool.prepare::<C>([x.node()]).compute_bound().stateful();
        let dims = x.shape().dims();
        let (y, corner) = flex::max_pool(x.into_primitive());
        match prepared {
            OpsKind::Tracked(step) => step.finish((dims, corner), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }

    fn kernel_smooth(x: Tracked<C>) -> Tracked<C> {
        let prepared = Smooth.prepare::<C>([x.node()]).compute_bound().stateful();
        let y = flex::smoothed(x.into_primitive());
        match prepared {
            OpsKind::Tracked(step) => step.finish((), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }

    fn kernel_batch_norm(
        x: Tracked<C>,
        gamma: Tracked<C>,
        beta: Tracked<C>,
        epsilon: f64,
        relu: bool,
    ) -> (Tracked<C>, Tracked<C>, Tracked<C>) {
        let prepared = Norm { relu }
            .prepare::<C>([x.node(), gamma.node(), beta.node()])
            .compute_bound()
            .stateful();
        let [x, gamma, beta] = [x, gamma, beta].map(|t| dense(t.into_primitive()));
        let (y, stats) = flex::batch_norm(&x, &gamma, &beta, epsilon, relu);
        let untracked = |values: &Vec<f32>| Tracked::<C>::new(vector(values.clone()));
        let (mean, variance) = (untracked(&stats.mean), untracked(&stats.variance));
        let y = match prepared {
            OpsKind::Tracked(step) => step.finish((x, gamma, beta, stats), y),
            OpsKind::UnTracked(step) => step.finish(y),
        };
        (y, mean, variance)
    }

    fn kernel_add_relu(a: Tracked<C>, b: Tracked<C>) -> Tracked<C> {
        let prepared = AddRelu.prepare::<C>([a.node(), b.node()]).compute_bound().stateful();
        let y = flex::add_relu(a.into_primitive(), b.into_primitive());
        match prepared {
            OpsKind::Tracked(step) => step.finish(y.clone(), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }

    fn kernel_cross_entropy(logits: Tracked<C>, labels: FlexTensor, class_weights: Tracked<C>, ignore: Option<u8>) -> Tracked<C> {
        let prepared = Entropy.prepare::<C>([logits.node()]).compute_bound().stateful();
        let class_weights = class_weights.into_primitive();
        let (loss, gradient) = flex::cross_entropy(logits.into_primitive(), labels, class_weights, ignore);
        match prepared {
            OpsKind::Tracked(step) => step.finish(gradient, loss),
            OpsKind::UnTracked(step) => step.finish(loss),
        }
    }
}

/// Runs and records a convolution.
fn convolve<C: CheckpointStrategy>(conv: Conv, x: Tracked<C>, weight: Tracked<C>, bias: Tracked<C>) -> Tracked<C> {
    let nodes = [x.node(), weight.node(), bias.node()];
    let prepared = Convolution { conv }.prepare::<C>(nodes).compute_bound().stateful();
    let [x, weight, bias] = [x, weight, bias].map(|t| dense(t.into_primitive()));
    let y = conv.forward(&x, &weight, &bias);
    match prepared {
        OpsKind::Tracked(step) => step.finish((x, weight), y),
        OpsKind::UnTracked(step) => step.finish(y),
    }
}

#[derive(Debug)]
struct Convolution {
    conv: Conv,
}

impl Backward<Flex, 3> for Convolution {
    /// Input and weights.
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = dense(grads.consume::<Flex>(&ops.node));
        let (x, weight) = ops.state;
        let [of_x, of_weight, of_bias] = ops.parents;
        if let Some(node) = of_x {
            grads.register::<Flex>(node.id, self.conv.input_gradient(&x, &weight, &dy));
        }
        if let Some(node) = of_weight {
            grads.register::<Flex>(node.id, self.conv.weight_gradient(&x, &weight, &dy));
        }
        if let Some(node) = of_bias {
            grads.register::<Flex>(node.id, flex::bias_gradient(&dy));
        }
    }
}

#[derive(Debug)]
struct Pool;

impl Backward<Flex, 1> for Pool {
    /// Shape of the input, and the corner that each maximum came from.
    type State = ([usize; 4], Vec<u8>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node);
        let (dims, corner) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<Flex>(node.id, flex::max_pool_gradient(dims, &corner, dy));
        }
    }
}

#[derive(Debug)]
struct Smooth;

impl Backward<Flex, 1> for Smooth {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<Flex>(node.id, flex::smoothed(dy));
        }
    }
}

#[derive(Debug)]
struct Norm {
    relu: bool,
}

impl Backward<Flex, 3> for Norm {
    /// Input, scale, offset, and the statistics of the batch.
    type State = (FlexTensor, FlexTensor, FlexTensor, Stats);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = dense(grads.consume::<Flex>(&ops.node));
        let (x, gamma, beta, stats) = ops.state;
        let (dx, parameters) = flex::batch_norm_gradient(&x, &gamma, &beta, &stats, self.relu, &dy);
        let gradients = [dx, vector(parameters.gamma), vector(parameters.beta)];
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct AddRelu;

impl Backward<Flex, 2> for AddRelu {
    /// The rectified sum.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = dense(grads.consume::<Flex>(&ops.node));
        let dx = flex::add_relu_gradient(&ops.state, &dy);
        for node in ops.parents.into_iter().flatten() {
            grads.register::<Flex>(node.id, dx.clone());
        }
    }
}

#[derive(Debug)]
struct Entropy;

impl Backward<Flex, 1> for Entropy {
    /// The gradient of the logits if that of the loss is 1.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_loss = grads.consume::<Flex>(&ops.node);
        let gradient = ops.state;
        if let [Some(node)] = ops.parents {
            let factor = Flex::float_reshape(d_loss, [1, 1, 1, 1].into());
            grads.register::<Flex>(node.id, Flex::float_mul(gradient, factor));
        }
    }
}
