//! Headers of `.npy` files that are wrong, on purpose or by chance. A binary of its own, because it counts what the allocator is
//! asked for.

#![allow(missing_docs, unreachable_pub, reason = "nobody calls the tests")]

mod bombs;
mod counting;
mod fuzz;
mod generator;
