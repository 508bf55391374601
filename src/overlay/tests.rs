//! The overlay against a plain reference: one byte at a time in double precision.

use super::*;
use crate::frame::{Matrix, OwnedPixels, PixelFormat, Pixels, Range};
use crate::testing::Brightness;
use std::sync::Arc;
use std::time::Instant;

fn format(width: u32, height: u32, pixels: PixelFormat) -> VideoFormat {
    VideoFormat {
        width,
        height,
        pixels,
        matrix: Matrix::Bt709,
        range: Range::Limited,
        rate: None,
        pixel_aspect: (1, 1),
    }
}

/// A frame of noise; row padding holds 77.
fn frame(format: &VideoFormat, align: usize) -> Frame {
    let mut pixels = OwnedPixels::black(format, align);
    for plane in 0..format.pixels.planes() {
        let (stride, bytes) = (pixels.stride(plane), row_bytes(format, plane));
        for (y, row) in pixels.plane_mut(plane).chunks_mut(stride).enumerate() {
            for (x, byte) in row.iter_mut().enumerate() {
                *byte = if x < bytes { (x * 31 + y * 17 + plane * 5) as u8 } else { 77 };
            }
        }
    }
    Frame {
        index: 0,
        pts_ns: 0,
        duration_ns: None,
        format: Arc::new(format.clone()),
        pixels: Box::new(pixels),
        arrived: Instant::now(),
    }
}

fn row_bytes(format: &VideoFormat, plane: usize) -> usize {
    let interleaved = format.pixels == PixelFormat::Nv12 && plane == 1;
    format.plane_size(plane).0 * if interleaved { 2 } else { 1 }
}

fn classes() -> Vec<Class> {
    let class = |id: u8, name: &str, color: &str, background: bool| Class {
        id,
        name: name.into(),
        color: color.parse().unwrap(),
        ignore: false,
        background,
    };
    vec![
        class(0, "sky", "#4682b4", false),
        class(3, "road", "#804080", false),
        class(8, "nothing", "#00ff00", true),
    ]
}

fn map(width: u32, height: u32) -> ClassMap {
    let ids = (0..width * height)
        .map(|i| [0, 3, 8, 9][(i % width * 4 / width + i / width) as usize % 4])
        .collect();
    ClassMap { width, height, ids }
}

fn plain_options() -> OverlayOptions {
    OverlayOptions {
        legend: false,
        ..OverlayOptions::default()
    }
}

/// The definition: weights of neighbouring class pixels in sixteenths, the colour's share in 256ths.
fn reference(before: &Frame, classes: &[Class], map: &ClassMap, alpha: f64) -> Vec<Vec<f64>> {
    let format = &before.format;
    let alpha = (alpha * 256.0).round() / 256.0;
    let place = |i: usize, scale: f64, from: u32, length: u32| {
        let middle = ((i as f64 + 0.5) * scale * f64::from(from) / f64::from(length) - 0.5).clamp(0.0, f64::from(from - 1));
        let middle = (middle * 16.0).round() / 16.0;
        let lower = middle.floor() as usize;
        (lower, (lower + 1).min(from as usize - 1), middle - middle.floor())
    };
    let at = |x: usize, y: usize| {
        let id = map.ids[y * map.width as usize + x];
        let class = classes.iter().find(|c| c.id == id && c.is_drawn());
        class.map(|c| rgb_to_ycbcr(c.color.rgb(), format.matrix, format.range).map(f64::from))
    };
    (0..format.pixels.planes())
        .map(|plane| {
            let (bytes, height) = (row_bytes(format, plane), format.plane_size(plane).1);
            let per_pixel = bytes / format.plane_size(plane).0;
            let scale = if plane == 0 { 1.0 } else { 2.0 };
            let mut out = Vec::new();
            for y in 0..height {
                let (y0, y1, fy) = place(y, scale, map.height, format.height);
                for byte in 0..bytes {
                    let (x0, x1, fx) = place(byte / per_pixel, scale, map.width, format.width);
                    let component = plane + byte % per_pixel;
                    let old = f64::from(before.pixels.plane(plane)[y * before.pixels.stride(plane) + byte]);
                    let blended = |x: usize, y: usize| at(x, y).map_or(old, |c| old * (1.0 - alpha) + c[component] * alpha);
                    let row = |y: usize| blended(x0, y) * (1.0 - fx) + blended(x1, y) * fx;
                    out.push(row(y0) * (1.0 - fy) + row(y1) * fy);
                }
            }
            out
        })
        .collect()
}

