//! Changes a picture and its labels so that a net sees more than the data holds: scale, crop, flip and rotation as one warp,
//! then light, colour, blur and noise; then the pictures of a batch are mixed with each other. What is drawn depends on the random generator alone.

mod balanced;
mod colour;
mod mix;
mod warp;

pub use mix::Mix;
pub(crate) use mix::mix;

use crate::data::Sample;
use crate::defaults::is_default;
use crate::random::Random;
use maskline_synth::Weather;
use serde::{Deserialize, Serialize};
use warp::Affine;

/// `[augment]` of a training configuration. Every part can be switched off: by 0, `false`, or `[1.0, 1.0]` for the scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Augment {
    /// Width and height of what the net sees in training; the model's size where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<[u32; 2]>,
    /// Smallest and largest scale, drawn evenly on a logarithmic axis.
    pub scale: [f32; 2],
    /// Mirrors half of the pictures left to right.
    pub flip: bool,
    /// Largest rotation to either side, in degrees.
    pub rotate_degrees: f32,
    /// Largest relative change of brightness.
    pub brightness: f32,
    /// Largest relative change of contrast.
    pub contrast: f32,
    /// Largest relative change of saturation.
    pub saturation: f32,
    /// Largest relative change of each colour channel: the tint of the light.
    pub tint: f32,
    /// Largest relative change of the exponent of a gamma curve.
    pub gamma: f32,
    /// Share of the pictures that are blurred (standard deviation 0.4 to 1.6 pixels).
    pub blur: f32,
    /// Largest standard deviation of sensor noise, in steps of 0-255; half of the pictures get some.
    pub noise: f32,
    /// Share of the pictures over which hard weather is painted: night, rain, fog, glare or motion blur, each as often.
    pub weather: f32,
    /// Share of the pictures whose cut is centred on a pixel of a class that is drawn evenly over the classes of the picture.
    #[serde(skip_serializing_if = "is_default")]
    pub balanced: f32,
    /// How pictures of a batch are mixed with each other, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
    /// Share of the pictures that are mixed.
    pub mix_share: f32,
    /// Both parameters of the beta distribution that the share of the other picture is drawn from, in CutMix and mixup.
    pub mix_alpha: f32,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            crop: None,
            scale: [0.5, 2.0],
            flip: true,
            rotate_degrees: 4.0,
            brightness: 0.3,
            contrast: 0.3,
            saturation: 0.3,
            tint: 0.08,
            gamma: 0.2,
            blur: 0.15,
            noise: 6.0,
            weather: 0.0,
            balanced: 0.0,
            mix: None,
            mix_share: 0.5,
            mix_alpha: 1.0,
        }
    }
}

/// What is cut out of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Width of the result in pixels.
    pub width: usize,
    /// Height of the result in pixels.
    pub height: usize,
    /// Width and height that a whole sample is thought to have at scale 1.
    pub nominal: (usize, usize),
}

/// Where in its sequence a frame is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'s> {
    /// The first frame, which decides where to look.
    pub first: &'s Sample,
    /// The frame's number, from 0.
    pub frame: usize,
}

impl Augment {
    /// Nothing but the cut.
    pub fn none() -> Self {
        Self {
            crop: None,
            scale: [1.0, 1.0],
            flip: false,
            rotate_degrees: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            tint: 0.0,
            gamma: 0.0,
            blur: 0.0,
            noise: 0.0,
            weather: 0.0,
            balanced: 0.0,
            mix: None,
            mix_share: 0.5,
            mix_alpha: 1.0,
        }
    }

