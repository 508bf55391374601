//! The choice of net, provider, size, threads, sessions and interval for what is wanted of a clip on this machine.
//!
//! The first float net, at its natural size on the CPU and with every frame inferred, is the reference. Then every way of
//! running is run on the clip, as `maskline run` would do it, in three stages: the best split of threads and sessions for
//! each net, provider and size; every interval for each of those, less what is clearly pointless; and the pipeline that is
//! recommended, once more, by which it stands or falls.

mod lab;
mod net;
mod plot;
pub mod point;
mod recipe;
mod report;
mod search;
mod stall;
mod table;
mod truth;
mod verdict;
pub mod wish;

pub use net::Net;
pub use plot::plot;
pub use report::report;
pub use verdict::Verdict;

use crate::bench::{ClipUsed, Machine};
use crate::infer::Provider;
use crate::source::StopFlag;
use crate::temporal::Every;
use anyhow::Result;
use point::Point;
use std::path::PathBuf;
use wish::{Aim, Limits, Wish};

/// What shall be searched, and for what.
#[derive(Debug, Clone)]
pub struct Order {
    /// A video, a folder of pictures or a numbered sequence.
    pub clip: String,
    /// Built-in models or ONNX files; none for the default one.
    pub models: Vec<String>,
    /// What is wanted.
    pub wish: Wish,
    /// Folder with one label a frame.
    pub labels: Option<PathBuf>,
    /// What runs the nets: all of these, or an error. None for whatever is there.
    pub providers: Vec<Provider>,
    /// Sizes of the nets; none for the natural one and two smaller ones.
    pub sizes: Vec<(u32, u32)>,
    /// How often the nets run.
    pub every: Vec<Every>,
    /// Threads over all sessions; none for one a core.
    pub threads: Vec<usize>,
    /// Sessions side by side; none for what the cores can be divided by.
    pub sessions: Vec<usize>,
    /// Frames of the clip in every run, from its start.
    pub frames: u64,
    /// The pipeline file that will be written, by which its paths are relative.
    pub output: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Tuned {
    /// Where.
    pub machine: Machine,
    /// On what.
    pub clip: ClipUsed,
    /// Frames of every run.
    pub frames: u64,
    /// What was compared.
    pub nets: Vec<Net>,
    /// Which of them the others are held against, and at which size.
    pub reference: (usize, (u32, u32)),
    /// Mean IoU (0-1) of the reference, where there are labels.
    pub reference_miou: Option<f64>,
    /// What was wanted.
    pub wish: Wish,
    /// The same in figures.
    pub limits: Limits,
    /// What counted as fast.
    pub aim: Aim,
    /// Everything that was measured.
    pub points: Vec<Point>,
    /// Which of them no other dominates.
    pub frontier: Vec<bool>,
    /// What comes of it.
    pub verdict: Verdict,
    /// What was left out and why, one line each.
    pub notes: Vec<String>,
}

/// Searches. `say` hears what has been done and how long the rest may take.
///
/// # Errors
/// One line with its kind, as a run would give it; kind 130 if somebody asked to stop.
pub fn run(order: &Order, stop: &StopFlag, say: &mut dyn FnMut(&str)) -> Result<Tuned> {
    search::Search::open(order, stop, say)?.run()
}

impl Tuned {
    /// A way of running in a few words.
    pub fn describe(&self, point: &Point) -> String {
        let setup = &point.setup;
        let net = &self.nets[setup.net];
        let (width, height) = setup.size;
        format!(
            "{} {} at {width}x{height} on {}, {}, every {}",
            net.name,
            net.precision,
            setup.provider,
            split(setup.sessions, setup.threads),
            point.every
        )
    }

    /// What the second objective is called.
    pub fn quality_name(&self) -> &'static str {
        if self.reference_miou.is_some() { "mIoU" } else { "agreement" }
    }
}

