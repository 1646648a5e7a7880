//! Validation of deserialized accumulators.
#![forbid(unsafe_code)]

use serde::de::{Deserialize, Deserializer, Error};

/// The maximum count that an `f64` represents exactly. Larger counts could overflow after repeated
/// merges.
const MAX_COUNT: u64 = 1 << 53;

/// Deserializes a number of elements.
pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    checked(u64::deserialize(from)?)
}

/// Deserializes numbers of elements, whose sum is limited.
pub(super) fn counts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    let counts = Vec::<u64>::deserialize(from)?;
    counts.iter().try_fold(0, |sum: u64, &count| checked(sum.saturating_add(count)))?;
    Ok(counts)
}

fn checked<E: Error>(count: u64) -> Result<u64, E> {
    if count <= MAX_COUNT {
        Ok(count)
    } else {
        Err(E::custom(format!("count {count} exceeds 2^53")))
    }
}
