//! Hard weather painted over a picture: night, rain, fog, glare and motion blur. Any picture of a road will do, rendered or
//! photographed: depth is guessed from the place in the picture, as for a street of houses before a level camera.

use crate::math::{cos, exp_neg, sin, smoothstep};
use crate::random::Rng;

/// What makes a scene hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Weather {
    /// A hundredth of the light, headlamps on the road, lamps and noise.
    Night,
    /// Streaks, drops on the glass, flat light.
    Rain,
    /// Far things go grey.
    Fog,
    /// A low sun before the camera.
    Glare,
    /// The car moves while the shutter is open.
    MotionBlur,
}

/// Where the horizon is thought to be, as a share of the height from above.
const HORIZON: f32 = 0.42;

impl Weather {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Night, Self::Rain, Self::Fog, Self::Glare, Self::MotionBlur];

    /// As it is written on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Night => "night",
            Self::Rain => "rain",
            Self::Fog => "fog",
            Self::Glare => "glare",
            Self::MotionBlur => "motion-blur",
        }
    }

    /// Changes `3 * width * height` RGB bytes. The seed decides how strong it is and where drops and lamps are; the same one
    /// gives the same bytes on every machine.
    ///
    /// # Panics
    /// If `rgb` has another length.
    pub fn apply(self, rgb: &mut [u8], width: usize, height: usize, seed: u64) {
        self.apply_to_frame(rgb, width, height, seed, 0);
    }

    /// The same for a frame of a clip: only falling rain and noise are others in another frame.
    pub(crate) fn apply_to_frame(self, rgb: &mut [u8], width: usize, height: usize, seed: u64, frame: i64) {
        assert_eq!(rgb.len(), 3 * width * height, "a picture of {width}x{height} has 3 bytes a pixel");
        if rgb.is_empty() {
            return;
        }
        let mut rng = Rng::of(seed, 0x3ea7, self as i64);
        let mut moment = Rng::of(seed, 0x3ea8, frame);
        let mut canvas = Canvas { rgb, width, height };
        match self {
            Self::Night => night(&mut canvas, &mut rng, &mut moment),
            Self::Rain => rain(&mut canvas, &mut rng, &mut moment),
            Self::Fog => fog(&mut canvas, rng.range(0.5, 1.6), rng.range(165.0, 215.0)),
            Self::Glare => glare(&mut canvas, &mut rng),
            Self::MotionBlur => zoom(&mut canvas, &mut rng),
        }
    }
}

struct Canvas<'p> {
    rgb: &'p mut [u8],
    width: usize,
    height: usize,
}

impl Canvas<'_> {
    /// Calls `change` with place (0-1 across, 0-1 down) and linear light (0-1) of every pixel.
    fn light(&mut self, mut change: impl FnMut(f32, f32, [f32; 3]) -> [f32; 3]) {
        let (width, height) = (self.width as f32, self.height as f32);
        for (y, row) in self.rgb.chunks_exact_mut(3 * self.width).enumerate() {
            for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                // The square is near enough to the curve of sRGB.
                let light = pixel.map(|v| (f32::from(v) / 255.0) * (f32::from(v) / 255.0));
                let place = ((x as f32 + 0.5) / width, (y as f32 + 0.5) / height);
                *pixel = change(place.0, place.1, light).map(|l| (l.clamp(0.0, 1.0).sqrt() * 255.0 + 0.5) as u8);
            }
        }
    }
}

/// Distance in camera heights: that of a flat road under a level camera or of the houses beside it, whichever is nearer.
fn distance(u: f32, v: f32) -> f32 {
    1.0 / (v - HORIZON).max(0.22 * (u - 0.5).abs()).max(0.012)
}

fn blend(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

fn grey(light: [f32; 3]) -> f32 {
    0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] // luminance of BT.709
}

