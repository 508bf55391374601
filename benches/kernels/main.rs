//! CPU time of the pixel loops that are ours, on one thread, beside plain loops and the library that does the same:
//! `cargo bench --bench kernels`, or with the name of a group. Before anything is measured, the results are compared.

mod plain;
mod scene;
mod thread_time;
mod with_opencv;
mod with_yuv;

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeAlg, ResizeOptions, Resizer};
use maskline::color::ToRgb;
use maskline::frame::{Frame, PixelFormat};
use maskline::infer::{Scores, Values};
use maskline::messages::{MessageOptions, Rule, Watch, When, Zone, class_masks, regions};
use maskline::overlay::{Overlay, OverlayOptions};
use maskline::postprocess::{Postprocessor, scale_nearest};
use maskline::preprocess::Preprocessor;
use maskline_models::contract::Layout;
use opencv::core::Mat;
use opencv::imgproc::{INTER_AREA, INTER_LINEAR};
use scene::{CLASSES, Scene};
use std::time::Duration;
use thread_time::ThreadTime;

criterion_group! {
    name = kernels;
    config = Criterion::default().with_measurement(ThreadTime).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    targets = preprocess, to_rgb, postprocess, overlay, scale, messages
}
criterion_main!(kernels);

const LAYOUTS: [(PixelFormat, &str); 2] = [(PixelFormat::I420, "I420"), (PixelFormat::Nv12, "NV12")];
const EXPECTED: &str = "OpenCV takes what the scene gives";

/// A group of one thread each.
fn group<'c>(criterion: &'c mut Criterion<ThreadTime>, name: &str) -> BenchmarkGroup<'c, ThreadTime> {
    opencv::core::set_num_threads(1).expect(EXPECTED);
    criterion.benchmark_group(name)
}

/// Fails unless the values differ by no more than `most` on average.
fn agree<A: Copy + Into<f64>, B: Copy + Into<f64>>(what: &str, a: &[A], b: &[B], most: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    let sum: f64 = a.iter().zip(b).map(|(a, b)| ((*a).into() - (*b).into()).abs()).sum();
    let mean = sum / a.len() as f64;
    assert!(mean <= most, "{what}: results differ by {mean} on average");
}

fn preprocess(criterion: &mut Criterion<ThreadTime>) {
    for (pixels, name) in LAYOUTS {
        let scene = Scene::new(pixels);
        let (frame, input, fit) = (&scene.frame, scene.input(), &scene.fit);
        let mut group = group(criterion, &format!("preprocess {name}"));

        let mut ours = Preprocessor::new(input, fit, &frame.format).expect("a frame with pixels");
        let pool = ours.pool();
        let wanted = ours.run(frame).expect("the announced format").values;
        group.bench_function("maskline", |b| {
            b.iter(|| pool.recycle(ours.run(frame).expect("the announced format")))
        });

        // In the tensor's unit, one step of a byte is 2/255.
        let near = 1.0 * 2.0 / 255.0;
        agree("plain preprocess", &plain::preprocess(frame, input, fit), &wanted, near);
        group.bench_function("plain", |b| b.iter(|| plain::preprocess(frame, input, fit)));

        let (packed, mut tensor) = (scene.packed(), vec![0.0; wanted.len()]);
        let size = (frame.format.width as i32, frame.format.height as i32);
        for (name, scaling) in [("OpenCV, INTER_AREA", INTER_AREA), ("OpenCV, INTER_LINEAR", INTER_LINEAR)] {
            let mut theirs = with_opencv::Preprocess::new(input, fit, pixels, scaling);
            theirs.run(&packed, size, &mut tensor).expect(EXPECTED);
            agree(name, &tensor, &wanted, near);
            group.bench_function(name, |b| b.iter(|| theirs.run(&packed, size, &mut tensor).expect(EXPECTED)));
        }

        let mut theirs = with_yuv::Preprocess::new(input, fit);
        theirs.run(frame, &mut tensor);
        agree("yuv", &tensor, &wanted, near);
        group.bench_function("yuv, fast_image_resize", |b| b.iter(|| theirs.run(frame, &mut tensor)));
    }
}

