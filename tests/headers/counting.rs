//! An allocator that counts the allocations of a thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn note(live: usize) {
    LIVE.with(|now| now.set(live));
    MOST.with(|most| most.set(most.get().max(live)));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(LIVE.with(Cell::get).wrapping_add(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // Not noted: what another thread allocated may make it less than nothing.
        LIVE.with(|now| now.set(now.get().wrapping_sub(layout.size())));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Old and new may both be there for a while.
        note(LIVE.with(Cell::get).wrapping_add(new_size));
        LIVE.with(|now| now.set(now.get().wrapping_sub(layout.size())));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a call returns, and the bytes it held at most.
pub fn most_held<T>(call: impl FnOnce() -> T) -> (T, usize) {
    LIVE.with(|live| live.set(0));
    MOST.with(|most| most.set(0));
    let result = call();
    (result, MOST.with(Cell::get))
}
