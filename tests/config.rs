//! What the program says about pipeline files.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use maskline::config::PipelineConfig;
use maskline::testing::Brightness;
use std::fs;
use std::path::Path;
use support::Bench;

#[test]
fn all_problems_of_a_file_come_at_once_each_with_line_and_column() {
    let bench = Bench::new();
    let text = "\
[source]
input = 5
frames = 0

[model]
name = \"a\"
file = \"b.onnx\"
size = \"big\"

[overlay]
alhpa = 0.5
alpha = 1.5
only = [\"road\", 3]
legend = \"no\"

[outptu]
video = \"x.mp4\"

[temporal]
smooth_of = { car = 1.0, sign = \"a\", road = 0.5 }

[execution]
sessions = 65
";
    bench.write("bad.toml", text);
    for command in ["check", "run"] {
        let ran = bench.maskline([command, "bad.toml"]);
        assert_eq!(ran.code, Some(78), "{}", ran.stderr);
        let found: Vec<_> = ran.stderr.lines().map(|l| l.trim_start_matches("maskline: ")).collect();
        let wanted = [
            ("bad.toml:2:9: source.input:", "an integer"),
            ("bad.toml:3:10: source.frames:", "at least 1"),
            ("bad.toml:7:1: model.file:", "one of them"),
            ("bad.toml:8:8: model.size:", "WIDTHxHEIGHT"),
            ("bad.toml:11:1: unknown key \"alhpa\"", "alpha, only, outlines, legend"),
            ("bad.toml:12:9: overlay.alpha:", "1.5"),
            ("bad.toml:13:17: overlay.only:", "a list of texts"),
            ("bad.toml:14:10: overlay.legend:", "true or false"),
            ("bad.toml:16:2: unknown section \"outptu\"", "output"),
            ("bad.toml:20:21: temporal.smooth_of.car:", "below 1"),
            ("bad.toml:20:33: temporal.smooth_of.sign:", "a number"),
            ("bad.toml:23:12: execution.sessions:", "64"),
        ];
        assert_eq!(found.len(), wanted.len(), "{}", ran.stderr);
        for (line, (start, part)) in found.iter().zip(wanted) {
            assert!(line.starts_with(start) && line.contains(part), "{line}, wanted {start} ... {part}");
        }
    }
}

#[test]
fn a_confidence_that_the_model_does_not_give_is_refused_at_its_place() {
    let bench = Bench::new();
    let file = |model: &str, more: &str| {
        let text = format!(
            "[source]\ninput = \"test:\"\n[model]\nfile = \"{model}\"\n[output]\nreport = \"r.json\"\n[overlay]\nconfidence = true\n{more}"
        );
        bench.write("shade.toml", text);
        bench.maskline(["check", "shade.toml"])
    };
    file("brightness.onnx", "").refused(
        78,
        "shade.toml:8:14: overlay.confidence: the head \"brightness\" gives no confidence",
    );
    let net = Brightness {
        confident: true,
        ..Brightness::default()
    };
    bench.write("sure.onnx", net.onnx());
    file("sure.onnx", "").ok();
    file("sure.onnx", "[temporal]\nsmooth = 0.5\n").refused(78, "overlay.confidence: confidence is known of inferred frames only");
}

#[test]
fn a_mistake_in_the_syntax_has_its_place() {
    let bench = Bench::new();
    bench.write("bad.toml", "[source]\ninput = \"a.mp4\nframes = 3\n");
    let ran = bench.maskline(["check", "bad.toml"]);
    ran.refused(78, "bad.toml:2:");
    bench.maskline(["check", "missing.toml"]).refused(78, "missing.toml");
    bench.maskline(["run", "missing.toml"]).refused(65, "missing.toml");
}

#[test]
fn relative_paths_count_from_the_folder_of_the_file_and_names_stay_names() {
    let text = "[source]\ninput = 'a.mp4'\n[model]\nname = 'unet-road'\n[output]\nvideo = '/tmp/out.mp4'\nmasks = '../m'\n";
    let config = PipelineConfig::parse(text, Path::new("deep/folder")).unwrap();
    assert_eq!(config.source.input, "deep/folder/a.mp4");
    assert_eq!(config.model.name.as_deref(), Some("unet-road"));
    assert_eq!(config.output.video.as_deref(), Some(Path::new("/tmp/out.mp4")));
    assert_eq!(config.output.masks.as_deref(), Some(Path::new("deep/m")));
    let config = PipelineConfig::parse("[source]\ninput = 'test:ball'\n", Path::new("deep")).unwrap();
    assert_eq!(config.source.input, "test:ball");
}

#[test]
fn the_shipped_pipelines_are_right_and_check_looks_at_the_model() {
    let bench = Bench::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    let mut args = vec!["check".into()];
    args.extend(files.iter().map(|f| f.as_os_str().to_owned()));
    let ran = bench.maskline(&args).ok();
    assert_eq!(ran.stdout.lines().filter(|l| l.contains(": ok")).count(), files.len());

    let with = |model: &str| format!("[source]\ninput = 'test:'\n[output]\njson = '-'\n[model]\nfile = 'brightness.onnx'\n{model}");
    for (text, part) in [
        (with("head = 'lanes'"), "it has brightness"),
        (with("size = '65x48'"), "multiples of 8"),
        (with("[overlay]\nonly = ['road']"), "road"),
        (with("").replace("brightness", "missing"), ""),
    ] {
        bench.write("p.toml", &text);
        let ran = bench.maskline(["check", "p.toml"]);
        if part.is_empty() {
            ran.ok();
            bench.maskline(["check", "--strict", "p.toml"]).refused(78, "missing.onnx");
        } else {
            ran.refused(78, part);
        }
    }
    // The library that the tests run has no TensorRT.
    bench.write("p.toml", with("[execution]\nprovider = 'tensorrt'"));
    bench.maskline(["check", "p.toml"]).ok();
    bench.maskline(["check", "--strict", "p.toml"]).refused(78, "execution.provider");
}

#[test]
fn check_tells_all_that_is_wrong_with_model_and_outputs_each_with_its_place() {
    let bench = Bench::new();
    let text = "\
[source]
input = \"rtmp://camera/1\"
[model]
file = \"brightness.onnx\"
size = \"65x48\"
[overlay]
only = [\"road\", \"bright\", \"cra\"]
[output]
video = \"out.avi\"
masks = \"no/masks\"
json = \"no/frames.jsonl\"
";
    bench.write("p.toml", text);
    let strict = [
        ("p.toml:2:9: source.input: ", "rtmp://"),
        ("p.toml:5:8: model.size: ", "64x48"),
        ("p.toml:7:8: overlay.only: ", "\"road\", \"cra\"; the model has dark, bright"),
        ("p.toml:9:9: output.video out.avi ", ".mkv"),
        ("p.toml:11:8: output.json no/frames.jsonl ", "mkdir -p no"),
        ("p.toml:10:9: output.masks no/masks ", "mkdir -p no"),
    ];
    for (args, wanted) in [
        (&["check", "p.toml"][..], &strict[..4]),
        (&["check", "--strict", "p.toml"], &strict),
    ] {
        let ran = bench.maskline(args);
        let found: Vec<_> = ran.stderr.lines().collect();
        assert_eq!((ran.code, found.len()), (Some(78), wanted.len()), "{}", ran.stderr);
        for (start, part) in wanted {
            let start = format!("maskline: {start}");
            let line = found.iter().find(|l| l.starts_with(&start));
            assert!(line.is_some_and(|l| l.contains(part)), "wanted {start} ... {part}: {}", ran.stderr);
        }
    }
    bench.write(
        "q.toml",
        "[source]\ninput = 'test:'\n[model]\nfile = 'brightness.onnx'\nhead = 'lanes'\n[output]\nsheet = 's.png'\n",
    );
    let ran = bench.maskline(["check", "q.toml"]);
    assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("q.toml:5:8: model.head: ") && ran.stderr.contains("q.toml:7:9: output.sheet "));
    bench.write("r.toml", "[source]\ninput = 'test:'\n[model]\nfile = 'brightness.onnx'\n");
    bench.maskline(["check", "r.toml"]).refused(78, "r.toml: found nothing to write");
}

#[test]
fn a_run_names_the_line_of_a_file_or_the_flag_that_took_its_place() {
    let bench = Bench::new();
    let text = "[source]\ninput = 'test:'\n[model]\nfile = 'brightness.onnx'\nsize = '65x48'\n[output]\nvideo = 'a.mp4'\n";
    bench.write("p.toml", text);
    bench
        .maskline(["run", "p.toml"])
        .refused(78, "p.toml:5:8: model.size: the size 65x48");
    bench
        .maskline(["run", "p.toml", "--size", "66x48"])
        .refused(78, "maskline: the size 66x48");
    bench.write("a.mp4", "precious");
    bench
        .maskline(["run", "p.toml"])
        .refused(64, "p.toml:7:9: output.video a.mp4 exists already");
    bench.write("b.mp4", "precious");
    bench
        .maskline(["run", "p.toml", "-o", "b.mp4"])
        .refused(64, "maskline: --output b.mp4 exists already");
}

#[test]
fn models_are_shown_and_verified() {
    let bench = Bench::new();
    let ran = bench.maskline(["models", "show", "brightness.onnx"]).ok();
    for part in [
        "Tells dark pixels from bright ones",
        "image: NCHW RGB",
        "64x48 in multiples of 8",
        "#ff8c00  bright",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let ran = bench.maskline(["models", "verify", "brightness.onnx", "--provider", "cpu"]).ok();
    assert!(ran.stdout.contains("head brightness runs on"), "{}", ran.stdout);
    bench.maskline(["models", "list"]).ok();
    bench.maskline(["models", "show", "missing.onnx"]).refused(78, "missing.onnx");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let bench = Bench::new();
    let ran = bench.maskline(["--version"]).ok();
    assert_eq!(ran.stdout, format!("maskline {}\n", env!("CARGO_PKG_VERSION")));
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["models", "--help"],
        &["doctor", "--help"],
    ] {
        let ran = bench.maskline(args).ok();
        assert!(ran.stdout.contains("Usage: maskline"), "{}", ran.stdout);
    }
}

#[test]
fn a_net_that_remembers_is_refused_where_frames_would_be_left_out() {
    let bench = Bench::new();
    let net = Brightness {
        counts: true,
        ..Brightness::default()
    };
    bench.write("net.onnx", net.onnx());
    let file = |temporal: &str| {
        let text = format!("[source]\ninput = 'test:'\n[model]\nfile = 'net.onnx'\n[output]\nvideo = 'o.mp4'\n[temporal]\n{temporal}\n");
        bench.write("p.toml", text);
    };
    for (temporal, place) in [
        ("every = 2", "p.toml:8:9: temporal.every"),
        ("hold_fps = 20", "p.toml:8:12: temporal.hold_fps"),
    ] {
        file(temporal);
        bench.maskline(["check", "p.toml"]).refused(78, place);
        bench
            .maskline(["run", "p.toml", "--frames", "3"])
            .refused(78, "remembers what it saw");
    }
    file("smooth = 0.5");
    bench.maskline(["check", "p.toml"]).ok();
    bench.maskline(["run", "p.toml", "--frames", "3"]).ok();
}
