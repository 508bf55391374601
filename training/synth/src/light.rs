//! The light of a scene: sun, sky, cloud, haze, from noon to dusk.

use crate::math::{Rgb, V3, cos, exp_neg, floor, mix, plus, rgb, scale, sin, smoothstep, v3};
use crate::random::{Rng, fractal, noise};
use crate::{Daylight, SceneOptions};

/// All light is linear; 1 is what the camera shows as white before exposure.
#[derive(Debug, Clone)]
pub(crate) struct Light {
    /// Towards the sun.
    pub to_sun: V3,
    pub sun: Rgb,
    /// Light from the whole sky on a surface that looks up, and from the ground on one that looks down.
    pub from_above: Rgb,
    pub from_below: Rgb,
    zenith: Rgb,
    horizon: Rgb,
    pub haze: Rgb,
    /// Share of contrast lost per metre.
    pub haze_per_m: f32,
    cloud_cover: f32,
    cloud_light: Rgb,
    cloud_dark: Rgb,
    cloud_size: f32,
    cloud_shift: f32,
    glow: f32,
    /// 0 by day, 1 when lamps are on.
    pub dusk: f32,
    seed: u64,
    /// What closes the view behind the last houses: heights in units of the horizon's distance, and which labels.
    back: [Back; 3],
}

#[derive(Debug, Clone, Copy)]
struct Back {
    height: f32,
    rough: f32,
    /// Distance that the haze lies over, in metres.
    far_m: f32,
    step: f32,
    label: u8,
    color: Rgb,
    shift: f32,
}

/// No far layer rises higher than this, in units of its distance.
const HIGHEST_BACK: f32 = 0.2;

impl Light {
    pub fn new(seed: u64, options: &SceneOptions, motorway: bool) -> Self {
        let mut rng = Rng::of(seed, 3, 0);
        let day = match options.light {
            Daylight::Any => rng.pick(&[
                Daylight::Noon,
                Daylight::Noon,
                Daylight::Afternoon,
                Daylight::Afternoon,
                Daylight::Dusk,
            ]),
            chosen => chosen,
        };
        let overcast = rng.chance(if day == Daylight::Dusk { 0.5 } else { 0.28 });
        let (low, high) = match day {
            Daylight::Noon => (0.55, 1.1),
            Daylight::Afternoon => (0.18, 0.6),
            _ => (0.03, 0.16),
        };
        let elevation = rng.range(low, high);
        let azimuth = rng.range(-std::f32::consts::PI, std::f32::consts::PI);
        let to_sun = v3(sin(azimuth) * cos(elevation), sin(elevation), cos(azimuth) * cos(elevation)).unit();
        let warm = 1.0 - smoothstep(0.05, 0.6, elevation);
        let dusk = if day == Daylight::Dusk { rng.range(0.5, 1.0) } else { 0.0 };
        let sun_color = mix([1.0, 0.95, 0.88], [1.0, 0.62, 0.34], warm * rng.range(0.5, 1.0));
        let strength = if overcast {
            rng.range(0.0, 0.25)
        } else {
            rng.range(1.4, 2.8) * (1.0 - dusk * 0.72)
        };
        let blue = rng.pick(&[rgb(70, 118, 178), rgb(96, 146, 205), rgb(58, 98, 150), rgb(140, 175, 215)]);
        let pale = rng.pick(&[rgb(205, 218, 232), rgb(225, 228, 230), rgb(176, 200, 224), rgb(240, 240, 238)]);
        let burnt = rng.chance(if motorway { 0.15 } else { 0.6 }); // an overexposed sky, as cheap cameras show it
        let (mut zenith, mut horizon) = (blue, pale);
        if overcast {
            let grey = rng.range(0.5, 1.0);
            zenith = scale(rgb(185, 190, 198), grey);
            horizon = scale(rgb(228, 228, 228), grey);
        }
        if burnt {
            let k = rng.range(1.8, 3.6);
            zenith = scale(mix(zenith, horizon, rng.range(0.2, 0.9)), k);
            horizon = scale(horizon, k);
        }
        if dusk > 0.0 {
            zenith = scale(zenith, 1.0 - 0.6 * dusk);
            let orange = rng.pick(&[rgb(240, 180, 120), rgb(225, 165, 150), rgb(200, 200, 205)]);
            horizon = mix(scale(horizon, 1.0 - 0.5 * dusk), orange, rng.range(0.1, 0.6));
        }
        let ambient = scale(mix(zenith, horizon, 0.55), rng.range(0.42, 0.8) / if burnt { 2.4 } else { 1.0 });
        let cloud_cover = if overcast { rng.range(0.6, 1.0) } else { rng.range(-0.1, 0.55) };
        let cloud_top = if burnt { 2.0 } else { 1.05 };
        let hills = rng.chance(if motorway { 0.6 } else { 0.15 });
        let back = [0, 1, 2].map(|layer| {
            let tree = layer == 2 || rng.chance(if motorway { 0.85 } else { 0.5 });
            Back {
                height: if layer < 2 {
                    rng.range(0.01, 0.06)
                } else if hills {
                    rng.range(0.03, 0.1)
                } else {
                    0.0
                },
                rough: if layer == 2 {
                    0.03
                } else if tree {
                    rng.range(0.3, 0.9)
                } else {
                    0.0
                },
                far_m: if layer == 2 { rng.range(1200.0, 4000.0) } else { 350.0 },
                step: if tree { 0.0 } else { rng.range(0.02, 0.06) },
                label: if tree { 5 } else { 1 },
                color: if tree {
                    rng.pick(&[rgb(66, 78, 48), rgb(88, 92, 70), rgb(104, 96, 78)])
                } else {
                    rng.pick(&[rgb(120, 112, 104), rgb(150, 140, 128), rgb(92, 88, 88)])
                },
                shift: rng.range(0.0, 200.0),
            }
        });
        Self {
            to_sun,
            sun: scale(sun_color, strength),
            from_above: ambient,
            from_below: scale(plus(scale(ambient, 0.35), scale(sun_color, strength * 0.06)), rng.range(0.6, 1.0)),
            zenith,
            horizon,
            haze: mix(horizon, zenith, 0.25),
            haze_per_m: rng.range(0.0002, 0.0016) + if overcast { 0.0006 } else { 0.0 },
            cloud_cover,
            cloud_light: scale(mix([1.0; 3], horizon, 0.3), cloud_top * (1.0 - 0.6 * dusk)),
            cloud_dark: scale(mix(zenith, [0.5; 3], 0.5), rng.range(0.5, 0.9)),
            cloud_size: rng.range(0.5, 2.0),
            cloud_shift: rng.range(0.0, 200.0),
            glow: if overcast { 0.1 } else { rng.range(0.3, 1.2) },
            dusk,
            seed,
            back,
        }
    }

