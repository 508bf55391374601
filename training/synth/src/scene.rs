//! A scene: everything that a seed decides, and the picture of it at a time.

use crate::camera::Camera;
use crate::lens::{self, Lens, Shot};
use crate::light::Light;
use crate::math::{sin, v3};
use crate::picture::Picture;
use crate::random::{Rng, mix64};
use crate::raster;
use crate::road::Road;
use crate::shade::Painter;
use crate::shadows::Shadows;
use crate::stage::Stage;
use crate::weather::Weather;
use crate::world::Builder;

/// What kind of street.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Layout {
    /// Drawn by the seed.
    #[default]
    Any,
    /// Rows of houses and shops, pavements, parked cars.
    City,
    /// Detached houses, gardens, hedges.
    Suburb,
    /// Many lanes, barriers, gantries, no pavement.
    Motorway,
}

/// Where the sun stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Daylight {
    /// Drawn by the seed.
    #[default]
    Any,
    /// High sun.
    Noon,
    /// Low warm sun, long shadows.
    Afternoon,
    /// The sun at the horizon, lamps on.
    Dusk,
}

/// What the seed shall not decide.
#[derive(Debug, Clone)]
pub struct SceneOptions {
    /// Kind of street.
    pub layout: Layout,
    /// Where the sun stands.
    pub light: Daylight,
    /// Factor on the number of vehicles, people and signs; 1 is usual, 0 an empty street.
    pub clutter: f32,
    /// Hard weather over it; a clear day without.
    pub weather: Option<Weather>,
}

impl Default for SceneOptions {
    fn default() -> Self {
        Self {
            layout: Layout::Any,
            light: Daylight::Any,
            clutter: 1.0,
            weather: None,
        }
    }
}

/// The car that carries the camera.
#[derive(Debug, Clone)]
pub(crate) struct Ego {
    pub lane: usize,
    pub speed: f32,
    start: f32,
    surge: [f32; 2],
    height: f32,
    offset: f32,
    yaw: f32,
    pitch: f32,
    roll: f32,
    focal: f32,
    shake: f32,
}

impl Ego {
    fn new(seed: u64, road: &Road) -> Self {
        let mut rng = Rng::of(seed, 4, 0);
        let motorway = road.layout == Layout::Motorway;
        let speed = if motorway {
            rng.range(20.0, 33.0)
        } else if rng.chance(0.12) {
            0.0
        } else {
            rng.range(4.0, 14.0)
        };
        let focal = if motorway { rng.range(0.85, 1.4) } else { rng.range(0.95, 1.5) };
        let horizon = if motorway { rng.range(0.38, 0.56) } else { rng.range(0.42, 0.57) }; // share of the picture above the horizon
        let glance = if !motorway && rng.chance(0.12) {
            rng.range(0.2, 0.55) * rng.sign()
        } else {
            0.0
        };
        Self {
            lane: rng.below(road.own_lanes),
            speed,
            start: rng.range(40.0, 2000.0),
            surge: [rng.range(0.2, 0.5), rng.range(0.0, 6.3)],
            height: if rng.chance(0.12) {
                rng.range(1.7, 2.3)
            } else {
                rng.range(1.15, 1.6)
            },
            offset: rng.range(-0.35, 0.35),
            yaw: rng.range(-0.06, 0.06) + glance,
            pitch: (horizon - 0.5) / focal,
            roll: rng.range(-0.015, 0.015),
            focal,
            shake: rng.range(0.0005, 0.004),
        }
    }

    /// Distance driven along the street since time 0.
    pub fn way(&self, time: f32) -> f32 {
        // The surge never turns the car round: 0.35 < 1.
        self.speed * (time + 0.35 / self.surge[0] * (sin(time * self.surge[0] + self.surge[1]) - sin(self.surge[1])))
    }
}

/// A street with its light, camera and traffic, drawn from a seed.
#[derive(Debug, Clone)]
pub struct Scene {
    pub(crate) seed: u64,
    pub(crate) options: SceneOptions,
    pub(crate) ego: Ego,
    road: Road,
    light: Light,
    lens: Lens,
}

/// How far the street is built behind the camera and before it, in metres.
const BEHIND_M: f32 = 30.0;
const AHEAD_M: f32 = 420.0;

impl Scene {
    /// Draws a scene. The same seed and options give the same scene for ever within a version of this crate.
    pub fn new(seed: u64, options: &SceneOptions) -> Self {
        let seed = mix64(seed.wrapping_add(0x5ce_e5eed));
        let road = Road::new(seed, options);
        let motorway = road.layout == Layout::Motorway;
        let light = Light::new(seed, options, motorway);
        let lens = Lens::new(seed, options, road.layout);
        let ego = Ego::new(seed, &road);
        Self {
            seed,
            options: options.clone(),
            ego,
            road,
            light,
            lens,
        }
    }

    /// The kind of street that was drawn; never [`Layout::Any`].
    pub fn layout(&self) -> Layout {
        self.road.layout
    }

