//! What a real camera adds: bonnet, reflections in the windscreen, blur, vignette, exposure, colour, noise, compression.

use crate::math::{Rgb, mix, rgb, scale, smoothstep};
use crate::random::{Rng, fractal, mix64, noise};
use crate::{Layout, SceneOptions};

/// The fixed traits of a scene's camera.
#[derive(Debug, Clone)]
pub(crate) struct Lens {
    exposure: f32,
    balance: Rgb,
    /// Blends from a plain curve to an S-shaped one.
    contrast: f32,
    gamma: f32,
    saturation: f32,
    vignette: f32,
    noise: f32,
    /// Gain on the difference of a pixel's luma from its neighbours'.
    sharpen: f32,
    /// Blur in pixels of a 480 pixel wide picture.
    blur: f32,
    /// Smear by the own motion, as a share of the distance to the vanishing point.
    smear: f32,
    chroma_blur: bool,
    fringe: f32,
    veil: f32,
    black: f32,
    bonnet: Option<Bonnet>,
    reflection: f32,
    seed: u64,
}

/// What development needs to know of one frame.
pub(crate) struct Shot {
    pub width: usize,
    pub height: usize,
    /// Light of the sky, which veils and reflects.
    pub sky: Rgb,
    /// Scales the smear.
    pub speed_m_s: f32,
    /// Varies the grain.
    pub frame_seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bonnet {
    top: f32,
    curve: f32,
    skew: f32,
    color: Rgb,
    gloss: f32,
}

impl Lens {
    pub fn new(seed: u64, _options: &SceneOptions, layout: Layout) -> Self {
        let mut rng = Rng::of(seed, 5, 0);
        let bonnet = rng.chance(if layout == Layout::Motorway { 0.55 } else { 0.25 }).then(|| Bonnet {
            top: rng.range(0.87, 0.985),
            curve: rng.range(0.0, 0.12),
            skew: rng.range(-0.12, 0.12),
            color: scale(
                rng.pick(&[
                    rgb(30, 32, 36),
                    rgb(200, 204, 206),
                    rgb(120, 60, 50),
                    rgb(20, 20, 22),
                    rgb(70, 80, 100),
                    rgb(150, 150, 150),
                ]),
                rng.range(0.6, 1.1),
            ),
            gloss: rng.range(0.0, 0.5),
        });
        let cool = rng.range(-0.09, 0.09);
        let green = rng.range(-0.03, 0.03);
        Self {
            exposure: if layout == Layout::Motorway {
                rng.range(0.7, 1.4)
            } else {
                rng.range(0.55, 1.25)
            },
            sharpen: if rng.chance(0.6) { rng.range(0.2, 1.3) } else { 0.0 },
            balance: [1.0 - cool, 1.0 + green, 1.0 + cool],
            contrast: rng.range(0.1, 1.1),
            gamma: rng.range(-0.12, 0.12),
            saturation: rng.range(0.7, 1.35),
            vignette: rng.range(0.0, 0.45),
            noise: rng.range(0.002, 0.022),
            blur: if rng.chance(0.45) { rng.range(0.3, 1.0) } else { 0.0 },
            smear: if rng.chance(0.35) { rng.range(0.004, 0.02) } else { 0.0 },
            chroma_blur: rng.chance(0.7),
            fringe: if rng.chance(0.3) { rng.range(0.0005, 0.002) } else { 0.0 },
            veil: if rng.chance(0.4) { rng.range(0.0, 0.07) } else { 0.0 },
            black: rng.range(0.0, 0.012),
            bonnet,
            reflection: if rng.chance(0.2) { rng.range(0.03, 0.2) } else { 0.0 },
            seed,
        }
    }

    /// Develops linear colours into bytes, and labels the own bonnet.
    pub fn develop(&self, colors: &mut Vec<Rgb>, labels: &mut [u8], shot: &Shot) -> Vec<u8> {
        let Shot {
            width,
            height,
            sky,
            speed_m_s,
            frame_seed,
        } = *shot;
        self.own_car(colors, labels, width, height, sky);
        let smear = self.smear * (speed_m_s / 15.0).min(1.5);
        if smear > 0.002 || self.fringe > 0.0 {
            *colors = self.radial(colors, width, height, smear);
        }
        let blur = self.blur * width as f32 / 480.0;
        if blur > 0.25 {
            soften(colors, width, height, blur);
        }
        self.encode(colors, width, height, sky, frame_seed)
    }