    /// Key, found and wanted of every value that is out of range.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut list = Vec::new();
        let [low, high] = self.scale;
        if !(low > 0.0 && low <= high && high <= 16.0) {
            list.push((
                "scale",
                format!("{:?}", self.scale),
                "two numbers above 0 and up to 16, the smaller first",
            ));
        }
        let shares = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
            ("tint", self.tint),
            ("gamma", self.gamma),
        ];
        for (key, value) in shares {
            if !(0.0..1.0).contains(&value) {
                list.push((key, value.to_string(), "0 up to but not including 1"));
            }
        }
        let shares = [
            ("blur", self.blur),
            ("weather", self.weather),
            ("balanced", self.balanced),
            ("mix_share", self.mix_share),
        ];
        for (key, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                list.push((key, value.to_string(), "0 to 1"));
            }
        }
        if !(0.0..=45.0).contains(&self.rotate_degrees) {
            list.push(("rotate_degrees", self.rotate_degrees.to_string(), "0 to 45"));
        }
        if !(0.0..=64.0).contains(&self.noise) {
            list.push(("noise", self.noise.to_string(), "0 to 64"));
        }
        let plain = Self::default();
        if self.mix.is_none() {
            for (key, value, of) in [
                ("mix_share", self.mix_share, plain.mix_share),
                ("mix_alpha", self.mix_alpha, plain.mix_alpha),
            ] {
                if value != of {
                    list.push((key, value.to_string(), "a mix beside it: classmix, cutmix or mixup"));
                }
            }
        }
        // Below, nearly all numbers are 0 or 1, and none is between.
        if !(0.05..=1.0).contains(&self.mix_alpha) {
            list.push(("mix_alpha", self.mix_alpha.to_string(), "0.05 to 1"));
        }
        list
    }

    /// Fills `rgb` (`3 * width * height` bytes) and `labels` (`width * height`) of the view from a changed sample. What lies
    /// outside the sample is grey and ignored.
    pub fn apply(&self, sample: &Sample, view: View, random: &mut Random, rgb: &mut [u8], labels: &mut [u8]) {
        let alone = Place { first: sample, frame: 0 };
        self.apply_in_sequence(sample, alone, view, random, rgb, labels);
    }

    /// The same to a frame of a sequence. With equal random generators all frames get the same cut, light, blur and weather; only the
    /// sensor's noise is another one in each.
    pub fn apply_in_sequence(&self, sample: &Sample, place: Place<'_>, view: View, random: &mut Random, rgb: &mut [u8], labels: &mut [u8]) {
        // Nothing is drawn where it is off: runs of before go on as they were.
        let hard = (self.weather > 0.0 && random.chance(self.weather)).then(|| in_weather(sample, random));
        let sample = hard.as_ref().unwrap_or(sample);
        let target = (self.balanced > 0.0 && random.chance(self.balanced)).then(|| balanced::pixel(place.first, random));
        let affine = self.draw_affine(sample, view, target.flatten(), random);
        warp::picture(sample, &affine, view.width, rgb);
        warp::labels(sample, &affine, view.width, labels);
        if random.chance(self.blur) {
            colour::blur(rgb, view.width, view.height, random.range(0.4, 1.6));
        }
        colour::light(self, random, rgb);
        if self.noise > 0.0 && random.chance(0.5) {
            let sigma = random.range(0.0, self.noise);
            let mut of_frame = (place.frame > 0).then(|| Random::of(&[random.bits(), place.frame as u64]));
            colour::noise(rgb, sigma, of_frame.as_mut().unwrap_or(random));
        }
    }

    /// With a `target` the view is centred on that pixel, as far as the limits below allow.
    fn draw_affine(&self, sample: &Sample, view: View, target: Option<(usize, usize)>, random: &mut Random) -> Affine {
        let [low, high] = self.scale;
        let scale = (random.range(low.ln(), high.ln())).exp();
        let angle = random.range(-self.rotate_degrees, self.rotate_degrees).to_radians();
        let mirror = random.chance(0.5) && self.flip;
        // Pixels of the sample per pixel of the view.
        let step_x = sample.width as f32 / (view.nominal.0 as f32 * scale);
        let step_y = sample.height as f32 / (view.nominal.1 as f32 * scale);
        let (seen_x, seen_y) = (step_x * view.width as f32, step_y * view.height as f32);
        // The window lies inside the sample if it is smaller, else the sample inside the window.
        let mut shift = |target: Option<usize>, side: usize, seen: f32| {
            let free = side as f32 - seen;
            match target {
                Some(at) => (at as f32 + 0.5 - side as f32 / 2.0).clamp(-free.abs() / 2.0, free.abs() / 2.0),
                None => free * (random.unit() - 0.5),
            }
        };
        let shift_x = shift(target.map(|(x, _)| x), sample.width, seen_x);
        let shift_y = shift(target.map(|(_, y)| y), sample.height, seen_y);
        Affine::around(
            (sample.width as f32 / 2.0 + shift_x, sample.height as f32 / 2.0 + shift_y),
            (view.width as f32 / 2.0, view.height as f32 / 2.0),
            (if mirror { -step_x } else { step_x }, step_y),
            angle,
        )
    }
}

