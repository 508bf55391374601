//! Models through the real ONNX Runtime: tiny nets made on the spot, and foreign ones where the data folder has them.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not take for tests

use maskline::PictureSegmenter;
use maskline::error::code_of;
use maskline::frame::Tensor;
use maskline::infer::{OnnxSegmenter, Provider, Scores, Segmenter, SessionOptions, Values, verify};
use maskline::postprocess::Postprocessor;
use maskline::preprocess::from_rgb;
use maskline::testing::{Brightness, Output};
use maskline_models::contract::{Contract, Grid, Layout, Resize, Size};
use maskline_models::golden::{Golden, Sample};
use maskline_models::onnx::{append_contract, data_type};
use maskline_models::{Fit, Model};
use std::borrow::Cow;

fn model(onnx: Vec<u8>) -> Model {
    Model::from_bytes("test.onnx".into(), Cow::Owned(onnx), None).unwrap()
}

fn with_contract(net: &Brightness, contract: &Contract) -> Model {
    let mut onnx = net.bare_onnx();
    append_contract(&mut onnx, contract);
    model(onnx)
}

fn cpu() -> SessionOptions {
    SessionOptions {
        provider: Provider::Cpu,
        threads: Some(1),
        ..SessionOptions::default()
    }
}

fn open(model: &Model, width: u32, height: u32) -> anyhow::Result<OnnxSegmenter> {
    let fit = Fit::plan(&model.contract.input, width, height, Some((width, height))).map_err(anyhow::Error::msg)?;
    OnnxSegmenter::open(model, None, fit, &cpu())
}

/// One line with exit code 78 that holds all of `words`.
fn assert_refused<T>(result: anyhow::Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("accepted, wanted {words:?}") };
    let text = format!("{error:#}");
    assert!(words.iter().all(|w| text.contains(w)), "{text} lacks one of {words:?}");
    assert!(!text.contains('\n'), "{text}");
    assert_eq!(
        format!("{:?}", code_of(&error)),
        format!("{:?}", std::process::ExitCode::from(78)),
        "{text}"
    );
}

/// A picture whose left third is black and the rest white.
fn picture(width: u32, height: u32) -> Vec<u8> {
    (0..width * height)
        .flat_map(|i| if i % width < width / 3 { [0; 3] } else { [255; 3] })
        .collect()
}

#[test]
fn every_kind_of_output_gives_the_same_class_map() {
    let mut outputs = vec![Output::Logits, Output::Probabilities];
    for element in [data_type::UINT8, data_type::INT32, data_type::INT64] {
        outputs.extend([true, false].map(|channel_axis| Output::Ids { element, channel_axis }));
    }
    for output in outputs {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let net = Brightness {
                output,
                layout,
                ..Brightness::default()
            };
            // An id output keeps its own axis order, whatever the input's.
            let mut contract = net.contract();
            if matches!(output, Output::Ids { .. }) {
                contract.heads[0].layout = Layout::Nchw;
            }
            let model = with_contract(&net, &contract);
            let mut segmenter = open(&model, 48, 16).unwrap();
            let fit = Fit::plan(&model.contract.input, 48, 16, Some((48, 16))).unwrap();
            let tensor = from_rgb(&model.contract.input, &fit, &picture(48, 16), 48, 16).unwrap();
            let scores = segmenter.infer(&tensor).unwrap();
            let map = Postprocessor::new(&model.contract.heads[0], &fit).run(&scores).unwrap();
            let wanted: Vec<u8> = (0..48 * 16).map(|i| u8::from(i % 48 >= 16)).collect();
            assert_eq!(map.ids, wanted, "{output:?} {layout:?}");
            assert_eq!(segmenter.provider(), "cpu");
        }
    }
}

