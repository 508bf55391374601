//! Working memory that a thread keeps from one call to the next.

use std::cell::RefCell;

/// One cache line, so that buffers begin on one.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "read as plain floats")] [f32; 16]);

thread_local! {
    static POOL: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Cache-line aligned floats, lent by the thread until dropped.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    floats: usize,
}

impl Scratch {
    /// `floats` floats, holding anything.
    pub(crate) fn new(floats: usize) -> Self {
        let mut lines = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
        if lines.len() * 16 < floats {
            lines.resize(floats.div_ceil(16), Line([0.0; 16]));
        }
        Self { lines, floats }
    }

    pub(crate) fn floats(&mut self) -> &mut [f32] {
        // SAFETY: a `Line` is 16 floats without padding, and the vector holds at least `floats` of them.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.floats) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        POOL.with_borrow_mut(|pool| pool.push(std::mem::take(&mut self.lines)));
    }
}

/// A pointer into an output that parallel tasks write at places that never overlap.
#[derive(Clone, Copy)]
pub(crate) struct SharedOut {
    start: *mut f32,
    len: usize,
}

// SAFETY: only `row`, whose callers promise disjoint places, reaches the memory.
unsafe impl Send for SharedOut {}
// SAFETY: as above.
unsafe impl Sync for SharedOut {}

impl SharedOut {
    pub(crate) fn new(out: &mut [f32]) -> Self {
        Self {
            start: out.as_mut_ptr(),
            len: out.len(),
        }
    }

    /// `len` floats from `at` on.
    ///
    /// # Safety
    /// The slice given to `new` must still be borrowed, and no other live row may overlap this one.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn row(&self, at: usize, len: usize) -> &mut [f32] {
        debug_assert!(at + len <= self.len);
        // SAFETY: in bounds by the callers' shape checks, exclusive by the promise above.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}
