//! What `maskline run` does with videos.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use maskline::stats::{Ending, Report};
use maskline::testing::Brightness;
use maskline_models::contract::{Resize, Size};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::{Bench, Clip, MS, number, read_audio, read_video};

fn report(path: &Path) -> Report {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn every_frame_of_a_file_comes_out_once_in_order_at_its_own_time() {
    let bench = Bench::new();
    // A width that is no multiple of 4, an odd height after scaling by nothing, and a rate that varies.
    let clip = Clip {
        times_ms: (0..60).map(|k| 40 * k + if k > 30 { 333 } else { 0 } + k % 3).collect(),
        ..Clip::regular(854, 478, 60)
    };
    clip.write(&bench.path("in.mp4"));
    bench.run("in.mp4 -o out.mp4").ok();
    let shown = read_video(&bench.path("out.mp4"));
    let numbers: Vec<_> = shown.iter().map(|s| s.number).collect();
    assert_eq!(numbers, (0..60).collect::<Vec<u8>>());
    for (frame, time) in shown.iter().zip(&clip.times_ms) {
        assert!(frame.pts_ns.abs_diff(time * MS) < MS, "{frame:?}, wanted {time} ms");
        assert_eq!(frame.size, (854, 478));
    }
}

#[test]
fn audio_passes_untouched() {
    let bench = Bench::new();
    let clip = Clip {
        audio: true,
        ..Clip::regular(320, 240, 30)
    };
    clip.write(&bench.path("in.mp4"));
    bench.run("in.mp4 -o out.mp4").ok();
    let before = read_audio(&bench.path("in.mp4"));
    assert!(before.len() > 20, "the input has audio");
    assert_eq!(read_audio(&bench.path("out.mp4")), before);
}

#[test]
fn masks_are_pictures_of_the_frames_size_whose_pixels_are_class_ids() {
    let bench = Bench::new();
    Clip::regular(322, 242, 12).write(&bench.path("in.mp4"));
    bench.run("in.mp4 --masks masks").ok();
    for k in 0..12 {
        assert_eq!(mask(&bench, k), (k, (322, 242)));
    }
    let file = fs::File::open(bench.path("masks/000000.png")).unwrap();
    let png = png::Decoder::new(BufReader::new(file)).read_info().unwrap();
    assert_eq!(png.info().color_type, png::ColorType::Indexed);
    assert_eq!(png.info().palette.as_ref().unwrap()[..6], [0x1e, 0x3c, 0xff, 0xff, 0x8c, 0x00]);
    assert_eq!(fs::read_dir(bench.path("masks")).unwrap().count(), 12);
}

#[test]
fn class_maps_go_into_a_video_under_the_rules_of_every_output() {
    let bench = Bench::new();
    Clip::regular(322, 242, 12).write(&bench.path("in.mp4"));
    bench.run("in.mp4 --class-video maps.mkv").ok();
    assert!(fs::metadata(bench.path("maps.mkv")).unwrap().len() > 500 && !bench.path("maps.mkv.part").exists());
    bench.run("in.mp4 --class-video maps.mkv").refused(64, "--overwrite");
    bench
        .run("in.mp4 --class-video maps.mp4")
        .refused(64, "--class-video maps.mp4 is no .mkv");
    bench.run("in.mp4 -o a.mkv --class-video a.mkv").refused(64, "same file");
}

/// The number that mask `k` shows, and the size of that mask.
fn mask(bench: &Bench, k: u8) -> (u8, (u32, u32)) {
    let file = fs::File::open(bench.path(&format!("masks/{k:06}.png"))).unwrap();
    let mut png = png::Decoder::new(BufReader::new(file)).read_info().unwrap();
    let mut ids = vec![0; png.output_buffer_size().unwrap()];
    let info = png.next_frame(&mut ids).unwrap();
    let middle = info.height as usize / 2 * info.line_size;
    (number(info.width as usize, |x| ids[middle + x] == 1), (info.width, info.height))
}

#[test]
fn masks_of_a_letterboxed_net_cover_just_the_frame() {
    let bench = Bench::new();
    let net = Brightness {
        size: Size::Fixed { width: 256, height: 64 },
        resize: Resize::Letterbox { pad: 255 },
        ..Brightness::default()
    };
    net.write(&bench.path("."));
    Clip::regular(240, 240, 20).write(&bench.path("in.mp4"));
    bench.run("in.mp4 --masks masks").ok();
    for k in 0..20 {
        assert_eq!(mask(&bench, k), (k, (240, 240)));
    }
}

#[test]
fn masks_of_a_longer_run_before_do_not_stay() {
    let bench = Bench::new();
    bench.run("test:ball?width=320&height=240 --frames 9 --masks masks").ok();
    bench
        .run("test:ball?width=320&height=240 --frames 4 --masks masks --overwrite")
        .ok();
    assert_eq!(fs::read_dir(bench.path("masks")).unwrap().count(), 4);
}

#[test]
fn every_frame_has_a_json_line_with_its_shares() {
    let bench = Bench::new();
    Clip::regular(320, 240, 16).write(&bench.path("in.mp4"));
    bench.run("in.mp4 --json frames.jsonl").ok();
    let lines = lines(&bench.path("frames.jsonl"));
    assert_eq!(lines.len(), 16);
    for (k, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], k);
        assert!(line["pts_ns"].as_u64().unwrap().abs_diff(40 * k as u64 * MS) < MS, "{line}");
        assert!(line["inference_ms"].as_f64().unwrap() > 0.0, "{line}");
        let share = |class: &str| line["share"][class].as_f64().unwrap();
        let wanted = f64::from(k.count_ones()) / 8.0;
        assert!((share("bright") - wanted).abs() < 0.05, "{line}");
        assert!((share("dark") + share("bright") - 1.0).abs() < 1e-5, "{line}");
    }
}

