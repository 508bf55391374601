//! The table from burn's operations to ONNX operators (opset 17).
//!
//! One arm an operation; whatever has no arm is refused by name.

use super::graph::{Graph, fixed, float, int, ints, text};
use anyhow::{Result, bail, ensure};
use burn_ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, BinaryOpIr, BoolOperationIr as Bool, CastOpIr, FloatOperationIr as Float,
    IntOperationIr as Int, NumericOperationIr as Numeric, OperationIr, ReduceDimOpIr, ReduceOpIr, ScalarOpIr, ShapeOpIr, TensorIr,
    UnaryOpIr,
};
use maskline_models::onnx::{AttributeProto, data_type};

/// Adds the ONNX nodes for one operation; `operations` are the same one in every recording.
///
/// # Errors
/// One line that names the operation, if the table has no arm for it.
pub(super) fn translate(operations: &[&OperationIr], g: &mut Graph) -> Result<()> {
    match operations[0] {
        OperationIr::Init(_) | OperationIr::Drop(_) => Ok(()), // constants and the end of a tensor's life
        OperationIr::BaseFloat(op) | OperationIr::BaseInt(op) | OperationIr::BaseBool(op) => base(op, operations, g),
        OperationIr::NumericFloat(_, op) | OperationIr::NumericInt(_, op) => numeric(op, operations[0], g),
        OperationIr::Float(_, op) => float_only(op, operations[0], g),
        OperationIr::Int(Int::IntoFloat(op)) | OperationIr::Bool(Bool::IntoFloat(op) | Bool::IntoInt(op)) => cast(op, g),
        OperationIr::Bool(Bool::Not(op)) => unary("Not", op, g),
        OperationIr::Bool(Bool::And(op)) => binary("And", op, g),
        OperationIr::Bool(Bool::Or(op)) => binary("Or", op, g),
        OperationIr::Bool(Bool::Xor(op)) => binary("Xor", op, g),
        OperationIr::Activation(op) => activation(op, operations[0], g),
        OperationIr::Module(op) => super::layers::translate(op, operations[0], g),
        _ => unknown(operations[0]),
    }
}

/// Refuses an operation by name.
pub(super) fn unknown(operation: &OperationIr) -> Result<()> {
    bail!(
        "the exporter has no ONNX operator for burn's operation {}; write an arm for it in the export table, or build the net without it",
        name_of(operation)
    )
}

/// What burn calls the operation, e.g. `CumSum`.
pub(super) fn name_of(operation: &OperationIr) -> String {
    let text = match operation {
        OperationIr::Custom(op) => return op.id.clone(),
        other => format!("{other:?}"),
    };
    // `NumericFloat(F32, CumSum(DimOpIr { ..`: up to the struct's name
    let end = text.find(" {").map_or(text.len(), |at| text[..at].rfind('(').unwrap_or(at));
    text[..end]
        .rsplit([' ', '('])
        .next()
        .unwrap_or_default()
        .trim_end_matches(')')
        .to_owned()
}

