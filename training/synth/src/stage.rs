//! What stands before the camera: planar pieces in camera space, made from quads, limbs and balls.

use crate::camera::Camera;
use crate::math::{Rgb, V3, v3};

/// Which shader colours a piece, and which mask cuts its outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mat {
    /// Road, pavement, grass: `p[0]` is the zone.
    Ground,
    /// A building's wall with windows; `style` indexes the frame's façade styles.
    Facade,
    /// A matt surface with a little grain of `p[0]` per metre.
    Matt,
    /// Roof tiles or slates.
    Roof,
    /// Concrete with joints every `p[0]` metres and streaks.
    Concrete,
    /// Car paint, with reflections.
    Paint,
    /// The windows of a car's side: pane inside `p`, the pillars in paint.
    CarSide,
    /// Windscreens.
    Glass,
    /// Shines by itself with strength `p[0]`.
    Lamp,
    /// A wheel's side.
    Wheel,
    /// A blob of leaves.
    Leaf,
    /// A blob of bare twigs: `p[0]` is their density.
    Twigs,
    /// A clipped hedge or a tree belt seen from far.
    Hedge,
    /// Sign board: `p[0]` is the outline (see `shade::sign`), `p[1]` its size in metres.
    Sign,
    /// Vertical bars with rails: `p` is bar distance, bar width, height.
    Railing,
    /// A mesh of wire.
    Mesh,
    /// A bicycle wheel: rim and spokes.
    Rim,
}

/// How the normal bends over a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Flat,
    /// u is -1..1 across a cylinder.
    Round,
    /// u, v are -1..1 across a ball.
    Ball,
}

/// Leaves the labels as they are: wires and the like.
pub(crate) const NO_LABEL: u8 = 255;

/// Everything about a surface that does not depend on where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub mat: Mat,
    pub label: u8,
    pub color: Rgb,
    pub seed: u32,
    pub p: [f32; 4],
}

impl Look {
    pub fn new(mat: Mat, label: u8, color: Rgb) -> Self {
        Self {
            mat,
            label,
            color,
            seed: 0,
            p: [0.0; 4],
        }
    }

    pub fn seed(mut self, seed: u32) -> Self {
        self.seed = seed;
        self
    }

    pub fn p(mut self, p: [f32; 4]) -> Self {
        self.p = p;
        self
    }
}

/// A convex planar piece, projected.
#[derive(Debug, Clone)]
pub(crate) struct Prim {
    pub look: Look,
    pub shape: Shape,
    /// World normal of the flat piece, towards the camera.
    pub normal: V3,
    /// World axes of u and v, not scaled (for bent normals).
    pub right: V3,
    pub up: V3,
    /// 1/depth = iz\[0\] * px + iz\[1\] * py + iz\[2\]
    pub iz: [f32; 3],
    /// u * 1/depth = ... and v likewise, in pixels.
    pub uz: [f32; 3],
    pub vz: [f32; 3],
    /// Outline in pixels.
    pub outline: Outline,
    pub y_min: f32,
    pub y_max: f32,
}

/// Up to nine corners in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outline {
    pub points: [[f32; 2]; 9],
    pub len: usize,
}

/// A shadow lying on the ground: darkens by `strength` inside a soft rounded box in u, v = -1..1.
#[derive(Debug, Clone)]
pub(crate) struct Decal {
    pub prim: Prim,
    pub strength: f32,
    pub softness: f32,
}

/// Collects the pieces of one frame.
pub(crate) struct Stage<'a> {
    pub camera: &'a Camera,
    pub prims: Vec<Prim>,
    pub decals: Vec<Decal>,
}

/// Where u and v of a piece run: origin and the axes that u and v grow along, in units per metre.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub origin: V3,
    pub u: V3,
    pub v: V3,
}

const NEAR_M: f32 = 0.12;

impl<'a> Stage<'a> {
    pub fn new(camera: &'a Camera) -> Self {
        Self {
            camera,
            prims: Vec::with_capacity(4096),
            decals: Vec::with_capacity(64),
        }
    }

