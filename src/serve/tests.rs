//! Hosts with made-up nets: what streams do to each other, and what happens when sources go away.

use super::{Happening, Host, Stream};
use crate::config::serve::ServeConfig;
use crate::frame::Tensor;
use crate::infer::{Batching, MockSegmenter, ProviderReport, SessionOptions, SharedNet};
use crate::pipeline::hosting::{Lender, Lent};
use crate::publish::{Next, Shown, Subscription};
use crate::source::State;
use crate::testing::Brightness;
use anyhow::Result;
use maskline_models::{Fit, Model};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A net that takes so long.
struct Slow(Arc<SharedNet>);

impl Slow {
    fn lender(takes: Duration) -> Arc<dyn Lender> {
        let net = move |tensor: &Tensor| {
            thread::sleep(takes);
            Ok(vec![1; tensor.values.len() / 3])
        };
        let net = SharedNet::start(vec![Box::new(MockSegmenter(net))], "mock", Batching::default());
        Arc::new(Self(Arc::new(net.unwrap())))
    }
}

impl Lender for Slow {
    fn lend(&self, _: &Model, _: Option<&str>, _: Fit, _: &SessionOptions) -> Result<Lent> {
        let report = ProviderReport {
            taken: "mock".into(),
            placement: String::new(),
            refused: Vec::new(),
        };
        Ok(Lent::from_shared(&self.0, report))
    }
}

/// A host with the streams of this text, over a net that takes so long.
pub(super) fn host(streams: &str, takes: Duration) -> (tempfile::TempDir, Arc<Host>) {
    crate::panics::keep_quiet();
    let folder = tempfile::tempdir().unwrap();
    Brightness::default().write(folder.path());
    let text = format!("[model]\nfile = \"brightness.onnx\"\n{streams}");
    let config = ServeConfig::parse(&text, folder.path()).unwrap();
    let host = Host::start_with(config, Slow::lender(takes)).unwrap();
    (folder, host)
}

pub(super) const BALL: &str = "test:ball?width=64&height=48&rate=50";

pub(super) fn stream(name: &str, input: &str) -> String {
    format!("[[stream]]\nname = {name:?}\nsource.input = {input:?}\noverlay.legend = false\n")
}

/// Waits until something is so.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

fn next(of: &Subscription<Shown>) -> Shown {
    match of.next(Duration::from_secs(30)) {
        Next::Item(shown) => shown,
        other => panic!("wanted a picture, found {other:?}"),
    }
}

pub(super) fn shown(stream: &Stream) -> u64 {
    stream.vitals().frames.shown
}

#[test]
fn streams_are_shown_changed_added_and_removed_while_others_run() {
    let (_folder, host) = host(&(stream("a", BALL) + &stream("b", BALL)), Duration::ZERO);
    let (a, b) = (host.stream("a").unwrap(), host.stream("b").unwrap());
    let pictures = a.screen().hub.subscribe(4);
    until("both are live", || host.is_ready().is_ok());
    assert!(host.is_healthy().is_ok());
    let all = (0..10).map(|_| next(&pictures)).collect::<Vec<_>>();
    assert!(all.is_sorted_by(|a, b| a.pts_ns < b.pts_ns));
    assert!(all.iter().all(|s| !s.filler && s.raw.is_none() && s.map.is_some()));
    assert_eq!(a.classes().len(), 2);

    // Everything is `bright`: at alpha 1 the picture has one colour, at 0 it is what came.
    let tones = |shown: &Shown| {
        let mapped = shown.masked.map().unwrap();
        let (luma, stride) = mapped.plane(0);
        let row = &luma[24 * stride..][..64];
        row.iter().max().unwrap() - row.iter().min().unwrap()
    };
    host.patch("a", &json!({"overlay": {"alpha": 1.0}})).unwrap();
    until("the picture has one colour", || tones(&next(&pictures)) == 0);
    host.patch("a", &json!({"overlay": {"alpha": 0.0}})).unwrap();
    until("the ball rolls", || tones(&next(&pictures)) > 100);

    let error = host.patch("a", &json!({"overlay": {"only": ["road"]}})).unwrap_err().to_string();
    assert!(error.contains("no class \"road\""), "{error}");
    let zone = json!({"zone": [{"name": "z", "polygon": [[0, 0], [1, 0], [1, 1]],
        "rule": [{"name": "r", "class": "bright", "share_above": 0.5}]}]});
    host.patch("a", &zone).unwrap();
    until("the zone's rule is on", || a.vitals().zones.iter().any(|z| z.on == ["r"]));
    until("its event", || {
        let is_on = |e: &super::ServeEvent| matches!(&e.what, Happening::Zone { rule, state, .. } if rule == "r" && state == "on");
        host.events().since(0).iter().any(is_on)
    });

    let before = shown(&b);
    host.add(&json!({"name": "c", "source": {"input": BALL}})).unwrap();
    assert!(host.add(&json!({"name": "c", "source": {"input": BALL}})).is_err());
    let c = host.stream("c").unwrap();
    until("c is shown", || shown(&c) > 3);
    host.remove("a").unwrap();
    until("the end of a", || matches!(pictures.next(Duration::ZERO), Next::End));
    assert!(host.stream("a").is_none() && host.remove("a").is_err());
    until("b goes on", || shown(&b) > before + 20);
    host.end();
    assert!(host.streams().is_empty());
}

