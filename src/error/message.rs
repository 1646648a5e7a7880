//! The messages of errors.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::Path;

use super::ErrorKind;
use crate::order::Order;

/// The rule that makes sharing a file sound. All that speaks of sharing quotes it in these words.
const SHARING_RULE: &str = "While a borrow of a mapped array is in use, no one changes the bytes that it covers except \
                            through it; between borrows others may, if a lock or a message orders their changes after the last borrow and before the \
                            next borrow";

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action } => write!(f, "cannot {action}"),
            Self::NotRegularFile { found } => write!(f, "is {found}; only regular files can be mapped"),
            Self::TooShort { shape, order, element, offset, needed, found } => write!(
                f,
                "shape {shape:?} of {element} in {order} order needs {needed} bytes from offset {offset}, to byte {}, \
                 there are {found} in all; check shape, element type and offset, or whether all has been written",
                offset.saturating_add(*needed)
            ),
            Self::TrailingBytes { expected, found } => write!(
                f,
                "the array ends at byte {expected}, the file has {found}; `trailing_bytes(true)` accepts the rest"
            ),
            Self::PartialRow { row_bytes, offset, found } => match row_bytes {
                _ if offset > found => write!(
                    f,
                    "the rows are to begin at byte {offset}, past the end of the file, which has {found} bytes; check the offset"
                ),
                0 => write!(f, "rows of zero bytes say nothing about their number; give the whole shape to `open`"),
                _ => write!(
                    f,
                    "the file has {found} bytes, which from offset {offset} is not a whole number of rows of \
                     {row_bytes} bytes; check row shape, element type and offset, or accept the rest with \
                     `trailing_bytes(true)`"
                ),
            },
            Self::TooLarge { shape, element, offset } => write!(
                f,
                "shape {shape:?} of {element} from offset {offset} exceeds the address space; the product of the \
                 non-zero axis lengths and the element size must stay below {}",
                isize::MAX
            ),
            Self::Misaligned { offset, align, element } => write!(
                f,
                "{element} must begin at a multiple of {align} bytes, the array begins {} beyond one, at {offset}; take an \
                 element type of bytes (`[u8; N]`) and convert, or copy the data to such a place",
                offset % (*align).max(1) as u64
            ),
            Self::InvalidHeader { position, reason } => write!(f, "not a readable .npy file: {reason} (at byte {position})"),
            Self::NpyHeaderInRawFile { method: None, .. } => f.write_str(
                "begins with the header of an .npy file of Python objects, which cannot be mapped; save it in NumPy with another \
                 element type, or read all its bytes with `npy_as_raw(true)`",
            ),
            Self::NpyHeaderInRawFile { data_offset, order, method: Some(method) } => {
                write!(
                    f,
                    "begins with the header of an .npy file, which would be read as elements; open it with `{method}`"
                )?;
                if let Some(offset) = data_offset {
                    write!(f, ", or its data alone with `offset({offset})`")?;
                    if *order == Order::F {
                        f.write_str(" and the whole shape in Fortran order (`.f()`)")?;
                    }
                }
                f.write_str(", or the header as well with `npy_as_raw(true)`")
            }
            Self::InvalidDtype { position, reason } => write!(f, "{reason} (at byte {position} of the element type)"),
            Self::DtypeMismatch { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::ByteOrderMismatch { found } => write!(
                f,
                "the file holds {found}, which is in the other byte order; open it with an element type of bytes \
                 (`[u8; N]`) and convert, or rewrite it with `a.astype(a.dtype.newbyteorder('='))` in NumPy"
            ),
            Self::DimensionMismatch { expected, shape } => {
                let (s, ndim) = (if *expected == 1 { "" } else { "s" }, shape.len());
                write!(f, "expected {expected} dimension{s}, found {ndim} (shape {shape:?}); use ")?;
                if ndim <= 6 { write!(f, "`Ix{ndim}`, or `IxDyn`") } else { f.write_str("`IxDyn`") }
            }
            Self::Locked { exclusive } => write!(
                f,
                "another process, or another handle in this one, holds a lock{}; wait until it is released \
                 (`LockPolicy::Off` takes no lock, which leaves the rule on sharing to you: {SHARING_RULE})",
                if *exclusive { "" } else { " for writing" }
            ),
            Self::AlreadyMapped { writable } => write!(
                f,
                "is mapped {}in this process already; drop that array first, or open both read-only (with \
                 `LockPolicy::Off`, readers and one writer can be open together, which leaves the rule on sharing to you: \
                 {SHARING_RULE})",
                if *writable { "" } else { "writable " }
            ),
            Self::StorageFull { needed, available } => write!(
                f,
                "needs {needed} bytes more on its disk, {available} are free; make room, or choose another disk"
            ),
            Self::FileSizeLimit { needed, limit } => write!(
                f,
                "the file would have {needed} bytes, this process may write {limit} (RLIMIT_FSIZE, `ulimit -f`)"
            ),
            Self::FileTruncated { expected, found } => write!(
                f,
                "the file shrank while it was mapped: the array ends at byte {expected}, the file at {found}; only \
                 what lies before that can still be read, touching the rest ends the process"
            ),
            Self::FileReplaced {} => write!(
                f,
                "the path no longer names the mapped file, which was removed or replaced; the data are on disk, but \
                 not under this name: while the array is open, save them with `to_mmap` or `to_mmap_npy`"
            ),
            Self::PreviousFlushFailed {} => write!(
                f,
                "an earlier flush of this array, or of the directory of its file, failed, so what is on disk is unknown; save \
                 the array under another name, while it is open, with `to_mmap` or `to_mmap_npy`"
            ),
            Self::ShapeMismatch { expected, found, paths } => {
                match paths {
                    None => write!(f, "expected shape {expected:?}, found {found:?}")?,
                    Some([first, second]) => write!(
                        f,
                        "expected shape {expected:?} to match {}, found {found:?} of {}",
                        NameOf(first.as_deref()),
                        NameOf(second.as_deref())
                    )?,
                }
                let [wanted, are] =
                    [expected, found].map(|shape| shape.iter().map(|&len| len as u128).product::<u128>());
                if wanted == are { Ok(()) } else { write!(f, " ({wanted} elements, not {are})") }
            }
            Self::OrderMismatch { expected, shape } => write!(
                f,
                "elements are to be counted in {expected} order, in which this array of shape {shape:?} does not lie; \
                 count them in the other one with {}, or make a copy with `to_shape`",
                if *expected == Order::C { "`(shape, ndarray::Order::F)`" } else { "the shape alone" }
            ),
            Self::MemoryLimitExceeded { needed, limit } => write!(
                f,
                "this needs {needed} bytes of memory, it was given {limit}; allow more with `memory_limit`, or ask for less at once: \
                 fewer bins, quantiles or weights, or chunks of 2 MiB or less, cut along the slowest axis, of which a page counts \
                 as a whole"
            ),
            Self::InsufficientMemory { needed, available } => write!(
                f,
                "this needs {needed} bytes of memory beside the data, {available} are available; ask for less at once: for \
                 fewer bins or variables (with `.t()`, covariances are between columns)"
            ),
            Self::EmptyInput {} => {
                f.write_str("there are no elements, or none but NaNs; of pairs and observations, none without NaN")
            }
            Self::InvalidQuantile { found } => write!(f, "a quantile is a number from 0 to 1, not {found}"),
            Self::InvalidBins { reason } => write!(f, "invalid bins for a histogram: {reason}"),
            Self::UndefinedOrder {} => {
                f.write_str("there is a NaN, which cannot be ordered; leave NaNs out with `skipnan`")
            }
            Self::ForeignView {} => write!(f, "the view given does not lie inside this array"),
            Self::Unsupported { reason } => f.write_str(reason),
        }
    }
}

