use super::*;
use crate::data::Sample as Labels;
use crate::export::{ExportOptions, Outputs, Picture, export};
use crate::nets::{Kind as NetKind, NetConfig};
use crate::onnx_graph::floats;
use crate::onnx_run::{OnnxNet, environment};
use burn::tensor::Device;
use maskline_models::Head;
use maskline_models::classes::driving_classes;
use maskline_models::contract::{CONTRACT_VERSION, Channels, Input, InputType, Layout, OutputKind, Resize, Size};
use maskline_models::fill::Filler;
use maskline_models::onnx::{GraphProto, NodeProto, TensorProto, data_type};
use maskline_synth::SceneOptions;
use prost::Message;
use std::borrow::Cow;
use std::collections::HashMap;

const DEFAULT: Int8 = Int8 {
    ranges: Method::Percentile(99.99),
    scheme: Scheme {
        activations: Activations::U8,
        weight_bits: 7,
    },
    keep: Keep::Nothing,
};

fn contract() -> Contract {
    Contract {
        version: CONTRACT_VERSION,
        name: "small".into(),
        description: String::new(),
        licence: "MIT".into(),
        input: Input {
            tensor: "image".into(),
            layout: Layout::Nchw,
            channels: Channels::Rgb,
            dtype: InputType::F32,
            size: Size::Fixed { width: 96, height: 64 },
            resize: Resize::Stretch,
            scale: 1.0 / 255.0,
            mean: [0.4, 0.45, 0.5],
            std: [0.25, 0.26, 0.27],
        },
        heads: vec![Head {
            name: "classes".into(),
            tensor: "class_map".into(),
            kind: OutputKind::ClassIds,
            layout: Layout::Nchw,
            confidence: None,
            temperature: None,
            classes: driving_classes(),
        }],
        states: Vec::new(),
        training: None,
        goldens: Vec::new(),
    }
}

/// A small net with its first weights, which give every class somewhere, as the exporter writes it, with its scores.
fn float(kind: NetKind) -> Model {
    let (widths, depths) = match kind {
        NetKind::Fcn => (vec![8, 12, 16, 16], vec![1; 4]),
        NetKind::Fpn => (vec![8, 12, 16], vec![0, 1, 1]),
        NetKind::Segformer => (vec![8, 16, 16], vec![1; 3]),
        NetKind::Unet | NetKind::AttentionUnet => (vec![8, 12, 16], Vec::new()),
    };
    let (heads, attention_levels) = if kind == NetKind::Segformer { (2, 2) } else { (0, 0) };
    let config = NetConfig {
        widths,
        depths,
        heads,
        attention_levels,
        stem_stride: 2,
        ..NetConfig::new(kind)
    };
    let device = Device::flex();
    device.seed(5);
    let net = config.init(11, &device);
    let scene = &scenes(1)[0];
    let golden = Picture {
        width: 96,
        height: 64,
        rgb: scene.rgb.clone(),
    };
    let options = ExportOptions {
        outputs: Outputs::Both,
        goldens: vec![golden],
        ..ExportOptions::default()
    };
    let bytes = export(&net, &config, contract(), &options).unwrap().bytes;
    Model::from_bytes("small.onnx".into(), Cow::Owned(bytes), None).unwrap()
}

fn scenes(count: u64) -> Vec<Labels> {
    let classes = driving_classes();
    let table = crate::data::ClassTable::new(&classes);
    let scene = |seed| {
        let picture = maskline_synth::pairs::sample(seed, 0, 96, 64, &SceneOptions::default());
        let mut labels = picture.labels;
        table.apply(&mut labels).unwrap();
        Labels {
            name: seed.to_string(),
            width: 96,
            height: 64,
            rgb: picture.rgb,
            labels,
        }
    };
    (1..=count).map(scene).collect()
}

fn run(model: &Model, target: Target) -> Result<Quantized> {
    let scenes = scenes(9);
    let all: Vec<&Labels> = scenes.iter().collect();
    let labelled = |samples| Labelled { samples, size: None };
    let pictures = Pictures {
        calibration: labelled(&all[..4]),
        check: labelled(&all[4..6]),
        evaluation: labelled(&all[6..]),
        rendered: false,
    };
    let words = ["scenes 1 to 4".into(), "scenes 7 to 9".into()];
    quantize(model, target, "smaller".into(), pictures, &words, &|_| ())
}

fn int8_with(change: impl Fn(&mut Int8)) -> Target {
    let mut options = DEFAULT;
    change(&mut options);
    Target::Int8(options)
}