#[test]
fn a_change_of_the_source_goes_on_behind_the_time_that_was() {
    let (_folder, host) = host(&stream("a", BALL), Duration::ZERO);
    let a = host.stream("a").unwrap();
    let pictures = a.screen().hub.subscribe(1000);
    until("it runs", || shown(&a) > 5);
    host.patch("a", &json!({"source": {"input": "test:smpte?width=128&height=96&rate=50"}}))
        .unwrap();
    until("the new size", || a.vitals().width == Some(128));
    let now = shown(&a);
    until("it runs again", || shown(&a) > now + 5);
    host.end();
    let mut all = Vec::new();
    while let Next::Item(shown) = pictures.next(Duration::ZERO) {
        all.push(shown);
    }
    assert!(all.is_sorted_by(|a, b| a.pts_ns < b.pts_ns && a.index + 1 == b.index));
    assert_eq!(all.last().unwrap().masked.format().width, 128);
}

#[test]
fn a_bad_stream_says_so_and_takes_nothing_from_the_others() {
    let bad = stream("garbage", "missing.mp4") + &stream("closed", "rtsp://127.0.0.1:1/x");
    let (_folder, host) = host(&(stream("good", BALL) + &bad), Duration::ZERO);
    let good = host.stream("good").unwrap();
    until("the good one runs", || shown(&good) > 20);
    let why = |name: &str| host.stream(name).unwrap().vitals();
    until("the others are lost", || {
        why("garbage").state == State::Lost && why("closed").state == State::Lost
    });
    assert!(why("garbage").why.contains("missing.mp4 does not exist"), "{}", why("garbage").why);
    let ready = host.is_ready().unwrap_err();
    assert!(ready.contains("garbage is ") && !ready.contains("good"), "{ready}");
    assert!(host.is_healthy().is_ok(), "what is not there cannot be shown");
    host.end();
}

#[test]
fn a_lost_source_is_held_up_and_filler_is_not_segmented() {
    // It ends after a second, which is a loss, and begins again a second later.
    let (_folder, host) = host(&stream("a", &format!("{BALL}&frames=50")), Duration::ZERO);
    let a = host.stream("a").unwrap();
    let pictures = a.screen().hub.subscribe(1000);
    until("it comes back", || a.vitals().frames.connections >= 2 && shown(&a) > 55);
    let vitals = a.vitals();
    assert!(vitals.frames.filler >= 1, "{vitals:?}");
    assert!(
        vitals.frames.inferred <= vitals.frames.read && vitals.frames.shown <= vitals.frames.read,
        "{vitals:?}"
    );
    host.end();
    let mut all = Vec::new();
    while let Next::Item(shown) = pictures.next(Duration::ZERO) {
        all.push(shown);
    }
    assert!(all.is_sorted_by(|a, b| a.pts_ns < b.pts_ns));
    let first = all.iter().position(|s| s.filler).unwrap();
    assert!(all[first..].iter().any(|s| !s.filler), "the signal comes behind it");
}

#[test]
fn the_newest_frame_is_shown_however_slow_the_net_is() {
    let takes = Duration::from_millis(200);
    let (_folder, host) = host(&stream("a", "test:ball?width=64&height=48&rate=30"), takes);
    let a = host.stream("a").unwrap();
    until("twelve frames", || shown(&a) > 12);
    let vitals = a.vitals();
    host.end();
    let latency = vitals.latency.unwrap();
    // Inference, and one frame at most that was waited for; what the machine itself takes comes on top.
    assert!(latency.p50_ms >= 200.0 && latency.p50_ms < 320.0, "{latency:?}");
    assert!(vitals.frames.replaced > 30, "{vitals:?}");
    assert_eq!(vitals.frames.too_old, 0, "{vitals:?}");
}

#[test]
fn carried_maps_grow_no_older_than_one_inference_and_the_frames_behind_it() {
    let takes = Duration::from_millis(200);
    let streams = stream("a", "test:ball?width=64&height=48&rate=30") + "temporal.every = 3\n";
    let (_folder, host) = host(&streams, takes);
    let a = host.stream("a").unwrap();
    until("forty frames", || shown(&a) > 40);
    let vitals = a.vitals();
    host.end();
    // At most four frames are on their way: one or two inferences.
    assert!(vitals.latency.unwrap().max_ms < 700.0, "{vitals:?}");
    assert!(
        vitals.frames.inferred < vitals.frames.shown && vitals.frames.replaced > 10,
        "{vitals:?}"
    );
}