/// Names an array by the path of its file.
struct NameOf<'p>(Option<&'p Path>);

impl fmt::Display for NameOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => EscapedPath(path).fmt(f),
            None => f.write_str("an array without a file"),
        }
    }
}

/// A path without its control characters: they could break the line, or command the terminal.
pub(super) struct EscapedPath<'p>(pub(super) &'p Path);

impl fmt::Display for EscapedPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.to_string_lossy().chars() {
            if char.is_control() {
                write!(f, "{}", char.escape_default())?
            } else {
                write!(f, "{char}")?
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule on sharing has the same words wherever sharing is spoken of, and no message advises
    /// to break it.
    #[test]
    fn sharing_has_one_rule() {
        for (place, text) in [
            ("README.md", include_str!("../../README.md")),
            ("doc/numpy.md", include_str!("../doc/numpy.md")),
            ("doc/failure_modes.md", include_str!("../doc/failure_modes.md")),
            ("storage/options.rs", include_str!("../storage/options.rs")),
            ("storage/open.rs", include_str!("../storage/open.rs")),
            ("storage/new.rs", include_str!("../storage/new.rs")),
            ("storage/save.rs", include_str!("../storage/save.rs")),
            ("storage/array.rs", include_str!("../storage/array.rs")),
            ("storage/map.rs", include_str!("../storage/map.rs")),
            ("storage/lock.rs", include_str!("../storage/lock.rs")),
        ] {
            let words = text
                .split_whitespace()
                .filter(|word| !word.chars().all(|char| matches!(char, '/' | '!' | '>' | '-')));
            let text = words.collect::<Vec<_>>().join(" ");
            assert!(text.contains(SHARING_RULE), "{place}");
        }
        let kinds = [true, false].map(|flag| {
            [ErrorKind::Locked { exclusive: flag }, ErrorKind::AlreadyMapped { writable: flag }]
        });
        for kind in kinds.as_flattened() {
            let message = kind.to_string();
            assert!(message.contains(SHARING_RULE), "{message}");
        }
    }
}