/// Sessions and threads as people read them.
fn split(sessions: usize, threads: usize) -> String {
    format!("{sessions} x {}", threads.div_ceil(sessions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Brightness;
    use maskline_models::Model;
    use point::{Barrier, Setup, Shortfall};
    use std::borrow::Cow;
    use wish::{Floor, Goal};

    /// A search with invented figures: two sizes of one net, every frame and every fourth.
    pub(super) fn tuned() -> Tuned {
        let model = Model::from_bytes("net.onnx".into(), Cow::Owned(Brightness::default().onnx()), None).unwrap();
        let net = Net::new(crate::config::ModelConfig::default(), &model).unwrap();
        let point = |size, every, frames_per_s, agreement| Point {
            setup: Setup {
                net: 0,
                provider: Provider::Cpu,
                size,
                sessions: 2,
                threads: 4,
            },
            every: Every::Frames(every),
            frames_per_s,
            latency_p95_ms: None,
            agreement,
            miou: None,
            confirmed: false,
        };
        let points = vec![
            point((64, 48), 1, 10.0, 1.0),
            point((32, 24), 1, 20.0, 0.8),
            point((64, 48), 4, 30.0, 0.95),
            point((32, 24), 4, 60.0, 0.75),
        ];
        let wish = Wish {
            goal: Some(Goal::FramesPerS(25.0)),
            floor: Some(Floor::Agreement(0.9)),
        };
        let limits = Limits {
            goal: wish.goal,
            floor: Some(0.9),
        };
        Tuned {
            machine: Machine {
                cpu: "Some CPU".into(),
                cores: 4,
                load: Some(0.1),
                onnxruntime: "1.31.1".into(),
            },
            clip: ClipUsed {
                name: Some("a/drive.mp4".into()),
                description: "H.264 640x480".into(),
                width: 640,
                height: 480,
            },
            frames: 90,
            nets: vec![net],
            reference: (0, (64, 48)),
            reference_miou: None,
            wish,
            limits,
            aim: wish.aim(),
            frontier: point::frontier(&points, Aim::Rate),
            points,
            verdict: Verdict::Recommended {
                point: 2,
                pipeline: "# a pipeline\n".into(),
            },
            notes: vec!["openvino is not there".into()],
        }
    }

    #[test]
    fn the_table_has_a_row_a_point_and_marks_frontier_and_recommendation() {
        let text = tuned().to_string();
        let rows: Vec<_> = text.lines().filter(|l| l.contains("f32")).collect();
        assert_eq!(rows.len(), 5, "four points and the recommendation: {text}");
        assert!(
            rows[0].starts_with(" *") && rows[0].contains("60.0") && rows[0].ends_with("75.00"),
            "{text}"
        );
        assert!(rows[1].starts_with(">*") && rows[1].contains("2 x 2"), "{text}");
        assert!(rows[2].starts_with("  ") && rows[2].contains("32x24"), "{text}");
        assert!(rows[3].starts_with(" *") && rows[3].ends_with("100.00"), "{text}");
        assert!(
            text.contains("Some CPU, 4 cores") && text.contains("agreement with brightness at 64x48"),
            "{text}"
        );
    }

    #[test]
    fn an_impossible_wish_is_one_line_with_the_nearest_and_the_remedy() {
        let mut tuned = tuned();
        let line = |tuned: &Tuned, barrier| tuned.shortfall(&Shortfall { nearest: 2, barrier });
        let both = line(&tuned, Barrier::Both { fast: 3 });
        for part in [
            "at least 25 frames/s with an agreement of at least 90.0 %",
            "what is fast enough has an agreement of 75.0 % at most",
            "nearest is brightness f32 at 64x48 on cpu, 2 x 2, every 4: 30.0 frames/s, agreement 95.0 %",
            "maskline-training quantize",
        ] {
            assert!(both.contains(part), "{part} in {both}");
        }
        assert!(!both.contains('\n'));
        assert!(line(&tuned, Barrier::Speed).contains("the speed stands in the way"));
        assert!(line(&tuned, Barrier::Quality).contains("--every 1"));
        tuned.nets[0].precision = maskline_models::Precision::Int8;
        assert!(!line(&tuned, Barrier::Speed).contains("quantize"), "there is an int8 file already");
    }

    #[test]
    fn json_has_what_the_table_has() {
        let tuned = tuned();
        let json = serde_json::to_value(report(&tuned)).unwrap();
        assert_eq!(json["points"].as_array().unwrap().len(), 4);
        assert_eq!((&json["recommended"], &json["points"][2]["every"]), (&2.into(), &"4".into()));
        assert_eq!(json["wanted"]["speed"]["frames_per_s"], 25.0);
        assert_eq!(json["wanted"]["quality"]["agreement"], 0.9);
        assert_eq!(json["shortfall"], serde_json::Value::Null);
        assert_eq!(
            (&json["models"][0]["precision"], &json["points"][1]["frontier"]),
            (&"f32".into(), &false.into())
        );
    }
}