    /// The sky's own light along a ray; `drift` moves the clouds.
    pub fn sky(&self, ray: V3, drift: f32) -> Rgb {
        let dir = ray.unit();
        let up = dir.y.max(0.0);
        let t = 1.0 - exp_neg(up * 5.5);
        let mut color = mix(self.horizon, self.zenith, t);
        if self.cloud_cover > -0.05 {
            let k = self.cloud_size / (up + 0.12);
            let (x, z) = (dir.x * k + self.cloud_shift + drift, dir.z * k);
            let n = fractal(x * 1.6, z * 1.6, 0.004 * k, 4);
            let cover = smoothstep(0.62 - self.cloud_cover * 0.45, 0.85 - self.cloud_cover * 0.45, n);
            let shade = smoothstep(0.3, 0.75, fractal(x * 1.3 + 31.0, z * 1.3 + 9.0, 0.004 * k, 3));
            color = mix(color, mix(self.cloud_dark, self.cloud_light, shade), cover * 0.9);
        }
        let toward = dir.dot(self.to_sun).max(0.0);
        let t2 = toward * toward;
        let t8 = t2 * t2 * t2 * t2;
        let t64 = t8 * t8 * t8 * t8 * t8 * t8 * t8 * t8;
        plus(color, scale(self.sun, self.glow * (0.06 * t8 + 0.9 * t64 * t8)))
    }

    /// A cheap sky without clouds, for reflections.
    pub fn reflected(&self, dir: V3) -> Rgb {
        if dir.y >= 0.0 {
            mix(self.horizon, self.zenith, (dir.y * 2.0).min(1.0))
        } else {
            mix(scale(self.horizon, 0.35), scale(self.from_above, 0.12), (-dir.y * 6.0).min(1.0))
        }
    }

    /// Which far layer, if any, closes the view along a ray.
    fn layer(&self, ray: V3) -> Option<&Back> {
        let bearing = ray.x / ray.z.max(0.2);
        let rise = ray.y / ray.z.max(0.2);
        if rise > HIGHEST_BACK {
            return None;
        }
        self.back.iter().find(|b| {
            let x = bearing * 6.0 + b.shift;
            let wide = 0.45 + 0.9 * noise(x, b.shift);
            let top = if b.step > 0.0 {
                let cell = floor((bearing + b.shift) / b.step);
                b.height * (0.4 + 1.1 * crate::random::hash2(cell as i32, 7, self.seed as u32))
            } else {
                b.height * wide * (1.0 + b.rough * (noise(x * 14.0, 3.0) - 0.5 + 0.5 * (noise(x * 50.0, 5.0) - 0.5)))
            };
            rise < top
        })
    }

    /// The label of what lies behind everything.
    pub fn far_label(&self, ray: V3) -> u8 {
        self.layer(ray).map_or(0, |b| b.label)
    }

    /// The colour of what lies behind everything.
    pub fn far(&self, ray: V3, drift: f32) -> Rgb {
        match self.layer(ray) {
            None => self.sky(ray, drift),
            Some(b) => {
                let (x, y) = (ray.x / ray.z.max(0.2) * 90.0 + b.shift, ray.y / ray.z.max(0.2) * 90.0);
                let grain = 0.65 + 0.7 * noise(x * 1.3, y * 1.3) * noise(x * 3.1, y * 3.1 + 4.0);
                let lit = scale(b.color, 1.0);
                let light = plus(self.from_above, scale(self.sun, 0.3));
                let c = [lit[0] * light[0] * grain, lit[1] * light[1] * grain, lit[2] * light[2] * grain];
                mix(c, self.haze, 1.0 - exp_neg(b.far_m * self.haze_per_m * 0.6 + 0.05))
            }
        }
    }
}
