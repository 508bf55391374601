//! CPU time of the thread that measures, since other work on the machine makes wall times useless.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use maskline::stats::usage::thread_cpu_seconds;
use std::time::Duration;

pub struct ThreadTime;

impl Measurement for ThreadTime {
    type Intermediate = f64;
    type Value = Duration;

    fn start(&self) -> f64 {
        thread_cpu_seconds()
    }

    fn end(&self, started_s: f64) -> Duration {
        Duration::from_secs_f64(thread_cpu_seconds() - started_s)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, time: &Duration) -> f64 {
        WallTime.to_f64(time)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
