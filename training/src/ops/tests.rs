//! The kernels and burn's own operations give the same values and the same gradients. Where the CPU has no kernels, both sides are
//! burn's and the tests say nothing.

use super::*;
use burn::tensor::{Device, Distribution, TensorData};

fn device() -> Device {
    Device::flex().autodiff()
}

/// Normally distributed numbers that carry gradients.
fn leaf<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(dims, Distribution::Normal(0.0, 1.0), device).require_grad()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32 tensors are asked for")
}

#[track_caller]
fn assert_close(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!((f - w).abs() <= 1e-5 * scale, "{what}: element {i} is {f}, burn's own says {w}");
    }
}

/// Values of `f` and gradients of its inputs, if the gradient of the output is a fixed pattern.
fn run(inputs: (&Tensor<4>, &Tensor<4>, &Tensor<1>), f: impl Fn(Tensor<4>, Tensor<4>, Tensor<1>) -> Tensor<4>) -> [Vec<f32>; 4] {
    let (x, w, b) = inputs;
    let y = f(x.clone(), w.clone(), b.clone());
    let pattern: Vec<f32> = (0..y.shape().num_elements())
        .map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0)
        .collect();
    let dy = Tensor::from_data(TensorData::new(pattern, y.shape()), &y.device());
    let grads = (y.clone() * dy).sum().backward();
    let of = |grad: Option<Vec<f32>>| grad.expect("every input carries gradients");
    [
        values(y),
        of(x.grad(&grads).map(values)),
        of(w.grad(&grads).map(values)),
        of(b.grad(&grads).map(values)),
    ]
}

#[track_caller]
fn compare(
    x: [usize; 4],
    w: [usize; 4],
    b: usize,
    ours: impl Fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>) -> Tensor<4>,
    stock: impl Fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>) -> Tensor<4>,
) {
    let device = device();
    let (x, w, b) = (leaf(x, &device), leaf(w, &device), leaf([b], &device));
    let found = run((&x, &w, &b), |x, w, b| ours(x, w, Some(b)));
    let wanted = run((&x, &w, &b), |x, w, b| stock(x, w, Some(b)));
    for (name, (found, wanted)) in ["y", "dx", "dw", "db"].iter().zip(found.iter().zip(&wanted)) {
        assert_close(found, wanted, name);
    }
    let free = ours(x.clone(), w.clone(), None);
    assert_close(&values(free), &values(stock(x, w, None)), "y without bias");
}

#[test]
fn convolutions_agree_with_burn() {
    compare([2, 5, 7, 9], [11, 5, 3, 3], 11, conv2d, stock::conv2d);
    compare([2, 17, 6, 4], [3, 17, 1, 1], 3, conv2d, stock::conv2d);
    compare([2, 5, 7, 9], [5, 1, 3, 3], 5, depthwise_conv2d, stock::depthwise_conv2d);
    compare([2, 5, 3, 7], [5, 9, 2, 2], 9, conv_transpose2x2, stock::conv_transpose2x2);
}

#[test]
fn a_transposed_view_is_read_in_its_own_order() {
    let device = device();
    let (x, w) = (leaf([2, 9, 7, 5], &device), leaf([4, 5, 3, 3], &device));
    let turned = x.swap_dims(1, 3); // [2, 5, 7, 9], strided
    assert_close(
        &values(conv2d(turned.clone(), w.clone(), None)),
        &values(stock::conv2d(turned, w, None)),
        "y",
    );
}

#[test]
fn batch_norm_with_and_without_relu_agrees_with_burn() {
    let device = device();
    let (x, gamma, beta) = (leaf([3, 4, 5, 7], &device), leaf([4], &device), leaf([4], &device));
    type Norm = fn(Tensor<4>, Tensor<1>, Tensor<1>, f64, bool) -> (Tensor<4>, Tensor<1>, Tensor<1>);
    let run = |f: Norm, relu| {
        let (y, mean, variance) = f(x.clone(), gamma.clone(), beta.clone(), 1e-5, relu);
        let grads = (y.clone() * x.clone().detach().sin()).sum().backward();
        let of_x = x.grad(&grads).expect("x carries gradients");
        let of_gamma = gamma.grad(&grads).expect("gamma carries gradients");
        let of_beta = beta.grad(&grads).expect("beta carries gradients");
        [
            values(y),
            values(mean),
            values(variance),
            values(of_x),
            values(of_gamma),
            values(of_beta),
        ]
    };
    for relu in [false, true] {
        let (found, wanted) = (run(batch_norm, relu), run(stock::batch_norm, relu));
        for (name, (found, wanted)) in ["y", "mean", "variance", "dx", "dgamma", "dbeta"]
            .iter()
            .zip(found.iter().zip(&wanted))
        {
            assert_close(found, wanted, name);
        }
    }
}

