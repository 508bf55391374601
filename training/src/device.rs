//! Where tensors live: on the processor, or on an NVIDIA card.

use burn::tensor::Device;

/// Why a device cannot serve. Each is one line with the remedy; the program leaves with exit code 78.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceError {
    /// No such name.
    #[error("there is no device {0:?}: use --device cpu or --device cuda")]
    Unknown(String),
    /// Built without the `cuda` feature.
    #[error(
        "this program was built without CUDA: build it with `cargo build --release -p maskline-training --features cuda`, or use --device cpu"
    )]
    WithoutCuda,
    /// A library or a card is missing.
    #[error("--device cuda cannot serve: {found}; {remedy}, or use --device cpu")]
    Unusable {
        /// What was found.
        found: String,
        /// What would help.
        remedy: &'static str,
    },
}

/// The device of that name: `cpu` or `cuda`. Never falls back to another one.
///
/// # Errors
/// [`DeviceError`], if the name is unknown or the device cannot serve.
pub fn choose(name: &str) -> Result<Device, DeviceError> {
    match name {
        "cpu" => Ok(Device::flex()),
        "cuda" => cuda(),
        other => Err(DeviceError::Unknown(other.into())),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, DeviceError> {
    Err(DeviceError::WithoutCuda)
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, DeviceError> {
    probe::driver()?;
    probe::compiler()?;
    Ok(Device::cuda(0))
}

/// Looks for what the CUDA backend loads at run time: its own way to say that something is missing is a panic.
#[cfg(feature = "cuda")]
mod probe {
    use super::DeviceError;
    use libloading::Library;
    use std::ffi::{c_int, c_uint};

    /// The driver, with at least one card.
    pub(super) fn driver() -> Result<(), DeviceError> {
        let remedy = "install the NVIDIA driver";
        let fail = |found: String| DeviceError::Unusable { found, remedy };
        let library = load(&["libcuda.so.1", "libcuda.so"]).map_err(fail)?;
        // SAFETY: both are the driver's documented C functions: `CUresult cuInit(unsigned)` and
        // `CUresult cuDeviceGetCount(int*)`; the library stays loaded while they run.
        let (init, count, cards) = unsafe {
            let init: libloading::Symbol<unsafe extern "C" fn(c_uint) -> c_int> =
                library.get(b"cuInit\0").map_err(|e| fail(e.to_string()))?;
            let get: libloading::Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> =
                library.get(b"cuDeviceGetCount\0").map_err(|e| fail(e.to_string()))?;
            let mut cards: c_int = 0;
            (init(0), get(&mut cards), cards)
        };
        match (init, count, cards) {
            (0, 0, 1..) => Ok(()),
            (0, 0, _) => Err(DeviceError::Unusable {
                found: "the driver sees no card".into(),
                remedy: "look at nvidia-smi and CUDA_VISIBLE_DEVICES",
            }),
            (init, _, _) => Err(fail(format!("the driver does not start (cuInit gives error {init})"))),
        }
    }

    /// The run-time compiler of CUDA C++.
    pub(super) fn compiler() -> Result<(), DeviceError> {
        let names = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"];
        let remedy = "install the CUDA run-time compiler and its headers (pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-cccl nvidia-cuda-crt) and set CUDA_PATH and LD_LIBRARY_PATH to them";
        load(&names).map(drop).map_err(|found| DeviceError::Unusable { found, remedy })
    }

    fn load(names: &[&str]) -> Result<Library, String> {
        // SAFETY: NVIDIA's libraries only register themselves when loaded.
        let found = names.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
        found.ok_or_else(|| format!("found no {} that loads", names.join(" or ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_is_answered_with_those_there_are() {
        let error = choose("gpu").unwrap_err().to_string();
        assert!(
            error.contains("\"gpu\"") && error.contains("--device cpu or --device cuda"),
            "{error}"
        );
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_build_without_cuda_says_how_to_get_it() {
        let error = choose("cuda").unwrap_err();
        assert_eq!(error, DeviceError::WithoutCuda);
        assert!(error.to_string().contains("--features cuda"));
    }
}
