//! Whole runs on a data set of shapes, through the library.

#![allow(clippy::unwrap_used)] // tests

mod common;

use common::runs::{alone, options, program, shapes, tensors, train};
use maskline_training::checkpoint::Checkpoint;
use maskline_training::config::{DataConfig, RunConfig};
use maskline_training::device;
use maskline_training::eval::{EvalOptions, Subject, eval};
use maskline_training::predict::Views;
use maskline_training::train::{Outcome, run};
use maskline_training::weights::Weights;
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn a_tiny_net_learns_shapes_and_its_run_folder_is_whole() {
    let _alone = alone();
    let root = shapes(24);
    let out = root.path().join("run");
    let config = RunConfig::parse(&common::config(root.path(), 8)).unwrap();
    let outcome = train(&config, &out);
    let history = &outcome.progress.history;
    assert!(history[7].loss < 0.7 * history[0].loss, "{history:?}");
    let best = outcome.progress.best.unwrap();
    assert!(best.scores.miou > 0.5, "{best:?}");
    for file in [
        "config.toml",
        "run.json",
        "metrics.csv",
        "curves.png",
        "sheet.png",
        "best.ckpt",
        "last.ckpt",
        "best.json",
    ] {
        assert!(std::fs::metadata(out.join(file)).is_ok_and(|m| m.len() > 0), "{file}");
    }
    let csv = std::fs::read_to_string(out.join("metrics.csv")).unwrap();
    assert_eq!(csv.lines().count(), 9);

    // What `eval` measures on the best checkpoint is what the run measured.
    let device = device::choose("cpu").unwrap();
    let mut subject = Subject::open(&out.join("best.ckpt").display().to_string(), None, &device, None).unwrap();
    let report = eval(&mut subject, &config.validation, &EvalOptions::default()).unwrap();
    assert_eq!(report.measures.scores, best.scores);
    // So it is on the pictures that it learned from, which are few enough to be measured all.
    let learned = eval(&mut subject, &config.data, &EvalOptions::default()).unwrap();
    let row = &history[best.epoch as usize - 1];
    assert_eq!(row.training_miou, Some(learned.measures.scores.miou));
}

#[test]
fn a_run_that_was_stopped_goes_on_bit_for_bit() {
    let _alone = alone();
    let root = shapes(12);
    let unet = common::config(root.path(), 2);
    let nets = [
        ("fpn", common::pyramid(&unet)),
        ("segformer", common::segformer(&unet)),
        ("unet", unet),
    ];
    for (name, text) in nets {
        let config = RunConfig::parse(&text).unwrap();
        let (straight, parts) = (root.path().join(name), root.path().join(format!("{name}-parts")));
        let whole = train(&config, &straight);

        let stopped = run(&config, &options(&parts, false, true)).unwrap();
        assert!(!stopped.finished && stopped.progress.step == 1);
        let stopped = run(&config, &options(&parts, true, true)).unwrap();
        assert_eq!(stopped.progress.step, 2);
        // With the last step of an epoch it ends the epoch.
        let stopped = run(&config, &options(&parts, true, true)).unwrap();
        assert!(!stopped.finished && stopped.progress.epoch == 1, "{:?}", stopped.progress);
        let finished = run(&config, &options(&parts, true, false)).unwrap();
        assert!(finished.finished && finished.progress.step == 6);

        assert!(tensors(&straight.join("last.ckpt")) == tensors(&parts.join("last.ckpt")), "{name}");
        let rates = |outcome: &Outcome| outcome.progress.history.iter().map(|row| row.rate as f32).collect::<Vec<_>>();
        assert_eq!(rates(&finished), rates(&whole));
    }
    // At its end a run has nothing to add, and needs no pictures to say so.
    std::fs::remove_dir_all(root.path().join("images")).unwrap();
    let config = RunConfig::parse(&common::config(root.path(), 2)).unwrap();
    let again = run(&config, &options(&root.path().join("unet-parts"), true, false)).unwrap();
    assert_eq!((again.finished, again.progress.step, again.progress.history.len()), (true, 6, 2));
}

