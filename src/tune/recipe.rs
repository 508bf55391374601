//! The pipeline file that is recommended.

use super::net::Net;
use super::point::Point;
use super::{Order, split};
use crate::bench::Machine;
use crate::error::{Kind, WithKind};
use crate::infer::Provider;
use crate::temporal::Every;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a pipeline file is made of.
pub(super) struct Facts<'a> {
    pub order: &'a Order,
    pub machine: &'a Machine,
    pub net: &'a Net,
    /// The reference in words.
    pub reference: &'a str,
    pub frames: u64,
    pub lookahead: bool,
    pub point: &'a Point,
}

/// The folder that paths in the file count from.
pub(super) fn folder(order: &Order) -> &Path {
    order.output.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
}

/// The file's text. Clip and model are named by their whole paths, outputs lie beside the file.
///
/// # Errors
/// Kind 74 if there is no current folder.
pub(super) fn write(facts: &Facts<'_>) -> Result<String> {
    let Facts { order, net, point, .. } = facts;
    let setup = &point.setup;
    let clip = absolute(&order.clip)?;
    let (video, report) = outputs(order, &clip);
    let model = match net.origin.strip_prefix("builtin:") {
        Some(name) => format!("name = {}", quoted(name)),
        None => format!("file = {}", quoted(&absolute(&net.origin)?.to_string_lossy())),
    };
    let mut text = comments(facts, order.output.as_deref());
    let mut add = |line: &str| {
        text += line;
        text += "\n";
    };
    add("\n[source]");
    add(&format!("input = {}", quoted(&clip.to_string_lossy())));
    add("\n[model]");
    add(&format!("{model} # {}, {}", plain(&net.name), net.precision));
    add(&format!("size = \"{}x{}\"", setup.size.0, setup.size.1));
    add("\n[execution]");
    add(&format!("provider = \"{}\"", setup.provider));
    add(&format!("sessions = {} # of the net, which take frames in turn", setup.sessions));
    if !matches!(setup.provider, Provider::Cuda | Provider::TensorRt) {
        add(&format!("threads = {} # over all sessions", setup.threads));
    }
    add("\n[temporal]");
    match point.every {
        Every::Frames(1) => add("every = 1 # the net on every frame"),
        Every::Frames(n) => add(&format!(
            "every = {n} # the net on every so many frames; between, maps follow the motion"
        )),
        Every::Auto => add("every = \"auto\" # as often as scene and motion ask for it; between, maps follow the motion"),
    }
    if point.every != Every::Frames(1) {
        let why = if facts.lookahead {
            "better maps, a longer way"
        } else {
            "a shorter way"
        };
        add(&format!("lookahead = {} # {why}", facts.lookahead));
    }
    add("\n[output]");
    add(&format!("video = {}", quoted(&video)));
    add(&format!("report = {}", quoted(&report)));
    add("overwrite = true # a finished run replaces the files of the one before");
    Ok(text)
}

/// What was measured, where, and how to run the file.
fn comments(facts: &Facts<'_>, path: Option<&Path>) -> String {
    let point = facts.point;
    let latency = point
        .latency_p95_ms
        .map_or(String::new(), |ms| format!(", latency (p95) {ms:.0} ms"));
    let miou = point.miou.map_or(String::new(), |miou| format!(", mIoU {:.1} %", 100.0 * miou));
    let mut text = format!("# Recommended by maskline {} tune.\n", env!("CARGO_PKG_VERSION"));
    let mut add = |line: String| writeln!(text, "# {}", plain(&line)).expect("a text takes everything");
    add(format!(
        "Measured on {}, {} sessions x threads,",
        facts.machine,
        split(point.setup.sessions, point.setup.threads)
    ));
    add(format!(
        "with the first {} frames of the clip: {:.1} frames/s{latency},",
        facts.frames, point.frames_per_s
    ));
    add(format!(
        "agreement {:.1} %{miou} (with {} and every frame inferred).",
        100.0 * point.agreement,
        facts.reference
    ));
    if let Some(path) = path {
        add(format!("Run it: maskline run {}", path.display()));
    }
    add("Relative paths count from the folder of this file. Flags override what stands here.".into());
    text
}

/// Names of masked video and report, beside the file; the clip itself is not written over.
fn outputs(order: &Order, clip: &Path) -> (String, String) {
    let stem = order
        .output
        .as_deref()
        .and_then(Path::file_stem)
        .map_or("tuned".into(), |s| s.to_string_lossy());
    let mut video = format!("{stem}-masked.mp4");
    if std::path::absolute(folder(order).join(&video)).is_ok_and(|path| path == clip) {
        video = format!("{stem}-masked-again.mp4");
    }
    (video, format!("{stem}-report.json"))
}

