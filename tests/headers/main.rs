//! Invalid headers of `.npy` files, and damaged archives of them. This is a separate binary, because it counts allocations.

#![allow(missing_docs, unreachable_pub, reason = "nobody calls the tests")]

#[cfg(feature = "npz")]
mod archives;
mod bombs;
mod counting;
mod fuzz;
mod generator;
