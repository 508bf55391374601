use super::*;
use crate::publish::scene::{self, BLUE, ORANGE, Stage};
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Lets every picture of a test pass.
const EVERY: f64 = 1e6;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn preview(stage: &Stage, fps: f64) -> Arc<Preview> {
    let options = PreviewOptions {
        fps,
        width: 64,
        quality: 90,
    };
    let status = |shown: &Shown| Status {
        state: format!("live {}", shown.index),
        zones_on: vec![true, false],
    };
    Preview::new(stage.screen.clone(), &scene::classes(), options, Box::new(status))
}

/// The next picture, which comes soon.
fn next<T>(viewer: &mut Viewer<T>) -> Option<Arc<T>> {
    let soon = async { timeout(Duration::from_secs(10), viewer.next()).await };
    runtime().block_on(soon).expect("a picture comes within ten seconds")
}

/// Whether nothing comes for a moment.
fn is_still<T>(viewer: &mut Viewer<T>) -> bool {
    let moment = async { timeout(Duration::from_millis(300), viewer.next()).await };
    runtime().block_on(moment).is_err()
}

/// Waits for what another thread is about to do.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Header, JPEG and PNG of a message.
fn parts(message: &[u8]) -> (Value, &[u8], &[u8]) {
    let length = |at: usize| u32::from_le_bytes(message[4 * at..][..4].try_into().unwrap()) as usize;
    let (header, rest) = message[12..].split_at(length(0));
    let (jpeg, png) = rest.split_at(length(1));
    assert_eq!(png.len(), length(2));
    (serde_json::from_slice(header).unwrap(), jpeg, png)
}

#[test]
fn a_pair_is_the_plain_picture_and_the_ids_of_the_very_same_frame() {
    let mut stage = Stage::new(128, 72);
    let preview = preview(&stage, EVERY);
    let mut viewer = preview.pair().unwrap();
    let index = stage.show(false);
    let pair = next(&mut viewer).unwrap();
    let (header, jpeg, png) = parts(&pair.message);
    let wanted = serde_json::json!({
        "schema": "maskline.preview/1", "index": index, "pts_ns": 0, "width": 128, "height": 72, "filler": false,
        "state": "live 0", "zones_on": [true, false],
    });
    assert_eq!(header, wanted);
    let decoded = scene::decode_jpeg(jpeg);
    assert_eq!((decoded.width, decoded.height), (64, 36));
    decoded.expect(BLUE, "plain picture");
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut ids = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut ids).unwrap();
    assert_eq!(ids, Stage::ids());
    assert_eq!(reader.info().palette.as_ref().unwrap()[21..24], [0xdc, 0x78, 0x14]);
}

#[test]
fn filler_is_the_masked_picture_without_a_map_and_says_so() {
    let mut stage = Stage::new(64, 36);
    let preview = preview(&stage, EVERY);
    let (mut pairs, mut masked) = (preview.pair().unwrap(), preview.masked().unwrap());
    stage.show(true);
    let pair = next(&mut pairs).unwrap();
    let (header, jpeg, png) = parts(&pair.message);
    assert_eq!((&header["filler"], png.len()), (&Value::Bool(true), 0));
    scene::decode_jpeg(jpeg).expect(ORANGE, "filler");
    assert!(next(&mut masked).unwrap().filler);
    assert_eq!(preview.encoded(), 1, "one picture serves both");
}

#[test]
fn a_hundred_viewers_cost_as_many_pictures_as_one_and_idle_ones_hold_up_nobody() {
    let mut stage = Stage::new(64, 36);
    let preview = preview(&stage, EVERY);
    let _idle: Vec<_> = (0..100).map(|_| preview.masked().unwrap()).collect();
    let mut viewer = preview.masked().unwrap();
    let started = Instant::now();
    for wanted in 0..20 {
        stage.show(false);
        assert_eq!(next(&mut viewer).unwrap().index, wanted);
    }
    assert_eq!(preview.encoded(), 20);
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "20 small pictures took {:?}",
        started.elapsed()
    );
}