fn absolute(path: &str) -> Result<PathBuf> {
    let whole = std::path::absolute(path).with_context(|| format!("cannot find out where {path} is"));
    whole.kind(Kind::Io)
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A text for a comment: nothing in it ends the line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, OnExisting, PipelineConfig};
    use crate::testing::Brightness;
    use crate::tune::point::Setup;
    use crate::tune::wish::Wish;
    use maskline_models::Model;
    use std::borrow::Cow;

    fn order(clip: &str, output: &str) -> Order {
        Order {
            clip: clip.into(),
            models: Vec::new(),
            wish: Wish::default(),
            labels: None,
            providers: Vec::new(),
            sizes: Vec::new(),
            every: Vec::new(),
            threads: Vec::new(),
            sessions: Vec::new(),
            frames: 10,
            output: Some(output.into()),
        }
    }

    fn written(order: &Order, origin: &str, every: Every, lookahead: bool) -> (String, PipelineConfig) {
        let mut model = Model::from_bytes(origin.into(), Cow::Owned(Brightness::default().onnx()), None).unwrap();
        model.contract.name = "bright\n[output]\nvideo = \"/etc/passwd\"".into();
        let machine = Machine {
            cpu: "Some \"CPU\"".into(),
            cores: 2,
            load: None,
            onnxruntime: "1.31.1".into(),
        };
        let point = Point {
            setup: Setup {
                net: 0,
                provider: Provider::Cpu,
                size: (64, 48),
                sessions: 2,
                threads: 4,
            },
            every,
            frames_per_s: 25.5,
            latency_p95_ms: Some(80.0),
            agreement: 0.972,
            miou: Some(0.5),
            confirmed: true,
        };
        let text = write(&Facts {
            order,
            machine: &machine,
            net: &Net::new(ModelConfig::default(), &model).unwrap(),
            reference: "unet-road at 544x320",
            frames: 10,
            lookahead,
            point: &point,
        })
        .unwrap();
        let config = PipelineConfig::parse(&text, folder(order)).unwrap_or_else(|p| panic!("{p:?} in {text}"));
        (text, config)
    }

    #[test]
    fn what_is_written_reads_back_whatever_things_are_called() {
        let clip = "/a b/\"it's\" \\ 10 %\n[source]\n'''.mp4";
        let (text, config) = written(&order(clip, "/out/my tuned.toml"), "/nets/n\"1\n.onnx", Every::Frames(4), true);
        assert_eq!(config.source.input, clip);
        assert_eq!(config.source.frames, None);
        assert_eq!(config.model.name.as_deref(), Some("/nets/n\"1\n.onnx"));
        assert_eq!(config.model.size, Some((64, 48)));
        assert_eq!(
            (config.session.provider, config.session.sessions, config.session.threads),
            (Provider::Cpu, Some(2), Some(4))
        );
        assert_eq!((config.temporal.every, config.temporal.lookahead), (Every::Frames(4), true));
        assert_eq!(config.output.video.as_deref(), Some(Path::new("/out/my tuned-masked.mp4")));
        assert_eq!(config.output.report.as_deref(), Some(Path::new("/out/my tuned-report.json")));
        assert_eq!(config.output.existing, OnExisting::Replace);
        for part in [
            "Some \"CPU\", 2 cores",
            "25.5 frames/s",
            "latency (p95) 80 ms",
            "97.2 %",
            "mIoU 50.0 %",
            "first 10 frames",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_built_in_net_is_named_and_what_has_nothing_to_act_on_is_left_out() {
        let (text, config) = written(&order("/a.mp4", "t.toml"), "builtin:unet-road", Every::Frames(1), false);
        assert_eq!(config.model.name.as_deref(), Some("unet-road"));
        assert!(!text.contains("lookahead"), "{text}");
        let (_, config) = written(&order("/a.mp4", "t.toml"), "builtin:unet-road", Every::Auto, false);
        assert_eq!((config.temporal.every, config.temporal.lookahead), (Every::Auto, false));
    }

    #[test]
    fn the_clip_is_not_its_own_output() {
        let (_, config) = written(&order("/a/t-masked.mp4", "/a/t.toml"), "builtin:x", Every::Auto, true);
        assert_eq!(config.output.video.as_deref(), Some(Path::new("/a/t-masked-again.mp4")));
    }
}
