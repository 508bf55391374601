//! What becomes of a stream of `maskline serve`: `[[stream.record]]`, `[stream.hls]`, `[[stream.push]]`.

use super::paths::path;
use super::reader::Section;
use super::values;
use crate::privacy::Secret;
use crate::publish::{HlsOptions, OutputOptions, PushOptions, RecordOptions, Target, View};
use crate::source::expand;
use std::path::Path;
use std::time::Duration;

/// All of them. What is wrong is remembered with its place.
pub(super) fn read(section: &mut Section<'_>, base: &Path) -> OutputOptions {
    let mut places = Vec::new();
    OutputOptions {
        record: section.tables("record", |s| record(s, base, &mut places)),
        hls: section.may("hls").then(|| section.section("hls", |s| hls(s, base))),
        push: section.tables("push", push).into_iter().flatten().collect(),
        window: section.flag("window").unwrap_or_default(),
    }
}

fn record(section: &mut Section<'_>, base: &Path, before: &mut Vec<(std::path::PathBuf, View)>) -> RecordOptions {
    let default = RecordOptions::default();
    let options = RecordOptions {
        folder: folder(section, base),
        view: section.text("view", frames).unwrap_or_default(),
        segment: section.text("segment", segment).unwrap_or(default.segment),
        segment_bytes: section.text("segment_bytes", values::bytes),
        keep_bytes: section.text("keep_bytes", values::bytes),
        keep_days: section.number("keep_days", values::days),
        min_free_bytes: section.text("min_free", values::bytes).unwrap_or(default.min_free_bytes),
    };
    let place = (options.folder.clone(), options.view);
    if before.contains(&place) {
        section.problem("folder", "found the same folder and view a second time, wanted another of either");
    }
    before.push(place);
    options
}

fn hls(section: &mut Section<'_>, base: &Path) -> HlsOptions {
    let default = HlsOptions::default();
    HlsOptions {
        folder: folder(section, base),
        view: section.text("view", View::parse).unwrap_or_default(),
        segment: section.text("segment", hls_segment).unwrap_or(default.segment),
        segments: section.number("segments", values::playlist).unwrap_or(default.segments),
    }
}

/// Nothing where the address is missing or wrong, which has been said then.
fn push(section: &mut Section<'_>) -> Option<PushOptions> {
    section.require("url");
    let expanded = |key: &'static str| {
        let expand = |text: &str| expand(key, text, |name| std::env::var(name).ok()).map_err(|e| format!("{e:#}"));
        move |text: &str| expand(text)
    };
    let url = section.text("url", expanded("url"));
    let key = section.text("key", expanded("key"));
    let passphrase = section.text("passphrase", expanded("passphrase"));
    let view = section.text("view", View::parse).unwrap_or_default();
    let url = url?;
    let (mine, other, secret) = match url.starts_with("srt:") {
        true => ("passphrase", "key", passphrase),
        false => ("key", "passphrase", key),
    };
    if section.has(other) {
        section.problem(other, &format!("it does not go with this address, wanted {mine}"));
    }
    match Target::parse(&url, secret.map(Secret::new)) {
        Ok(target) => Some(PushOptions { target, view }),
        Err(problem) => {
            section.problem("url", &problem);
            None
        }
    }
}

fn folder(section: &mut Section<'_>, base: &Path) -> std::path::PathBuf {
    section.require("folder");
    section
        .text("folder", values::not_empty)
        .map_or_else(Default::default, |f| path(&f, base))
}

/// A view that is recorded.
fn frames(text: &str) -> Result<View, String> {
    match View::parse(text) {
        Ok(view @ (View::Masked | View::Raw)) => Ok(view),
        _ => Err(format!("found {text:?}, wanted masked or raw")),
    }
}

fn segment(text: &str) -> Result<Duration, String> {
    within(text, 1, 86_400)
}

fn hls_segment(text: &str) -> Result<Duration, String> {
    within(text, 1, 10)
}

/// A span from so many seconds to so many.
fn within(text: &str, least: u64, most: u64) -> Result<Duration, String> {
    let span = Duration::from_nanos(values::span_ns(text)?);
    let fits = (Duration::from_secs(least)..=Duration::from_secs(most)).contains(&span);
    fits.then_some(span)
        .ok_or_else(|| format!("found {text:?}, wanted {least} to {most} seconds"))
}

#[cfg(test)]
mod tests {
    use super::super::reader::Document;
    use super::*;

    fn parse(text: &str) -> Result<OutputOptions, String> {
        let said = |problems: Vec<super::super::Problem>| problems.iter().map(|p| format!("{p}\n")).collect::<String>();
        let mut document = Document::parse(text).map_err(said)?;
        let options = document.section("stream", |s| read(s, Path::new("deep")));
        document.finish().map_err(said)?;
        Ok(options)
    }

    #[test]
    fn everything_can_be_set_and_has_a_default() {
        let options = parse(
            r#"
            [[stream.record]]
            folder = "rec"
            [[stream.record]]
            folder = "/data"
            view = "raw"
            segment = "5m"
            segment_bytes = "200MB"
            keep_bytes = "1.5TB"
            keep_days = 30
            min_free = "2GiB"
            [stream.hls]
            folder = "www"
            segment = "4s"
            segments = 10
            view = "classes"
            [[stream.push]]
            url = "rtmp://tv/app"
            key = "hunter22"
            [[stream.push]]
            url = "srt://tv:9000"
            "#,
        )
        .unwrap();
        let plain = RecordOptions {
            folder: "deep/rec".into(),
            ..RecordOptions::default()
        };
        let full = RecordOptions {
            folder: "/data".into(),
            view: View::Raw,
            segment: Duration::from_secs(300),
            segment_bytes: Some(200_000_000),
            keep_bytes: Some(1_500_000_000_000),
            keep_days: Some(30),
            min_free_bytes: 2 << 30,
        };
        assert_eq!(options.record, [plain, full]);
        let hls = options.hls.unwrap();
        assert_eq!((hls.segment, hls.segments, hls.view), (Duration::from_secs(4), 10, View::Classes));
        let to: Vec<_> = options.push.iter().map(|push| push.target.name()).collect();
        assert_eq!(to, ["rtmp://tv/app", "srt://tv:9000"]);
        assert_eq!(parse("[stream]").unwrap(), OutputOptions::default());
    }

    #[test]
    fn everything_that_is_wrong_is_told_and_no_secret_with_it() {
        let said = parse(
            r#"
            [[stream.record]]
            view = "classes"
            segment = "0s"
            keep_bytes = "much"
            keep_days = 0
            [[stream.record]]
            folder = "a"
            [[stream.record]]
            folder = "a"
            [stream.hls]
            segment = "1m"
            [[stream.push]]
            key = "hunter22"
            [[stream.push]]
            url = "rtmp://tv/app"
            passphrase = "hunter22"
            [[stream.push]]
            url = "http://hunter22@tv/app"
            [[stream.push]]
            url = "rtmp://tv/app"
            key = "${NOT_THERE_22}"
            "#,
        )
        .unwrap_err();
        for part in [
            "stream.record[0].folder is missing",
            "wanted masked or raw",
            "wanted 1 to 86400 seconds",
            "keep_bytes: found \"much\"",
            "keep_days: found 0",
            "stream.record[2].folder: found the same folder",
            "stream.hls.folder is missing",
            "wanted 1 to 10 seconds",
            "stream.push[0].url is missing",
            "wanted key",
            "wanted rtmp://HOST/APP",
            "NOT_THERE_22",
        ] {
            assert!(said.contains(part), "{part} in\n{said}");
        }
        assert!(!said.contains("hunter22"), "{said}");
    }
}
