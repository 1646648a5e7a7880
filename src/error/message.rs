//! Error messages.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::Path;

use super::ErrorKind;
use crate::order::Order;

/// The aliasing rule of the safety contract. Everything that describes it quotes these words.
const SHARING_RULE: &str = "While a borrow of a mapped array is in use, no one changes the bytes \
                            that it covers except through it; between borrows others may, if a \
                            lock or a message orders their changes after the last borrow and \
                            before the next borrow";

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action } => write!(f, "cannot {action}"),
            Self::NotRegularFile { found } => {
                write!(f, "not a regular file: {found}; use the path of a regular file")
            }
            Self::TooShort { shape, order, element, offset, needed, found, from_header } => write!(
                f,
                "too short: shape {shape:?} of {element} in {order} order at offset {offset} \
                 needs {needed} bytes and ends at byte {}, but there are {found} bytes; {}",
                offset.saturating_add(*needed),
                if *from_header {
                    "the file was truncated, or not all data has been written: copy or save it \
                     again"
                } else {
                    "check shape, element type and offset, or whether all data has been written"
                }
            ),
            Self::TrailingBytes { expected, found } => write!(
                f,
                "{} trailing byte{}: the array ends at byte {expected}, the file at {found}; use \
                 `MmapArrayOptions::trailing_bytes(true)` to allow them",
                found.saturating_sub(*expected),
                if found.saturating_sub(*expected) == 1 { "" } else { "s" }
            ),
            Self::PartialRow { row_bytes, offset, found } => match row_bytes {
                _ if offset > found => write!(
                    f,
                    "offset {offset} is past the end of the file ({found} bytes); check the offset"
                ),
                0 => write!(
                    f,
                    "cannot infer the row count: rows have zero bytes; use `open` with a full shape"
                ),
                _ => write!(
                    f,
                    "{} bytes after offset {offset} ({found} in the file) are not a whole number \
                     of {row_bytes}-byte rows; check row shape, element type and offset, or use \
                     `MmapArrayOptions::trailing_bytes(true)`",
                    found - offset
                ),
            },
            Self::TooLarge { shape, element, offset } => write!(
                f,
                "array too large: shape {shape:?} of {element} at offset {offset} exceeds the \
                 address space"
            ),
            Self::Misaligned { offset, align, element } => write!(
                f,
                "misaligned data: {element} needs {align}-byte alignment, but the array starts at \
                 {offset} ({} bytes past a multiple); read it with `ArrayFile`, or copy the data \
                 to an aligned offset",
                offset % (*align).max(1) as u64
            ),
            Self::InvalidHeader { position, reason } => {
                write!(f, "invalid .npy header at byte {position}: {reason}")
            }
            Self::HeaderFull { rows, max } => write!(
                f,
                "the .npy header has no room for {rows} rows, only for {max}; close the file and \
                 call `NpyHeader::reserve_room`, which copies it under a header with room, or save the \
                 array to its own file if the file contains several"
            ),
            Self::InvalidArchive { reason } => {
                write!(f, "invalid zip archive: {reason}")
            }
            Self::NoSuchMember { name, members } => {
                const MAX_LISTED: usize = 10;
                write!(f, "no array named {}; the archive contains ", DisplayName(name))?;
                for (index, member) in members.iter().take(MAX_LISTED).enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{}", DisplayName(member))?;
                }
                match members.len() {
                    0 => f.write_str("no arrays"),
                    count if count > MAX_LISTED => write!(f, " and {} more", count - MAX_LISTED),
                    _ => Ok(()),
                }
            }
            Self::NpyHeaderInRawFile { method: None, .. } => f.write_str(
                "raw file starts with an .npy header of Python objects, which cannot be mapped; \
                 save it in NumPy with another dtype, or read all its bytes with \
                 `MmapArrayOptions::npy_as_raw(true)`",
            ),
            Self::NpyHeaderInRawFile { data_offset, order, method: Some(method) } => {
                write!(
                    f,
                    "raw file starts with an .npy header, which would be read as elements; open \
                     it with `{method}`"
                )?;
                if let Some(offset) = data_offset {
                    write!(f, ", or only its data with `MmapArrayOptions::offset({offset})`")?;
                    if *order == Order::F {
                        f.write_str(" and the full shape in Fortran order (`.f()`)")?;
                    }
                }
                f.write_str(", or include the header with `MmapArrayOptions::npy_as_raw(true)`")
            }
            Self::InvalidDtype { position, reason } => {
                write!(f, "invalid dtype at byte {position}: {reason}")
            }
            Self::DtypeMismatch { expected, found } => {
                write!(f, "dtype mismatch: expected {expected}, found {found}")
            }
            Self::ByteOrderMismatch { found } => write!(
                f,
                "byte order mismatch: the file stores {found}; read it with \
                 `ArrayFile::open_npy`, or rewrite it with `a.astype(a.dtype.newbyteorder('='))` in NumPy"
            ),
            Self::DimensionMismatch { expected, shape } => {
                let s = if *expected == 1 { "" } else { "s" };
                let ndim = shape.len();
                write!(
                    f,
                    "expected {expected} dimension{s}, found {ndim} (shape {shape:?}); use "
                )?;
                if ndim <= 6 { write!(f, "`Ix{ndim}` or `IxDyn`") } else { f.write_str("`IxDyn`") }
            }
            Self::Locked { exclusive } => write!(
                f,
                "file is locked{} by another process, or by another handle in this one; retry \
                 later, or use `LockPolicy::Off`, which leaves the sharing rule to you: \
                 {SHARING_RULE}",
                if *exclusive { "" } else { " for writing" }
            ),
            Self::AlreadyMapped { writable } => write!(
                f,
                "file is already open{} in this process; drop that array first, or open both \
                 read-only (`LockPolicy::Off` allows readers and one writer together, which \
                 leaves the sharing rule to you: {SHARING_RULE})",
                if *writable { "" } else { " for writing" }
            ),
            Self::StorageFull { needed, available } => write!(
                f,
                "not enough disk space: {needed} more bytes needed, {available} available; free \
                 some space, or use another disk"
            ),
            Self::FileSizeLimit { needed, limit } => write!(
                f,
                "file of {needed} bytes exceeds this process's limit of {limit} bytes; raise the \
                 limit (RLIMIT_FSIZE, `ulimit -f`)"
            ),
            Self::FileTruncated { expected, found } => write!(
                f,
                "file was truncated while open: the array ends at byte {expected}, the file at \
                 {found}; restore the file and open it again (if it is mapped, an access to its \
                 data past the end raises SIGBUS)"
            ),
            Self::FileReplaced {} => write!(
                f,
                "the path no longer refers to the open file (removed or replaced); the data was \
                 flushed but not under this path: while the array is open, save it with `to_mmap` \
                 or `to_mmap_npy`"
            ),
            Self::FileModified {} => f.write_str(
                "the file was modified or replaced by another program after it was opened, so what \
                 was read or written may belong to two versions; open it again",
            ),
            Self::PreviousFlushFailed {} => write!(
                f,
                "a previous flush of the array or of its directory failed, so the file contents \
                 are unknown; while the array is open, save it under another path with `to_mmap` \
                 or `to_mmap_npy`"
            ),
            Self::IndexOutOfBounds { axis, len, index, position } => write!(
                f,
                "index {index} at position {position} of the indices is out of bounds for axis \
                 {axis} of length {len}; remove it, or select along another axis"
            ),
            Self::ConcatenationMismatch { axis, first, first_path, index, found } => {
                write!(
                    f,
                    "the array at index {index}, of shape {found:?}, does not fit the first one, {} \
                     of shape {first:?}: ",
                    DisplayPath(first_path.as_deref()),
                )?;
                match axis {
                    Some(axis) => write!(f, "all axes but axis {axis} must have the same length")?,
                    None => f.write_str("all arrays must have the same shape")?,
                }
                f.write_str("; leave it out, or process it separately")
            }
            Self::ShapeMismatch { expected, found, paths } => {
                match paths {
                    None => write!(f, "expected shape {expected:?}, found {found:?}")?,
                    Some([first, second]) => write!(
                        f,
                        "expected shape {expected:?} to match {}, found {found:?} of {}",
                        DisplayPath(first.as_deref()),
                        DisplayPath(second.as_deref())
                    )?,
                }
                // A requested shape may have more elements than any integer can count.
                let num_elements = |shape: &[usize]| {
                    shape.iter().try_fold(1_u128, |product, &len| product.checked_mul(len as u128))
                };
                match (num_elements(expected), num_elements(found)) {
                    (Some(expected), Some(found)) if expected != found => {
                        write!(f, " ({expected} elements, not {found})")
                    }
                    _ => Ok(()),
                }
            }
            Self::OrderMismatch { expected, shape } => write!(
                f,
                "cannot reshape in {expected} order: the array (shape {shape:?}) is not \
                 contiguous in that order; pass {}, or copy with `to_shape`",
                if *expected == Order::C {
                    "`(shape, ndarray::Order::F)`"
                } else {
                    "the shape without an order"
                }
            ),
            Self::MemoryLimitExceeded { needed, limit } => write!(
                f,
                "memory limit exceeded: needs {needed} bytes, the limit is {limit}; raise \
                 `memory_limit`, or use smaller chunks or results (a chunk of a mapped \
                 array counts with whole pages)"
            ),
            Self::InsufficientMemory { needed, available, remedy } => write!(
                f,
                "result too large: needs {needed} bytes of memory in addition to the data, \
                 {available} available; {remedy}"
            ),
            Self::EmptyInput {} => f.write_str(
                "empty input: the array or one of its lanes has no elements, or only NaNs and \
                 `skipnan` is set; check the shape, or count values with `count_where` first",
            ),
            Self::InvalidQuantile { found } => {
                write!(
                    f,
                    "quantile must be between 0 and 1, found {found}; divide percentages by 100"
                )
            }
            Self::InvalidBins { reason } => write!(f, "invalid histogram bins: {reason}"),
            Self::UndefinedOrder {} => {
                f.write_str("input contains NaN, which has no order; use `skipnan` to ignore NaNs")
            }
            Self::ForeignView {} => write!(
                f,
                "view does not belong to this array; pass a view of the array on which the method is \
                 called"
            ),
            Self::RankFailed { rank, message } => write!(f, "rank {rank} failed: {message}"),
            Self::RanksDisagree { rank, expected, found } => write!(
                f,
                "expected rank {rank} to run {expected} as rank 0 does, found {found}; all ranks \
                 must call the same operations in the same order"
            ),
            Self::InvalidIndex { line, reason } => write!(
                f,
                "invalid index at line {line}: {reason}; restore the file, or write \
                 the index again with `NpyIndex::write`"
            ),
            Self::InvalidState { reason } => {
                write!(f, "cannot use the saved state: {reason}; remove it to start over")
            }
            Self::PartsMissing { pass, missing, count } => {
                write!(f, "pass {pass}: {} of {count} parts are missing:", missing.len())?;
                missing.iter().take(8).try_for_each(|part| write!(f, " {part}"))?;
                let more = if missing.len() > 8 { " ..." } else { "" };
                write!(f, "{more}; run them, then repeat the operation")
            }
            Self::Unsupported { reason } => f.write_str(reason),
        }
    }
}

