//! From a frame's size to the model's input size and back.

use crate::contract::{Input, Resize, Size};

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// How a frame lies in the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Width of the model's input in pixels.
    pub width: u32,
    /// Height of the model's input in pixels.
    pub height: u32,
    /// Where the whole frame lies in it; all of it unless letterboxed.
    pub content: Rect,
    /// Grey value (0-255) of what the frame does not cover.
    pub pad: u8,
}

impl Fit {
    /// Plans the input size for frames of `frame_width` x `frame_height` pixels.
    ///
    /// `asked` is a size that the user wants; without one a fixed net gets its size, and a flexible net the multiple that
    /// comes nearest to the frame's shape with about as many pixels as the net was trained for.
    ///
    /// # Errors
    /// One line that says which size was asked for, which the net takes and what to use instead.
    pub fn plan(input: &Input, frame_width: u32, frame_height: u32, asked: Option<(u32, u32)>) -> Result<Self, String> {
        if frame_width == 0 || frame_height == 0 {
            return Err(format!("frame is {frame_width}x{frame_height}, wanted at least 1x1"));
        }
        let (width, height) = match (input.size, asked) {
            (Size::Fixed { width, height }, None) => (width, height),
            (Size::Fixed { width, height }, Some(asked)) if asked == (width, height) => asked,
            (Size::Fixed { width, height }, Some((w, h))) => {
                return Err(format!(
                    "the size {w}x{h} does not fit this model, which takes only {width}x{height}: leave it out"
                ));
            }
            (Size::Multiple { of, .. }, Some((w, h))) => {
                if w == 0 || h == 0 || w > 16384 || h > 16384 || !w.is_multiple_of(of) || !h.is_multiple_of(of) {
                    let (a, b) = (nearest(f64::from(w), of), nearest(f64::from(h), of));
                    return Err(format!(
                        "the size {w}x{h} does not fit this model, which needs multiples of {of}: use {a}x{b}"
                    ));
                }
                (w, h)
            }
            (Size::Multiple { of, width, height }, None) => natural(of, width, height, frame_width, frame_height),
        };
        let whole = Rect { x: 0, y: 0, width, height };
        Ok(match input.resize {
            Resize::Stretch => Self {
                width,
                height,
                content: whole,
                pad: 0,
            },
            Resize::Letterbox { pad } => Self {
                width,
                height,
                content: letterbox(width, height, frame_width, frame_height),
                pad,
            },
        })
    }
}

fn nearest(length: f64, of: u32) -> u32 {
    let steps = (length / f64::from(of)).round().clamp(1.0, f64::from((16384 / of).max(1)));
    of * steps as u32
}

fn natural(of: u32, width: u32, height: u32, frame_width: u32, frame_height: u32) -> (u32, u32) {
    let aspect = f64::from(frame_width) / f64::from(frame_height);
    let area = f64::from(width) * f64::from(height);
    let ideal = f64::from(width) / f64::from(height);
    // Within 3 % the trained size itself is the better choice: 480x360 frames run at 480x352.
    if (aspect / ideal).ln().abs() < 0.03 {
        return (width, height);
    }
    (nearest((area * aspect).sqrt(), of), nearest((area / aspect).sqrt(), of))
}

fn letterbox(width: u32, height: u32, frame_width: u32, frame_height: u32) -> Rect {
    let scale = (f64::from(width) / f64::from(frame_width)).min(f64::from(height) / f64::from(frame_height));
    let w = ((f64::from(frame_width) * scale).round() as u32).clamp(1, width);
    let h = ((f64::from(frame_height) * scale).round() as u32).clamp(1, height);
    Rect {
        x: (width - w) / 2,
        y: (height - h) / 2,
        width: w,
        height: h,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::tests::sample;

    fn input(size: Size, resize: Resize) -> Input {
        Input {
            size,
            resize,
            ..sample().input
        }
    }

    const FLEXIBLE: Size = Size::Multiple {
        of: 32,
        width: 480,
        height: 352,
    };

    #[test]
    fn a_flexible_net_keeps_the_frames_shape_and_its_own_cost() {
        let input = input(FLEXIBLE, Resize::Stretch);
        let size = |w, h| Fit::plan(&input, w, h, None).map(|f| (f.width, f.height)).unwrap();
        assert_eq!(size(480, 360), (480, 352));
        assert_eq!(size(1280, 720), (544, 320));
        assert_eq!(size(720, 1280), (320, 544));
        assert_eq!(size(10000, 1), (16384, 32));
    }

    #[test]
    fn a_size_the_net_cannot_take_is_refused_with_one_that_it_can() {
        let input = input(FLEXIBLE, Resize::Stretch);
        let error = Fit::plan(&input, 1280, 720, Some((540, 960))).unwrap_err();
        assert_eq!(
            error,
            "the size 540x960 does not fit this model, which needs multiples of 32: use 544x960"
        );
        assert!(Fit::plan(&input, 1280, 720, Some((0, 32))).is_err());
        assert!(Fit::plan(&input, 0, 720, None).is_err());
    }

    #[test]
    fn a_letterboxed_frame_lies_in_the_middle() {
        let input = input(Size::Fixed { width: 256, height: 160 }, Resize::Letterbox { pad: 7 });
        let fit = Fit::plan(&input, 480, 360, None).unwrap();
        assert_eq!(
            fit.content,
            Rect {
                x: 21,
                y: 0,
                width: 213,
                height: 160
            }
        );
        assert_eq!(fit.pad, 7);
        assert!(
            Fit::plan(&input, 480, 360, Some((480, 360)))
                .unwrap_err()
                .contains("takes only 256x160")
        );
    }
}
