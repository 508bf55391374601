//! Scale, rotation, flip and crop as one affine map from the view into the sample.

use crate::data::Sample;
use crate::metrics::IGNORE;

/// Where a pixel of the view lies in the sample: `x' = xx * x + xy * y + x0`, in coordinates whose whole numbers are the
/// upper left corners of pixels.
#[derive(Debug, Clone, Copy)]
pub struct Affine {
    xx: f32,
    xy: f32,
    x0: f32,
    yx: f32,
    yy: f32,
    y0: f32,
}

/// Grey of what lies outside; about the mean of street pictures, so that it says little to a net.
const OUTSIDE: u8 = 110;

impl Affine {
    /// Maps `view_centre` to `sample_centre`, one pixel of the view to `step` pixels of the sample, turned by `angle`.
    pub fn around(sample_centre: (f32, f32), view_centre: (f32, f32), step: (f32, f32), angle: f32) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (xx, xy) = (step.0 * cos, -step.0 * sin);
        let (yx, yy) = (step.1 * sin, step.1 * cos);
        Self {
            xx,
            xy,
            x0: sample_centre.0 - xx * view_centre.0 - xy * view_centre.1,
            yx,
            yy,
            y0: sample_centre.1 - yx * view_centre.0 - yy * view_centre.1,
        }
    }

    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.xx * x + self.xy * y + self.x0, self.yx * x + self.yy * y + self.y0)
    }

    /// Points per axis to average for each pixel of the view, so that shrinking does not alias.
    fn oversampling(&self) -> usize {
        let step = (self.xx.hypot(self.yx)).max(self.xy.hypot(self.yy));
        ((step - 0.05).ceil() as usize).clamp(1, 6)
    }
}

/// Fills `rgb` with the picture under the map, bilinear, averaged over several points where it shrinks.
pub fn picture(sample: &Sample, affine: &Affine, width: usize, rgb: &mut [u8]) {
    let points = affine.oversampling();
    let share = 1.0 / (points * points) as f32;
    for (i, pixel) in rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let mut sum = [0.0; 3];
        for sub in 0..points * points {
            let (u, v) = ((sub % points) as f32, (sub / points) as f32);
            let (sx, sy) = affine.at(x + (u + 0.5) / points as f32, y + (v + 0.5) / points as f32);
            bilinear(sample, sx - 0.5, sy - 0.5, &mut sum);
        }
        *pixel = sum.map(|v| (v * share + 0.5) as u8);
    }
}

/// Adds the colour at a point between pixel centres.
fn bilinear(sample: &Sample, x: f32, y: f32, sum: &mut [f32; 3]) {
    let (w, h) = (sample.width as i32, sample.height as i32);
    let (xf, yf) = (x.floor(), y.floor());
    let (tx, ty) = (x - xf, y - yf);
    let (xi, yi) = (xf as i32, yf as i32);
    if xi < -1 || yi < -1 || xi >= w || yi >= h {
        sum.iter_mut().for_each(|s| *s += f32::from(OUTSIDE));
        return;
    }
    let (x0, x1) = (xi.max(0) as usize, (xi + 1).min(w - 1) as usize);
    let (y0, y1) = (yi.max(0) as usize * sample.width, (yi + 1).min(h - 1) as usize * sample.width);
    let pixels = sample.rgb.as_chunks::<3>().0;
    let (a, b, c, d) = (pixels[y0 + x0], pixels[y0 + x1], pixels[y1 + x0], pixels[y1 + x1]);
    for k in 0..3 {
        let top = f32::from(a[k]) + (f32::from(b[k]) - f32::from(a[k])) * tx;
        let low = f32::from(c[k]) + (f32::from(d[k]) - f32::from(c[k])) * tx;
        sum[k] += top + (low - top) * ty;
    }
}

/// Fills `labels` with the nearest label under the map; [`IGNORE`] outside.
pub fn labels(sample: &Sample, affine: &Affine, width: usize, labels: &mut [u8]) {
    for (i, label) in labels.iter_mut().enumerate() {
        let (x, y) = affine.at((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
        let inside = x >= 0.0 && y >= 0.0 && x < sample.width as f32 && y < sample.height as f32;
        *label = if inside {
            sample.labels[y as usize * sample.width + x as usize]
        } else {
            IGNORE
        };
    }
}
