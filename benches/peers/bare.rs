//! A bare read of all bytes, the lower bound of these benchmarks.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

/// Adds all bytes as integers on two threads, in file order.
pub(crate) fn read(elements: &[f64]) -> u64 {
    const CHUNK: usize = 1 << 18;
    let (words, next) = (bytemuck::cast_slice::<f64, u64>(elements), AtomicUsize::new(0));
    let work = || {
        let mut sum = 0;
        while let Some(rest @ [_, ..]) = words.get(next.fetch_add(CHUNK, Ordering::Relaxed)..) {
            sum = rest[..CHUNK.min(rest.len())].iter().copied().fold(sum, u64::wrapping_add);
        }
        sum
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work().wrapping_add(other.join().expect("no panic"))
    })
}
