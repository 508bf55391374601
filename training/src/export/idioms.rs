//! Groups of operations that ONNX has one operator for.

use super::graph::{Graph, int};
use anyhow::Result;
use burn_ir::{BaseOperationIr as Base, OperationIr, PermuteOpIr, ShapeOpIr};

/// Looks for a known group at the start of `operations`, of which `uses` tells whether a tensor is read just once. Adds its
/// node and gives the number of operations that it covers; 0 where there is none.
///
/// # Errors
/// As [`super::table::translate`].
pub(super) fn translate(operations: &[OperationIr], read_once: impl Fn(&burn_ir::TensorIr) -> bool, g: &mut Graph) -> Result<usize> {
    let [
        OperationIr::BaseFloat(Base::Reshape(split)),
        OperationIr::BaseFloat(Base::Permute(order)),
        OperationIr::BaseFloat(Base::Reshape(join)),
        ..,
    ] = operations
    else {
        return Ok(0);
    };
    let chained = order.input.id == split.out.id && join.input.id == order.out.id && read_once(&split.out) && read_once(&order.out);
    let Some(block) = space_to_depth(split, order, join).filter(|_| chained) else {
        return Ok(0);
    };
    let input = g.read(&split.input)?;
    g.emit("SpaceToDepth", vec![input], &join.out, vec![int("blocksize", block as i64)]);
    Ok(3)
}

/// The block size, if `[n, c, h, w]` is split into `[n, c, h/s, s, w/s, s]`, ordered as `[n, s, s, c, h/s, w/s]` and joined to
/// `[n, s s c, h/s, w/s]`.
fn space_to_depth(split: &ShapeOpIr, order: &PermuteOpIr, join: &ShapeOpIr) -> Option<usize> {
    let (from, to): (Vec<usize>, Vec<usize>) = (
        split.input.shape.iter().copied().collect(),
        join.out.shape.iter().copied().collect(),
    );
    let &[n, c, h, w] = from.as_slice() else { return None };
    let &[_, _, rows, _] = to.as_slice() else { return None };
    let s = h.checked_div(rows)?;
    let parts: Vec<usize> = split.out.shape.iter().copied().collect();
    let fits = s > 1
        && order.axes == [0, 3, 5, 1, 2, 4]
        && h.is_multiple_of(s)
        && w.is_multiple_of(s)
        && parts == [n, c, h / s, s, w / s, s]
        && to == [n, s * s * c, h / s, w / s];
    fits.then_some(s)
}
