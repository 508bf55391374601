//! The built program: exit codes, one line an error, and what a signal does.

#![allow(clippy::unwrap_used)] // tests

mod common;

use maskline_models::Model;
use maskline_models::onnx::ModelProto;
use maskline_training::onnx_graph::floats;
use prost::Message;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn program(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maskline-training"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn fails(args: &[&str], folder: &Path, code: i32, says: &str) {
    let output = program(args, folder);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(says), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn every_failure_has_its_code_and_names_the_remedy() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    common::write_shapes(at, 4);
    let config = common::config(at, 1);
    let write = |name: &str, text: &str| std::fs::write(at.join(name), text).unwrap();
    std::fs::create_dir(at.join("own")).unwrap();
    write("good.toml", &config);
    write("bad.toml", &config.replace("batch = 4", "batch = 0\nbach = 4"));
    write("nowhere.toml", &config.replace("/images", "/nowhere"));
    write("init.toml", &format!("init = \"builtin:nothing\"\n{config}"));
    write("loss.toml", &config.replace("dice = 0.5", "cross_entropy = 0\nohem_share = 2"));
    write("empty.toml", "");
    write("text.ckpt", "hello");

    fails(&["trian"], at, 64, "trian");
    fails(&["eval"], at, 64, "required");
    fails(&["eval", "text.ckpt"], at, 78, "text.ckpt is not a checkpoint");
    fails(&["eval", "none.ckpt"], at, 78, "there is no checkpoint none.ckpt");
    fails(&["eval", "none.ckpt", "--scales", "1,0"], at, 64, "--scales has 0, wanted factors");
    fails(
        &["eval", "none.ckpt", "--worst", "few", "w.png"],
        at,
        64,
        "wanted a number of pictures",
    );
    fails(&["eval", "none.ckpt", "--boundary-tolerance", "20"], at, 64, "wanted 0 to 5 %");
    fails(&["eval", "--masks", ".", "--flip"], at, 64, "cannot be used");
    fails(&["train", "init.toml"], at, 78, "there are: fpn-road");
    fails(&["train", "good.toml", "--threads", "0"], at, 64, "0 is not in 1..=1024");
    fails(&["train", "good.toml", "--epochs", "0"], at, 64, "0 is not in 1..");
    fails(
        &["kfold", "good.toml", "--max-minutes", "nan"],
        at,
        64,
        "wanted a number of minutes above 0",
    );
    if maskline_models::library::find_onnxruntime().is_ok() {
        let data = ["--images", "images", "--labels", "labels"];
        let args = [&["eval", "builtin:unet-road", "--size", "100x100"][..], &data].concat();
        fails(&args, at, 64, "does not fit this model, which needs multiples of 32: use 96x96");
    }
    fails(&["train", "none.toml"], at, 74, "cannot read none.toml");
    fails(&["train", "bad.toml"], at, 78, "unknown key train.bach");
    fails(&["train", "bad.toml"], at, 78, "batch is 0");
    fails(
        &["train", "loss.toml"],
        at,
        78,
        "wanted one of cross_entropy, focal, ohem, dice and lovasz above 0",
    );
    fails(&["train", "loss.toml"], at, 78, "ohem_share is 2, wanted 0 to 1");
    fails(&["train", "empty.toml"], at, 78, "missing field");
    fails(&["train", "nowhere.toml"], at, 65, "cannot read the folder");
    fails(&["train", "good.toml", "--device", "tpu"], at, 78, "--device cpu");
    fails(&["train", "good.toml", "--resume", "--out", "new"], at, 78, "leave --resume out");
    fails(
        &["tune-rate", "good.toml", "--from", "1", "--to", "0.1"],
        at,
        64,
        "the smaller first",
    );
    fails(&["tune-rate", "good.toml", "--steps", "3"], at, 64, "20");
    fails(&["kfold", "good.toml"], at, 65, "has no _ behind its drive");
    fails(
        &["kfold", "good.toml", "--drives", "7"],
        at,
        78,
        "no picture's name begins with the drive 7",
    );
    fails(&["kfold", "good.toml", "--drives", "0"], at, 78, "nothing of the drives is left");
    let label = |model, more: [&str; 4], code, says| {
        let args = [&["label", model, "--images"], &more[..]].concat();
        fails(&args, at, code, says);
    };
    label(
        "none.ckpt",
        ["images", "--out", "guess", "--threshold=2"],
        64,
        "--threshold is 2, wanted 0 to 1",
    );
    label(
        "none.ckpt",
        ["images", "--out", "guess", "--temperature=0"],
        64,
        "wanted more than 0",
    );
    label(
        "none.ckpt",
        ["images", "--out", "guess", "--device=cpu"],
        78,
        "there is no checkpoint",
    );
    fails(&["data", "check", "nowhere.toml"], at, 65, "nowhere");
    fails(&["nets", "--size", "33x32"], at, 64, "multiples of");
    fails(&["nets", "--only"], at, 64, "required");
    fails(&["nets", "text.ckpt"], at, 78, "text.ckpt");
    fails(&["compare", "none.json"], at, 74, "cannot read none.json");
    fails(&["compare", "--papers", "bad.toml"], at, 78, "paper");
    let lost = "is read by this command and would be lost";
    fails(&["compare", "text.ckpt", "--json", "./text.ckpt"], at, 64, lost);
    fails(&["nets", "good.toml", "--json", "good.toml"], at, 64, lost);
    fails(&["data", "check", "good.toml", "--sheet", "good.toml"], at, 64, lost);
    write("net.onnx", "");
    write("net.toml", "");
    fails(&["compare", "net.onnx", "--json", "net.toml"], at, 64, lost);
    fails(&["compare", "--json", "a", "--plot", "a"], at, 64, "would be written twice");
    fails(&["compare", "--json", "images"], at, 64, "is a folder");
    fails(&["eval", "text.ckpt", "--json", "text.ckpt"], at, 64, lost);
    let shapes = ["eval", "text.ckpt", "--images", "images", "--labels", "labels"];
    fails(&[&shapes[..], &["--confusion", "labels/000.png"]].concat(), at, 64, lost);
    fails(
        &[&shapes[..], &["--json", "a", "--confusion", "./a"]].concat(),
        at,
        64,
        "would be written twice",
    );
    fails(&["data", "check", "good.toml", "--sheet", "classes.toml"], at, 64, lost);
    fails(&["eval", "text.ckpt", "--every", "0"], at, 64, "0 is not in 1..");
    fails(&["eval", "text.ckpt", "--head", "logits"], at, 64, "has one head: leave --head out");
    fails(&["eval", "text.ckpt", "--split", "test"], at, 64, "--data");
    let explain = ["explain", "text.ckpt", "images/000.png", "--out", "sheets"];
    fails(&[&explain[..], &["--labels", "labels"]].concat(), at, 64, "--labels");
    fails(&[&explain[..], &["--include-prefix", "0"]].concat(), at, 64, "--include-prefix");
    fails(&["nets", "--rounds", "5"], at, 64, "--time");
    fails(&["export", "text.ckpt", "-o", "a.onnx", "--name", ""], at, 64, "--name");
    fails(
        &["kfold", "good.toml", "--drives", "00,000"],
        at,
        64,
        "wanted drives that share no picture",
    );
    fails(&["kfold", "good.toml", "--drives", "00,"], at, 64, "drive 2 of --drives is \"\"");
    if maskline_models::library::find_onnxruntime().is_ok() {
        fails(
            &["compare", "builtin:unet-road", "--size", "63x63"],
            at,
            64,
            "builtin:unet-road needs multiples of 32",
        );
    }
    let set = [
        ("name = \"shapes\"", "name = \"../shapes\"", "name is \"../shapes\", wanted a name"),
        ("batch = 4", "batch = 100000000", "batch is 100000000, wanted 1 to 1024"),
        ("warmup_steps = 2", "power = -1", "power is -1, wanted more than 0"),
        ("warmup_steps = 2", "power = 2", "power is 2, wanted kind = \"poly\" beside it"),
        ("scale = [0.8, 1.25]", "mix_share = 0.3", "mix_share is 0.3, wanted a mix beside it"),
        ("crop = [32, 32]", "crop = [1000000, 32]", "crop is 1000000 (width), wanted"),
        ("dice = 0.5", "focal_gamma = 3", "focal_gamma is 3, wanted focal above 0 beside it"),
        (
            "class_weights = \"log\"",
            "class_weights = \"few\"",
            "class_weights wants \"none\", \"log\"",
        ),
        ("class_weights = \"log\"", "class_weights = [0.0, 0.0, 0.0]", "one of them above"),
    ];
    for (key, value, says) in set {
        assert!(config.contains(key), "{key}");
        write("wrong.toml", &config.replace(key, value));
        fails(&["train", "wrong.toml"], at, 78, says);
    }
    std::fs::write(at.join("binary.toml"), [0xff, 0xfe, 0]).unwrap();
    fails(&["train", "binary.toml"], at, 78, "binary.toml is no text");
    write("own/config.toml", &config);
    fails(&["train", "own/config.toml", "--out", "own"], at, 64, "a run would write over");
    for label in std::fs::read_dir(at.join("labels")).unwrap() {
        let void = image::GrayImage::from_pixel(common::SIDE as u32, common::SIDE as u32, image::Luma([9]));
        void.save(label.unwrap().path()).unwrap();
    }
    fails(&["train", "good.toml", "--out", "void"], at, 65, "no pixel of [[data]] has a label");
    fails(
        &["tune-rate", "good.toml", "--plot", "new/plot.png"],
        at,
        74,
        "there is no folder new",
    );
}