    /// The picture at `time_s` seconds and its labels, row by row. Pure in its arguments.
    ///
    /// # Panics
    /// If a side is 0 or over 16384.
    pub fn render(&self, time_s: f64, width: usize, height: usize) -> Picture {
        assert!(
            (1..=16384).contains(&width) && (1..=16384).contains(&height),
            "size is {width}x{height}, wanted 1 to 16384 each way"
        );
        let time = time_s as f32;
        let camera = self.camera(time, width, height);
        let (from, to) = (camera.at.z - BEHIND_M, camera.at.z + AHEAD_M);
        let mut builder = Builder {
            stage: Stage::new(&camera),
            road: &self.road,
            light: &self.light,
            scene: self,
            facades: Vec::new(),
            shadows: Shadows::new(from - 60.0, to, self.road.front),
            junctions: self.road.junctions(from - 20.0, to),
            from,
            to,
            time,
        };
        builder.build();
        let Builder {
            stage,
            facades,
            shadows,
            junctions,
            ..
        } = builder;
        let painter = Painter {
            camera: &camera,
            light: &self.light,
            road: &self.road,
            facades,
            junctions,
            shadows,
            drift: time * 0.004,
        };
        let (mut colors, mut labels) = raster::draw(&stage, &painter, width, height);
        let sky = self.light.reflected(v3(0.0, 0.5, 0.8));
        let frame_seed = (time_s * 1000.0) as i64 as u64;
        let mut rgb = self.lens.develop(
            &mut colors,
            &mut labels,
            &Shot {
                width,
                height,
                sky,
                speed_m_s: self.ego.speed,
                frame_seed,
            },
        );
        if let Some(weather) = self.options.weather {
            weather.apply_to_frame(&mut rgb, width, height, self.seed, frame_seed as i64);
        }
        Picture {
            width,
            height,
            rgb,
            labels,
        }
    }

    fn camera(&self, time: f32, width: usize, height: usize) -> Camera {
        let ego = &self.ego;
        let z = ego.start + ego.way(time);
        let d = self.road.own_lane(ego.lane) + ego.offset + 0.12 * sin(time * 0.5 + ego.offset * 9.0);
        let at = self.road.point(d, ego.height, z);
        let [yaw, pitch, roll] = lens::shake(self.seed, time, ego.shake * (0.2 + ego.speed / 12.0).min(2.0));
        // Atan of a small slope.
        let slope = self.road.slope(z + 4.0);
        let turn = slope - slope * slope * slope / 3.0;
        Camera::new(
            at,
            ego.yaw + turn + yaw,
            ego.pitch + self.road.climb(z) + pitch,
            ego.roll + roll,
            ego.focal,
            width,
            height,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendering_twice_gives_the_same_bytes_and_another_seed_others() {
        let scene = Scene::new(11, &SceneOptions::default());
        let first = scene.render(1.5, 120, 90);
        assert_eq!(first, scene.render(1.5, 120, 90));
        assert_ne!(first.rgb, Scene::new(12, &SceneOptions::default()).render(1.5, 120, 90).rgb);
    }

    #[test]
    fn a_frame_and_its_labels_are_the_same_on_every_machine() {
        // Changes whenever the looks of a scene change: then look at the sheet, and put the new value here.
        let mut sum = 0u64;
        for (seed, layout) in [(1, Layout::City), (2, Layout::Suburb), (3, Layout::Motorway)] {
            let scene = Scene::new(
                seed,
                &SceneOptions {
                    layout,
                    ..SceneOptions::default()
                },
            );
            let picture = scene.render(2.0, 160, 120);
            for byte in picture.rgb.iter().chain(&picture.labels) {
                sum = mix64(sum ^ u64::from(*byte)).wrapping_add(1);
            }
        }
        assert_eq!(sum, 0xf2a04d2c77c5d653, "the picture has changed: {sum:#x}");
    }

    #[test]
    fn the_road_moves_towards_a_driving_camera() {
        let options = SceneOptions {
            layout: Layout::Motorway,
            light: Daylight::Noon,
            ..SceneOptions::default()
        };
        let scene = Scene::new(5, &options);
        let (a, b) = (scene.render(0.0, 160, 120), scene.render(0.5, 160, 120));
        let moved = a.labels.iter().zip(&b.labels).filter(|(x, y)| x != y).count();
        assert!(moved > 100, "{moved} labels changed in half a second");
    }

    #[test]
    fn the_way_never_runs_backwards() {
        for seed in 0..50 {
            let scene = Scene::new(seed, &SceneOptions::default());
            let ways: Vec<f32> = (0..400).map(|k| scene.ego.way(k as f32 * 0.1)).collect();
            assert!(ways.windows(2).all(|w| w[1] >= w[0] - 1e-3), "seed {seed}");
        }
    }

    #[test]
    fn an_empty_street_has_no_traffic() {
        let options = SceneOptions {
            layout: Layout::City,
            light: Daylight::Noon,
            clutter: 0.0,
            weather: None,
        };
        for seed in 0..4 {
            let picture = Scene::new(seed, &options).render(0.0, 160, 120);
            assert!(!picture.labels.iter().any(|id| (8..=10).contains(id)), "seed {seed}");
        }
    }
}