fn graph_of(model: &Model) -> GraphProto {
    ModelProto::decode(&model.onnx[..]).unwrap().graph.unwrap()
}

fn constants(graph: &GraphProto) -> HashMap<&str, &TensorProto> {
    graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect()
}

fn maker<'g>(graph: &'g GraphProto, tensor: &str) -> &'g NodeProto {
    let made = graph.node.iter().find(|n| n.output.iter().any(|o| o == tensor));
    made.unwrap_or_else(|| panic!("nothing makes {tensor}"))
}

fn takers<'g>(graph: &'g GraphProto, tensor: &str) -> Vec<&'g NodeProto> {
    graph.node.iter().filter(|n| n.input.iter().any(|i| i == tensor)).collect()
}

/// How far the scores of a model lie from those of another, in decibels of signal over noise.
fn decibels(a: &Model, b: &Model) -> f64 {
    let scene = &scenes(8)[7];
    let mut tensor = vec![0.0; scene.rgb.len()];
    Filler::new(&a.contract.input).fill(&scene.rgb, 96, 64, &mut tensor);
    let scores = |m: &Model| OnnxNet::open(m, None).unwrap().floats("logits", &tensor, [1, 3, 64, 96]).unwrap().0;
    let (a, b) = (scores(a), scores(b));
    let signal: f64 = a.iter().map(|v| f64::from(*v).powi(2)).sum();
    let noise: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    10.0 * (signal / noise).log10()
}

#[test]
fn an_int8_net_agrees_with_its_float_net() {
    // The scores of a segformer that has learnt nothing lie nearer to each other than the steps of int8.
    for kind in NetKind::ALL.into_iter().filter(|kind| *kind != NetKind::Segformer) {
        let model = float(kind);
        for ranges in [Method::MinMax, Method::Percentile(99.99), Method::Entropy] {
            let done = run(&model, int8_with(|o| o.ranges = ranges)).unwrap();
            let (agreement, decibels) = (done.report.agreement, decibels(&model, &done.model));
            assert!(agreement > 0.9, "{kind:?} {ranges}: {agreement}");
            assert!(decibels > 20.0, "{kind:?} {ranges}: {decibels} dB");
        }
    }
}

#[test]
fn symmetric_activations_and_weights_of_8_bits_agree_too() {
    let model = float(NetKind::Unet);
    let done = run(
        &model,
        int8_with(|o| {
            o.scheme = Scheme {
                activations: Activations::S8,
                weight_bits: 8,
            };
        }),
    )
    .unwrap();
    assert!(decibels(&model, &done.model) > 18.0, "{} dB", decibels(&model, &done.model));
    let graph = graph_of(&done.model);
    let zero_points: Vec<_> = graph.initializer.iter().filter(|t| t.name.ends_with(".zero_point")).collect();
    assert!(!zero_points.is_empty());
    for zero in zero_points {
        assert_eq!(zero.data_type, data_type::INT8, "{}", zero.name);
        assert!(zero.raw_data.iter().all(|b| *b == 0), "{}", zero.name);
    }
}

#[test]
fn every_conv_lies_between_pairs_with_a_scale_for_every_channel() {
    let done = run(&float(NetKind::AttentionUnet), Target::Int8(DEFAULT)).unwrap();
    let graph = graph_of(&done.model);
    let constants = constants(&graph);
    let convs: Vec<_> = graph.node.iter().filter(|n| n.op_type == "Conv").collect();
    assert!(convs.len() > 10);
    for conv in convs {
        let [input, weight] = [0, 1].map(|i| maker(&graph, &conv.input[i]));
        for node in [input, weight] {
            assert_eq!(node.op_type, "DequantizeLinear", "{}", conv.name);
        }
        let stored = constants[weight.input[0].as_str()];
        let (scale, zero) = (constants[weight.input[1].as_str()], constants[weight.input[2].as_str()]);
        let channels = stored.dims[0];
        assert_eq!(stored.data_type, data_type::INT8);
        assert_eq!(
            (scale.dims.as_slice(), zero.dims.as_slice()),
            ([channels].as_slice(), [channels].as_slice())
        );
        assert_eq!(graph::int(weight, "axis", 1), 0);
        let most = stored.raw_data.iter().map(|b| (*b as i8).unsigned_abs()).max();
        assert_eq!(most, Some(64), "{}: 7 bits are used and no more", conv.name);
        if let Some(bias) = conv.input.get(2) {
            let bias = maker(&graph, bias);
            let (stored, bias_scale) = (constants[bias.input[0].as_str()], constants[bias.input[1].as_str()]);
            assert_eq!((stored.data_type, stored.dims[0]), (data_type::INT32, channels));
            let input_scale = floats(constants[input.input[1].as_str()]).unwrap()[0];
            let [weights, biases] = [scale, bias_scale].map(|t| floats(t).unwrap());
            for (w, b) in weights.iter().zip(&biases) {
                assert!((w * input_scale - b).abs() <= 1e-6 * b.abs(), "{}", conv.name);
            }
        }
        let mut out = takers(&graph, &conv.output[0]);
        if out[0].op_type == "Relu" {
            out = takers(&graph, &out[0].output[0]);
        }
        assert_eq!(
            out.iter().map(|n| n.op_type.as_str()).collect::<Vec<_>>(),
            ["QuantizeLinear"],
            "{}",
            conv.name
        );
    }
    for pool in graph.node.iter().filter(|n| n.op_type == "MaxPool") {
        let (before, after) = (maker(&graph, &pool.input[0]), takers(&graph, &pool.output[0])[0]);
        let values = |node: &NodeProto, i: usize| &constants[node.input[i].as_str()].raw_data;
        assert_eq!(
            [1, 2].map(|i| values(before, i)),
            [1, 2].map(|i| values(after, i)),
            "a pool keeps the scale"
        );
    }
}

