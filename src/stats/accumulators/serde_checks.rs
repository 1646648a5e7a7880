//! Checks on deserialised accumulators.
#![forbid(unsafe_code)]

use serde::de::{Deserialize, Deserializer, Error};

/// As many elements as `f64` counts exactly: with more, adding some again and again would overflow one day.
const MOST: u64 = 1 << 53;

/// Reads how many elements there were.
pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    checked(u64::deserialize(from)?)
}

/// Reads how many elements there were of each kind, of which the sum counts.
pub(super) fn counts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    let counts = Vec::<u64>::deserialize(from)?;
    counts.iter().try_fold(0, |sum: u64, &count| checked(sum.saturating_add(count)))?;
    Ok(counts)
}

fn checked<E: Error>(count: u64) -> Result<u64, E> {
    match count <= MOST {
        true => Ok(count),
        false => Err(E::custom(format!("a count of {count}: more than 2^53"))),
    }
}