#[test]
fn a_net_learns_in_bf16_where_the_cpu_has_it_and_is_measured_in_floats() {
    let _alone = alone();
    let root = shapes(24);
    let out = root.path().join("run");
    let config = RunConfig::parse(&format!("{}precision = \"bf16\"\n", common::config(root.path(), 8))).unwrap();
    if config.train.precision.check(&device::choose("cpu").unwrap()).is_err() {
        let error = run(&config, &options(&out, false, false)).unwrap_err().to_string();
        assert!(error.contains("AVX512_BF16") && error.contains("--precision f32"), "{error}");
        return;
    }
    let outcome = train(&config, &out);
    let floats = RunConfig::parse(&common::config(root.path(), 1)).unwrap();
    let other = train(&floats, &root.path().join("floats"));
    assert_ne!(outcome.progress.history[0].loss, other.progress.history[0].loss);
    let best = outcome.progress.best.unwrap();
    assert!(best.scores.miou > 0.5, "{best:?}");
    let mut subject = Subject::open(
        &out.join("best.ckpt").display().to_string(),
        None,
        &device::choose("cpu").unwrap(),
        None,
    )
    .unwrap();
    let report = eval(&mut subject, &config.validation, &EvalOptions::default()).unwrap();
    assert_eq!(report.measures.scores, best.scores);
    // The other precision goes on with it.
    let floats = RunConfig::parse(&common::config(root.path(), 9)).unwrap();
    assert_eq!(run(&floats, &options(&out, true, false)).unwrap().progress.epoch, 9);
}

#[test]
fn a_pyramid_with_auxiliary_scores_learns_shapes() {
    let _alone = alone();
    let root = shapes(24);
    let config = RunConfig::parse(&common::pyramid(&common::config(root.path(), 8))).unwrap();
    let outcome = train(&config, &root.path().join("run"));
    let best = outcome.progress.best.unwrap();
    assert!(best.scores.miou > 0.5, "{best:?} {:?}", outcome.progress.history);
}

/// The tensors of the encoder, in the net and in its average.
fn encoder(checkpoint: &Path) -> Vec<BTreeMap<String, Vec<f32>>> {
    let mut nets = tensors(checkpoint);
    nets.iter_mut().for_each(|net| net.retain(|path, _| path.starts_with("encoder.")));
    nets
}

#[test]
fn a_pretrained_encoder_stays_as_it_is_until_it_thaws() {
    let _alone = alone();
    let root = shapes(12);
    let weights = root.path().join("vgg.safetensors");
    std::fs::write(&weights, common::encoder_weights()).unwrap();
    let transfer = "[[freeze]]\nlayers = [\"encoder\"]\nepochs = 2\nrate_factor = 0.1\n";
    let text =
        common::fcn(&common::config(root.path(), 3)) + &format!("{transfer}[pretrained]\npath = {:?}\n", weights.display().to_string());
    let config = RunConfig::parse(&text).unwrap();
    let straight = root.path().join("straight");
    let history = train(&config, &straight).progress.history;
    assert_eq!(history.len(), 3);

    // Two of three epochs: what the file holds is there bit for bit, in the averaged weights too.
    let mut two = config.clone();
    two.train.epochs = 2;
    train(&two, &root.path().join("two"));
    let frozen = encoder(&root.path().join("two/last.ckpt"));
    assert_eq!(frozen[0].len(), 15);
    for net in &frozen {
        let wanted = |base: f32| (0..8).map(|i| base + 0.01 * i as f32).collect::<Vec<_>>();
        assert_eq!(net["encoder.2.units.0.activation.norm.running_var"], wanted(0.5));
        assert_eq!(net["encoder.2.units.0.activation.norm.gamma"], wanted(1.0));
        let mean = &net["encoder.2.units.0.activation.norm.running_mean"];
        assert!(mean.iter().all(|m| (m - 0.1).abs() < 1e-6), "{mean:?}");
    }
    assert!(frozen[0] == frozen[1]);

    // Afterwards all of it learns, running statistics too.
    let thawed = encoder(&straight.join("last.ckpt"));
    for (path, values) in &thawed[0] {
        assert!(values != &frozen[0][path], "{path}");
    }

    // Stopped in a frozen and in a thawed epoch and gone on with, without the file, it ends the same.
    let parts = root.path().join("parts");
    run(&config, &options(&parts, false, true)).unwrap();
    std::fs::remove_file(&weights).unwrap();
    for _ in 0..7 {
        run(&config, &options(&parts, true, true)).unwrap();
    }
    let finished = run(&config, &options(&parts, true, false)).unwrap();
    assert!(finished.finished && finished.progress.step == 9);
    assert!(tensors(&straight.join("last.ckpt")) == tensors(&parts.join("last.ckpt")));

    let error = run(&config, &options(&root.path().join("none"), false, false))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("[pretrained]") && error.contains("vgg.safetensors: cannot be read"),
        "{error}"
    );
}