#[test]
fn onnx_runtime_fuses_every_layer_and_what_lies_between() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optimized.onnx");
    let done = run(&float(NetKind::AttentionUnet), Target::Int8(DEFAULT)).unwrap();
    ort::session::Session::builder(environment().unwrap())
        .unwrap()
        .with_optimized_model_path(&path)
        .unwrap()
        .commit_from_memory(&done.model.onnx)
        .unwrap();
    let optimized = ModelProto::decode(&std::fs::read(&path).unwrap()[..]).unwrap().graph.unwrap();
    let count = |op: &str| optimized.node.iter().filter(|n| n.op_type == op).count();
    let convs = graph_of(&done.model).node.iter().filter(|n| n.op_type == "Conv").count();
    assert_eq!((count("QLinearConv"), count("Conv"), count("FusedConv")), (convs, 0, 0));
    for op in ["QLinearConcat", "QLinearAdd", "QLinearSigmoid", "QLinearMul"] {
        assert_eq!(count(op), 2, "{op}: one for each gate");
    }
    assert_eq!(count("MaxPool") + count("NhwcMaxPool"), 2);
}

#[test]
fn the_contract_goes_along_and_the_golden_class_maps_are_the_models_own() {
    let mut model = float(NetKind::Unet);
    model.contract.training.get_or_insert_default().rendered_only = true;
    let done = run(&model, Target::Int8(DEFAULT)).unwrap();
    let (old, new) = (&model.contract, &done.model.contract);
    assert_eq!(new.name, "smaller");
    assert_eq!((&new.input, &new.heads), (&old.input, &old.heads));
    let training = new.training.as_ref().unwrap();
    assert!(!training.rendered_only, "pictures that were not rendered gave the ranges");
    let halves = run(&model, Target::F16).unwrap().model.contract.training.unwrap();
    assert!(halves.rendered_only, "halves need no pictures");
    assert!(training.quantization.contains("weights of 7 bits") && training.quantization.contains("scenes 1 to 4"));
    // JSON gives the last digit back as it can.
    let told = training.miou.unwrap() - done.report.quantized.miou;
    assert!(told.abs() < 1e-12, "{told}");
    let golden = new.goldens[0].unpack().unwrap();
    assert_eq!(golden.rgb, old.goldens[0].unpack().unwrap().rgb);
    let mut tensor = vec![0.0; golden.rgb.len()];
    Filler::new(&new.input).fill(&golden.rgb, 96, 64, &mut tensor);
    let ids = OnnxNet::open(&done.model, None)
        .unwrap()
        .class_map(&tensor, [1, 3, 64, 96])
        .unwrap();
    assert_eq!(ids, golden.ids);
}