#[test]
fn a_picture_of_any_size_gets_a_class_map_of_its_own_size() {
    for resize in [Resize::Stretch, Resize::Letterbox { pad: 0 }] {
        let net = Brightness {
            size: Size::Fixed { width: 64, height: 48 },
            resize,
            ..Brightness::default()
        };
        let mut segmenter = PictureSegmenter::from_model(model(net.onnx()), None, &cpu()).unwrap();
        for (width, height) in [(99, 33), (30, 70), (3, 1)] {
            let map = segmenter.segment_rgb(&picture(width, height), width, height).unwrap();
            assert_eq!((map.width, map.height), (width, height));
            let middle = (height / 2 * width) as usize;
            assert_eq!(map.ids[middle], 0, "{resize:?} {width}x{height}");
            assert_eq!(map.ids[middle + width as usize - 1], 1, "{resize:?} {width}x{height}");
        }
    }
}

#[test]
fn a_graph_that_does_not_fit_its_contract_is_refused_with_both_sides_named() {
    let logits = Brightness {
        output: Output::Logits,
        ..Brightness::default()
    };
    let three = Brightness {
        classes: 3,
        ..logits.clone()
    };
    assert_refused(open(&model(three.onnx()), 64, 48), &["[1, 3, ?, ?]", "2 classes", "[1, 2, ?, ?]"]);

    let mut contract = logits.contract();
    contract.input.layout = Layout::Nhwc;
    assert_refused(
        open(&with_contract(&logits, &contract), 64, 48),
        &["\"image\"", "[1, 3, ?, ?]", "[1, 48, 64, 3]"],
    );

    let fixed = Brightness {
        size: Size::Fixed { width: 64, height: 48 },
        ..Brightness::default()
    };
    let mut contract = fixed.contract();
    contract.input.size = Brightness::default().size;
    assert_refused(
        open(&with_contract(&fixed, &contract), 128, 96),
        &["[1, 3, 48, 64]", "[1, 3, 96, 128]"],
    );

    let mut contract = logits.contract();
    contract.heads[0].kind = Brightness::default().contract().heads[0].kind;
    assert_refused(
        open(&with_contract(&logits, &contract), 64, 48),
        &["\"classes\"", "f32", "class ids of u8"],
    );
}

#[test]
fn wrong_names_are_refused_before_anything_runs() {
    let net = Brightness {
        input_name: "picture".into(),
        ..Brightness::default()
    };
    let error = Model::from_bytes("test.onnx".into(), Cow::Owned(net.onnx()), None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"image\"") && error.contains("picture"), "{error}");
}

#[test]
fn a_head_that_there_is_not_is_answered_with_those_there_are() {
    let model = model(Brightness::default().onnx());
    let fit = Fit::plan(&model.contract.input, 64, 48, None).unwrap();
    assert_refused(
        OnnxSegmenter::open(&model, Some("lanes"), fit, &cpu()),
        &["\"lanes\"", "brightness"],
    );
}

#[test]
fn damaged_weights_are_refused() {
    let mut onnx = Brightness::default().onnx();
    // The header stays readable; an operator that there is not.
    let at = onnx.windows(6).position(|w| w == b"ArgMax").expect("the net has an ArgMax");
    onnx[at..at + 6].copy_from_slice(b"ArgMix");
    assert_refused(open(&model(onnx), 64, 48), &["cpu", "ArgMix"]);
}

#[test]
fn nothing_but_nan_is_an_error_with_the_remedy() {
    let net = Brightness {
        output: Output::Logits,
        gain: f32::NAN,
        ..Brightness::default()
    };
    let model = model(net.onnx());
    let mut segmenter = open(&model, 64, 48).unwrap();
    let fit = Fit::plan(&model.contract.input, 64, 48, None).unwrap();
    let tensor = Tensor {
        values: vec![0.5; 3 * 64 * 48],
        fit,
    };
    let scores = segmenter.infer(&tensor).unwrap();
    assert!(matches!(scores.values, Values::Floats { classes: 2, .. }));
    assert_refused(Postprocessor::new(segmenter.head(), &fit).run(&scores), &["NaN", "mean, std"]);
}

