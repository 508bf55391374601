//! Golden inputs: small pictures with the class maps that a model must give for them, kept in its contract.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A picture at the model's size and the class map that belongs to it, both as PNG in base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Head that gives the class map.
    pub head: String,
    /// 8-bit RGB PNG, base64.
    pub picture: String,
    /// 8-bit grey PNG of class ids of the same size, base64.
    pub classes: String,
    /// Least share of pixels (0-1) that must agree; below 1 because providers round differently.
    pub agreement: f64,
}

/// Decoded pixels of a [`Golden`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
    /// `width * height` class ids.
    pub ids: Vec<u8>,
}

impl Golden {
    /// Packs a sample.
    ///
    /// # Panics
    /// If the lengths do not fit the size.
    pub fn pack(head: &str, sample: &Sample, agreement: f64) -> Self {
        let pixels = sample.width as usize * sample.height as usize;
        assert!(sample.rgb.len() == 3 * pixels && sample.ids.len() == pixels, "sample fits its size");
        let encode = |color, bytes: &[u8]| STANDARD.encode(encode_png(sample.width, sample.height, color, bytes));
        Self {
            head: head.into(),
            picture: encode(png::ColorType::Rgb, &sample.rgb),
            classes: encode(png::ColorType::Grayscale, &sample.ids),
            agreement,
        }
    }

    /// Unpacks it.
    ///
    /// # Errors
    /// One line if the picture or the class map is damaged or their sizes differ.
    pub fn unpack(&self) -> Result<Sample, String> {
        let (width, height, rgb) = decode_png(&self.picture, png::ColorType::Rgb).map_err(|e| format!("golden picture: {e}"))?;
        let (w, h, ids) = decode_png(&self.classes, png::ColorType::Grayscale).map_err(|e| format!("golden class map: {e}"))?;
        if (w, h) != (width, height) {
            return Err(format!("golden picture is {width}x{height}, its class map {w}x{h}"));
        }
        Ok(Sample { width, height, rgb, ids })
    }
}

fn encode_png(width: u32, height: u32, color: png::ColorType, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("writing to memory cannot fail");
    writer.write_image_data(bytes).expect("the length was checked");
    writer.finish().expect("writing to memory cannot fail");
    file
}

fn decode_png(base64: &str, color: png::ColorType) -> Result<(u32, u32, Vec<u8>), String> {
    let file = STANDARD.decode(base64).map_err(|e| e.to_string())?;
    let mut reader = png::Decoder::new(std::io::Cursor::new(file))
        .read_info()
        .map_err(|e| e.to_string())?;
    let size = reader.output_buffer_size().filter(|s| *s <= 64 << 20).ok_or("larger than 64 MiB")?;
    let mut bytes = vec![0; size];
    let info = reader.next_frame(&mut bytes).map_err(|e| e.to_string())?;
    if info.color_type != color || info.bit_depth != png::BitDepth::Eight {
        return Err(format!("found {:?} {:?}, wanted 8-bit {color:?}", info.color_type, info.bit_depth));
    }
    bytes.truncate(info.buffer_size());
    Ok((info.width, info.height, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_unpacks_as_it_was_packed_and_damage_is_noticed() {
        let sample = Sample {
            width: 3,
            height: 2,
            rgb: (0..18).collect(),
            ids: vec![0, 1, 2, 3, 11, 255],
        };
        let golden = Golden::pack("classes", &sample, 0.999);
        assert_eq!(golden.unpack().unwrap(), sample);
        let swapped = Golden {
            picture: golden.classes.clone(),
            ..golden.clone()
        };
        assert!(swapped.unpack().unwrap_err().contains("wanted 8-bit Rgb"));
        let cut = Golden {
            classes: golden.classes[..20].into(),
            ..golden
        };
        assert!(cut.unpack().is_err());
    }
}
