//! Messages to real brokers that are killed in the middle. Where a broker is not installed its tests say so and pass.
//!
//! `OUTAGE_S` is how long a broker stays away, 2 seconds without it; scripts/soak/broker sets it.

#![cfg(all(feature = "mqtt", feature = "nats"))]
#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

use maskline::broker::{Address, BrokerOptions, Courier, Message, MessageKind, Report, SpoolOptions, Topic};
use maskline::source::{Credentials, Notices};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const STREAMS: [&str; 4] = ["front door", "a/b+c#", "x.y*z>", "straße %n\n"];
/// Of each stream, about as many as a camera has frames.
const MESSAGES_PER_S: u64 = 25;

/// A free port, as far as one can know.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A broker in a process of its own. It keeps its data when it is killed.
struct Server {
    child: Child,
    start: Box<dyn Fn() -> Child>,
    port: u16,
}

impl Server {
    /// None, with a word about it, where the program is not installed.
    fn start(program: &'static str, arguments: Vec<String>, port: u16) -> Option<Self> {
        // Debian keeps servers where users do not look.
        let places = ["", "/usr/sbin/", "/usr/local/bin/"].map(|place| format!("{place}{program}"));
        let is_there = |path: &&String| {
            Command::new(path)
                .arg("-h")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok()
        };
        let Some(path) = places.iter().find(is_there).cloned() else {
            println!("{program} is not installed: not tested");
            return None;
        };
        let start = move || {
            let mut command = Command::new(&path);
            let command = command
                .args(&arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.spawn().unwrap()
        };
        let server = Self {
            child: start(),
            start: Box::new(start),
            port,
        };
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the broker does not come up");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = (self.start)();
        self.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn mosquitto(folder: &Path, settings: &str) -> Option<Server> {
    let port = port();
    let file = folder.join("mosquitto.conf");
    let data = folder.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let user = std::env::var("USER").unwrap_or_else(|_| "root".into()); // else it becomes `mosquitto`, who has no data folder here
    let config = format!(
        "listener {port} 127.0.0.1\nuser {user}\npersistence true\npersistence_location {}/\nautosave_interval 1\n{settings}\n",
        data.display()
    );
    std::fs::write(&file, config).unwrap();
    Server::start("mosquitto", vec!["-c".into(), file.display().to_string()], port)
}

fn nats(folder: &Path) -> Option<Server> {
    let port = port();
    let arguments = [
        "-a",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-js",
        "-sd",
        &folder.join("js").display().to_string(),
    ];
    Server::start("nats-server", arguments.map(str::to_owned).to_vec(), port)
}

fn options(url: &str, folder: &Path) -> BrokerOptions {
    let address = Address::parse(url).unwrap();
    BrokerOptions {
        topic: Topic::usual(address.protocol()),
        address,
        credentials: Credentials::default(),
        create_stream: url.starts_with("nats").then(|| "MASKLINE".into()),
        spool: SpoolOptions {
            folder: folder.join("spool"),
            max_bytes: SpoolOptions::USUAL_BYTES,
        },
    }
}

fn message(stream: &str, n: u64) -> Message {
    Message {
        stream: stream.into(),
        kind: MessageKind::Frame,
        bytes: format!("{{\"n\":{n},\"padding\":\"{}\"}}", "x".repeat(500)).into_bytes(),
    }
}

/// Stream and number of what was sent.
type Name = (String, u64);

fn number(payload: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(payload).unwrap()["n"].as_u64().unwrap()
}

fn until(courier: &Courier, is_so: impl Fn(&Report) -> bool) -> Report {
    let begun = Instant::now();
    loop {
        let report = courier.report();
        if is_so(&report) {
            return report;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{report:#?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends for some seconds, kills the broker in the middle, and waits until it has everything. What was sent, the last report,
/// and the most messages that waited.
fn through_an_outage(courier: &Courier, server: &mut Server) -> (BTreeSet<Name>, Report, u64) {
    let outage = std::env::var("OUTAGE_S").map_or(2.0, |s| s.parse().unwrap());
    let (kill_at, restart_at, end_at) = (2.0, 2.0 + outage, 4.0 + outage);
    let begun = Instant::now();
    let (mut sent, mut most, mut step) = (BTreeSet::new(), 0, 0);
    for n in 0..(end_at * MESSAGES_PER_S as f64) as u64 {
        for stream in STREAMS {
            courier.send(message(stream, n));
            sent.insert((stream.trim().to_owned(), n)); // as it stands in properties and headers
        }
        let due = Duration::from_secs_f64(n as f64 / MESSAGES_PER_S as f64);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        most = most.max(courier.report().spooled_messages);
        match step {
            0 if begun.elapsed().as_secs_f64() >= kill_at => server.kill(),
            1 if begun.elapsed().as_secs_f64() >= restart_at => server.restart(),
            _ => continue,
        }
        step += 1;
    }
    let report = until(courier, |report| report.spooled_messages == 0);
    assert_eq!(step, 2);
    (sent, report, most)
}

/// Says what came of it, and fails if anything is missing.
fn judge(broker: &str, sent: &BTreeSet<Name>, got: &BTreeMap<Name, u64>, report: &Report, most: u64) {
    let lost = sent.iter().filter(|name| !got.contains_key(*name)).count();
    let duplicates = got.values().sum::<u64>() - got.len() as u64;
    println!(
        "{broker}: {} sent, {lost} lost, {duplicates} duplicates at the consumer, {} sent again, at most {most} waited, {} connections",
        sent.len(),
        report.redelivered,
        report.connections
    );
    assert_eq!((lost, got.len()), (0, sent.len()));
    assert!(report.connections >= 2 && most > 50, "there was an outage: {report:#?}");
    let losses = (
        report.lost_to_bound,
        report.lost_to_queue,
        report.refused,
        report.damaged,
        report.disk_failures,
    );
    assert_eq!(losses, (0, 0, 0, 0, 0));
}

/// Subscribes for good, with a session that the broker keeps, and gives what comes.
fn subscribe(port: u16) -> Receiver<Publish> {
    let (tx, rx) = channel();
    let (ready, is_ready) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut options = MqttOptions::new("consumer", "127.0.0.1", port);
            options.set_clean_start(false).set_session_expiry_interval(Some(u32::MAX));
            let (client, mut events) = AsyncClient::new(options, 10);
            client.subscribe("maskline/#", QoS::AtLeastOnce).await.unwrap();
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::Publish(publish))) if tx.send(publish.clone()).is_err() => return,
                    Ok(Event::Incoming(Packet::SubAck(_))) => ready.send(()).unwrap_or_default(),
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
    });
    is_ready.recv_timeout(Duration::from_secs(20)).unwrap();
    rx
}

#[test]
fn an_mqtt_broker_that_is_killed_has_every_message_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = mosquitto(folder.path(), "allow_anonymous true\nmax_queued_messages 0") else {
        return;
    };
    let consumer = subscribe(server.port);
    // The session of the consumer has to be on the broker's disk before that is killed.
    let begun = Instant::now();
    while !folder.path().join("data/mosquitto.db").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(20));
    }
    let courier = Courier::start(
        &options(&format!("mqtt://127.0.0.1:{}", server.port), folder.path()),
        Notices::default(),
    )
    .unwrap();
    let (sent, report, most) = through_an_outage(&courier, &mut server);
    let (mut got, mut ids) = (BTreeMap::new(), BTreeMap::<Name, BTreeSet<String>>::new());
    while got.len() < sent.len() {
        let Ok(publish) = consumer.recv_timeout(Duration::from_secs(20)) else {
            break;
        };
        let properties = publish.properties.unwrap().user_properties;
        let property = |key: &str| properties.iter().find(|(k, _)| k == key).unwrap().1.clone();
        let name = (property("maskline-stream"), number(&publish.payload));
        let topic = std::str::from_utf8(&publish.topic).unwrap().to_owned();
        assert_eq!(topic.split('/').count(), 3, "{topic}");
        ids.entry(name.clone()).or_default().insert(property("maskline-id"));
        *got.entry(name).or_default() += 1;
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "a duplicate has the id of its message");
    judge("mosquitto", &sent, &got, &report, most);
}

