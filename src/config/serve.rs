//! What `maskline serve` shall do: any number of `[[stream]]`, and what they share.
//!
//! A stream has the sections of a pipeline file (`[stream.source]`, `[stream.overlay]`, ...). `[model]` and `[execution]` are
//! those of all streams; a stream may have a `[stream.model]` of its own.

use super::reader::{Document, Problem, Section};
use super::rtsp::{self, RtspConfig};
use super::{
    PipelineConfig, Places, broker, load, messages, model, outputs, overlay, paths, server, session, source, temporal, values, zones,
};
use crate::broker::BrokerOptions;
use crate::infer::Batching;
use crate::publish::OutputOptions;
use crate::publish::webrtc::WebRtcOptions;
use crate::server::ServerOptions;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a stream's name at most: it is part of file names and addresses.
const LONGEST_NAME: usize = 64;
/// Streams of one process at most, where nothing else is said. It bounds the labels of metrics.
const MOST_STREAMS: usize = 64;

/// Everything that a host needs to know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServeConfig {
    /// The streams.
    pub streams: Vec<StreamConfig>,
    /// What they share.
    pub shared: Shared,
    /// The HTTP server; `None` without `[server]`.
    pub server: Option<ServerOptions>,
    /// How browsers are served.
    pub(crate) webrtc: WebRtcOptions,
    /// Where messages go.
    pub brokers: Vec<BrokerOptions>,
    /// The RTSP server; `None` without `[rtsp]`.
    pub rtsp: Option<RtspConfig>,
    /// The file that all this was read from.
    pub file: PathBuf,
}

/// What all streams share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shared {
    /// Model and execution, for streams that have no `[stream.model]`.
    pub pipeline: PipelineConfig,
    /// How frames of several streams are put together.
    pub batching: Batching,
    /// How many streams there may be.
    pub most_streams: usize,
}

/// One stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    /// Its name: unique, of letters, digits, `-`, `_`, `.` and blanks.
    pub name: String,
    /// Source, net, maps between inferred frames, zones, overlay, messages.
    pub pipeline: PipelineConfig,
    /// Lines of JSON are added to this file.
    pub lines: Option<PathBuf>,
    /// Recordings, HLS, pushes.
    pub(crate) outputs: OutputOptions,
    /// The table as it is written.
    pub table: toml::Table,
}

/// Whether a file is one for `maskline serve` and not a pipeline: it has what only those have. What cannot be read is none.
pub fn is_one(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    ["stream", "server", "rtsp", "broker"].iter().any(|key| table.contains_key(*key))
}

impl ServeConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// Kind 65 if it cannot be read; kind 78 if it is no text, or with one line `FILE:LINE:COLUMN: ...` for every problem in it.
    pub fn load(path: &Path) -> Result<Self> {
        let mut config = load(path, "", Self::parse)?;
        config.file = path.into();
        for stream in &mut config.streams {
            stream.pipeline.places = std::mem::take(&mut stream.pipeline.places).in_file(path);
        }
        Ok(config)
    }

    /// Reads the text of a file; relative paths in it count from `base`.
    ///
    /// # Errors
    /// All problems, in the order of the lines.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Vec<Problem>> {
        let mut document = Document::parse(text)?;
        let mut shared = Shared {
            pipeline: PipelineConfig {
                model: document.section("model", |s| model(s, base)),
                ..PipelineConfig::default()
            },
            batching: Batching::default(),
            most_streams: MOST_STREAMS,
        };
        document.section("execution", |s| {
            shared.pipeline.session = session(s, base);
            shared.batching = batching(s);
            shared.most_streams = s.number("max_streams", values::streams).unwrap_or(MOST_STREAMS);
        });
        let webrtc = document.section("webrtc", |s| {
            let default = WebRtcOptions::default();
            WebRtcOptions {
                sessions: s.number("sessions", values::sessions).unwrap_or(default.sessions),
                stun: s.text("stun", stun).or(default.stun),
            }
        });
        let brokers = document.tables("broker", |s| broker::broker(s, base));
        let wants_rtsp = document.has("rtsp");
        let rtsp = document.section("rtsp", |s| rtsp::read(s, base));
        let wanted = document.has("server");
        let server = document.section("server", |s| server::read(s, base));
        let mut names = Vec::new();
        let mut streams = document.tables("stream", |s| stream(s, base, &shared, &mut names));
        if streams.len() > shared.most_streams {
            document.problem(
                "stream",
                &format!("found {} streams, wanted at most {}", streams.len(), shared.most_streams),
            );
        }
        if streams.is_empty() && !wanted && !document.has("stream") {
            document.problem("stream", "found no [[stream]] and no [server], wanted one at least");
        }
        let places = document.finish()?;
        let written = text.parse::<toml::Table>().unwrap_or_default(); // it has just been read without a problem
        let tables = written.get("stream").and_then(|s| s.as_array()).cloned().unwrap_or_default();
        for (number, (stream, table)) in streams.iter_mut().zip(tables).enumerate() {
            stream.pipeline.places = places.of_part(&format!("stream[{number}]."));
            stream.table = table.as_table().cloned().unwrap_or_default();
        }
        Ok(Self {
            streams,
            shared,
            server: wanted.then_some(server),
            webrtc,
            brokers: brokers.into_iter().flatten().collect(),
            rtsp: wants_rtsp.then_some(rtsp),
            file: PathBuf::new(),
        })
    }
}

