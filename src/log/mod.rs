//! The log of `maskline serve`: for people or as JSON, with GStreamer's own, and without secrets. With the feature `otel`
//! also its traces.

#[cfg(feature = "otel")]
mod otel;

use crate::commands::run::Talk;
use crate::error::{Kind, fault};
use crate::media;
use crate::privacy::shown;
use anyhow::Result;
use gstreamer as gst;
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Target of the spans that make the traces of frames.
pub(crate) const TRACES: &str = "maskline::frames";
/// The variables of OpenTelemetry that say where traces go.
const COLLECTORS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The log, until it is dropped: then the last traces are sent.
#[derive(Debug)]
pub struct Log {
    #[cfg(feature = "otel")]
    _traces: Option<otel::Traces>,
}

/// Begins the log on standard error. `RUST_LOG` says more precisely what is written, and the variables of OpenTelemetry where
/// traces go, in a program that was built with the feature `otel`.
///
/// # Errors
/// 70 if there is a log already; 78 for a collector that cannot be.
pub fn start(format: LogFormat, talk: Talk) -> Result<Log> {
    // Of traces that cannot be sent one line is enough.
    let usual = match talk {
        Talk::Quiet => "error",
        Talk::Normal => "info,opentelemetry_otlp=error",
        Talk::Verbose => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt::layer().with_writer(Clean).with_target(false);
    let lines = match format {
        LogFormat::Human => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let log = tracing_subscriber::registry().with(lines.with_filter(filter));
    #[cfg(feature = "otel")]
    let (traces, log) = {
        let traces = are_traces_wanted().then(otel::Traces::start).transpose()?;
        let layer = traces.as_ref().map(otel::Traces::layer);
        (traces, log.with(layer))
    };
    log.try_init()
        .map_err(|e| fault(Kind::Internal, format!("the log cannot begin: {e}")))?;
    if cfg!(not(feature = "otel")) && are_traces_wanted() {
        tracing::warn!(
            "this program was built without traces: build it with --features otel, or unset {}",
            COLLECTORS.join(" and ")
        );
    }
    media::init()?;
    bridge();
    Ok(Log {
        #[cfg(feature = "otel")]
        _traces: traces,
    })
}

fn are_traces_wanted() -> bool {
    COLLECTORS
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Hands what GStreamer says at the level of `GST_DEBUG` (warnings where that is not set) to this log instead of printing it.
fn bridge() {
    gst::log::remove_default_log_function();
    if std::env::var_os("GST_DEBUG").is_none() {
        gst::log::set_default_threshold(gst::DebugLevel::Error);
    }
    gst::log::add_log_function(|category, level, _, function, line, _, message| {
        let said = message.get().map(|text| text.to_string()).unwrap_or_default();
        let from = category.name();
        match level {
            gst::DebugLevel::Error => tracing::warn!(gstreamer = from, "{said}"),
            gst::DebugLevel::Warning => tracing::info!(gstreamer = from, "{said}"),
            _ => tracing::debug!(gstreamer = from, function = function.as_str(), line, "{said}"),
        }
    });
}

/// The one place through which every line goes: what logs in is taken out of it.
#[derive(Debug, Clone, Copy)]
struct Clean;

impl<'w> MakeWriter<'w> for Clean {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line(Vec::new())
    }
}

/// One line, written when it is complete.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let clean = cleaned(&String::from_utf8_lossy(&self.0));
        io::stderr().write_all(clean.as_bytes()).ok(); // nobody to tell if standard error is gone
    }
}

/// A line without secrets and without what could steer a terminal.
fn cleaned(line: &str) -> String {
    let mut clean = String::new();
    for c in shown(line.trim_end_matches('\n')).chars() {
        match c.is_control() && c != '\t' {
            true => clean.extend(c.escape_default()),
            false => clean.push(c),
        }
    }
    clean + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_holds_what_logs_in_or_steers_a_terminal() {
        let line = cleaned("lost rtsp://me:hunter2@cam/1?token=hunter2 \u{1b}[31m\nsecond\n");
        assert_eq!(line, "lost rtsp://cam/1?token=*** \\u{1b}[31m\\nsecond\n");
    }
}