#[test]
fn an_fcn_and_residual_u_nets_learn_shapes() {
    let _alone = alone();
    let root = shapes(24);
    let unet = common::config(root.path(), 8);
    let residual = unet.replace("dropout = 0.1", "dropout = 0.1\nresidual = true");
    for (name, text) in [
        ("fcn", common::fcn(&unet)),
        (
            "separable",
            residual.replace("residual = true", "residual = true\nseparable = true\nstem_stride = 2"),
        ),
        ("residual", residual),
    ] {
        let config = RunConfig::parse(&text).unwrap();
        let progress = train(&config, &root.path().join(name)).progress;
        let (first, last) = (progress.history[0].loss, progress.history[7].loss);
        assert!(last < 0.75 * first, "{name}: {:?}", progress.history);
    }
}

#[test]
fn a_segformer_learns_shapes() {
    let _alone = alone();
    let root = shapes(24);
    let config = RunConfig::parse(&common::segformer(&common::config(root.path(), 8))).unwrap();
    let outcome = train(&config, &root.path().join("run"));
    let best = outcome.progress.best.unwrap();
    assert!(best.scores.miou > 0.5, "{best:?} {:?}", outcome.progress.history);
}

#[test]
fn a_run_goes_on_bit_for_bit_after_a_whole_epoch() {
    let _alone = alone();
    let root = shapes(8);
    let mut config = RunConfig::parse(&common::config(root.path(), 2)).unwrap();
    config.schedule.kind = maskline_training::schedule::Fall::Constant; // so that the rate does not depend on the length
    let (straight, parts) = (root.path().join("straight"), root.path().join("parts"));
    train(&config, &straight);
    let mut first = config.clone();
    first.train.epochs = 1;
    train(&first, &parts);
    run(&config, &options(&parts, true, false)).unwrap();
    assert!(tensors(&straight.join("last.ckpt")) == tensors(&parts.join("last.ckpt")));
}

#[test]
fn a_run_is_not_resumed_with_another_configuration() {
    let _alone = alone();
    let root = shapes(8);
    let out = root.path().join("run");
    let mut config = RunConfig::parse(&common::config(root.path(), 1)).unwrap();
    train(&config, &out);
    let again = run(&config, &options(&out, false, false)).unwrap_err().to_string();
    assert!(again.contains("use --resume"), "{again}");
    config.optimizer.rate = 0.5;
    let other = run(&config, &options(&out, true, false)).unwrap_err().to_string();
    assert!(other.contains("now: rate = 0.5"), "{other}");
    config = RunConfig::parse(&common::config(root.path(), 1)).unwrap();
    config.validation[0].every = 2; // its best would be that of another measure
    let other = run(&config, &options(&out, true, false)).unwrap_err().to_string();
    assert!(other.contains("now: every = 2"), "{other}");
}

