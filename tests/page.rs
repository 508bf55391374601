//! The page of `maskline serve` in a real browser, and what it does to the program.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/http.rs"]
mod http;
mod support;

use browser::Browser;
use gstreamer as gst;
use gstreamer::prelude::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use support::Bench;

/// Must not be seen anywhere.
const MARKER: &str = "Zm4rk3rZ";

/// `maskline serve` with a page.
struct Serve {
    child: Child,
    /// `HOST:PORT`.
    place: String,
}

impl Serve {
    fn start(bench: &Bench, streams: &str, server: &str) -> Self {
        let text = format!(
            "[server]\nlisten = '127.0.0.1:0'\n{server}\n[model]\nfile = 'brightness.onnx'\n[execution]\nprovider = 'cpu'\n{streams}"
        );
        let file = bench.write("live.toml", text);
        let mut child = bench.command().arg("serve").arg(file).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut heard = String::new();
        let place = lines.by_ref().map_while(Result::ok).find_map(|line| {
            heard += &format!("{line}\n");
            let rest = line.split_once("the page is at http://")?.1;
            Some(rest.split('/').next().unwrap().to_owned())
        });
        // Whoever does not read what is said holds it up.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| println!("{line}")));
        Self {
            child,
            place: place.unwrap_or_else(|| panic!("no page: {heard}")),
        }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.place)
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> http::Answer {
        http::ask(&self.place, method, path, &[], body.as_ref())
    }

    fn stream(&self, name: &str) -> Value {
        self.ask("GET", &format!("/api/v1/streams/{name}"), None).json()
    }

