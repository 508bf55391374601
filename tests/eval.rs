//! `maskline eval` on a made-up clip: a bright square on dark ground that moves to the right.

mod support;

use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use support::Bench;

const FRAMES: usize = 20;
const SIZE: (u32, u32) = (128, 96);

/// Frame `t`: pictures and labels are the same but for the values.
fn square(t: usize, bright: u8, dark: u8) -> Vec<u8> {
    let inside = |x: usize, y: usize| (20 + 2 * t..60 + 2 * t).contains(&x) && (30..70).contains(&y);
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    (0..width * height)
        .map(|i| {
            let (x, y) = (i % width, i / width);
            let texture = ((x * 7 + y * 13) % 16) as u8 * u8::from(bright > 1);
            if inside(x, y) { bright - texture } else { dark + texture }
        })
        .collect()
}

fn grey(path: &Path, pixels: &[u8]) {
    let file = File::create(path).expect("a test's own folder can be written");
    let mut encoder = png::Encoder::new(file, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("the file can be written");
    writer.write_image_data(pixels).expect("the file can be written");
}

fn clip(folder: &Path) {
    for kind in ["pictures", "labels"] {
        fs::create_dir(folder.join(kind)).expect("a test's own folder can be written");
    }
    for t in 0..FRAMES {
        grey(&folder.join(format!("pictures/{t:03}.png")), &square(t, 235, 16));
        grey(&folder.join(format!("labels/{t:03}.png")), &square(t, 1, 0));
    }
}

#[test]
fn carried_maps_are_measured_against_labels_and_every_frame() {
    let bench = Bench::new();
    clip(&bench.path(""));
    let options = "--every 1,5 --motion dis,none --model brightness.onnx --size 128x96 --json eval.json";
    let line = format!("eval --clip pictures --labels labels {options}");
    let ran = bench.maskline(line.split(' ')).ok();
    assert!(ran.stdout.contains("mIoU"), "{}", ran.stdout);
    let found: Value = serde_json::from_slice(&fs::read(bench.path("eval.json")).unwrap()).unwrap();
    let outcomes = found["outcomes"].as_array().unwrap();
    let row = |every: &str, motion: &str| {
        let is = |o: &&Value| o["every"] == every && o["motion"] == motion;
        outcomes.iter().find(is).unwrap_or_else(|| panic!("{every} {motion} in {found}"))
    };
    let miou = |o: &Value| o["truth"]["miou"].as_f64().unwrap();
    let (all, moved, repeated) = (row("1", "dis"), row("5", "dis"), row("5", "none"));
    assert_eq!((all["inferred"].as_u64(), all["agreement"].as_f64()), (Some(20), Some(1.0)));
    assert_eq!((moved["inferred"].as_u64(), repeated["inferred"].as_u64()), (Some(4), Some(4)));
    assert!(miou(all) > 0.99, "{all}");
    assert!(miou(moved) > miou(repeated) + 0.02, "{} {}", miou(moved), miou(repeated));
    assert!(moved["agreement"].as_f64() > repeated["agreement"].as_f64());
    assert!(moved["flicker"].as_f64() < repeated["flicker"].as_f64(), "{moved} {repeated}");
}

#[test]
fn labels_that_are_not_one_a_frame_are_refused() {
    let bench = Bench::new();
    clip(&bench.path(""));
    fs::remove_file(bench.path("labels/019.png")).unwrap();
    let run = |labels: &str| {
        let line = format!("eval --clip pictures --labels {labels} --model brightness.onnx");
        bench.maskline(line.split(' '))
    };
    run("labels").refused(65, "found 19 labels");
    run("nowhere").refused(65, "cannot read the labels");
}
