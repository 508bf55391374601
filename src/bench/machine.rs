//! The machine that figures belong to.

use super::table::count;
use crate::infer::runtime::runtime;
use crate::stats::usage;
use anyhow::Result;
use serde::Serialize;
use std::{fmt, fs};

/// What must stand beside every figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// Name of the CPU as the kernel tells it.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Processes that wanted a core in the minute before, on average; `None` where the kernel does not tell. Above about 0.3
    /// the machine had other work, and wall times are too long.
    pub load: Option<f64>,
    /// Version of ONNX Runtime.
    pub onnxruntime: String,
}

impl Machine {
    /// This one, as it is now.
    ///
    /// # Errors
    /// Kind 78 if there is no ONNX Runtime.
    pub fn look() -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Ok(Self {
            cpu: cpu_name(&info).unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            load: usage::load(),
            onnxruntime: runtime()?.version.clone(),
        })
    }
}

impl fmt::Display for Machine {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.cpu, count(self.cores, "core"))?;
        if let Some(load) = self.load {
            write!(f, ", load {load:.1}")?;
        }
        write!(f, "; ONNX Runtime {}", self.onnxruntime)
    }
}

/// The name in /proc/cpuinfo; 64-bit ARM has none there.
fn cpu_name(info: &str) -> Option<&str> {
    let (_, name) = info
        .lines()
        .filter_map(|l| l.split_once(':'))
        .find(|(key, _)| key.trim() == "model name")?;
    Some(name.trim()).filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_cpu_is_found_where_there_is_one() {
        assert_eq!(
            cpu_name("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t: fpu\n"),
            Some("Some CPU @ 3 GHz")
        );
        assert_eq!(cpu_name("processor\t: 0\nBogoMIPS\t: 50.00\nmodel name\t:\n"), None);
    }
}
