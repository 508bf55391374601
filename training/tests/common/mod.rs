//! A data set small enough to learn in a second: bright squares and dark discs on a grey ground.

#![allow(dead_code)] // every test file uses its own part

pub mod runs;

use std::path::Path;

pub const SIDE: usize = 40;

/// Writes `count` pictures with labels and `classes.toml` into `root`.
pub fn write_shapes(root: &Path, count: usize) {
    let (images, labels) = (root.join("images"), root.join("labels"));
    std::fs::create_dir_all(&images).unwrap();
    std::fs::create_dir_all(&labels).unwrap();
    std::fs::write(root.join("classes.toml"), CLASSES).unwrap();
    for index in 0..count {
        let (rgb, ids) = shapes(index);
        let name = format!("{index:03}.png");
        image::RgbImage::from_raw(SIDE as u32, SIDE as u32, rgb)
            .unwrap()
            .save(images.join(&name))
            .unwrap();
        image::GrayImage::from_raw(SIDE as u32, SIDE as u32, ids)
            .unwrap()
            .save(labels.join(&name))
            .unwrap();
    }
}

fn shapes(index: usize) -> (Vec<u8>, Vec<u8>) {
    let place = |k: usize| ((index * 7 + k * 11) % 24 + 8) as i32;
    let (square, disc) = ((place(0), place(1)), (place(2), place(5)));
    let (mut rgb, mut ids) = (Vec::new(), Vec::new());
    for y in 0..SIDE as i32 {
        for x in 0..SIDE as i32 {
            let in_square = (x - square.0).abs() <= 7 && (y - square.1).abs() <= 7;
            let in_disc = (x - disc.0).pow(2) + (y - disc.1).pow(2) <= 40;
            let (color, id) = match (in_disc, in_square) {
                (true, _) => ([20, 30, 60], 4),
                (_, true) => ([230, 220, 200], 2),
                _ if y == 0 => ([110, 110, 110], 9), // a row without label
                _ => ([110, 110, 110], 0),
            };
            rgb.extend(color.map(|c: u8| c.saturating_add(((x * 13 + y * 7 + index as i32) % 9) as u8)));
            ids.push(id);
        }
    }
    (rgb, ids)
}

const CLASSES: &str = r##"
[[class]]
id = 0
name = "ground"
color = "#808080"
[[class]]
id = 2
name = "square"
color = "#ffeecc"
[[class]]
id = 4
name = "disc"
color = "#102040"
[[class]]
id = 9
name = "void"
color = "#000000"
ignore = true
"##;

/// A configuration that learns them.
pub fn config(root: &Path, epochs: u32) -> String {
    let path = |name: &str| format!("{:?}", root.join(name).display().to_string());
    format!(
        r#"name = "shapes"
seed = 3
classes = {}
[net]
kind = "unet"
widths = [4, 8]
dropout = 0.1
[input]
width = 40
height = 40
[[data]]
kind = "folders"
images = {}
labels = {}
[[validation]]
kind = "folders"
images = {}
labels = {}
every = 4
[augment]
crop = [32, 32]
scale = [0.8, 1.25]
[loss]
dice = 0.5
class_weights = "log"
[optimizer]
rate = 2e-2
ema = 0.9
[schedule]
warmup_steps = 2
[train]
epochs = {epochs}
batch = 4
"#,
        path("classes.toml"),
        path("images"),
        path("labels"),
        path("images"),
        path("labels"),
    )
}

/// The same with a feature pyramid net and auxiliary scores.
pub fn pyramid(config: &str) -> String {
    config
        .replace(
            "kind = \"unet\"\nwidths = [4, 8]",
            "kind = \"fpn\"\nwidths = [6, 8, 12]\ndepths = [0, 1, 1]",
        )
        .replace("[loss]\n", "[loss]\nauxiliary = 0.4\n")
}

/// The same with an FCN of three stages.
pub fn fcn(config: &str) -> String {
    config
        .replace("widths = [4, 8]", "widths = [4, 6, 8, 8]")
        .replace("kind = \"unet\"", "kind = \"fcn\"\ndepths = [1, 1, 1, 1]")
}

/// Weights for the encoder of [`fcn`] under torchvision's names, as safetensors: a JSON header behind its length, then the numbers.
pub fn encoder_weights() -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    let mut add = |name: String, shape: &[usize], value: &dyn Fn(usize) -> f32| {
        let start = data.len();
        data.extend((0..shape.iter().product()).flat_map(|i| value(i).to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name, entry);
    };
    for (stage, [input, output]) in [[3, 4], [4, 6], [6, 8]].into_iter().enumerate() {
        let number = 4 * stage; // convolution, normalisation, ReLU, pooling
        let wave = |i: usize| ((i * i + 3 * i) as f32).sin() * (2.0 / (9 * input) as f32).sqrt();
        add(format!("features.{number}.weight"), &[output, input, 3, 3], &wave);
        for (number, name, value) in [
            (number, "bias", 0.1),
            (number + 1, "weight", 1.0),
            (number + 1, "bias", 0.05),
            (number + 1, "running_mean", 0.2),
            (number + 1, "running_var", 0.5),
        ] {
            add(format!("features.{number}.{name}"), &[output], &|i| value + 0.01 * i as f32);
        }
    }
    let header = serde_json::Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// The same with a segformer.
pub fn segformer(config: &str) -> String {
    config.replace(
        "kind = \"unet\"\nwidths = [4, 8]",
        "kind = \"segformer\"\nwidths = [8, 16, 16]\ndepths = [1, 1, 1]\nheads = 2\nattention_levels = 2",
    )
}
