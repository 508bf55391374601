//! A pinhole camera.

use crate::math::{V3, cos, sin, v3};

/// Where the camera stands in one frame, and how it projects.
#[derive(Debug, Clone)]
pub(crate) struct Camera {
    pub at: V3,
    right: V3,
    up: V3,
    forward: V3,
    /// Focal length in pixels.
    pub focal: f32,
    pub width: f32,
    pub height: f32,
}

impl Camera {
    /// `yaw` turns right, `pitch` up, `roll` clockwise, all in radians; `focal` in picture heights.
    pub fn new(at: V3, yaw: f32, pitch: f32, roll: f32, focal: f32, width: usize, height: usize) -> Self {
        let forward = v3(sin(yaw) * cos(pitch), sin(pitch), cos(yaw) * cos(pitch)).unit();
        let level = V3::UP.cross(forward).unit();
        let straight = forward.cross(level);
        let right = (level * cos(roll) + straight * sin(roll)).unit();
        let up = forward.cross(right);
        Self {
            at,
            right,
            up,
            forward,
            focal: focal * height as f32,
            width: width as f32,
            height: height as f32,
        }
    }

    /// A world direction in camera axes: right, up, forward.
    pub fn turn(&self, v: V3) -> V3 {
        v3(self.right.dot(v), self.up.dot(v), self.forward.dot(v))
    }

    pub fn to_camera(&self, p: V3) -> V3 {
        self.turn(p - self.at)
    }

    /// Pixel coordinates of a point in camera space.
    pub fn project(&self, p: V3) -> [f32; 2] {
        let k = self.focal / p.z;
        [self.width * 0.5 + p.x * k, self.height * 0.5 - p.y * k]
    }

    /// The world ray through a pixel position, one metre deep (not a unit vector).
    pub fn ray(&self, px: f32, py: f32) -> V3 {
        self.right * ((px - self.width * 0.5) / self.focal) + self.up * ((self.height * 0.5 - py) / self.focal) + self.forward
    }

    /// Coefficients of `axis.ray(px, py)` for an axis in camera space: a * px + b * py + c.
    pub fn per_pixel(&self, axis: V3) -> [f32; 3] {
        let (a, b) = (axis.x / self.focal, -axis.y / self.focal);
        [a, b, axis.z - a * self.width * 0.5 - b * self.height * 0.5]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projected_point_lies_on_the_ray_of_its_pixel() {
        let camera = Camera::new(v3(1.0, 1.4, 20.0), 0.2, -0.05, 0.02, 1.1, 640, 360);
        let p = v3(3.0, 0.5, 40.0);
        let [x, y] = camera.project(camera.to_camera(p));
        let ray = camera.ray(x, y).unit();
        assert!((ray - (p - camera.at).unit()).length() < 1e-4);
    }

    #[test]
    fn yaw_to_the_right_moves_the_world_to_the_left() {
        let p = v3(0.0, 1.0, 50.0);
        let ahead = Camera::new(v3(0.0, 1.0, 0.0), 0.0, 0.0, 0.0, 1.0, 100, 100);
        let right = Camera::new(v3(0.0, 1.0, 0.0), 0.1, 0.0, 0.0, 1.0, 100, 100);
        assert!(right.project(right.to_camera(p))[0] < ahead.project(ahead.to_camera(p))[0]);
        let up = Camera::new(v3(0.0, 1.0, 0.0), 0.0, 0.1, 0.0, 1.0, 100, 100);
        assert!(up.project(up.to_camera(p))[1] > ahead.project(ahead.to_camera(p))[1]);
    }
}