/// Displays an array by the path of its file.
struct DisplayPath<'p>(Option<&'p Path>);

impl fmt::Display for DisplayPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => EscapedPath(path).fmt(f),
            None => f.write_str("an array without a file"),
        }
    }
}

/// Displays a name from an archive: quoted, escaped, and truncated.
pub(crate) struct DisplayName<'n>(pub(crate) &'n str);

impl fmt::Display for DisplayName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_CHARS: usize = 60;
        match self.0.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// Displays a path with escaped control characters, which could break the line or control the
/// terminal.
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

    /// Every text that describes sharing quotes the rule word for word, and no message recommends
    /// breaking it.
    #[test]
    fn sharing_rule_is_quoted_verbatim() {
        for (source, text) in [
            ("README.md", include_str!("../../README.md")),
            ("doc/numpy.md", include_str!("../doc/numpy.md")),
            ("doc/failure_modes.md", include_str!("../doc/failure_modes.md")),
            ("storage/options.rs", include_str!("../storage/options.rs")),
            ("storage/open.rs", include_str!("../storage/open.rs")),
            ("storage/create_api.rs", include_str!("../storage/create_api.rs")),
            ("save.rs", include_str!("../save.rs")),
            ("storage/array.rs", include_str!("../storage/array.rs")),
            ("storage/map.rs", include_str!("../storage/map.rs")),
            ("storage/npz/mmap.rs", include_str!("../storage/npz/mmap.rs")),
            ("storage/lock.rs", include_str!("../storage/lock.rs")),
        ] {
            let words = text
                .split_whitespace()
                .filter(|word| !word.chars().all(|char| matches!(char, '/' | '!' | '>' | '-')));
            let text = words.collect::<Vec<_>>().join(" ");
            assert!(text.contains(SHARING_RULE), "{source}");
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
