//! A stream pushed to a server: RTMP, or MPEG-TS over SRT. It tries for ever.

use super::backoff::Backoff;
use super::pipe::Pipe;
use super::{Coder, Next, Unit, View};
use crate::error::{Kind, WithKind};
use crate::media::{Side, chain, element};
use crate::privacy::{Secret, shown};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use url::Url;

/// Units that wait for the network.
const QUEUE: usize = 120;
/// Time between looks whether this shall stop, or the connection failed.
const LOOK: Duration = Duration::from_millis(100);

/// Where a stream is pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushOptions {
    pub target: Target,
    pub view: View,
}

/// A server, or who comes to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Its address with the stream's key in it.
    Rtmp { name: String, location: Secret },
    /// An address without passphrase; with `mode=listener` others come.
    Srt {
        name: String,
        uri: Secret,
        passphrase: Option<Secret>,
    },
}

impl Target {
    /// Reads `rtmp://`, `rtmps://` and `srt://`. `secret` is the key of an RTMP stream, or the passphrase of SRT.
    ///
    /// # Errors
    /// If it is none of them, or both the address and `secret` hold the same thing.
    pub(crate) fn parse(text: &str, secret: Option<Secret>) -> Result<Self, String> {
        let wrong = || {
            format!(
                "found {:?}, wanted rtmp://HOST/APP, rtmps://HOST/APP or srt://HOST:PORT",
                shown(text)
            )
        };
        let mut url = Url::parse(text).map_err(|_| wrong())?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        match url.scheme() {
            "rtmp" | "rtmps" => {
                let path = url.path().trim_matches('/').to_owned();
                let app = path.as_str();
                // In the address it would be shown with it.
                let key = secret.as_ref().ok_or("found no key, wanted key beside the address")?.reveal();
                let place = format!("{}://{}", url.scheme(), &url[url::Position::BeforeHost..url::Position::AfterPort]);
                let login = match (url.username(), url.password()) {
                    ("", _) => String::new(),
                    (user, password) => format!("{user}:{}@", password.unwrap_or_default()),
                };
                let query = url.query().map_or(String::new(), |query| format!("?{query}"));
                let location = format!("{}://{login}{}/{app}/{key}{query}", url.scheme(), &place[url.scheme().len() + 3..]);
                Ok(Self::Rtmp {
                    name: format!("{place}/{app}"),
                    location: Secret::new(location),
                })
            }
            "srt" => {
                if url.port().is_none() {
                    return Err(wrong());
                }
                let name = shown(text);
                let (mut found, mut others) = (None, Vec::new());
                for (key, value) in url.query_pairs() {
                    match &*key {
                        "passphrase" => found = Some(Secret::new(value)),
                        _ => others.push((key.into_owned(), value.into_owned())),
                    }
                }
                if found.is_some() && secret.is_some() {
                    return Err("found a passphrase in the address and another beside it, wanted one".into());
                }
                let passphrase = found.or(secret);
                if passphrase.as_ref().is_some_and(|p| !(10..=79).contains(&p.reveal().len())) {
                    return Err("found a passphrase that is too short or too long, wanted 10 to 79 characters".into());
                }
                url.set_query(None);
                if !others.is_empty() {
                    url.query_pairs_mut().extend_pairs(others);
                }
                let uri = Secret::new(url.as_str());
                Ok(Self::Srt { name, uri, passphrase })
            }
            _ => Err(wrong()),
        }
    }

