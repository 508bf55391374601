//! Puts the things of a scene on the stage, for the stretch of street that the camera sees.

mod buildings;
mod furniture;
mod ground;
mod lorry;
mod motorway;
mod people;
mod traffic;
mod trees;
mod vehicle;

use crate::light::Light;
use crate::math::{Rgb, V3, rgb};
use crate::road::{Junction, Road};
use crate::shade::Facade;
use crate::shadows::Shadows;
use crate::stage::Stage;
use crate::{Layout, Scene};

/// Ids of the classes; the names stand in `maskline_models::classes::driving_classes`.
pub(crate) mod id {
    pub const BUILDING: u8 = 1;
    pub const POLE: u8 = 2;
    pub const TREE: u8 = 5;
    pub const SIGN: u8 = 6;
    pub const FENCE: u8 = 7;
    pub const CAR: u8 = 8;
    pub const PEDESTRIAN: u8 = 9;
    pub const BICYCLIST: u8 = 10;
    pub const VOID: u8 = 11;
}

/// A frame under construction.
pub(crate) struct Builder<'a, 'c> {
    pub stage: Stage<'c>,
    pub road: &'a Road,
    pub light: &'a Light,
    pub scene: &'a Scene,
    pub facades: Vec<Facade>,
    pub shadows: Shadows,
    pub junctions: Vec<Junction>,
    /// The stretch that is built, in metres along the street.
    pub from: f32,
    pub to: f32,
    pub time: f32,
}

impl Builder<'_, '_> {
    /// Everything, in the order that settles equal depths.
    pub fn build(&mut self) {
        self.ground();
        if self.road.layout == Layout::Motorway {
            self.motorway();
        } else {
            self.houses();
            self.furniture();
            self.people();
        }
        self.vegetation();
        self.traffic();
    }

    /// Distance from the camera along the street.
    pub fn ahead(&self, z: f32) -> f32 {
        z - self.stage.camera.at.z
    }

    /// Whether `z` lies in a junction with an opening on that side, `margin` metres wider.
    pub fn in_mouth(&self, side: usize, z: f32, margin: f32) -> bool {
        self.junctions.iter().any(|j| j.sides[side] && (z - j.z).abs() < j.half + margin)
    }

    /// The cells of `size` metres that cover the built stretch.
    pub fn cells(&self, size: f32) -> std::ops::RangeInclusive<i64> {
        (self.from / size).floor() as i64..=(self.to / size).floor() as i64
    }

    /// As [`Self::cells`] in a frame that has moved forward by `shift`.
    pub fn moving_cells(&self, size: f32, shift: f32) -> std::ops::RangeInclusive<i64> {
        ((self.from - shift) / size).floor() as i64..=((self.to - shift) / size).floor() as i64
    }

    /// A contact shadow of a thing `width` by `length` metres at a foot point, and its shadow in the sun if it has `height`.
    pub fn cast(&mut self, foot: V3, forward: V3, width: f32, length: f32, height: f32) {
        let right = V3::UP.cross(forward);
        let lift = V3::UP * 0.02;
        self.stage
            .shadow(foot + lift, right * (width * 0.62), forward * (length * 0.56), 0.62, 0.45);
        let s = self.light.to_sun;
        if self.light.sun[0] > 0.3 && s.y > 0.04 {
            let reach = (height / s.y).min(14.0);
            let away = V3 {
                x: -s.x * reach,
                y: 0.0,
                z: -s.z * reach,
            };
            // The box that holds foot and roof, along the direction of the shadow.
            let along = away * 0.5;
            let flat = along.unit();
            let across = V3::UP.cross(flat);
            let half = (right * (width * 0.5)).dot(across).abs() + (forward * (length * 0.5)).dot(across).abs();
            let deep = (right * (width * 0.5)).dot(flat).abs() + (forward * (length * 0.5)).dot(flat).abs();
            let v = flat * (along.length() + deep * 0.8);
            self.stage.shadow(foot + along + lift, across * half, v, 0.75, 0.1);
        }
    }
}

/// Paint of cars: many greys, some colours.
pub(crate) const PAINTS: [Rgb; 16] = [
    rgb(24, 25, 28),
    rgb(40, 42, 46),
    rgb(196, 198, 200),
    rgb(150, 154, 158),
    rgb(104, 108, 114),
    rgb(235, 235, 232),
    rgb(224, 224, 222),
    rgb(30, 38, 78),
    rgb(44, 66, 120),
    rgb(140, 24, 28),
    rgb(176, 34, 30),
    rgb(28, 70, 50),
    rgb(176, 168, 146),
    rgb(66, 40, 36),
    rgb(60, 140, 120),
    rgb(176, 120, 40),
];