#[test]
fn quantize_says_what_it_wants_before_it_works() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    common::write_shapes(at, 4);
    std::fs::write(at.join("text.onnx"), "hello").unwrap();
    let fails = |more: &[&str], code, says: &str| {
        let args = [&["quantize", "builtin:unet-road", "-o", "small.onnx"], more].concat();
        fails(&args, at, code, says);
        assert!(!at.join("small.onnx").exists(), "{more:?}");
    };
    fails(&[], 64, "name the labelled pictures");
    fails(&["--data", ".", "--samples", "0"], 64, "--samples");
    fails(&["--data", ".", "--ranges", "guess"], 64, "minmax");
    fails(&["--data", ".", "--percentile", "12"], 64, "wanted 50 to 100");
    fails(&["--data", ".", "--ranges", "minmax", "--percentile", "99"], 64, "leave it out");
    fails(
        &["--data", ".", "--to", "f16", "--max-loss", "1"],
        64,
        "--max-loss belongs to --to int8",
    );
    fails(&["--data", ".", "--float-layers", "2", "--max-loss", "1"], 64, "cannot be used");
    fails(&["--data", ".", "--weight-bits", "4"], 64, "7..=8");
    fails(&["--data", "."], 65, "leaves none to measure on");
    fails(&["--data", "nowhere"], 65, "name its folders");
    let quantize = |model, out, code, says| self::fails(&["quantize", model, "-o", out, "--data", "."], at, code, says);
    quantize("text.onnx", "small.onnx", 78, "not an ONNX model");
    quantize("builtin:nothing", "small.onnx", 78, "there are: fpn-road");
    quantize("builtin:unet-road", "nowhere/small.onnx", 74, "there is no folder nowhere");
    let remembering = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/nets/remembering.onnx");
    quantize(remembering, "small.onnx", 78, "quantize a net without memory");
    self::fails(
        &["average", remembering, remembering, "-o", "mean.onnx"],
        at,
        78,
        "remembers earlier frames",
    );
}

