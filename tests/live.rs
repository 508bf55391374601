//! What `maskline run` does with sources that come over a network and may go away.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;
#[path = "support/watched.rs"]
mod watched;

use gstreamer as gst;
use gstreamer::prelude::*;
use maskline::source::State;
use maskline::stats::{Ending, Report};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use support::{Bench, Clip, Ran, read_video};
use watched::Watched;

/// Must not be seen anywhere.
const MARKER: &str = "Zm4rk3rZ";

fn report(path: &Path) -> Report {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn states(report: &Report) -> Vec<State> {
    let source = report.source.as_ref().expect("a live source tells its states");
    source.states.iter().map(|change| change.state).collect()
}

/// A free port, as far as one can know.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An RTSP server in a process of its own, so that it can be killed and stopped.
struct Camera {
    child: Child,
    _keeps_it_alive: ChildStdin,
    _out: BufReader<ChildStdout>,
}

impl Camera {
    /// Serves a pattern of 320x240 at 20 frames per second under `/cam`; with a login, only to whoever knows it.
    fn start(port: u16, login: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serves_as_the_camera_of_the_others", "--nocapture"])
            .env("CAMERA_PORT", port.to_string())
            .env("CAMERA_LOGIN", login)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("camera is ready") {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "the camera does not start");
        }
        Self {
            child,
            _keeps_it_alive: stdin,
            _out: out,
        }
    }

    fn signal(&self, signal: i32) {
        signal_to(&self.child, signal);
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const SIGINT: i32 = 2;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

fn signal_to(child: &Child, signal: i32) {
    let kill = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
    assert!(kill.unwrap().success());
}

/// Not a test of its own: [`Camera`] runs it in a process that then serves until its standard input is closed.
#[test]
fn serves_as_the_camera_of_the_others() {
    use gstreamer_rtsp_server as rtsp;
    use gstreamer_rtsp_server::prelude::*;
    let Ok(port) = std::env::var("CAMERA_PORT") else { return };
    gst::init().unwrap();
    let server = rtsp::RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service(&port);
    let factory = rtsp::RTSPMediaFactory::new();
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=20/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 pt=96 config-interval=1 )",
    );
    factory.set_shared(true);
    let login = std::env::var("CAMERA_LOGIN").unwrap_or_default();
    if let Some((user, password)) = login.split_once(':') {
        let auth = rtsp::RTSPAuth::new();
        let token = rtsp::RTSPToken::builder().field("media.factory.role", user).build();
        auth.add_basic(&rtsp::RTSPAuth::make_basic(user, password), &token);
        factory.add_role_from_structure(
            &gst::Structure::builder(user)
                .field("media.factory.access", true)
                .field("media.factory.construct", true)
                .build(),
        );
        server.set_auth(Some(&auth));
    }
    server.mount_points().unwrap().add_factory("/cam", factory);
    let _serving = server.attach(None).unwrap();
    println!("camera is ready");
    let stop = gst::glib::MainLoop::new(None, false);
    let stopped = stop.clone();
    thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        stopped.quit();
    });
    stop.run();
    std::process::exit(0);
}

/// A run of the program that is watched.
struct Run(Watched);

impl Run {
    fn start(bench: &Bench, args: &str) -> Self {
        let line = format!("run --model ./brightness.onnx --provider cpu {args}");
        Self(Watched::of(bench.command().args(line.split(' '))))
    }

    /// Reads what it says until a line holds this text.
    fn hear(&mut self, part: &str) {
        while !self.0.line(part, Duration::from_secs(40)).contains(part) {}
    }

    /// Interrupts it and waits for its end, which must come soon.
    fn stop(self) -> Ran {
        signal_to(&self.0.child, SIGINT);
        let (code, stderr) = self.0.end(Duration::from_secs(6));
        Ran {
            code,
            stdout: String::new(),
            stderr,
        }
    }
}

fn times_rise(path: &Path) {
    let shown = read_video(path);
    assert!(shown.windows(2).all(|w| w[0].pts_ns < w[1].pts_ns), "{shown:?}");
}

