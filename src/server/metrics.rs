//! `/metrics` in the text format of OpenMetrics, which Prometheus reads. Every number is read when it is asked for.

use crate::broker::Report;
use crate::source::State;
use crate::stats::pulse::{BUCKETS_S, Vitals};
use crate::stats::usage;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// What the format is called in an answer.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const STATES: [State; 4] = [State::Connecting, State::Live, State::Stalled, State::Lost];

/// The numbers of one stream at one moment.
#[derive(Debug)]
pub(super) struct StreamNumbers {
    pub name: String,
    pub vitals: Vitals,
    /// As [`crate::stats::pulse::Pulse::latencies`] gives them.
    pub latencies: (Vec<u64>, f64),
    pub recorded_bytes: u64,
    /// Recordings that cannot write.
    pub recordings_paused: usize,
    pub encoder_failures: u64,
}

/// Who watches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watchers {
    pub webrtc: usize,
    pub rtsp: usize,
}

/// All metrics as text.
///
/// # Errors
/// None that can be caused from outside: a String takes everything.
pub(super) fn render(streams: Vec<StreamNumbers>, watchers: Watchers, brokers: Vec<Report>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("maskline");
    registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    registry.register_collector(Box::new(Streams(streams)));
    registry.register_collector(Box::new(watchers));
    registry.register_collector(Box::new(Brokers::new(brokers)));
    registry.register_collector(Box::new(Process));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

#[derive(Debug)]
struct Streams(Vec<StreamNumbers>);

impl Collector for Streams {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder };
        let all = &self.0;
        families.one("streams", "Streams that there are", None, &gauge(all.len() as f64))?;
        families.many(
            "frames_read",
            "Frames that were taken from the source",
            None,
            counters(all, |v| v.frames.read),
        )?;
        let outcomes = all.iter().flat_map(|s| {
            let frames = s.vitals.frames;
            let outcomes = [("shown", frames.shown), ("replaced", frames.replaced), ("too_old", frames.too_old)];
            outcomes.map(|(outcome, n)| ([stream(s), ("outcome", outcome)], ConstCounter::new(n)))
        });
        families.many("frames", "What became of the frames of a source", None, outcomes)?;
        families.many(
            "frames_inferred",
            "Frames that went through the net",
            None,
            counters(all, |v| v.frames.inferred),
        )?;
        let help = "Pictures with the mark of a lost signal that were shown in the stead of frames";
        families.many("filler_frames", help, None, counters(all, |v| v.frames.filler))?;
        let help = "Connections to the source that were begun";
        families.many("source_connections", help, None, counters(all, |v| v.frames.connections))?;
        let help = "Times that the stream failed and was started anew";
        families.many("stream_failures", help, None, counters(all, |v| v.frames.failures))?;
        let states = all.iter().flat_map(|s| {
            STATES.map(|state| {
                let is = u8::from(s.vitals.state == state);
                ([stream(s), ("state", name(state))], gauge(f64::from(is)))
            })
        });
        families.many(
            "stream_state",
            "1 for the state that the source is in, 0 for the others",
            None,
            states,
        )?;
        let help = "Frames that were shown a second, over the last 10 s";
        families.many(
            "frame_rate",
            help,
            Some(&Unit::Other("hertz".into())),
            gauges(all, |v| Some(v.frames_per_s)),
        )?;
        let help = "Mean time of an inference over the last 10 s";
        families.many(
            "inference",
            help,
            Some(&Unit::Seconds),
            gauges(all, |v| v.inference_ms.map(|ms| ms / 1e3)),
        )?;
        let help = "Time since the newest frame was shown";
        families.many(
            "frame_age",
            help,
            Some(&Unit::Seconds),
            gauges(all, |v| v.age_ms.map(|ms| ms / 1e3)),
        )?;
        let shares = all.iter().flat_map(|s| {
            let shares = s.vitals.shares.iter();
            shares.map(move |now| ([stream(s), ("class", now.class.as_str())], gauge(now.share)))
        });
        families.many(
            "class_share",
            "Share of the newest frame that a class has",
            Some(&Unit::Other("ratio".into())),
            shares,
        )?;
        let bytes = all.iter().map(|s| ([stream(s)], ConstCounter::new(s.recorded_bytes)));
        families.many("recorded", "What was recorded", Some(&Unit::Bytes), bytes)?;
        let help = "Recordings that cannot write, such as on a full disk";
        let paused = all.iter().map(|s| ([stream(s)], gauge(s.recordings_paused as f64)));
        families.many("recordings_paused", help, None, paused)?;
        let help = "Times that an encoder failed and was built anew";
        let failures = all.iter().map(|s| ([stream(s)], ConstCounter::new(s.encoder_failures)));
        families.many("encoder_failures", help, None, failures)?;
        let latencies = all.iter().map(|s| ([stream(s)], Latency(&s.latencies)));
        families.many(
            "latency",
            "Time from the arrival of a frame until it was shown",
            Some(&Unit::Seconds),
            latencies,
        )
    }
}

