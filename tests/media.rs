//! Source and sink against files that GStreamer makes here.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/footage.rs"]
mod footage;

use footage::{Footage, drain, number, open, own_frame, plain, read, sound};
use maskline::error::code_of;
use maskline::frame::{Matrix, Range, VideoFormat};
use maskline::sink::{self, Sink, SinkOptions};
use maskline::source::{self, Opened, SourceOptions, StopFlag};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// One tick of the MP4 files written here.
const TICK_NS: u64 = 1_000_000_000 / 90_000 + 1;

fn folder() -> TempDir {
    tempfile::tempdir().expect("the system's temporary folder can be written")
}

fn create(path: &Path, opened: &mut Opened) -> Box<dyn Sink> {
    let packets = std::mem::take(&mut opened.packets);
    sink::create(path, &opened.format, packets, &SinkOptions::default()).unwrap_or_else(|e| panic!("{e:#}"))
}

/// Passes a file through source and sink.
fn copy(from: &Path, to: &Path, options: &SourceOptions) {
    let mut opened = open(from, options);
    let mut sink = create(to, &mut opened);
    while let Some(frame) = opened.frames.next().unwrap() {
        sink.write(frame).unwrap();
    }
    sink.finish().unwrap();
}

fn from_to(folder: &TempDir, from: &str, to: &str) -> (PathBuf, PathBuf) {
    (folder.path().join(from), folder.path().join(to))
}

fn numbers(frames: &[(u64, u64)]) -> Vec<u64> {
    frames.iter().map(|f| f.0).collect()
}

fn assert_times(frames: &[(u64, u64)], times: &[u64], tolerance_ns: u64) {
    assert_eq!(frames.len(), times.len());
    for (frame, time) in frames.iter().zip(times) {
        assert!(
            frame.1.abs_diff(*time) <= tolerance_ns,
            "frame {} is shown at {} instead of {time}",
            frame.0,
            frame.1
        );
    }
}

/// The error of an input that cannot be opened, with its exit code.
fn refused(input: &Path) -> (String, String) {
    let error = source::open(input.to_str().unwrap(), &SourceOptions::default())
        .err()
        .expect("it is refused");
    (format!("{error:#}"), format!("{:?}", code_of(&error)))
}

fn code(code: u8) -> String {
    format!("{:?}", std::process::ExitCode::from(code))
}

#[test]
fn every_frame_comes_out_once_in_order_with_its_time_at_any_width() {
    let folder = folder();
    for (width, height) in [(854, 480), (848, 478), (1866, 1050)] {
        let footage = Footage::regular(width, height, 30, 30_000, 1001);
        let (original, copied) = from_to(&folder, "in.mp4", "out.mp4");
        footage.write(&original);
        copy(&original, &copied, &SourceOptions::default());
        for path in [&original, &copied] {
            let frames = read(path, &SourceOptions::default());
            assert_eq!(numbers(&frames), (0..30).collect::<Vec<_>>());
            assert_times(&frames, &footage.times_ns, TICK_NS);
        }
    }
}

#[test]
fn a_variable_rate_is_kept_in_every_container() {
    let folder = folder();
    let footage = Footage::at_ms(320, 240, &[0, 33, 40, 41, 200, 900, 933, 1500, 1520]);
    let original = folder.path().join("in.mkv");
    footage.write(&original);
    for (name, tolerance) in [("out.mp4", TICK_NS), ("out.mkv", 1_000_000), ("out.webm", 1_000_000)] {
        let copied = folder.path().join(name);
        copy(&original, &copied, &SourceOptions::default());
        let frames = read(&copied, &SourceOptions::default());
        assert_eq!(numbers(&frames), (0..8).collect::<Vec<_>>());
        assert_times(&frames, &footage.times_ns, tolerance);
    }
}