/// Planes of one size to RGB, without the resize.
fn to_rgb(criterion: &mut Criterion<ThreadTime>) {
    let scene = Scene::new(PixelFormat::I420);
    let (size, format) = (scene.size(), &scene.frame.format);
    let pixels = size.0 * size.1;
    let plane = |k: usize| (0..pixels).map(|i| (16 + (i * (k + 3)) % 220) as u8).collect::<Vec<_>>();
    let planes = [plane(0), plane(1), plane(2)];
    let planes = planes.each_ref().map(Vec::as_slice);
    let mut group = group(criterion, "YCbCr to RGB");

    let (ours, mut rows) = (ToRgb::new(format.matrix, format.range), vec![0; 3 * pixels]);
    let run = |rows: &mut [u8]| {
        let (r, rest) = rows.split_at_mut(pixels);
        let (g, b) = rest.split_at_mut(pixels);
        ours.row(planes, [r, g, b]);
    };
    run(&mut rows);
    let wanted: Vec<u8> = (0..3 * pixels).map(|i| rows[i % 3 * pixels + i / 3]).collect();
    group.bench_function("maskline", |b| b.iter(|| run(&mut rows)));

    let mut rgb = vec![0; 3 * pixels];
    plain::to_rgb(planes, format.matrix, format.range, &mut rgb);
    agree("plain colours", &rgb, &wanted, 0.5);
    group.bench_function("plain", |b| b.iter(|| plain::to_rgb(planes, format.matrix, format.range, &mut rgb)));

    with_yuv::planes_to_rgb(planes, size, &mut rgb).expect("planes of one size");
    agree("colours of yuv", &rgb, &wanted, 1.0);
    group.bench_function("yuv", |b| {
        b.iter(|| with_yuv::planes_to_rgb(planes, size, &mut rgb).expect("planes of one size"))
    });
}

fn postprocess(criterion: &mut Criterion<ThreadTime>) {
    let scene = Scene::new(PixelFormat::I420);
    let (width, height) = scene.size();
    let mut ours = Postprocessor::new(&scene.contract.heads[0], &scene.fit);

    let mut ids = group(criterion, "postprocess, class ids");
    let scores = Scores {
        width,
        height,
        values: Values::U8(scene.map.ids.clone().into()),
        confidence: None,
    };
    ids.bench_function("maskline", |b| b.iter(|| ours.run(&scores).expect("ids of the contract")));
    ids.finish();

    let mut floats = group(criterion, "postprocess, scores of 11 classes");
    let values = scene.scores();
    let scores = Scores {
        width,
        height,
        values: Values::Floats {
            scores: values.clone().into(),
            classes: CLASSES,
            layout: Layout::Nchw,
        },
        confidence: None,
    };
    let wanted = ours.run(&scores).expect("11 classes").ids;
    floats.bench_function("maskline", |b| b.iter(|| ours.run(&scores).expect("11 classes")));
    agree("plain argmax", &plain::best_classes(&values, CLASSES), &wanted, 0.0);
    floats.bench_function("plain", |b| b.iter(|| plain::best_classes(&values, CLASSES)));
    let theirs = with_opencv::best_classes(&values, CLASSES).expect(EXPECTED);
    agree("OpenCV's argmax", &with_opencv::bytes(&theirs), &wanted, 0.0);
    floats.bench_function("OpenCV", |b| {
        b.iter(|| with_opencv::best_classes(&values, CLASSES).expect(EXPECTED))
    });
}

