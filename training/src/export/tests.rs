use super::*;
use crate::freeze::FreezeConfig;
use crate::nets::{Encoder, Kind as NetKind, Normalisation};
use crate::weights::Weights;
use burn::module::{ModuleMapper, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, PaddingConfig2d};
use burn::tensor::activation::{gelu, leaky_relu, log_softmax, sigmoid, softmax};
use burn::tensor::module::{avg_pool2d, interpolate};
use burn::tensor::ops::{AvgPoolOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Distribution, TensorData};
use maskline_models::classes::{Class, driving_classes};
use maskline_models::contract::{CONTRACT_VERSION, Input, Resize};
use maskline_models::fill::Filler;
use maskline_models::onnx::{GraphProto, ModelProto};

/// A contract as a caller writes it, for the first `classes` driving classes and `void`.
fn contract(classes: usize, (width, height): (u32, u32)) -> Contract {
    let all = driving_classes();
    let mut list: Vec<Class> = all.iter().filter(|c| !c.ignore).take(classes).cloned().collect();
    list.extend(all.into_iter().filter(|c| c.ignore));
    Contract {
        version: CONTRACT_VERSION,
        name: "sample".into(),
        description: String::new(),
        licence: "MIT".into(),
        input: Input {
            tensor: String::new(),
            layout: Layout::Nchw,
            channels: Channels::Rgb,
            dtype: InputType::F32,
            size: Size::Fixed { width, height },
            resize: Resize::Stretch,
            scale: 1.0 / 255.0,
            mean: [0.4, 0.45, 0.5],
            std: [0.25, 0.26, 0.27],
        },
        heads: vec![Head {
            name: "classes".into(),
            tensor: String::new(),
            kind: OutputKind::ClassIds,
            layout: Layout::Nchw,
            confidence: None,
            temperature: None,
            classes: list,
        }],
        states: Vec::new(),
        training: None,
        goldens: Vec::new(),
    }
}

fn small(kind: NetKind) -> NetConfig {
    let (widths, depths) = match kind {
        NetKind::Fcn => (vec![4, 6, 8, 8], vec![1, 2, 1, 1]),
        NetKind::Fpn => (vec![4, 6, 8], vec![0, 1, 2]),
        NetKind::Segformer => (vec![4, 32, 64], vec![1, 1, 2]), // wide enough that burn would fold the batch into rows
        NetKind::Unet | NetKind::AttentionUnet => (vec![4, 6, 8], Vec::new()),
    };
    let (heads, attention_levels) = if kind == NetKind::Segformer { (2, 2) } else { (0, 0) };
    NetConfig {
        widths,
        depths,
        heads,
        attention_levels,
        ..NetConfig::new(kind)
    }
}

/// A net whose running statistics, scales and offsets are all other than at its start.
fn used(config: &NetConfig, classes: usize) -> Net {
    struct Shake;
    impl ModuleMapper for Shake {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|t| {
                let random = |low, high| t.random_like(Distribution::Uniform(low, high));
                let (factor, offset) = (random(0.8, 1.2), random(-0.05, 0.05));
                (t * factor + offset).detach()
            })
        }
    }
    let device = Device::flex().autodiff();
    let net = config.init(classes, &device);
    let side = 2 * config.multiple() as usize;
    for _ in 0..3 {
        net.forward(Tensor::random([2, 3, side, side], Distribution::Normal(0.3, 1.5), &device));
    }
    net.valid().map(&mut Shake)
}

fn graph(exported: &Exported) -> GraphProto {
    ModelProto::decode(&exported.bytes[..]).unwrap().graph.unwrap()
}

fn operators(exported: &Exported) -> Vec<String> {
    graph(exported).node.into_iter().map(|n| n.op_type).collect()
}

fn pictures(width: u32, height: u32) -> Vec<Picture> {
    let rgb = (0..3 * width * height).map(|i| (i * 7 % 256) as u8).collect();
    vec![Picture { width, height, rgb }]
}

