//! HTTP as plain as it can be: one request, one answer, one connection.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Sends a request to `place` (`HOST:PORT`) and reads the whole answer.
pub fn ask(place: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
    let body = body.map_or(Vec::new(), |body| body.to_string().into_bytes());
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    let mut stream = TcpStream::connect(place).expect("a server listens there");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a socket takes a timeout");
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("the server reads");
    stream.write_all(&body).expect("the server reads");
    read(&mut BufReader::new(stream))
}

fn read(stream: &mut impl BufRead) -> Answer {
    let line = |stream: &mut dyn BufRead| {
        let mut line = String::new();
        stream.read_line(&mut line).expect("the server answers");
        line.trim_end().to_owned()
    };
    let status = line(stream);
    let status = status.split(' ').nth(1).and_then(|s| s.parse().ok());
    let mut headers = Vec::new();
    loop {
        let header = line(stream);
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if header("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(&line(stream), 16).expect("the size of a chunk");
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk).expect("the whole chunk");
            body.extend(chunk);
            line(stream);
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = header("content-length").and_then(|l| l.parse().ok()) {
        body.resize(length, 0);
        stream.read_exact(&mut body).expect("the whole body");
    } else {
        stream.read_to_end(&mut body).expect("the whole body");
    }
    Answer {
        status: status.expect("a status"),
        headers,
        body,
    }
}
