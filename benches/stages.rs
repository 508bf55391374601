//! Milliseconds a frame of 1280x720 spends in each stage that is ours: `cargo bench --bench stages`.

use maskline::frame::{ClassMap, Frame, Matrix, OwnedPixels, PixelFormat, Pixels, Range, VideoFormat};
use maskline::infer::{Scores, Values};
use maskline::overlay::{Overlay, OverlayOptions};
use maskline::postprocess::Postprocessor;
use maskline::preprocess::Preprocessor;
use maskline::testing::Brightness;
use maskline_models::Fit;
use maskline_models::classes::driving_classes;
use maskline_models::contract::{Contract, Layout, Size};
use std::sync::Arc;
use std::time::Instant;

const RUNS: usize = 200;

fn main() {
    let mut contract = Brightness::default().contract();
    contract.input.size = Size::Multiple {
        of: 32,
        width: 480,
        height: 352,
    };
    contract.heads[0].classes = driving_classes();
    for pixels in [PixelFormat::I420, PixelFormat::Nv12] {
        stages(&contract, pixels);
    }
}

fn stages(contract: &Contract, pixels: PixelFormat) {
    let format = VideoFormat {
        width: 1280,
        height: 720,
        pixels,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        rate: Some((25, 1)),
        pixel_aspect: (1, 1),
    };
    let fit = Fit::plan(&contract.input, format.width, format.height, None).expect("a size that every net takes");
    let mut planes = OwnedPixels::black(&format, 64);
    for plane in 0..pixels.planes() {
        planes
            .plane_mut(plane)
            .iter_mut()
            .enumerate()
            .for_each(|(i, b)| *b = (i * 7 % 219 + 16) as u8);
    }
    let mut frame = Frame {
        index: 0,
        pts_ns: 0,
        duration_ns: None,
        format: Arc::new(format.clone()),
        pixels: Box::new(planes),
        arrived: Instant::now(),
    };
    println!("{pixels:?} 1280x720, model input {}x{}, one thread", fit.width, fit.height);

    let mut preprocessor = Preprocessor::new(&contract.input, &fit, &format).expect("a frame with pixels");
    let pool = preprocessor.pool();
    time("preprocess", || {
        pool.recycle(preprocessor.run(&frame).expect("the announced format"))
    });

    let (width, height) = (fit.width as usize, fit.height as usize);
    let map = driving_map(width, height);
    let ids = Scores {
        width,
        height,
        values: Values::U8(map.ids.clone().into()),
    };
    let mut post = Postprocessor::new(&contract.heads[0], &fit);
    time("postprocess, class ids", || drop(post.run(&ids).expect("ids of the contract")));
    let classes = 11;
    let floats: Vec<f32> = (0..classes * width * height).map(|i| (i * 7919 % 1009) as f32).collect();
    let scores = Scores {
        width,
        height,
        values: Values::Floats {
            scores: floats.into(),
            classes,
            layout: Layout::Nchw,
        },
    };
    time("postprocess, scores of 11 classes", || drop(post.run(&scores).expect("11 classes")));

    for (name, outlines, legend) in [
        ("overlay", false, false),
        ("overlay with legend", false, true),
        ("overlay with legend and outlines", true, true),
    ] {
        let options = OverlayOptions {
            outlines,
            legend,
            ..OverlayOptions::default()
        };
        let mut overlay = Overlay::new(&contract.heads[0].classes, &format, options).expect("default options");
        time(name, || overlay.draw(&mut frame, &map).expect("the announced format"));
    }
}

/// Sky, buildings, trees, road and a few cars.
fn driving_map(width: usize, height: usize) -> ClassMap {
    let ids = (0..width * height).map(|i| {
        let (x, y) = ((i % width) as f64 / width as f64, (i / width) as f64 / height as f64);
        let wave = 0.05 * (x * 40.0).sin();
        match () {
            () if y < 0.3 + wave => 0,
            () if y < 0.5 + wave && x < 0.4 => 1,
            () if y < 0.5 + wave => 5,
            () if (x * 7.0).fract() < 0.3 && y < 0.6 => 8,
            () if (x - 0.5).abs() < y - 0.4 => 3,
            () => 4,
        }
    });
    ClassMap {
        width: width as u32,
        height: height as u32,
        ids: ids.collect(),
    }
}

/// Prints the median time of a call.
fn time(name: &str, mut call: impl FnMut()) {
    let mut ms: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    ms.sort_by(f64::total_cmp);
    println!("  {name:<36} {:6.2} ms (p95 {:.2})", ms[RUNS / 2], ms[RUNS * 95 / 100]);
}