    /// A convex polygon of 3 to 8 coplanar corners. Seen from behind, it turns its normal round unless `cull`.
    pub fn polygon(&mut self, corners: &[V3], frame: Frame, look: Look, cull: bool) {
        let n = (corners[1] - corners[0]).cross(corners[2] - corners[0]).unit();
        if let Some(prim) = self.project(corners, n, frame, look, Shape::Flat, cull) {
            self.prims.push(prim);
        }
    }

    /// A polygon whose u and v are metres along its first edge and at right angles to it.
    pub fn plain(&mut self, corners: &[V3], look: Look) {
        self.polygon(corners, Self::edge_frame(corners), look, false);
    }

    /// As [`Self::plain`], left out when seen from behind. Corners run clockwise as seen from the front.
    pub fn face(&mut self, corners: &[V3], look: Look) {
        self.polygon(corners, Self::edge_frame(corners), look, true);
    }

    fn edge_frame(corners: &[V3]) -> Frame {
        let u = (corners[1] - corners[0]).unit();
        let n = (corners[1] - corners[0]).cross(corners[2] - corners[0]).unit();
        let v = u.cross(n).unit();
        let up = if v.dot(corners[2] - corners[0]) < 0.0 { -v } else { v };
        Frame {
            origin: corners[0],
            u,
            v: up,
        }
    }

    /// A straight round bar from `a` to `b`, as a strip turned to the camera: u is -1..1 across, v metres along.
    pub fn limb(&mut self, a: V3, b: V3, ra: f32, rb: f32, look: Look) {
        let along = (b - a).unit();
        let view = ((a + b) * 0.5 - self.camera.at).unit();
        let side = along.cross(view);
        if side.length() < 0.05 {
            return self.ball((a + b) * 0.5, ra.max(rb), look); // seen along its axis
        }
        let side = side.unit();
        let r = ra.max(rb).max(1e-4);
        let corners = [a - side * ra, b - side * rb, b + side * rb, a + side * ra];
        let frame = Frame {
            origin: a,
            u: side * (1.0 / r),
            v: along,
        };
        let n = side.cross(along).unit();
        if let Some(prim) = self.project(&corners, n, frame, look, Shape::Round, false) {
            self.prims.push(prim);
        }
    }

    /// A ball, as a disc turned to the camera: u and v are -1..1.
    pub fn ball(&mut self, center: V3, r: f32, look: Look) {
        self.blob(center, r, r, look);
    }

    /// An upright ellipsoid of half width `rx` and half height `ry`.
    pub fn blob(&mut self, center: V3, rx: f32, ry: f32, look: Look) {
        let view = (center - self.camera.at).unit();
        let right = V3::UP.cross(view).unit();
        let up = view.cross(right).unit();
        let (ru, rv) = (right * rx, up * ry);
        let corners = [center - ru - rv, center - ru + rv, center + ru + rv, center + ru - rv];
        let frame = Frame {
            origin: center,
            u: right * (1.0 / rx),
            v: up * (1.0 / ry),
        };
        if let Some(prim) = self.project(&corners, -view, frame, look, Shape::Ball, false) {
            self.prims.push(prim);
        }
    }

    /// A box standing on `center` (middle of its foot), turned by the unit vector `forward`; u, v in metres on each side.
    pub fn cuboid(&mut self, foot: V3, forward: V3, size: V3, look: Look) {
        let f = v3(forward.x, 0.0, forward.z).unit();
        let r = V3::UP.cross(f);
        let (hx, hz) = (size.x * 0.5, size.z * 0.5);
        let p = |x: f32, y: f32, z: f32| foot + r * x + V3::UP * y + f * z;
        let h = size.y;
        self.face(&[p(hx, 0.0, -hz), p(-hx, 0.0, -hz), p(-hx, h, -hz), p(hx, h, -hz)], look);
        self.face(&[p(-hx, 0.0, hz), p(hx, 0.0, hz), p(hx, h, hz), p(-hx, h, hz)], look);
        self.face(&[p(-hx, 0.0, -hz), p(-hx, 0.0, hz), p(-hx, h, hz), p(-hx, h, -hz)], look);
        self.face(&[p(hx, 0.0, hz), p(hx, 0.0, -hz), p(hx, h, -hz), p(hx, h, hz)], look);
        self.face(&[p(-hx, h, -hz), p(-hx, h, hz), p(hx, h, hz), p(hx, h, -hz)], look);
    }

