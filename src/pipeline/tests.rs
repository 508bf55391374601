//! Runs of stages that are made up: what a run does when one of them fails, is slow or is silent.

use super::record::{Lines, Paper, Recorder};
use super::wire::{self, Carry, Stages, Temporal};
use crate::error::{Kind, fault, kind_of};
use crate::frame::{ClassMap, Frame, Matrix, OwnedPixels, PixelFormat, Pixels, Range, Tensor, VideoFormat};
use crate::infer::{Buffer, MockSegmenter, Scores, Segmenter, Values};
use crate::messages::MessageOptions;
use crate::overlay::{Overlay, OverlayOptions};
use crate::pending::PendingFile;
use crate::postprocess::Postprocessor;
use crate::preprocess::Preprocessor;
use crate::sink::Sink;
use crate::source::{Opened, Source, StopFlag};
use crate::temporal::{Carrier, Every, Lookout, TemporalOptions};
use crate::testing::Brightness;
use anyhow::Result;
use maskline_models::Fit;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Gives so many frames, counts them, and then does what it is told.
struct Frames {
    format: Arc<VideoFormat>,
    left: u64,
    given: Arc<AtomicU64>,
    then: Box<dyn FnMut() -> Result<Option<Frame>> + Send>,
}

impl Source for Frames {
    fn next(&mut self) -> Result<Option<Frame>> {
        if self.left == 0 {
            return (self.then)();
        }
        self.left -= 1;
        let index = self.given.fetch_add(1, Ordering::SeqCst);
        Ok(Some(Frame {
            index,
            pts_ns: index * 40_000_000,
            duration_ns: None,
            format: self.format.clone(),
            pixels: Box::new(OwnedPixels::black(&self.format, 1)),
            arrived: Instant::now(),
        }))
    }

    fn dropped(&self) -> u64 {
        0
    }
}

/// Remembers what came and whether it was finished.
struct Kept {
    frames: mpsc::Sender<u64>,
    finished: Arc<AtomicBool>,
    each: Box<dyn FnMut() + Send>,
}

impl Sink for Kept {
    fn write(&mut self, frame: Frame) -> Result<()> {
        (self.each)();
        self.frames.send(frame.index).expect("the test still listens");
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.finished.store(true, Ordering::SeqCst);
        Ok(())
    }
}

struct Set {
    stages: Stages,
    came: mpsc::Receiver<u64>,
    finished: Arc<AtomicBool>,
    given: Arc<AtomicU64>,
}

/// Stages for `left` frames; `then` is what the source does afterwards, `net` what the net does, `each` what the sink does.
fn set(
    left: u64,
    then: impl FnMut() -> Result<Option<Frame>> + Send + 'static,
    net: impl FnMut(&Tensor) -> Result<Vec<u8>> + Send + 'static,
    each: impl FnMut() + Send + 'static,
) -> Set {
    let contract = Brightness::default().contract();
    let format = Arc::new(VideoFormat {
        width: 64,
        height: 48,
        pixels: PixelFormat::I420,
        matrix: Matrix::Bt601,
        range: Range::Limited,
        rate: None,
        pixel_aspect: (1, 1),
    });
    let fit = Fit::plan(&contract.input, 64, 48, None).unwrap();
    let (frames, came) = mpsc::channel();
    let (finished, given) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let source = Frames {
        format: format.clone(),
        left,
        given: given.clone(),
        then: Box::new(then),
    };
    let head = &contract.heads[0];
    let stages = Stages {
        source: Opened {
            format: format.clone(),
            frames: Box::new(source),
            packets: Vec::new(),
            frames_total: None,
            duration_ns: None,
            description: String::new(),
            notes: Vec::new(),
        },
        temporal: None,
        preprocess: Preprocessor::new(&contract.input, &fit, &format).unwrap(),
        model: "net.onnx".into(),
        segmenters: vec![Box::new(MockSegmenter(net))],
        turns: None,
        postprocess: Postprocessor::new(head, &fit),
        record: Recorder {
            classes: Arc::new(head.classes.clone()),
            masks: None,
            class_video: None,
            json: None,
            zones: None,
            on_classes: None,
            on_event: None,
            hosting: None,
            seen: 0,
        },
        classes: Arc::new(head.classes.clone()),
        overlay: Some(Overlay::new(&head.classes, &format, OverlayOptions::default()).unwrap()),
        sheet: None,
        sink: Box::new(Kept {
            frames,
            finished: finished.clone(),
            each: Box::new(each),
        }),
        live: false,
        hosting: None,
        source_grace: Duration::from_millis(50),
    };
    Set {
        stages,
        came,
        finished,
        given,
    }
}

