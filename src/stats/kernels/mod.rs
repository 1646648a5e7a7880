//! The inner loops.
#![forbid(unsafe_code)]

pub(super) mod rows;
mod slices;

pub(super) use self::slices::*;