    /// A soft shadow on the ground round `center`: half sizes along `u` and `v` directions in metres.
    pub fn shadow(&mut self, center: V3, u: V3, v: V3, strength: f32, softness: f32) {
        let n = v.cross(u).unit();
        let corners = [center - u - v, center - u + v, center + u + v, center + u - v];
        let frame = Frame {
            origin: center,
            u: u * (1.0 / u.dot(u).max(1e-6)),
            v: v * (1.0 / v.dot(v).max(1e-6)),
        };
        let look = Look::new(Mat::Matt, NO_LABEL, [0.0; 3]);
        if let Some(prim) = self.project(&corners, n, frame, look, Shape::Flat, false) {
            self.decals.push(Decal { prim, strength, softness });
        }
    }

    fn project(&self, corners: &[V3], n: V3, frame: Frame, look: Look, shape: Shape, cull: bool) -> Option<Prim> {
        let camera = self.camera;
        let facing = n.dot(corners[0] - camera.at);
        if facing.abs() < 1e-5 || (cull && facing > 0.0) {
            return None;
        }
        let mut points = [V3::default(); 9];
        let len = clip_near(corners, camera, &mut points);
        if len < 3 {
            return None;
        }
        let mut outline = Outline {
            points: [[0.0; 2]; 9],
            len,
        };
        let (mut lo, mut hi) = ([f32::MAX; 2], [f32::MIN; 2]);
        for (i, p) in points[..len].iter().enumerate() {
            let q = camera.project(*p);
            outline.points[i] = q;
            lo = [lo[0].min(q[0]), lo[1].min(q[1])];
            hi = [hi[0].max(q[0]), hi[1].max(q[1])];
        }
        if hi[0] <= 0.0 || hi[1] <= 0.0 || lo[0] >= camera.width || lo[1] >= camera.height {
            return None;
        }
        // On the plane n.p = d (camera space) a ray r per unit depth gives 1/depth = n.r / d.
        let nc = camera.turn(n);
        let d = nc.dot(camera.to_camera(corners[0]));
        let iz = scale3(camera.per_pixel(nc), 1.0 / d);
        let uz = affine(camera, frame.u, frame.origin, iz);
        let vz = affine(camera, frame.v, frame.origin, iz);
        let normal = if facing > 0.0 { -n } else { n };
        Some(Prim {
            look,
            shape,
            normal,
            right: frame.u.unit(),
            up: frame.v.unit(),
            iz,
            uz,
            vz,
            outline,
            y_min: lo[1],
            y_max: hi[1],
        })
    }
}

/// Coefficients of (axis.p - axis.origin) / depth over the picture.
fn affine(camera: &Camera, axis: V3, origin: V3, iz: [f32; 3]) -> [f32; 3] {
    let a = camera.per_pixel(camera.turn(axis));
    let shift = axis.dot(origin - camera.at);
    [a[0] - shift * iz[0], a[1] - shift * iz[1], a[2] - shift * iz[2]]
}

fn scale3(a: [f32; 3], k: f32) -> [f32; 3] {
    [a[0] * k, a[1] * k, a[2] * k]
}

fn clip_near(corners: &[V3], camera: &Camera, out: &mut [V3; 9]) -> usize {
    let mut len = 0;
    let mut previous = camera.to_camera(corners[corners.len() - 1]);
    for corner in corners {
        let current = camera.to_camera(*corner);
        if (previous.z >= NEAR_M) != (current.z >= NEAR_M) {
            let t = (NEAR_M - previous.z) / (current.z - previous.z);
            out[len] = previous.mix(current, t);
            len += 1;
        }
        if current.z >= NEAR_M {
            out[len] = current;
            len += 1;
        }
        if len >= 8 {
            break;
        }
        previous = current;
    }
    len
}