#[test]
fn no_row_is_lost_at_odd_sizes() {
    let folder = folder();
    let format = plain(501, 375);
    for (name, width, height) in [("out.mp4", 502, 376), ("out.webm", 501, 375)] {
        let path = folder.path().join(name);
        let mut sink = sink::create(&path, &format, Vec::new(), &SinkOptions::default()).unwrap();
        assert_eq!(sink.notes().len(), usize::from(name == "out.mp4"), "a changed size is told");
        for index in 0..5 {
            sink.write(own_frame(&format, index, index * 40_000_000, 64)).unwrap();
        }
        sink.finish().unwrap();
        let mut opened = open(&path, &SourceOptions::default());
        assert_eq!((opened.format.width, opened.format.height), (width, height));
        let frame = opened.frames.next().unwrap().unwrap();
        let (luma, stride) = (frame.pixels.plane(0), frame.pixels.stride(0));
        for (x, y) in [(10, 374), (499, 374), (500, 200), (250, 373)] {
            let expected = footage::grey(0, x, y);
            let got = luma[y * stride + x];
            assert!(got.abs_diff(expected) < 24, "{name}: {got} instead of {expected} at {x}, {y}");
        }
    }
}

#[test]
fn frames_may_be_painted_without_harm_to_the_next() {
    let folder = folder();
    let path = folder.path().join("in.mp4");
    Footage::regular(854, 480, 40, 25, 1).write(&path);
    let mut opened = open(&path, &SourceOptions::default());
    let mut seen = Vec::new();
    while let Some(mut frame) = opened.frames.next().unwrap() {
        seen.push(number(frame.pixels.plane(0), frame.pixels.stride(0)));
        frame.pixels.plane_mut(0).fill(255);
        frame.pixels.plane_mut(1).fill(0);
    }
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

#[test]
fn sound_passes_untouched() {
    let folder = folder();
    let original = folder.path().join("in.mp4");
    Footage::regular(320, 240, 50, 25, 1).with_sound(2.0).write(&original);
    let expected = sound(&original);
    assert!(expected.len() > 80);
    for (name, tolerance) in [("out.mp4", 25_000), ("out.mkv", 1_000_000)] {
        let copied = folder.path().join(name);
        copy(&original, &copied, &SourceOptions::default());
        let found = sound(&copied);
        let bytes = |packets: &[(u64, Vec<u8>)]| packets.iter().map(|p| p.1.clone()).collect::<Vec<_>>();
        assert_eq!(bytes(&found), bytes(&expected), "{name}");
        let worst = found.iter().zip(&expected).map(|(a, b)| a.0.abs_diff(b.0)).max().unwrap();
        assert!(worst <= tolerance, "{name}: a packet is {worst} ns off");
    }
}

#[test]
fn sound_that_a_container_cannot_hold_is_converted_and_told() {
    let folder = folder();
    let (original, copied) = from_to(&folder, "in.mp4", "out.webm");
    Footage::regular(320, 240, 25, 25, 1).with_sound(1.0).write(&original);
    let mut opened = open(&original, &SourceOptions::default());
    let mut sink = create(&copied, &mut opened);
    assert_eq!(sink.notes(), ["this container cannot hold aac sound: it becomes Opus"]);
    while let Some(frame) = opened.frames.next().unwrap() {
        sink.write(frame).unwrap();
    }
    sink.finish().unwrap();
    assert!(open(&copied, &SourceOptions::default()).description.contains("opus"));
    assert!(sound(&copied).len() > 40);

    let again = folder.path().join("again.webm");
    copy(&copied, &again, &SourceOptions::default());
    let bytes = |path: &Path| sound(path).into_iter().map(|p| p.1).collect::<Vec<_>>();
    assert_eq!(bytes(&again), bytes(&copied), "Opus passes a WebM untouched");
}

#[test]
fn a_start_in_the_middle_is_exact_for_pictures_and_sound() {
    let folder = folder();
    for name in ["in.mp4", "in.mkv"] {
        let (original, copied) = from_to(&folder, name, "out.mp4");
        Footage::regular(320, 240, 100, 25, 1).with_sound(4.0).write(&original);
        let start_ns = 1_480_000_000;
        let options = SourceOptions {
            start_ns,
            ..SourceOptions::default()
        };
        copy(&original, &copied, &options);
        let frames = read(&copied, &SourceOptions::default());
        assert_eq!(numbers(&frames), (37..100).collect::<Vec<_>>(), "{name}");
        assert_times(&frames, &(0..63).map(|k| k * 40_000_000).collect::<Vec<_>>(), 1_000_000);
        let all = sound(&original);
        let expected: Vec<_> = all.iter().filter(|p| p.0 >= start_ns).collect();
        let found = sound(&copied);
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.1, expected.1);
            assert!(
                found.0.abs_diff(expected.0 - start_ns) < 1_000_000,
                "{name}: {} for {}",
                found.0,
                expected.0
            );
        }
    }
}

