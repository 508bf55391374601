//! `maskline run --window`, on a virtual screen.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::Bench;

/// A screen of 800x600 that nobody sees.
struct Screen {
    server: Child,
    display: String,
}

impl Screen {
    /// Nothing where Xvfb is missing, which is said.
    fn start() -> Option<Self> {
        let mut command = Command::new("Xvfb");
        // Else it begins anew whenever its last client leaves, and refuses those who come meanwhile.
        command.args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"]);
        let Ok(mut server) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
            eprintln!("skipped: there is no Xvfb (apt install xvfb)");
            return None;
        };
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Some(Self {
            server,
            display: format!(":{}", number.trim()),
        })
    }

    /// Red, green and blue of every pixel, row by row.
    fn picture(&self) -> Vec<[u8; 3]> {
        gst::init().unwrap();
        let line = "ximagesrc name=screen num-buffers=1 use-damage=false ! videoconvert ! video/x-raw,format=RGB ! appsink name=out";
        let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.by_name("screen").unwrap().set_property("display-name", &self.display);
        let out = pipeline.by_name("out").unwrap().downcast::<AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let sample = out.pull_sample().unwrap();
        let bytes = sample.buffer().unwrap().map_readable().unwrap().to_vec();
        pipeline.set_state(gst::State::Null).unwrap();
        bytes.chunks_exact(3).map(|p| p.try_into().unwrap()).collect()
    }

    /// Asks every window to close, as the button in its corner does: a few words of the X protocol.
    fn close_windows(&self) {
        let mut server = UnixStream::connect(format!("/tmp/.X11-unix/X{}", &self.display[1..])).unwrap();
        server.write_all(&[b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        let head = read(&mut server, 8);
        assert_eq!(head[0], 1, "the screen lets the test in");
        let setup = read(&mut server, 4 * usize::from(u16::from_le_bytes([head[6], head[7]])));
        let vendor = usize::from(u16::from_le_bytes([setup[16], setup[17]])).next_multiple_of(4);
        let root = &setup[32 + vendor + 8 * usize::from(setup[21])..][..4];
        let mut atom = |name: &str| {
            let words = name.len().div_ceil(4);
            let mut request = vec![16, 0, 2 + words as u8, 0, name.len() as u8, 0, 0, 0];
            request.extend(name.bytes());
            request.resize(8 + 4 * words, 0);
            server.write_all(&request).unwrap();
            read(&mut server, 32)[8..12].to_vec()
        };
        let (protocols, delete) = (atom("WM_PROTOCOLS"), atom("WM_DELETE_WINDOW"));
        server.write_all(&[&[15, 0, 2, 0], root].concat()).unwrap();
        let head = read(&mut server, 32);
        let windows = read(&mut server, 4 * usize::from(u16::from_le_bytes([head[16], head[17]])));
        assert!(!windows.is_empty());
        for window in windows.chunks(4) {
            let message = [&[33, 32, 0, 0], window, &protocols, &delete, &[0; 16]].concat();
            server.write_all(&[&[25, 0, 11, 0], window, &[0; 4], &message].concat()).unwrap();
        }
        // An answer says that all of it has been done.
        server.write_all(&[&[15, 0, 2, 0], root].concat()).unwrap();
        read(&mut server, 32);
    }
}

fn read(from: &mut UnixStream, bytes: usize) -> Vec<u8> {
    let mut data = vec![0; bytes];
    from.read_exact(&mut data).unwrap();
    data
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A run that shows a bright picture until it is ended. The net calls it `bright`, which is orange.
fn run(bench: &Bench, screen: &Screen) -> Child {
    let args = "run --model ./brightness.onnx --provider cpu test:white?width=320&height=240&frames=100000 --window --report r.json";
    let mut command = bench.command();
    command
        .args(args.split(' '))
        .env("DISPLAY", &screen.display)
        .env_remove("WAYLAND_DISPLAY");
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// Whether half of the window's pixels are white under orange.
fn is_shown(picture: &[[u8; 3]]) -> bool {
    let masked = picture
        .iter()
        .filter(|[r, g, b]| *r > 230 && (170..=220).contains(g) && (100..=155).contains(b));
    masked.count() > 320 * 240 / 2
}

#[test]
fn the_masked_video_is_in_the_window_and_closing_it_ends_the_run_in_order() {
    let Some(screen) = Screen::start() else { return };
    let bench = Bench::new();
    let mut run = run(&bench, &screen);
    until("the masked video is on the screen", || is_shown(&screen.picture()));
    if let Ok(path) = std::env::var("MASKLINE_KEEP_SCREEN") {
        let picture = screen.picture().concat();
        let mut png = png::Encoder::new(std::fs::File::create(path).unwrap(), 800, 600);
        png.set_color(png::ColorType::Rgb);
        png.write_header().unwrap().write_image_data(&picture).unwrap();
    }
    screen.close_windows();
    let mut code = None;
    until("the run ends", || {
        code = run.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(0));
    let report = std::fs::read_to_string(bench.path("r.json")).unwrap();
    assert!(report.contains("\"stopped\""), "{report}");
}

#[test]
fn without_a_display_the_run_does_not_begin() {
    let bench = Bench::new();
    let mut command = bench.command();
    command.args(["run", "--model", "./brightness.onnx", "--provider", "cpu", "test:", "--window"]);
    for display in [None, Some(":4711")] {
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        display.map(|display| command.env("DISPLAY", display));
        let ran = support::Ran::from(command.output().unwrap());
        ran.refused(69, "no window can be opened");
    }
}