#[test]
fn frames_of_a_camera_come_over_tcp_and_udp() {
    let (bench, port) = (Bench::new(), port());
    let _camera = Camera::start(port, "");
    for transport in ["tcp", "udp"] {
        let args =
            format!("rtsp://127.0.0.1:{port}/cam --rtsp-transport {transport} --frames 20 -o {transport}.mp4 --report {transport}.json");
        bench.run(&args).ok();
        let told = report(&bench.path(&format!("{transport}.json")));
        assert_eq!((told.frames.written, told.width, told.height), (20, 320, 240));
        assert_eq!(states(&told), [State::Connecting, State::Live]);
        assert_eq!(told.frames.dropped, told.frames.replaced + told.frames.too_old);
        let latency = told.latency.unwrap();
        assert!(latency.p50_ms <= latency.p99_ms && latency.p99_ms <= latency.max_ms, "{latency:?}");
        times_rise(&bench.path(&format!("{transport}.mp4")));
    }
}

#[test]
fn a_camera_that_is_killed_is_found_again_and_time_goes_on() {
    let (bench, port) = (Bench::new(), port());
    let camera = Camera::start(port, "");
    let mut run = Run::start(&bench, &format!("rtsp://127.0.0.1:{port}/cam -o out.mp4 --report report.json"));
    run.hear("live: frames come");
    run.hear("brightness");
    thread::sleep(Duration::from_secs(1));
    drop(camera);
    run.hear("lost: ");
    let _camera = Camera::start(port, "");
    run.hear("live: frames come");
    thread::sleep(Duration::from_secs(1));
    assert_eq!(run.stop().code, Some(130));
    let told = report(&bench.path("report.json"));
    assert_eq!(told.ended_by, Ending::Stopped);
    let source = told.source.unwrap();
    assert!(source.counts.live == 2 && source.counts.lost >= 1, "{source:?}");
    let live: Vec<_> = source.states.iter().filter(|s| s.state == State::Live).map(|s| s.at_ms).collect();
    let lost = source.states.iter().find(|s| s.state == State::Lost).unwrap().at_ms;
    let outage_ns = (live[1] - lost) * 1_000_000;
    let shown = read_video(&bench.path("out.mp4"));
    let gap = shown
        .windows(2)
        .map(|w| w[1].pts_ns.checked_sub(w[0].pts_ns).unwrap())
        .max()
        .unwrap();
    assert!(
        gap.abs_diff(outage_ns) < 700_000_000,
        "the gap is {gap} ns, the outage was {outage_ns} ns"
    );
}

#[test]
fn a_camera_that_hangs_is_noticed_and_found_again() {
    let (bench, port) = (Bench::new(), port());
    let camera = Camera::start(port, "");
    let mut run = Run::start(
        &bench,
        &format!("rtsp://127.0.0.1:{port}/cam --stall-after 1.5 -o out.mkv --report report.json"),
    );
    run.hear("live: frames come");
    run.hear("brightness");
    thread::sleep(Duration::from_secs(1));
    camera.signal(SIGSTOP);
    let hung = Instant::now();
    run.hear("stalled: no frame for 1.5 s");
    let noticed = hung.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(6)).contains(&noticed), "{noticed:?}");
    run.hear("connecting: attempt");
    camera.signal(SIGCONT);
    run.hear("live: frames come");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(run.stop().code, Some(130));
    assert_eq!(report(&bench.path("report.json")).source.unwrap().counts.stalled, 1);
    times_rise(&bench.path("out.mkv"));
}