/// Everything that the JetStream stream has.
fn stored(port: u16) -> BTreeMap<Name, u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(format!("nats://127.0.0.1:{port}")).await.unwrap();
        let stream = async_nats::jetstream::new(client).get_stream("MASKLINE").await.unwrap();
        let mut got = BTreeMap::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let name = message.headers.get("maskline-stream").unwrap().to_string();
            *got.entry((name, number(&message.payload))).or_default() += 1;
        }
        got
    })
}

#[test]
fn a_nats_server_that_is_killed_has_every_message_once_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = nats(folder.path()) else { return };
    let courier = Courier::start(
        &options(&format!("nats://127.0.0.1:{}", server.port), folder.path()),
        Notices::default(),
    )
    .unwrap();
    let (sent, report, most) = through_an_outage(&courier, &mut server);
    let got = stored(server.port);
    judge("nats-server", &sent, &got, &report, most);
    assert!(got.values().all(|times| *times == 1), "JetStream leaves out what it has");
}

/// Not a test of its own: the program that [`a_program_that_is_killed_goes_on_where_it_was`] kills. It sends for ever.
#[test]
fn sends_until_it_is_killed() {
    let Ok(url) = std::env::var("SENDER_URL") else { return };
    let folder = std::env::var_os("SENDER_FOLDER").unwrap();
    let courier = Courier::start(&options(&url, Path::new(&folder)), Notices::default()).unwrap();
    for n in 0.. {
        courier.send(message("cam", n));
        let report = until(&courier, |report| report.acknowledged + report.spooled_messages > n);
        println!("\nsafe {n} acknowledged {}", report.acknowledged);
    }
}