fn base(op: &Base, operations: &[&OperationIr], g: &mut Graph) -> Result<()> {
    match op {
        Base::Reshape(op) => return reshape(op, g),
        Base::Expand(op) => {
            let (input, shape) = (g.read(&op.input)?, g.shape(op.out.id).to_vec());
            let shape = g.shape_tensor(&shape)?;
            g.emit("Expand", vec![input, shape], &op.out, Vec::new());
        }
        Base::SwapDims(op) => {
            let mut axes: Vec<_> = (0..op.input.shape.num_dims()).collect();
            axes.swap(op.dim1, op.dim2);
            let input = g.read(&op.input)?;
            g.emit("Transpose", vec![input], &op.out, vec![ints("perm", axes)]);
        }
        Base::Permute(op) => {
            let input = g.read(&op.input)?;
            g.emit("Transpose", vec![input], &op.out, vec![ints("perm", op.axes.iter().copied())]);
        }
        Base::Flip(op) => {
            let axes: Vec<_> = op.axes.iter().map(|a| *a as i64).collect();
            let each = |value: i64| vec![value; axes.len()];
            let lists = [each(-1), each(i64::MIN), axes.clone(), each(-1)];
            let mut inputs = vec![g.read(&op.input)?];
            inputs.extend(lists.iter().map(|l| g.integers(l)));
            g.emit("Slice", inputs, &op.out, Vec::new());
        }
        Base::Slice(_) => return slice(operations, g),
        Base::Select(op) => {
            let inputs = vec![g.read(&op.tensor)?, g.read(&op.indices)?];
            g.emit("Gather", inputs, &op.out, vec![int("axis", op.dim as i64)]);
        }
        Base::Gather(op) => {
            let inputs = vec![g.read(&op.tensor)?, g.read(&op.indices)?];
            g.emit("GatherElements", inputs, &op.out, vec![int("axis", op.dim as i64)]);
        }
        Base::MaskWhere(op) => {
            let inputs = vec![g.read(&op.mask)?, g.read(&op.value)?, g.read(&op.tensor)?];
            g.emit("Where", inputs, &op.out, Vec::new());
        }
        Base::MaskFill(op) => {
            let value = g.scalar(op.value.elem(), op.tensor.dtype)?;
            let inputs = vec![g.read(&op.mask)?, value, g.read(&op.tensor)?];
            g.emit("Where", inputs, &op.out, Vec::new());
        }
        Base::Equal(op) => return binary("Equal", op, g),
        Base::EqualElem(op) => return with_scalar("Equal", op, g),
        Base::NotEqual(op) => {
            let inputs = vec![g.read(&op.lhs)?, g.read(&op.rhs)?];
            let equal = g.step("Equal", inputs, Vec::new());
            g.emit("Not", vec![equal], &op.out, Vec::new());
        }
        Base::NotEqualElem(op) => {
            let inputs = vec![g.read(&op.lhs)?, g.scalar(op.rhs.elem(), op.lhs.dtype)?];
            let equal = g.step("Equal", inputs, Vec::new());
            g.emit("Not", vec![equal], &op.out, Vec::new());
        }
        Base::RepeatDim(op) => {
            let mut repeats = vec![1; op.tensor.shape.num_dims()];
            repeats[op.dim] = op.times as i64;
            let inputs = vec![g.read(&op.tensor)?, g.integers(&repeats)];
            g.emit("Tile", inputs, &op.out, Vec::new());
        }
        Base::Cat(op) => {
            let inputs = op.tensors.iter().map(|t| g.read(t)).collect::<Result<Vec<_>>>()?;
            g.emit("Concat", inputs, &op.out, vec![int("axis", op.dim as i64)]);
        }
        Base::Cast(op) => return cast(op, g),
        Base::Ones(op) => return filled(1.0, &op.out, g),
        Base::Zeros(op) | Base::Empty(op) => return filled(0.0, &op.out, g),
        _ => return unknown(operations[0]),
    }
    Ok(())
}

