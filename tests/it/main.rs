//! The integration tests, one binary with a module per subject.

#![allow(missing_docs, unreachable_pub, reason = "nobody calls the tests")]

mod bad_input;
mod chunks;
mod create;
mod doc_aliases;
mod durability;
mod faults;
mod files_that_change;
mod headers_like_numpy;
mod live_python;
mod locks;
mod npy_files;
mod npy_types;
mod open;
mod owners;
mod save;
mod sensors;
mod shapes;
mod statistics;
mod stats;
mod support;
mod walk_memory;
mod walks;
