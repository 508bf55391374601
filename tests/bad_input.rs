//! Whatever is wrong with what the program is given: one clear line, the right exit code, and no half-written output.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use maskline::testing::Brightness;
use maskline_models::contract::Size;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use support::{Bench, Clip};

/// Refused, and nothing new in the folder.
fn refuses(bench: &Bench, args: &str, code: i32, part: &str) {
    let before = bench.names();
    bench.run(args).refused(code, part);
    assert_eq!(bench.names(), before, "{args} left something behind");
}

#[test]
fn inputs_that_are_no_videos() {
    let bench = Bench::new();
    fs::create_dir(bench.path("empty-folder")).unwrap();
    fs::create_dir(bench.path("letters")).unwrap();
    bench.write("letters/a.txt", "Dear Sir or Madam");
    bench.write("empty.mp4", "");
    bench.write("text.mp4", "This is a text and no video.\n".repeat(100));
    bench.write(
        "noise.mp4",
        (0..20_000_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect::<Vec<_>>(),
    );
    for (input, part) in [
        ("missing.mp4", "does not exist"),
        ("rtmp://me:secret@camera/1", "rtmp://camera/1 is of no known kind: wanted rtsp"),
        ("/dev/video0", "device:/dev/video0"),
        ("udp://127.0.0.1", "no port"),
        ("empty-folder", "empty-folder"),
        ("letters", "letters"),
        ("empty.mp4", "empty"),
        ("text.mp4", "text.mp4"),
        ("noise.mp4", "noise.mp4"),
        ("brightness.onnx", "brightness.onnx"),
        ("missing-%03d.png", "missing-%03d.png"),
    ] {
        refuses(&bench, &format!("{input} -o out.mp4"), 65, part);
    }
}

#[test]
fn a_video_that_was_cut_off() {
    let bench = Bench::new();
    Clip::regular(320, 240, 50).write(&bench.path("whole.mp4"));
    let whole = fs::read(bench.path("whole.mp4")).unwrap();
    // The table of contents lies at the end of this file, so without it nothing can be read.
    bench.write("cut.mp4", &whole[..whole.len() / 2]);
    refuses(&bench, "cut.mp4 -o out.mp4", 65, "cut.mp4");
}

#[test]
fn a_file_with_sound_only() {
    let bench = Bench::new();
    let line = "audiotestsrc num-buffers=20 ! avenc_aac ! aacparse ! mp4mux ! filesink location=sound.mp4";
    let made = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(line.split(' '))
        .current_dir(bench.path("."))
        .status();
    assert!(made.unwrap().success());
    refuses(&bench, "sound.mp4 -o out.mp4", 65, "sound.mp4");
}

#[test]
fn a_start_behind_the_end() {
    let bench = Bench::new();
    Clip::regular(320, 240, 25).write(&bench.path("in.mp4"));
    refuses(&bench, "in.mp4 -o out.mp4 --start 1:00", 64, "behind its end");
}

#[test]
fn outputs_that_cannot_be_written() {
    let bench = Bench::new();
    Clip::regular(320, 240, 5).write(&bench.path("in.mp4"));
    symlink(bench.path("in.mp4"), bench.path("soft.mp4")).unwrap();
    fs::hard_link(bench.path("in.mp4"), bench.path("hard.mp4")).unwrap();
    fs::create_dir(bench.path("folder.mp4")).unwrap();
    bench.write("file", "x");
    for (args, code, part) in [
        ("in.mp4 -o out.avi", 64, ".mp4"),
        ("in.mp4 -o out", 64, ".mp4"),
        ("in.mp4 -o no/such/out.mp4", 74, "mkdir -p"),
        ("in.mp4 -o file/out.mp4", 74, "is no folder"),
        ("in.mp4 -o folder.mp4", 74, "is a folder"),
        ("in.mp4 -o in.mp4 --overwrite", 64, "the input itself"),
        ("in.mp4 -o soft.mp4 --overwrite", 64, "the input itself"),
        ("in.mp4 -o hard.mp4 --overwrite", 64, "the input itself"),
        ("in.mp4 -o hard.mp4", 64, "the input itself"),
        ("in.mp4 --masks file", 74, "is a file"),
        ("in.mp4 -o a.mp4 --json a.mp4", 64, "the same file"),
        ("in.mp4 --sheet a.png --report r.json", 64, "--output"),
        ("in.mp4", 64, "nothing to write"),
        ("in.mp4 --json no/a.json", 74, "mkdir -p"),
    ] {
        refuses(&bench, args, code, part);
    }
}

#[test]
fn a_folder_without_permission_to_write() {
    let bench = Bench::new();
    fs::create_dir(bench.path("locked")).unwrap();
    fs::set_permissions(bench.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(bench.path("locked/probe"), "").is_ok() {
        println!("skipped: this user may write everywhere");
        return;
    }
    refuses(&bench, "test: --frames 5 -o locked/out.mp4", 74, "locked");
    refuses(&bench, "test: --frames 5 --json locked/a.json", 74, "locked");
}

#[test]
fn a_disk_that_is_full() {
    let bench = Bench::new();
    // A limit on the size of a file stands in for the disk: the same failed write, without a disk to fill.
    let run = |args: &str| {
        let line = "run --model ./brightness.onnx --provider cpu";
        bench.shell(&format!("trap '' XFSZ; ulimit -f 30; exec \"$0\" {line} {args}"))
    };
    run("'test:snow?width=320&height=240' --frames 100 -o out.mp4").refused(74, "out.mp4");
    run("'test:snow?width=64&height=48' --frames 1000 --json out.json").refused(74, "out.json");
    assert!(!bench.path("out.mp4").exists() && !bench.path("out.json").exists());
}

#[test]
fn models_that_cannot_be_used() {
    let bench = Bench::new();
    let net = Brightness::default();
    let fixed = Brightness {
        size: Size::Fixed { width: 64, height: 48 },
        ..net.clone()
    };
    let renamed = Brightness {
        input_name: "picture".into(),
        ..net.clone()
    };
    let three = Brightness {
        output: maskline::testing::Output::Logits,
        classes: 3,
        ..net.clone()
    };
    bench.write("bare.onnx", net.bare_onnx());
    bench.write("fixed.onnx", fixed.onnx());
    bench.write("renamed.onnx", renamed.onnx());
    bench.write("three.onnx", three.onnx());
    bench.write("text.onnx", "not a model\n");
    bench.write("empty.onnx", "");
    bench.write("bad.toml", "version = 1\nname = 'x'\n");
    for (args, part) in [
        ("--model missing.onnx", "missing.onnx"),
        ("--model builtin:nothing", "nothing"),
        ("--model text.onnx", "not an ONNX model"),
        ("--model empty.onnx", "not an ONNX model"),
        ("--model bare.onnx", "bare.toml"),
        ("--model bare.onnx --contract missing.toml", "missing.toml"),
        ("--model bare.onnx --contract bad.toml", "not valid"),
        ("--model renamed.onnx", "picture"),
        ("--model three.onnx", "3"),
        ("--model fixed.onnx --size 128x96", "64x48"),
        ("--model brightness.onnx --size 65x48", "multiples of 8"),
        ("--model brightness.onnx --head lanes", "brightness"),
        ("--model brightness.onnx --only road", "road"),
        ("--model brightness.onnx --provider cuda", "cuda"),
    ] {
        let before = bench.names();
        let line = format!("run test:?width=320&height=240 --frames 5 -o out.mp4 {args}");
        bench.maskline(line.split(' ')).refused(78, part);
        assert_eq!(bench.names(), before, "{args} left something behind");
    }
}

#[test]
fn flags_that_make_no_sense() {
    let bench = Bench::new();
    for (args, part) in [
        ("test: -o a.mp4 --alpha 1.5", "--alpha"),
        ("test: -o a.mp4 --alpha NaN", "--alpha"),
        ("test: -o a.mp4 --alpha -1", "--alpha"),
        ("test: -o a.mp4 --frames 0", "--frames"),
        ("test: -o a.mp4 --start -5", "--start"),
        ("test: -o a.mp4 --size 0x48", "--size"),
        ("test: -o a.mp4 --threads 0", "--threads"),
        ("test: -o a.mp4 --frobnicate", "--frobnicate"),
        ("test:nothing -o a.mp4", "nothing"),
        ("test: -o a.mp4 --quiet --verbose", "--verbose"),
    ] {
        refuses(&bench, args, 64, part);
    }
    bench
        .maskline(["run", "test:", "-o", "a.mp4", "--provider", "rocm"])
        .refused(64, "tensorrt");
    bench.maskline(["fly"]).refused(64, "fly");
    bench.maskline(["run"]).refused(64, "<INPUT>");
    bench.maskline(["run", "", "-o", "a.mp4"]).refused(64, "empty");
    bench
        .maskline(Vec::<String>::new())
        .refused(64, "run, serve, eval, check, models, bench, tune, doctor");
}

#[test]
fn a_mistake_in_the_audio_never_hides_that_the_picture_is_good() {
    let bench = Bench::new();
    let clip = Clip {
        audio: true,
        ..Clip::regular(320, 240, 25)
    };
    clip.write(&bench.path("in.mp4"));
    // WebM takes Vorbis and Opus, not AAC: whatever is done about that, the video must come.
    let ran = bench.run("in.mp4 -o out.webm").ok();
    assert_eq!(support::read_video(&bench.path("out.webm")).len(), 25, "{}", ran.stderr);
}

#[test]
fn a_part_file_that_is_there_is_never_touched() {
    let bench = Bench::new();
    Clip::regular(320, 240, 5).write(&bench.path("in.mp4"));
    fs::rename(bench.path("in.mp4"), bench.path("out.mp4.part")).unwrap();
    let recorded = fs::read(bench.path("out.mp4.part")).unwrap();
    refuses(&bench, "out.mp4.part -o out.mp4", 64, "out.mp4.part is there already");
    refuses(
        &bench,
        "test: --frames 5 -o out.mp4 --overwrite",
        64,
        "out.mp4.part is there already",
    );
    assert_eq!(fs::read(bench.path("out.mp4.part")).unwrap(), recorded);
}

#[test]
fn frames_that_no_encoder_takes() {
    let bench = Bench::new();
    for (name, width, height) in [("flat", 64, 14), ("wide", 16_386, 16)] {
        let file = fs::File::create(bench.path(&format!("{name}-0.png"))).unwrap();
        let mut encoder = png::Encoder::new(file, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&vec![0; (width * height) as usize]).unwrap();
    }
    refuses(&bench, "flat-%d.png -o out.mp4", 65, "the frames are 64x14, but H.264 takes 1x15");
    refuses(&bench, "flat-%d.png -o out.webm", 65, "VP9 takes 16x16 to 16384x16384");
    refuses(&bench, "wide-%d.png -o out.mp4", 65, "the frames are 16386x16");
    bench.run("flat-%d.png --masks masks").ok();
}

#[test]
fn places_that_only_the_end_of_the_run_would_find_out_about() {
    let bench = Bench::new();
    refuses(&bench, "test: --frames 5 -o out.mp4 --report /proc/r.json", 74, "/proc/r.json");
    refuses(&bench, "test: --frames 5 -o out.mp4 --sheet sheet.jpg", 64, ".png");
    refuses(&bench, "test: --frames 5 --masks same --json same", 64, "the same name");
}

#[test]
fn a_run_that_fails_late_names_what_it_kept_and_replaces_nothing() {
    let bench = Bench::new();
    let line = "run --model ./brightness.onnx --provider cpu 'test:ball?width=64&height=48' --frames 1000 --overwrite";
    bench.shell(&format!("\"$0\" {line} --masks masks --quiet")).ok();
    bench.write("out.json", "old");
    let before = fs::read(bench.path("masks/000500.png")).unwrap();
    let snow = line.replace("ball", "snow");
    let ran = bench.shell(&format!(
        "trap '' XFSZ; ulimit -f 30; exec \"$0\" {snow} -o out.mp4 --quality 51 --masks masks --json out.json --report r.json"
    ));
    ran.refused(74, "what was written until then is in out.mp4.part");
    assert_eq!(fs::read(bench.path("out.json")).unwrap(), b"old");
    assert_eq!(fs::read(bench.path("masks/000500.png")).unwrap(), before);
    assert_eq!(fs::read_dir(bench.path("masks")).unwrap().count(), 1000);
    assert_eq!(bench.names(), ["brightness.onnx", "masks", "out.json", "out.mp4.part"]);
}

#[test]
fn a_name_with_a_line_break_stays_one_line() {
    let bench = Bench::new();
    bench
        .maskline(["run", "no\nvideo.mp4", "-o", "out.mp4"])
        .refused(65, "no\\nvideo.mp4 does not exist");
}
