//! Invalid headers of `.npy` files. This is a separate binary, because it counts allocations.

#![allow(missing_docs, unreachable_pub, reason = "nobody calls the tests")]

mod bombs;
mod counting;
mod fuzz;
mod generator;
