//! A net that remembers, from the trainer to the masks: `tests/nets/remembering.onnx` is made by
//! `cargo run --release -p maskline-training --example remembering`, with the first frames of a clip as golden samples.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use maskline::frame::Tensor;
use maskline::infer::{OnnxSegmenter, Segmenter, SessionOptions, Values};
use maskline::preprocess::from_rgb;
use maskline_models::golden::Sample;
use maskline_models::{Fit, Model};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use support::Bench;

const NET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nets/remembering.onnx");
const SIZE: (u32, u32) = (64, 48);

fn model() -> Model {
    Model::open(NET, None).unwrap()
}

/// The frames of its clip, with the class maps that the trainer's net gives them.
fn clip(model: &Model) -> Vec<Sample> {
    model.contract.goldens.iter().map(|golden| golden.unpack().unwrap()).collect()
}

fn open(model: &Model) -> OnnxSegmenter {
    let fit = Fit::plan(&model.contract.input, SIZE.0, SIZE.1, None).unwrap();
    OnnxSegmenter::open(model, None, fit, &SessionOptions::default()).unwrap()
}

fn tensor(model: &Model, rgb: &[u8], (width, height): (u32, u32)) -> Tensor {
    let fit = Fit::plan(&model.contract.input, width, height, Some((width, height))).unwrap();
    from_rgb(&model.contract.input, &fit, rgb, width, height).unwrap()
}

fn ids(net: &mut OnnxSegmenter, tensor: &Tensor) -> Vec<u8> {
    match net.infer(tensor).unwrap().values {
        Values::U8(ids) => ids.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_runtime_gives_the_maps_of_the_trainer_over_a_clip_and_again_after_a_reset() {
    let model = model();
    let clip = clip(&model);
    let mut net = open(&model);
    assert_eq!((clip.len(), net.goldens()), (5, 5), "opening it has compared the clip once");
    for _ in 0..2 {
        for frame in &clip {
            let found = ids(&mut net, &tensor(&model, &frame.rgb, SIZE));
            let same = found.iter().zip(&frame.ids).filter(|(a, b)| a == b).count();
            assert!(same * 100 >= found.len() * 99, "{same} of {} pixels", found.len());
        }
        let unlike_itself = ids(&mut net, &tensor(&model, &clip[0].rgb, SIZE)) != clip[0].ids;
        assert!(unlike_itself, "what is remembered changes class maps");
        net.reset().unwrap();
    }
}

#[test]
fn a_frame_of_another_size_begins_anew() {
    let model = model();
    let clip = clip(&model);
    let mut net = open(&model);
    let frame = tensor(&model, &clip[4].rgb, SIZE);
    let first = ids(&mut net, &frame);
    assert_ne!(ids(&mut net, &frame), first);
    let large = tensor(&model, &vec![90; 3 * 128 * 96], (128, 96));
    assert_eq!(ids(&mut net, &large).len(), 128 * 96);
    assert_eq!(ids(&mut net, &frame), first);
}

#[test]
fn two_sessions_of_one_net_do_not_mix() {
    let model = model();
    let clip = clip(&model);
    let tensors: Vec<_> = clip.iter().map(|frame| tensor(&model, &frame.rgb, SIZE)).collect();
    let mut alone = open(&model);
    let forwards: Vec<_> = tensors.iter().map(|t| ids(&mut alone, t)).collect();
    alone.reset().unwrap();
    let backwards: Vec<_> = tensors.iter().rev().map(|t| ids(&mut alone, t)).collect();
    let [mut one, mut two] = [open(&model), open(&model)];
    for k in 0..tensors.len() {
        assert_eq!(ids(&mut one, &tensors[k]), forwards[k]);
        assert_eq!(ids(&mut two, &tensors[tensors.len() - 1 - k]), backwards[k]);
    }
}

fn write_png(path: &Path, rgb: &[u8]) {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path).unwrap()), SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(rgb).unwrap();
}

fn masks(bench: &Bench, folder: &str, count: usize) -> Vec<Vec<u8>> {
    let read = |k: usize| {
        let file = File::open(bench.path(&format!("{folder}/{k:06}.png"))).unwrap();
        let mut png = png::Decoder::new(BufReader::new(file)).read_info().unwrap();
        let mut ids = vec![0; png.output_buffer_size().unwrap()];
        png.next_frame(&mut ids).unwrap();
        ids
    };
    (0..count).map(read).collect()
}

#[test]
fn a_run_carries_the_state_and_forgets_it_at_a_cut() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("scenes")).unwrap();
    let clip = clip(&model());
    let white = vec![250; 3 * (SIZE.0 * SIZE.1) as usize];
    // the clip, another scene, and the clip again
    let frames = clip.iter().map(|frame| &frame.rgb);
    let frames: Vec<_> = frames.clone().chain([&white; 3]).chain(frames).collect();
    for (k, rgb) in frames.iter().enumerate() {
        write_png(&bench.path(&format!("scenes/{k:02}.png")), rgb);
    }
    let run = |options: &str| {
        bench
            .maskline(format!("run scenes --model {NET} --provider cpu {options}").split(' '))
            .ok()
    };
    run("--masks found --report report.json");
    let found = masks(&bench, "found", frames.len());
    assert_eq!(found[..5], found[8..], "a scene that comes back begins anew");
    assert_ne!(found[5], found[6], "within a scene the state is carried");

    run("--masks blind --motion none");
    let blind = masks(&bench, "blind", frames.len());
    assert_eq!(blind[..5], found[..5]);
    assert_ne!(
        blind[8..],
        found[8..],
        "where no cuts are looked for, the other scene is remembered"
    );

    run("--masks several --sessions 2 --smooth 0.1");
    assert_eq!(masks(&bench, "several", frames.len()).len(), frames.len());
    let shown = bench.maskline(["models", "show", NET]).ok();
    assert!(
        shown
            .stdout
            .contains("state_out -> state_in: 6 channels at 1/8 of the input's size"),
        "{}",
        shown.stdout
    );
}