fn dark(tensor: &Tensor) -> Result<Vec<u8>> {
    Ok(vec![0; tensor.values.len() / 3])
}

fn end() -> Result<Option<Frame>> {
    Ok(None)
}

#[test]
fn every_frame_arrives_in_order_and_the_output_is_finished() {
    let set = set(100, end, dark, || {});
    let done = wire::run(set.stages, StopFlag::default(), |_| {}).unwrap();
    assert_eq!(set.came.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert!(set.finished.load(Ordering::SeqCst));
    assert_eq!(done.counts.written, 100);
}

#[test]
fn several_sessions_keep_the_order() {
    let mut set = set(100, end, dark, || {});
    for pause in [50, 5] {
        set.stages.segmenters.push(Box::new(MockSegmenter(move |tensor: &Tensor| {
            (0..pause).for_each(|_| std::thread::yield_now());
            dark(tensor)
        })));
    }
    let done = wire::run(set.stages, StopFlag::default(), |_| {}).unwrap();
    assert_eq!(set.came.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert!(set.finished.load(Ordering::SeqCst));
    let infer = done.stages.iter().find(|s| s.stage == "infer").unwrap();
    assert_eq!((infer.frames, infer.threads), (100, 3));
}

/// Carries class maps in a set.
fn carry(set: &mut Set, options: &TemporalOptions) {
    set.stages.temporal = Some(Temporal {
        lookout: Lookout::new(options, &set.stages.source.format).unwrap(),
        carry: Some(Carry {
            carrier: Carrier::new(options, &set.stages.source.format, &[]).unwrap(),
            frames_live: 3,
            frames_around: options.frames_around(&set.stages.source.format),
        }),
    });
}

/// Counts the frames since it last forgot, and writes the counts down.
struct Memory {
    count: u8,
    told: Arc<Mutex<Vec<u8>>>,
}

impl Segmenter for Memory {
    fn infer(&mut self, _: &Tensor) -> Result<Scores> {
        self.count += 1;
        self.told.lock().unwrap().push(self.count);
        Ok(Scores {
            width: 64,
            height: 48,
            values: Values::U8(Buffer::from(vec![0; 64 * 48])),
            confidence: None,
        })
    }

    fn reset(&mut self) -> Result<()> {
        self.count = 0;
        Ok(())
    }

    fn provider(&self) -> &str {
        "mock"
    }
}

#[test]
fn a_net_that_remembers_sees_every_frame_and_forgets_at_a_cut_and_after_a_gap() {
    let mut next = 0;
    let mut set = set(0, end, dark, || {});
    let format = set.stages.source.format.clone();
    let source = Frames {
        format: format.clone(),
        left: 0,
        given: set.given.clone(),
        then: Box::new(move || {
            let mut pixels = OwnedPixels::black(&format, 1);
            if next >= 5 {
                pixels.plane_mut(0).fill(200); // another scene
            }
            let outage = if next >= 8 { 3_000_000_000 } else { 0 };
            next += 1;
            Ok((next <= 12).then(|| Frame {
                index: next - 1,
                pts_ns: (next - 1) * 40_000_000 + outage,
                duration_ns: None,
                format: format.clone(),
                pixels: Box::new(pixels),
                arrived: Instant::now(),
            }))
        }),
    };
    set.stages.source.frames = Box::new(source);
    let told = Arc::default();
    set.stages.segmenters = vec![Box::new(Memory {
        count: 100,
        told: Arc::clone(&told),
    })];
    set.stages.temporal = Some(Temporal {
        lookout: Lookout::new(&TemporalOptions::default(), &set.stages.source.format).unwrap(),
        carry: None,
    });
    let done = wire::run(set.stages, StopFlag::default(), |_| {}).unwrap();
    assert_eq!(*told.lock().unwrap(), [1, 2, 3, 4, 5, 1, 2, 3, 1, 2, 3, 4]);
    assert!(done.temporal.is_none() && done.counts.inferred == 12, "nothing is carried");
}

#[test]
fn the_net_runs_on_some_frames_only_and_every_frame_arrives_in_order_with_a_map() {
    for lookahead in [false, true] {
        for every in [Every::Frames(4), Every::Frames(24), Every::Auto] {
            let mut set = set(98, end, dark, || {});
            set.stages.segmenters.push(Box::new(MockSegmenter(dark)));
            let maps = Arc::new(AtomicU64::new(0));
            let counted = maps.clone();
            set.stages.record.on_classes = Some(Box::new(move |frame| {
                assert_eq!((frame.map.ids.len(), frame.shares()[0].1), (64 * 48, 1.0), "frame {}", frame.index);
                counted.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }));
            let options = TemporalOptions {
                every,
                lookahead,
                ..TemporalOptions::default()
            };
            carry(&mut set, &options);
            let done = wire::run(set.stages, StopFlag::default(), |_| {}).unwrap();
            assert_eq!(set.came.iter().collect::<Vec<_>>(), (0..98).collect::<Vec<_>>());
            let inferred = match every {
                Every::Frames(n) => 98_u64.div_ceil(n.into()),
                Every::Auto => 5, // nothing moves: the oldest map is 24 frames old
            };
            assert_eq!((done.counts.written, done.counts.inferred), (98, inferred), "{every:?}");
            assert_eq!((maps.load(Ordering::SeqCst), done.temporal.unwrap().keys.due), (98, inferred));
        }
    }
}

#[test]
fn a_net_that_fails_between_carried_frames_ends_the_run() {
    let mut calls = 0;
    let net = move |tensor: &Tensor| {
        calls += 1;
        if calls == 3 {
            Err(fault(Kind::Temporary, "out of memory"))
        } else {
            dark(tensor)
        }
    };
    let mut set = set(u64::MAX, end, net, || {});
    let options = TemporalOptions {
        every: Every::Frames(5),
        ..TemporalOptions::default()
    };
    carry(&mut set, &options);
    let error = wire::run(set.stages, StopFlag::default(), |_| {}).err().expect("the net failed");
    assert!(error.to_string().contains("out of memory"), "{error}");
    assert!(!set.finished.load(Ordering::SeqCst));
}

#[test]
fn one_session_of_several_that_fails_ends_the_run() {
    let mut set = set(u64::MAX, end, dark, || {});
    let broken = |_: &Tensor| Err(fault(Kind::Temporary, "out of memory"));
    set.stages.segmenters.push(Box::new(MockSegmenter(broken)));
    let error = wire::run(set.stages, StopFlag::default(), |_| {}).err().unwrap();
    assert!(error.to_string().contains("out of memory"), "{error}");
    assert!(!set.finished.load(Ordering::SeqCst));
}

#[test]
fn a_net_that_fails_ends_the_run_with_its_own_words_and_the_output_is_abandoned() {
    let mut count = 0;
    let net = move |tensor: &Tensor| {
        count += 1;
        if count == 10 {
            return Err(fault(Kind::Temporary, "the card has no memory left"));
        }
        dark(tensor)
    };
    // The source would go on for ever.
    let set = set(u64::MAX, end, net, || {});
    let error = wire::run(set.stages, StopFlag::default(), |_| {}).err().unwrap();
    let line = error.to_string();
    assert!(
        line.starts_with("frame 9: net.onnx failed on mock: the card has no memory left; "),
        "{line}"
    );
    assert_eq!(kind_of(&error), Kind::Temporary);
    assert!(set.came.iter().count() <= 9);
    assert!(!set.finished.load(Ordering::SeqCst));
}

#[test]
fn a_stage_that_panics_is_named() {
    let set = set(5, end, |_: &Tensor| panic!("index out of bounds"), || {});
    let error = wire::run(set.stages, StopFlag::default(), |_| {}).err().unwrap().to_string();
    assert!(error.starts_with("the infer stage broke down: index out of bounds"), "{error}");
    assert!(!set.finished.load(Ordering::SeqCst));
}

#[test]
fn a_source_that_fails_abandons_the_output_even_though_all_its_frames_came_through() {
    let set = set(3, || Err(fault(Kind::BadInput, "the file is cut off")), dark, || {});
    let error = wire::run(set.stages, StopFlag::default(), |_| {}).err().unwrap();
    assert_eq!(error.to_string(), "the file is cut off");
    assert!(!set.finished.load(Ordering::SeqCst));
}

#[test]
fn an_input_without_a_frame_is_bad_input() {
    let set = set(0, end, dark, || {});
    let error = wire::run(set.stages, StopFlag::default(), |_| {}).err().unwrap();
    assert_eq!(crate::error::kind_of(&error), Kind::BadInput);
}

#[test]
fn a_run_that_is_stopped_before_its_first_frame_writes_nothing() {
    let mut set = set(0, end, dark, || {});
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("frames.jsonl");
    std::fs::write(&old, "old").unwrap();
    let file = PendingFile::create(&old).unwrap();
    set.stages.record.json = Some(Lines::new(Paper::File(file), MessageOptions::default()));
    let stop = StopFlag::default();
    stop.request();
    let error = wire::run(set.stages, stop, |_| {}).err().unwrap();
    assert_eq!(kind_of(&error), Kind::Interrupted);
    assert!(!set.finished.load(Ordering::SeqCst));
    assert_eq!(std::fs::read(&old).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_silent_source_cannot_hold_a_run_that_was_stopped_and_what_came_before_is_finished() {
    let (never, silence) = mpsc::channel::<()>();
    let silent = move || {
        let _ = silence.recv();
        Ok(None)
    };
    let set = set(3, silent, dark, || {});
    let stop = StopFlag::default();
    let later = stop.clone();
    let run = std::thread::spawn(move || {
        wire::run(set.stages, stop, move |done| {
            if done == 3 {
                later.request();
            }
        })
    });
    run.join().unwrap().unwrap();
    assert_eq!(set.came.iter().count(), 3);
    assert!(set.finished.load(Ordering::SeqCst));
    drop(never);
}

#[test]
fn a_slow_sink_makes_the_source_wait() {
    let gate = Arc::new(Barrier::new(2));
    let inside = gate.clone();
    let mut first = true;
    let hold = move || {
        if std::mem::take(&mut first) {
            inside.wait(); // the first frame is here and waits
            inside.wait(); // until the test has counted
        }
    };
    let set = set(1000, end, dark, hold);
    let given = set.given.clone();
    let run = std::thread::spawn(move || wire::run(set.stages, StopFlag::default(), |_| {}));
    gate.wait();
    // Six stages with one frame in hand and two before each of five: the source can never have given more.
    let bound = 6 + 5 * 2;
    while given.load(Ordering::SeqCst) < bound {
        std::thread::yield_now();
    }
    for _ in 0..10_000 {
        std::thread::yield_now();
    }
    assert_eq!(given.load(Ordering::SeqCst), bound);
    gate.wait();
    run.join().unwrap().unwrap();
    assert_eq!(set.came.iter().count(), 1000);
}

#[test]
fn what_an_embedding_program_refuses_ends_the_run() {
    let mut set = set(u64::MAX, end, dark, || {});
    set.stages.record.on_classes = Some(Box::new(|frame| {
        let map: &ClassMap = frame.map;
        assert_eq!(map.ids.len(), 64 * 48);
        if frame.index == 4 {
            Err(fault(Kind::Io, "the database is gone"))
        } else {
            Ok(())
        }
    }));
    let error = wire::run(set.stages, StopFlag::default(), |_| {}).err().unwrap();
    assert_eq!(error.to_string(), "the database is gone");
}
