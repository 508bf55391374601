//! What this machine has and lacks, and the line that mends it.

use crate::infer::runtime::{Runtime, runtime};
use crate::infer::{OnnxSegmenter, Provider, SessionOptions};
use crate::media::inventory;
use crate::testing::Brightness;
use maskline_models::{Fit, Model, builtin};
use std::borrow::Cow;
use std::fmt;

/// Elements without which no video is read, masked and written as MP4.
const NEEDED: [&str; 13] = [
    "filesrc",
    "decodebin",
    "parsebin",
    "capsfilter",
    "videoconvert",
    "videoscale",
    "videoflip",
    "appsink",
    "appsrc",
    "avdec_h264",
    "x264enc",
    "mp4mux",
    "filesink",
];

/// Elements for other inputs and outputs.
const USEFUL: [&str; 23] = [
    "avdec_h265",
    "avdec_mpeg2video",
    "avdec_mpeg4",
    "vp9dec",
    "pngdec",
    "jpegdec",
    "videotestsrc",
    "aacparse",
    "matroskamux",
    "webmmux",
    "vp9enc",
    "rtspsrc",
    "souphttpsrc",
    "hlsdemux",
    "srtsrc",
    "udpsrc",
    "v4l2src",
    "h264parse",
    "avenc_ffv1",
    "mpegtsmux",
    "flvmux",
    "rtmp2sink",
    "srtsink",
];

/// How one finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    /// Nothing works without it.
    Missing,
    /// Something that nobody may want does not work.
    Absent,
}

/// One line of the report.
#[derive(Debug, Clone)]
struct Finding {
    state: State,
    what: String,
    text: String,
}

/// The findings; prints as what `maskline doctor` shows, one line each.
#[derive(Debug, Clone, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Whether a video can be segmented on this machine with the CPU.
    pub fn cpu_path_works(&self) -> bool {
        self.findings.iter().all(|f| f.state != State::Missing)
    }

    fn add(&mut self, state: State, what: impl Into<String>, text: impl fmt::Display) {
        self.findings.push(Finding {
            state,
            what: what.into(),
            text: text.to_string(),
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.findings.iter().map(|f| f.what.len()).max().unwrap_or(0);
        for finding in &self.findings {
            let mark = match finding.state {
                State::Fine => "ok     ",
                State::Missing => "MISSING",
                State::Absent => "-      ",
            };
            writeln!(f, "{mark} {:width$}  {}", finding.what, finding.text)?;
        }
        let verdict = if self.cpu_path_works() {
            "Ready: videos can be segmented on this machine."
        } else {
            "Not ready: mend what is MISSING, or let scripts/install do it."
        };
        write!(f, "{verdict}")
    }
}

/// Looks at everything that a run needs. Providers are tried with a tiny net.
pub fn report() -> Report {
    let mut report = Report::default();
    gstreamer(&mut report);
    match runtime() {
        Ok(runtime) => {
            let text = format!("{} at {}", runtime.version, runtime.path.display());
            report.add(State::Fine, "ONNX Runtime", text);
            Provider::ORDER.iter().rev().for_each(|p| provider(&mut report, runtime, *p));
        }
        Err(error) => report.add(State::Missing, "ONNX Runtime", format!("{error:#}")),
    }
    match opencv::core::get_version_string() {
        Ok(version) => report.add(State::Fine, "OpenCV", version),
        Err(error) => report.add(State::Missing, "OpenCV", format!("{error}: apt install libopencv-dev")),
    }
    report.add(State::Fine, "CPU", cpu());
    let models = builtin::names();
    if models.is_empty() {
        report.add(State::Absent, "built-in models", "none in this build: name one with --model");
    } else {
        report.add(State::Fine, "built-in models", models.join(", "));
    }
    report
}

fn gstreamer(report: &mut Report) {
    match inventory::version() {
        Ok(version) => report.add(State::Fine, "GStreamer", version),
        Err(error) => return report.add(State::Missing, "GStreamer", format!("{error:#}")),
    }
    for (names, absent) in [(&NEEDED[..], State::Missing), (&USEFUL[..], State::Absent)] {
        for found in inventory::look_up(names) {
            match found.plugin {
                Some(plugin) => report.add(State::Fine, format!("  {}", found.name), plugin),
                None => report.add(absent, format!("  {}", found.name), format!("apt install {}", found.package)),
            }
        }
    }
}

fn provider(report: &mut Report, runtime: &Runtime, provider: Provider) {
    let failed = if provider == Provider::Cpu { State::Missing } else { State::Absent };
    match try_provider(provider) {
        Ok(()) => report.add(State::Fine, format!("  {provider}"), "serves"),
        Err(error) => {
            let text = format!("{error:#}");
            // The report names the runtime already.
            let text = text.replace(&format!(" {} at {}", runtime.version, runtime.path.display()), "");
            let text = text.trim_start_matches(&format!("{NET} cannot run on {provider}: "));
            report.add(failed, format!("  {provider}"), text);
        }
    }
}

/// What errors call the net that providers are tried with.
const NET: &str = "a tiny net";

fn try_provider(provider: Provider) -> anyhow::Result<()> {
    let net = Brightness::default();
    let model = Model::from_bytes(NET.into(), Cow::Owned(net.onnx()), None)?;
    let fit = Fit::plan(&model.contract.input, 64, 48, None).map_err(anyhow::Error::msg)?;
    let options = SessionOptions {
        provider,
        ..SessionOptions::default()
    };
    OnnxSegmenter::open(&model, None, fit, &options).map(drop)
}

fn cpu() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores usable, {}", features())
}

#[cfg(target_arch = "x86_64")]
fn features() -> String {
    let found: Vec<_> = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("AVX-512", is_x86_feature_detected!("avx512f")),
        ("VNNI", is_x86_feature_detected!("avx512vnni")),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect();
    if found.is_empty() {
        "x86-64 without AVX2: expect it to be slow".into()
    } else {
        format!("x86-64 with {}", found.join(", "))
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> String {
    std::env::consts::ARCH.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_one_line_and_what_is_missing_decides() {
        let mut report = Report::default();
        report.add(State::Fine, "OpenCV", "4.6.0");
        report.add(State::Absent, "  cuda", "pip install onnxruntime-gpu");
        assert!(report.cpu_path_works());
        assert_eq!(report.to_string().lines().count(), 3);
        report.add(State::Missing, "  x264enc", "apt install gstreamer1.0-plugins-ugly");
        assert!(!report.cpu_path_works());
        let text = report.to_string();
        assert!(
            text.contains("MISSING   x264enc  apt install gstreamer1.0-plugins-ugly\nNot ready"),
            "{text}"
        );
    }

    #[test]
    fn the_report_of_this_machine_names_every_part() {
        let text = report().to_string();
        for part in ["GStreamer", "decodebin", "ONNX Runtime", "tensorrt", "cpu", "OpenCV", "cores"] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }
}
