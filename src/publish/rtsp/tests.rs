use super::*;
use crate::publish::CoderOptions;
use crate::publish::scene::{self, BLUE, Client, ORANGE, Running, Stage};
use crate::source::{self, SourceOptions};
use crate::stats::usage;
use maskline_models::classes::palette;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Instant;

const WAIT: Duration = Duration::from_secs(20);

fn options() -> RtspOptions {
    RtspOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..RtspOptions::default()
    }
}

/// A stream that runs, and its addresses on a server.
fn mounted(server: &Arc<RtspServer>, name: &str) -> (Running, Mount) {
    let stage = Stage::new(160, 90).run();
    let options = CoderOptions {
        palette: Arc::new(Mutex::new(palette(&scene::classes()))),
        ..CoderOptions::default()
    };
    let mount = server.mount(name, &Coders::new(&stage.screen, &options));
    (stage, mount)
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A client that speaks for itself, so that it can do what no decent client does.
struct Rude {
    stream: TcpStream,
    sent: u32,
}

impl Rude {
    fn new(server: &RtspServer) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        Self { stream, sent: 0 }
    }

    /// Sends a request and returns status and head of the answer.
    fn ask(&mut self, method: &str, url: &[u8], headers: &str) -> (u32, String) {
        self.sent += 1;
        let line = [method.as_bytes(), b" ", url, b" RTSP/1.0\r\n"].concat();
        let rest = format!("CSeq: {}\r\n{headers}\r\n", self.sent);
        self.stream.write_all(&[&line, rest.as_bytes()].concat()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && self.stream.read_exact(&mut byte).is_ok() {
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let body = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")?.parse().ok());
        let mut skipped = vec![0; body.unwrap_or(0)];
        self.stream.read_exact(&mut skipped).unwrap();
        (status, head)
    }

    /// Begins to play, and does not read what comes.
    fn play(mut self, url: &str) -> Self {
        assert_eq!(self.ask("DESCRIBE", url.as_bytes(), "Accept: application/sdp\r\n").0, 200);
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let (status, head) = self.ask("SETUP", format!("{url}/stream=0").as_bytes(), transport);
        assert_eq!(status, 200, "{head}");
        let session = head.lines().find_map(|l| l.strip_prefix("Session: ")).unwrap();
        let session = format!("Session: {}\r\n", session.split(';').next().unwrap());
        assert_eq!(self.ask("PLAY", url.as_bytes(), &session).0, 200);
        self
    }
}

#[test]
fn every_view_arrives_in_its_colours_over_tcp_and_udp() {
    let server = RtspServer::start(&options()).unwrap();
    let (_stage, _mount) = mounted(&server, "front door");
    for (view, transport, wanted) in [
        (View::Masked, "tcp", ORANGE),
        (View::Raw, "udp", BLUE),
        (View::Classes, "tcp", scene::CLASSES_MEAN),
    ] {
        let client = Client::rtsp(&server.url("front door", view), transport, None);
        let picture = client.next(WAIT).unwrap();
        assert_eq!((picture.width, picture.height), (160, 90));
        picture.expect(wanted, view.name());
    }
}

#[test]
fn a_second_client_joins_within_a_second_and_all_share_one_encoder() {
    let server = RtspServer::start(&options()).unwrap();
    let (stage, mount) = mounted(&server, "a");
    let url = server.url("a", View::Masked);
    let first = Client::rtsp(&url, "tcp", None);
    first.next(WAIT).unwrap();
    let mut others = Vec::new();
    let mut joined = Vec::new();
    for _ in 0..9 {
        let started = Instant::now();
        let client = Client::rtsp(&url, "tcp", None);
        client.next(WAIT).unwrap();
        joined.push(started.elapsed());
        others.push(client);
    }
    joined.sort();
    println!("joined after {joined:?}");
    assert!(joined[4] < Duration::from_millis(1500), "{joined:?}");
    assert_eq!((server.clients(), stage.screen.hub.subscribers()), (10, 1));
    drop((first, others));
    until("the encoder rests when the last client has left", || {
        stage.screen.hub.subscribers() == 0
    });
    drop(mount);
}

#[test]
fn a_client_that_stops_reading_or_is_killed_costs_the_others_nothing() {
    let server = RtspServer::start(&options()).unwrap();
    let (stage, _mount) = mounted(&server, "a");
    let url = server.url("a", View::Masked);
    let good = Client::rtsp(&url, "tcp", None);
    good.next(WAIT).unwrap();
    let stuck: Vec<_> = (0..3).map(|_| Rude::new(&server).play(&url)).collect();
    drop(Rude::new(&server).play(&url));
    good.forget();
    let end = Instant::now() + Duration::from_secs(4);
    let mut pictures = 0;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        pictures += u32::from(good.next(left).is_ok());
    }
    assert!(pictures >= 80, "{pictures} pictures in 4 s of 25 a second");
    drop((good, stuck));
    until("all have left", || server.clients() == 0);
    until("the encoder rests", || stage.screen.hub.subscribers() == 0);
}

#[test]
fn time_goes_on_through_filler() {
    let server = RtspServer::start(&options()).unwrap();
    let (stage, _mount) = mounted(&server, "a");
    let client = Client::rtsp(&server.url("a", View::Raw), "tcp", None);
    client.next(WAIT).unwrap();
    let (mut times, mut seen) = (Vec::new(), [0, 0]);
    for n in 0..75 {
        stage.filler.store((25..50).contains(&n), Ordering::Relaxed);
        let picture = client.next(WAIT).unwrap();
        times.push(picture.pts_ns);
        // The plain picture is blue, filler is what was shown before.
        seen[usize::from(picture.rgb[0] > picture.rgb[2])] += 1;
    }
    assert!(seen[0] > 20 && seen[1] > 15, "{seen:?}");
    let gaps: Vec<_> = times.windows(2).map(|t| (t[1] as i64 - t[0] as i64) / 1_000_000).collect();
    assert!(gaps.iter().all(|gap| (1..400).contains(gap)), "{gaps:?}");
}

#[test]
fn only_who_logs_in_gets_a_picture() {
    let options = RtspOptions {
        login: Some(("viewer one".into(), Secret::new("hunter22"))),
        ..options()
    };
    let server = RtspServer::start(&options).unwrap();
    let (_stage, _mount) = mounted(&server, "a");
    let url = server.url("a", View::Masked);
    let client = Client::rtsp(&url, "tcp", Some(("viewer one", "hunter22")));
    client.next(WAIT).unwrap().expect(ORANGE, "with the password");
    for login in [None, Some(("viewer one", "hunter23")), Some(("nobody", "hunter22"))] {
        let error = Client::rtsp(&url, "tcp", login).next(WAIT).unwrap_err();
        assert!(error.contains("Unauthorized") && !error.contains("hunter22"), "{login:?}: {error}");
    }
    let head = Rude::new(&server).ask("DESCRIBE", url.as_bytes(), "Accept: application/sdp\r\n").1;
    assert!(head.contains("401") && head.contains("Digest"), "{head}");
}

#[test]
fn a_server_that_others_can_reach_wants_a_login() {
    let open = RtspOptions {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..options()
    };
    let error = RtspServer::start(&open).map(drop).unwrap_err();
    assert_eq!(crate::error::kind_of(&error), Kind::Config);
    assert!(
        error.to_string().contains("rtsp.user") && !error.to_string().contains('\n'),
        "{error}"
    );
    let guarded = RtspOptions {
        login: Some(("me".into(), Secret::new("hunter22"))),
        ..open
    };
    assert!(guarded.check().is_ok());
}

#[test]
fn an_address_that_is_taken_is_one_line() {
    let server = RtspServer::start(&options()).unwrap();
    let same = RtspOptions {
        listen: server.address(),
        ..options()
    };
    let error = RtspServer::start(&same).map(drop).unwrap_err();
    assert_eq!(crate::error::kind_of(&error), Kind::Unavailable);
    assert!(error.to_string().contains(&server.address().to_string()), "{error}");
}

#[test]
fn who_watches_a_stream_that_is_removed_is_told_the_end_and_others_go_on() {
    let server = RtspServer::start(&options()).unwrap();
    let (_stage, mount) = mounted(&server, "goes");
    let (_other_stage, _other) = mounted(&server, "stays");
    let (goes, stays) = (server.url("goes", View::Masked), server.url("stays", View::Masked));
    let (watcher, other) = (Client::rtsp(&goes, "tcp", None), Client::rtsp(&stays, "tcp", None));
    watcher.next(WAIT).unwrap();
    other.next(WAIT).unwrap();
    drop(mount);
    let started = Instant::now();
    while watcher.next(WAIT).is_ok() {}
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    other.forget();
    other.next(WAIT).unwrap();
    let mut client = Rude::new(&server);
    assert_eq!(client.ask("DESCRIBE", goes.as_bytes(), "Accept: application/sdp\r\n").0, 404);
    // Under the same name it can come again.
    let (_stage, _mount) = mounted(&server, "goes");
    Client::rtsp(&goes, "tcp", None).next(WAIT).unwrap();
}

#[test]
fn any_name_has_an_address_and_no_request_ends_the_server() {
    let server = RtspServer::start(&options()).unwrap();
    let name = "../Straße %n \"1\"\n";
    let (_stage, _mount) = mounted(&server, name);
    let url = server.url(name, View::Masked);
    Client::rtsp(&url, "tcp", None).next(WAIT).unwrap();
    let spelled = url.replace("Stra%C3%9Fe", "Straße").replace("%n", "%6E");
    let describe = |url: &[u8]| Rude::new(&server).ask("DESCRIBE", url, "Accept: application/sdp\r\n").0;
    assert_eq!(describe(spelled.as_bytes()), 200);
    let odd = format!("rtsp://{}/\u{fffd}%ff%zz", server.address());
    assert_eq!(describe(odd.as_bytes()), 404);
    let odd = [format!("rtsp://{}/", server.address()).as_bytes(), b"\xff\xfe%00x"].concat();
    assert_eq!(describe(&odd), 404);
    assert_eq!(describe(url.as_bytes()), 200);
}

#[test]
fn no_more_clients_than_allowed_are_let_in() {
    let server = RtspServer::start(&RtspOptions { clients: 2, ..options() }).unwrap();
    let (_stage, _mount) = mounted(&server, "a");
    let url = server.url("a", View::Masked);
    let _two = [Rude::new(&server).play(&url), Rude::new(&server).play(&url)];
    for _ in 0..20 {
        let mut third = Rude::new(&server);
        let _ = third.stream.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        let mut answer = Vec::new();
        let ended = third.stream.read_to_end(&mut answer);
        assert!(
            !matches!(&ended, Err(e) if e.kind() == ErrorKind::WouldBlock),
            "still connected after {WAIT:?}"
        );
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(server.clients() <= 2);
}

#[test]
fn who_is_connected_and_never_watches_is_let_go() {
    let server = RtspServer::start(&RtspOptions {
        idle: Duration::from_secs(5),
        ..options()
    })
    .unwrap();
    let (_stage, _mount) = mounted(&server, "a");
    let mut idle = Rude::new(&server);
    let mut watcher = Rude::new(&server).play(&server.url("a", View::Masked));
    assert_eq!(idle.stream.read(&mut [0; 64]).unwrap(), 0);
    until("one has gone", || server.clients() == 1);
    watcher.stream.read_exact(&mut [0; 4096]).unwrap();
}

#[test]
#[ignore = "takes minutes"]
fn memory_over_many_connections() {
    let server = RtspServer::start(&options()).unwrap();
    let (_stage, _mount) = mounted(&server, "a");
    let url = server.url("a", View::Masked);
    let rounds: u32 = std::env::var("MASKLINE_SOAK_CONNECTIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1000);
    let mut points = Vec::new();
    for round in 0..rounds {
        let options = SourceOptions {
            live: true,
            ..SourceOptions::default()
        };
        let mut source = source::open(&url, &options).unwrap();
        source.frames.next().unwrap().unwrap();
        drop(source);
        if (round + 1) % (rounds / 20) == 0 {
            points.push((f64::from(round + 1) / 1000.0, usage::memory_bytes().unwrap() as f64 / 1e6));
            let (_, memory) = points[points.len() - 1];
            let (threads, files) = (usage::threads().unwrap(), usage::open_files().unwrap());
            println!("{} connections: {memory:.2} MB, {threads} threads, {files} files", round + 1);
        }
    }
    // The first half is the warm-up.
    let (first, last) = (points[9], points[19]);
    let slope = (last.1 - first.1) / (last.0 - first.0);
    println!("slope {slope:.2} MB per 1,000 connections, both ends of them");
    assert!(slope < 10.0);
}