impl StreamConfig {
    /// Reads one stream out of its table.
    ///
    /// # Errors
    /// All problems, in one line.
    pub fn from_table(table: &toml::Table, base: &Path, shared: &Shared) -> Result<Self, String> {
        let mut names = Vec::new();
        let mut all = toml::Table::new();
        all.insert("stream".into(), toml::Value::Array(vec![table.clone().into()]));
        let text = toml::to_string(&all).map_err(|e| e.to_string().replace('\n', " "))?;
        let said = |problems: Vec<Problem>| {
            let lines: Vec<_> = problems.into_iter().map(|p| p.message.replace("stream[0]", "stream")).collect();
            lines.join("; ")
        };
        let mut document = Document::parse(&text).map_err(said)?;
        let stream = document.tables("stream", |s| stream(s, base, shared, &mut names)).pop();
        document.finish().map_err(said)?;
        let mut stream = stream.ok_or("there is no stream in it")?;
        stream.table = table.clone();
        Ok(stream)
    }
}

/// `stun://HOST:PORT`.
fn stun(text: &str) -> Result<String, String> {
    let is_one = text
        .strip_prefix("stun://")
        .is_some_and(|host| host.contains(':') && !host.contains(char::is_whitespace));
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| format!("found {text:?}, wanted stun://HOST:PORT"))
}

fn batching(section: &mut Section<'_>) -> Batching {
    let default = Batching::default();
    Batching {
        most: section.number("batch", values::batch).unwrap_or(default.most),
        wait: section
            .number("batch_wait_ms", values::milliseconds)
            .map_or(default.wait, |ms| Duration::from_secs_f64(ms / 1e3)),
    }
}

fn stream(section: &mut Section<'_>, base: &Path, shared: &Shared, names: &mut Vec<String>) -> StreamConfig {
    section.require("name");
    let name = section.text("name", name).unwrap_or_default();
    if !name.is_empty() && names.contains(&name) {
        section.problem("name", &format!("found a second stream {name:?}, wanted a name of its own"));
    }
    names.push(name.clone());
    let mut pipeline = PipelineConfig {
        source: section.section("source", |s| source(s, base)),
        model: match section.may("model") {
            true => section.section("model", |s| model(s, base)),
            false => shared.pipeline.model.clone(),
        },
        session: shared.pipeline.session.clone(),
        temporal: section.section("temporal", temporal),
        zones: zones::read_in(section),
        overlay: section.section("overlay", overlay),
        places: Places::default(),
        ..PipelineConfig::default()
    };
    // Whatever it is, it plays by the clock here.
    pipeline.source.live = true;
    let mut lines = None;
    pipeline.messages = section.section("messages", |s| {
        lines = s.text("file", values::not_empty).map(|f| paths::path(&f, base));
        messages(s)
    });
    StreamConfig {
        name,
        pipeline,
        lines,
        outputs: outputs::read(section, base),
        table: toml::Table::new(),
    }
}

