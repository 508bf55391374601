//! Sessions by provider, and why one cannot be had.

use super::runtime::{Runtime, one_line};
use super::{Provider, SessionOptions};
use anyhow::{Context, Result};
use maskline_models::Model;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{ArenaExtendStrategy, CUDA, ExecutionProviderDispatch, OpenVINO, TensorRT};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use std::path::PathBuf;

/// Makes a session of a model on one provider (not `auto`).
///
/// # Errors
/// One line: what failed, and for a provider which of the libraries that it needs cannot be loaded.
pub(super) fn session(runtime: &Runtime, model: &Model, provider: Provider, options: &SessionOptions) -> Result<Session> {
    if !runtime.providers.contains(&provider) {
        anyhow::bail!(
            "ONNX Runtime {} at {} was built without it: {}",
            runtime.version,
            runtime.path.display(),
            package(provider)
        );
    }
    let made = build(runtime, model, provider, options);
    made.map_err(|error| match missing(runtime, provider) {
        missing if missing.is_empty() => error,
        missing => anyhow::anyhow!("cannot load {}: {}", missing.join(", "), package(provider)),
    })
}

fn build(runtime: &Runtime, model: &Model, provider: Provider, options: &SessionOptions) -> Result<Session> {
    let threads = options.threads.unwrap_or_else(cores);
    let cache = || {
        let folder = options.cache_dir.clone().unwrap_or_else(default_cache).join(provider.as_str());
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        anyhow::Ok(folder.to_string_lossy().into_owned())
    };
    let providers = match provider {
        Provider::Auto | Provider::Cpu => Vec::new(), // CPU is what every session has
        Provider::Cuda => vec![cuda(options)?],
        // What TensorRT cannot take runs on the same card.
        Provider::TensorRt => vec![tensorrt(options, &cache()?)?, cuda(options)?],
        Provider::OpenVino => vec![openvino(options, threads, &cache()?)],
    };
    let builder = prepare(runtime, threads, providers).map_err(|e| anyhow::anyhow!("{}", one_line(&e.to_string())))?;
    let mut builder = match model.path.as_ref().and_then(|p| p.parent()).filter(|p| !p.as_os_str().is_empty()) {
        // The model itself comes from memory; weights outside it lie beside its file.
        Some(folder) => builder
            .with_config_entry("session.model_external_initializers_file_folder_path", folder.to_string_lossy())
            .map_err(|e| anyhow::anyhow!("{}", one_line(&e.to_string())))?,
        None => builder,
    };
    builder
        .commit_from_memory(&model.onnx)
        .map_err(|e| anyhow::anyhow!("{}", one_line(&e.to_string())))
}