#[test]
fn the_most_sensitive_layers_stay_float_and_less_is_lost() {
    let model = float(NetKind::Unet);
    let all = run(&model, Target::Int8(DEFAULT)).unwrap();
    let some = run(&model, int8_with(|o| o.keep = Keep::Layers(3))).unwrap();
    let kept = &some.report.float_layers;
    assert_eq!(kept.len(), 3);
    assert!(kept[0].changed >= kept[1].changed && kept[1].changed >= kept[2].changed && kept[0].changed > 0.0);
    assert!(decibels(&model, &some.model) > decibels(&model, &all.model));
    let graph = graph_of(&some.model);
    for layer in kept {
        let conv = graph.node.iter().find(|n| n.name == layer.layer).unwrap();
        assert_eq!(constants(&graph)[conv.input[1].as_str()].data_type, data_type::FLOAT);
    }
    let loose = run(&model, int8_with(|o| o.keep = Keep::MaxLoss(100.0))).unwrap();
    assert!(loose.report.float_layers.is_empty());
    let error = run(&model, int8_with(|o| o.keep = Keep::MaxLoss(-100.0))).unwrap_err().to_string();
    assert!(
        error.contains("loses more than -100 points") && error.contains("--to f16"),
        "{error}"
    );
    let error = run(&model, int8_with(|o| o.keep = Keep::Layers(99))).unwrap_err().to_string();
    assert!(error.contains("--float-layers is 99"), "{error}");
}

#[test]
fn sixteen_bits_inside_leave_the_borders_as_they_were() {
    for kind in NetKind::ALL {
        let model = float(kind);
        let done = run(&model, Target::F16).unwrap();
        assert_eq!(done.model.graph, model.graph);
        assert!(done.report.agreement > 0.99, "{}", done.report.agreement);
        assert!(decibels(&model, &done.model) > 45.0, "{} dB", decibels(&model, &done.model));
        let graph = graph_of(&done.model);
        let scales = |name: &str| name.starts_with("scales"); // a Resize takes them as 32-bit floats only
        assert!(graph.initializer.iter().all(|t| t.data_type != data_type::FLOAT || scales(&t.name)));
        assert!(done.report.quantized_bytes < done.report.float_bytes);
    }
}

#[test]
fn a_weight_that_16_bits_cannot_hold_is_named() {
    let mut graph = ModelProto::decode(&float(NetKind::Unet).onnx[..]).unwrap();
    let weight = &mut graph.graph.as_mut().unwrap().initializer[0];
    weight.raw_data[..4].copy_from_slice(&1e6_f32.to_le_bytes());
    let name = weight.name.clone();
    let error = f16::write(&graph).unwrap_err().to_string();
    assert!(
        error.contains(&name) && error.contains("1000000") && error.contains("--to int8"),
        "{error}"
    );
}

#[test]
fn weights_alone_become_integers_and_arithmetic_stays_float() {
    let model = float(NetKind::Unet);
    let done = run(&model, Target::WeightsInt8).unwrap();
    let graph = graph_of(&done.model);
    let constants = constants(&graph);
    let integers: Vec<_> = graph.node.iter().filter(|n| n.op_type == "DequantizeLinear").collect();
    assert!(!integers.is_empty() && integers.len() == done.report.layers);
    assert!(graph.node.iter().all(|n| n.op_type != "QuantizeLinear"));
    let transposed = integers.iter().filter(|n| graph::int(n, "axis", 0) == 1).count();
    let both = integers.iter().all(|n| constants[n.input[0].as_str()].data_type == data_type::INT8);
    assert!(both && transposed < integers.len());
    assert!(decibels(&model, &done.model) > 30.0, "{} dB", decibels(&model, &done.model));
    assert!(done.report.quantized_bytes < done.report.float_bytes);
}

#[test]
fn what_cannot_be_quantized_is_refused_with_the_reason() {
    let model = float(NetKind::Unet);
    let refused = |model: &Model| run(model, Target::Int8(DEFAULT)).unwrap_err().to_string();
    let done = run(&model, Target::Int8(DEFAULT)).unwrap();
    assert!(refused(&done.model).contains("quantized already"), "{}", refused(&done.model));
    let half = run(&model, Target::F16).unwrap();
    assert!(refused(&half.model).contains("start from the 32-bit model"));
    let weights = run(&model, Target::WeightsInt8).unwrap();
    assert!(refused(&weights.model).contains("quantized already"));

    let changed = |change: &dyn Fn(&mut ModelProto)| {
        let mut graph = ModelProto::decode(&model.onnx[..]).unwrap();
        change(&mut graph);
        packed(&graph, &model.contract).unwrap()
    };
    let old = changed(&|m| m.opset_import[0].version = 11);
    assert!(refused(&old).contains("operator set is 11, wanted 13"));
    let outside = changed(&|m| m.graph.as_mut().unwrap().initializer[0].data_location = 1);
    assert!(refused(&outside).contains("save it as one file"));
    let no_layers = changed(&|m| {
        for node in &mut m.graph.as_mut().unwrap().node {
            node.domain = "some.other".into();
        }
    });
    assert!(refused(&no_layers).contains("nothing to quantize"), "{}", refused(&no_layers));
}