/// The sample in one of the hard weathers.
fn in_weather(sample: &Sample, random: &mut Random) -> Sample {
    let mut changed = sample.clone();
    let weather = Weather::ALL[random.below(Weather::ALL.len())];
    weather.apply(&mut changed.rgb, sample.width, sample.height, random.bits());
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::IGNORE;

    fn sample() -> Sample {
        let (width, height) = (24, 16);
        let rgb = (0..width * height)
            .flat_map(|i| [(i % width * 10) as u8, (i / width * 15) as u8, 90])
            .collect();
        let labels = (0..width * height).map(|i| u8::from(i % width >= 12)).collect();
        Sample {
            name: "gradient".into(),
            width,
            height,
            rgb,
            labels,
        }
    }

    fn apply(augment: &Augment, view: View, seed: u64) -> (Vec<u8>, Vec<u8>) {
        let (mut rgb, mut labels) = (vec![0; 3 * view.width * view.height], vec![0; view.width * view.height]);
        augment.apply(&sample(), view, &mut Random::of(&[seed]), &mut rgb, &mut labels);
        (rgb, labels)
    }

    const WHOLE: View = View {
        width: 24,
        height: 16,
        nominal: (24, 16),
    };

    #[test]
    fn with_everything_off_a_sample_passes_unchanged() {
        assert_eq!(apply(&Augment::none(), WHOLE, 1), (sample().rgb, sample().labels));
    }

    #[test]
    fn the_same_seed_gives_the_same_picture_and_another_seed_another() {
        let augment = Augment::default();
        assert_eq!(apply(&augment, WHOLE, 5), apply(&augment, WHOLE, 5));
        assert_ne!(apply(&augment, WHOLE, 5), apply(&augment, WHOLE, 6));
    }

    #[test]
    fn a_flip_mirrors_picture_and_labels_together() {
        let augment = Augment {
            flip: true,
            ..Augment::none()
        };
        let flipped = (1..20)
            .map(|seed| apply(&augment, WHOLE, seed))
            .find(|(_, labels)| labels[0] == 1)
            .unwrap();
        for y in 0..16 {
            for x in 0..24 {
                assert_eq!(flipped.1[y * 24 + x], sample().labels[y * 24 + 23 - x]);
                assert_eq!(flipped.0[(y * 24 + x) * 3], sample().rgb[(y * 24 + 23 - x) * 3]);
            }
        }
    }

    #[test]
    fn a_crop_shows_labels_that_belong_to_its_pixels() {
        let view = View {
            width: 8,
            height: 8,
            nominal: (24, 16),
        };
        let augment = Augment {
            scale: [0.8, 2.0],
            rotate_degrees: 10.0,
            ..Augment::none()
        };
        for seed in 0..50 {
            let (rgb, labels) = apply(&augment, view, seed);
            for (pixel, label) in rgb.chunks_exact(3).zip(&labels).filter(|(_, l)| **l != IGNORE) {
                // red is 10 * x and class 1 begins at x = 12; nearest and bilinear may differ by a pixel at the border
                assert!(
                    (pixel[0] >= 105 || *label == 0) && (pixel[0] <= 125 || *label == 1),
                    "{seed} {pixel:?} {label}"
                );
            }
        }
    }

    #[test]
    fn what_lies_outside_the_sample_is_ignored() {
        let augment = Augment {
            scale: [0.5, 0.5],
            ..Augment::none()
        };
        let (_, labels) = apply(&augment, WHOLE, 3);
        assert_eq!(labels.iter().filter(|l| **l != IGNORE).count(), 12 * 8);
    }

    #[test]
    fn shrinking_averages_instead_of_skipping_pixels() {
        let mut stripes = sample();
        stripes.rgb = (0..24 * 16).flat_map(|i| [if i % 2 == 0 { 0 } else { 200 }; 3]).collect();
        let view = View {
            width: 12,
            height: 8,
            nominal: (12, 8),
        };
        let (mut rgb, mut labels) = (vec![0; 3 * 96], vec![0; 96]);
        Augment::none().apply(&stripes, view, &mut Random::of(&[1]), &mut rgb, &mut labels);
        assert!(rgb.iter().all(|v| (90..=110).contains(v)), "{rgb:?}");
    }

    #[test]
    fn weather_changes_the_picture_and_not_the_labels() {
        let augment = Augment {
            weather: 1.0,
            ..Augment::none()
        };
        let (rgb, labels) = apply(&augment, WHOLE, 4);
        assert_ne!(rgb, sample().rgb);
        assert_eq!(labels, sample().labels);
        let never = Augment {
            weather: 2.0,
            ..Augment::none()
        };
        assert_eq!(never.problems()[0].0, "weather");
    }

    #[test]
    fn a_balanced_crop_has_the_rare_class_in_its_middle() {
        let mut sample = sample();
        sample.labels.fill(0);
        sample.labels[5 * 24 + 9] = 7;
        let view = View {
            width: 5,
            height: 5,
            nominal: (24, 16),
        };
        let augment = Augment {
            balanced: 1.0,
            flip: true,
            ..Augment::none()
        };
        let centred = |balanced: f32| {
            let augment = Augment {
                balanced,
                ..augment.clone()
            };
            let mut labels = vec![0; 25];
            let centre = |seed| {
                augment.apply(&sample, view, &mut Random::of(&[seed]), &mut [0; 75], &mut labels);
                labels[12]
            };
            (0..100).map(centre).filter(|label| *label == 7).count()
        };
        assert!((30..70).contains(&centred(1.0)), "{}", centred(1.0)); // the other half looks at class 0
        assert!(centred(0.0) < 5, "{}", centred(0.0));
    }

    #[test]
    fn frames_of_a_sequence_differ_by_their_noise_alone() {
        let frame = |augment: &Augment, number| {
            let (mut rgb, mut labels) = (vec![0; 3 * 24 * 16], vec![0; 24 * 16]);
            // a seed whose draw has noise
            let place = Place {
                first: &sample(),
                frame: number,
            };
            augment.apply_in_sequence(&sample(), place, WHOLE, &mut Random::of(&[5]), &mut rgb, &mut labels);
            (rgb, labels)
        };
        let quiet = Augment {
            noise: 0.0,
            ..Augment::default()
        };
        assert_eq!(frame(&quiet, 0), frame(&quiet, 3));
        let noisy = (0..4).map(|number| frame(&Augment::default(), number)).collect::<Vec<_>>();
        assert_eq!(noisy[0].1, noisy[3].1);
        assert!(noisy[0].0 != noisy[1].0 && noisy[1].0 != noisy[2].0, "each has noise of its own");
        assert_eq!(noisy[0], apply(&Augment::default(), WHOLE, 5));
    }

    #[test]
    fn light_and_noise_leave_labels_alone() {
        let augment = Augment {
            scale: [1.0, 1.0],
            flip: false,
            rotate_degrees: 0.0,
            ..Augment::default()
        };
        let (rgb, labels) = apply(&augment, WHOLE, 4);
        assert_ne!(rgb, sample().rgb);
        assert_eq!(labels, sample().labels);
    }
}