fn numeric(op: &Numeric, operation: &OperationIr, g: &mut Graph) -> Result<()> {
    match op {
        Numeric::Add(op) => binary("Add", op, g),
        Numeric::AddScalar(op) => with_scalar("Add", op, g),
        Numeric::Sub(op) => binary("Sub", op, g),
        Numeric::SubScalar(op) => with_scalar("Sub", op, g),
        Numeric::Mul(op) => binary("Mul", op, g),
        Numeric::MulScalar(op) => with_scalar("Mul", op, g),
        Numeric::Div(op) => binary("Div", op, g),
        Numeric::DivScalar(op) => with_scalar("Div", op, g),
        Numeric::Powi(op) => binary("Pow", op, g),
        Numeric::PowiScalar(op) => with_scalar("Pow", op, g),
        Numeric::Abs(op) => unary("Abs", op, g),
        Numeric::Neg(op) => unary("Neg", op, g),
        Numeric::Sign(op) => unary("Sign", op, g),
        Numeric::Full(op) => filled(op.value.elem(), &op.out, g),
        Numeric::Sum(op) => reduce_all("ReduceSum", op, g),
        Numeric::Mean(op) => reduce_all("ReduceMean", op, g),
        Numeric::Max(op) => reduce_all("ReduceMax", op, g),
        Numeric::Min(op) => reduce_all("ReduceMin", op, g),
        Numeric::MeanDim(op) => reduce("ReduceMean", op, g),
        Numeric::MaxDim(op) => reduce("ReduceMax", op, g),
        Numeric::MinDim(op) => reduce("ReduceMin", op, g),
        Numeric::ProdDim(op) => reduce("ReduceProd", op, g),
        Numeric::SumDim(op) => sum(&op.input, &[op.axis], &op.out, g), // its axes became an input before those of the others
        Numeric::SumDims(op) => sum(&op.input, &op.axes, &op.out, g),
        Numeric::ArgMax(op) => arg("ArgMax", op, g),
        Numeric::ArgMin(op) => arg("ArgMin", op, g),
        Numeric::Greater(op) => binary("Greater", op, g),
        Numeric::GreaterElem(op) => with_scalar("Greater", op, g),
        Numeric::GreaterEqual(op) => binary("GreaterOrEqual", op, g),
        Numeric::GreaterEqualElem(op) => with_scalar("GreaterOrEqual", op, g),
        Numeric::Lower(op) => binary("Less", op, g),
        Numeric::LowerElem(op) => with_scalar("Less", op, g),
        Numeric::LowerEqual(op) => binary("LessOrEqual", op, g),
        Numeric::LowerEqualElem(op) => with_scalar("LessOrEqual", op, g),
        Numeric::ClampMin(op) => with_scalar("Max", op, g),
        Numeric::ClampMax(op) => with_scalar("Min", op, g),
        Numeric::Clamp(op) => {
            let inputs = vec![
                g.read(&op.tensor)?,
                g.scalar(op.min.elem(), op.tensor.dtype)?,
                g.scalar(op.max.elem(), op.tensor.dtype)?,
            ];
            g.emit("Clip", inputs, &op.out, Vec::new());
            Ok(())
        }
        Numeric::Pad(op) => {
            let (mode, value) = match op.mode {
                burn_ir::PadModeIr::Constant(value) => ("constant", value.elem::<f64>()),
                burn_ir::PadModeIr::Reflect => ("reflect", 0.0),
                burn_ir::PadModeIr::Edge => ("edge", 0.0),
            };
            let pads: Vec<_> = op.padding.iter().map(|p| p.0).chain(op.padding.iter().map(|p| p.1)).collect();
            let pads: Vec<_> = pads.into_iter().map(|p| p as i64).collect();
            let inputs = vec![g.read(&op.input)?, g.integers(&pads), g.scalar(value, op.input.dtype)?];
            g.emit("Pad", inputs, &op.out, vec![text("mode", mode)]);
            Ok(())
        }
        _ => unknown(operation),
    }
}

fn float_only(op: &Float, operation: &OperationIr, g: &mut Graph) -> Result<()> {
    match op {
        Float::Exp(op) => unary("Exp", op, g),
        Float::Log(op) => unary("Log", op, g),
        Float::Erf(op) => unary("Erf", op, g),
        Float::Sqrt(op) => unary("Sqrt", op, g),
        Float::Cos(op) => unary("Cos", op, g),
        Float::Sin(op) => unary("Sin", op, g),
        Float::Tanh(op) => unary("Tanh", op, g),
        Float::Round(op) => unary("Round", op, g),
        Float::Floor(op) => unary("Floor", op, g),
        Float::Ceil(op) => unary("Ceil", op, g),
        Float::Recip(op) => unary("Reciprocal", op, g),
        Float::PowfScalar(op) => with_scalar("Pow", op, g),
        Float::Powf(op) => binary("Pow", op, g),
        Float::IntoInt(op) => cast(op, g),
        Float::Log1p(op) => {
            let inputs = vec![g.read(&op.input)?, g.scalar(1.0, op.input.dtype)?];
            let sum = g.step("Add", inputs, Vec::new());
            g.emit("Log", vec![sum], &op.out, Vec::new());
            Ok(())
        }
        Float::Matmul(op) => {
            let inputs = vec![g.read(&op.lhs)?, g.read(&op.rhs)?];
            g.emit("MatMul", inputs, &op.out, Vec::new());
            Ok(())
        }
        _ => unknown(operation),
    }
}

