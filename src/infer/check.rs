//! Contract against graph: element types, shapes and the number of classes, before the first frame.

use anyhow::{Result, bail, ensure};
use maskline_models::contract::{Contract, Layout, OutputKind, State};
use maskline_models::{Fit, Head};
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

/// Values of one state at most. Far more than any net remembers, far less than what takes a machine down.
const STATE_VALUES: i64 = 1 << 28;

/// Compares what the contract says with what the session has.
///
/// # Errors
/// One line: what the graph has and what the contract says.
pub(super) fn check_graph(session: &Session, contract: &Contract, head: &Head, fit: &Fit) -> Result<()> {
    let known = |name: &str| name == contract.input.tensor || contract.states.iter().any(|s| s.input == name);
    if let Some(other) = session.inputs().iter().find(|i| !known(i.name())) {
        bail!(
            "the graph needs the input {:?} as well, which the contract does not name",
            other.name()
        );
    }
    let input = find(session.inputs(), &contract.input.tensor)?;
    let shape = tensor(input, &[TensorElementType::Float32], "an input of f32")?;
    let (h, w) = (i64::from(fit.height), i64::from(fit.width));
    let wanted = match contract.input.layout {
        Layout::Nchw => [1, 3, h, w],
        Layout::Nhwc => [1, h, w, 3],
    };
    ensure!(
        fits(shape, &wanted),
        "the graph's input {:?} is {}, the contract and the frame's size make it {}",
        input.name(),
        show(shape),
        show(&wanted)
    );
    let output = find(session.outputs(), &head.tensor)?;
    let classes = head.scored().count() as i64;
    match head.kind {
        OutputKind::Logits | OutputKind::Probabilities => {
            let shape = tensor(output, &[TensorElementType::Float32], "scores of f32")?;
            let wanted = match head.layout {
                Layout::Nchw => [1, classes, -1, -1],
                Layout::Nhwc => [1, -1, -1, classes],
            };
            ensure!(
                fits(shape, &wanted),
                "the graph's output {:?} is {}, the contract's {classes} classes in {:?} make it {}",
                output.name(),
                show(shape),
                head.layout,
                show(&wanted)
            );
        }
        OutputKind::ClassIds => {
            let ids = [TensorElementType::Uint8, TensorElementType::Int32, TensorElementType::Int64];
            let shape = tensor(output, &ids, "class ids of u8, i32 or i64")?;
            let wanted: &[i64] = match (shape.len(), head.layout) {
                (3, _) => &[1, -1, -1],
                (_, Layout::Nchw) => &[1, 1, -1, -1],
                (_, Layout::Nhwc) => &[1, -1, -1, 1],
            };
            ensure!(
                fits(shape, wanted),
                "the graph's output {:?} is {}, class ids would be {}",
                output.name(),
                show(shape),
                show(wanted)
            );
        }
    }
    for state in &contract.states {
        let shape = state_shape(session, state, fit)?;
        let values = shape.iter().try_fold(1_i64, |product, n| product.checked_mul(*n));
        ensure!(
            values.is_some_and(|n| n <= STATE_VALUES),
            "the state {:?} is {}, wanted at most {STATE_VALUES} values (1 GiB): its shape is probably not what the net means",
            state.input,
            show(&shape)
        );
    }
    Ok(())
}

/// Axis sizes of a state for frames of this geometry: those of its grid, or the ones that the graph states.
///
/// # Errors
/// One line, if contract and graph disagree, or neither says how large it is.
pub(super) fn state_shape(session: &Session, state: &State, fit: &Fit) -> Result<Vec<i64>> {
    let floats = [TensorElementType::Float32];
    let input = tensor(find(session.inputs(), &state.input)?, &floats, "a state of f32")?;
    let output = tensor(find(session.outputs(), &state.output)?, &floats, "a state of f32")?;
    let Some(grid) = state.grid else {
        ensure!(
            input.iter().all(|n| *n > 0),
            "the state {:?} is {}, wanted a fixed size: export the net for one frame size, or give the state a grid in the contract",
            state.input,
            show(input)
        );
        return Ok(input.to_vec());
    };
    let wanted = grid.shape(fit.width, fit.height).map(|n| n as i64);
    for (name, shape) in [(&state.input, input), (&state.output, output)] {
        ensure!(
            fits(shape, &wanted),
            "the graph's state {name:?} is {}, the contract and the frame's size make it {}",
            show(shape),
            show(&wanted)
        );
    }
    Ok(wanted.to_vec())
}

fn find<'a>(outlets: &'a [Outlet], name: &str) -> Result<&'a Outlet> {
    outlets.iter().find(|o| o.name() == name).ok_or_else(|| {
        let names: Vec<_> = outlets.iter().map(Outlet::name).collect();
        anyhow::anyhow!("the contract names the tensor {name:?}, the graph has {}", names.join(", "))
    })
}

fn tensor<'a>(outlet: &'a Outlet, types: &[TensorElementType], wanted: &str) -> Result<&'a [i64]> {
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } if types.contains(ty) => Ok(shape),
        ValueType::Tensor { ty, .. } => bail!("the graph's {:?} has elements of {ty}, wanted {wanted}", outlet.name()),
        other => bail!("the graph's {:?} is {other}, wanted {wanted}", outlet.name()),
    }
}

/// Whether every axis is free on one side or the same on both.
fn fits(shape: &[i64], wanted: &[i64]) -> bool {
    shape.len() == wanted.len() && shape.iter().zip(wanted).all(|(a, b)| *a < 0 || *b < 0 || a == b)
}

fn show(shape: &[i64]) -> String {
    let axes: Vec<_> = shape.iter().map(|n| if *n < 0 { "?".into() } else { n.to_string() }).collect();
    format!("[{}]", axes.join(", "))
}