#[test]
fn a_broken_label_stops_a_run_with_code_65() {
    let root = tempfile::tempdir().unwrap();
    common::write_shapes(root.path(), 4);
    std::fs::write(root.path().join("config.toml"), common::config(root.path(), 1)).unwrap();
    image::GrayImage::from_pixel(40, 40, image::Luma([200]))
        .save(root.path().join("labels/001.png"))
        .unwrap();
    fails(&["train", "config.toml"], root.path(), 65, "holds the id 200");
    std::fs::remove_file(root.path().join("labels/001.png")).unwrap();
    fails(&["train", "config.toml"], root.path(), 65, "001.png has no label");
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_the_program_without_a_word() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut nets = Command::new(env!("CARGO_BIN_EXE_maskline-training"));
    let output = nets.arg("nets").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn nets_and_data_are_listed() {
    let root = tempfile::tempdir().unwrap();
    common::write_shapes(root.path(), 4);
    std::fs::write(root.path().join("config.toml"), common::config(root.path(), 1)).unwrap();
    let nets = program(&["nets", "config.toml"], root.path());
    let text = String::from_utf8_lossy(&nets.stdout);
    assert!(text.contains("attention-unet") && text.contains("shapes"), "{text}");
    assert!(text.contains("fpn with a memory") && text.contains("memory 64"), "{text}");
    let data = program(&["data", "check", "config.toml", "--sheet", "sheet.png"], root.path());
    assert!(image::open(root.path().join("sheet.png")).is_ok());
    let text = String::from_utf8_lossy(&data.stdout);
    assert!(text.contains("4 pictures, 40x40 (4)") && text.contains("square"), "{text}");
}

#[test]
fn nets_are_timed_and_models_set_beside_published_ones() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    std::fs::write(at.join("config.toml"), common::config(at, 1)).unwrap();
    let read = |name: &str| -> serde_json::Value { serde_json::from_slice(&std::fs::read(at.join(name)).unwrap()).unwrap() };
    let args = [
        "nets",
        "--only",
        "config.toml",
        "builtin:fpn-road",
        "--size",
        "64x32",
        "--size",
        "128x64",
    ];
    let timed = program(
        &[&args[..], &["--time", "--threads", "1", "--rounds", "1", "--json", "nets.json"]].concat(),
        at,
    );
    assert!(timed.status.success(), "{}", String::from_utf8_lossy(&timed.stderr));
    let nets = read("nets.json")["nets"].as_array().unwrap().clone();
    assert_eq!(nets.len(), 2, "{nets:?}");
    for net in &nets {
        let gmacs = |i: usize| net["costs"][i]["gmacs"].as_f64().unwrap();
        // The mean of the coarsest level goes through a convolution that costs the same at every size.
        assert!((gmacs(1) / gmacs(0) - 4.0).abs() < 0.01, "{net}");
        assert!(
            net["costs"][0]["ms"].as_f64().unwrap() > 0.0 && net["parameters"].as_u64().unwrap() > 0,
            "{net}"
        );
    }

    let compared = program(&["compare", "builtin:fpn-road", "--plot", "plot.png", "--json", "points.json"], at);
    let text = String::from_utf8_lossy(&compared.stdout);
    assert!(
        compared.status.success() && text.contains("| **fpn-road** | ") && text.contains("| val |"),
        "{text}"
    );
    assert!(image::open(at.join("plot.png")).is_ok());
    let ours = read("points.json")[0].clone();
    assert!((ours["gmacs"].as_f64().unwrap() - 2.12).abs() < 0.01, "{ours}"); // as its card says
    let share = ours["parameters"].as_f64().unwrap() / 1_452_907.0;
    assert!((0.99..=1.0).contains(&share), "batch norms are folded: {ours}");
}