#[test]
fn a_run_goes_on_with_the_classes_that_its_net_was_made_for() {
    let _alone = alone();
    let root = shapes(8);
    let out = root.path().join("run");
    let mut config = RunConfig::parse(&common::config(root.path(), 1)).unwrap();
    train(&config, &out);
    config.train.epochs = 2;
    let list = root.path().join("classes.toml");
    let before = std::fs::read(out.join("last.ckpt")).unwrap();
    let text = std::fs::read_to_string(&list).unwrap();
    let one_more = format!("{text}[[class]]\nid = 5\nname = \"ring\"\ncolor = \"#00ff00\"\n");
    for other in [one_more, text.replace("\"disc\"", "\"ball\""), text.replace("id = 2", "id = 3")] {
        std::fs::write(&list, other).unwrap();
        let error = run(&config, &options(&out, true, false)).unwrap_err().to_string();
        assert!(
            error.contains("was started with the classes 0 ground, 2 square, 4 disc, 9 void (ignored)"),
            "{error}"
        );
    }
    assert!(std::fs::read(out.join("last.ckpt")).unwrap() == before);
    std::fs::write(&list, text.replace("#ffeecc", "#ffee00")).unwrap(); // a colour is no other class
    assert!(run(&config, &options(&out, true, false)).unwrap().finished);
}

#[test]
fn a_net_that_is_lost_takes_no_checkpoint_with_it() {
    let _alone = alone();
    let root = shapes(8);
    let out = root.path().join("run");
    let mut config = RunConfig::parse(&common::config(root.path(), 1)).unwrap();
    train(&config, &out);
    let kept = ["best.ckpt", "last.ckpt"].map(|name| std::fs::read(out.join(name)).unwrap());
    let mut wild = config.clone();
    // One step, which makes every weight infinite.
    (wild.optimizer.rate, wild.schedule.warmup_steps, wild.train.batch) = (1e39, 0, 8);
    wild.init = Some(out.join("best.ckpt"));
    let fresh = root.path().join("wild");
    let error = run(&wild, &options(&fresh, false, false)).unwrap_err().to_string();
    assert!(error.contains("no numbers any more"), "{error}");
    assert!(!fresh.join("last.ckpt").exists() && !fresh.join("best.ckpt").exists());

    // A folder in which files lie that a run would write over, and one in which a run is at work.
    let foreign = root.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::copy(out.join("best.ckpt"), foreign.join("best.ckpt")).unwrap();
    let refused = |out: &Path, resume| run(&config, &options(out, resume, false)).unwrap_err().to_string();
    assert!(refused(&foreign, false).contains("a run would write over"));
    // One that was killed between its best weights and its first checkpoint begins again.
    let killed = root.path().join("killed");
    train(&config, &killed);
    for name in ["last.ckpt", "best.json"] {
        std::fs::remove_file(killed.join(name)).unwrap();
    }
    assert!(run(&config, &options(&killed, false, false)).unwrap().finished);
    let lock = maskline_training::train::RunFolder::find(&out).lock().unwrap();
    assert!(refused(&out, true).contains("another run is at work"));
    drop(lock);
    config.train.epochs = 2;
    assert_eq!(["best.ckpt", "last.ckpt"].map(|name| std::fs::read(out.join(name)).unwrap()), kept);
    assert!(run(&config, &options(&out, true, false)).unwrap().finished);
}

#[test]
fn a_time_limit_ends_a_run_early_with_a_measured_net() {
    let _alone = alone();
    let root = shapes(12);
    let mut config = RunConfig::parse(&common::config(root.path(), 100_000)).unwrap();
    config.train.max_minutes = Some(0.005);
    let outcome = train(&config, &root.path().join("run"));
    assert!(outcome.finished && outcome.progress.epoch < 100_000);
    assert!(outcome.progress.history.last().unwrap().miou.is_some());
}

#[test]
fn another_nets_weights_are_taken_where_name_and_shape_agree() {
    let _alone = alone();
    let root = shapes(8);
    let small = RunConfig::parse(&common::config(root.path(), 1)).unwrap();
    train(&small, &root.path().join("small"));
    let checkpoint = root.path().join("small/best.ckpt");
    let device = device::choose("cpu").unwrap();
    let given = Weights::of(&Checkpoint::read(&checkpoint).unwrap().best_net(&device).unwrap());

    let mut attention = small.clone();
    attention.net.kind = maskline_training::nets::Kind::AttentionUnet;
    let (taken, count) = given.put_into(attention.net.init(3, &device));
    assert_eq!(count, given.len());
    let values = Weights::of(&taken).values();
    assert!(given.values().iter().all(|(path, numbers)| values.get(path) == Some(numbers)));

    let (_, count) = given.put_into(RunConfig::parse(OTHER).unwrap().net.init(4, &device));
    assert_eq!(count, 0);
}

