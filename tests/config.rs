//! What the program says about pipeline files.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use maskline::config::PipelineConfig;
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
        ];
        assert_eq!(found.len(), wanted.len(), "{}", ran.stderr);
        for (line, (start, part)) in found.iter().zip(wanted) {
            assert!(line.starts_with(start) && line.contains(part), "{line}, wanted {start} ... {part}");
        }
    }
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
    assert_eq!(config.output.masks.as_deref(), Some(Path::new("deep/folder/../m")));
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
    assert_eq!(ran.stdout.lines().filter(|l| l.ends_with(": ok")).count(), files.len());

    let with = |model: &str| format!("[source]\ninput = 'test:'\n[model]\nfile = 'brightness.onnx'\n{model}");
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