    fn own_car(&self, colors: &mut [Rgb], labels: &mut [u8], width: usize, height: usize, sky: Rgb) {
        let Some(b) = self.bonnet else { return };
        let first = ((b.top - 0.08) * height as f32).max(0.0) as usize;
        for row in first..height {
            let y = (row as f32 + 0.5) / height as f32;
            for column in 0..width {
                let x = (column as f32 + 0.5) / width as f32 * 2.0 - 1.0;
                let edge = b.top + b.curve * x * x * (0.6 + 0.8 * x * x) + b.skew * x * 0.25;
                let depth = (y - edge) * height as f32;
                if depth < -0.5 {
                    continue;
                }
                let at = row * width + column;
                let fold = 0.8 + 0.4 * noise(x * 3.0 + 5.0, (y - edge) * 14.0);
                let shine = scale(sky, b.gloss * smoothstep(0.09, 0.0, y - edge) * (0.4 + 0.6 * noise(x * 2.0, 8.0)));
                let body = scale(b.color, fold * 0.5);
                let color = [body[0] + shine[0], body[1] + shine[1], body[2] + shine[2]];
                colors[at] = mix(colors[at], color, (depth + 0.5).clamp(0.0, 1.0));
                if depth >= 0.0 {
                    labels[at] = crate::world::id::VOID;
                }
            }
        }
    }

    /// Smear away from the vanishing point, and red and blue a little apart.
    fn radial(&self, colors: &[Rgb], width: usize, height: usize, smear: f32) -> Vec<Rgb> {
        let (cx, cy) = (width as f32 * 0.5, height as f32 * 0.47);
        let at = |x: f32, y: f32| {
            let (x, y) = (x.clamp(0.0, (width - 1) as f32), y.clamp(0.0, (height - 1) as f32));
            colors[(y + 0.5) as usize * width + (x + 0.5) as usize]
        };
        let taps: &[f32] = if smear > 0.002 { &[-1.5, -0.5, 0.5, 1.5] } else { &[0.0] };
        let mut out = Vec::with_capacity(colors.len());
        for row in 0..height {
            for column in 0..width {
                let (dx, dy) = (column as f32 - cx, row as f32 - cy);
                // What is below the horizon is near, and smears most.
                let k = smear * if dy > 0.0 { (dy / cy).min(1.0) } else { 0.3 };
                let mut sum = [0.0; 3];
                for t in taps {
                    for (c, s) in sum.iter_mut().enumerate() {
                        let f = 1.0 + k * t + (c as f32 - 1.0) * self.fringe;
                        *s += at(cx + dx * f, cy + dy * f)[c];
                    }
                }
                out.push(scale(sum, 1.0 / taps.len() as f32));
            }
        }
        out
    }