fn stream(numbers: &StreamNumbers) -> (&'static str, &str) {
    ("stream", &numbers.name)
}

fn name(state: State) -> &'static str {
    match state {
        State::Connecting => "connecting",
        State::Live => "live",
        State::Stalled => "stalled",
        State::Lost => "lost",
    }
}

fn gauge(value: f64) -> ConstGauge<f64> {
    ConstGauge::new(value)
}

type Labelled<'a, M> = ([(&'static str, &'a str); 1], M);

fn counters(all: &[StreamNumbers], count: impl Fn(&Vitals) -> u64) -> impl Iterator<Item = Labelled<'_, ConstCounter<u64>>> {
    all.iter().map(move |s| ([stream(s)], ConstCounter::new(count(&s.vitals))))
}

/// Streams without the number are left out.
fn gauges(all: &[StreamNumbers], value: impl Fn(&Vitals) -> Option<f64>) -> impl Iterator<Item = Labelled<'_, ConstGauge<f64>>> {
    all.iter().filter_map(move |s| Some(([stream(s)], gauge(value(&s.vitals)?))))
}

/// Counts by bucket, and the sum in seconds.
struct Latency<'a>(&'a (Vec<u64>, f64));

impl TypedMetric for Latency<'_> {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency<'_> {
    fn encode(&self, mut encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        let (counts, sum_s) = self.0;
        let ends = BUCKETS_S.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = ends.zip(counts.iter().copied()).collect();
        encoder.encode_histogram::<[(&str, &str); 0]>(*sum_s, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Writes metrics with their description, each name once.
struct Families<'e> {
    encoder: DescriptorEncoder<'e>,
}

impl Families<'_> {
    fn one<M: EncodeMetric>(&mut self, name: &str, help: &str, unit: Option<&Unit>, metric: &M) -> fmt::Result {
        metric.encode(
            self.encoder
                .encode_descriptor(name, &format!("{help}."), unit, metric.metric_type())?,
        )
    }

    fn many<'a, M: EncodeMetric + TypedMetric, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        all: impl Iterator<Item = ([(&'static str, &'a str); N], M)>,
    ) -> fmt::Result
    where
        [(&'static str, &'a str); N]: EncodeLabelSet,
    {
        let mut encoder = self.encoder.encode_descriptor(name, &format!("{help}."), unit, M::TYPE)?;
        for (labels, metric) in all {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Watchers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder };
        families.one("webrtc_sessions", "Browsers that watch by WebRTC", None, &gauge(self.webrtc as f64))?;
        families.one("rtsp_clients", "Clients of the RTSP server", None, &gauge(self.rtsp as f64))
    }
}

/// Brokers by their number in the pipeline file, from 0: an address is no label.
#[derive(Debug)]
struct Brokers(Vec<(String, Report)>);