#[test]
fn golden_samples_are_compared_on_opening() {
    let net = Brightness::default();
    let rgb = picture(24, 8);
    let golden = |ids: Vec<u8>| {
        let sample = Sample {
            width: 24,
            height: 8,
            rgb: rgb.clone(),
            ids,
        };
        let mut contract = net.contract();
        contract.goldens = vec![Golden::pack("brightness", &sample, 0.99)];
        with_contract(&net, &contract)
    };
    let right: Vec<u8> = (0..24 * 8).map(|i| u8::from(i % 24 >= 8)).collect();
    let verification = verify(&golden(right), &cpu()).unwrap();
    assert_eq!(verification.heads, [("brightness".to_owned(), 1)]);
    assert_eq!(
        verification.to_string(),
        "brightness: head brightness runs on cpu at 64x48; 1 golden sample agrees"
    );
    assert_refused(verify(&golden(vec![1; 24 * 8]), &cpu()), &["golden sample 1", "66.67 %", "99.00 %"]);
}

#[test]
fn a_net_of_one_size_leaves_out_golden_samples_of_another() {
    let net = Brightness {
        size: Size::Fixed { width: 64, height: 48 },
        ..Brightness::default()
    };
    let sample = Sample {
        width: 8,
        height: 8,
        rgb: vec![0; 192],
        ids: vec![1; 64],
    };
    let mut contract = net.contract();
    contract.goldens = vec![Golden::pack("brightness", &sample, 0.99)];
    let verification = verify(&with_contract(&net, &contract), &cpu()).unwrap();
    assert!(verification.to_string().ends_with("no golden samples to compare"), "{verification}");
}

#[test]
fn a_named_provider_that_cannot_serve_is_an_error_that_names_the_package() {
    let model = model(Brightness::default().onnx());
    let fit = Fit::plan(&model.contract.input, 64, 48, None).unwrap();
    let runtime = maskline::infer::runtime::runtime().unwrap();
    for (provider, package) in [
        (Provider::Cuda, "onnxruntime-gpu"),
        (Provider::TensorRt, "tensorrt"),
        (Provider::OpenVino, "onnxruntime-openvino"),
    ] {
        if runtime.providers.contains(&provider) {
            println!("skipped {provider}: this ONNX Runtime was built with it");
            continue;
        }
        let options = SessionOptions {
            provider,
            ..SessionOptions::default()
        };
        assert_refused(OnnxSegmenter::open(&model, None, fit, &options), &[provider.as_str(), package]);
    }
}

#[test]
fn a_recurrent_state_goes_from_frame_to_frame_and_can_be_forgotten() {
    let net = Brightness {
        output: Output::Logits,
        counts: true,
        ..Brightness::default()
    };
    let model = model(net.onnx());
    let mut segmenter = open(&model, 64, 48).unwrap();
    let fit = Fit::plan(&model.contract.input, 64, 48, None).unwrap();
    let tensor = Tensor {
        values: vec![0.0; 3 * 64 * 48],
        fit,
    };
    let count = |segmenter: &mut OnnxSegmenter| match segmenter.infer(&tensor).unwrap().values {
        Values::Floats { scores, .. } => scores[0],
        other => panic!("{other:?}"),
    };
    assert_eq!([0; 3].map(|_| count(&mut segmenter)), [0.0, 1.0, 2.0]);
    segmenter.reset().unwrap();
    assert_eq!(count(&mut segmenter), 0.0);
}