#[test]
fn json_lines_can_go_to_another_program() {
    let bench = Bench::new();
    for name in ["-", "/dev/stdout"] {
        let ran = bench.run(&format!("test:ball?width=320&height=240 --frames 7 --json {name}")).ok();
        let lines = ran.stdout.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        let indices: Vec<_> = lines.map(|l| l["index"].clone()).collect();
        assert_eq!(indices, (0..7).collect::<Vec<_>>());
        let ran = bench
            .run(&format!("test:ball?width=320&height=240 --frames 7 --report {name}"))
            .ok();
        let report: Report = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((report.frames.written, report.written.len()), (7, 0));
    }
    assert!(!bench.names().contains(&"-".to_owned()), "no file is called -");
}

#[test]
fn json_lines_join_what_else_goes_into_the_same_file() {
    let bench = Bench::new();
    for name in ["-", "/dev/stdout"] {
        let run = "run --model ./brightness.onnx --provider cpu 'test:ball?width=320&height=240' --frames 3";
        let ran = bench.shell(&format!("{{ echo first; \"$0\" {run} --json {name}; echo last; }} > all.txt"));
        ran.ok();
        let text = fs::read_to_string(bench.path("all.txt")).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[4]), (5, "first", "last"), "{text}");
        assert!(lines[1].contains("\"index\":0,") && lines[3].contains("\"index\":2,"), "{text}");
    }
}

#[test]
fn a_reader_that_leaves_ends_the_program_with_one_line() {
    let bench = Bench::new();
    let run = "run --model ./brightness.onnx --provider cpu --quiet 'test:ball?width=320&height=240&frames=5000' --json -";
    for command in [run, "models list", "doctor", "models show brightness.onnx"] {
        // The last command of the pipe decides its exit code, so the program's own is printed.
        let ran = bench.shell(&format!("{{ \"$0\" {command}; echo \"code $?\" >&2; }} | true"));
        let lines: Vec<_> = ran.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{command}: {}", ran.stderr);
        assert!(
            lines[0].starts_with("maskline: cannot write standard output: Broken pipe"),
            "{command}: {}",
            ran.stderr
        );
        assert_eq!(lines[1], "code 74", "{command}");
    }
}

