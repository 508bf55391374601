//! Colours of surfaces under the light of the scene.

mod ground;
mod mask;
mod small;
mod wall;

pub(crate) use ground::zone_code;
pub(crate) use mask::{has_mask, mask};
pub(crate) use wall::Facade;

use crate::camera::Camera;
use crate::light::Light;
use crate::math::{Rgb, V3, exp_neg, mix, plus, scale, smoothstep, times};
use crate::random::{fractal, noise};
use crate::road::{Junction, Road};
use crate::shadows::Shadows;
use crate::stage::{Look, Mat, Prim, Shape};

/// What a pixel sees of a piece.
pub(crate) struct Surface {
    pub look: Look,
    /// World position and the unit direction from the camera.
    pub at: V3,
    pub view: V3,
    pub distance: f32,
    pub normal: V3,
    pub u: f32,
    pub v: f32,
    /// How far u and v run across one pixel.
    pub fu: f32,
    pub fv: f32,
    /// Metres of the surface in one pixel, seen straight on.
    pub pixel_m: f32,
}

impl Surface {
    pub fn at(prim: &Prim, camera: &Camera, x: f32, y: f32) -> Self {
        let lin = |c: &[f32; 3], x: f32, y: f32| c[0] * x + c[1] * y + c[2];
        let iz = lin(&prim.iz, x, y).max(1e-5);
        let z = 1.0 / iz;
        let (u, v) = (lin(&prim.uz, x, y) * z, lin(&prim.vz, x, y) * z);
        let zx = 1.0 / (iz + prim.iz[0]).max(1e-5);
        let zy = 1.0 / (iz + prim.iz[1]).max(1e-5);
        let (ux, vx) = (lin(&prim.uz, x + 1.0, y) * zx, lin(&prim.vz, x + 1.0, y) * zx);
        let (uy, vy) = (lin(&prim.uz, x, y + 1.0) * zy, lin(&prim.vz, x, y + 1.0) * zy);
        let ray = camera.ray(x, y) * z;
        let distance = ray.length();
        let normal = match prim.shape {
            Shape::Flat => prim.normal,
            Shape::Round => {
                let u = u.clamp(-1.0, 1.0);
                (prim.right * u + prim.normal * (1.0 - u * u).sqrt()).unit()
            }
            Shape::Ball => {
                let (u, v) = (u.clamp(-1.0, 1.0), v.clamp(-1.0, 1.0));
                (prim.right * u + prim.up * v + prim.normal * (1.0 - u * u - v * v).max(0.02).sqrt()).unit()
            }
        };
        Self {
            look: prim.look,
            at: camera.at + ray,
            view: ray * (1.0 / distance.max(1e-4)),
            distance,
            normal,
            u,
            v,
            fu: ((ux - u).abs() + 0.3 * (uy - u).abs()).min(1e4),
            fv: (0.3 * (vx - v).abs() + (vy - v).abs()).min(1e4),
            pixel_m: z / camera.focal,
        }
    }
}

/// Everything that colours depend on besides the surface.
pub(crate) struct Painter<'a> {
    pub camera: &'a Camera,
    pub light: &'a Light,
    pub road: &'a Road,
    pub facades: Vec<Facade>,
    pub junctions: Vec<Junction>,
    pub shadows: Shadows,
    /// How far the clouds have drifted.
    pub drift: f32,
}

/// What a shader says of a surface.
pub(crate) struct Finish {
    pub albedo: Rgb,
    /// Light of its own, or mirrored.
    pub shine: Rgb,
    /// 1 in the open, less in corners.
    pub open: f32,
}

impl Finish {
    pub fn matt(albedo: Rgb) -> Self {
        Self {
            albedo,
            shine: [0.0; 3],
            open: 1.0,
        }
    }
}

