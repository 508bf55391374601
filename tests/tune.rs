//! `maskline tune` on a made-up clip with tiny nets: what it recommends runs, and what cannot be had is said.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use maskline::testing::Brightness;
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use support::{Bench, Ran, read_video};

const FRAMES: usize = 20;
const SIZE: (u32, u32) = (128, 96);

/// A bright square on dark ground that moves to the right.
fn square(t: usize, bright: u8, dark: u8) -> Vec<u8> {
    let inside = |x: usize, y: usize| (20 + 2 * t..60 + 2 * t).contains(&x) && (30..70).contains(&y);
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    let pixel = |i: usize| if inside(i % width, i / width) { bright } else { dark };
    (0..width * height).map(pixel).collect()
}

fn grey(path: &Path, size: (u32, u32), pixels: &[u8]) {
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), size.0, size.1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

/// A folder with a clip as pictures, its labels, and a net that takes bright for dark beside the one that does not.
fn bench() -> Bench {
    let bench = Bench::new();
    for kind in ["pictures", "labels"] {
        fs::create_dir(bench.path(kind)).unwrap();
    }
    for t in 0..FRAMES {
        grey(&bench.path(&format!("pictures/{t:03}.png")), SIZE, &square(t, 235, 16));
        grey(&bench.path(&format!("labels/{t:03}.png")), SIZE, &square(t, 1, 0));
    }
    let turned = Brightness {
        gain: -1.0,
        ..Brightness::default()
    };
    bench.write("turned.onnx", turned.onnx());
    bench
}

fn tune(bench: &Bench, args: &str) -> Ran {
    let line = format!("tune --clip pictures --model brightness.onnx --provider cpu {args}");
    bench.maskline(line.split_whitespace())
}

fn json(bench: &Bench, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bench.path(name)).unwrap()).unwrap()
}

fn is_plot(path: &Path) {
    let mut reader = png::Decoder::new(std::io::BufReader::new(File::open(path).unwrap()))
        .read_info()
        .unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((info.width, info.height), (1200, 800));
    assert!(bytes.iter().any(|b| *b != 255), "something is drawn");
}

