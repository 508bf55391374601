//! The log of `maskline serve`: for people or as JSON, with GStreamer's own, and without secrets.

use crate::commands::run::Talk;
use crate::error::{Kind, fault};
use crate::media;
use crate::privacy::shown;
use anyhow::Result;
use gstreamer as gst;
use std::io::{self, Write};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Begins the log on standard error. `RUST_LOG` says more precisely what is written.
///
/// # Errors
/// 70 if there is a log already.
pub fn start(format: LogFormat, talk: Talk) -> Result<()> {
    let usual = match talk {
        Talk::Quiet => "error",
        Talk::Normal => "info",
        Talk::Verbose => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Clean)
        .with_target(false);
    let begun = match format {
        LogFormat::Human => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    begun.map_err(|e| fault(Kind::Internal, format!("the log cannot begin: {e}")))?;
    media::init()?;
    bridge();
    Ok(())
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