    fn wait_for(&self, name: &str, state: &str) {
        let begin = Instant::now();
        while self.stream(name)["vitals"]["state"] != state {
            assert!(begin.elapsed() < Duration::from_secs(60), "{}", self.stream(name));
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A camera that sends a ball on the left half's black and a bright right half over UDP until it is dropped.
struct Camera(gst::Pipeline);

impl Camera {
    fn start(port: u16) -> Self {
        gst::init().unwrap();
        let line = format!(
            "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=20/1 \
             ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! mpegtsmux ! udpsink host=127.0.0.1 port={port}"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self(pipeline)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.0.set_state(gst::State::Null).ok();
    }
}

/// A free port, as far as one can know.
fn udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The card of a stream, in JavaScript.
fn card(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.card')].find(c => c.querySelector('h2').textContent === {})",
        json!(name)
    )
}

/// The mean of the red, green and blue of a stream's picture, in JavaScript.
fn color(name: &str) -> String {
    format!(
        "(() => {{ const c = {}.querySelector('canvas'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; \
         const s = [0, 0, 0]; d.forEach((v, i) => {{ if (i % 4 < 3) s[i % 4] += v; }}); return s.map(v => v * 4 / d.length); }})()",
        card(name)
    )
}

/// Where pictures of the page go, if anybody wants to look at them.
fn shots() -> Option<PathBuf> {
    std::env::var_os("MASKLINE_SHOTS").map(PathBuf::from)
}

#[test]
fn the_page_shows_streams_and_changes_them() {
    let Some(browser) = Browser::start() else { return };
    let (bench, port) = (Bench::new(), udp_port());
    let camera = Camera::start(port);
    let streams = format!(
        "[[stream]]\nname = 'north gate'\nsource.input = 'test:smpte?width=320&height=240&rate=10'\n\
         zone = [{{ name = 'middle', polygon = [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7]] }}]\n\
         [[stream]]\nname = 'cam'\nsource = {{ input = 'udp://127.0.0.1:{port}', stall_after = 1, user = 'me', password = '{MARKER}' }}\n"
    );
    let serve = Serve::start(&bench, &streams, "");
    serve.wait_for("cam", "live");
    browser.look_like(1280, "light");
    browser.open(&serve.url());

    // The pictures are there, and go on.
    for name in ["north gate", "cam"] {
        browser.wait(&format!("{}?.querySelector('canvas').dataset.index > 0", card(name)));
        let index = browser.run(&format!("return {}.querySelector('canvas').dataset.index", card(name)));
        browser.wait(&format!(
            "Number({}.querySelector('canvas').dataset.index) > {} + 3",
            card(name),
            index.as_str().unwrap()
        ));
        browser.wait(&format!("{}.querySelector('.badge').textContent === 'live'", card(name)));
    }
    browser.wait("document.querySelector('#summary').textContent === '2 streams: 2 live'");
    browser.wait("document.querySelectorAll('#events li').length > 2");
    browser.wait(&format!(
        "{}.querySelectorAll('.share')[0].textContent.endsWith(' %')",
        card("north gate")
    ));

    // The mask is drawn here: with all classes off the picture is as the camera gives it, whatever the strength.
    let north = card("north gate");
    let set_alpha = |percent: u32| {
        browser.run(&format!(
            "const s = {north}.querySelector('input[type=range]'); s.value = {percent}; s.dispatchEvent(new Event('input'))"
        ));
    };
    let mean = || -> Vec<f64> { serde_json::from_value(browser.run(&format!("return {}", color("north gate")))).unwrap() };
    let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let tick = |text: &str| {
        browser.run(&format!(
            "[...{north}.querySelectorAll('.buttons button')].find(b => b.textContent === '{text}').click()"
        ))
    };
    tick("None");
    set_alpha(100);
    let plain = mean();
    tick("All");
    let masked = mean();
    assert!(far(&plain, &masked) > 10.0, "{plain:?} {masked:?}");
    let bright = format!(
        "[...{north}.querySelectorAll('.classes label')].find(l => l.querySelector('.class').textContent === 'bright').querySelector('input')"
    );
    browser.run(&format!("{bright}.click()"));
    let dark = mean();
    assert!(
        far(&masked, &dark) > 5.0 && far(&plain, &dark) > 5.0,
        "{plain:?} {dark:?} {masked:?}"
    );
    set_alpha(0);
    assert!(far(&plain, &mean()) < 3.0, "{plain:?} {:?}", mean());

    // What is chosen here becomes what every output shows.
    set_alpha(30);
    tick("For all outputs");
    let begin = Instant::now();
    let wanted = json!({"alpha": 0.3, "only": ["dark"]});
    while serve.stream("north%20gate")["settings"]["overlay"] != wanted {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", serve.stream("north%20gate"));
        thread::sleep(Duration::from_millis(50));
    }
    browser.wait(&format!(
        "{north}.querySelector('output').textContent === '30 %' && !{bright}.checked"
    ));

    // The same as video, for whoever wants more than ten pictures a second.
    browser.run(
        "window.peer = new RTCPeerConnection(); peer.addTransceiver('video', { direction: 'recvonly' }); \
         peer.ontrack = ({ streams }) => { window.video = document.createElement('video'); \
           Object.assign(video, { muted: true, srcObject: streams[0] }); video.play(); }; \
         (async () => { await peer.setLocalDescription(); \
           const told = await fetch('/api/v1/streams/cam/whep', { method: 'POST', \
             headers: { 'Content-Type': 'application/sdp' }, body: peer.localDescription.sdp }); \
           window.session = told.headers.get('Location'); \
           await peer.setRemoteDescription({ type: 'answer', sdp: await told.text() }); })()",
    );
    browser.wait("window.video?.videoWidth === 320 && video.currentTime > 0.5");
    let session = browser.run("return session");
    let session = session.as_str().unwrap();
    assert_eq!(serve.ask("DELETE", session, None).status, 204);
    assert_eq!(serve.ask("DELETE", session, None).status, 404);

    // A stream is added, which cannot be the first time.
    browser.click("#add");
    browser.type_into("#name", "north gate");
    browser.type_into("#input", "test:ball?width=160&height=120");
    browser.click("#adding button[type=submit]");
    browser.wait("document.querySelector('#adding .error').textContent.includes('already')");
    browser.run("document.querySelector('#name').value = ''");
    browser.type_into("#name", "yard");
    browser.click("#adding button[type=submit]");
    browser.wait(&format!("!document.querySelector('#adding').open && {}", card("yard")));
    browser.wait(&format!("{}.querySelector('canvas').dataset.index > 0", card("yard")));

    // The camera dies, and nobody can overlook it.
    drop(camera);
    serve.wait_for("cam", "lost");
    let cam = card("cam");
    browser.wait(&format!(
        "!{cam}.querySelector('.banner').hidden && {cam}.querySelector('.banner').textContent.startsWith('Signal lostsince ')"
    ));
    browser.wait("document.title === '(1 lost) maskline'");
    assert_eq!(serve.ask("GET", "/readyz", None).status, 503);
    // An attempt to connect again brings nothing back.
    serve.wait_for("cam", "connecting");
    thread::sleep(Duration::from_millis(2500));
    browser.wait(&format!(
        "{cam}.querySelector('.banner strong').textContent === 'Signal lost' && document.title === '(1 lost) maskline'"
    ));
    assert_eq!(serve.ask("GET", "/healthz", None).status, 200);

    // At every width nothing sticks out, in the light and in the dark.
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")] {
        browser.look_like(width, scheme);
        browser.wait(&format!(
            "innerWidth === {width} && document.documentElement.scrollWidth <= {width}"
        ));
        // The plot follows with the next second.
        thread::sleep(Duration::from_millis(1500));
        if let Some(folder) = shots() {
            browser.picture(&folder.join(format!("page-{width}-{scheme}.png")));
        }
    }
    browser.look_like(1280, "light");

    // It is removed after it was asked once, and comes back by itself if it is kept.
    let yard = card("yard");
    browser.run(&format!("{yard}.querySelector('.remove').click()"));
    browser.run(&format!(
        "[...{yard}.querySelectorAll('.asking button')].find(b => b.textContent === 'Keep').click()"
    ));
    assert_eq!(serve.ask("GET", "/api/v1/streams/yard", None).status, 200);
    browser.run(&format!(
        "{yard}.querySelector('.remove').click(); {yard}.querySelector('.danger').click()"
    ));
    browser.wait(&format!("!{yard}"));
    assert_eq!(serve.ask("GET", "/api/v1/streams/yard", None).status, 404);

    // The camera is back, and so is the picture.
    let _camera = Camera::start(port);
    browser.wait(&format!(
        "{cam}.querySelector('.banner').hidden && {cam}.querySelector('.badge').textContent === 'live'"
    ));

    let page = browser.run("return document.documentElement.outerHTML");
    assert!(!page.as_str().unwrap().contains(MARKER));
    // A browser writes down every answer that is an error; the one that was wanted above is among them.
    let complaints: Vec<_> = browser.complaints().into_iter().filter(|c| !c.contains("409 (Conflict)")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");

    // The server goes, and the page does not pretend.
    drop(serve);
    browser.wait("!document.querySelector('#silence').hidden");
    if let Some(folder) = shots() {
        browser.picture(&folder.join("page-silent.png"));
    }
}

#[test]
fn with_a_token_the_page_asks_for_it_first() {
    let Some(browser) = Browser::start() else { return };
    let bench = Bench::new();
    let token = "correct horse battery";
    bench.write("token", format!("{token}\n"));
    let streams = "[[stream]]\nname = 'bars'\nsource.input = 'test:smpte?width=320&height=240&rate=10'\n";
    let serve = Serve::start(&bench, streams, "token_file = 'token'");
    browser.look_like(360, "dark");
    browser.open(&serve.url());
    browser.wait("!document.querySelector('#login').hidden && document.querySelector('#add').hidden");
    if let Some(folder) = shots() {
        browser.picture(&folder.join("page-login.png"));
    }
    browser.type_into("#token", "wrong");
    browser.click("#login button");
    browser.wait("document.querySelector('#login .error').textContent === 'this is not the token'");
    browser.run("document.querySelector('#token').value = ''");
    browser.type_into("#token", token);
    browser.click("#login button");
    browser.wait(&format!(
        "document.querySelector('#login').hidden && {}?.querySelector('canvas').dataset.index > 0",
        card("bars")
    ));
    assert_eq!(browser.run("return document.cookie"), "", "scripts do not see it");
    browser.click("#logout");
    browser.wait("!document.querySelector('#login').hidden && document.querySelectorAll('.card').length === 0");
    assert_eq!(serve.ask("GET", "/api/v1/streams", None).status, 401);
    let bearer = format!("Bearer {token}");
    assert_eq!(
        http::ask(&serve.place, "GET", "/metrics", &[("Authorization", &bearer)], None).status,
        200
    );
}