#[test]
fn a_limit_cuts_pictures_and_sound_at_the_same_time() {
    let folder = folder();
    let (original, copied) = from_to(&folder, "in.mp4", "out.mp4");
    Footage::regular(320, 240, 100, 25, 1).with_sound(4.0).write(&original);
    let options = SourceOptions {
        frames: Some(25),
        ..SourceOptions::default()
    };
    assert_eq!(open(&original, &options).frames_total, Some(25));
    copy(&original, &copied, &options);
    assert_eq!(read(&copied, &SourceOptions::default()).len(), 25);
    let last = sound(&copied).last().unwrap().0;
    assert!((900_000_000..1_000_000_000).contains(&last), "the last packet begins at {last} ns");
}

#[test]
fn sound_may_be_longer_or_shorter_than_the_pictures() {
    let folder = folder();
    for seconds in [0.6, 6.0] {
        let (original, copied) = from_to(&folder, "in.mp4", "out.mp4");
        Footage::regular(320, 240, 50, 25, 1).with_sound(seconds).write(&original);
        copy(&original, &copied, &SourceOptions::default());
        assert_eq!(read(&copied, &SourceOptions::default()).len(), 50);
        assert_eq!(sound(&copied).len(), sound(&original).len());
    }
}

#[test]
fn a_request_to_stop_ends_the_stream_and_the_file_is_whole() {
    let folder = folder();
    let (original, copied) = from_to(&folder, "in.mp4", "out.mp4");
    Footage::regular(320, 240, 100, 25, 1).with_sound(4.0).write(&original);
    let stop = StopFlag::default();
    let options = SourceOptions {
        stop: stop.clone(),
        ..SourceOptions::default()
    };
    let mut opened = open(&original, &options);
    let mut sink = create(&copied, &mut opened);
    for _ in 0..10 {
        sink.write(opened.frames.next().unwrap().unwrap()).unwrap();
    }
    stop.request();
    assert!(opened.frames.next().unwrap().is_none());
    assert!(opened.frames.next().unwrap().is_none());
    sink.finish().unwrap();
    assert_eq!(read(&copied, &SourceOptions::default()).len(), 10);
    assert!(sound(&copied).last().unwrap().0 < 400_000_000);
}

/// Finds a box by its kind and gives its content to be changed.
fn patch(path: &Path, kind: &[u8; 4], change: impl Fn(&mut [u8])) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(4).rposition(|w| w == kind).expect("the file has that box");
    change(&mut bytes[at + 4..]);
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_edit_list_decides_what_is_shown() {
    let folder = folder();
    let path = folder.path().join("in.mp4");
    Footage::regular(320, 240, 30, 25, 1).write(&path);
    // One entry: version and flags, count, duration, media time, rate. Begin three frames into the media.
    let clock = {
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(4).rposition(|w| w == b"mdhd").expect("a track has a header");
        u32::from_be_bytes(bytes[at + 16..at + 20].try_into().unwrap())
    };
    let media_time = clock * 3 / 25;
    patch(&path, b"elst", |list| {
        let begin = u32::from_be_bytes(list[12..16].try_into().unwrap());
        list[12..16].copy_from_slice(&(begin + media_time).to_be_bytes());
    });
    let frames = read(&path, &SourceOptions::default());
    assert_eq!(numbers(&frames)[0], 3);
    assert_eq!(frames.len(), 27);
    assert_times(&frames, &(0..27).map(|k| k * 40_000_000).collect::<Vec<_>>(), TICK_NS);
}

#[test]
fn a_turned_video_comes_out_upright() {
    let folder = folder();
    let path = folder.path().join("in.mp4");
    Footage::regular(320, 240, 3, 25, 1).write(&path);
    // A quarter turn in the track's matrix, behind 40 bytes of other fields.
    patch(&path, b"tkhd", |header| {
        let one: [u8; 4] = 0x0001_0000_u32.to_be_bytes();
        let minus: [u8; 4] = 0xffff_0000_u32.to_be_bytes();
        let zero = [0; 4];
        let matrix = [
            zero,
            one,
            zero,
            minus,
            zero,
            zero,
            240_u32.rotate_left(16).to_be_bytes(),
            zero,
            0x4000_0000_u32.to_be_bytes(),
        ];
        header[40..76].copy_from_slice(&matrix.concat());
    });
    let opened = open(&path, &SourceOptions::default());
    assert_eq!((opened.format.width, opened.format.height), (240, 320));
}