#[test]
fn a_clip_is_measured_from_frame_to_frame() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    common::write_shapes(at, 2);
    // Three still frames, and the maps of the second one are of another picture.
    let copy = |from: &str, to: &str| std::fs::copy(at.join(from), at.join(to)).unwrap();
    std::fs::create_dir(at.join("masks")).unwrap();
    for (frame, map) in [("000", "000"), ("001", "001"), ("002", "000")] {
        copy(&format!("labels/{map}.png"), &format!("masks/{frame}.png"));
    }
    for frame in ["001", "002"] {
        copy("images/000.png", &format!("images/{frame}.png"));
        copy("labels/000.png", &format!("labels/{frame}.png"));
    }
    let data = ["--classes", "classes.toml", "--images", "images", "--labels", "labels"];
    let args = [&["eval", "--masks", "masks", "--clip", "--json", "scores.json"][..], &data].concat();
    let measured = || -> serde_json::Value {
        let output = program(&args, at);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("flicker where the label stays"), "{text}");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(at.join("scores.json")).unwrap()).unwrap();
        json["temporal"].clone()
    };
    let temporal = measured();
    assert_eq!(
        (temporal["pairs"].as_u64(), temporal["cuts"].as_u64()),
        (Some(2), Some(0)),
        "{temporal}"
    );
    // what changes there and back again, of all that has a label
    let map = |name: &str| image::open(at.join(name)).unwrap().into_luma8().into_raw();
    let (labels, other) = (map("labels/000.png"), map("masks/001.png"));
    let labelled: Vec<_> = labels.iter().zip(&other).filter(|(label, _)| **label != 9).collect();
    let changed = labelled.iter().filter(|(label, map)| label != map).count();
    let share = changed as f64 / labelled.len() as f64;
    assert!(share > 0.1, "{share}");
    for (found, wanted) in [
        (&temporal["flicker_at_same_label"], share),
        (&temporal["flicker"], share),
        (&temporal["labels"]["flicker"], 0.0),
        (&temporal["labels"]["consistency"], 1.0),
    ] {
        assert!((found.as_f64().unwrap() - wanted).abs() < 1e-9, "{share}: {temporal}");
    }
    // a frame from elsewhere: its number says that it does not follow
    for folder in ["images", "labels", "masks"] {
        copy(&format!("{folder}/000.png"), &format!("{folder}/100.png"));
    }
    let temporal = measured();
    assert_eq!(
        (temporal["pairs"].as_u64(), temporal["cuts"].as_u64()),
        (Some(2), Some(1)),
        "{temporal}"
    );
    // names that count nothing
    for folder in ["images", "labels", "masks"] {
        for (frame, name) in [("000", "7a31"), ("001", "b05c2"), ("002", "c9d9"), ("100", "e4b7")] {
            std::fs::rename(at.join(format!("{folder}/{frame}.png")), at.join(format!("{folder}/{name}.png"))).unwrap();
        }
    }
    let output = program(&args, at);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("no frame follows another"), "{text}");
}