fn activation(op: &Activation, operation: &OperationIr, g: &mut Graph) -> Result<()> {
    match op {
        Activation::Relu(op) => unary("Relu", op, g),
        Activation::Sigmoid(op) => unary("Sigmoid", op, g),
        Activation::LeakyRelu(op) => with("LeakyRelu", &op.lhs, &op.out, vec![float("alpha", op.rhs.elem())], g),
        Activation::HardSigmoid(op) => {
            let attributes = vec![float("alpha", op.alpha.elem()), float("beta", op.beta.elem())];
            with("HardSigmoid", &op.tensor, &op.out, attributes, g)
        }
        Activation::Softmax(op) => with("Softmax", &op.input, &op.out, vec![int("axis", op.axis as i64)], g),
        Activation::LogSoftmax(op) => with("LogSoftmax", &op.input, &op.out, vec![int("axis", op.axis as i64)], g),
        Activation::PRelu(op) => {
            // one slope a channel: [c] must be read as [c, 1, 1]
            let mut shape = vec![op.rhs.shape.num_elements() as i64];
            shape.extend(vec![1; op.lhs.shape.num_dims().saturating_sub(2)]);
            let inputs = vec![g.read(&op.rhs)?, g.integers(&shape)];
            let slope = g.step("Reshape", inputs, Vec::new());
            let x = g.read(&op.lhs)?;
            g.emit("PRelu", vec![x, slope], &op.out, Vec::new());
            Ok(())
        }
        Activation::Gelu(op) => {
            // x * (1 + erf(x / sqrt 2)) / 2; the operator itself came with opset 20
            let x = g.read(&op.input)?;
            let [root, one, half] = [std::f64::consts::SQRT_2, 1.0, 0.5].map(|v| g.scalar(v, op.input.dtype));
            let scaled = g.step("Div", vec![x.clone(), root?], Vec::new());
            let erf = g.step("Erf", vec![scaled], Vec::new());
            let sum = g.step("Add", vec![erf, one?], Vec::new());
            let product = g.step("Mul", vec![x, sum], Vec::new());
            g.emit("Mul", vec![product, half?], &op.out, Vec::new());
            Ok(())
        }
        Activation::LogSigmoid(op) => {
            let x = g.read(&op.input)?; // -softplus(-x)
            let minus = g.step("Neg", vec![x], Vec::new());
            let soft = g.step("Softplus", vec![minus], Vec::new());
            g.emit("Neg", vec![soft], &op.out, Vec::new());
            Ok(())
        }
        _ => unknown(operation),
    }
}

/// One input, one output, and attributes.
pub(super) fn with(op: &str, input: &TensorIr, out: &TensorIr, attributes: Vec<AttributeProto>, g: &mut Graph) -> Result<()> {
    let input = g.read(input)?;
    g.emit(op, vec![input], out, attributes);
    Ok(())
}

fn unary(op: &str, ir: &UnaryOpIr, g: &mut Graph) -> Result<()> {
    with(op, &ir.input, &ir.out, Vec::new(), g)
}

fn binary(op: &str, ir: &BinaryOpIr, g: &mut Graph) -> Result<()> {
    let inputs = vec![g.read(&ir.lhs)?, g.read(&ir.rhs)?];
    g.emit(op, inputs, &ir.out, Vec::new());
    Ok(())
}

fn with_scalar(op: &str, ir: &ScalarOpIr, g: &mut Graph) -> Result<()> {
    let inputs = vec![g.read(&ir.lhs)?, g.scalar(ir.rhs.elem(), ir.lhs.dtype)?];
    g.emit(op, inputs, &ir.out, Vec::new());
    Ok(())
}

fn cast(ir: &CastOpIr, g: &mut Graph) -> Result<()> {
    use burn::tensor::DType;
    let to = match ir.out.dtype {
        DType::F32 => data_type::FLOAT,
        DType::I64 => data_type::INT64,
        DType::I32 => data_type::INT32,
        DType::U8 => data_type::UINT8,
        DType::Bool(_) => data_type::BOOL,
        other => bail!("the exporter does not cast to {other:?}"),
    };
    if ir.input.dtype == ir.out.dtype {
        let name = g.read(&ir.input)?;
        g.alias(&ir.out, name);
        return Ok(());
    }
    with("Cast", &ir.input, &ir.out, vec![int("to", i64::from(to))], g)
}

/// Keeps the reduced axis with size 1, as burn does.
fn reduce(op: &str, ir: &ReduceDimOpIr, g: &mut Graph) -> Result<()> {
    with(op, &ir.input, &ir.out, vec![ints("axes", [ir.axis]), int("keepdims", 1)], g)
}