#[test]
fn a_stream_that_changes_its_size_keeps_the_first_one() {
    let folder = folder();
    let path = folder.path().join("both.h264");
    let mut bytes = Vec::new();
    for (width, height) in [(640, 480), (320, 240)] {
        let one = folder.path().join("one.h264");
        Footage::regular(width, height, 20, 25, 1).write(&one);
        bytes.extend(fs::read(&one).unwrap());
    }
    fs::write(&path, bytes).unwrap();
    let mut opened = open(&path, &SourceOptions::default());
    assert_eq!((opened.format.width, opened.format.height), (640, 480));
    assert_eq!(drain(&mut opened).len(), 40);
}

#[test]
fn other_layouts_and_depths_are_converted() {
    let folder = folder();
    for format in ["Y444", "I420_10LE"] {
        let path = folder.path().join("in.mkv");
        let encoder = format!("videoconvert ! video/x-raw,format={format} ! x264enc speed-preset=superfast");
        let footage = Footage {
            encoder: Box::leak(encoder.into_boxed_str()),
            ..Footage::regular(854, 480, 10, 25, 1)
        };
        footage.write(&path);
        let frames = read(&path, &SourceOptions::default());
        assert_eq!(numbers(&frames), (0..10).collect::<Vec<_>>(), "{format}");
    }
}

#[test]
fn colours_and_the_shape_of_pixels_reach_the_output() {
    let folder = folder();
    for (matrix, range, pixel_aspect) in [(Matrix::Bt601, Range::Limited, (4, 3)), (Matrix::Bt709, Range::Full, (1, 1))] {
        let format = VideoFormat {
            matrix,
            range,
            pixel_aspect,
            ..plain(720, 576)
        };
        let (first, second) = from_to(&folder, "first.mp4", "second.mp4");
        let mut sink = sink::create(&first, &format, Vec::new(), &SinkOptions::default()).unwrap();
        for index in 0..5 {
            sink.write(own_frame(&format, index, index * 40_000_000, 1)).unwrap();
        }
        sink.finish().unwrap();
        copy(&first, &second, &SourceOptions::default());
        assert_eq!(*open(&second, &SourceOptions::default()).format, format);
    }
}

#[test]
fn inputs_that_are_no_video_are_refused_in_one_line() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let whole = folder.path().join("whole.mp4");
    Footage::regular(320, 240, 20, 25, 1).write(&whole);
    let bytes = fs::read(&whole).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let cases = [
        (folder.path().join("absent.mp4"), "does not exist"),
        (write("empty.mp4", b""), "is empty"),
        (
            write("text.mp4", b"no video at all, but some words\n".repeat(50).as_slice()),
            "cannot be decoded",
        ),
        (write("cut.mp4", &bytes[..bytes.len() / 2]), "is cut off"),
        (folder.path().join("empty"), "holds no .png or .jpg picture"),
        (folder.path().join("%04d.png"), "no file is named like"),
    ];
    for (path, part) in cases {
        let (text, exit) = refused(&path);
        assert!(text.contains(part) && text.lines().count() == 1, "{text}");
        assert_eq!(exit, code(65), "{text}");
    }
    let (text, exit) = refused(Path::new("test:bal"));
    assert!(text.contains("ball"), "{text}");
    assert_eq!(exit, code(64));
}

#[test]
fn a_file_without_pictures_is_refused_by_what_it_holds() {
    let folder = folder();
    let (both, audio) = from_to(&folder, "both.mkv", "audio.mp4");
    Footage::regular(320, 240, 20, 25, 1).with_sound(0.5).write(&both);
    footage::only_sound(&both, &audio);
    let (text, exit) = refused(&audio);
    assert!(text.contains("has no video: found aac"), "{text}");
    assert_eq!(exit, code(65));
}

