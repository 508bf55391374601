//! What a training run can be told to do, each on a data set of shapes.

#![allow(clippy::unwrap_used)] // tests

mod common;

use common::runs::{alone, options, program, shapes, tensors, train};
use maskline_training::checkpoint::{Checkpoint, Head};
use maskline_training::config::{DataConfig, DataKind, RunConfig};
use maskline_training::data::Source;
use maskline_training::device;
use maskline_training::lineage::Lineage;
use maskline_training::nets::Discriminator;
use maskline_training::optimizer::OptimizerConfig;
use maskline_training::predict::{NetSegmenter, predict, softmax};
use maskline_training::train::folds::{cross_validate, drives, without};
use maskline_training::train::{DistillConfig, run};
use maskline_training::weights::Weights;
use std::path::Path;

/// The configuration of [`common`] with parts replaced.
fn config(root: &Path, epochs: u32, parts: &[(&str, &str)]) -> RunConfig {
    RunConfig::parse(&text(root, epochs, parts)).unwrap()
}

fn text(root: &Path, epochs: u32, parts: &[(&str, &str)]) -> String {
    parts.iter().fold(common::config(root, epochs), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

const FPN: (&str, &str) = (
    "kind = \"unet\"\nwidths = [4, 8]",
    "kind = \"fpn\"\nwidths = [6, 8, 12]\ndepths = [0, 1, 2]\nstochastic_depth = 0.5",
);
const CUTMIX: (&str, &str) = ("[augment]", "[augment]\nmix = \"cutmix\"\nbalanced = 0.5");
const CLASSMIX: (&str, &str) = ("[augment]", "[augment]\nmix = \"classmix\"");
const MIXUP: (&str, &str) = ("[augment]", "[augment]\nmix = \"mixup\"\nmix_alpha = 0.3");
const ACCUMULATE: (&str, &str) = ("batch = 4", "batch = 2\naccumulate = 2");
const ADVERSARY: (&str, &str) = ("[schedule]", "[adversarial]\nrate = 1e-3\nwidths = [4, 6]\n[schedule]");

/// The discriminator's tensors in a checkpoint.
fn discriminator(checkpoint: &Path) -> Vec<Vec<f32>> {
    let checkpoint = Checkpoint::read(checkpoint).unwrap();
    let empty = Discriminator::new(3, &[4, 6], &device::choose("cpu").unwrap());
    let (net, _) = checkpoint.adversary(empty, |d| OptimizerConfig::default().init(d)).unwrap();
    Weights::of(&net).values().into_values().collect()
}

#[test]
fn runs_with_every_method_go_on_bit_for_bit() {
    let _alone = alone();
    let root = shapes(12);
    let methods: [&[(&str, &str)]; 3] = [
        &[FPN, CUTMIX, ACCUMULATE, ADVERSARY],
        &[MIXUP, ADVERSARY, ("dice = 0.5", "boundary = 0.01")],
        &[
            CLASSMIX,
            ("rate = 2e-2", "rate = 2e-2\nl1 = 1e-3"),
            ("batch = 4", "batch = 4\nloaders = 2"),
        ],
    ];
    for (number, parts) in methods.into_iter().enumerate() {
        let config = config(root.path(), 2, parts);
        let (straight, split) = (root.path().join(format!("{number}")), root.path().join(format!("{number}-parts")));
        train(&config, &straight);
        for step in 1..3 {
            let stopped = run(&config, &options(&split, step > 1, true)).unwrap();
            assert!(!stopped.finished && stopped.progress.step == step);
        }
        let finished = run(&config, &options(&split, true, false)).unwrap();
        assert!(finished.finished && finished.progress.step == 6);
        let last = [&straight, &split].map(|folder| folder.join("last.ckpt"));
        assert!(tensors(&last[0]) == tensors(&last[1]), "{number}");
        if config.adversarial.is_some() {
            assert!(discriminator(&last[0]) == discriminator(&last[1]), "{number}");
        }
    }
}

#[test]
fn nets_learn_shapes_with_every_method() {
    let _alone = alone();
    let root = shapes(24);
    let methods: [&[(&str, &str)]; 4] = [
        &[FPN, CLASSMIX],
        &[CUTMIX, ADVERSARY],
        &[MIXUP, ACCUMULATE],
        &[("dice = 0.5", "dice = 0.5\nboundary = 0.02")],
    ];
    for (number, parts) in methods.into_iter().enumerate() {
        let outcome = train(&config(root.path(), 8, parts), &root.path().join(format!("{number}")));
        let best = outcome.progress.best.unwrap();
        assert!(best.scores.miou > 0.5, "{number}: {best:?} {:?}", outcome.progress.history);
    }
}

#[test]
fn gradients_of_two_batches_are_those_of_one_twice_as_large() {
    let _alone = alone();
    let root = shapes(12);
    let plain = [
        ("dropout = 0.1", "normalisation = \"none\""), // batch norm would see other batches
        ("dice = 0.5", "focal = 1"),                   // Dice is a loss of the whole batch
        ("rate = 2e-2", "kind = \"sgd\"\nrate = 1e-2"),
    ];
    let (whole, halves) = (root.path().join("whole"), root.path().join("halves"));
    let one = train(&config(root.path(), 2, &plain), &whole);
    let two = train(&config(root.path(), 2, &[&plain[..], &[ACCUMULATE]].concat()), &halves);
    assert_eq!((one.progress.step, two.progress.step), (6, 6));
    let start = config(root.path(), 2, &plain).net.init(3, &device::choose("cpu").unwrap());
    let moved = Weights::of(&start).values();
    let (one, two) = (tensors(&whole.join("last.ckpt")), tensors(&halves.join("last.ckpt")));
    for (path, values) in &one[0] {
        for (i, (a, b)) in values.iter().zip(&two[0][path]).enumerate() {
            assert!((a - b).abs() < 1e-5, "{path} {i}: {a} {b}");
        }
        assert_ne!(values, &moved[path], "{path}");
    }
}

#[test]
fn patience_ends_a_run_that_gets_no_better_for_good() {
    let _alone = alone();
    let root = shapes(8);
    let slow = ("rate = 2e-2", "rate = 1e-12");
    let patient = ("batch = 4", "batch = 4\npatience = 2");
    let config = config(root.path(), 20, &[slow, patient]);
    let out = root.path().join("run");
    let outcome = train(&config, &out);
    let measured = outcome.progress.history.iter().filter(|row| row.miou.is_some()).count();
    let best = outcome.progress.best.unwrap().epoch as usize;
    assert!(outcome.finished && measured == best + 2 && measured < 20, "{best} {measured}");
    let again = run(&config, &options(&out, true, false)).unwrap();
    assert_eq!(again.progress.epoch as usize, measured);
}

#[test]
fn l1_leaves_zeros() {
    let _alone = alone();
    let root = shapes(12);
    let zeros = |l1: &str| {
        let out = root.path().join(l1);
        train(
            &config(root.path(), 4, &[("rate = 2e-2", &format!("rate = 2e-2\nl1 = {l1}"))]),
            &out,
        );
        let net = &tensors(&out.join("last.ckpt"))[0];
        let weights = net
            .iter()
            .filter(|(path, _)| path.ends_with("conv.weight"))
            .flat_map(|(_, values)| values);
        let (zeros, all) = weights.fold((0, 0), |(zeros, all), w| (zeros + usize::from(*w == 0.0), all + 1));
        zeros as f64 / f64::from(all)
    };
    assert_eq!(zeros("0"), 0.0);
    let found = zeros("0.5");
    assert!((0.05..1.0).contains(&found), "{found}");
}

/// Mean probability of the best class over the validation pictures.
fn certainty(checkpoint: &Path) -> f64 {
    let device = device::choose("cpu").unwrap();
    let checkpoint = Checkpoint::read(checkpoint).unwrap();
    let head = &checkpoint.head;
    let mut net = NetSegmenter::new(checkpoint.best_net(&device).unwrap(), &device);
    let sources = Source::load_all(&head.config.validation, &head.classes, (40, 40)).unwrap();
    let (mut sum, mut count) = (0.0, 0);
    for sample in sources.iter().flat_map(|s| &s.samples) {
        let prediction = predict(&mut net, &head.config.contract_input(), sample, None).unwrap();
        let (mut scores, pixels) = (prediction.scores.unwrap(), prediction.classes.len());
        softmax(&mut scores, pixels);
        sum += prediction
            .classes
            .iter()
            .enumerate()
            .map(|(i, class)| f64::from(scores[usize::from(*class) * pixels + i]))
            .sum::<f64>();
        count += pixels;
    }
    sum / f64::from(u32::try_from(count).unwrap())
}

#[test]
fn an_adversary_that_knows_certain_maps_makes_undecided_ones_more_certain() {
    let _alone = alone();
    let root = shapes(16);
    // Teaches probabilities of 2/3.
    let smooth = ("dice = 0.5\nclass_weights = \"log\"", "label_smoothing = 0.5");
    let adversary = (ADVERSARY.0, "[adversarial]\nweight = 1\nrate = 1e-2\nwidths = [6, 8]\n[schedule]");
    let certainty = |name: &str, parts: &[(&str, &str)]| {
        let out = root.path().join(name);
        train(&config(root.path(), 12, parts), &out);
        certainty(&out.join("last.ckpt"))
    };
    let (alone, judged) = (certainty("alone", &[smooth]), certainty("judged", &[smooth, adversary]));
    assert!(judged > alone + 0.05, "{alone} {judged}");
}

#[test]
fn a_student_learns_from_a_teacher_what_no_label_says() {
    let _alone = alone();
    let root = shapes(16);
    let at = root.path();
    let teacher = train(&config(at, 10, &[]), &at.join("teacher"));
    assert!(teacher.progress.best.unwrap().scores.miou > 0.6);
    std::fs::create_dir(at.join("blank")).unwrap();
    for entry in std::fs::read_dir(at.join("labels")).unwrap() {
        let name = entry.unwrap().file_name();
        image::GrayImage::from_pixel(40, 40, image::Luma([9]))
            .save(at.join("blank").join(name))
            .unwrap();
    }
    let labels = format!("labels = {:?}\n[[validation]]", at.join("labels").display().to_string());
    let blank = format!(
        "labels = {:?}\ninclude_prefix = [\"0\"]\n[[validation]]",
        at.join("blank").display().to_string()
    );
    let distill = |teacher: &str| format!("[distill]\nteacher = {:?}\n[schedule]", at.join(teacher).display().to_string());
    let miou = |name: &str, more: &[(&str, &str)]| {
        let unlabelled: [(&str, &str); 2] = [(&labels, &blank), ("class_weights = \"log\"", "")];
        let outcome = train(&config(at, 10, &[&unlabelled[..], more].concat()), &at.join(name));
        outcome.progress.best.unwrap().scores.miou
    };
    let alone = config(at, 10, &[(&labels, &blank), ("class_weights = \"log\"", "")]);
    let alone = run(&alone, &options(&at.join("alone"), false, false)).unwrap_err().to_string();
    assert!(alone.contains("no pixel of [[data]] has a label"), "{alone}");
    let taught = miou("taught", &[("[schedule]", &distill("teacher/best.ckpt"))]);
    assert!(taught > 0.5, "{taught}");

    // An exported teacher, whose net the configuration names.
    program(&["export", "teacher/best.ckpt", "-o", "teacher.onnx"], at);
    let exported = |net: &str| distill("teacher.onnx").replace("[schedule]", &format!("{net}[schedule]"));
    let net = exported("[distill.net]\nkind = \"unet\"\nwidths = [4, 8]\n");
    let taught = miou("taught-by-model", &[("[schedule]", &net)]);
    assert!(taught > 0.5, "{taught}");
    let lineage = Checkpoint::read(&at.join("taught-by-model/last.ckpt")).unwrap().head.lineage();
    assert_eq!(lineage.data.len(), 2, "{lineage:?}");
    assert!(
        lineage.data[0].ends_with("only 0") && !lineage.data[1].ends_with("only 0"),
        "the teacher's after its own: {lineage:?}"
    );

    let error = |parts: &[(&str, &str)]| {
        let config = config(at, 1, parts);
        run(&config, &options(&at.join("wrong"), false, false)).unwrap_err().to_string()
    };
    let nowhere = error(&[("[schedule]", &distill("nowhere.ckpt"))]);
    assert!(nowhere.contains("there is no checkpoint"), "{nowhere}");
    let text = std::fs::read_to_string(at.join("classes.toml")).unwrap();
    std::fs::write(at.join("classes.toml"), text.replace("\"disc\"", "\"ball\"")).unwrap();
    train(&config(at, 1, &[FPN]), &at.join("deep"));
    program(&["export", "deep/best.ckpt", "-o", "deep.onnx"], at);
    let flat = "[distill.net]\nkind = \"fpn\"\nwidths = [6, 8, 12]\ndepths = [0, 1, 1]\n";
    for (section, wanted) in [
        (
            exported(flat).replace("teacher.onnx", "deep.onnx"),
            "is another net than [distill.net]",
        ), // all of its tensors, but not all layers
        (exported(""), "is an exported model: give [distill.net]"),
        (net.replace("teacher.onnx", "teacher/best.ckpt"), "leave [distill.net] out"),
        (net.replace("[4, 8]", "[4, 6]"), "tensors of [distill.net]"),
    ] {
        let error = error(&[("[schedule]", &section)]);
        assert!(error.contains(wanted), "{error}");
    }
    let other = error(&[("[schedule]", &distill("teacher/best.ckpt"))]);
    assert!(other.contains("has the classes ground square disc, wanted"), "{other}");
}

#[test]
fn a_sweep_finds_a_rate_that_learns_and_leaves_no_run() {
    let _alone = alone();
    let root = shapes(12);
    let at = root.path();
    std::fs::write(at.join("c.toml"), common::config(at, 1)).unwrap();
    let before = std::fs::read_dir(at).unwrap().count();
    let output = program(
        &["tune-rate", "c.toml", "--steps", "60", "--csv", "rates.csv", "--plot", "rates.png"],
        at,
    );
    let rate: f64 = output
        .split("rate = ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1e-4..0.5).contains(&rate), "{output}");
    let csv = std::fs::read_to_string(at.join("rates.csv")).unwrap();
    assert!(
        csv.starts_with("rate,loss,smooth_loss\n1.000000e-6,") && csv.lines().count() > 30,
        "{csv}"
    );
    assert!(image::open(at.join("rates.png")).is_ok());
    assert_eq!(std::fs::read_dir(at).unwrap().count(), before + 2);
}

/// Shapes of two drives, every third picture of the second.
fn drives_of_shapes() -> tempfile::TempDir {
    let root = shapes(12);
    for folder in ["images", "labels"] {
        for i in 0..12 {
            let drive = if i % 3 == 0 { "b" } else { "a" };
            let at = root.path().join(folder);
            std::fs::rename(at.join(format!("{i:03}.png")), at.join(format!("{drive}_{i:03}.png"))).unwrap();
        }
    }
    root
}

#[test]
fn every_drive_is_measured_by_a_run_that_never_saw_it() {
    let _alone = alone();
    let root = drives_of_shapes();
    let at = root.path();
    let synth = (
        "[[validation]]",
        "[[data]]\nkind = \"synth\"\ncount = 1\nsize = [40, 40]\n[[validation]]",
    );
    let whole = config(at, 1, &[synth]);
    let drives = drives(&whole).unwrap();
    assert_eq!(drives, ["a_", "b_"]);
    let (fold, pictures) = without(&whole, "b_").unwrap();
    assert_eq!((fold.name.as_str(), pictures), ("shapes-without-b", 4));
    assert_eq!(fold.data.len(), 2, "the synth entry stays whole");
    assert_eq!(
        (&fold.data[0].exclude_prefix[..], &fold.data[1].exclude_prefix[..]),
        (&["b_".to_string()][..], &[][..])
    );
    assert_eq!(
        (fold.validation.len(), &fold.validation[0].include_prefix[..]),
        (1, &["b_".to_string()][..])
    );
    let error = without(&whole, "c_").unwrap_err().to_string();
    assert!(error.contains("no picture's name begins with the drive c_"), "{error}");

    std::fs::write(at.join("c.toml"), common::config(at, 1)).unwrap();
    let config = config(at, 1, &[]);
    let out = at.join("runs/shapes-kfold");
    assert_eq!(cross_validate(&config, &drives, &options(&out, false, true)).unwrap(), None);
    // A fold that was stopped after a step.
    let begun = run(&without(&config, "b_").unwrap().0, &options(&out.join("b"), false, true)).unwrap();
    assert!(!begun.finished);
    let output = program(&["kfold", "c.toml"], at);
    assert!(output.contains("mean") && output.contains("a_"), "{output}");
    let json = || std::fs::read_to_string(out.join("kfold.json")).unwrap();
    let first: serde_json::Value = serde_json::from_str(&json()).unwrap();
    let miou = |fold: usize| first["folds"][fold]["last"]["miou"].as_f64().unwrap();
    assert!((first["mean_miou"].as_f64().unwrap() - (miou(0) + miou(1)) / 2.0).abs() < 1e-9);
    assert_eq!(first["folds"][0]["pictures"], 8);

    // Finished folds are kept, one that is missing is trained again, and the sum is the same.
    let kept = std::fs::metadata(out.join("a/last.ckpt")).unwrap().modified().unwrap();
    std::fs::remove_dir_all(out.join("b")).unwrap();
    program(&["kfold", "c.toml"], at);
    assert_eq!(std::fs::metadata(out.join("a/last.ckpt")).unwrap().modified().unwrap(), kept);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json()).unwrap(), first);

    let mut other = config.clone();
    other.optimizer.rate = 0.5;
    let error = cross_validate(&other, &drives, &options(&out, false, false))
        .unwrap_err()
        .to_string();
    assert!(error.contains("rate = 0.5"), "{error}");

    // A fold may begin with a net of scenes, and with no other.
    let mut scenes = config.clone();
    (scenes.classes, scenes.validation) = (None, Vec::new());
    scenes.data = vec![DataConfig {
        count: Some(4),
        size: Some([40, 40]),
        ..DataConfig::new(DataKind::Synth)
    }];
    run(&scenes, &options(&at.join("scenes"), false, false)).unwrap();
    let begun_with = |path: &str| RunConfig {
        init: Some(at.join(path)),
        ..config.clone()
    };
    let begun_blind = |config: &RunConfig| cross_validate(config, &drives, &options(&out, false, true));
    assert!(begun_blind(&begun_with("scenes/last.ckpt")).is_ok());
    program(&["export", "scenes/last.ckpt", "-o", "scenes.onnx"], at);
    assert!(begun_blind(&begun_with("scenes.onnx")).is_ok(), "its contract says what it saw");
    let mut more = scenes.clone();
    more.init = Some(at.join("runs/shapes-kfold/a/last.ckpt"));
    run(&more, &options(&at.join("more"), false, true)).unwrap();
    run(&more, &options(&at.join("more"), true, false)).unwrap();
    let head = |run: &str| Checkpoint::read(&at.join(run).join("last.ckpt")).unwrap().head;
    let lineage = head("more").lineage();
    assert_eq!((lineage.data.len(), lineage.rendered_only), (2, false), "{lineage:?}");
    let mut older = serde_json::to_value(head("more")).unwrap();
    older.as_object_mut().unwrap().remove("lineage");
    let older = serde_json::from_value::<Head>(older).unwrap().lineage();
    assert!(older.data[1].starts_with("weights of ") && !older.rendered_only, "{older:?}");
    let mut taught = scenes.clone();
    taught.distill = Some(DistillConfig {
        teacher: at.join("more/last.ckpt"),
        net: None,
        weight: 1.0,
        temperature: 2.0,
    });
    run(&taught, &options(&at.join("taught"), false, false)).unwrap();
    let chosen = RunConfig {
        validation: config.validation.clone(),
        ..scenes.clone()
    };
    for lineage in [head("taught").lineage(), Lineage::of_run(&chosen)] {
        assert!(!lineage.rendered_only, "{lineage:?}");
    }
    let taught = RunConfig {
        distill: taught.distill,
        ..config.clone()
    };
    let error = begun_blind(&taught).unwrap_err().to_string();
    assert!(
        error.contains("distill.teacher = ") && error.contains("come from rendered scenes alone"),
        "{error}"
    );
    program(&["export", "more/last.ckpt", "-o", "more.onnx"], at);
    for net in ["more/last.ckpt", "more.onnx"] {
        let error = begun_blind(&begun_with(net)).unwrap_err().to_string();
        assert!(error.contains("come from rendered scenes alone"), "{error}");
    }
    let error = cross_validate(&begun_with("scenes/last.ckpt"), &drives, &options(&out, false, false))
        .unwrap_err()
        .to_string();
    assert!(error.contains("began with other weights"), "{error}");
}

#[test]
fn labels_of_a_model_are_right_where_it_is_sure_and_can_be_learnt_from() {
    let _alone = alone();
    let root = shapes(16);
    let at = root.path();
    let even = ("class_weights = \"log\"", "");
    train(&config(at, 16, &[even]), &at.join("teacher"));
    let label = |threshold: &str| {
        let out = format!("sure-{threshold}");
        let args = [
            "label",
            "teacher/best.ckpt",
            "--images",
            "images",
            "--out",
            &out,
            "--threshold",
            threshold,
        ];
        program(&args, at);
        let (mut right, mut sure, mut all) = (0, 0, 0);
        for i in 0..16 {
            let read = |folder: &str| image::open(at.join(format!("{folder}/{i:03}.png"))).unwrap().into_luma8();
            for (said, truth) in read(&out).pixels().zip(read("labels").pixels()).filter(|(_, truth)| truth.0 != [9]) {
                assert!([0, 2, 4, 9].contains(&said.0[0]));
                all += 1;
                sure += usize::from(said.0 != [9]);
                right += usize::from(said == truth);
            }
        }
        (right as f64 / sure as f64, sure as f64 / f64::from(all))
    };
    let (accuracy, share) = label("0");
    let (sure_accuracy, sure_share) = label("0.7");
    assert_eq!(share, 1.0);
    assert!(sure_accuracy > accuracy && sure_accuracy > 0.95, "{accuracy} {sure_accuracy}");
    assert!((0.5..0.99).contains(&sure_share), "{sure_share}");

    let labels = |folder: &str| format!("labels = {:?}\n[[validation]]", at.join(folder).display().to_string());
    let student = config(at, 16, &[even, (&labels("labels"), &labels("sure-0.7"))]);
    let miou = train(&student, &at.join("student")).progress.best.unwrap().scores.miou;
    assert!(miou > 0.5, "{miou}");
}
