//! Files with partial results of an operation. Each contains the description of the operation, so
//! that the results of another one are recognized, and a checksum.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::distributed::{Message, impl_message};
use crate::error::{Error, ErrorKind, Result};

/// The first bytes of a state file. The number is the version of the format.
const MAGIC: &[u8] = b"ndarray-mmap state 1\n";

/// The description of an operation and its arrays, which must be the same when it is resumed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    pub(crate) operation: String,
    pub(crate) rank: (usize, usize),
    pub(crate) arrays: Vec<SavedArray>,
}

impl_message! { Subject { operation, rank, arrays } }

/// An array of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SavedArray {
    /// The absolute path of the file; `None` for an array in memory.
    pub(crate) path: Option<String>,
    /// The shape, the strides in bytes, and the offset in the file.
    pub(crate) layout: (Vec<usize>, Vec<isize>, u64),
    /// The size of the file, and its modification time in nanoseconds since 1970. They are 0 for an
    /// array that the operation writes.
    pub(crate) version: (u64, i128),
}

impl_message! { SavedArray { path, layout, version } }

impl Subject {
    /// Returns the reason why the state of `saved` is not one of this operation, if there is one.
    fn difference(&self, saved: &Self) -> Option<String> {
        if self.operation != saved.operation {
            let (found, expected) = (&saved.operation, &self.operation);
            return Some(format!("expected the state of {expected}, found that of {found}"));
        }
        if self.rank != saved.rank {
            let [found, expected] = [saved, self]
                .map(|subject| format!("rank {} of {}", subject.rank.0, subject.rank.1));
            return Some(format!("expected the state of {expected}, found that of {found}"));
        }
        self.arrays.iter().zip(&saved.arrays).enumerate().find_map(|(index, (array, saved))| {
            let name = |array: &SavedArray| match &array.path {
                Some(path) => format!("`{path}`"),
                None => format!("array {index} in memory"),
            };
            if array.path != saved.path {
                let (found, expected) = (name(saved), name(array));
                Some(format!("expected the state for {expected}, found that for {found}"))
            } else if array.layout != saved.layout {
                Some(format!(
                    "expected the state for {} with the shape {:?}, byte strides {:?} and offset \
                     {}, found {:?}, {:?} and {}",
                    name(array),
                    array.layout.0,
                    array.layout.1,
                    array.layout.2,
                    saved.layout.0,
                    saved.layout.1,
                    saved.layout.2,
                ))
            } else if array.version != saved.version {
                Some(format!(
                    "{} has changed: it has {} bytes and was modified {} ns after 1970, the state \
                     is for {} bytes modified {} ns after 1970",
                    name(array),
                    array.version.0,
                    array.version.1,
                    saved.version.0,
                    saved.version.1
                ))
            } else {
                None
            }
        })
    }
}

/// Writes a state to a new file and waits for the disk.
pub(super) fn write(file: &mut File, subject: &Subject, state: &impl Message) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    subject.encode_message(&mut bytes);
    state.encode_message(&mut bytes);
    fnv1a(&bytes).encode_message(&mut bytes);
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Reads a state; `None` if the file does not exist.
pub(super) fn read<T: Message>(path: &Path, subject: &Subject) -> Result<Option<T>> {
    let io_error = |error| Error::io("read the saved state", Some(path), error);
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.map_err(io_error)?,
    };
    // Another file, which may be large, is recognized by its first bytes.
    let mut bytes = Vec::new();
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes != MAGIC {
        return Err(invalid(path, "the file is not a saved state of this version"));
    }
    file.read_to_end(&mut bytes).map_err(io_error)?;
    let contents = match bytes.split_last_chunk() {
        Some((contents, hash)) if fnv1a(contents) == u64::from_le_bytes(*hash) => contents,
        _ => return Err(invalid(path, "the file is damaged, its checksum differs")),
    };
    let mut rest = contents.get(MAGIC.len()..).unwrap_or_default();
    let malformed = || invalid(path, "the file is malformed");
    let saved = Subject::decode_message(&mut rest).ok_or_else(malformed)?;
    if let Some(reason) = subject.difference(&saved) {
        return Err(invalid(path, reason));
    }
    T::decode_message(&mut rest).filter(|_| rest.is_empty()).ok_or_else(malformed).map(Some)
}

pub(super) fn invalid(path: &Path, reason: impl Into<String>) -> Error {
    ErrorKind::InvalidState { reason: reason.into() }.at(path)
}

/// Returns the key of a pass: a hash of its name and of the values on which its meaning depends.
pub(crate) fn pass_key(name: &str, values: &impl Message) -> u64 {
    let mut bytes = Vec::new();
    name.to_string().encode_message(&mut bytes);
    values.encode_message(&mut bytes);
    fnv1a(&bytes)
}

/// Returns the 64-bit FNV-1a hash of bytes.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
