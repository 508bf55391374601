//! Figures that take minutes: `scripts/soak/streams` runs them. Each prints what it measured, and fails where that is not what
//! docs/operations.md promises.

use super::tests::{BALL, host, shown, stream, until};
use super::{Host, Stream};
use crate::stats::usage;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds that a figure takes, unless `MASKLINE_SOAK_S` says another number.
fn seconds(usual: u64) -> Duration {
    let wanted = std::env::var("MASKLINE_SOAK_S").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(wanted.unwrap_or(usual))
}

#[test]
#[ignore = "takes minutes"]
fn the_age_of_what_is_shown_behind_a_slow_net() {
    age(1);
}

#[test]
#[ignore = "takes minutes"]
fn the_age_of_what_four_streams_show_behind_one_slow_net() {
    age(4);
}

/// The age of what so many streams of 30 frames/s show that share a net of 200 ms, and what memory they take.
fn age(streams: usize) {
    let (takes, interval) = (Duration::from_millis(200), Duration::from_secs_f64(1.0 / 30.0));
    let names: Vec<_> = (0..streams).map(|n| format!("s{n}")).collect();
    let text: String = names
        .iter()
        .map(|name| stream(name, "test:ball?width=64&height=48&rate=30"))
        .collect();
    let (_folder, host) = host(&text, takes);
    let all: Vec<_> = names.iter().map(|name| host.stream(name).unwrap()).collect();
    until("they run", || all.iter().all(|s| shown(s) > 20));
    let (begin, mut ages, mut memory) = (Instant::now(), Vec::new(), Vec::new());
    while begin.elapsed() < seconds(600) {
        thread::sleep(Duration::from_secs(10));
        memory.push(memory_mib());
        for (name, stream) in names.iter().zip(&all) {
            let vitals = stream.vitals();
            let latency = vitals.latency.unwrap();
            ages.push(latency.p95_ms);
            println!(
                "{:4.0} s: {name}: age p50 {:.1} p95 {:.1} p99 {:.1} max {:.1} ms, inference {:.1} ms, {:.2} frames/s, {:.1} MiB",
                begin.elapsed().as_secs_f64(),
                latency.p50_ms,
                latency.p95_ms,
                latency.p99_ms,
                latency.max_ms,
                vitals.inference_ms.unwrap_or(0.0),
                vitals.frames_per_s,
                memory[memory.len() - 1],
            );
        }
    }
    host.end();
    ages.sort_by(f64::total_cmp);
    let (median, wanted) = (ages[ages.len() / 2], 1e3 * (takes + interval).as_secs_f64());
    println!(
        "p95 of the age: median {median:.1} ms over {} spans of 10 s, wanted {wanted:.1}",
        ages.len()
    );
    let growth = memory[memory.len() - 1] - memory[memory.len() / 4];
    println!("memory grew by {growth:.2} MiB in the last three quarters");
    assert!(median <= wanted * 1.05 && growth < 2.0);
}

/// What is resident, in MiB.
fn memory_mib() -> f64 {
    usage::memory_bytes().unwrap() as f64 / 1_048_576.0
}

/// A server that takes connections and never says a word.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut held = Vec::new();
        for connection in listener.incoming() {
            held.extend(connection);
        }
    });
    format!("rtsp://127.0.0.1:{port}/x")
}

/// A server that answers every request with noise.
fn noisy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            if connection.read(&mut [0; 1024]).is_err() {
                continue;
            }
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n").ok();
            let mut noise = [0; 65536];
            for _ in 0..200 {
                noise.iter_mut().for_each(|b| *b = fastrand::u8(..));
                if connection.write_all(&noise).is_err() {
                    break;
                }
            }
        }
    });
    format!("http://127.0.0.1:{port}/x")
}

/// A place to which noise is sent as if it were MPEG-TS.
fn noise_by_udp() -> String {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    thread::spawn(move || {
        loop {
            let mut noise = [0; 1316];
            noise.iter_mut().for_each(|b| *b = fastrand::u8(..));
            noise[0] = 0x47;
            sender.send_to(&noise, ("127.0.0.1", port)).ok();
            thread::sleep(Duration::from_millis(2));
        }
    });
    format!("udp://127.0.0.1:{port}")
}

/// Frames a second of each stream over such a time.
fn rates(streams: &[Arc<Stream>], over: Duration) -> Vec<f64> {
    let before: Vec<_> = streams.iter().map(|s| shown(s)).collect();
    let begin = Instant::now();
    thread::sleep(over);
    let took = begin.elapsed().as_secs_f64();
    streams
        .iter()
        .zip(before)
        .map(|(s, before)| (shown(s) - before) as f64 / took)
        .collect()
}

fn good(host: &Host) -> Vec<Arc<Stream>> {
    ["a", "b", "c"].map(|name| host.stream(name).unwrap()).into()
}

#[test]
#[ignore = "takes minutes"]
fn three_streams_beside_a_bad_one() {
    let three = ["a", "b", "c"]
        .map(|name| stream(name, "test:ball?width=320&height=240&rate=20"))
        .concat();
    let over = seconds(30);
    for (what, input) in [
        ("good", BALL.replace("rate=50", "rate=20")),
        ("closed", "rtsp://127.0.0.1:1/x".into()),
        ("silent", silent()),
        ("noise over HTTP", noisy()),
        ("noise over UDP", noise_by_udp()),
        ("good", BALL.replace("rate=50", "rate=20")),
    ] {
        let (_folder, host) = host(&(three.clone() + &stream("d", &input)), Duration::from_millis(5));
        let streams = good(&host);
        until("all three run", || streams.iter().all(|s| shown(s) > 20));
        let rates = rates(&streams, over);
        let fourth = host.stream("d").unwrap().vitals();
        println!("beside a stream that is {what:16} ({}): {rates:.2?} frames/s of 20", fourth.state);
        assert!(rates.iter().all(|rate| (rate - 20.0).abs() <= 1.0), "{what}: {rates:?}");
        host.end();
    }
}

#[test]
#[ignore = "takes minutes"]
fn memory_threads_and_files_over_many_frames() {
    let wanted: u64 = std::env::var("MASKLINE_SOAK_FRAMES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(720_000);
    let (_folder, host) = host(&stream("a", "test:ball?width=64&height=48&rate=2000"), Duration::ZERO);
    let a = host.stream("a").unwrap();
    let mut points = Vec::new();
    for mark in 1..=20 {
        let frames = wanted * mark / 20;
        while shown(&a) < frames {
            thread::sleep(Duration::from_millis(50));
        }
        let point = (frames, memory_mib(), usage::threads().unwrap(), usage::open_files().unwrap());
        println!("{} frames: {:.2} MiB, {} threads, {} files", point.0, point.1, point.2, point.3);
        points.push(point);
    }
    host.end();
    // The first quarter is the warm-up.
    let rest = &points[5..];
    let slope = slope(rest.iter().map(|p| (p.0 as f64 / 1e5, p.1 * 1.048_576)));
    println!("slope {slope:.3} MB per 100,000 frames");
    assert!(slope < 1.0);
    assert!(rest.iter().all(|p| (p.2, p.3) == (rest[0].2, rest[0].3)), "threads or files change");
}

/// Of a line through points by least squares.
fn slope(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let points: Vec<_> = points.collect();
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let over: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    over / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}