/// A run of the folder's config.toml, and what it says.
fn training(folder: &Path) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_maskline-training"))
        .args(["train", "config.toml", "--out", "run"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

fn signal(name: &str, child: &Child) {
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

#[test]
fn the_first_interrupt_saves_and_leaves_with_130() {
    let root = tempfile::tempdir().unwrap();
    common::write_shapes(root.path(), 8);
    std::fs::write(root.path().join("config.toml"), common::config(root.path(), 1_000_000)).unwrap();
    let (mut child, mut lines) = training(root.path());
    lines
        .find(|line| line.starts_with("epoch 1 "))
        .expect("the first epoch is reported");
    signal("-INT", &child);
    assert!(lines.any(|line| line.contains("stopped and saved")));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let more = program(
        &["train", "config.toml", "--out", "run", "--resume", "--max-minutes", "0.0001"],
        root.path(),
    );
    assert!(more.status.success(), "{}", String::from_utf8_lossy(&more.stderr));
}

#[test]
fn a_termination_saves_too_and_leaves_with_143() {
    let root = tempfile::tempdir().unwrap();
    common::write_shapes(root.path(), 8);
    std::fs::write(root.path().join("config.toml"), common::config(root.path(), 1_000_000)).unwrap();
    let (mut child, mut lines) = training(root.path());
    lines
        .find(|line| line.starts_with("epoch 1 "))
        .expect("the first epoch is reported");
    signal("-TERM", &child);
    assert!(lines.any(|line| line.contains("stopped and saved")));
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(root.path().join("run/last.ckpt").is_file());
}

#[test]
fn a_run_at_its_end_names_every_bound_that_it_has_reached() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    common::write_shapes(at, 4);
    let impatient = common::config(at, 20)
        .replace("rate = 2e-2", "rate = 1e-12")
        .replace("batch = 4", "batch = 4\npatience = 1");
    std::fs::write(at.join("config.toml"), impatient).unwrap();
    let train = |more: &[&str]| {
        let output = program(&[&["train", "config.toml", "--out", "run"], more].concat(), at);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    train(&[]);
    let epochs = std::fs::read_to_string(at.join("run/metrics.csv")).unwrap().lines().count() - 1;
    assert!(epochs < 20);
    let patience = train(&["--resume"]);
    assert!(patience.contains("takes a larger train.patience"), "{patience}");
    let both = train(&["--resume", "--epochs", &epochs.to_string()]);
    assert!(both.contains("takes a larger --epochs and a larger train.patience"), "{both}");
}

#[test]
fn a_net_that_unfolds_pixels_is_exported_antialiased_and_no_other_is() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    common::write_shapes(at, 4);
    for (name, stride) in [("full", 1), ("half", 2)] {
        let config = common::config(at, 1).replace("dropout = 0.1", &format!("stem_stride = {stride}"));
        std::fs::write(at.join(format!("{name}.toml")), config).unwrap();
        let output = program(&["train", &format!("{name}.toml"), "--out", name], at);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let full = ["export", "full/best.ckpt", "-o", "full.onnx", "--antialias"];
    fails(&full, at, 64, "--antialias is for nets that unfold pixels");
    let output = program(&["export", "half/best.ckpt", "-o", "half.onnx", "--antialias"], at);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let model = Model::open(at.join("half.onnx").to_str().unwrap(), None).unwrap();
    let training = model.contract.training.unwrap();
    assert_eq!((training.miou, &*training.split), (None, ""), "of this net nothing was measured");
    let graph = ModelProto::decode(&*std::fs::read(at.join("half.onnx")).unwrap())
        .unwrap()
        .graph
        .unwrap();
    assert_eq!(graph.node.iter().filter(|node| node.op_type == "AveragePool").count(), 2);
}

#[test]
fn an_interrupt_before_the_first_step_leaves_at_once() {
    let root = tempfile::tempdir().unwrap();
    let config = "name = \"scenes\"\n[net]\nkind = \"unet\"\n[[data]]\nkind = \"synth\"\ncount = 100000\n[train]\nepochs = 1\nbatch = 1\n"; // an hour of rendering
    std::fs::write(root.path().join("config.toml"), config).unwrap();
    let (mut child, mut lines) = training(root.path());
    lines.find(|line| line.starts_with("rendering ")).expect("scenes are announced");
    signal("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(lines.count(), 0, "there was nothing to save");
}

/// A file of the same net with other weights, data and licence.
fn sister(name: &str) -> Vec<u8> {
    let mut model = ModelProto::decode(&*Model::open(name, None).unwrap().onnx).unwrap();
    for contract in &mut model.metadata_props {
        contract.value = contract
            .value
            .replace("CC BY-NC 4.0", "MIT")
            .replace("scenes from seed 1", "scenes from seed 9");
    }
    let weights = model.graph.as_mut().unwrap().initializer.iter_mut().filter(|t| floats(t).is_some());
    for number in weights.flat_map(|t| t.raw_data.as_chunks_mut::<4>().0) {
        *number = (f32::from_le_bytes(*number) * 1.01).to_le_bytes();
    }
    model.encode_to_vec()
}

#[test]
fn the_mean_of_two_models_lies_between_them() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    std::fs::write(at.join("sister.onnx"), sister("builtin:fpn-road")).unwrap();
    let sister = at.join("sister.onnx").display().to_string();
    let [a, b] = ["builtin:fpn-road", &*sister];
    fails(&["average", a, "-o", "m.onnx"], at, 64, "2 values required");
    fails(
        &["average", a, b, "-o", "m.onnx", "--shares", "1,2,3"],
        at,
        64,
        "--shares has 3 numbers, wanted 2",
    );
    fails(
        &["average", a, b, "-o", "m.onnx", "--shares", "1,0"],
        at,
        64,
        "wanted numbers above 0",
    );
    fails(&["average", a, b, "-o", "m.onnx"], at, 78, "name that of the mean with --licence");
    fails(&["average", a, "builtin:unet-road", "-o", "m.onnx"], at, 78, "have other layers");
    fails(&["average", a, "builtin:fpn-road-int8", "-o", "m.onnx"], at, 78, "is quantized");

    let other = r#"{"scores": {"miou": 0.25, "classes": [{"name": "cat"}]}, "data": []}"#;
    std::fs::write(at.join("other.json"), other).unwrap();
    let of_another = ["average", a, b, "-o", "m.onnx", "--licence", "MIT", "--measured", "other.json"];
    fails(&of_another, at, 65, "measured of a model with other classes (cat)");

    let measured = r#"{"scores": {"miou": 0.25}, "data": ["camvid here val"], "calibration": {"temperature": {"value": 1.5}}}"#;
    std::fs::write(at.join("scores.json"), measured).unwrap();
    let mean = [
        "average",
        a,
        b,
        "-o",
        "m.onnx",
        "--shares",
        "3,1",
        "--licence",
        "MIT",
        "--name",
        "mean",
    ];
    let output = program(&[&mean[..], &["--measured", "scores.json"]].concat(), at);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let open = |name: &str| Model::open(name, None).unwrap();
    let (a, b, mean) = (open(a), open(b), open(&at.join("m.onnx").display().to_string()));
    let weights = |model: &Model| -> BTreeMap<String, Vec<f32>> {
        let graph = ModelProto::decode(&model.onnx[..]).unwrap().graph.unwrap();
        graph
            .initializer
            .iter()
            .filter_map(|t| Some((t.name.clone(), floats(t)?)))
            .collect()
    };
    let (first, second, between) = (weights(&a), weights(&b), weights(&mean));
    assert_eq!(first.keys().collect::<Vec<_>>(), between.keys().collect::<Vec<_>>());
    for (name, values) in &between {
        for ((x, y), m) in first[name].iter().zip(&second[name]).zip(values) {
            assert!((0.75 * x + 0.25 * y - m).abs() <= 1e-6 * (x.abs() + y.abs()), "{name}: {x} {y} {m}");
        }
    }
    let training = mean.contract.training.as_ref().unwrap();
    assert_eq!((mean.contract.name.as_str(), mean.contract.licence.as_str()), ("mean", "MIT"));
    assert_eq!(
        (training.miou, training.split.as_str()),
        (Some(0.25), "measured on camvid here val")
    );
    assert!(training.averaged[0].starts_with("0.750 of fpn-road (the mean of 0.") && training.averaged.len() == 2);
    assert!(
        training.data.len() >= 3 && !training.rendered_only,
        "the data of both: {:?}",
        training.data
    );
    assert_eq!(mean.contract.heads[0].temperature, Some(1.5));
    assert_eq!(mean.contract.goldens.len(), a.contract.goldens.len());
    assert_ne!(
        mean.contract.goldens[0].classes, a.contract.goldens[0].classes,
        "its own class maps"
    );
}