fn learns_on(model: &Model, config: &NetConfig, exported: &Net, classes: usize) {
    let plain = Device::flex();
    let without = NetConfig {
        dropout: 0.0,
        ..config.clone()
    };
    let side = 4 * config.multiple() as usize;
    let images = Tensor::<4>::random([2, 3, side, side], Distribution::Normal(0.3, 1.5), &plain);
    let wanted = exported.forward(images.clone());
    let gap = |found: Tensor<4>| -> f32 {
        let spread: f32 = wanted.clone().abs().max().into_scalar();
        let gap: f32 = (found.to_device(&plain) - wanted.clone()).abs().max().into_scalar();
        gap / spread
    };
    let new = without.init(classes, &plain.clone().autodiff());
    let all = Weights::of(&new.valid()).len();
    let (new, taken, folded) = crate::exported::Exported::of("init", model).unwrap().put_into(new, &plain);
    assert_eq!(
        (taken, folded.is_empty()),
        (all, config.normalisation == Normalisation::None),
        "{config:?}"
    );
    assert!(gap(new.valid().forward(images.clone())) < 1e-4, "{config:?}");
    if !folded.is_empty() {
        let batch = Tensor::from_inner(images.clone());
        let settled = folded.settle(new, &batch, &plain);
        let in_training = gap(settled.forward(batch).inner());
        assert!(in_training < 0.02, "{config:?}: {in_training}");
        assert!(gap(settled.valid().forward(images.clone())) < 1e-4, "{config:?}");
        // a frozen encoder keeps its statistics, and what follows it settles all the same
        let new = without.init(classes, &plain.clone().autodiff());
        let (new, _, folded) = crate::exported::Exported::of("init", model).unwrap().put_into(new, &plain);
        let freeze: FreezeConfig = toml::from_str("layers = [\"encoder\"]").unwrap();
        let new = crate::freeze::apply(&[freeze], new, 0);
        let encoder = |net: &Net| {
            let values = Weights::of(&net.valid()).values().into_iter();
            values.filter(|(path, _)| path.starts_with("encoder")).collect::<Vec<_>>()
        };
        let before = encoder(&new);
        let batch = Tensor::from_inner(images);
        let settled = folded.settle(new, &batch, &plain);
        assert_eq!(before, encoder(&settled), "{config:?}");
        let in_training = gap(settled.forward(batch).inner());
        assert!(in_training < 0.02, "{config:?}: {in_training}");
    }
}