/// `density`: how much of the light is lost in ten camera heights, roughly; `veil`: grey of the fog, 0-255.
fn fog(canvas: &mut Canvas<'_>, density: f32, veil: f32) {
    let veil = [(veil / 255.0) * (veil / 255.0); 3];
    canvas.light(|u, v, light| {
        let through = exp_neg(density * distance(u, v) / 10.0);
        blend(veil, light, through.max(0.04))
    });
}

fn night(canvas: &mut Canvas<'_>, rng: &mut Rng, moment: &mut Rng) {
    let ambient = rng.range(0.012, 0.04);
    let beam = rng.range(0.35, 0.7);
    let reach = rng.range(0.10, 0.17);
    let lamps: Vec<Lamp> = (0..rng.below(5) + 2).map(|_| Lamp::draw(rng)).collect();
    let (noise, aspect) = (rng.range(0.006, 0.02), canvas.width as f32 / canvas.height as f32);
    canvas.light(|u, v, light| {
        // What little colour the eye of a camera still has, and the blue of the sky.
        let dull = blend([grey(light); 3], light, 0.55);
        let mut lit: [f32; 3] = std::array::from_fn(|c| dull[c] * ambient * [0.8, 0.9, 1.25][c]);
        // Headlamps: a pool before the car that does not reach the sky.
        let (across, down) = ((u - 0.5) / (0.12 + 0.9 * (v - HORIZON).max(0.0)), (v - HORIZON) / reach);
        let pool = exp_neg(across * across * 1.6) * smoothstep(-0.25, 1.1, down) * beam;
        for c in 0..3 {
            lit[c] += dull[c] * pool * [1.0, 0.96, 0.86][c];
        }
        for lamp in &lamps {
            lamp.shine(u * aspect, v, aspect, dull, &mut lit);
        }
        lit.map(|l| l + noise * (moment.unit() + moment.unit() - 1.0) * (0.3 + l.max(0.0).sqrt()) + 0.0015)
    });
}

/// A street lamp or the light of another car.
struct Lamp {
    at: (f32, f32),
    size: f32,
    color: [f32; 3],
}

impl Lamp {
    fn draw(rng: &mut Rng) -> Self {
        let high = rng.chance(0.6);
        let color = match (high, rng.below(3)) {
            (true, 0) => [1.0, 0.93, 0.85],
            (true, _) => [1.0, 0.66, 0.3], // sodium
            (false, 0) => [1.0, 0.12, 0.08],
            (false, _) => [1.0, 0.98, 0.92],
        };
        Self {
            at: (rng.unit(), if high { rng.range(0.08, 0.36) } else { rng.range(0.44, 0.54) }),
            size: rng.range(0.003, 0.011),
            color,
        }
    }

    fn shine(&self, x: f32, v: f32, aspect: f32, surface: [f32; 3], lit: &mut [f32; 3]) {
        let (dx, dy) = (x - self.at.0 * aspect, v - self.at.1);
        let far = dx * dx + dy * dy;
        let glow = 1.0 / (1.0 + far / (self.size * self.size));
        // Things around it are lit too, those below it more.
        let on_things = 0.25 / (1.0 + far / 0.03) * if dy > 0.0 { 1.0 } else { 0.4 };
        for c in 0..3 {
            lit[c] += self.color[c] * (glow + surface[c] * on_things);
        }
    }
}

fn rain(canvas: &mut Canvas<'_>, rng: &mut Rng, moment: &mut Rng) {
    let dark = rng.range(0.45, 0.75);
    canvas.light(|_, _, light| blend([grey(light); 3], light, 0.6).map(|l| l * dark + 0.01));
    fog(canvas, rng.range(0.25, 0.7), rng.range(130.0, 170.0));
    streaks(canvas, rng.range(-0.25, 0.25), rng.range(500.0, 1400.0), moment);
    let drops = rng.below(14) + 4;
    for _ in 0..drops {
        drop_on_glass(canvas, rng);
    }
}

