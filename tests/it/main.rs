//! The integration tests: one binary with a module per subject.

#![allow(missing_docs, unreachable_pub, reason = "nobody calls the tests")]

mod appender;
mod array_file;
mod bad_input;
mod changed_files;
mod checkpoint;
mod chunked;
mod chunks;
mod create;
mod doc_aliases;
mod durability;
mod faults;
mod live_python;
mod locks;
mod mapped_arrays;
mod npy_files;
mod npy_types;
mod numpy_headers;
mod open;
mod resident_memory;
mod save;
mod sensors;
mod shapes;
mod statistics;
mod stats;
mod support;