impl Painter<'_> {
    /// Sky and whatever closes the view.
    pub fn far(&self, x: f32, y: f32) -> Rgb {
        self.light.far(self.camera.ray(x, y), self.drift)
    }

    /// Label of [`Self::far`].
    pub fn far_label(&self, x: f32, y: f32) -> u8 {
        self.light.far_label(self.camera.ray(x, y))
    }

    /// A piece of the scene; `light` darkens where a shadow lies on the ground.
    pub fn near(&self, s: &Surface, light: f32) -> Rgb {
        let finish = match s.look.mat {
            Mat::Ground => self.ground(s),
            Mat::Facade => self.facade(s),
            Mat::Roof => wall::roof(s),
            Mat::Concrete => wall::concrete(s),
            Mat::Matt => small::matt(s),
            Mat::Paint => self.paint(s),
            Mat::CarSide => self.car_side(s),
            Mat::Glass => self.glass(s),
            Mat::Lamp => small::lamp(s, self.light),
            Mat::Wheel => small::wheel(s),
            Mat::Leaf => small::leaf(s),
            Mat::Twigs => small::twigs(s),
            Mat::Hedge => small::hedge(s),
            Mat::Sign => small::sign(s),
            Mat::Railing | Mat::Mesh | Mat::Rim => Finish::matt(s.look.color),
        };
        let facing = s.normal.dot(self.light.to_sun);
        let soft = matches!(s.look.mat, Mat::Leaf | Mat::Hedge | Mat::Twigs);
        let facing = if soft { (facing * 0.6 + 0.4).max(0.0) } else { facing.max(0.0) };
        let sun = if facing > 0.0 && self.light.sun[0] > 0.02 {
            self.shadows.sun(self.road, self.light.to_sun, s.at, s.pixel_m)
        } else {
            0.0
        };
        let sky = mix(self.light.from_below, self.light.from_above, s.normal.y * 0.5 + 0.5);
        let lit = plus(
            scale(self.light.sun, facing * sun * light),
            scale(sky, finish.open * (0.35 + 0.65 * light)),
        );
        let color = plus(times(finish.albedo, lit), finish.shine);
        mix(color, self.light.haze, 1.0 - exp_neg(s.distance * self.light.haze_per_m))
    }

    fn paint(&self, s: &Surface) -> Finish {
        // Sheet metal bends: tilt the normal with the height so that flanks show the sky above and the road below.
        let bent = (s.normal + V3::UP * ((s.v - 0.45) * 0.45)).unit();
        let mirror = s.view - bent * (2.0 * s.view.dot(bent));
        let grazing = 1.0 - bent.dot(-s.view).clamp(0.0, 1.0);
        let g2 = grazing * grazing;
        let k = 0.05 + 0.55 * g2 * g2 + s.look.p[1];
        let mut sky = self.light.reflected(mirror);
        let glint = mirror.dot(self.light.to_sun).max(0.0);
        let g8 = glint * glint * glint * glint * glint * glint * glint * glint;
        sky = plus(sky, scale(self.light.sun, g8 * g8 * g8));
        let dirt = 0.9 + 0.1 * fractal(s.u * 2.0, s.v * 3.0, s.fu * 3.0, 2) - 0.25 * smoothstep(0.45, 0.1, s.v) * s.look.p[2];
        Finish {
            albedo: scale(s.look.color, dirt),
            shine: scale(sky, k.min(0.7)),
            open: 0.8,
        }
    }

    fn glass(&self, s: &Surface) -> Finish {
        let mirror = s.view - s.normal * (2.0 * s.view.dot(s.normal));
        let grazing = 1.0 - s.normal.dot(-s.view).clamp(0.0, 1.0);
        let k = 0.12 + 0.6 * grazing * grazing * grazing;
        let inside = 0.01 + 0.05 * noise(s.u * 3.0 + 7.0, s.v * 4.0 + (s.look.seed & 63) as f32);
        Finish {
            albedo: [inside; 3],
            shine: scale(self.light.reflected(mirror), k),
            open: 0.7,
        }
    }

    fn car_side(&self, s: &Surface) -> Finish {
        // p: u of the pane's lower rear, lower front, upper rear and upper front corners over v = 0..1
        let t = s.v.clamp(0.0, 1.0);
        let (rear, front) = (
            s.look.p[0] + (s.look.p[2] - s.look.p[0]) * t,
            s.look.p[1] + (s.look.p[3] - s.look.p[1]) * t,
        );
        let frame = 0.07;
        let middle = ((rear + front) * 0.5 - s.u).abs();
        let pane = s.u > rear + frame && s.u < front - frame && t > 0.04 && t < 0.88 && middle > 0.04;
        if pane { self.glass(s) } else { self.paint(s) }
    }
}
