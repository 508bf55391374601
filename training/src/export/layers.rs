//! The part of the table that holds whole layers.

use super::graph::{Graph, fixed, float, int, ints, ratio, text};
use super::table::{unknown, with};
use anyhow::{Result, bail, ensure};
use burn_ir::{AttentionOpIr, InterpolateModeIr, InterpolateOpIr, ModuleOperationIr as Layer, OperationIr, TensorIr};
use maskline_models::onnx::AttributeProto;

/// Adds the ONNX nodes for one layer.
///
/// # Errors
/// As [`super::table::translate`].
pub(super) fn translate(op: &Layer, operation: &OperationIr, g: &mut Graph) -> Result<()> {
    match op {
        Layer::Conv1d(op) => {
            let o = &op.options;
            let attributes = convolution(&o.stride, &pairs(&o.padding), &o.dilation, o.groups);
            weighted("Conv", [&op.x, &op.weight], op.bias.as_ref(), &op.out, attributes, g)
        }
        Layer::Conv2d(op) => {
            let o = &op.options;
            let attributes = convolution(&o.stride, &pairs(&o.padding), &o.dilation, o.groups);
            weighted("Conv", [&op.x, &op.weight], op.bias.as_ref(), &op.out, attributes, g)
        }
        Layer::ConvTranspose2d(op) => {
            let o = &op.options;
            let mut attributes = convolution(&o.stride, &twice(&o.padding), &o.dilation, o.groups);
            attributes.push(ints("output_padding", o.padding_out));
            weighted("ConvTranspose", [&op.x, &op.weight], op.bias.as_ref(), &op.out, attributes, g)
        }
        Layer::Linear(op) => {
            let mut inputs = vec![g.read(&op.x)?, g.read(&op.weight)?];
            match &op.bias {
                None => g.emit("MatMul", inputs, &op.out, Vec::new()),
                Some(bias) => {
                    let product = g.step("MatMul", inputs.split_off(0), Vec::new());
                    let bias = g.read(bias)?;
                    g.emit("Add", vec![product, bias], &op.out, Vec::new());
                }
            }
            Ok(())
        }
        Layer::BatchNorm(op) => {
            let inputs = [&op.x, &op.gamma, &op.beta, &op.mean, &op.variance];
            let inputs = inputs.into_iter().map(|t| g.read(t)).collect::<Result<Vec<_>>>()?;
            g.emit("BatchNormalization", inputs, &op.out, vec![float("epsilon", op.epsilon.elem())]);
            Ok(())
        }
        Layer::LayerNorm(op) => {
            let mut inputs = vec![g.read(&op.input)?, g.read(&op.gamma)?];
            if let Some(beta) = &op.beta {
                inputs.push(g.read(beta)?);
            }
            let attributes = vec![int("axis", -1), float("epsilon", op.epsilon.elem())];
            g.emit("LayerNormalization", inputs, &op.out, attributes);
            Ok(())
        }
        Layer::MaxPool2d(op) => {
            let attributes = vec![
                ints("kernel_shape", op.kernel_size),
                ints("strides", op.stride),
                ints("pads", twice(&op.padding)),
                ints("dilations", op.dilation),
                int("ceil_mode", i64::from(op.ceil_mode)),
            ];
            with("MaxPool", &op.x, &op.out, attributes, g)
        }
        Layer::AvgPool2d(op) => {
            let attributes = vec![
                ints("kernel_shape", op.kernel_size),
                ints("strides", op.stride),
                ints("pads", twice(&op.padding)),
                int("ceil_mode", i64::from(op.ceil_mode)),
                int("count_include_pad", i64::from(op.count_include_pad)),
            ];
            with("AveragePool", &op.x, &op.out, attributes, g)
        }
        Layer::AdaptiveAvgPool2d(op) if op.output_size == [1, 1] => with("GlobalAveragePool", &op.x, &op.out, Vec::new(), g),
        Layer::Interpolate(op) => resize(op, g),
        Layer::Attention(op) => attention(op, g),
        Layer::Embedding(op) => {
            let inputs = vec![g.read(&op.weights)?, g.read(&op.indices)?];
            g.emit("Gather", inputs, &op.out, vec![int("axis", 0)]);
            Ok(())
        }
        _ => unknown(operation),
    }
}

fn weighted(
    op: &str,
    [x, weight]: [&TensorIr; 2],
    bias: Option<&TensorIr>,
    out: &TensorIr,
    attributes: Vec<AttributeProto>,
    g: &mut Graph,
) -> Result<()> {
    let mut inputs = vec![g.read(x)?, g.read(weight)?];
    if let Some(bias) = bias {
        inputs.push(g.read(bias)?);
    }
    g.emit(op, inputs, out, attributes);
    Ok(())
}

