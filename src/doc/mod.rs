//! Pages of prose: what a method's own documentation is too small for.
#![forbid(unsafe_code)]

#[doc(alias = "transpose")]
#[doc = include_str!("numpy.md")]
pub mod numpy {}

#[doc = include_str!("failure_modes.md")]
pub mod failure_modes {}

#[doc = include_str!("statistics.md")]
pub mod statistics {}

#[doc = include_str!("platforms.md")]
pub mod platforms {}

#[doc = include_str!("chunked.md")]
pub mod chunked {}

#[doc = include_str!("performance.md")]
pub mod performance {}
