//! Random chunked operations: results are bitwise identical to those in memory, within the memory
//! limit, and touch each page once
//! in each pass.
//!
//! `NDARRAY_MMAP_FUZZ_SECONDS` sets the duration, `NDARRAY_MMAP_FUZZ_ROUNDS` the number of rounds,
//! `NDARRAY_MMAP_FUZZ_SEED` the
//! seed; the default is a few rounds with a fixed seed. `NDARRAY_MMAP_FUZZ_ROUND` runs the one
//! round with that seed. This is a
//! separate binary, because it measures the memory of its process.
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
