//! `maskline serve` as a program: its file, its log, its signals, and what it writes.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not take for tests

#[path = "support/serving.rs"]
mod serving;
mod support;

use serde_json::Value;
use serving::Serving;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};
use support::Bench;

const STREAMS: &str = r#"
[model]
file = "brightness.onnx"
[execution]
provider = "cpu"
batch = 2
[[stream]]
name = "north gate"
source.input = "test:ball?width=64&height=48&rate=20"
messages.file = "north.jsonl"
[[stream.zone]]
name = "all"
polygon = [[0, 0], [1, 0], [1, 1], [0, 1]]
[[stream.zone.rule]]
name = "dim"
class = "bright"
share_below = 0.9
[[stream]]
name = "gone"
source.input = "rtsp://me:marker-password@127.0.0.1:1/x?key=marker-password"
"#;

fn is_about(line: &Value, part: &str) -> bool {
    line["message"].as_str().is_some_and(|message| message.contains(part))
}

fn state<'v>(line: &'v Value, stream: &str) -> &'v str {
    match line["stream"] == stream {
        true => line["state"].as_str().unwrap_or(""),
        false => "",
    }
}

#[test]
fn streams_run_follow_their_file_and_end_with_a_signal() {
    let bench = Bench::new();
    bench.write("live.toml", STREAMS);
    let mut serving = Serving::of(bench.command().args(["serve", "live.toml", "--log", "json"]));
    serving.hear("a live stream", |line| state(line, "north gate") == "live");
    serving.hear("a rule", |line| line["rule"] == "dim" && line["state"] == "on");
    serving.hear("a lost stream", |line| state(line, "gone") == "lost");
    let deadline = Instant::now() + Duration::from_secs(30);
    let lines = loop {
        let text = std::fs::read_to_string(bench.path("north.jsonl")).unwrap_or_default();
        if text.lines().count() > 5 {
            break text;
        }
        assert!(Instant::now() < deadline, "no lines come");
        thread::sleep(Duration::from_millis(20));
    };
    let schema: Value = serde_json::from_str(include_str!("../docs/schema/frame.v1.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for line in lines.lines().take(5) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            schema.is_valid(&line),
            "{line}: {:?}",
            schema.iter_errors(&line).map(|e| e.to_string()).collect::<Vec<_>>()
        );
        assert_eq!(line["stream"], "north gate");
    }

    bench.write(
        "live.toml",
        STREAMS
            .replace("\"gone\"", "\"new\"")
            .replace("[[stream]]\nname = \"north", "[[stream]]\noverlay.alpha = 0.1\nname = \"north"),
    );
    serving.signal("HUP");
    serving.hear("the change", |line| line["message"] == "gone: removed");
    serving.hear("the change", |line| line["message"] == "north gate: changed");
    serving.hear("the change", |line| line["message"] == "new: added");
    bench.write("live.toml", "[[stream]]\nnam = 3\n");
    serving.signal("HUP");
    let error = serving.hear("the problem", |line| is_about(line, "live.toml:2:1: unknown key \"nam\""));
    assert_eq!(error["level"], "ERROR");

    serving.signal("TERM");
    let (code, log) = serving.end();
    assert_eq!(code, Some(143), "{log}");
    assert!(!log.contains("marker-password"), "{log}");
}

#[test]
fn what_is_wrong_is_one_line_and_a_code() {
    let bench = Bench::new();
    let said = |line: &str| bench.maskline(line.split(' '));
    said("serve missing.toml").refused(65, "cannot read missing.toml");
    bench.write("bad.toml", "[[stream]]\nname = \"a/b\"\nsource.input = \"test:\"\n");
    said("serve bad.toml").refused(78, "bad.toml:2:8: stream[0].name: found \"a/b\", wanted letters");
    bench.write("open.toml", "[server]\nlisten = \"0.0.0.0:0\"\n");
    said("serve open.toml").refused(78, "open.toml:2:1: server.listen");
    bench.write("cuda.toml", STREAMS.replace("provider = \"cpu\"", "provider = \"cuda\""));
    said("serve cuda.toml").refused(78, "cuda");
    bench.write("empty.toml", "");
    said("serve empty.toml").refused(78, "found no [[stream]] and no [server]");
    bench.write("live.toml", STREAMS);
    said("run live.toml").refused(64, "maskline serve live.toml");
    said("check live.toml").ok();
}

#[test]
fn systemd_is_told_that_it_is_ready_alive_and_stopping() {
    let bench = Bench::new();
    bench.write("live.toml", STREAMS);
    let systemd = UnixDatagram::bind(bench.path("notify")).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = bench.command();
    command.env("NOTIFY_SOCKET", bench.path("notify")).env("WATCHDOG_USEC", "600000");
    let serving = Serving::of(command.args(["serve", "live.toml", "--log", "json"]));
    let told = || {
        let mut bytes = [0; 256];
        let length = systemd.recv(&mut bytes).expect("systemd hears something");
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    };
    assert_eq!([told(), told(), told()], ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    serving.signal("INT");
    let stopping = std::iter::repeat_with(told).find(|word| word != "WATCHDOG=1");
    assert_eq!(stopping.as_deref(), Some("STOPPING=1"));
    assert_eq!(serving.end().0, Some(130));
}