#[test]
fn streams_that_share_a_net_have_its_confidence_where_they_want_it() {
    crate::panics::keep_quiet();
    let folder = tempfile::tempdir().unwrap();
    let net = Brightness {
        confident: true,
        gain: 0.0, // a half for either class, everywhere
        ..Brightness::default()
    };
    net.write(folder.path());
    let text = format!(
        "[model]\nfile = \"brightness.onnx\"\n[execution]\nprovider = \"cpu\"\n{}{}overlay.confidence = true\n{}overlay.confidence = true\n",
        stream("plain", BALL),
        stream("dark", BALL),
        stream("too", BALL)
    );
    let host = Host::start(ServeConfig::parse(&text, folder.path()).unwrap()).unwrap();
    let brightest = |shown: &Shown| {
        let mapped = shown.masked.map().unwrap();
        let (luma, stride) = mapped.plane(0);
        *luma[24 * stride..][..64].iter().max().unwrap()
    };
    let [plain, dark, too] = ["plain", "dark", "too"].map(|name| host.stream(name).unwrap().screen().hub.subscribe(4));
    until("one is as it was", || brightest(&next(&plain)) > 90);
    until("two are dark", || brightest(&next(&dark)) < 50 && brightest(&next(&too)) < 50);
    host.patch("dark", &json!({"overlay": {"confidence": false}})).unwrap();
    until("it is bright again", || brightest(&next(&dark)) > 90);
    host.patch("plain", &json!({"overlay": {"confidence": true}})).unwrap();
    until("it is dark now", || brightest(&next(&plain)) < 50);
}

#[test]
fn a_confidence_that_the_net_does_not_give_is_refused_before_anything_changes() {
    let (_folder, host) = host(&stream("a", BALL), Duration::ZERO);
    let a = host.stream("a").unwrap();
    until("it runs", || shown(&a) > 1);
    let error = host.patch("a", &json!({"overlay": {"confidence": true}})).unwrap_err().to_string();
    assert!(error.contains("exported with --confidence"), "{error}");
    assert_eq!(a.vitals().frames.connections, 1);
}

#[test]
fn a_net_that_remembers_is_not_told_to_leave_frames_out() {
    crate::panics::keep_quiet();
    let net = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nets/remembering.onnx");
    let text = format!("[model]\nfile = {net:?}\n[execution]\nprovider = \"cpu\"\n{}", stream("a", BALL));
    let host = Host::start(ServeConfig::parse(&text, Path::new(".")).unwrap()).unwrap();
    let a = host.stream("a").unwrap();
    until("it runs", || shown(&a) > 1);
    let error = host.patch("a", &json!({"temporal": {"every": 2}})).unwrap_err().to_string();
    assert!(error.contains("must see every frame"), "{error}");
    assert_eq!(a.vitals().frames.connections, 1);
}

#[test]
fn a_file_that_is_read_again_adds_changes_and_removes() {
    crate::panics::keep_quiet();
    let folder = tempfile::tempdir().unwrap();
    Brightness::default().write(folder.path());
    let file = folder.path().join("live.toml");
    let write = |streams: &str| std::fs::write(&file, format!("[model]\nfile = \"brightness.onnx\"\n{streams}")).unwrap();
    write(&(stream("a", BALL) + &stream("b", BALL)));
    let host = Host::start_with(ServeConfig::load(&file).unwrap(), Slow::lender(Duration::ZERO)).unwrap();
    host.add(&json!({"name": "by api", "source": {"input": BALL}})).unwrap();
    let b = host.stream("b").unwrap();
    until("b runs", || shown(&b) > 2);
    assert_eq!(host.reload().unwrap(), Vec::<String>::new());
    write(&(stream("b", BALL).replace("legend = false", "alpha = 0.1") + &stream("c", BALL)));
    let mut done = host.reload().unwrap();
    done.sort();
    assert_eq!(done, ["a: removed", "b: changed", "c: added"]);
    let names: Vec<_> = host.streams().iter().map(|s| s.name().to_owned()).collect();
    assert_eq!(names, ["b", "by api", "c"]);
    assert_eq!(b.vitals().frames.connections, 1, "a change of alpha needs no new connection");
    write("[[stream]]\nname = 3\n");
    let error = host.reload().unwrap_err().to_string();
    assert!(error.contains("live.toml:4:8: stream[0].name"), "{error}");
    assert_eq!(host.streams().len(), 3);
    host.end();
}

#[test]
fn a_stream_that_cannot_be_named_so_is_refused() {
    let (_folder, host) = host("[server]\n", Duration::ZERO);
    for name in ["", "..", "a/b", "%n\n", "a\"b", &"w".repeat(255)] {
        let error = host
            .add(&json!({"name": name, "source": {"input": BALL}}))
            .err()
            .expect(name)
            .to_string();
        assert!(error.contains("stream.name"), "{error}");
    }
    assert!(host.streams().is_empty());
}