#[test]
fn what_is_recommended_is_checked_runs_and_is_the_best_that_is_fast_enough() {
    let bench = bench();
    let args = "--sizes 64x48,32x24 --every 1,5 --sessions 1,2 --fps 0.5 --min-agreement 0.5 -o tuned.toml --plot p.png --json t.json";
    let ran = tune(&bench, args).ok();
    for part in [
        "frames/s",
        "p95 ms",
        "agreement %",
        "f32",
        "> recommended for at least 0.5 frames/s",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(
        ran.stderr.contains("reference: brightness f32 at 64x48") && ran.stderr.contains("left"),
        "{}",
        ran.stderr
    );
    is_plot(&bench.path("p.png"));

    let found = json(&bench, "t.json");
    let points = found["points"].as_array().unwrap();
    assert_eq!(
        (points.len(), &found["frames"]),
        (4, &Value::from(FRAMES)),
        "two sizes, two intervals, one split each"
    );
    let agreement = |p: &Value| p["agreement"].as_f64().unwrap();
    let natural = points.iter().find(|p| p["width"] == 64 && p["every"] == "1").unwrap();
    assert!(agreement(natural) > 0.999, "{natural}");
    let best = points.iter().map(agreement).fold(0.0, f64::max);
    let recommended = &points[usize::try_from(found["recommended"].as_u64().unwrap()).unwrap()];
    assert!(agreement(recommended) > best - 0.002 && recommended["confirmed"] == true, "{found}");
    assert!(recommended["latency_p95_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{found}");
    assert!(points.iter().any(|p| p["frontier"] == true), "{found}");

    let text = fs::read_to_string(bench.path("tuned.toml")).unwrap();
    assert_eq!(found["pipeline"], text);
    bench.maskline(["check", "--strict", "tuned.toml"]).ok();
    bench.maskline(["run", "tuned.toml", "--quiet"]).ok();
    assert_eq!(read_video(&bench.path("tuned-masked.mp4")).len(), FRAMES);
    let report = json(&bench, "tuned-report.json");
    assert_eq!(report["model"]["input_width"], recommended["width"]);
    assert!(report["latency"]["p95_ms"].as_f64().unwrap() >= report["latency"]["p50_ms"].as_f64().unwrap());

    tune(&bench, "--fps 1 -o tuned.toml").refused(64, "tuned.toml exists already");
    assert_eq!(fs::read_to_string(bench.path("tuned.toml")).unwrap(), text);
    tune(
        &bench,
        "--frames 4 --every 1 --sizes 64x48 --sessions 1 --fps 0.5 -o tuned.toml --overwrite -q",
    )
    .ok();
    assert_ne!(fs::read_to_string(bench.path("tuned.toml")).unwrap(), text);
}

#[test]
fn what_cannot_be_had_is_said_with_table_and_plot_and_without_a_pipeline() {
    let bench = bench();
    let args = "--sizes 64x48 --every 1,5 --sessions 1 --latency-ms 0.001 -o tuned.toml --plot p.png --json t.json";
    let ran = tune(&bench, args);
    assert!(ran.stdout.contains("frames/s"), "the table is given: {}", ran.stdout);
    is_plot(&bench.path("p.png"));
    assert!(!bench.path("tuned.toml").exists());
    let found = json(&bench, "t.json");
    assert_eq!((&found["recommended"], &found["pipeline"]), (&Value::Null, &Value::Null));
    let shortfall = found["shortfall"].as_str().unwrap();
    assert!(
        shortfall.contains("0.001 ms") && shortfall.contains("nearest is brightness"),
        "{shortfall}"
    );
    ran.refused(69, "the speed stands in the way");
}

#[test]
fn labels_tell_a_good_net_from_a_fast_one() {
    let bench = bench();
    let args = "--model turned.onnx --labels labels --max-loss 10 --sizes 64x48 --every 1 --sessions 1 --json t.json";
    let ran = tune(&bench, args).ok();
    assert!(
        ran.stdout.contains("mIoU %") && ran.stdout.contains("[source]"),
        "without -o the pipeline is printed: {}",
        ran.stdout
    );
    let found = json(&bench, "t.json");
    let points = found["points"].as_array().unwrap();
    let miou = |i: usize| points[i]["miou"].as_f64().unwrap();
    assert!(miou(0) > 0.9 && miou(1) < 0.1, "{found}");
    assert_eq!(found["recommended"], 0);
    assert_eq!(found["reference"]["miou"], points[0]["miou"]);
}

#[test]
fn without_a_wish_the_frontier_is_all_there_is() {
    let bench = bench();
    let ran = tune(&bench, "--sizes 64x48 --every 1,5 --sessions 1 --frames 10").ok();
    let rows: Vec<_> = ran.stdout.lines().filter(|l| l.contains("brightness  f32")).collect();
    assert_eq!(rows.len(), 2, "{}", ran.stdout);
    assert!(
        !ran.stdout.contains("recommended") && rows.iter().any(|r| r.starts_with(" *")),
        "{}",
        ran.stdout
    );
    assert!(rows.iter().all(|r| !r.contains('-')), "both have a latency: {}", ran.stdout);
}

#[test]
fn what_cannot_be_searched_is_refused_in_one_line_before_the_search() {
    let bench = bench();
    let other = Brightness::default();
    let mut contract = other.contract();
    contract.heads[0].classes[1].name = "light".into();
    let mut onnx = other.bare_onnx();
    maskline_models::onnx::append_contract(&mut onnx, &contract);
    bench.write("other.onnx", onnx);
    fs::create_dir(bench.path("small")).unwrap();
    grey(&bench.path("small/0.png"), (96, 96), &[0; 96 * 96]);
    for (args, code, part) in [
        ("--model missing.onnx", 78, "missing.onnx"),
        ("--model other.onnx", 78, "other.onnx and brightness.onnx cannot be compared"),
        ("--labels small", 65, "0.png is 96x96"),
        ("--labels nowhere", 65, "cannot read the labels"),
        ("--sizes 33x33", 78, "33x33"),
        ("-o tuned.toml", 64, "nothing says what it shall reach"),
        ("--fps 1 -o tuned.txt", 64, "ends in .toml"),
        ("--fps 1 -o brightness.toml", 64, "a model's sidecar"),
        ("--json same.png --plot ./same.png", 64, "are the same file"),
        ("--json brightness.onnx --overwrite", 64, "is the model"),
        ("--labels labels --json labels/t.json", 64, "in the folder of the labels"),
        ("--json no/such/t.json", 74, "no/such"),
    ] {
        tune(&bench, args).refused(code, part);
    }
    let bare = |args: &str| bench.maskline(format!("tune --model brightness.onnx {args}").split_whitespace());
    bare("--clip missing.mp4").refused(65, "missing.mp4 does not exist");
    bare("--clip test:").refused(64, "wanted a video");
    bare("--clip pictures --provider cuda").refused(78, "cuda");
    fs::remove_file(bench.path("labels/019.png")).unwrap();
    tune(&bench, "--labels labels").refused(65, "found 19 labels");
    let names = bench.names();
    assert!(
        !names.iter().any(|n| n.starts_with(".maskline") || n.ends_with(".toml")),
        "{names:?}"
    );
}