#[test]
fn a_viewer_of_a_kilobyte_a_second_misses_pictures_and_the_stream_keeps_its_rate() {
    let stage = Stage::new(320, 180);
    let preview = preview(&stage, 10.0);
    let (mut slow, mut quick) = (preview.masked().unwrap(), preview.masked().unwrap());
    let stage = stage.run();
    let watch = async {
        let quick = async {
            let mut seen = Vec::new();
            let end = tokio::time::Instant::now() + Duration::from_secs(3);
            while let Ok(Some(picture)) = tokio::time::timeout_at(end, quick.next()).await {
                seen.push(picture.index);
            }
            seen
        };
        let slow = async {
            let mut seen = 0;
            let end = Instant::now() + Duration::from_secs(3);
            // A new one is always there when it comes back.
            while Instant::now() < end {
                let picture = slow.next().await.unwrap();
                seen += 1;
                tokio::time::sleep(Duration::from_secs_f64(picture.jpeg.len() as f64 / 1000.0)).await;
            }
            seen
        };
        tokio::join!(quick, slow)
    };
    let (quick, slow) = runtime().block_on(watch);
    let distinct: BTreeSet<_> = quick.iter().collect();
    assert!((20..=32).contains(&distinct.len()) && distinct.len() == quick.len(), "{quick:?}");
    assert!(*quick.last().unwrap() >= 60, "25 a second were shown, the last seen was {quick:?}");
    assert!((1..=5).contains(&slow), "{slow}");
    drop(stage);
}

#[test]
fn nothing_is_made_without_viewers_and_the_next_one_sees_nothing_old() {
    let mut stage = Stage::new(64, 36);
    let preview = preview(&stage, EVERY);
    stage.show(false);
    assert_eq!((preview.encoded(), stage.screen.hub.subscribers()), (0, 0));
    let mut viewer = preview.pair().unwrap();
    assert!(stage.screen.is_raw_wanted());
    stage.show(false);
    next(&mut viewer).unwrap();
    let mut second = preview.pair().unwrap();
    let newest = next(&mut second).unwrap();
    assert_eq!(parts(&newest.message).0["index"], 1, "the newest is there at once");
    drop((viewer, second));
    assert!(!stage.screen.is_raw_wanted());
    until("the thread ends", || stage.screen.hub.subscribers() == 0);
    let made = preview.encoded();
    stage.show(false);
    let mut viewer = preview.masked().unwrap();
    assert!(is_still(&mut viewer));
    let wanted = stage.show(false);
    assert_eq!(next(&mut viewer).unwrap().index, wanted);
    assert_eq!(preview.encoded(), made + 1);
}

#[test]
fn another_size_in_mid_stream_is_just_another_picture() {
    let mut stage = Stage::new(64, 36);
    let preview = preview(&stage, EVERY);
    let mut viewer = preview.masked().unwrap();
    for (width, height) in [(64, 36), (63, 47), (64, 36)] {
        stage.resize(width, height);
        stage.show(false);
        let decoded = scene::decode_jpeg(&next(&mut viewer).unwrap().jpeg);
        assert_eq!((decoded.width, decoded.height), (width, height));
        decoded.expect(ORANGE, "masked picture");
    }
}

#[test]
fn the_end_of_the_stream_is_told_to_all_viewers_and_to_later_ones() {
    let mut stage = Stage::new(64, 36);
    let preview = preview(&stage, EVERY);
    let mut viewer = preview.masked().unwrap();
    stage.show(false);
    next(&mut viewer).unwrap();
    stage.screen.hub.end();
    assert!(next(&mut viewer).is_none());
    assert!(next(&mut preview.pair().unwrap()).is_none());
    assert!(next(&mut preview.masked().unwrap()).is_none());
}

#[test]
fn the_pace_holds_its_rate_and_makes_up_for_no_gap() {
    let start = Instant::now();
    let admitted = |fps: f64, pace: &mut Pace, from_ms: u64| {
        let ticks = (0..(fps * 10.0) as u64).map(|n| start + Duration::from_millis(from_ms) + Duration::from_secs_f64(n as f64 / fps));
        ticks.filter(|tick| pace.admits(*tick)).count()
    };
    let mut pace = Pace::new(10.0);
    assert!((99..=101).contains(&admitted(25.0, &mut pace, 0)));
    assert!((99..=101).contains(&admitted(25.0, &mut pace, 60_000)), "after a gap");
    assert!((99..=100).contains(&admitted(10.0, &mut Pace::new(10.0), 0)));
    assert_eq!(admitted(5.0, &mut Pace::new(10.0), 0), 50);
}