fn prepare(runtime: &Runtime, threads: usize, providers: Vec<ExecutionProviderDispatch>) -> ort::Result<SessionBuilder> {
    let providers: Vec<_> = providers.into_iter().map(ExecutionProviderDispatch::error_on_failure).collect();
    Ok(SessionBuilder::new(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Waiting threads would burn the cores that decode and encode need.
        .with_intra_op_spinning(false)?
        .with_flush_to_zero()?
        .with_config_entry("session.record_ep_graph_assignment_info", "1")?
        .with_execution_providers(providers)?)
}

fn device_number(options: &SessionOptions) -> Result<i32> {
    let text = options.device.as_deref().unwrap_or("0");
    text.parse()
        .map_err(|_| anyhow::anyhow!("device is {text:?}, wanted the number of a CUDA card, e.g. 0"))
}

fn cuda(options: &SessionOptions) -> Result<ExecutionProviderDispatch> {
    Ok(CUDA::default()
        .with_device_id(device_number(options)?)
        // Frames have one size: the search is paid once and every frame gains.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Exhaustive)
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        .build())
}

fn tensorrt(options: &SessionOptions, cache: &str) -> Result<ExecutionProviderDispatch> {
    Ok(TensorRT::default()
        .with_device_id(device_number(options)?)
        .with_fp16(true)
        .with_engine_cache(true)
        .with_engine_cache_path(cache)
        .with_timing_cache(true)
        .with_timing_cache_path(cache)
        .build())
}

fn openvino(options: &SessionOptions, threads: usize, cache: &str) -> ExecutionProviderDispatch {
    let device = options.device.as_deref().unwrap_or("CPU");
    let provider = OpenVINO::default().with_device_type(device).with_cache_dir(cache);
    let provider = if device == "CPU" {
        provider.with_num_threads(threads)
    } else {
        provider
    };
    provider.build()
}

/// Cores that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn default_cache() -> PathBuf {
    let of = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    of("XDG_CACHE_HOME")
        .or_else(|| of("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("maskline")
}

/// The libraries that a provider needs: any name of a group will do; and what to call the group.
fn needs(provider: Provider) -> &'static [(&'static [&'static str], &'static str)] {
    const CUDA: [(&[&str], &str); 4] = [
        (&["libcuda.so.1"], "libcuda.so.1 (the NVIDIA driver)"),
        (&["libcudart.so.13", "libcudart.so.12"], "libcudart.so.13 (CUDA runtime)"),
        (&["libcublasLt.so.13", "libcublasLt.so.12"], "libcublasLt.so.13 (CUDA)"),
        (&["libcudnn.so.9"], "libcudnn.so.9 (cuDNN)"),
    ];
    const TENSORRT: [(&[&str], &str); 5] = [
        CUDA[0],
        CUDA[1],
        CUDA[2],
        CUDA[3],
        (&["libnvinfer.so.10"], "libnvinfer.so.10 (TensorRT)"),
    ];
    match provider {
        Provider::Cuda => &CUDA,
        Provider::TensorRt => &TENSORRT,
        Provider::Auto | Provider::Cpu | Provider::OpenVino => &[],
    }
}

/// The libraries of a provider that cannot be loaded. Asked only after a failure: a library may also be found by ways that
/// this does not know.
pub(super) fn missing(runtime: &Runtime, provider: Provider) -> Vec<String> {
    // SAFETY: these are the vendors' own libraries, which ONNX Runtime would load next.
    let loads = |name: &std::ffi::OsStr| unsafe { libloading::Library::new(name).is_ok() };
    let mut missing: Vec<String> = needs(provider)
        .iter()
        .filter(|(names, _)| !names.iter().any(|n| loads(n.as_ref())))
        .map(|(_, text)| (*text).to_owned())
        .collect();
    let beside = match provider {
        Provider::Cuda => "libonnxruntime_providers_cuda.so",
        Provider::TensorRt => "libonnxruntime_providers_tensorrt.so",
        Provider::OpenVino => "libonnxruntime_providers_openvino.so",
        Provider::Auto | Provider::Cpu => return missing,
    };
    let folder = runtime.path.parent().unwrap_or(&runtime.path);
    if !folder.join(beside).is_file() {
        missing.push(format!("{beside} (not in {})", folder.display()));
    }
    missing
}

/// What to install for a provider.
pub(super) fn package(provider: Provider) -> &'static str {
    match provider {
        Provider::Cuda => {
            "install the NVIDIA driver, then `pip install --target ~/ort-gpu 'onnxruntime-gpu[cuda,cudnn]' && export ORT_DYLIB_PATH=~/ort-gpu/onnxruntime/capi LD_LIBRARY_PATH=$(echo ~/ort-gpu/nvidia/*/lib | tr ' ' :)`"
        }
        Provider::TensorRt => {
            "install the NVIDIA driver, then `pip install --target ~/ort-gpu 'onnxruntime-gpu[cuda,cudnn]' tensorrt && export ORT_DYLIB_PATH=~/ort-gpu/onnxruntime/capi LD_LIBRARY_PATH=$(echo ~/ort-gpu/nvidia/*/lib ~/ort-gpu/tensorrt_libs | tr ' ' :)`"
        }
        Provider::OpenVino => {
            "`pip install --target ~/ort-openvino onnxruntime-openvino && export ORT_DYLIB_PATH=~/ort-openvino/onnxruntime/capi`"
        }
        Provider::Auto | Provider::Cpu => super::runtime::REMEDY,
    }
}