#[test]
fn a_file_that_is_cut_off_gives_what_it_has_and_then_says_so() {
    let folder = folder();
    let path = folder.path().join("in.mp4");
    let footage = Footage {
        faststart: true,
        ..Footage::regular(320, 240, 100, 25, 1)
    };
    footage.write(&path);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let mut opened = open(&path, &SourceOptions::default());
    let mut count = 0;
    let error = loop {
        match opened.frames.next() {
            Ok(Some(frame)) => {
                assert_eq!(number(frame.pixels.plane(0), frame.pixels.stride(0)), count);
                count += 1;
            }
            Ok(None) => panic!("the cut is not told"),
            Err(error) => break error,
        }
    };
    assert!((20..90).contains(&count), "{count} frames");
    assert!(
        format!("{error:#}").contains(&format!("only its first {count} frames")),
        "{error:#}"
    );
    assert_eq!(format!("{:?}", code_of(&error)), code(65));
    assert!(opened.frames.next().unwrap().is_none(), "the failure is told once");
}

#[test]
fn outputs_that_cannot_be_are_refused_before_any_work() {
    let folder = folder();
    let format = plain(320, 240);
    let refused = |path: &Path| {
        let error = sink::create(path, &format, Vec::new(), &SinkOptions::default())
            .err()
            .expect("it is refused");
        (format!("{error:#}"), format!("{:?}", code_of(&error)))
    };
    for (name, part, exit) in [("out.avi", ".mp4, .mkv or .webm", 64), ("absent/out.mp4", "there is no folder", 74)] {
        let (text, found) = refused(&folder.path().join(name));
        assert!(text.contains(part), "{text}");
        assert_eq!(found, code(exit), "{text}");
    }
    let (text, exit) = refused(Path::new("/proc/out.mp4"));
    assert!(text.contains("cannot be written"), "{text}");
    assert_eq!(exit, code(74));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn an_abandoned_output_has_no_final_name_and_its_part_plays() {
    let folder = folder();
    let (original, copied) = from_to(&folder, "in.mp4", "out.mp4");
    Footage::regular(320, 240, 50, 25, 1).with_sound(2.0).write(&original);
    let mut opened = open(&original, &SourceOptions::default());
    let mut sink = create(&copied, &mut opened);
    for _ in 0..20 {
        sink.write(opened.frames.next().unwrap().unwrap()).unwrap();
    }
    let part = sink.partial().unwrap().to_owned();
    assert_eq!(part, folder.path().join("out.mp4.part"));
    drop(sink);
    assert!(!copied.exists());
    assert_eq!(read(&part, &SourceOptions::default()).len(), 20);

    let unused = folder.path().join("unused.mp4");
    let sink = sink::create(&unused, &opened.format, Vec::new(), &SinkOptions::default()).unwrap();
    drop(sink);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "without a frame nothing remains");
}

/// Not a test: what [`a_killed_recording_plays_up_to_its_last_second`] and [`a_full_disk_ends_the_output`] run in a process
/// of its own. It writes frames and sound without end and says how many.
#[test]
#[ignore = "runs only in a process of its own"]
fn endless_recording() {
    let Some(path) = std::env::var_os("ENDLESS_RECORDING").map(PathBuf::from) else {
        return;
    };
    let original = path.with_file_name("in.mp4");
    let mut opened = open(&original, &SourceOptions::default());
    let mut sink = create(&path, &mut opened);
    let format = opened.format.clone();
    for index in 0.. {
        if let Err(error) = sink.write(own_frame(&format, index % 1000, index * 40_000_000, 1)) {
            println!("failed {:?} {error:#}", code_of(&error));
            return;
        }
        println!("wrote {index}");
    }
}