/// A name that can be part of a file's name and of an address everywhere.
fn name(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    match text {
        "" => Err("it is empty, wanted a name".into()),
        long if long.len() > LONGEST_NAME => Err(format!("it has {} bytes, wanted at most {LONGEST_NAME}", long.len())),
        edge if edge.starts_with(['.', ' ']) || edge.ends_with(['.', ' ']) => {
            Err(format!("found {edge:?}, wanted a name without a dot or a blank at its ends"))
        }
        name if name.chars().all(known) => Ok(name.to_owned()),
        other => Err(format!("found {other:?}, wanted letters, digits, -, _, . and blanks")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let problems = ServeConfig::parse(text, Path::new("")).unwrap_err();
        problems.iter().map(|p| format!("{p}\n")).collect()
    }

    #[test]
    fn streams_share_the_net_and_may_have_their_own() {
        let text = r#"
            [model]
            name = "a.onnx"
            [execution]
            batch = 4
            batch_wait_ms = 2.5
            [[stream]]
            name = "north gate"
            [stream.source]
            input = "rtsp://cam/1"
            [stream.overlay]
            alpha = 0.25
            [[stream.zone]]
            name = "lane"
            polygon = [[0, 0], [1, 0], [1, 1]]
            [[stream]]
            name = "south"
            source.input = "clip.mp4"
            model.name = "b.onnx"
            messages = { file = "south.jsonl", every = "1s" }
        "#;
        let config = ServeConfig::parse(text, Path::new("deep")).unwrap();
        let [north, south] = &config.streams[..] else {
            panic!("wanted two streams")
        };
        assert_eq!(
            (config.shared.batching.most, config.shared.batching.wait),
            (4, Duration::from_micros(2500))
        );
        assert_eq!((north.name.as_str(), north.pipeline.overlay.alpha), ("north gate", 0.25));
        assert_eq!(north.pipeline.model.name.as_deref(), Some("a.onnx"));
        assert_eq!(north.pipeline.zones[0].name, "lane");
        assert!(north.pipeline.source.live && south.pipeline.source.live);
        assert_eq!(south.pipeline.model.name.as_deref(), Some("b.onnx"));
        assert_eq!(south.pipeline.source.input, "deep/clip.mp4");
        assert_eq!(south.lines.as_deref(), Some(Path::new("deep/south.jsonl")));
        assert!(north.pipeline.places.prefix("source.input").ends_with(":10:21: source.input: "));
        for stream in &config.streams {
            let again = StreamConfig::from_table(&stream.table, Path::new("deep"), &config.shared).unwrap();
            assert_eq!((&again.name, &again.pipeline.zones), (&stream.name, &stream.pipeline.zones));
            assert_eq!(again.pipeline.source, stream.pipeline.source);
        }
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let said = problems(
            "[execution]\nbatch = 0\n[[stream]]\nname = \"a/b\"\n[[stream]]\nname = \"x\"\nsource.input = \"test:\"\nsuorce = 3\n[[stream]]\nname = \"x\"\n[stream.source]\nalpha = 1\n",
        );
        for part in [
            "2:9: execution.batch:",
            "4:8: stream[0].name: found \"a/b\", wanted letters",
            "stream[0].source.input is missing",
            "8:1: unknown key \"suorce\" in [[stream]]",
            "found a second stream \"x\"",
            "12:1: unknown key \"alpha\" in [stream.source]",
        ] {
            assert!(said.contains(part), "{part} in\n{said}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for wrong in ["", "a/b", "..", ".a", "a ", "a\nb", "a%n", "a\"b", &"w".repeat(65), "a\0b", "a\\b"] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
        for right in ["north", "Tor 3", "café_1.b", "a-b", "横断歩道"] {
            assert_eq!(name(right).as_deref(), Ok(right));
        }
    }
}