#[test]
fn a_rectified_sum_agrees_with_burn() {
    let device = device();
    let (a, b) = (leaf([2, 3, 5, 7], &device), leaf([2, 7, 5, 3], &device));
    let run = |f: fn(Tensor<4>, Tensor<4>) -> Tensor<4>| {
        let y = f(a.clone(), b.clone().swap_dims(1, 3)); // one of them strided
        let grads = (y.clone() * a.clone().detach().sin()).sum().backward();
        let of_a = a.grad(&grads).expect("a carries gradients");
        let of_b = b.grad(&grads).expect("b carries gradients");
        [values(y), values(of_a), values(of_b)]
    };
    assert_eq!(run(add_relu), run(stock::add_relu));
}

#[test]
fn pooling_agrees_with_burn() {
    let device = device();
    for dims in [[2, 3, 8, 10], [1, 2, 7, 5]] {
        let x = leaf(dims, &device);
        let run = |f: fn(Tensor<4>) -> Tensor<4>| {
            let y = f(x.clone());
            let grads = (y.clone() * y.clone()).sum().backward();
            [values(y), values(x.grad(&grads).expect("x carries gradients"))]
        };
        assert_eq!(run(max_pool2x2), run(stock::max_pool2x2));
    }
}

#[test]
fn smoothing_agrees_with_burn() {
    let device = device();
    for dims in [[2, 3, 8, 20], [1, 2, 1, 5], [1, 1, 7, 1]] {
        let x = leaf(dims, &device);
        let run = |f: fn(Tensor<4>) -> Tensor<4>| {
            let y = f(x.clone());
            let grads = (y.clone() * y.clone() * y.clone()).sum().backward();
            [values(y), values(x.grad(&grads).expect("x carries gradients"))]
        };
        let (found, wanted) = (run(smooth), run(stock::smooth));
        assert_close(&found[0], &wanted[0], "y");
        assert_close(&found[1], &wanted[1], "dx");
    }
}

#[test]
fn cross_entropy_agrees_with_burn() {
    let device = device();
    let logits = leaf([2, 5, 6, 7], &device);
    let ids: Vec<i64> = (0..84).map(|i| [0, 4, 2, 255, 1, 3, 4][i * 5 % 7]).collect();
    let labels = Tensor::<3, Int>::from_data(TensorData::new(ids, [2, 6, 7]), &device);
    let weights = Tensor::<1>::from_data([0.5, 2.0, 1.0, 0.1, 3.0], &device);
    for weights in [Some(weights), None] {
        let run = |f: fn(Tensor<4>, Tensor<3, Int>, Option<Tensor<1>>, Option<u8>) -> Tensor<1>| {
            let loss = f(logits.clone(), labels.clone(), weights.clone(), Some(255));
            let grads = (loss.clone() * 3.0).backward();
            [values(loss), values(logits.grad(&grads).expect("logits carry gradients"))]
        };
        let (found, wanted) = (run(cross_entropy), run(stock::cross_entropy));
        assert_close(&found[0], &wanted[0], "loss");
        assert_close(&found[1], &wanted[1], "dlogits");
    }
}

#[test]
fn without_autodiff_the_same_operations_only_compute() {
    let device = Device::flex();
    let (x, w) = (Tensor::<4>::ones([1, 3, 8, 8], &device), Tensor::<4>::ones([4, 3, 3, 3], &device));
    let y = max_pool2x2(conv2d(x.clone(), w.clone(), None));
    assert_close(&values(y), &values(stock::max_pool2x2(stock::conv2d(x, w, None))), "y");
}

#[test]
fn a_recorded_graph_holds_only_burns_own_operations() {
    let device = Device::capture();
    let captured = device.capture_scope(|scope| {
        let x = Tensor::<4>::ones([1, 3, 8, 8], &device);
        let y = max_pool2x2(conv2d(x.clone(), Tensor::ones([4, 3, 3, 3], &device), None)); // would panic in a kernel
        assert!(!has_kernels(&x) && !has_kernels(&y));
        scope.complete([], [])
    });
    assert!(captured.is_ok());
}

#[test]
fn bf16_is_near_floats_in_both_directions_and_only_while_it_is_held() {
    let device = device();
    if Precision::Bf16.check(&device).is_err() {
        return;
    }
    let (x, w, b) = (leaf([2, 6, 9, 11], &device), leaf([4, 6, 3, 3], &device), leaf([4], &device));
    let of = || run((&x, &w, &b), |x, w, b| conv2d(x, w, Some(b)));
    let floats = of();
    let held = Precision::Bf16.hold();
    let near = of();
    drop(held);
    for (what, (near, floats)) in ["y", "dx", "dw"].iter().zip(near.iter().zip(&floats)) {
        assert_ne!(near, floats, "{what}");
        let scale = floats.iter().fold(0f32, |m, x| m.max(x.abs()));
        let far = near.iter().zip(floats).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(far < 0.01 * scale, "{what}: {far} of {scale}");
    }
    assert_eq!(of(), floats);
}