#[test]
fn nobody_has_to_listen_to_what_is_said() {
    let bench = Bench::new();
    let run = "run --model ./brightness.onnx --provider cpu 'test:ball?width=320&height=240' --frames 9 -o out.mp4";
    bench.shell(&format!("exec 2>/dev/full; \"$0\" {run}")).ok();
    assert_eq!(read_video(&bench.path("out.mp4")).len(), 9);
}

#[test]
fn everything_that_was_written_is_named() {
    let bench = Bench::new();
    let ran = bench.run("test:ball?width=320&height=240 --frames 4 -o a.mp4 --masks m --json j --report r.json --sheet s.png");
    assert!(ran.ok().stderr.ends_with("written to a.mp4, m, j, r.json, s.png\n"));
    assert_eq!(report(&bench.path("r.json")).written, ["a.mp4", "m", "j", "r.json", "s.png"]);
}

#[test]
fn the_licence_of_the_weights_is_said_and_reported_and_so_is_an_option_without_effect() {
    let bench = Bench::new();
    let ran = bench
        .run("test:ball?width=320&height=240 --frames 2 --report r.json --device 3 --outlines")
        .ok();
    let licence = report(&bench.path("r.json")).model.licence;
    assert!(
        !licence.is_empty() && ran.stderr.contains(&format!("licence: {licence}")),
        "{}",
        ran.stderr
    );
    for note in ["note: --device changes nothing", "note: --outlines changes nothing"] {
        assert!(ran.stderr.contains(note), "{}", ran.stderr);
    }
}