/// Falling drops, each a thin bright line that leans so many pixels a row; one in so many pixels.
fn streaks(canvas: &mut Canvas<'_>, lean: f32, pixels: f32, moment: &mut Rng) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let many = (width * height / pixels) as usize;
    for _ in 0..many {
        let (mut x, mut y) = (moment.range(-0.1, 1.1) * width, moment.range(-0.1, 1.0) * height);
        let (length, strength) = (moment.range(0.02, 0.07) * height, moment.range(0.08, 0.3));
        for _ in 0..length as usize {
            canvas.mix_at(x, y, [215.0, 220.0, 225.0], strength);
            x += lean;
            y += 1.0;
        }
    }
}

/// A drop on the glass shows the picture around it upside down and unsharp: here the mean of its surroundings with a light rim.
fn drop_on_glass(canvas: &mut Canvas<'_>, rng: &mut Rng) {
    let radius = rng.range(0.008, 0.028) * canvas.height as f32;
    let (cx, cy) = (rng.unit() * canvas.width as f32, rng.unit() * canvas.height as f32);
    let mean: [f32; 3] = {
        let mut sum = [0.0; 3];
        for step in 0..16 {
            let angle = step as f32 * std::f32::consts::TAU / 16.0;
            let color = canvas.at(cx + 2.0 * radius * cos(angle), cy - 2.0 * radius * sin(angle));
            (0..3).for_each(|c| sum[c] += color[c] / 16.0);
        }
        sum
    };
    let rows = (2.0 * radius) as i32 + 2;
    for row in -rows..=rows {
        for column in -rows..=rows {
            let (dx, dy) = (column as f32, row as f32);
            let far = (dx * dx + dy * dy).sqrt() / radius;
            let inside = 1.0 - smoothstep(0.75, 1.05, far);
            if inside > 0.0 {
                let rim = smoothstep(0.5, 0.9, far) * if dy > 0.0 { 30.0 } else { -30.0 };
                canvas.mix_at(cx + dx, cy + dy, mean.map(|m| m + rim), 0.8 * inside);
            }
        }
    }
}

impl Canvas<'_> {
    /// The nearest pixel, that of the border outside.
    fn at(&self, x: f32, y: f32) -> [f32; 3] {
        let at = |v: f32, side: usize| (v.max(0.0) as usize).min(side - 1);
        let place = 3 * (at(y, self.height) * self.width + at(x, self.width));
        std::array::from_fn(|c| f32::from(self.rgb[place + c]))
    }

    /// Mixes a colour into the pixel there, if there is one.
    fn mix_at(&mut self, x: f32, y: f32, color: [f32; 3], share: f32) {
        if x < 0.0 || y < 0.0 || x >= self.width as f32 || y >= self.height as f32 {
            return;
        }
        let place = 3 * (y as usize * self.width + x as usize);
        for (value, new) in self.rgb[place..].iter_mut().zip(color) {
            let old = f32::from(*value);
            *value = (old + (new - old) * share + 0.5) as u8;
        }
    }
}

fn glare(canvas: &mut Canvas<'_>, rng: &mut Rng) {
    let aspect = canvas.width as f32 / canvas.height as f32;
    let sun = (rng.range(0.15, 0.85) * aspect, rng.range(0.05, HORIZON));
    let (core, veil) = (rng.range(0.03, 0.06), rng.range(0.15, 0.4));
    let dark = rng.range(0.35, 0.7); // the exposure follows the sun
    canvas.light(|u, v, light| {
        let (dx, dy) = (u * aspect - sun.0, v - sun.1);
        let far = dx * dx + dy * dy;
        let flare = 1.0 / (1.0 + far / (core * core)) + veil / (1.0 + far / 0.12);
        // Below the sun the road mirrors it.
        let streak = if dy > 0.0 {
            exp_neg(dx * dx / 0.006) * 0.35 * smoothstep(0.0, 0.2, dy) * grey(light)
        } else {
            0.0
        };
        std::array::from_fn(|c| light[c] * dark + (flare + streak) * [1.0, 0.95, 0.85][c])
    });
}

