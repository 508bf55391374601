//! `maskline bench` on a tiny clip with a tiny net: its figures hold together, and what is wrong is told in one line.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use serde_json::Value;
use support::{Bench, Clip, Ran};

const STAGES: [&str; 7] = ["decode", "preprocess", "infer", "postprocess", "overlay", "encode", "whole"];

fn bench(bench: &Bench, args: &str) -> Ran {
    let line = format!("bench --model ./brightness.onnx --provider cpu {args}");
    bench.maskline(line.split(' '))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 0.01 * a.abs().max(b.abs()) + 1e-3
}

/// What must be true of every result.
fn holds_together(json: &Value) {
    let stages = json["stages"].as_array().unwrap();
    let names: Vec<_> = stages.iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| **name != "motion").copied().collect::<Vec<_>>(), STAGES);
    let of = |stage: &str, key: &str| {
        let stage = stages.iter().find(|s| s["stage"] == stage).unwrap();
        number(&stage[key])
    };
    for stage in STAGES {
        assert!(of(stage, "cpu_ms") > 0.0 && of(stage, "wall_ms") > 0.0, "{stage}: {json}");
        let share = of(stage, "cpu_ms") / of("whole", "cpu_ms");
        assert!((of(stage, "share") - share).abs() < 1e-3, "{stage}: {json}");
    }
    for stage in stages {
        let one_call = !["decode", "encode", "whole"].contains(&stage["stage"].as_str().unwrap());
        assert_eq!(stage["p50_ms"].is_number(), one_call, "{stage}");
        assert!(!one_call || number(&stage["p50_ms"]) <= number(&stage["p95_ms"]), "{stage}");
    }
    let sum: f64 = names.iter().filter(|name| **name != "whole").map(|stage| of(stage, "cpu_ms")).sum();
    assert!(near(sum, number(&json["stages_cpu_ms"])), "{json}");
    let needed: f64 = ["decode", "infer", "encode"].iter().map(|stage| of(stage, "cpu_ms")).sum();
    let limit = number(&json["limit_frames_per_s"]);
    assert!(near(limit, number(&json["machine"]["cores"]) * 1e3 / needed), "{json}");
    let reached = number(&json["frames_per_s"]);
    assert!(near(reached, 1e3 / of("whole", "wall_ms")), "{json}");
    assert!(near(number(&json["fraction"]), reached / limit), "{json}");
    assert!(
        near(number(&json["whole_to_net"]), of("whole", "wall_ms") / of("infer", "wall_ms")),
        "{json}"
    );
    assert!(number(&json["peak_memory_mib"]) > 1.0);
}

#[test]
fn the_figures_of_a_clip_hold_together() {
    let folder = Bench::new();
    Clip::regular(128, 96, 12).write(&folder.path("in.mp4"));
    let before = folder.names();
    // More frames than there are: it takes what there is.
    let ran = bench(&folder, "--clip in.mp4 --size 64x48 --frames 40 --threads 2 --json").ok();
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    holds_together(&json);
    assert_eq!(json["frames"], 12);
    assert_eq!(json["sessions"], 2);
    assert_eq!(
        json["stages"].as_array().unwrap().len(),
        STAGES.len(),
        "no motion where nothing is remembered"
    );
    assert_eq!(json["clip"]["name"], "in.mp4");
    assert_eq!(
        (&json["clip"]["width"], &json["clip"]["height"]),
        (&Value::from(128), &Value::from(96))
    );
    assert_eq!(
        (&json["model"]["input_width"], &json["provider"]["taken"]),
        (&Value::from(64), &Value::from("cpu"))
    );
    assert!(!json["machine"]["cpu"].as_str().unwrap().is_empty());
    assert!(ran.stderr.contains("round 5 of 5: whole"), "{}", ran.stderr);
    assert_eq!(folder.names(), before, "nothing is left behind");
}

#[test]
fn without_a_clip_a_test_pattern_is_encoded_and_a_table_printed() {
    let folder = Bench::new();
    let ran = bench(&folder, "--frames 3 --threads 1 --json numbers.json").ok();
    assert_eq!(ran.stdout, "");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(folder.path("numbers.json")).unwrap()).unwrap();
    holds_together(&json);
    assert_eq!(
        (&json["clip"]["name"], &json["clip"]["width"], &json["frames"]),
        (&Value::Null, &Value::from(1280), &Value::from(3))
    );
    assert_eq!(json["sessions"], 1);
    bench(&folder, "--frames 3 --json numbers.json").refused(64, "numbers.json exists already");

    Clip::regular(64, 48, 4).write(&folder.path("in.mp4"));
    let ran = bench(&folder, "--clip in.mp4 --frames 4").ok();
    for word in STAGES.iter().chain(&["sum", "limit: ", "of the limit", "ONNX Runtime", "core"]) {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
}

#[test]
fn a_net_that_remembers_has_a_motion_stage() {
    let folder = Bench::new();
    Clip::regular(128, 96, 4).write(&folder.path("in.mp4"));
    let net = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nets/remembering.onnx");
    let args = "--provider cpu --clip in.mp4 --size 64x48 --frames 4 --threads 1 --json";
    let ran = folder.maskline(["bench", "--model", net].into_iter().chain(args.split(' '))).ok();
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    holds_together(&json);
    let motion = &json["stages"][1];
    assert_eq!(motion["stage"], "motion");
    assert!(number(&motion["cpu_ms"]) > 0.0 && motion["p50_ms"].is_number(), "{motion}");
}

#[test]
fn what_cannot_be_measured_is_refused_in_one_line() {
    let folder = Bench::new();
    folder.write("empty.mp4", "");
    folder.write("text.mp4", "This is a text and no video.\n".repeat(100));
    for (args, code, part) in [
        ("--clip missing.mp4", 65, "missing.mp4 does not exist"),
        ("--clip empty.mp4", 65, "empty.mp4 is empty"),
        ("--clip text.mp4", 65, "text.mp4"),
        ("--clip test:live", 64, "wanted a video file"),
        ("--frames 0", 64, "at least 1"),
        ("--size 7x7 --frames 2", 78, "7x7"),
        ("--json no/such/folder.json", 74, "no/such"),
    ] {
        bench(&folder, args).refused(code, part);
    }
}