fn sum(input: &TensorIr, axes: &[usize], out: &TensorIr, g: &mut Graph) -> Result<()> {
    let axes: Vec<_> = axes.iter().map(|a| *a as i64).collect();
    let inputs = vec![g.read(input)?, g.integers(&axes)];
    g.emit("ReduceSum", inputs, out, vec![int("keepdims", 1)]);
    Ok(())
}

/// To one element in a list, as burn does.
fn reduce_all(op: &str, ir: &ReduceOpIr, g: &mut Graph) -> Result<()> {
    let input = g.read(&ir.input)?;
    let scalar = g.step(op, vec![input], vec![int("keepdims", 0)]);
    let one = g.integers(&[1]);
    g.emit("Reshape", vec![scalar, one], &ir.out, Vec::new());
    Ok(())
}

fn arg(op: &str, ir: &ReduceDimOpIr, g: &mut Graph) -> Result<()> {
    with(op, &ir.input, &ir.out, vec![int("axis", ir.axis as i64), int("keepdims", 1)], g)
}

/// A tensor of one value.
fn filled(value: f64, out: &TensorIr, g: &mut Graph) -> Result<()> {
    let shape = g.shape(out.id).to_vec();
    let inputs = vec![g.scalar(value, out.dtype)?, g.shape_tensor(&shape)?];
    g.emit("Expand", inputs, out, Vec::new());
    Ok(())
}

/// `0` takes an axis over and `-1` follows from the others; only what is left must be computed.
fn reshape(ir: &ShapeOpIr, g: &mut Graph) -> Result<()> {
    let (from, to) = (g.shape(ir.input.id).to_vec(), g.shape(ir.out.id).to_vec());
    let input = g.read(&ir.input)?;
    if from == to {
        g.alias(&ir.out, input);
        return Ok(());
    }
    let simple: Vec<_> = (0..to.len())
        .map(|at| fixed(&to[at]).unwrap_or(if from.get(at) == Some(&to[at]) { 0 } else { -1 }))
        .collect();
    if simple.iter().all(|s| *s > 0) && g.reshape_constant(&input, &simple, &ir.out) {
        return Ok(());
    }
    let shape = match simple.iter().filter(|s| **s == -1).count() {
        0 | 1 => g.integers(&simple),
        _ => g.shape_tensor(&to)?,
    };
    g.emit("Reshape", vec![input, shape], &ir.out, Vec::new());
    Ok(())
}

fn slice(operations: &[&OperationIr], g: &mut Graph) -> Result<()> {
    let all: Vec<_> = operations
        .iter()
        .filter_map(|op| match op {
            OperationIr::BaseFloat(Base::Slice(s)) | OperationIr::BaseInt(Base::Slice(s)) | OperationIr::BaseBool(Base::Slice(s)) => {
                Some(s)
            }
            _ => None,
        })
        .collect();
    let first = all[0]; // the recordings were compared
    let sizes = g.shape(first.tensor.id).to_vec();
    let mut lists = [Vec::new(), Vec::new(), Vec::new(), Vec::new()]; // starts, ends, axes, steps
    for (axis, range) in first.ranges.iter().enumerate() {
        ensure!(range.step > 0, "the exporter knows no slices that run backwards");
        let ranges = || all.iter().map(|s| s.ranges[axis]);
        let whole = ranges().zip(&sizes[axis]).all(|(r, n)| r.end.is_none_or(|end| end == *n as isize));
        let same = ranges().all(|r| r.end == range.end);
        ensure!(
            ranges().all(|r| r.start == range.start) && (whole || same),
            "a slice depends on the input's size, so the net cannot be exported with free sizes; export it with a fixed size"
        );
        let end = if whole { i64::MAX } else { range.end.unwrap_or(isize::MAX) as i64 };
        if (range.start, end, range.step) == (0, i64::MAX, 1) {
            continue;
        }
        for (list, value) in lists.iter_mut().zip([range.start as i64, end, axis as i64, range.step as i64]) {
            list.push(value);
        }
    }
    let mut inputs = vec![g.read(&first.tensor)?];
    if lists[0].is_empty() {
        let name = inputs.remove(0);
        g.alias(&first.out, name);
        return Ok(());
    }
    inputs.extend(lists.iter().map(|l| g.integers(l)));
    g.emit("Slice", inputs, &first.out, Vec::new());
    Ok(())
}