impl Brokers {
    fn new(reports: Vec<Report>) -> Self {
        Self(
            reports
                .into_iter()
                .enumerate()
                .map(|(number, report)| (number.to_string(), report))
                .collect(),
        )
    }

    fn counters<'a>(&'a self, count: fn(&Report) -> u64) -> impl Iterator<Item = Labelled<'a, ConstCounter<u64>>> {
        let counter = move |(number, report): &'a (String, Report)| ([("broker", number.as_str())], ConstCounter::new(count(report)));
        self.0.iter().map(counter)
    }

    fn gauges(&self, value: fn(&Report) -> f64) -> impl Iterator<Item = Labelled<'_, ConstGauge<f64>>> {
        self.0
            .iter()
            .map(move |(number, report)| ([("broker", number.as_str())], gauge(value(report))))
    }
}

impl Collector for Brokers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder };
        let connected = self.gauges(|r| f64::from(u8::from(r.state.is_connected())));
        families.many("broker_connected", "1 while messages go to the broker", None, connected)?;
        families.many("broker_messages_sent", "Messages for the broker", None, self.counters(|r| r.sent))?;
        let help = "Messages that the broker has acknowledged";
        families.many("broker_messages_acknowledged", help, None, self.counters(|r| r.acknowledged))?;
        let help = "Messages that went to the broker once more, so that they may be there twice";
        families.many("broker_messages_redelivered", help, None, self.counters(|r| r.redelivered))?;
        let help = "Messages that were lost or that the broker will never take";
        let lost = self.counters(|r| r.lost_to_bound + r.lost_to_queue + r.damaged + r.refused);
        families.many("broker_messages_lost", help, None, lost)?;
        let help = "Messages that wait for the broker";
        families.many("broker_messages_waiting", help, None, self.gauges(|r| r.spooled_messages as f64))?;
        let spool = self.gauges(|r| r.spooled_bytes as f64);
        families.many("broker_spool", "Files of the spool", Some(&Unit::Bytes), spool)
    }
}