#[test]
fn a_login_is_used_and_never_shown() {
    let (bench, port) = (Bench::new(), port());
    let _camera = Camera::start(port, &format!("me:{MARKER}"));
    let file = |password: &str| format!("[source]\ninput = \"rtsp://127.0.0.1:{port}/cam\"\nuser = \"me\"\n{password}\nframes = 3\n");
    bench.write("variable.toml", file("password = \"${CAMERA_PASSWORD}\""));
    bench.write("secret", format!("{MARKER}\n"));
    bench.write("file.toml", file("password_file = \"secret\""));
    let run = |input: &str, name: &str| {
        let args = format!("run {input} --verbose --model ./brightness.onnx --provider cpu --frames 3 -o {name}.mp4 --report {name}.json");
        let output = bench
            .command()
            .env("CAMERA_PASSWORD", MARKER)
            .args(args.split(' '))
            .output()
            .unwrap();
        Ran::from(output)
    };
    for (input, name) in [
        (format!("rtsp://me:{MARKER}@127.0.0.1:{port}/cam?token={MARKER}"), "address"),
        ("variable.toml".into(), "variable"),
        ("file.toml".into(), "file"),
    ] {
        let ran = run(&input, name).ok();
        let told = std::fs::read_to_string(bench.path(&format!("{name}.json"))).unwrap();
        assert!(told.contains("rtsp://127.0.0.1"), "{told}");
        assert!(
            !ran.stderr.contains(MARKER) && !ran.stdout.contains(MARKER) && !told.contains(MARKER),
            "{}\n{told}",
            ran.stderr
        );
    }
    let wrong = run(&format!("rtsp://me:{MARKER}wrong@127.0.0.1:{port}/cam"), "wrong");
    wrong.refused(78, "refuses the login");
    assert!(!wrong.stderr.contains(MARKER), "{}", wrong.stderr);
    assert!(bench.names().iter().all(|name| !name.contains("wrong")), "{:?}", bench.names());
}

#[test]
fn a_host_that_refuses_is_tried_as_often_as_wanted() {
    let (bench, port) = (Bench::new(), port());
    let ran = bench.run(&format!("rtsp://me:{MARKER}@127.0.0.1:{port}/cam --attempts 1 -o out.mp4"));
    ran.refused(75, "no frame in 1 attempt");
    assert!(!ran.stderr.contains(MARKER), "{}", ran.stderr);
    assert_eq!(bench.names(), ["brightness.onnx"]);
}

#[test]
fn a_signal_ends_the_wait_for_the_next_attempt() {
    let (bench, port) = (Bench::new(), port());
    let mut run = Run::start(&bench, &format!("rtsp://127.0.0.1:{port}/cam -o out.mp4"));
    run.hear("lost: ");
    let ran = run.stop();
    assert!(
        ran.code == Some(130) && ran.stderr.contains("stopped before its first frame"),
        "{ran:?}"
    );
    assert_eq!(bench.names(), ["brightness.onnx"]);
}

#[test]
fn a_source_that_is_lost_for_good_leaves_what_was_recorded() {
    let (bench, port) = (Bench::new(), port());
    let camera = Camera::start(port, "");
    let mut run = Run::start(
        &bench,
        &format!("rtsp://127.0.0.1:{port}/cam --attempts 1 -o out.mp4 --report report.json"),
    );
    run.hear("live: frames come");
    run.hear("brightness");
    thread::sleep(Duration::from_secs(1));
    drop(camera);
    run.hear("written to");
    assert_eq!(run.0.child.wait().unwrap().code(), Some(0), "{}", run.0.heard);
    assert_eq!(report(&bench.path("report.json")).ended_by, Ending::Lost);
    assert!(read_video(&bench.path("out.mp4")).len() > 3);
}

/// Sends MPEG-TS until it is dropped.
struct Sender(gst::Pipeline);