/// Every pixel becomes the mean along its way from the vanishing point during the exposure.
fn zoom(canvas: &mut Canvas<'_>, rng: &mut Rng) {
    const SAMPLES: usize = 12;
    let (width, height) = (canvas.width, canvas.height);
    let (cx, cy) = (rng.range(0.4, 0.6) * width as f32, HORIZON * height as f32);
    let way = rng.range(0.02, 0.06);
    let shake = (rng.range(-0.006, 0.006) * width as f32, rng.range(-0.006, 0.006) * height as f32);
    let mut sharp = canvas.rgb.to_vec();
    let from = Canvas {
        rgb: &mut sharp,
        width,
        height,
    };
    for y in 0..height {
        for x in 0..width {
            let mut sum = [0.5; 3];
            for step in 0..SAMPLES {
                let t = step as f32 / (SAMPLES - 1) as f32 - 0.5;
                let color = from.at(
                    x as f32 + (x as f32 - cx) * way * t + shake.0 * t + 0.5,
                    y as f32 + (y as f32 - cy) * way * t + shake.1 * t + 0.5,
                );
                (0..3).for_each(|c| sum[c] += color[c] / SAMPLES as f32);
            }
            let place = 3 * (y * width + x);
            (0..3).for_each(|c| canvas.rgb[place + c] = sum[c] as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scene, SceneOptions};

    const SIZE: (usize, usize) = (160, 120);

    fn street() -> Vec<u8> {
        Scene::new(7, &SceneOptions::default()).render(0.0, SIZE.0, SIZE.1).rgb
    }

    fn after(weather: Weather, seed: u64) -> Vec<u8> {
        let mut rgb = street();
        weather.apply(&mut rgb, SIZE.0, SIZE.1, seed);
        rgb
    }

    fn mean(rgb: &[u8]) -> f64 {
        rgb.iter().map(|v| f64::from(*v)).sum::<f64>() / rgb.len() as f64
    }

    /// Mean difference between neighbours in a row: how sharp it is.
    fn edges(rgb: &[u8]) -> f64 {
        let steps = rgb
            .chunks_exact(3 * SIZE.0)
            .flat_map(|row| row.iter().zip(&row[3..]).map(|(a, b)| f64::from(a.abs_diff(*b))));
        steps.sum::<f64>() / rgb.len() as f64
    }

    #[test]
    fn every_weather_is_the_same_for_a_seed_and_another_for_another() {
        for weather in Weather::ALL {
            assert_eq!(after(weather, 1), after(weather, 1), "{weather:?}");
            assert_ne!(after(weather, 1), after(weather, 2), "{weather:?}");
            assert_ne!(after(weather, 1), street(), "{weather:?}");
        }
    }

    #[test]
    fn each_does_what_its_name_says() {
        let (clear, rows) = (street(), 3 * SIZE.0);
        let sky = |rgb: &[u8]| rgb[..rows * 30].to_vec();
        let near = |rgb: &[u8]| rgb[rows * 110..].to_vec();
        for seed in 0..8 {
            assert!(mean(&after(Weather::Night, seed)) < 0.6 * mean(&clear));
            assert!(edges(&after(Weather::MotionBlur, seed)) < 0.9 * edges(&clear));
            let fog = after(Weather::Fog, seed);
            let change = |part: &dyn Fn(&[u8]) -> Vec<u8>| (edges(&part(&fog)) / edges(&part(&clear)).max(1e-9)).min(1.0);
            assert!(
                change(&sky) < 0.4 && change(&near) > change(&sky),
                "{} {}",
                change(&sky),
                change(&near)
            );
            let glare = after(Weather::Glare, seed);
            assert!(glare.iter().any(|v| *v >= 245) && edges(&glare) < edges(&clear));
            let rain = after(Weather::Rain, seed);
            assert!(mean(&rain) < mean(&clear) && edges(&sky(&rain)) < edges(&sky(&clear)));
        }
    }

    #[test]
    fn the_smallest_picture_is_no_problem() {
        for weather in Weather::ALL {
            weather.apply(&mut [10, 20, 30], 1, 1, 3);
            weather.apply(&mut [], 0, 0, 3);
        }
    }
}
