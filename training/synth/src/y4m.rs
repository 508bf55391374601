//! RGB to I420, and the YUV4MPEG2 stream around it.

use crate::Picture;
use std::io::{self, Write};

/// Luma weights of red and blue. GStreamer's y4mdec takes BT.709 above 576 rows and BT.601 up to there, whatever the
/// header says, so that is what the stream holds.
fn weights(height: usize) -> (f32, f32) {
    if height > 576 { (0.2126, 0.0722) } else { (0.299, 0.114) }
}

/// Writes the stream header.
pub(crate) fn header(out: &mut impl Write, width: usize, height: usize, fps: u32) -> io::Result<()> {
    writeln!(
        out,
        "YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=LIMITED"
    )
}

/// Writes one frame.
pub(crate) fn frame(out: &mut impl Write, picture: &Picture) -> io::Result<()> {
    out.write_all(b"FRAME\n")?;
    out.write_all(&i420(picture))
}

/// Limited-range I420 planes, tightly packed; odd sizes round the chroma planes up. Chroma is the mean of its four pixels.
fn i420(picture: &Picture) -> Vec<u8> {
    let (w, h) = (picture.width, picture.height);
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let (kr, kb) = weights(h);
    let luma = |p: [f32; 3]| kr * p[0] + (1.0 - kr - kb) * p[1] + kb * p[2];
    let pixel = |x: usize, y: usize| {
        let at = (y.min(h - 1) * w + x.min(w - 1)) * 3;
        [0, 1, 2].map(|c| f32::from(picture.rgb[at + c]))
    };
    let byte = |v: f32| (v + 0.5).clamp(0.0, 255.0) as u8;
    let mut out = Vec::with_capacity(w * h + 2 * cw * ch);
    for y in 0..h {
        out.extend((0..w).map(|x| byte(16.0 + luma(pixel(x, y)) * (219.0 / 255.0))));
    }
    for (channel, k) in [(2, kb), (0, kr)] {
        for y in 0..ch {
            for x in 0..cw {
                let mut sum = [0.0f32; 3];
                for p in [
                    pixel(2 * x, 2 * y),
                    pixel(2 * x + 1, 2 * y),
                    pixel(2 * x, 2 * y + 1),
                    pixel(2 * x + 1, 2 * y + 1),
                ] {
                    (0..3).for_each(|c| sum[c] += p[c] * 0.25);
                }
                out.push(byte(128.0 + (sum[channel] - luma(sum)) * (112.0 / 255.0) / (1.0 - k)));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(width: usize, height: usize, color: [u8; 3]) -> Picture {
        Picture {
            width,
            height,
            rgb: color.repeat(width * height),
            labels: vec![0; width * height],
        }
    }

    #[test]
    fn white_black_and_red_have_their_published_codes() {
        assert_eq!(i420(&flat(2, 2, [255; 3])), [235, 235, 235, 235, 128, 128]);
        assert_eq!(i420(&flat(2, 2, [0; 3])), [16, 16, 16, 16, 128, 128]);
        // BT.601 red: 81, 90, 240 (ITU-R BT.601 colour bars at 100 %).
        assert_eq!(i420(&flat(2, 2, [255, 0, 0])), [81, 81, 81, 81, 90, 240]);
        // BT.709 red: 63, 102, 240.
        let high = i420(&flat(2, 720, [255, 0, 0]));
        assert_eq!((high[0], high[2 * 720], high[2 * 720 + 360]), (63, 102, 240));
    }

    #[test]
    fn odd_sizes_round_the_chroma_planes_up() {
        assert_eq!(i420(&flat(5, 3, [9; 3])).len(), 15 + 2 * 3 * 2);
    }
}
