//! Traces of frames, as a collector gets them.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not take for tests

#[path = "support/serving.rs"]
mod serving;
mod support;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serving::Serving;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::Bench;

/// Takes what is sent to it. Its address, and the requests: path, service, spans.
fn collector() -> (String, mpsc::Receiver<(String, String, Vec<Span>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, tell) = (stream.unwrap(), tell.clone());
            thread::spawn(move || {
                while let Some(request) = take(&stream) {
                    tell.send(request).unwrap();
                }
            });
        }
    });
    (address, told)
}

fn take(mut stream: &TcpStream) -> Option<(String, String, Vec<Span>)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = found.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(answer).ok()?;
    let request = ExportTraceServiceRequest::decode(&*body).unwrap();
    let resource = request.resource_spans[0].resource.clone().unwrap();
    let service = resource.attributes.iter().find(|a| a.key == "service.name").unwrap();
    let service = format!("{:?}", service.value);
    let spans = request.resource_spans.into_iter().flat_map(|r| r.scope_spans);
    let spans = spans.flat_map(|s| s.spans).collect();
    Some((first.split(' ').nth(1)?.to_owned(), service, spans))
}

#[test]
fn every_stage_of_a_frame_is_in_its_trace() {
    let bench = Bench::new();
    bench.write(
        "live.toml",
        "[model]\nfile = \"brightness.onnx\"\n[execution]\nprovider = \"cpu\"\n[[stream]]\nname = \"gate\"\nsource.input = \"test:ball?width=64&height=48&rate=20\"\n",
    );
    let (address, told) = collector();
    let mut command = bench.command();
    command
        .args(["serve", "live.toml", "--log", "json"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        .env("OTEL_BSP_SCHEDULE_DELAY", "200");
    let mut serving = Serving::of(&mut command);
    serving.hear("a live stream", |line| line["state"] == "live");
    let (path, service, mut spans) = told.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(path, "/v1/traces");
    assert!(service.contains("maskline"), "{service}");
    // A frame of which all has been sent: its root ends last.
    let root = loop {
        if let Some(root) = spans.iter().find(|s| s.name == "frame") {
            break root.clone();
        }
        spans.extend(told.recv_timeout(Duration::from_secs(30)).unwrap().2);
    };
    let attribute = |key: &str| format!("{:?}", root.attributes.iter().find(|a| a.key == key).unwrap().value);
    assert!(attribute("stream").contains("gate") && !attribute("frame").is_empty());
    assert!(root.parent_span_id.is_empty());
    let parts: Vec<_> = spans
        .iter()
        .filter(|s| s.trace_id == root.trace_id && s.parent_span_id == root.span_id)
        .collect();
    let names: Vec<_> = parts.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["preprocess", "infer", "postprocess", "record", "overlay", "sink"]);
    for part in &parts {
        assert!(part.start_time_unix_nano >= root.start_time_unix_nano && part.end_time_unix_nano <= root.end_time_unix_nano);
    }
    serving.signal("TERM");
    let (code, log) = serving.end();
    assert_eq!(code, Some(143), "{log}");
    // What was not sent yet is sent at the end.
    assert!(told.try_iter().count() > 0);
}

#[test]
fn a_collector_that_cannot_be_is_told_at_once() {
    let bench = Bench::new();
    bench.write("live.toml", "[[stream]]\nname = \"gate\"\nsource.input = \"test:ball\"\n");
    for (collector, wanted) in [("https://127.0.0.1:1", "wanted http://"), ("not a url", "not a url")] {
        let mut command = bench.command();
        command.args(["serve", "live.toml"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(wanted) && said.lines().count() == 1, "{said}");
    }
}