fn convolution(stride: &[usize], pads: &[usize], dilation: &[usize], groups: usize) -> Vec<AttributeProto> {
    vec![
        ints("strides", stride.iter().copied()),
        ints("pads", pads.iter().copied()),
        ints("dilations", dilation.iter().copied()),
        int("group", groups as i64),
    ]
}

/// ONNX wants all begins, then all ends.
fn pairs(padding: &[(usize, usize)]) -> Vec<usize> {
    padding.iter().map(|p| p.0).chain(padding.iter().map(|p| p.1)).collect()
}

fn twice(padding: &[usize]) -> Vec<usize> {
    [padding, padding].concat()
}

fn resize(op: &InterpolateOpIr, g: &mut Graph) -> Result<()> {
    let (from, to) = (g.shape(op.x.id).to_vec(), g.shape(op.out.id).to_vec());
    let (mode, grid, rounding) = match (&op.options.mode, op.options.align_corners) {
        (InterpolateModeIr::Nearest, _) => ("nearest", "asymmetric", "floor"),
        (InterpolateModeIr::NearestExact, _) => ("nearest", "half_pixel", "round_prefer_ceil"),
        (InterpolateModeIr::Bilinear, true) => ("linear", "align_corners", "floor"),
        (InterpolateModeIr::Bilinear, false) => ("linear", "half_pixel", "floor"),
        (InterpolateModeIr::Bicubic, true) => ("cubic", "align_corners", "floor"),
        (InterpolateModeIr::Bicubic, false) => ("cubic", "half_pixel", "floor"),
        (InterpolateModeIr::Lanczos3, _) => bail!("the exporter has no ONNX operator for burn's Lanczos interpolation; use bilinear"),
    };
    let attributes = vec![
        text("mode", mode),
        text("coordinate_transformation_mode", grid),
        text("nearest_mode", rounding),
    ];
    let x = g.read(&op.x)?;
    let none = String::new(); // optional inputs that are left out
    let sizes = to.iter().map(fixed).collect::<Option<Vec<_>>>();
    let inputs = match sizes {
        Some(sizes) => vec![x, none.clone(), none, g.integers(&sizes)],
        None => {
            // the whole shape times a constant per axis, where that holds
            let factors: Option<Vec<_>> = from
                .iter()
                .zip(&to)
                .map(|(f, t)| if f == t { Some((1, 1)) } else { ratio(t, f) })
                .collect();
            let Some(factors) = factors else {
                bail!("a resize is no constant factor, so the net cannot be exported with free sizes; export it with a fixed size");
            };
            let scales = g.floats("scales", &factors.iter().map(|(p, q)| *p as f32 / *q as f32).collect::<Vec<_>>());
            vec![x, none, scales]
        }
    };
    g.emit("Resize", inputs, &op.out, attributes);
    Ok(())
}

/// `softmax(query key^T scale + bias) value`, written out.
fn attention(op: &AttentionOpIr, g: &mut Graph) -> Result<()> {
    ensure!(
        !op.options.is_causal && op.options.softcap.is_none(),
        "the exporter has no ONNX operator for burn's causal or soft-capped attention"
    );
    let depth = op.query.shape[op.query.shape.num_dims() - 1] as f64;
    let scale = op.options.scale.map_or(depth.sqrt().recip(), |s| s.elem::<f64>());
    let inputs = vec![g.read(&op.query)?, g.scalar(scale, op.query.dtype)?];
    let query = g.step("Mul", inputs, Vec::new());
    let key = g.read(&op.key)?;
    let key = g.step("Transpose", vec![key], vec![ints("perm", [0, 1, 3, 2])]);
    let mut scores = g.step("MatMul", vec![query, key], Vec::new());
    if let Some(bias) = &op.attn_bias {
        let bias = g.read(bias)?;
        scores = g.step("Add", vec![scores, bias], Vec::new());
    }
    if let Some(mask) = &op.mask {
        let (mask, least) = (g.read(mask)?, g.scalar(f64::from(f32::MIN), op.query.dtype)?);
        scores = g.step("Where", vec![mask, least, scores], Vec::new());
    }
    let share = g.step("Softmax", vec![scores], vec![int("axis", -1)]);
    let value = g.read(&op.value)?;
    g.emit("MatMul", vec![share, value], &op.out, Vec::new());
    Ok(())
}
