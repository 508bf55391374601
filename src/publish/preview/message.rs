//! The message that a page composes a picture from (docs/formats.md, "What a page gets").

use super::{Shown, Status};
use anyhow::{Context, Result};
use serde::Serialize;

/// What stands before the pictures.
#[derive(Serialize)]
struct Header<'a> {
    schema: &'static str,
    index: u64,
    pts_ns: u64,
    /// Size of the frames, not of the JPEG.
    width: u32,
    height: u32,
    filler: bool,
    state: &'a str,
    zones_on: &'a [bool],
}

/// Three lengths as 32-bit little-endian numbers, then as many bytes of each: a header as JSON, a JPEG, and the class map as an
/// indexed PNG, which is empty for filler. `palette` holds an RGB colour for each id.
///
/// # Errors
/// 70 where the class map has no pixels.
pub(super) fn write(shown: &Shown, status: &Status, palette: &[u8], jpeg: &[u8]) -> Result<Vec<u8>> {
    let format = shown.masked.format();
    let header = Header {
        schema: "maskline.preview/1",
        index: shown.index,
        pts_ns: shown.pts_ns,
        width: format.width,
        height: format.height,
        filler: shown.filler,
        state: &status.state,
        zones_on: &status.zones_on,
    };
    let header = serde_json::to_vec(&header).context("a header cannot be written")?;
    let mut map = Vec::new();
    if let Some(classes) = &shown.map {
        let mut encoder = png::Encoder::new(&mut map, classes.width, classes.height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(palette);
        encoder.set_compression(png::Compression::Fast);
        // So that a page can unpack the ids themselves: two classes may have one colour.
        encoder.set_filter(png::Filter::NoFilter);
        let mut writer = encoder.write_header().context("a class map cannot be written")?;
        writer.write_image_data(&classes.ids).context("a class map cannot be written")?;
        writer.finish().context("a class map cannot be written")?;
    }
    let parts = [&header[..], jpeg, &map];
    let length = |part: &&[u8]| u32::try_from(part.len()).context("a picture is too large for a message");
    let mut message = Vec::with_capacity(12 + parts.iter().map(|p| p.len()).sum::<usize>());
    for part in &parts {
        message.extend(length(part)?.to_le_bytes());
    }
    parts.iter().for_each(|part| message.extend_from_slice(part));
    Ok(message)
}