#[test]
fn what_the_net_is_not_sure_of_is_dark_where_that_is_asked_for() {
    let bench = Bench::new();
    let picture = |name: &str| {
        let file = BufReader::new(fs::File::open(bench.path(name)).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        bytes.iter().map(|b| u64::from(*b)).sum::<u64>() / bytes.len() as u64
    };
    let ball = "test:ball?width=320&height=240 --frames 6 -o a.mp4 --alpha 0.9 --no-legend --overwrite --sheet";
    bench
        .run(&format!("{ball} without.png --confidence"))
        .refused(78, "exported with --confidence");
    let net = |gain| Brightness {
        confident: true,
        gain,
        ..Brightness::default()
    };
    for (gain, sure) in [(0.0, false), (90.0, true)] {
        net(gain).write(&bench.path("."));
        bench.run(&format!("{ball} plain.png")).ok();
        bench.run(&format!("{ball} shaded.png --confidence")).ok();
        let (plain, shaded) = (picture("plain.png"), picture("shaded.png"));
        assert!(
            plain > 40 && if sure { plain == shaded } else { 6 * shaded < plain },
            "{sure}: {plain} {shaded}"
        );
    }
    bench
        .run(&format!("{ball} without.png --confidence --every 2"))
        .refused(78, "known of inferred frames only");
    // nobody sees it: no video is written
    let ran = bench
        .run("test:ball?width=320&height=240 --frames 2 --report r.json --confidence")
        .ok();
    assert!(ran.stderr.contains("note: --confidence changes nothing"), "{}", ran.stderr);
}

#[test]
fn the_report_accounts_for_every_frame_and_names_what_ran() {
    let bench = Bench::new();
    Clip::regular(320, 240, 25).write(&bench.path("in.mp4"));
    bench.run("in.mp4 -o out.mp4 --report report.json --sheet sheet.png").ok();
    let report = report(&bench.path("report.json"));
    let counts = report.frames;
    assert_eq!((counts.read, counts.written, counts.inferred), (25, 25, 25));
    assert_eq!((counts.dropped, counts.nan), (0, 0));
    assert_eq!(report.ended_by, Ending::EndOfInput);
    assert_eq!((report.width, report.height), (320, 240));
    assert_eq!(report.provider.asked, "cpu");
    assert_eq!(report.model.name, "brightness");
    let file = fs::read(bench.path("brightness.onnx")).unwrap();
    let model = maskline_models::Model::from_bytes("x".into(), file.into(), None).unwrap();
    assert_eq!(report.model.sha256, model.sha256());
    let names: Vec<_> = report.stages.iter().map(|s| s.stage.as_str()).collect();
    assert_eq!(names, ["source", "preprocess", "infer", "postprocess", "overlay", "sink"]);
    for stage in &report.stages {
        assert_eq!(stage.frames, 25, "{stage:?}");
        assert!(stage.p50_ms <= stage.p95_ms && stage.p95_ms <= stage.max_ms, "{stage:?}");
        assert!(stage.queue_max_frames <= stage.queue_capacity_frames, "{stage:?}");
    }
    assert!(report.cpu_s > 0.0 && report.wall_s >= report.stream_s && report.peak_memory_mib > 1.0);
    assert!(report.first_frame_ms.unwrap() > 0.0);
    assert!(bench.path("sheet.png").is_file());
}

#[test]
fn sessions_and_threads_are_as_many_as_asked_for_and_change_no_pixel() {
    let bench = Bench::new();
    Clip::regular(320, 240, 12).write(&bench.path("in.mp4"));
    for (sessions, flags) in [
        (1, "--threads 1"),
        (3, "--threads 3"),
        (2, "--decoder-threads 1 --encoder-threads 1"),
    ] {
        let line = format!("in.mp4 -o {sessions}.mp4 --masks {sessions} --sessions {sessions} --report {sessions}.json {flags}");
        bench.run(&line).ok();
        let report = report(&bench.path(&format!("{sessions}.json")));
        let infer = report.stages.iter().find(|s| s.stage == "infer").unwrap();
        assert_eq!((infer.threads, report.frames.written), (sessions, 12));
        let mask = |folder: u8| fs::read(bench.path(&format!("{folder}/000007.png"))).unwrap();
        assert_eq!(mask(sessions as u8), mask(1));
    }
}

#[test]
fn start_and_frames_cut_a_piece_out_that_begins_at_zero() {
    let bench = Bench::new();
    Clip::regular(320, 240, 60).write(&bench.path("in.mp4"));
    bench.run("in.mp4 -o out.mp4 --start 1 --frames 10").ok();
    let shown = read_video(&bench.path("out.mp4"));
    assert_eq!(shown.iter().map(|s| s.number).collect::<Vec<_>>(), (25..35).collect::<Vec<u8>>());
    assert_eq!(shown[0].pts_ns, 0);
}

#[test]
fn a_pipeline_file_runs_from_anywhere_and_flags_come_first() {
    let bench = Bench::new();
    fs::create_dir(bench.path("deep")).unwrap();
    let text = "[source]\ninput = 'test:ball?width=320&height=240'\nframes = 50\n\
        [model]\nfile = '../brightness.onnx'\n[execution]\nprovider = 'cpu'\n[output]\nvideo = 'out.mp4'\nreport = 'report.json'\n";
    bench.write("deep/p.toml", text);
    bench.maskline(["run", "deep/p.toml", "--frames", "5", "-o", "here.mp4"]).ok();
    assert!(bench.path("here.mp4").is_file() && !bench.path("deep/out.mp4").exists());
    assert_eq!(report(&bench.path("deep/report.json")).frames.written, 5);
}

#[test]
fn an_output_that_is_there_is_replaced_only_when_asked_and_only_at_the_end() {
    let bench = Bench::new();
    bench.write("out.mp4", "precious");
    bench
        .run("test:ball?width=320&height=240 --frames 5 -o out.mp4")
        .refused(64, "--overwrite");
    assert_eq!(fs::read(bench.path("out.mp4")).unwrap(), b"precious");
    // A run that fails leaves the old file, too.
    bench.run("brightness.onnx --overwrite -o out.mp4").refused(65, "brightness.onnx");
    assert_eq!(fs::read(bench.path("out.mp4")).unwrap(), b"precious");
    bench.run("test:ball?width=320&height=240 --frames 5 -o out.mp4 --overwrite").ok();
    assert_eq!(read_video(&bench.path("out.mp4")).len(), 5);
}

#[test]
fn quiet_says_nothing_and_verbose_says_where_the_time_went() {
    let bench = Bench::new();
    let ran = bench.run("test:ball?width=320&height=240 --frames 5 -o a.mp4 --quiet").ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = bench.run("test:ball?width=320&height=240 --frames 5 -o b.mp4").ok();
    assert!(
        ran.stderr.contains("5 frames in") && !ran.stderr.contains("p95 ms"),
        "{}",
        ran.stderr
    );
    let ran = bench.run("test:ball?width=320&height=240 --frames 5 -o c.mp4 --verbose").ok();
    assert!(
        ran.stderr.contains("p95 ms") && ran.stderr.contains("postprocess"),
        "{}",
        ran.stderr
    );
}

/// A run without an end, once its first progress line has come.
fn endless(bench: &Bench) -> (Child, BufReader<std::process::ChildStderr>) {
    let line = "run --model ./brightness.onnx --provider cpu test:live?width=320&height=240 -o out.mp4 --report report.json";
    let mut child = bench.command().args(line.split(' ')).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("frames/s") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the run ended by itself");
    }
    (child, said)
}