#[test]
fn every_net_gives_a_file_that_agrees_with_it_at_sizes_it_was_not_recorded_at() {
    let unet = small(NetKind::Unet);
    let attention = small(NetKind::AttentionUnet);
    let fpn = small(NetKind::Fpn);
    let fcn = small(NetKind::Fcn);
    let vgg = NetConfig {
        widths: vec![4; 6],
        ..NetConfig::new(NetKind::Unet).with_encoder(Encoder::Vgg16)
    };
    let segformer = small(NetKind::Segformer);
    let variants = [
        fcn.clone(),
        NetConfig {
            stem_stride: 2,
            normalisation: Normalisation::None,
            ..fcn
        },
        vgg,
        NetConfig {
            residual: true,
            ..unet.clone()
        },
        unet.clone(),
        NetConfig {
            stem_stride: 2,
            ..unet.clone()
        },
        NetConfig {
            stem_stride: 4,
            antialias: true,
            ..unet.clone()
        },
        NetConfig {
            separable: true,
            ..unet.clone()
        },
        NetConfig {
            normalisation: Normalisation::None,
            ..unet
        },
        attention.clone(),
        NetConfig {
            widths: vec![4, 6, 64], // wide enough that burn would fold the batch into the rows of a linear layer
            heads: 4,
            stem_stride: 2,
            dropout: 0.3,
            ..attention
        },
        NetConfig {
            stem_stride: 2,
            ..fpn.clone()
        },
        NetConfig {
            normalisation: Normalisation::None,
            ..fpn
        },
        segformer.clone(),
        NetConfig {
            stem_stride: 4,
            ..segformer
        },
    ];
    for config in variants {
        let m = config.multiple();
        let net = used(&config, 5);
        let options = ExportOptions {
            confidence: true,
            goldens: pictures(2 * m, m),
            ..ExportOptions::default()
        };
        let mut contract = contract(5, (4 * m, 3 * m));
        let temperature = if config.heads > 0 { 1.7 } else { 1.0 };
        contract.heads[0].temperature = Some(temperature);
        let exported = export(&net, &config, contract, &options).unwrap();
        assert!(
            exported.parity.difference() > 0.0,
            "{config:?}: two programs that sum in different orders never agree exactly"
        );
        assert!(
            !operators(&exported).iter().any(|op| op == "BatchNormalization" || op == "Identity"),
            "{config:?}"
        );

        let model = Model::from_bytes("x".into(), Cow::Owned(exported.bytes.clone()), None).unwrap();
        assert_eq!(model.contract, exported.contract);
        // what the file costs is what its configuration says
        let (w, h) = (4 * m as usize, 3 * m as usize);
        let (found, said) = (crate::onnx_cost::cost(&model, w, h).unwrap(), config.cost(5, h, w));
        assert_eq!(found.macs, said.macs, "{config:?}");
        assert!(found.parameters <= said.parameters, "{config:?}: {found:?} {said:?}");
        assert_eq!(
            crate::exported::Exported::of("x", &model).unwrap().antialiased,
            config.antialias,
            "{config:?}"
        );
        let golden = model.contract.goldens[0].unpack().unwrap();
        let (w, h) = (2 * m as usize, m as usize);
        let mut tensor = vec![0.0; 3 * w * h];
        Filler::new(&model.contract.input).fill(&golden.rgb, w, h, &mut tensor);
        let mut run = OnnxNet::open(&model, None).unwrap();
        assert_eq!(run.class_map(&tensor, [1, 3, h, w]).unwrap(), golden.ids);

        // its weights in a new net give the same scores, and in training it computes the same once its normalisations are settled
        learns_on(&model, &config, &net, 5);

        // the confidence is the highest softmax value of the net itself, with the temperature
        let scores = net.forward(Tensor::from_data(TensorData::new(tensor.clone(), [1, 3, h, w]), &Device::flex()));
        let wanted = softmax(scores.div_scalar(temperature), 1)
            .max_dim(1)
            .into_data()
            .try_into_vec::<f32>()
            .unwrap();
        let (confidence, shape) = run.floats("confidence", &tensor, [1, 3, h, w]).unwrap();
        assert_eq!(shape, [1, h, w]);
        assert!(confidence.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn a_net_with_a_memory_gives_a_file_that_agrees_with_it_over_fifty_frames() {
    let variants = [
        NetConfig {
            stem_stride: 2,
            ..small(NetKind::Fpn)
        },
        small(NetKind::AttentionUnet),
    ];
    for (config, form) in variants.into_iter().zip([Form::Free, Form::Fixed]) {
        let config = NetConfig { memory: 5, ..config };
        let m = config.multiple();
        Device::flex().seed(1);
        let net = used(&config, 4);
        let clip: Vec<_> = (0..4)
            .map(|frame| Picture {
                rgb: pictures(3 * m, 2 * m)[0].rgb.iter().map(|v| v.wrapping_add(40 * frame)).collect(),
                ..pictures(3 * m, 2 * m).remove(0)
            })
            .collect();
        let options = ExportOptions {
            form,
            goldens: clip.clone(),
            ..ExportOptions::default()
        };
        let exported = export(&net, &config, contract(4, (3 * m, 2 * m)), &options).unwrap();
        assert_eq!(exported.parity.sizes[0].frames, 50);
        assert!(exported.parity.difference() > 0.0);
        let model = Model::from_bytes("x".into(), Cow::Owned(exported.bytes), None).unwrap();
        let grid = Grid { channels: 5, stride: m };
        assert_eq!(model.contract.states[0].grid, Some(grid));
        let state: Vec<_> = model
            .graph
            .inputs
            .iter()
            .chain(&model.graph.outputs)
            .filter(|p| p.name.starts_with("state_"))
            .collect();
        assert_eq!(state.len(), 2, "{:?}", model.graph);

        // golden samples are one clip: the net itself gives them, frame by frame, and the file does so again after a reset
        let (w, h) = (3 * m as usize, 2 * m as usize);
        let frames: Vec<_> = model.contract.goldens.iter().map(|golden| golden.unpack().unwrap()).collect();
        let tensor = |rgb: &[u8]| {
            let mut tensor = vec![0.0; 3 * w * h];
            Filler::new(&model.contract.input).fill(rgb, w, h, &mut tensor);
            tensor
        };
        let mut state = None;
        for frame in &frames {
            let picture = Tensor::from_data(TensorData::new(tensor(&frame.rgb), [1, 3, h, w]), &Device::flex());
            let seen = net.step(picture, state);
            state = seen.state;
            let scores = seen.scores.into_data().try_into_vec::<f32>().unwrap();
            assert_eq!(crate::predict::best_classes(&scores, w * h), frame.ids);
        }
        let mut run = OnnxNet::open(&model, None).unwrap();
        assert!(run.remembers());
        for _ in 0..2 {
            for frame in &frames {
                assert_eq!(run.class_map(&tensor(&frame.rgb), [1, 3, h, w]).unwrap(), frame.ids);
            }
            run.reset();
        }
        let alone = run.class_map(&tensor(&frames[3].rgb), [1, 3, h, w]).unwrap();
        assert_ne!(alone, frames[3].ids, "what is remembered changes class maps");
    }
}

#[test]
fn a_net_that_is_new_is_exported_and_trains_on() {
    let config = NetConfig {
        heads: 2,
        ..small(NetKind::AttentionUnet)
    };
    let device = Device::flex().autodiff();
    let net = config.init(3, &device);
    export(&net, &config, contract(3, (16, 16)), &ExportOptions::default()).unwrap();
    let loss = net.forward(Tensor::ones([1, 3, 16, 16], &device)).sum();
    loss.backward();
}

#[test]
fn what_is_there_for_training_only_is_not_exported() {
    let config = small(NetKind::Fpn);
    let net = config.init_with_auxiliary(3, &Device::flex());
    let exported = export(&net, &config, contract(3, (16, 16)), &ExportOptions::default()).unwrap();
    let graph = graph(&exported);
    let numbers: i64 = graph.initializer.iter().map(|i| i.dims.iter().product::<i64>()).sum();
    let names: Vec<_> = graph.initializer.iter().map(|i| i.name.as_str()).collect();
    assert!(
        names.contains(&"context.weight") && !names.iter().any(|n| n.contains("auxiliary")),
        "{names:?}"
    );
    assert!(numbers <= config.cost(3, 16, 16).parameters as i64, "{numbers}");
    assert!(operators(&exported).contains(&"GlobalAveragePool".into()));
}

#[test]
fn the_fixed_form_takes_its_size_and_no_other() {
    let config = small(NetKind::AttentionUnet);
    let options = ExportOptions {
        form: Form::Fixed,
        outputs: Outputs::Both,
        goldens: pictures(24, 16),
        ..ExportOptions::default()
    };
    let exported = export(&used(&config, 5), &config, contract(5, (24, 16)), &options).unwrap();
    let model = Model::from_bytes("x".into(), Cow::Owned(exported.bytes), None).unwrap();
    let border: Vec<_> = model
        .graph
        .inputs
        .iter()
        .chain(&model.graph.outputs)
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        border,
        ["image f32 [1,3,16,24]", "class_map u8 [1,16,24]", "logits f32 [1,5,16,24]"]
    );
    assert!(exported.contract.input.size == Size::Fixed { width: 24, height: 16 });
    let mut run = OnnxNet::open(&model, Some("logits")).unwrap();
    assert_eq!(run.class_map(&vec![0.5; 3 * 16 * 24], [1, 3, 16, 24]).unwrap().len(), 16 * 24);
    let error = run.class_map(&vec![0.5; 3 * 16 * 16], [1, 3, 16, 16]).unwrap_err().to_string();
    assert!(
        error.starts_with("ONNX Runtime refuses an input") && !error.contains('\n'),
        "{error}"
    );
}

#[test]
fn the_free_form_names_its_axes_and_its_weights() {
    let config = NetConfig {
        stem_stride: 2,
        ..small(NetKind::Unet)
    };
    let exported = export(&used(&config, 5), &config, contract(5, (32, 16)), &ExportOptions::default()).unwrap();
    let graph = graph(&exported);
    let names: Vec<_> = graph.initializer.iter().map(|i| i.name.as_str()).collect();
    assert!(
        names.contains(&"encoder.0.first.conv.weight") && names.contains(&"encoder.0.first.conv.bias"),
        "{names:?}"
    );
    let nodes: Vec<_> = graph.node.iter().map(|n| (n.op_type.as_str(), n.name.as_str())).collect();
    assert_eq!(
        nodes[..3],
        [
            ("SpaceToDepth", "space_to_depth"),
            ("Conv", "encoder.0.first.conv"),
            ("Relu", "encoder.0.first.activation.norm.relu")
        ]
    );
    assert_eq!(
        exported.contract.input.size,
        Size::Multiple {
            of: 8,
            width: 32,
            height: 16
        }
    );
}

#[test]
fn class_ids_that_do_not_count_from_zero_come_out_as_they_are() {
    let config = small(NetKind::Unet);
    let mut contract = contract(4, (16, 16));
    for (class, id) in contract.heads[0].classes.iter_mut().zip([7, 3, 26, 0]) {
        class.id = id;
    }
    let exported = export(&used(&config, 4), &config, contract, &ExportOptions::default()).unwrap();
    assert!(operators(&exported).contains(&"Gather".into()));
    assert!(exported.parity.agreement() > 0.9999);
}

/// One of many layers and operations that our nets do not use.
#[derive(Module, Debug)]
struct Zoo {
    conv: Conv2d,
    norm: BatchNorm,
    layer_norm: LayerNorm,
}

fn zoo() -> Zoo {
    let device = Device::flex();
    device.seed(5);
    Zoo {
        conv: Conv2dConfig::new([3, 4], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
        layer_norm: LayerNormConfig::new(4).init(&device),
    }
}

fn export_zoo(forward: &dyn Fn(&Zoo, Tensor<4>) -> Tensor<4>, form: Form) -> Result<Exported> {
    let forward = |zoo: &Zoo, mut inputs: Vec<Tensor<4>>| vec![forward(zoo, inputs.remove(0))];
    let options = ExportOptions {
        form,
        ..ExportOptions::default()
    };
    proved(record_module(&zoo(), &forward, 4, None, contract(4, (16, 12)), &options)?)
}

#[test]
fn a_convolution_that_something_else_reads_keeps_its_weights() {
    let exported = export_zoo(
        &|zoo, x| {
            let y = zoo.conv.forward(x);
            zoo.norm.forward(y.clone()) * 0.5 + y
        },
        Form::Free,
    );
    assert!(operators(&exported.unwrap()).contains(&"BatchNormalization".into()));
}

#[test]
fn operations_that_no_net_of_ours_uses_are_translated_too() {
    let resized = |x: Tensor<4>, mode, align| {
        let [_, _, h, w] = x.dims();
        let small = avg_pool2d(x, AvgPoolOptions::new([2, 2]));
        interpolate(
            small,
            InterpolateOptions::new(mode).with_align_corners(align).with_output_size([h, w]),
        )
    };
    type Step = fn(&Zoo, Tensor<4>) -> Tensor<4>;
    let steps: &[(&str, Step)] = &[
        ("layer norm over channels", |z, x| {
            z.layer_norm.forward(x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
        }),
        ("gelu", |_, x| gelu(x)),
        ("leaky relu", |_, x| leaky_relu(x, 0.1)),
        ("log softmax", |_, x| log_softmax(x, 1)),
        ("means over the picture", |_, x| x.clone() - x.mean_dim(2).mean_dim(3)),
        ("arithmetic", |_, x| {
            (x.clone().powi_scalar(2) + 1.0).sqrt().recip() * x.clone().exp().clamp(0.1, 3.0) - x.abs().log1p() / 2.0
        }),
        ("tanh, floor, sign", |_, x| x.clone().tanh() + x.clone().floor() * x.sign()),
        ("mask", |_, x| {
            x.clone().mask_fill(x.clone().greater_elem(0.2), -1.0) + x.clone().mask_where(x.clone().lower_elem(0.0), x * 2.0)
        }),
        ("sums", |_, x| {
            x.clone() / (x.clone().abs().sum_dim(1) + 1.0) + x.clone().max_dim(1) - x.mean().reshape([1, 1, 1, 1])
        }),
        ("flip and transpose", |_, x| x.clone().flip([3]) + x.swap_dims(2, 3).swap_dims(2, 3)),
        ("flatten and back", |_, x| {
            let [n, c, h, w] = x.dims();
            let scores = x.clone().reshape([n, c, h * w]);
            let share = softmax(scores.clone().matmul(scores.clone().swap_dims(1, 2)) * 1e-3, 2); // [n, c, c]
            x + share.matmul(scores).reshape([n, c, h, w])
        }),
        ("ones", |_, x| Tensor::ones(x.dims(), &x.device()) - sigmoid(x)),
    ];
    for (name, step) in steps {
        let exported = export_zoo(&|zoo, x| step(zoo, zoo.conv.forward(x)), Form::Free);
        exported.unwrap_or_else(|e| panic!("{name}: {e:#}"));
    }
    export_zoo(
        &|z, x| Tensor::cat(vec![z.conv.forward(x.clone()).narrow(1, 1, 2), x.slice_dim(1, 0..2)], 1),
        Form::Free,
    )
    .unwrap();
    for (mode, align) in [
        (InterpolateMode::Nearest, false),
        (InterpolateMode::Bilinear, false),
        (InterpolateMode::Bilinear, true),
    ] {
        let exported = export_zoo(&|zoo, x| resized(zoo.conv.forward(x), mode.clone(), align), Form::Free);
        exported.unwrap_or_else(|e| panic!("{mode:?} {align}: {e:#}"));
    }
}

#[test]
fn an_operation_without_an_operator_is_refused_by_name() {
    let error = export_zoo(&|zoo, x| zoo.conv.forward(x).cumsum(2), Form::Free)
        .unwrap_err()
        .to_string();
    assert!(error.contains("burn's operation CumSum;") && !error.contains('\n'), "{error}");
}

#[test]
fn a_net_that_depends_on_its_size_is_only_exported_with_a_fixed_one() {
    let net = |zoo: &Zoo, x: Tensor<4>| {
        let pixels = x.dims()[2] * x.dims()[3];
        zoo.conv.forward(x) / pixels as f64
    };
    let error = export_zoo(&net, Form::Free).unwrap_err().to_string();
    assert!(error.contains("export it with a fixed size"), "{error}");
    export_zoo(&net, Form::Fixed).unwrap();
}

#[test]
fn a_file_of_another_net_fails_the_comparison() {
    let config = small(NetKind::Unet);
    let exported = export(
        &used(&config, 4),
        &config,
        contract(4, (16, 16)),
        &ExportOptions {
            outputs: Outputs::Both,
            ..ExportOptions::default()
        },
    )
    .unwrap();
    let model = Model::from_bytes("x".into(), Cow::Owned(exported.bytes), None).unwrap();
    let other = used(&config, 4);
    let step = |mut inputs: Vec<Tensor<4>>| vec![other.forward(inputs.remove(0))];
    let clip = Clip {
        size: [1, 16, 16],
        frames: 1,
    };
    let parity = parity::compare(&step, None, &model, &model, &[clip]).unwrap();
    let error = parity.check().unwrap_err();
    assert!(error.contains("(at 1x3x16x16;") && error.contains("nothing was written"), "{error}");
}

#[test]
fn a_contract_that_does_not_fit_is_refused() {
    let config = small(NetKind::Unet);
    let net = used(&config, 4);
    let with = |contract| export(&net, &config, contract, &ExportOptions::default()).unwrap_err().to_string();
    assert!(with(contract(4, (18, 16))).contains("needs multiples of 4: use 20x16"));
    assert!(with(contract(5, (16, 16))).contains("gives 4 scores a pixel, wanted one for each of 5 classes"));
}

#[test]
fn a_file_that_cannot_be_written_leaves_nothing_behind() {
    let exported = Exported {
        bytes: vec![1, 2, 3],
        contract: contract(2, (4, 4)),
        parity: Parity { sizes: Vec::new() },
    };
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken.onnx");
    std::fs::create_dir(&taken).unwrap();
    assert!(exported.write(&taken).is_err());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "only the folder that was there"
    );
    let free = folder.path().join("free.onnx");
    exported.write(&free).unwrap();
    assert_eq!(std::fs::read(free).unwrap(), [1, 2, 3]);
}