fn record(path: &Path, shell: &str) -> Command {
    let test = std::env::current_exe().expect("a test knows its program");
    let mut command = Command::new("sh");
    let line = format!("{shell} exec \"$0\" --ignored --exact --nocapture endless_recording");
    command.args(["-c", &line]).arg(test).env("ENDLESS_RECORDING", path);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

#[test]
fn a_killed_recording_plays_up_to_its_last_second() {
    let folder = folder();
    for extension in ["mp4", "mkv"] {
        let (original, copied) = from_to(&folder, "in.mp4", &format!("out.{extension}"));
        Footage::regular(320, 240, 300, 25, 1).with_sound(20.0).write(&original);
        let mut child = record(&copied, "").spawn().expect("the shell can be started");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let written = lines.map_while(Result::ok).find(|line| line.ends_with("wrote 200"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(written.is_some());
        assert!(!copied.exists(), "the final name is for finished files");
        let part = folder.path().join(format!("out.{extension}.part"));
        let frames = read(&part, &SourceOptions::default());
        // The encoder holds some frames, and the last second may be lost.
        assert!(frames.len() > 200 - 25 - 40, "{extension}: {} of 200 frames remain", frames.len());
        assert_eq!(numbers(&frames), (0..frames.len() as u64).collect::<Vec<_>>());
        assert!(sound(&part).len() > 3 * 43, "{extension}: sound remains too");
    }
}

#[test]
fn a_full_disk_ends_the_output() {
    let folder = folder();
    let (original, copied) = from_to(&folder, "in.mp4", "out.mp4");
    Footage::regular(320, 240, 25, 25, 1).write(&original);
    // A limit on the size of files is the full disk that needs no privilege.
    let output = record(&copied, "trap '' XFSZ; ulimit -f 200;")
        .output()
        .expect("the shell can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().find(|l| l.contains("failed")).expect("it fails");
    assert!(failed.contains("out.mp4") && failed.contains("74"), "{failed}");
    assert!(!copied.exists());
}

fn png(path: &Path, width: u32, height: u32, grey: u8) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgb);
    let pixels = vec![grey; (width * height * 3) as usize];
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

/// Luma in the middle of every frame, with its time.
fn middles(input: &str, options: &SourceOptions) -> Vec<(u8, u64)> {
    let mut opened = source::open(input, options).unwrap_or_else(|e| panic!("{e:#}"));
    let (width, height) = (opened.format.width as usize, opened.format.height as usize);
    let mut found = Vec::new();
    while let Some(frame) = opened.frames.next().unwrap_or_else(|e| panic!("{e:#}")) {
        found.push((frame.pixels.plane(0)[height / 2 * frame.pixels.stride(0) + width / 2], frame.pts_ns));
    }
    found
}

#[test]
fn pictures_become_a_video_in_the_order_of_their_numbers() {
    let folder = folder();
    // Out of order by name, and the last of another size.
    for (k, number) in [9, 10, 11].into_iter().enumerate() {
        let size = if number == 11 { (77, 33) } else { (101, 75) };
        png(&folder.path().join(format!("img_{number}.png")), size.0, size.1, 50 + 80 * k as u8);
    }
    let options = SourceOptions {
        image_rate: (10, 1),
        ..SourceOptions::default()
    };
    let pattern = folder.path().join("img_%d.png");
    for input in [folder.path(), &pattern] {
        let input = input.to_str().unwrap();
        let opened = source::open(input, &options).unwrap();
        assert_eq!((opened.frames_total, opened.duration_ns), (Some(3), Some(300_000_000)));
        assert_eq!((opened.format.width, opened.format.height), (101, 75));
        let found = middles(input, &options);
        assert_eq!(found.iter().map(|f| f.1).collect::<Vec<_>>(), [0, 100_000_000, 200_000_000]);
        assert!(found[0].0 < found[1].0 && found[1].0 < found[2].0, "{found:?}");
        let later = SourceOptions {
            start_ns: 150_000_000,
            ..options.clone()
        };
        assert_eq!(
            middles(input, &later).iter().map(|f| f.0).collect::<Vec<_>>(),
            [found[1].0, found[2].0]
        );
    }
}

#[test]
fn pictures_that_are_missing_mixed_or_damaged_are_named() {
    let folder = folder();
    for number in [1, 2, 4] {
        png(&folder.path().join(format!("{number:03}.png")), 64, 48, 100);
    }
    let (text, exit) = refused(&folder.path().join("%03d.png"));
    assert!(text.contains("number 3 is missing"), "{text}");
    assert_eq!(exit, code(65));

    let damaged = folder.path().join("002.png");
    let bytes = fs::read(&damaged).unwrap();
    fs::write(&damaged, &bytes[..40]).unwrap();
    let mut opened = open(folder.path(), &SourceOptions::default());
    let error = std::iter::from_fn(|| opened.frames.next().transpose())
        .find_map(Result::err)
        .expect("it is told");
    assert!(format!("{error:#}").contains("002.png"), "{error:#}");

    fs::File::create(folder.path().join("003.jpg")).unwrap().write_all(b"x").unwrap();
    let (text, _) = refused(folder.path());
    assert!(text.contains("003.jpg") && text.contains("one kind"), "{text}");
}

#[test]
fn a_test_pattern_has_the_size_and_number_of_frames_that_were_asked_for() {
    let input = "test:ball?width=854&height=478&rate=30000/1001&frames=20";
    let mut opened = source::open(input, &SourceOptions::default()).unwrap();
    assert_eq!((opened.format.width, opened.format.height), (854, 478));
    assert_eq!(opened.format.rate, Some((30_000, 1001)));
    assert_eq!(opened.frames_total, Some(20));
    let mut last = None;
    let mut count = 0;
    while let Some(frame) = opened.frames.next().unwrap() {
        assert!(last < Some(frame.pts_ns));
        last = Some(frame.pts_ns);
        count += 1;
    }
    assert_eq!(count, 20);
    assert_eq!(opened.frames.dropped(), 0);
}

#[test]
fn a_live_source_gives_its_newest_frame_and_counts_the_others() {
    let options = SourceOptions {
        live: true,
        ..SourceOptions::default()
    };
    let mut live = source::open("test:ball?width=64&height=64&rate=1000&frames=5", &options).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = live.frames.next().unwrap() {
        frames.push((frame.index, frame.pts_ns, live.frames.dropped()));
        // Work that takes longer than a frame lasts.
        let busy = source::open("test:ball?width=1280&height=720&frames=30", &SourceOptions::default()).unwrap();
        assert_eq!(drain_count(busy), 30);
    }
    assert_eq!(frames.iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    // Every millisecond there was a frame: it came, or it is counted.
    let (first, last) = (frames[0], frames[4]);
    let span_ms = (last.1 - first.1) / 1_000_000;
    let replaced = last.2 - first.2;
    assert!(replaced > 0);
    assert!(span_ms.abs_diff(replaced + 4) <= 5, "{span_ms} ms, {replaced} replaced");
}

fn drain_count(mut opened: Opened) -> usize {
    std::iter::from_fn(|| opened.frames.next().unwrap()).count()
}

#[test]
fn what_lies_behind_the_end_of_a_file_is_told_and_harms_nothing() {
    let folder = folder();
    let path = folder.path().join("in.mp4");
    Footage::regular(320, 240, 30, 25, 1).write(&path);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"TAGged by some camera").unwrap();
    let mut opened = open(&path, &SourceOptions::default());
    assert!(
        opened.notes.iter().any(|n| n.contains("21 bytes behind its end")),
        "{:?}",
        opened.notes
    );
    assert_eq!(drain(&mut opened).len(), 30);
}

#[test]
fn sound_that_is_left_out_is_told() {
    let folder = folder();
    let path = folder.path().join("in.mp4");
    Footage::regular(320, 240, 250, 25, 1).with_sound(1.0).write(&path);
    let opened = open(&path, &SourceOptions::default());
    let told = opened.notes.iter().any(|n| n.contains("streams of sound cannot be read"));
    assert!(told || opened.packets.len() == 1, "{:?}", opened.notes);
}

#[test]
fn a_start_in_an_mpeg_stream_counts_from_its_first_frame() {
    let folder = folder();
    let (original, path) = from_to(&folder, "in.mp4", "in.ts");
    Footage::regular(320, 240, 100, 25, 1).with_sound(4.0).write(&original);
    let line = format!(
        "filesrc location={} ! qtdemux name=d d.video_0 ! h264parse ! mpegtsmux name=m ! filesink location={} d.audio_0 ! queue ! aacparse ! m.",
        original.display(),
        path.display()
    );
    let made = Command::new("gst-launch-1.0").arg("-q").args(line.split(' ')).status();
    assert!(made.unwrap().success());
    let options = SourceOptions {
        start_ns: 1_480_000_000,
        ..SourceOptions::default()
    };
    let frames = read(&path, &options);
    assert_eq!(numbers(&frames), (37..100).collect::<Vec<_>>());
}
