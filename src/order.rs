//! Row-major or column-major.
#![forbid(unsafe_code)]

use std::fmt;

/// The memory order of an array in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Row-major, the last axis varies fastest: NumPy's and ndarray's default.
    C,
    /// Column-major (Fortran), the first axis varies fastest: NumPy's `order='F'`, ndarray's `.f()`.
    F,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::C => "C",
            Self::F => "F",
        })
    }
}
