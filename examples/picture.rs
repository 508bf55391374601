//! Segments one picture and writes it with its classes in their colours:
//! `cargo run --release --example picture -- MODEL IN.png OUT.png [SIDECAR.toml [HEAD]]`

use anyhow::{Context, Result, bail};
use maskline::PictureSegmenter;
use maskline::infer::SessionOptions;
use maskline_models::Model;
use maskline_models::classes::palette;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, output, rest @ ..] = &args[..] else {
        bail!("wanted MODEL IN.png OUT.png [SIDECAR.toml [HEAD]]");
    };
    let model = Model::open(model, rest.first().map(Path::new))?;
    let mut segmenter = PictureSegmenter::from_model(model, rest.get(1).map(String::as_str), &SessionOptions::default())?;
    let (mut rgb, width, height) = read(input).with_context(|| format!("cannot read {input}"))?;

    let map = segmenter.segment_rgb(&rgb, width, height)?;

    let colors = palette(segmenter.classes());
    for (pixel, id) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(&map.ids) {
        let drawn = segmenter.classes().iter().any(|c| c.id == *id && c.is_drawn());
        if drawn {
            *pixel = std::array::from_fn(|c| u8::midpoint(pixel[c], colors[usize::from(*id)][c]));
        }
    }
    write(output, &rgb, width, height).with_context(|| format!("cannot write {output}"))
}

fn read(path: &str) -> Result<(Vec<u8>, u32, u32)> {
    let mut decoder = png::Decoder::new(BufReader::new(File::open(path)?));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let mut bytes = vec![0; reader.output_buffer_size().context("it is too large")?];
    let info = reader.next_frame(&mut bytes)?;
    bytes.truncate(info.buffer_size());
    let rgb = match info.color_type {
        png::ColorType::Rgb => bytes,
        png::ColorType::Rgba => bytes.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]).collect(),
        png::ColorType::Grayscale => bytes.iter().flat_map(|v| [*v; 3]).collect(),
        other => bail!("it is {other:?}, wanted colour or grey"),
    };
    Ok((rgb, info.width, info.height))
}

fn write(path: &str, rgb: &[u8], width: u32, height: u32) -> Result<()> {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    Ok(writer.finish()?)
}