const OTHER: &str = "name = \"other\"\n[net]\nkind = \"unet\"\nwidths = [5, 9, 13]\n[[data]]\nkind = \"synth\"\ncount = 1\n[train]\nepochs = 1\nbatch = 1\n";

#[test]
fn a_start_from_another_checkpoint_says_what_it_cannot_take() {
    let _alone = alone();
    let root = shapes(8);
    let mut config = RunConfig::parse(&common::config(root.path(), 1)).unwrap();
    config.init = Some(root.path().join("nowhere.ckpt"));
    let error = run(&config, &options(&root.path().join("run"), false, false))
        .unwrap_err()
        .to_string();
    assert!(error.contains("there is no checkpoint"), "{error}");
    config.init = Some("builtin:unet-road".into());
    let error = run(&config, &options(&root.path().join("run"), false, false))
        .unwrap_err()
        .to_string();
    assert!(error.contains("none of its tensors has a path and shape of this net"), "{error}");
}

const LICENCE: &str = "for tests alone";

#[test]
fn an_exported_file_measures_like_its_checkpoint() {
    let _alone = alone();
    if maskline_models::library::find_onnxruntime().is_err() {
        println!("skipped: there is no ONNX Runtime here; scripts/install gets it");
        return;
    }
    let root = shapes(16);
    let unet = common::config(root.path(), 3);
    for (name, text) in [("segformer", common::segformer(&unet)), ("unet", unet)] {
        let out = root.path().join(name);
        let config = RunConfig {
            licence: LICENCE.into(),
            ..RunConfig::parse(&text).unwrap()
        };
        train(&config, &out);
        let model = root.path().join(format!("{name}.onnx"));
        let (from, to) = (out.join("best.ckpt").display().to_string(), model.display().to_string());
        program(&["export", &from, "-o", &to], root.path());
        let device = device::choose("cpu").unwrap();
        let score = |subject: &str| {
            let mut subject = Subject::open(subject, None, &device, None).unwrap();
            eval(&mut subject, &config.data, &EvalOptions::default()).unwrap().measures.scores
        };
        let (net, file) = (score(&from), score(&to));
        assert!((net.miou - file.miou).abs() < 1e-3, "{name}: {} {}", net.miou, file.miou);

        // A run that begins with the file knows what the first one learned, and is as free as that one.
        let begun = RunConfig {
            init: Some(model.clone()),
            ..RunConfig::parse(&text.replace("rate = 2e-2", "rate = 1e-7")).unwrap()
        };
        let out = root.path().join(format!("{name}-begun"));
        train(&begun, &out);
        assert_eq!(Checkpoint::read(&out.join("best.ckpt")).unwrap().head.config.licence, LICENCE);
        let again = score(&out.join("best.ckpt").display().to_string());
        assert!((net.miou - again.miou).abs() < 0.02, "{name}: {} {}", net.miou, again.miou);
        assert!(net.miou > 0.3, "{name}: {}", net.miou);
    }
}