fn overlay(criterion: &mut Criterion<ThreadTime>) {
    for (pixels, name) in LAYOUTS {
        let mut scene = Scene::new(pixels);
        let classes = scene.contract.heads[0].classes.clone();
        let new = |outlines, legend| {
            let options = OverlayOptions {
                outlines,
                legend,
                ..OverlayOptions::default()
            };
            Overlay::new(&classes, &scene.frame.format, options).expect("default options")
        };
        let mut all = [
            ("maskline", new(false, false)),
            ("maskline, legend", new(false, true)),
            ("maskline, legend, outlines", new(true, true)),
        ];
        let mut theirs = with_opencv::Overlay::new(&scene.frame, &classes, 0.5);
        let copy = |frame: &Frame| Frame {
            format: frame.format.clone(),
            pixels: frame.pixels.copy().expect("memory"),
            ..*frame
        };
        let (mut first, mut second) = (copy(&scene.frame), copy(&scene.frame));
        all[0].1.draw(&mut first, &scene.map, None).expect("the announced format");
        plain::overlay(&mut second, &scene.map, &classes, 0.5);
        theirs.draw(&scene.frame, &scene.map).expect(EXPECTED);
        for (plane, mixed) in theirs.mixed.iter().enumerate() {
            agree("plain overlay", second.pixels.plane(plane), first.pixels.plane(plane), 0.7);
            agree("OpenCV's overlay", &with_opencv::bytes(mixed), first.pixels.plane(plane), 1.0);
        }

        let (frame, map) = (&mut scene.frame, &scene.map);
        let mut group = group(criterion, &format!("overlay {name}"));
        for (name, overlay) in &mut all {
            group.bench_function(*name, |b| b.iter(|| overlay.draw(frame, map, None).expect("the announced format")));
        }
        group.bench_function("plain", |b| b.iter(|| plain::overlay(frame, map, &classes, 0.5)));
        group.bench_function("OpenCV", |b| b.iter(|| theirs.draw(frame, map).expect(EXPECTED)));
    }
}

/// A class map to the frame's size, as for PNG masks.
fn scale(criterion: &mut Criterion<ThreadTime>) {
    let scene = Scene::new(PixelFormat::I420);
    let (map, width, height) = (&scene.map, 1280, 720);
    let wanted = scale_nearest(map, width, height).ids;
    let mut group = group(criterion, "class map to 1280x720");
    group.bench_function("maskline", |b| b.iter(|| scale_nearest(map, width, height)));
    agree("plain scaling", &plain::scale_nearest(map, width, height), &wanted, 0.0);
    group.bench_function("plain", |b| b.iter(|| plain::scale_nearest(map, width, height)));

    let mut large = Mat::default();
    with_opencv::scale_nearest(map, width, height, &mut large).expect(EXPECTED);
    // OpenCV takes the upper left corner of a pixel where we take its centre.
    agree("OpenCV's scaling", &with_opencv::bytes(&large), &wanted, 0.1);
    group.bench_function("OpenCV", |b| {
        b.iter(|| with_opencv::scale_nearest(map, width, height, &mut large).expect(EXPECTED))
    });

    let small = ImageRef::new(map.width, map.height, &map.ids, PixelType::U8).expect("a whole map");
    let (mut large, mut resizer) = (Image::new(width, height, PixelType::U8), Resizer::new());
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Nearest);
    let mut run = |large: &mut Image| resizer.resize(&small, large, &options).expect("pictures of one kind");
    run(&mut large);
    agree("fast_image_resize", large.buffer(), &wanted, 0.1);
    group.bench_function("fast_image_resize", |b| b.iter(|| run(&mut large)));
}

/// What JSON lines can hold of a frame of 1280x720: regions, masks as run lengths, two zones with a rule each.
fn messages(criterion: &mut Criterion<ThreadTime>) {
    let scene = Scene::new(PixelFormat::I420);
    let (map, classes) = (&scene.map, &scene.contract.heads[0].classes);
    let least = MessageOptions::default().min_area;
    let zone = |left: f64| Zone {
        name: format!("zone at {left}"),
        polygon: vec![[left, 0.4], [left + 0.3, 0.4], [left + 0.4, 1.0], [left, 1.0]],
        rules: vec![Rule {
            name: "blocked".into(),
            class: "road".into(),
            when: When::Below(0.5),
            hold_ns: 2_000_000_000,
        }],
    };
    let mut watch = Watch::new(&[zone(0.1), zone(0.5)], classes);
    let mut group = group(criterion, "messages");
    group.bench_function("regions", |b| b.iter(|| regions(map, classes, 1280, 720, least).expect(EXPECTED)));
    group.bench_function("run lengths", |b| b.iter(|| class_masks(map, classes, 1280, 720)));
    let mut index = 0;
    group.bench_function("zones", |b| {
        b.iter(|| {
            index += 1;
            watch.look(index, 40_000_000 * index, map)
        })
    });
}