    fn encode(&self, colors: &[Rgb], width: usize, height: usize, sky: Rgb, frame_seed: u64) -> Vec<u8> {
        let mut coded = Vec::with_capacity(width * height); // luma and two colour differences
        let mut grain = Rng::new(mix64(frame_seed ^ self.seed));
        for row in 0..height {
            let y = (row as f32 + 0.5) / height as f32 * 2.0 - 1.0;
            for column in 0..width {
                let x = (column as f32 + 0.5) / width as f32 * 2.0 - 1.0;
                let mut c = colors[row * width + column];
                let fall = 1.0 - self.vignette * (x * x + y * y) * 0.5;
                let mut veil = self.veil;
                if self.reflection > 0.0 {
                    // The dashboard mirrored in the glass: broad soft shapes over the lower part.
                    let shape = smoothstep(
                        0.45,
                        0.62,
                        fractal(x * 0.8 + (self.seed & 31) as f32, (y + x * x * 0.25) * 1.8, 0.01, 2),
                    );
                    veil += self.reflection * shape * smoothstep(-0.6, 0.5, y);
                }
                for k in 0..3 {
                    c[k] = (c[k] * fall + veil * sky[k].min(1.2)) * self.exposure * self.balance[k];
                }
                coded.push(self.tone(c, &mut grain));
            }
        }
        let mut out = vec![0u8; width * height * 3];
        for row in 0..height {
            let (above, below) = (row.saturating_sub(1) * width, (row + 1).min(height - 1) * width);
            for column in 0..width {
                let (left, right) = (row * width + column.saturating_sub(1), row * width + (column + 1).min(width - 1));
                let at = row * width + column;
                let [mut l, mut u, mut v] = coded[at];
                if self.sharpen > 0.0 {
                    let around = coded[left][0] + coded[right][0] + coded[above + column][0] + coded[below + column][0];
                    l += self.sharpen * (l - 0.25 * around);
                }
                if self.chroma_blur {
                    u = 0.25 * (coded[left][1] + 2.0 * u + coded[right][1]);
                    v = 0.25 * (coded[left][2] + 2.0 * v + coded[right][2]);
                }
                let (r, b) = (l + u, l + v);
                let g = l - (0.299 * u + 0.114 * v) / 0.587;
                for (k, c) in [r, g, b].into_iter().enumerate() {
                    out[at * 3 + k] = (c.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
                }
            }
        }
        out
    }

    /// Linear light to (luma, red - luma, blue - luma), with the camera's curve and grain.
    fn tone(&self, c: Rgb, grain: &mut Rng) -> [f32; 3] {
        let e = c.map(|v| {
            let v = v.max(0.0) + self.black;
            let v = if v > 0.7 {
                0.7 + 0.3 * (v - 0.7) / (v - 0.7 + 0.3) * (1.0 + 0.25 * (v - 0.7).min(1.0))
            } else {
                v
            };
            let s = v.min(1.0).sqrt();
            let s = s + self.gamma * s * (1.0 - s) * 2.0;
            s + (s * s * (3.0 - 2.0 * s) - s) * self.contrast
        });
        let l = 0.299 * e[0] + 0.587 * e[1] + 0.114 * e[2];
        let bits = grain.next();
        let n = |shift: u32| ((bits >> shift & 0xff) + (bits >> (shift + 8) & 0xff)) as f32 / 255.0 - 1.0;
        let amount = self.noise * (1.6 - l);
        [
            l + n(0) * amount * 1.6,
            (e[0] - l) * self.saturation + n(16) * amount,
            (e[2] - l) * self.saturation + n(32) * amount,
        ]
    }
}

/// A small symmetric blur: one pass of (k, 1 - 2k, k) each way for every pixel of radius or part of it.
fn soften(colors: &mut [Rgb], width: usize, height: usize, radius: f32) {
    let mut left = radius * radius; // variance in square pixels
    while left > 0.02 {
        let k = (left * 0.5).min(0.3);
        left -= 2.0 * k;
        for line in colors.chunks_exact_mut(width) {
            let mut before = line[0];
            for i in 0..width {
                let (here, after) = (line[i], line[(i + 1).min(width - 1)]);
                for c in 0..3 {
                    line[i][c] = here[c] * (1.0 - 2.0 * k) + (before[c] + after[c]) * k;
                }
                before = here;
            }
        }
        let mut above: Vec<Rgb> = colors[..width].to_vec();
        for row in 0..height {
            let next = (row + 1).min(height - 1) * width;
            for i in 0..width {
                let (here, after) = (colors[row * width + i], colors[next + i]);
                for c in 0..3 {
                    colors[row * width + i][c] = here[c] * (1.0 - 2.0 * k) + (above[i][c] + after[c]) * k;
                }
                above[i] = here;
            }
        }
    }
}

/// The steady shake of a camera on a car: offsets in radians of yaw, pitch and roll.
pub(crate) fn shake(seed: u64, time: f32, strength: f32) -> [f32; 3] {
    let phase = ((seed >> 7) & 255) as f32;
    let wobble = |rate: f32, k: f32| noise(time * rate + phase, k) * 2.0 - 1.0;
    [
        strength * 0.4 * wobble(1.1, 3.0),
        strength * (wobble(2.3, 9.0) + 0.5 * wobble(7.0, 5.0)),
        strength * 0.7 * wobble(1.7, 21.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softening_keeps_the_mean_away_from_the_rim() {
        let mut picture = vec![[0.0; 3]; 21 * 21];
        picture[10 * 21 + 10] = [1.0; 3];
        soften(&mut picture, 21, 21, 1.2);
        let sum: f32 = picture.iter().map(|c| c[0]).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        assert!(picture[10 * 21 + 10][0] < 0.3 && picture[10 * 21 + 9][0] > 0.05);
        assert!((picture[10 * 21 + 9][0] - picture[9 * 21 + 10][0]).abs() < 1e-6);
    }
}