#[test]
fn blending_agrees_with_the_reference_at_odd_sizes_and_strides() {
    for (width, height) in [(64, 48), (57, 33), (854, 18), (31, 17), (1, 1), (3, 2)] {
        for pixels in [PixelFormat::I420, PixelFormat::Nv12] {
            for (align, alpha, size) in [(1, 0.5, (20, 12)), (16, 1.0, (64, 48)), (32, 0.3, (1, 1)), (4, 0.0, (90, 70))] {
                let format = format(width, height, pixels);
                let options = OverlayOptions { alpha, ..plain_options() };
                let mut overlay = Overlay::new(&classes(), &format, options).unwrap();
                let mut drawn = frame(&format, align);
                let map = map(size.0, size.1);
                overlay.draw(&mut drawn, &map, None).unwrap();
                let wanted = reference(&frame(&format, align), &classes(), &map, f64::from(alpha));
                for (plane, wanted) in wanted.iter().enumerate() {
                    let (stride, bytes) = (drawn.pixels.stride(plane), row_bytes(&format, plane));
                    for (y, row) in drawn.pixels.plane(plane).chunks(stride).enumerate() {
                        for (x, &got) in row[..bytes].iter().enumerate() {
                            let wanted = wanted[y * bytes + x];
                            let what = format!("{width}x{height} {pixels:?} alpha {alpha} plane {plane} at {x},{y}");
                            assert!((f64::from(got) - wanted).abs() <= 1.6, "{what}: {got}, wanted {wanted}");
                        }
                        assert!(row[bytes..].iter().all(|b| *b == 77), "padding is left alone");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_not_drawn_is_left_exactly_as_it_was() {
    for outlines in [false, true] {
        for (id, options) in [(8, plain_options()), (200, plain_options())] {
            let format = format(57, 33, PixelFormat::Nv12);
            let mut drawn = frame(&format, 16);
            let map = ClassMap {
                width: 10,
                height: 7,
                ids: vec![id; 70],
            };
            let options = OverlayOptions { outlines, ..options };
            Overlay::new(&classes(), &format, options)
                .unwrap()
                .draw(&mut drawn, &map, None)
                .unwrap();
            let before = frame(&format, 16);
            assert!((0..2).all(|p| drawn.pixels.plane(p) == before.pixels.plane(p)), "class {id}");
        }
    }
}

#[test]
fn only_draws_what_it_names_even_a_background() {
    let format = format(40, 20, PixelFormat::I420);
    let draw = |only: &[&str], id: u8| {
        let options = OverlayOptions {
            only: Some(only.iter().map(ToString::to_string).collect()),
            ..plain_options()
        };
        let mut drawn = frame(&format, 1);
        let map = ClassMap {
            width: 1,
            height: 1,
            ids: vec![id],
        };
        Overlay::new(&classes(), &format, options)
            .unwrap()
            .draw(&mut drawn, &map, None)
            .unwrap();
        drawn.pixels.plane(0) != frame(&format, 1).pixels.plane(0)
    };
    assert!(draw(&["road"], 3));
    assert!(!draw(&["road"], 0));
    assert!(draw(&["nothing"], 8));
}

#[test]
fn an_unknown_class_and_a_wrong_alpha_are_refused_with_what_there_is() {
    let format = format(40, 20, PixelFormat::I420);
    let error = |options: OverlayOptions| Overlay::new(&classes(), &format, options).err().unwrap().to_string();
    let unknown = error(OverlayOptions {
        only: Some(vec!["raod".into()]),
        ..plain_options()
    });
    assert_eq!(unknown, "there is no class \"raod\"; the model has sky, road, nothing");
    for alpha in [-0.1, 1.5, f32::NAN] {
        assert!(error(OverlayOptions { alpha, ..plain_options() }).contains("wanted 0"));
    }
}

#[test]
fn outlines_follow_the_borders_of_drawn_classes() {
    let format = format(40, 20, PixelFormat::I420);
    let options = OverlayOptions {
        outlines: true,
        alpha: 0.0,
        ..plain_options()
    };
    let mut drawn = frame(&format, 1);
    // Columns 0-19 sky, 20-29 background, 30-39 another class that is not drawn.
    let ids = (0..40 * 20)
        .map(|i| {
            if i % 40 < 20 {
                0
            } else if i % 40 < 30 {
                8
            } else {
                9
            }
        })
        .collect();
    let map = ClassMap {
        width: 40,
        height: 20,
        ids,
    };
    Overlay::new(&classes(), &format, options)
        .unwrap()
        .draw(&mut drawn, &map, None)
        .unwrap();
    let before = frame(&format, 1);
    for (i, (now, old)) in drawn.pixels.plane(0).iter().zip(before.pixels.plane(0)).enumerate() {
        let on_border = i % 40 == 19;
        assert_eq!(
            *now >= 190 && *now != *old || (on_border && *old > 200),
            on_border,
            "column {}",
            i % 40
        );
    }
}

#[test]
fn the_legend_names_what_was_present_and_rows_only_come() {
    for pixels in [PixelFormat::I420, PixelFormat::Nv12] {
        for (width, height) in [(854, 480), (1921, 1081), (320, 241)] {
            let format = format(width, height, pixels);
            let options = OverlayOptions {
                alpha: 0.0,
                ..OverlayOptions::default()
            };
            let mut overlay = Overlay::new(&classes(), &format, options).unwrap();
            let black = || Frame {
                pixels: Box::new(OwnedPixels::black(&format, 16)),
                ..frame(&format, 16)
            };
            let only = |id: u8, other: usize| {
                let mut ids = vec![id; 10_000];
                ids[..other].fill(3);
                ClassMap {
                    width: 100,
                    height: 100,
                    ids,
                }
            };
            let mut draw = |map: &ClassMap| {
                let mut drawn = black();
                overlay.draw(&mut drawn, map, None).unwrap();
                drawn.pixels.plane(0).iter().filter(|y| **y > 100).count()
            };
            assert_eq!(draw(&only(8, 0)), 0, "without classes there is no legend");
            let one = draw(&only(0, 0));
            assert!(one > 0, "sky is named");
            assert_eq!(draw(&only(0, 10)), one, "a thousandth of road is not enough to come in");
            let two = draw(&only(0, 30));
            assert!(two > one, "road is named as well");
            assert_eq!(draw(&only(0, 0)), two, "and stays when it has gone");
            assert_eq!(draw(&only(8, 0)), two);
        }
    }
}

#[test]
fn the_legend_leaves_most_of_a_small_picture_free() {
    for (width, height, count) in [(480, 360, 11), (320, 240, 11), (1280, 720, 11), (1280, 720, 150)] {
        let classes: Vec<_> = (0..count)
            .map(|id| Class {
                id,
                name: format!("class {id}"),
                ..classes()[0].clone()
            })
            .collect();
        let format = format(width, height, PixelFormat::I420);
        let options = OverlayOptions {
            alpha: 0.0,
            ..OverlayOptions::default()
        };
        let mut drawn = frame(&format, 1);
        let map = ClassMap {
            width: count.into(),
            height: 1,
            ids: (0..count).collect(),
        };
        Overlay::new(&classes, &format, options)
            .unwrap()
            .draw(&mut drawn, &map, None)
            .unwrap();
        let before = frame(&format, 1);
        let rows = |f: &Frame| f.pixels.plane(0).chunks(width as usize).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let changed: Vec<_> = rows(&drawn).iter().zip(rows(&before)).map(|(a, b)| *a != b).collect();
        let last = changed.iter().rposition(|c| *c).unwrap();
        assert!(last as u32 <= height * 45 / 100, "{width}x{height}: down to row {last}");
        let wide = rows(&drawn)[last / 2]
            .iter()
            .zip(&rows(&before)[last / 2])
            .filter(|(a, b)| a != b)
            .count();
        assert!(wide as u32 <= width / 4, "{width}x{height}: {wide} columns");
    }
}

#[test]
fn a_picture_too_small_for_a_legend_has_none() {
    for (width, height) in [(1, 1), (2, 200), (200, 2), (17, 17), (40, 30)] {
        let format = format(width, height, PixelFormat::I420);
        let mut overlay = Overlay::new(&classes(), &format, OverlayOptions::default()).unwrap();
        overlay.draw(&mut frame(&format, 1), &map(8, 8), None).unwrap();
    }
}

#[test]
fn a_frame_of_another_format_and_an_empty_map_are_refused() {
    let announced = format(40, 20, PixelFormat::I420);
    let mut overlay = Overlay::new(&Brightness::default().contract().heads[0].classes, &announced, plain_options()).unwrap();
    assert!(
        overlay
            .draw(&mut frame(&format(42, 20, PixelFormat::I420), 1), &map(8, 8), None)
            .is_err()
    );
    let empty = ClassMap {
        width: 0,
        height: 0,
        ids: Vec::new(),
    };
    assert!(overlay.draw(&mut frame(&announced, 1), &empty, None).is_err());
}

/// A level for each of the columns, from no confidence to all of it.
fn ramp(width: u32) -> ConfidenceMap {
    ConfidenceMap {
        width,
        height: 1,
        levels: (0..width).map(|x| (255 * x / (width - 1)) as u8).collect(),
    }
}

#[test]
fn what_the_net_is_unsure_of_is_darker_and_what_it_is_sure_of_is_as_it_would_be() {
    for pixels in [PixelFormat::I420, PixelFormat::Nv12] {
        let format = format(256, 20, pixels);
        let shown = |confidence: bool, map: Option<&ConfidenceMap>| {
            let options = OverlayOptions {
                confidence,
                ..plain_options()
            };
            let mut drawn = frame(&format, 16);
            for plane in 0..format.pixels.planes() {
                drawn.pixels.plane_mut(plane).fill(200);
            }
            let classes_of = ClassMap {
                width: 2,
                height: 1,
                ids: vec![8, 8], // a background, which the classes leave as it is
            };
            Overlay::new(&classes(), &format, options)
                .unwrap()
                .draw(&mut drawn, &classes_of, map)
                .unwrap();
            drawn
        };
        let plain = shown(false, Some(&ramp(256)));
        let all = |frame: &Frame| {
            (0..format.pixels.planes())
                .map(|p| frame.pixels.plane(p).to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(all(&plain), all(&shown(true, None)), "nothing is known, so nothing changes");
        let drawn = shown(true, Some(&ramp(256)));
        let row = &drawn.pixels.plane(0)[..256];
        assert!(row.is_sorted(), "{row:?}");
        // black of video is 16: nine tenths of the way from 200, up to a confidence of a half
        assert!(
            (i32::from(row[0]) - 34).abs() <= 1 && (i32::from(row[110]) - 34).abs() <= 1,
            "{row:?}"
        );
        assert!(row[255] == 200 && row[250] == 200, "the net is sure there");
        assert!((100..150).contains(&row[191]), "three quarters: {}", row[191]);
        let chroma = drawn.pixels.plane(1);
        assert!(chroma[0].abs_diff(135) <= 1 && chroma[if pixels == PixelFormat::Nv12 { 255 } else { 127 }] == 200);
    }
}

#[test]
fn a_confidence_of_a_wrong_length_is_refused() {
    let format = format(40, 20, PixelFormat::I420);
    let options = OverlayOptions {
        confidence: true,
        ..plain_options()
    };
    let mut overlay = Overlay::new(&classes(), &format, options).unwrap();
    let short = ConfidenceMap { height: 2, ..ramp(8) };
    let error = overlay
        .draw(&mut frame(&format, 1), &map(8, 8), Some(&short))
        .unwrap_err()
        .to_string();
    assert!(error.contains("8 values for 8x2"), "{error}");
}