    /// Its address as it may be shown.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Rtmp { name, .. } | Self::Srt { name, .. } => name,
        }
    }

    /// What messages of others must not show.
    fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Rtmp { location, .. } => {
                let key = location.reveal().rsplit('/').next().map(Secret::new);
                [Some(location.clone()), key].into_iter().flatten().collect()
            }
            Self::Srt { uri, passphrase, .. } => [Some(uri.clone()), passphrase.clone()].into_iter().flatten().collect(),
        }
    }

    /// Adds muxer and sink to a pipeline; gives the pad that takes units.
    fn build(&self, pipeline: &gst::Bin) -> Result<gst::Pad> {
        match self {
            Self::Rtmp { location, .. } => {
                let (parser, muxer, sink) = (element("h264parse")?, element("flvmux")?, element("rtmp2sink")?);
                muxer.set_property("streamable", true);
                sink.set_property("location", location.reveal());
                unclocked(&sink);
                pipeline.add(&parser).context("GStreamer elements cannot be added")?;
                chain(pipeline, &[&muxer, &sink])?;
                let video = muxer.request_pad_simple("video").context("the muxer takes no video")?;
                let parsed = parser.static_pad("src").context("a parser has a source pad")?;
                parsed.link(&video).context("the muxer does not take the video")?;
                parser.static_pad("sink").context("a parser has a sink pad")
            }
            Self::Srt { uri, passphrase, .. } => {
                let (muxer, sink) = (element("mpegtsmux")?, element("srtsink")?);
                // As many packets as fit into one of UDP.
                muxer.set_property("alignment", 7);
                sink.set_property("uri", uri.reveal());
                if let Some(passphrase) = passphrase {
                    sink.set_property("passphrase", passphrase.reveal());
                }
                // Who listens sends to nobody until somebody comes; who calls waits until he is answered.
                let listens = uri.reveal().contains("mode=listener");
                sink.set_property("wait-for-connection", !listens);
                unclocked(&sink);
                chain(pipeline, &[&muxer, &sink])?;
                muxer.request_pad_simple("sink_%d").context("the muxer takes no video")
            }
        }
    }
}

/// Units go out as they come: they are as old as can be already.
fn unclocked(sink: &gst::Element) {
    sink.set_property("sync", false);
    sink.set_property("async", false);
}

/// What a push does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PushState {
    /// Nothing has been taken yet.
    #[default]
    Connecting,
    /// Units are taken.
    Live,
    /// It failed and waits for the next attempt.
    Waiting,
    /// The stream is over.
    Ended,
}

/// A push in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct PushReport {
    pub state: PushState,
    /// Where to, without what logs in.
    pub to: String,
    /// Bytes of all units that were handed over.
    pub bytes: u64,
    pub units_dropped: u64,
    /// How often a connection failed.
    pub failures: u64,
    /// The last failure, until units are taken again.
    pub why: Option<String>,
}

