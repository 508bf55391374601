//! Test patterns: `test:`, `test:ball?width=854&height=478&rate=30&frames=100`, `test:live`.

use super::stream::{Setup, Stream, tail};
use super::{Opened, SourceOptions, live};
use crate::error::{Kind, fault};
use crate::frame::EndMark;
use crate::media::{Side, Watch, chain, element};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;

/// What `test:` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Name of a pattern of `videotestsrc`.
    name: String,
    width: u32,
    height: u32,
    rate: (u32, u32),
    /// `None` is for ever.
    pub frames: Option<u64>,
    live: bool,
}

const PATTERNS: [&str; 10] = [
    "smpte",
    "ball",
    "snow",
    "black",
    "white",
    "gradient",
    "circular",
    "checkers-8",
    "bar",
    "colors",
];

/// How long a test pattern is that nothing else ends.
const FRAMES: u64 = 250;

/// What follows `test:`.
///
/// # Errors
/// One line about what it does not know.
pub(super) fn parse(text: &str) -> std::result::Result<Pattern, String> {
    let (name, query) = text.split_once('?').unwrap_or((text, ""));
    let mut pattern = Pattern {
        name: "smpte".to_owned(),
        width: 1280,
        height: 720,
        rate: (25, 1),
        frames: None,
        live: false,
    };
    match name {
        "" => {}
        "live" => pattern.live = true,
        known if PATTERNS.contains(&known) => pattern.name = known.to_owned(),
        other => return Err(format!("no test pattern is named {other:?}: use live, {}", PATTERNS.join(", "))),
    }
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let size = || value.parse().ok().filter(|s| (16..=16384).contains(s));
        match key {
            "width" => pattern.width = size().ok_or_else(|| format!("width is {value:?}, wanted 16 to 16384"))?,
            "height" => pattern.height = size().ok_or_else(|| format!("height is {value:?}, wanted 16 to 16384"))?,
            "rate" => {
                pattern.rate = rate(value).ok_or_else(|| format!("rate is {value:?}, wanted frames per second such as 30 or 30000/1001"))?
            }
            "frames" => {
                pattern.frames = Some(
                    value
                        .parse()
                        .ok()
                        .filter(|&f| f > 0)
                        .ok_or_else(|| format!("frames is {value:?}, wanted a count"))?,
                )
            }
            "live" => {
                pattern.live = match value {
                    "" | "1" | "true" => true,
                    "0" | "false" => false,
                    other => return Err(format!("live is {other:?}, wanted 1 or 0")),
                }
            }
            other => return Err(format!("a test pattern has no {other:?}: it has width, height, rate, frames, live")),
        }
    }
    Ok(pattern)
}

fn rate(text: &str) -> Option<(u32, u32)> {
    let (n, d) = text.split_once('/').unwrap_or((text, "1"));
    let rate: (u32, u32) = (n.parse().ok()?, d.parse().ok()?);
    (1..=1_000_000)
        .contains(&rate.0)
        .then_some(rate)
        .filter(|r| (1..=1_000_000).contains(&r.1))
}

/// Opens what follows `test:`.
///
/// # Errors
/// 64 for a pattern that does not exist.
pub(super) fn open(input: &str, text: &str, options: &SourceOptions) -> Result<Opened> {
    let pattern = parse(text).map_err(|e| fault(Kind::Usage, format!("{input}: {e}")))?;
    if pattern.live || options.live {
        let options = SourceOptions {
            frames: least(pattern.frames, options.frames),
            ..options.clone()
        };
        return live::open(input, &options);
    }
    let frames = least(pattern.frames, options.frames).or(Some(FRAMES));
    let (n, d) = pattern.rate;
    let watch = Watch::new(Side::Reading(input.to_owned()));
    let tail = tail(&watch, false)?;
    pattern.build(&watch, &tail.first, false)?;
    let stream = Stream::start(Setup {
        watch,
        sink: tail.sink,
        start_ns: options.start_ns,
        from_first: &|| false,
        frames,
        stop: options.stop.clone(),
        end: EndMark::default(),
        explain: None,
        hopeless: &|| None,
        name: input,
    })?;
    let duration_ns = frames.map(|f| (u128::from(f) * u128::from(d) * 1_000_000_000 / u128::from(n)) as u64);
    Ok(Opened {
        description: format!(
            "test pattern {}, {}x{} {:.2} fps",
            pattern.name,
            pattern.width,
            pattern.height,
            f64::from(n) / f64::from(d)
        ),
        format: stream.format().clone(),
        frames: Box::new(stream),
        packets: Vec::new(),
        frames_total: frames,
        duration_ns,
        notes: Vec::new(),
    })
}

/// The smaller of two limits, as far as there are any.
fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

impl Pattern {
    /// Adds what makes it and hands it to `video`; `live` for one that comes by the clock.
    ///
    /// # Errors
    /// 78 where an element is missing.
    pub(super) fn build(&self, watch: &Watch, video: &gst::Element, live: bool) -> Result<()> {
        let source = element("videotestsrc")?;
        source.set_property_from_str("pattern", &self.name);
        source.set_property("is-live", live);
        let caps = element("capsfilter")?;
        let (n, d) = self.rate;
        let wanted = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", self.width as i32)
            .field("height", self.height as i32)
            .field("framerate", gst::Fraction::new(n as i32, d as i32));
        caps.set_property("caps", wanted.build());
        chain(watch.pipeline().upcast_ref(), &[&source, &caps])?;
        caps.link(video).context("a test pattern cannot be shown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_read_with_its_sizes() {
        let pattern = parse("ball?width=854&height=478&rate=30000/1001&frames=100").unwrap();
        let expected = Pattern {
            name: "ball".to_owned(),
            width: 854,
            height: 478,
            rate: (30000, 1001),
            frames: Some(100),
            live: false,
        };
        assert_eq!(pattern, expected);
        assert!(parse("live").unwrap().live);
        assert_eq!(parse("").unwrap().name, "smpte");
    }

    #[test]
    fn what_it_does_not_know_is_refused_with_what_it_does() {
        assert!(parse("bal").unwrap_err().contains("smpte, ball"));
        assert!(parse("ball?size=3").unwrap_err().contains("width, height, rate"));
        for wrong in ["?width=0", "?height=x", "?rate=0", "?rate=25/0", "?frames=0", "?live=maybe"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