/// This process, as the kernel counts it; left out where it does not tell.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder };
        let cpu = ConstCounter::new(usage::cpu_seconds());
        families.one("process_cpu", "CPU time of all threads", Some(&Unit::Seconds), &cpu)?;
        let age = gauge(usage::process_start().elapsed().as_secs_f64());
        families.one("process_uptime", "Time since the process was started", Some(&Unit::Seconds), &age)?;
        if let Some(bytes) = usage::memory_bytes() {
            families.one(
                "process_resident_memory",
                "Memory that is resident",
                Some(&Unit::Bytes),
                &gauge(bytes as f64),
            )?;
        }
        if let Some(threads) = usage::threads() {
            families.one("process_threads", "Threads", None, &gauge(threads as f64))?;
        }
        if let Some(files) = usage::open_files() {
            families.one("process_open_files", "Open files, sockets among them", None, &gauge(files as f64))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::pulse::{Pulse, ShownFrame};
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, Instant};

    const WATCHERS: Watchers = Watchers { webrtc: 2, rtsp: 3 };

    fn numbers(name: &str) -> StreamNumbers {
        let pulse = Pulse::default();
        pulse.enter(State::Live, "frames come");
        for ms in [15, 30, 30_000] {
            pulse.read();
            pulse.shown(ShownFrame {
                pts_ns: ms,
                arrived: Instant::now().checked_sub(Duration::from_millis(ms)).unwrap(),
                inference: Duration::from_millis(10),
            });
        }
        pulse.replaced(4);
        pulse.saw(vec![("road".into(), 0.25)], Vec::new());
        StreamNumbers {
            name: name.into(),
            vitals: pulse.vitals(),
            latencies: pulse.latencies(),
            recorded_bytes: 77,
            recordings_paused: 1,
            encoder_failures: 0,
        }
    }

    /// The samples by name and labels, read as strictly as the format is written: every family has its help and its type
    /// before its samples, all samples of a family stand together, no sample is there twice, and the end is marked.
    fn read(page: &str) -> BTreeMap<String, f64> {
        let body = page.strip_suffix("# EOF\n").expect("the end is marked");
        let (mut samples, mut families, mut family, mut kind) = (BTreeMap::new(), BTreeSet::new(), String::new(), String::new());
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let (what, rest) = rest.split_once(' ').expect("two words");
                let (name, text) = rest.split_once(' ').expect("three words");
                match what {
                    "HELP" => {
                        assert!(name.starts_with("maskline_") && families.insert(name.to_owned()), "{line}");
                        assert!(text.ends_with('.'), "{line}");
                        (family, kind) = (name.into(), String::new());
                    }
                    "TYPE" => {
                        assert!(
                            name == family && ["counter", "gauge", "histogram", "info"].contains(&text),
                            "{line}"
                        );
                        kind = text.into();
                    }
                    "UNIT" => assert!(name == family && family.ends_with(&format!("_{text}")), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (key, value) = line.rsplit_once(' ').expect("a name and a value");
            let name = key.split('{').next().unwrap();
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                "info" => &["_info"],
                _ => &[""],
            };
            assert!(
                suffixes.iter().any(|suffix| name == format!("{family}{suffix}")),
                "{line} in {kind} {family}"
            );
            assert!(
                samples.insert(key.to_owned(), value.parse().expect("a number")).is_none(),
                "twice: {line}"
            );
        }
        samples
    }

    #[test]
    fn the_page_says_what_the_stream_does_whatever_its_name() {
        let samples = read(&render(vec![numbers("north"), numbers("a\"b\\c\nd} 7")], WATCHERS, Vec::new()).unwrap());
        for stream in ["north", r#"a\"b\\c\nd} 7"#] {
            for (key, wanted) in [
                (format!(r#"maskline_frames_total{{stream="{stream}",outcome="shown"}}"#), 3.0),
                (format!(r#"maskline_frames_total{{stream="{stream}",outcome="replaced"}}"#), 4.0),
                (format!(r#"maskline_frames_read_total{{stream="{stream}"}}"#), 3.0),
                (format!(r#"maskline_stream_state{{stream="{stream}",state="live"}}"#), 1.0),
                (format!(r#"maskline_stream_state{{stream="{stream}",state="lost"}}"#), 0.0),
                (format!(r#"maskline_inference_seconds{{stream="{stream}"}}"#), 0.01),
                (format!(r#"maskline_class_share_ratio{{stream="{stream}",class="road"}}"#), 0.25),
                (format!(r#"maskline_latency_seconds_count{{stream="{stream}"}}"#), 3.0),
                (format!(r#"maskline_recorded_bytes_total{{stream="{stream}"}}"#), 77.0),
                (format!(r#"maskline_recordings_paused{{stream="{stream}"}}"#), 1.0),
            ] {
                assert_eq!(samples.get(&key), Some(&wanted), "{key} in {samples:#?}");
            }
            // Each bucket counts those below it as well.
            let bucket = |end: &str| samples[&format!(r#"maskline_latency_seconds_bucket{{le="{end}",stream="{stream}"}}"#)];
            assert_eq!(
                (bucket("0.01"), bucket("0.02"), bucket("10.0"), bucket("+Inf")),
                (0.0, 1.0, 2.0, 3.0)
            );
        }
        assert_eq!((samples["maskline_streams"], samples["maskline_webrtc_sessions"]), (2.0, 2.0));
        assert!(samples["maskline_process_resident_memory_bytes"] > 1e6 && samples["maskline_process_threads"] >= 1.0);
        assert!(samples["maskline_process_cpu_seconds_total"] > 0.0 && samples["maskline_process_open_files"] >= 3.0);
    }

    #[test]
    fn without_a_stream_there_is_still_a_page() {
        assert_eq!(read(&render(Vec::new(), WATCHERS, Vec::new()).unwrap())["maskline_streams"], 0.0);
    }
}