/// Clips of three frames: the first is red or blue, which says what all three are, the others are grey.
fn write_clips(root: &Path, clips: usize) {
    for folder in ["images", "labels"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    for clip in 0..clips {
        let class = (clip % 2) as u8;
        for frame in 0..3 {
            let name = format!("clip{clip:02}_{frame}.png");
            let grey = 90 + 7 * (clip % 9) as u8;
            let colour = match (frame, class) {
                (0, 0) => [200, grey, 40],
                (0, _) => [40, grey, 200],
                _ => [grey; 3],
            };
            image::RgbImage::from_pixel(16, 16, image::Rgb(colour))
                .save(root.join("images").join(&name))
                .unwrap();
            image::GrayImage::from_pixel(16, 16, image::Luma([class]))
                .save(root.join("labels").join(&name))
                .unwrap();
        }
    }
    std::fs::write(root.join("classes.toml"), CLIP_CLASSES).unwrap();
}

const CLIP_CLASSES: &str = "[[class]]\nid = 0\nname = 'red'\ncolor = '#ff0000'\n[[class]]\nid = 1\nname = 'blue'\ncolor = '#0000ff'\n";

#[test]
fn a_net_with_a_memory_learns_what_only_earlier_frames_show_and_its_file_knows_it_too() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    write_clips(root.path(), 16);
    let text = common::config(root.path(), 20)
        .replace("widths = [4, 8]\ndropout = 0.1", "widths = [4, 8]\nmemory = 6")
        .replace("every = 4\n", "")
        .replace("= 40", "= 16")
        .replace("[32, 32]\nscale = [0.8, 1.25]", "[16, 16]\nscale = [1.0, 1.0]")
        .replace("batch = 4", "batch = 4\nsequence = 3");
    let config = RunConfig::parse(&text).unwrap();
    let out = root.path().join("run");
    let outcome = train(&config, &out);
    let learned = outcome.scores.unwrap().pixel_accuracy;
    assert!(learned > 0.95, "a net without memory gets two thirds at most, this one {learned}");

    let device = device::choose("cpu").unwrap();
    let checkpoint = out.join("best.ckpt");
    let scores = |subject: &Path, options: &EvalOptions| {
        let mut subject = Subject::open(&subject.display().to_string(), None, &device, None).unwrap();
        eval(&mut subject, &config.data, options).map(|report| report.measures.scores)
    };
    let of_net = scores(&checkpoint, &EvalOptions::default()).unwrap();
    assert!(
        of_net.pixel_accuracy > 0.95,
        "clips are measured in order, each from its first frame on"
    );
    let views = EvalOptions {
        views: Some(Views {
            flip: true,
            scales: vec![1.0],
        }),
        ..EvalOptions::default()
    };
    let refused = scores(&checkpoint, &views).unwrap_err().to_string();
    assert!(refused.contains("leave --flip and --scales out"), "{refused}");

    if maskline_models::library::find_onnxruntime().is_err() {
        println!("skipped: there is no ONNX Runtime here; scripts/install gets it");
        return;
    }
    let text = program(&["export", "run/best.ckpt", "-o", "clips.onnx"], root.path());
    assert!(text.contains("over 50 frames"), "{text}");
    let of_file = scores(&root.path().join("clips.onnx"), &EvalOptions::default()).unwrap();
    assert!((of_net.pixel_accuracy - of_file.pixel_accuracy).abs() < 1e-3);
}

