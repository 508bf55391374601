//! Renders labelled driving scenes: pictures and clips with a class id for every pixel, so that a model can be trained,
//! tested and shown without anybody's data.
//!
//! A [`Scene`] is a street with its light, its camera and everything on it, drawn from a seed. [`Scene::render`] is a
//! pure function of the scene, the time and the size, and gives the same bytes on every machine: all arithmetic is plain
//! IEEE, all random numbers come from our own generator, and nothing depends on the order in which threads finish.
//!
//! ```
//! use maskline_synth::{Scene, SceneOptions};
//! let picture = Scene::new(7, &SceneOptions::default()).render(0.0, 96, 72);
//! assert_eq!(picture.rgb.len(), 96 * 72 * 3);
//! assert!(picture.labels.iter().all(|id| *id < 12));
//! ```
//!
//! The class ids are those of [`maskline_models::classes::driving_classes`]. Bare trees and railings are labelled as a
//! whole, grass and hedges count as tree, parked bicycles and the own bonnet as void: the habits of CamVid's labels.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod camera;
pub mod cli;
pub mod clip;
mod lens;
mod light;
mod math;
pub mod pairs;
mod picture;
mod random;
mod raster;
mod road;
mod scene;
mod shade;
mod shadows;
pub mod sheet;
mod stage;
pub mod weather;
mod world;
mod y4m;

pub use clip::{ClipOptions, write_clip};
pub use pairs::{PairOptions, samples, write_pairs};
pub use picture::{Picture, Shares};
pub use scene::{Daylight, Layout, Scene, SceneOptions};
pub use weather::Weather;
