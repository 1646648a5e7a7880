//! Chunked operations drawn at random: the same bits as in memory, within the limit, and without touching pages again and again.
//!
//! `NDARRAY_MMAP_FUZZ_SECONDS` says how long, `NDARRAY_MMAP_FUZZ_ROUNDS` how many rounds, `NDARRAY_MMAP_FUZZ_SEED` which ones; by
//! default a few, always the same. `NDARRAY_MMAP_FUZZ_ROUND` runs the one round with that seed. A binary of its own, because it
//! measures the memory of its process.
#![cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
#![allow(missing_docs, unreachable_pub, reason = "nobody calls the tests")]

mod arrays;
mod cost;
mod elements;
mod operations;
mod random;
mod round;
mod rounds;
mod trial;