#[test]
fn every_measure_is_written_and_several_views_stay_apart_from_one() {
    let _alone = alone();
    let root = shapes(16);
    let at = root.path();
    let config = RunConfig::parse(&common::config(at, 6)).unwrap();
    train(&config, &at.join("run"));
    let text = program(
        &[
            "eval",
            "run/best.ckpt",
            "--flip",
            "--scales",
            "0.8,1",
            "--weather",
            "--json",
            "scores.json",
            "--curves",
            "curves.png",
            "--reliability",
            "reliability.png",
            "--worst",
            "2",
            "worst.png",
        ],
        at,
    );
    assert!(text.contains("boundary F1") && text.contains("calibration error"), "{text}");
    assert!(text.contains("mean of the scales 0.8, 1, each with its mirror image"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(at.join("scores.json")).unwrap()).unwrap();
    let number = |place: &str| json.pointer(place).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    let shares = [
        "/scores/miou",
        "/scores/mean_accuracy",
        "/scores/frequency_weighted_iou",
        "/boundary/mean_f1",
        "/boundary/classes/1/f1",
        "/ranking/mean_auc",
        "/ranking/mean_average_precision",
        "/ranking/classes/2/auc",
        "/calibration/ece",
        "/calibration/temperature/ece_after",
        "/test_time/scores/miou",
        "/test_time/calibration/ece",
        "/worst/1/miou",
        "/weather/0/scores/miou",
        "/weather/4/boundary/mean_f1",
    ];
    for place in shares {
        assert!((0.0..=1.0).contains(&number(place)), "{place}: {}", number(place));
    }
    let weathers: Vec<_> = json["weather"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["weather"].as_str().unwrap())
        .collect();
    assert_eq!(weathers, ["night", "rain", "fog", "glare", "motion-blur"]);
    assert_ne!(number("/scores/miou"), number("/weather/2/scores/miou"));
    assert!(text.contains("with weather painted"), "{text}");
    assert_eq!(number("/boundary/tolerance"), 0.0075);
    assert_eq!(json["test_time"]["scales"], serde_json::json!([0.8, 1.0]));
    assert_ne!(number("/scores/miou"), number("/test_time/scores/miou"));
    assert!(number("/ranking/mean_auc") > 0.8, "{}", number("/ranking/mean_auc"));
    assert!(number("/calibration/temperature/nll_after") <= number("/calibration/temperature/nll_before"));
    assert!(number("/worst/0/miou") <= number("/worst/1/miou"));
    for picture in ["curves.png", "reliability.png", "worst.png"] {
        assert!(image::open(at.join(picture)).is_ok(), "{picture}");
    }

    if maskline_models::library::find_onnxruntime().is_err() {
        println!("the rest is skipped: there is no ONNX Runtime here; scripts/install gets it");
        return;
    }
    let export = ["export", "run/best.ckpt", "-o", "shapes.onnx", "--logits", "--confidence"];
    program(&[&export[..], &["--measured", "scores.json"]].concat(), at);
    let model = maskline_models::Model::open(&at.join("shapes.onnx").display().to_string(), None).unwrap();
    assert_eq!(model.contract.heads[0].temperature, Some(number("/calibration/temperature/value")));
    let training = model.contract.training.unwrap();
    assert_eq!(training.miou, Some(number("/scores/miou")));
    assert_eq!(training.split, format!("measured on {}", json["data"][0].as_str().unwrap()));

    // The file's own scores measure like the checkpoint's; its class ids have none.
    let device = device::choose("cpu").unwrap();
    let measure = |head: Option<&str>| {
        let mut subject = Subject::open(&at.join("shapes.onnx").display().to_string(), head, &device, None).unwrap();
        eval(&mut subject, &config.validation, &EvalOptions::default()).unwrap().measures
    };
    let ranking = measure(Some("logits")).ranking.unwrap();
    assert!((ranking.mean_auc.unwrap() - number("/ranking/mean_auc")).abs() < 1e-3);
    assert_eq!(measure(None).ranking, None);
}

#[test]
fn a_net_explains_itself_on_sheets() {
    let _alone = alone();
    let root = shapes(8);
    let at = root.path();
    let config = RunConfig::parse(&common::segformer(&common::config(at, 1))).unwrap();
    train(&config, &at.join("run"));
    let labelled = ["--images", "images", "--labels", "labels", "--every", "4"];
    let explain = ["explain", "run/best.ckpt", "--out", "why"];
    let wanted = ["--class", "disc", "--class", "square", "--point", "12,30", "--maps"];
    let text = program(&[&explain[..], &labelled, &wanted].concat(), at);
    assert!(text.contains("2 sheets in why") && text.contains("004: mean confidence"), "{text}");
    assert!(text.contains("where it is wrong"), "{text}");
    let files = std::fs::read_dir(at.join("why")).unwrap();
    let files: Vec<String> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    let named = |part: &str| files.iter().filter(|f| f.contains(part)).count();
    // a sheet, picture and prediction, three of certainty, two of errors, two of attention, two classes
    assert_eq!((named("004"), files.len()), (12, 24), "{files:?}");
    assert_eq!(
        (named("looked-at-by-the-marked-pixel"), named("speaking-for-disc")),
        (4, 2),
        "{files:?}"
    );
    for file in files.iter().filter(|f| f.contains('-')) {
        let map = image::open(at.join("why").join(file)).unwrap().into_rgb8();
        assert_eq!((map.width(), map.height()), (40, 40), "{file}");
    }
    let sheet = image::open(at.join("why/000.png")).unwrap().into_rgb8();
    let colours: std::collections::BTreeSet<_> = sheet.pixels().map(|p| p.0).collect();
    assert!(sheet.width() > 160 && colours.len() > 100, "{}", colours.len());

    // without labels, and the same picture twice
    let text = program(&["explain", "run/best.ckpt", "images/001.png", "images/001.png", "-o", "plain"], at);
    assert!(!text.contains("wrong") && at.join("plain/001-2.png").is_file(), "{text}");

    // what is there stays there
    for (args, says) in [
        (&["explain", "run/best.ckpt", "images/001.png", "--out", "plain"][..], "--out is "),
        (&["label", "run/best.ckpt", "--images", "images", "--out", "labels"], "--out is "),
        (&["export", "run/best.ckpt", "--out", "run/best.ckpt"], "run/best.ckpt is read by"),
    ] {
        let before = std::fs::read(at.join("run/best.ckpt")).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_maskline-training"))
            .args(args)
            .current_dir(at)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(64) && text.contains(says), "{args:?}: {text}");
        assert!(std::fs::read(at.join("run/best.ckpt")).unwrap() == before);
    }
}