#[test]
fn golden_samples_of_a_net_that_remembers_leave_nothing_behind() {
    let net = Brightness {
        output: Output::Logits,
        counts: true,
        ..Brightness::default()
    };
    let sample = Sample {
        width: 64,
        height: 48,
        rgb: vec![0; 3 * 64 * 48],
        ids: vec![0; 64 * 48],
    };
    let mut contract = net.contract();
    contract.goldens = vec![Golden::pack("brightness", &sample, 0.99); 3];
    let mut segmenter = open(&with_contract(&net, &contract), 64, 48).unwrap();
    assert_eq!(segmenter.goldens(), 3);
    let tensor = Tensor {
        values: vec![0.0; 3 * 64 * 48],
        fit: Fit::plan(&contract.input, 64, 48, None).unwrap(),
    };
    match segmenter.infer(&tensor).unwrap().values {
        Values::Floats { scores, .. } => assert_eq!(scores[0], 0.0, "the count of frames before this one"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_whose_grid_is_not_that_of_the_graph_is_refused() {
    let net = Brightness {
        counts: true,
        memory: vec![1, 2, 1, 1],
        ..Brightness::default()
    };
    let with = |channels, stride| {
        let mut contract = net.contract();
        contract.states[0].grid = Some(Grid { channels, stride });
        let mut onnx = net.bare_onnx();
        append_contract(&mut onnx, &contract);
        Model::from_bytes("net".into(), Cow::Owned(onnx), None)
    };
    let refused = with(4, 8).unwrap_err().to_string();
    assert!(
        refused.contains("memory f32 [1,2,1,1]") && refused.contains("4 channels with a stride of 8"),
        "{refused}"
    );
    assert_refused(
        open(&with(2, 4).unwrap(), 64, 48),
        &["\"memory\" is [1, 2, 1, 1]", "[1, 2, 12, 16]"],
    );
}

#[test]
fn a_size_that_the_graph_fails_at_is_refused_before_the_first_frame() {
    let net = Brightness {
        constant: Some((48, 64)),
        ..Brightness::default()
    };
    let model = model(net.onnx());
    assert!(open(&model, 64, 48).is_ok());
    assert_refused(open(&model, 128, 96), &["cannot take 128x96"]);
}

#[test]
fn a_state_that_no_machine_can_hold_is_refused() {
    for memory in [vec![1 << 40], vec![1 << 31, 1 << 31], vec![1 << 32, 1 << 32]] {
        let net = Brightness {
            counts: true,
            memory,
            ..Brightness::default()
        };
        assert_refused(open(&model(net.onnx()), 64, 48), &["\"memory\"", "at most 268435456 values"]);
    }
}

#[test]
fn an_input_that_the_contract_does_not_name_is_refused() {
    let net = Brightness {
        counts: true,
        ..Brightness::default()
    };
    let mut contract = net.contract();
    contract.states.clear();
    assert_refused(open(&with_contract(&net, &contract), 64, 48), &["\"memory\""]);
}

#[test]
fn auto_says_what_it_took_and_why_not_the_others() {
    let model = model(Brightness::default().onnx());
    let fit = Fit::plan(&model.contract.input, 64, 48, None).unwrap();
    let segmenter = OnnxSegmenter::open(&model, None, fit, &SessionOptions::default()).unwrap();
    let report = segmenter.report();
    let tried: Vec<_> = report
        .refused
        .iter()
        .map(|(name, _)| name.as_str())
        .chain([report.taken.as_str()])
        .collect();
    assert_eq!(tried, &["tensorrt", "cuda", "openvino", "cpu"][..tried.len()]);
    assert!(report.refused.iter().all(|(_, why)| !why.is_empty() && !why.contains('\n')));
    assert!(report.placement.contains("ExecutionProvider"), "{}", report.placement);
}

mod foreign {
    //! Files that others exported, from the sidecars that are shipped. They are not in the repository.

    use super::*;
    use std::path::{Path, PathBuf};

    /// The data folder beside the checkout; prints why a test is skipped where there is none.
    fn data(file: &str) -> Option<PathBuf> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
        if !path.exists() {
            println!("skipped: there is no {}", path.display());
            return None;
        }
        Some(path)
    }

    fn open(name: &str) -> Option<Model> {
        let onnx = data(&format!("models/{name}.onnx"))?;
        let sidecar = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/sidecars/{name}.toml"));
        Some(Model::open(onnx.to_str().unwrap(), Some(&sidecar)).unwrap())
    }

    fn png(path: &Path) -> (Vec<u8>, u32, u32) {
        let mut reader = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap()))
            .read_info()
            .unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        (bytes, info.width, info.height)
    }

    #[test]
    fn the_drivable_area_of_twinlitenet_lies_on_the_labelled_road() {
        let Some(model) = open("twinlitenet_360x640") else { return };
        let (Some(picture), Some(labels)) = (data("camvid/val/0016E5_07959.png"), data("camvid/valannot/0016E5_07959.png")) else {
            return;
        };
        let (rgb, width, height) = png(&picture);
        let (labels, ..) = png(&labels);
        let mut segmenter = PictureSegmenter::from_model(model.clone(), None, &cpu()).unwrap();
        let map = segmenter.segment_rgb(&rgb, width, height).unwrap();
        let road = labels.iter().filter(|l| **l == 3).count() as f64;
        let drivable = map.ids.iter().filter(|i| **i == 1).count() as f64;
        let both = map.ids.iter().zip(&labels).filter(|(i, l)| **i == 1 && **l == 3).count() as f64;
        assert!(both / drivable > 0.9, "{} of the drivable area is road", both / drivable);
        assert!(both / road > 0.6, "{} of the road is drivable", both / road);

        let mut lanes = PictureSegmenter::from_model(model, Some("ll"), &cpu()).unwrap();
        let lanes_map = lanes.segment_rgb(&rgb, width, height).unwrap();
        let share = lanes_map.ids.iter().filter(|i| **i == 1).count() as f64 / lanes_map.ids.len() as f64;
        assert_eq!(lanes.classes()[1].name, "lane");
        assert!((0.0001..0.1).contains(&share), "{share} of the picture is lane");
    }

    #[test]
    fn sinet_gives_numbers_with_its_sidecar_and_is_counted_as_nan_without_its_normalisation() {
        let Some(model) = open("sinet_portrait_256_160") else { return };
        let Some(picture) = data("camvid/val/0016E5_07959.png") else {
            return;
        };
        let (rgb, width, height) = png(&picture);
        let nan_frames = |model: &Model| {
            let fit = Fit::plan(&model.contract.input, width, height, None).unwrap();
            let mut segmenter = OnnxSegmenter::open(model, None, fit, &cpu()).unwrap();
            let tensor = from_rgb(&model.contract.input, &fit, &rgb, width, height).unwrap();
            let mut post = Postprocessor::new(segmenter.head(), &fit);
            let map = post.run(&segmenter.infer(&tensor).unwrap()).unwrap();
            assert_eq!((map.width, map.height), (213, 160), "the letterbox is cut off");
            post.nan_frames()
        };
        assert_eq!(nan_frames(&model), 0);
        let mut raw = model;
        (raw.contract.input.mean, raw.contract.input.std) = ([0.0; 3], [1.0; 3]);
        assert_eq!(nan_frames(&raw), 1);
    }
}

#[test]
fn several_frames_at_once_give_what_they_give_alone() {
    // The first takes one frame at a time and gets them one after the other, the second takes any number.
    for model in [model(Brightness::default().onnx()), Model::open("builtin:unet-road", None).unwrap()] {
        let mut net = open(&model, 64, 64).unwrap();
        let fit = Fit::plan(&model.contract.input, 64, 64, Some((64, 64))).unwrap();
        let tensor = |n: usize| Tensor {
            values: (0..3 * 64 * 64).map(|i| ((i * (n + 3)) % 255) as f32 / 255.0 - 0.5).collect(),
            fit,
        };
        let tensors: Vec<_> = (0..3).map(tensor).collect();
        let ids = |scores: &Scores| match &scores.values {
            Values::U8(ids) => ids.to_vec(),
            other => panic!("wanted ids, found {other:?}"),
        };
        let alone: Vec<_> = tensors.iter().map(|t| ids(&net.infer(t).unwrap())).collect();
        let together: Vec<_> = net.infer_batch(&tensors).unwrap().iter().map(ids).collect();
        assert_eq!(together, alone, "{}", model.origin);
        assert_ne!(alone[0], alone[1]);
    }
}