#[test]
fn a_program_that_is_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = nats(folder.path()) else { return };
    let url = format!("nats://127.0.0.1:{}", server.port);
    let mut sender = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sends_until_it_is_killed", "--nocapture"])
        .env("SENDER_URL", &url)
        .env("SENDER_FOLDER", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(sender.stdout.take().unwrap()).lines();
    let safe: Vec<u64> = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("safe ")?.split(' ').next()?.parse().ok())
        .take(300)
        .collect();
    sender.kill().unwrap();
    sender.wait().unwrap();
    let courier = Courier::start(&options(&url, folder.path()), Notices::default()).unwrap();
    until(&courier, |report| report.state.is_connected() && report.spooled_messages == 0);
    let got = stored(server.port);
    let lost = safe.iter().filter(|n| !got.contains_key(&("cam".to_owned(), **n))).count();
    assert_eq!((safe.len(), lost), (300, 0));
    assert!(got.values().all(|times| *times == 1));
}

#[test]
fn a_stream_that_is_missing_and_a_login_that_is_refused_are_said_and_messages_wait() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = nats(folder.path()) else { return };
    let mut without_stream = options(&format!("nats://127.0.0.1:{}", server.port), folder.path());
    without_stream.create_stream = None;
    let courier = Courier::start(&without_stream, Notices::default()).unwrap();
    courier.send(message("cam", 1));
    let why = |report: &Report| serde_json::to_value(report).unwrap()["why"].as_str().unwrap_or_default().to_owned();
    let report = until(&courier, |report| why(report).contains("no JetStream stream"));
    assert_eq!(
        why(&report),
        "no JetStream stream takes the subject \"maskline.cam.frame\": make one that does, or let create_stream name one to be made"
    );
    assert_eq!((report.spooled_messages, report.refused), (1, 0));

    let Some(server) = mosquitto(&folder.path().join("closed"), "allow_anonymous false") else {
        return;
    };
    let url = format!("mqtt://me:hunter22@127.0.0.1:{}", server.port);
    let courier = Courier::start(&options(&url, &folder.path().join("closed")), Notices::default()).unwrap();
    courier.send(message("cam", 1));
    let report = until(&courier, |report| why(report).contains("login is refused"));
    assert_eq!(report.spooled_messages, 1);
    assert!(!serde_json::to_string(&report).unwrap().contains("hunter22"));
}

