//! Which provider got which part of a net: ONNX Runtime gives what a provider cannot run to the CPU without a word.

use anyhow::{Result, ensure};
use ort::AsPointer;
use ort::session::Session;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::ptr;

/// Operators that make up nearly all of a segmentation net's work.
const HEAVY: [&str; 5] = ["Conv", "ConvTranspose", "MatMul", "Gemm", "FusedConv"];

/// Nodes by provider name as ONNX Runtime writes it: all of them, and those that are [`HEAVY`].
pub(super) type Placement = BTreeMap<String, (usize, usize)>;

/// Asks a session that was made with `session.record_ep_graph_assignment_info`.
///
/// # Errors
/// If ONNX Runtime does not answer.
pub(super) fn placement(session: &Session) -> Result<Placement> {
    let api = ort::api();
    let mut found = Placement::new();
    // SAFETY: the session outlives the calls, and everything they hand out belongs to it; each list is as long as said.
    unsafe {
        let (mut subgraphs, mut count) = (ptr::null(), 0);
        let session = session.inner();
        check((api.Session_GetEpGraphAssignmentInfo)(
            session.ptr(),
            &raw mut subgraphs,
            &raw mut count,
        ))?;
        for i in 0..count {
            let subgraph = *subgraphs.add(i);
            let name = text(|out| (api.EpAssignedSubgraph_GetEpName)(subgraph, out))?;
            let (mut nodes, mut length) = (ptr::null(), 0);
            check((api.EpAssignedSubgraph_GetNodes)(subgraph, &raw mut nodes, &raw mut length))?;
            let entry = found.entry(name).or_default();
            for j in 0..length {
                let operator = text(|out| (api.EpAssignedNode_GetOperatorType)(*nodes.add(j), out))?;
                entry.0 += 1;
                entry.1 += usize::from(HEAVY.contains(&operator.as_str()));
            }
        }
    }
    Ok(found)
}

/// # Safety
/// The status must be one that the API returned and that nobody has taken yet.
unsafe fn check(status: ort::sys::OrtStatusPtr) -> Result<()> {
    // SAFETY: by the caller.
    unsafe { ort::Error::result_from_status(status) }.map_err(|e| anyhow::anyhow!("{e}"))
}

fn text(get: impl FnOnce(*mut *const c_char) -> ort::sys::OrtStatusPtr) -> Result<String> {
    let mut out = ptr::null();
    // SAFETY: the status is fresh; on success `out` is a string that the session owns.
    unsafe {
        check(get(&raw mut out))?;
        ensure!(!out.is_null(), "ONNX Runtime gave no name");
        Ok(CStr::from_ptr(out).to_string_lossy().into_owned())
    }
}

/// Refuses a placement in which the CPU does work that a provider was asked for.
///
/// # Errors
/// One line with the counts.
pub(super) fn check_placement(placement: &Placement, own: &[&str]) -> Result<()> {
    let heavy: usize = placement.values().map(|(_, heavy)| heavy).sum();
    let nodes: usize = own.iter().filter_map(|name| placement.get(*name)).map(|(all, _)| all).sum();
    let elsewhere: usize = placement
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(_, (_, heavy))| heavy)
        .sum();
    ensure!(
        nodes > 0 && elsewhere == 0,
        "it would leave {elsewhere} of {heavy} convolutions and matrix products to the CPU: use the provider cpu, or another export of the net"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_left_to_the_cpu_is_refused_and_small_change_is_not() {
        let of = |list: &[(&str, usize, usize)]| list.iter().map(|(n, a, h)| ((*n).to_owned(), (*a, *h))).collect::<Placement>();
        let cuda = ["CUDAExecutionProvider"];
        assert!(check_placement(&of(&[("CUDAExecutionProvider", 50, 20), ("CPUExecutionProvider", 3, 0)]), &cuda).is_ok());
        let error = check_placement(&of(&[("CUDAExecutionProvider", 50, 20), ("CPUExecutionProvider", 3, 2)]), &cuda).unwrap_err();
        assert!(error.to_string().contains("2 of 22"), "{error}");
        assert!(check_placement(&of(&[("CPUExecutionProvider", 53, 0)]), &cuda).is_err());
    }
}
