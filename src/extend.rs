//! The loop that computes elements into a buffer, compiled for several instruction sets.
#![forbid(unsafe_code)]

use multiversion::multiversion;

/// Appends computed values to a vector.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
pub(crate) fn extend<A, I: Iterator<Item = A>>(elements: &mut Vec<A>, values: I) {
    elements.extend(values);
}
