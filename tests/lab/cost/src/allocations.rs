//! An allocator that counts what is as large as a picture: where a picture is copied, memory for the copy is needed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use parlor_lab_cost::clip::{HEIGHT, WIDTH};

/// A plane of luma, the largest part of a picture.
pub(crate) const PLANE: usize = (WIDTH * HEIGHT) as usize;

/// The system's allocator, and how often it was asked for as much as a plane of luma.
pub(crate) struct Counting(AtomicU64);

impl Counting {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// How often so far, growing included.
    pub(crate) fn large(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, size: usize) {
        if size >= PLANE {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call goes on to the system's allocator as it came; counting touches an atomic only.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note(layout.size());
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.note(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