fn signal(name: &str, child: &Child) {
    let sent = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -{name} {}", child.id()))
        .status()
        .unwrap();
    assert!(sent.success());
}

#[test]
fn the_first_signal_finishes_the_file() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let bench = Bench::new();
        let (mut child, mut said) = endless(&bench);
        signal(name, &child);
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{rest}");
        let report = report(&bench.path("report.json"));
        assert_eq!(report.ended_by, Ending::Stopped);
        assert_eq!(read_video(&bench.path("out.mp4")).len() as u64, report.frames.written);
    }
}

#[test]
fn the_second_signal_leaves_at_once() {
    let bench = Bench::new();
    // Nobody ever writes into this pipe, so the program waits for its model for ever.
    assert!(Command::new("mkfifo").arg(bench.path("never.onnx")).status().unwrap().success());
    let args = ["run", "test:", "-o", "out.mp4", "--model", "./never.onnx"];
    let mut child = bench.command().args(args).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    // The handler is there once the process opens the pipe for reading, which lets a writer in.
    let pipe = fs::OpenOptions::new().write(true).open(bench.path("never.onnx")).unwrap();
    signal("INT", &child);
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("once more leaves at once"), "{line}");
    signal("INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(pipe);
    assert!(!bench.path("out.mp4").exists());
}

#[test]
fn a_killed_run_leaves_nothing_under_the_final_name() {
    let bench = Bench::new();
    let (mut child, _said) = endless(&bench);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.path("out.mp4").exists() && !bench.path("report.json").exists());
}

#[test]
fn a_file_that_somebody_makes_during_the_run_stays() {
    let bench = Bench::new();
    let (mut child, mut said) = endless(&bench);
    bench.write("out.mp4", "somebody's");
    signal("INT", &child);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(74), "{rest}");
    assert!(rest.contains("out.mp4 cannot get its name"), "{rest}");
    assert_eq!(fs::read(bench.path("out.mp4")).unwrap(), b"somebody's");
    assert!(!read_video(&bench.path("out.mp4.part")).is_empty());
    assert!(bench.path("report.json").exists());
}

#[test]
fn an_input_that_ends_before_its_time_is_called_damaged() {
    let bench = Bench::new();
    Clip::regular(320, 240, 100).write(&bench.path("in.mp4"));
    let mut bytes = fs::read(bench.path("in.mp4")).unwrap();
    // The table of contents promises four seconds, and the sizes of all frames but some are gone.
    let sizes = bytes.windows(4).rposition(|w| w == b"stsz").unwrap() + 16;
    bytes[sizes + 4 * 40..sizes + 4 * 100].fill(0);
    bench.write("bad.mp4", bytes);
    bench.run("bad.mp4 --report bad.json").ok();
    bench.run("in.mp4 --report good.json").ok();
    assert_eq!(report(&bench.path("good.json")).ended_by, Ending::EndOfInput);
    let bad = report(&bench.path("bad.json"));
    assert_eq!((bad.ended_by, bad.frames.expected), (Ending::Damaged, Some(100)), "{bad:?}");
    assert!(bad.frames.written < 60);
}