impl Sender {
    fn start(to: &str, width: u32, height: u32) -> Self {
        gst::init().unwrap();
        let line = format!(
            "videotestsrc is-live=true ! video/x-raw,format=I420,width={width},height={height},framerate=20/1 \
             ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! mpegtsmux alignment=7 ! {to}"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self(pipeline)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.set_state(gst::State::Null).ok();
    }
}

#[test]
fn a_stream_that_changes_its_size_is_scaled_into_its_first_format() {
    let bench = Bench::new();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let to = format!("udpsink host=127.0.0.1 port={port}");
    let small = Sender::start(&to, 320, 240);
    let mut run = Run::start(
        &bench,
        &format!("udp://127.0.0.1:{port} --stall-after 2 -o out.mkv --report report.json"),
    );
    run.hear("live: frames come");
    run.hear("brightness");
    thread::sleep(Duration::from_secs(1));
    drop(small);
    let _large = Sender::start(&to, 640, 360);
    run.hear("the stream changed from 320x240 at 20/1 fps to 640x360");
    thread::sleep(Duration::from_secs(1));
    assert_eq!(run.stop().code, Some(130));
    assert_eq!(
        (report(&bench.path("report.json")).width, report(&bench.path("report.json")).height),
        (320, 240)
    );
    let shown = read_video(&bench.path("out.mkv"));
    assert!(shown.len() > 10 && shown.iter().all(|s| s.size == (320, 240)), "{shown:?}");
    times_rise(&bench.path("out.mkv"));
}

#[test]
fn frames_come_over_srt_with_a_passphrase_that_is_never_shown() {
    let bench = Bench::new();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let to = format!("srtsink uri=srt://127.0.0.1:{port}?mode=listener passphrase={MARKER}{MARKER} pbkeylen=16");
    let _sender = Sender::start(&to, 320, 240);
    let address = format!("srt://127.0.0.1:{port}?passphrase={MARKER}{MARKER}");
    let ran = bench.run(&format!("{address} --frames 5 -o out.mp4 --report report.json")).ok();
    let told = std::fs::read_to_string(bench.path("report.json")).unwrap();
    assert!(!ran.stderr.contains(MARKER) && !told.contains(MARKER), "{}\n{told}", ran.stderr);
    assert_eq!(report(&bench.path("report.json")).frames.written, 5);
}

/// Serves these bytes over HTTP to everyone who asks for them, until the test ends.
fn serve(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let bytes = bytes.clone();
            thread::spawn(move || {
                let mut asked = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while lines.read_line(&mut asked).is_ok_and(|n| n > 2) {}
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    bytes.len()
                );
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes)).ok();
            });
        }
    });
    port
}

#[test]
fn a_file_on_a_web_server_comes_at_its_own_pace_and_has_an_end() {
    let bench = Bench::new();
    Clip::regular(320, 240, 100).write(&bench.path("in.mp4"));
    let port = serve(std::fs::read(bench.path("in.mp4")).unwrap());
    bench
        .run(&format!("http://127.0.0.1:{port}/in.mp4?key={MARKER} --report report.json"))
        .ok();
    let told = report(&bench.path("report.json"));
    assert_eq!(told.ended_by, Ending::EndOfInput);
    assert!(
        told.frames.written + told.frames.dropped >= 95 && told.frames.written > 10,
        "{:?}",
        told.frames
    );
    assert!(
        told.stream_s + 2.0 > 3.0,
        "four seconds of video take their time: {} s",
        told.stream_s
    );
    assert!(!told.input.contains(MARKER), "{}", told.input);
}

#[test]
fn a_file_is_read_at_its_own_pace_if_it_is_wanted() {
    let bench = Bench::new();
    Clip::regular(320, 240, 100).write(&bench.path("in.mp4"));
    bench.run("in.mp4 --live -o out.mp4 --report report.json").ok();
    let told = report(&bench.path("report.json"));
    assert_eq!(
        (told.ended_by, told.frames.written + told.frames.dropped),
        (Ending::EndOfInput, 100)
    );
    assert!(told.wall_s > 3.5, "{} s", told.wall_s);
    times_rise(&bench.path("out.mp4"));
    bench.run("missing.mp4 --live --json f.jsonl").refused(65, "does not exist");
    std::fs::create_dir(bench.path("pictures")).unwrap();
    bench.run("pictures --live --json f.jsonl").refused(64, "no pace");
    bench.run("in.mp4 --live --start 1 --json f.jsonl").refused(64, "no past");
}

#[test]
fn a_device_that_is_not_there_is_one_line() {
    let bench = Bench::new();
    let ran = bench.run("device:/dev/video987 --attempts 1 --json f.jsonl");
    ran.refused(75, "/dev/video987");
}