/// A push until it is dropped.
#[derive(Debug)]
pub(crate) struct Push {
    board: Arc<Mutex<PushReport>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Push {
    /// Begins to connect.
    ///
    /// # Errors
    /// 70 where no thread can be had.
    pub(crate) fn start(coder: &Arc<Coder>, stream: &str, options: PushOptions) -> Result<Self> {
        let report = PushReport {
            to: options.target.name().into(),
            ..PushReport::default()
        };
        let (board, stop) = (Arc::new(Mutex::new(report)), Arc::<AtomicBool>::default());
        let pusher = Pusher {
            stream: stream.to_owned(),
            coder: coder.clone(),
            target: options.target,
            board: board.clone(),
            stop: stop.clone(),
        };
        let thread = thread::Builder::new().name("push".into()).spawn(move || pusher.work());
        Ok(Self {
            board,
            stop,
            thread: Some(thread.context("no thread for a push").kind(Kind::Internal)?),
        })
    }

    /// What it has done until now.
    pub(crate) fn report(&self) -> PushReport {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Pusher {
    stream: String,
    coder: Arc<Coder>,
    target: Target,
    board: Arc<Mutex<PushReport>>,
    stop: Arc<AtomicBool>,
}

impl Pusher {
    fn on<T>(&self, change: impl FnOnce(&mut PushReport) -> T) -> T {
        change(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn work(self) {
        let mut backoff = Backoff::default();
        while !self.is_over() {
            if !backoff.is_due() {
                thread::sleep(LOOK);
                continue;
            }
            backoff.begin();
            self.on(|report| report.state = PushState::Connecting);
            match self.push() {
                Ok(()) => break,
                Err(error) => {
                    let why = format!("{error:#}");
                    let wait = backoff.failed().as_secs_f64();
                    tracing::warn!(
                        stream = self.stream,
                        to = self.target.name(),
                        "pushing failed, next attempt in {wait:.1} s: {why}"
                    );
                    self.on(|report| {
                        (report.state, report.why) = (PushState::Waiting, Some(why));
                        report.failures += 1;
                    });
                }
            }
        }
        self.on(|report| report.state = PushState::Ended);
    }

    /// One connection, to the end of the stream.
    fn push(&self) -> Result<()> {
        let units = self.coder.subscribe(QUEUE);
        let mut pipe = None::<Pipe>;
        let dropped_before = self.on(|report| report.units_dropped);
        while !self.is_over() {
            match units.next(LOOK) {
                Next::Item(unit) => self.send(&mut pipe, &unit)?,
                Next::Nothing => {}
                Next::End => break,
            }
            if let Some(pipe) = &mut pipe {
                pipe.check()?;
            }
            self.on(|report| report.units_dropped = dropped_before + units.dropped());
        }
        pipe.map_or(Ok(()), |mut pipe| pipe.finish())
    }

    fn send(&self, pipe: &mut Option<Pipe>, unit: &Unit) -> Result<()> {
        let pipe = match pipe {
            // Another size needs a connection of its own: servers take the first for all.
            Some(pipe) if pipe.takes(unit) => pipe,
            other => {
                *other = None;
                let side = Side::Live(self.target.name().into(), self.target.secrets());
                other.insert(Pipe::new(side, unit, unit.pts_ns, |pipeline| self.target.build(pipeline))?)
            }
        };
        if pipe.flows() {
            self.on(|report| (report.state, report.why) = (PushState::Live, None));
        }
        pipe.write(unit)?;
        self.on(|report| report.bytes += unit.buffer.size() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, until};
    use super::*;
    use crate::media::Watch;
    use gstreamer_app::AppSink;
    use std::net::{TcpListener, UdpSocket};
    use std::process::{Command, Stdio};

    const SIZE: (u32, u32) = (64, 48);

    fn target(text: &str, secret: Option<&str>) -> Result<Target, String> {
        Target::parse(text, secret.map(Secret::new))
    }

    fn push(stage: &Stage, target: Target) -> Push {
        let options = PushOptions {
            target,
            view: View::Masked,
        };
        Push::start(&stage.coder, "gate", options).unwrap()
    }

    #[test]
    fn keys_and_passphrases_are_used_but_not_shown() {
        let key = "live_hunter22";
        for target in [
            target("rtmp://tv.example/app", Some(key)).unwrap(),
            target("srt://tv.example:9000?mode=caller", Some(key)).unwrap(),
            target(&format!("srt://tv.example:9000?mode=caller&passphrase={key}"), None).unwrap(),
        ] {
            assert!(
                !format!("{target:?}").contains("hunter22") && !target.name().contains("hunter22"),
                "{target:?}"
            );
            assert!(target.secrets().iter().any(|secret| secret.reveal() == key));
            match &target {
                Target::Rtmp { location, .. } => assert_eq!(location.reveal(), format!("rtmp://tv.example/app/{key}")),
                Target::Srt { uri, passphrase, .. } => {
                    assert_eq!(uri.reveal(), "srt://tv.example:9000?mode=caller");
                    assert_eq!(passphrase.as_ref().unwrap().reveal(), key);
                }
            }
        }
        for wrong in [
            "http://a/b",
            "rtmp:///app",
            "rtmp://host/app/key",
            "srt://host",
            "srt://h:1?passphrase=short",
            "x y",
        ] {
            let refusal = target(wrong, None).unwrap_err();
            assert!(!refusal.contains("=short"), "{refusal}");
        }
    }

    /// Receives SRT; gives how many pictures came.
    fn receiver(uri: &str, passphrase: &str) -> (Watch, AppSink) {
        crate::media::init().unwrap();
        let mut watch = Watch::new(Side::Reading("a test".into()));
        let (source, decoder) = (element("srtsrc").unwrap(), element("decodebin").unwrap());
        source.set_property("uri", uri);
        source.set_property("passphrase", passphrase);
        let sink = AppSink::builder().sync(false).build();
        let pipeline = watch.pipeline().upcast_ref::<gst::Bin>();
        chain(pipeline, &[&source, &decoder]).unwrap();
        pipeline.add(&sink).unwrap();
        let pad = sink.static_pad("sink").unwrap();
        decoder.connect_pad_added(move |_, found| {
            found.link(&pad).ok();
        });
        watch.play().unwrap();
        (watch, sink)
    }

    fn free_udp_port() -> u16 {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn srt_reaches_a_listener_also_one_that_comes_late_and_one_that_comes_back() {
        let port = free_udp_port();
        let mut stage = Stage::new(View::Masked);
        let there = format!("srt://127.0.0.1:{port}");
        let push = push(&stage, target(&there, Some("hunter2222")).unwrap());
        stage.show(5, SIZE, false);
        for _ in 0..2 {
            let (watch, sink) = receiver(&format!("srt://127.0.0.1:{port}?mode=listener"), "hunter2222");
            until("a picture", || {
                stage.show(5, SIZE, false);
                sink.try_pull_sample(gst::ClockTime::from_mseconds(50)).is_some()
            });
            until("that it is seen", || {
                stage.show(5, SIZE, false);
                push.report().state == PushState::Live
            });
            drop(watch);
            until("that the loss is seen", || {
                stage.show(5, SIZE, false);
                thread::sleep(Duration::from_millis(50));
                push.report().state != PushState::Live
            });
        }
        let report = push.report();
        assert!(report.failures > 0 && report.to == there, "{report:?}");
    }

    #[test]
    fn whoever_comes_to_a_push_that_listens_gets_the_stream() {
        let port = free_udp_port();
        let mut stage = Stage::new(View::Masked);
        let push = push(
            &stage,
            target(&format!("srt://127.0.0.1:{port}?mode=listener&passphrase=hunter2222"), None).unwrap(),
        );
        until("that nobody is waited for", || {
            stage.show(5, SIZE, false);
            push.report().state == PushState::Live
        });
        for _ in 0..2 {
            let (_watch, sink) = receiver(&format!("srt://127.0.0.1:{port}?mode=caller"), "hunter2222");
            until("a picture", || {
                stage.show(5, SIZE, false);
                sink.try_pull_sample(gst::ClockTime::from_mseconds(50)).is_some()
            });
        }
        assert_eq!(push.report().failures, 0);
    }

    #[test]
    fn rtmp_reaches_a_server() {
        if Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: there is no ffmpeg to receive RTMP");
            return;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut stage = Stage::new(View::Masked);
        let push = push(&stage, target(&format!("rtmp://127.0.0.1:{port}/app"), Some("hunter22")).unwrap());
        // Nobody is there yet.
        until("a failure", || {
            stage.show(2, SIZE, false);
            thread::sleep(Duration::from_millis(20));
            push.report().failures > 0
        });
        let why = push.report().why.unwrap();
        assert!(!why.contains("hunter22"), "{why}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("got.mkv");
        let address = format!("rtmp://127.0.0.1:{port}/app/hunter22");
        let mut server = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-listen", "1", "-i", &address, "-c", "copy", "-t", "2"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        until("that the server has two seconds", || {
            stage.show(5, SIZE, false);
            thread::sleep(Duration::from_millis(20));
            server.try_wait().unwrap().is_some()
        });
        assert!(super::super::testing::decoded_file(&file).0 >= 45);
        assert!(push.report().bytes > 0);
    }
}