#[test]
fn a_question_that_a_net_cannot_answer_gets_one_line() {
    let _alone = alone();
    let root = shapes(8);
    let at = root.path();
    train(&RunConfig::parse(&common::config(at, 1)).unwrap(), &at.join("run"));
    let fails = |args: &[&str], says: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_maskline-training"))
            .args(["explain", "run/best.ckpt", "-o", "why"])
            .args(args)
            .current_dir(at)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{args:?}: {text}");
        assert!(text.contains(says) && text.trim_end().lines().count() == 1, "{args:?}: {text}");
    };
    let picture = "images/001.png";
    fails(&[], "name pictures, or labelled ones");
    fails(&[picture, "--class", "car"], "wanted one of ground, square, disc");
    fails(&[picture, "--point", "40,3"], "which is 40x40");
    fails(&[picture, "--point", "4,3"], "has no self-attention");
    fails(
        &[picture, "--class", "disc", "--layer", "middle"],
        "wanted one of encoder.0, encoder.1, decoder.0",
    );
}

#[test]
fn a_net_learns_with_every_loss() {
    let _alone = alone();
    let root = shapes(12);
    for loss in [
        "label_smoothing = 0.1",
        "cross_entropy = 0\nfocal = 1",
        "cross_entropy = 0\nohem = 1",
        "lovasz = 1",
    ] {
        for weights in ["median-frequency", "effective-number"] {
            let text = common::config(root.path(), 4)
                .replace("dice = 0.5", loss)
                .replace("\"log\"", &format!("{weights:?}"));
            let config = RunConfig::parse(&text).unwrap();
            let folder = format!("run-{}-{weights}", loss.len());
            let history = train(&config, &root.path().join(folder)).progress.history;
            assert!(history[3].loss < 0.95 * history[0].loss, "{loss} {weights}: {history:?}");
        }
    }
}

#[test]
fn masks_that_equal_the_labels_are_perfect_and_a_missing_one_is_refused() {
    let _alone = alone();
    let root = shapes(4);
    let classes = maskline_training::config::read_classes(Some(&root.path().join("classes.toml"))).unwrap();
    let mut data = DataConfig::new(maskline_training::config::DataKind::Folders);
    (data.images, data.labels) = (Some(root.path().join("images")), Some(root.path().join("labels")));
    let masks = || Subject::Masks {
        folder: root.path().join("masks"),
        classes: classes.clone(),
    };
    std::fs::create_dir(root.path().join("masks")).unwrap();
    for i in 0..4 {
        std::fs::copy(
            root.path().join(format!("labels/{i:03}.png")),
            root.path().join(format!("masks/{i:06}.png")),
        )
        .unwrap();
    }
    let report = eval(&mut masks(), std::slice::from_ref(&data), &EvalOptions::default()).unwrap();
    assert_eq!((report.measures.scores.miou, report.pictures), (1.0, 4));
    std::fs::remove_file(root.path().join("masks/000003.png")).unwrap();
    let error = eval(&mut masks(), &[data], &EvalOptions::default()).unwrap_err().to_string();
    assert!(error.contains("3 class maps for 4"), "{error}");
}