#[test]
fn what_is_too_large_for_a_broker_is_left_out_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let large = |n| Message {
        bytes: vec![b'x'; 3 << 20],
        ..message("cam", n)
    };
    let mut servers = Vec::new();
    for (scheme, server) in [
        (
            "mqtt",
            mosquitto(&folder.path().join("mqtt"), "allow_anonymous true\nmax_packet_size 2000000"),
        ),
        ("nats", nats(&folder.path().join("nats"))),
    ] {
        let Some(server) = server else { continue };
        let url = format!("{scheme}://127.0.0.1:{}", server.port);
        let courier = Courier::start(&options(&url, &folder.path().join(scheme)), Notices::default()).unwrap();
        courier.send(message("cam", 1));
        courier.send(large(2));
        courier.send(message("cam", 3));
        let report = until(&courier, |report| report.acknowledged + report.refused == 3);
        assert_eq!((report.acknowledged, report.refused, report.redelivered), (2, 1, 0), "{scheme}");
        servers.push(server);
    }
}

/// The Kafka cluster that librdkafka has for tests, inside a kcat that waits for something to send to the topic.
#[cfg(feature = "kafka")]
#[test]
fn a_kafka_broker_has_every_record_in_order_with_its_id() {
    let Ok(child) = Command::new("kcat")
        .args(["-P", "-t", "maskline.frame", "-X", "test.mock.num.brokers=1", "-b", "none:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
    else {
        println!("kcat is not installed: not tested");
        return;
    };
    let mut server = Server {
        child,
        start: Box::new(|| unreachable!("it keeps nothing, so it is not killed in the middle")),
        port: 0,
    };
    let mut said = BufReader::new(server.child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = said.find_map(|line| Some(line.split_once("replaced with ")?.1.to_owned())).unwrap();
    thread::spawn(move || said.for_each(drop)); // else it stands still when the pipe is full
    let folder = tempfile::tempdir().unwrap();
    let kcat = |arguments: &[&str]| {
        let output = Command::new("kcat").args(arguments).args(["-b", &address]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let begun = Instant::now();
    while !kcat(&["-L"]).contains("maskline.frame") {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    let courier = Courier::start(&options(&format!("kafka://{address}"), folder.path()), Notices::default()).unwrap();
    for n in 0..2000 {
        courier.send(message(STREAMS[n as usize % 2], n));
    }
    let report = until(&courier, |report| report.acknowledged == 2000);
    assert_eq!((report.redelivered, report.refused), (0, 0));
    let (mut places, mut ids) = (BTreeMap::<String, (BTreeSet<String>, Vec<u64>)>::new(), BTreeSet::new());
    let records = kcat(&["-C", "-q", "-e", "-t", "maskline.frame", "-f", "%p\t%k\t%h\t%s\n"]);
    for line in records.lines() {
        let [partition, key, headers, value] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (partitions, numbers) = places.entry(key.into()).or_default();
        partitions.insert(partition.into());
        numbers.push(number(value.as_bytes()));
        ids.insert(headers.strip_prefix("maskline-id=").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 2000);
    for (k, stream) in STREAMS[..2].iter().enumerate() {
        let (partitions, numbers) = &places[*stream];
        assert_eq!(partitions.len(), 1, "a stream stays in its partition");
        assert_eq!(*numbers, (0..1000).map(|n| 2 * n + k as u64).collect::<Vec<_>>());
    }
}
