//! What a user may say about the execution of a model.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The ONNX Runtime execution provider that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum Provider {
    /// The first of TensorRT, CUDA, OpenVINO and CPU that can serve.
    #[default]
    Auto,
    /// ONNX Runtime's own CPU kernels.
    Cpu,
    /// NVIDIA CUDA with cuDNN.
    Cuda,
    /// NVIDIA TensorRT, in half precision.
    TensorRt,
    /// Intel OpenVINO.
    OpenVino,
}

impl Provider {
    /// The providers that `auto` tries, in this order.
    pub const ORDER: [Self; 4] = [Self::TensorRt, Self::Cuda, Self::OpenVino, Self::Cpu];

    /// The name that a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Auto]
            .into_iter()
            .chain(Self::ORDER)
            .find(|p| p.as_str() == text)
            .ok_or_else(|| {
                let names: Vec<_> = [Self::Auto].into_iter().chain(Self::ORDER).map(Self::as_str).collect();
                format!("provider is {text:?}, wanted one of {}", names.join(", "))
            })
    }
}

/// How a session is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionOptions {
    /// Which provider runs the net.
    pub provider: Provider,
    /// Threads for the net on the CPU, over all its sessions; `None` for one per core that this process may use.
    pub threads: Option<usize>,
    /// Sessions of the net that take frames in turn; `None` for what is best for throughput. A net with a memory has one.
    pub sessions: Option<usize>,
    /// CUDA and TensorRT: the number of the card. OpenVINO: `CPU`, `GPU`, `GPU.1`, `NPU`. `None` for the first card or the CPU.
    pub device: Option<String>,
    /// Whether the net's confidence is asked for as well; its contract must name the output.
    pub confidence: bool,
    /// Where compiled engines are kept between runs; `None` for the user's cache folder.
    pub cache_dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_reads_back_as_written_and_an_unknown_one_is_answered_with_those_there_are() {
        for provider in [Provider::Auto].into_iter().chain(Provider::ORDER) {
            assert_eq!(provider.to_string().parse(), Ok(provider));
        }
        let error = "rocm".parse::<Provider>().unwrap_err();
        assert!(
            error.contains("\"rocm\"") && error.contains("auto, tensorrt, cuda, openvino, cpu"),
            "{error}"
        );
    }

    #[test]
    fn the_command_line_knows_the_same_names() {
        use clap::ValueEnum;
        for provider in Provider::value_variants() {
            let name = provider.to_possible_value().expect("no variant is hidden").get_name().to_owned();
            assert_eq!(name, provider.as_str());
        }
    }
}
