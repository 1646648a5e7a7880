//! Files with partial results of an operation. Each contains the description of the operation, so
//! that the results of another one are recognized, and a checksum.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use tempfile::Builder;

use crate::distributed::{Message, impl_message};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::TEMPORARY_PREFIX;

/// The first bytes of a state file. Another version of the crate may divide passes differently.
const MAGIC: &[u8] = concat!("ndarray-mmap ", env!("CARGO_PKG_VERSION"), " state\n").as_bytes();

/// The description of an operation, its ranks and its arrays.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    pub(crate) operation: String,
    /// The number of the rank, and the number of ranks.
    pub(crate) rank: (usize, usize),
    /// The shape of the array of each rank.
    pub(crate) shapes: Vec<Vec<usize>>,
    /// The memory limit of the parts of a job, which must be equal.
    pub(crate) memory_limit: Option<usize>,
    pub(crate) arrays: Vec<SavedArray>,
}

impl_message! { Subject { operation, rank, shapes, memory_limit, arrays } }

/// An array of an operation.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(unreachable_pub, reason = "sealed traits mention it in hidden methods")]
pub struct SavedArray {
    /// The absolute path of the file; `None` for an array in memory.
    pub(crate) path: Option<String>,
    pub(crate) shape: Vec<usize>,
    pub(crate) byte_strides: Vec<isize>,
    /// The offset of the first byte in the file.
    pub(crate) offset: u64,
    /// The identity and the size of a file that is read.
    pub(crate) file_id: String,
    pub(crate) file_bytes: u64,
    /// The modification time of a file that is read, in nanoseconds since 1970, or a hash of the
    /// elements of an array in memory.
    pub(crate) version: i128,
}

impl_message! { SavedArray { path, shape, byte_strides, offset, file_id, file_bytes, version } }

impl Subject {
    /// Returns the reason why the state of `saved` is not one of this operation, if there is one.
    fn difference(&self, saved: &Self) -> Option<String> {
        let differ = |found: &dyn Display, expected: &dyn Display| {
            Some(format!("expected the state of {expected}, found that of {found}"))
        };
        if self.operation != saved.operation {
            return differ(&saved.operation, &self.operation);
        }
        if self.rank != saved.rank {
            let [found, expected] = [saved, self]
                .map(|subject| format!("rank {} of {}", subject.rank.0, subject.rank.1));
            return differ(&found, &expected);
        }
        if self.shapes != saved.shapes {
            let [found, expected] = [saved, self]
                .map(|subject| format!("ranks with arrays of the shapes {:?}", subject.shapes));
            return differ(&found, &expected);
        }
        if self.memory_limit != saved.memory_limit {
            let [found, expected] = [saved, self].map(|subject| match subject.memory_limit {
                Some(bytes) => format!("parts within a memory limit of {bytes} bytes"),
                None => "parts without a memory limit".into(),
            });
            return differ(&found, &expected);
        }
        if self.arrays.len() != saved.arrays.len() {
            let [found, expected] =
                [saved, self].map(|subject| format!("{} arrays", subject.arrays.len()));
            return differ(&found, &expected);
        }
        self.arrays.iter().zip(&saved.arrays).find_map(|(array, saved)| array.difference(saved))
    }
}

impl SavedArray {
    fn difference(&self, saved: &Self) -> Option<String> {
        let name = |array: &Self| match &array.path {
            Some(path) => format!("`{path}`"),
            None => "an array in memory".into(),
        };
        let name_and_layout = |array: &Self| {
            let Self { shape, byte_strides, offset, .. } = array;
            let name = name(array);
            format!(
                "{name} of shape {shape:?}, with byte strides {byte_strides:?}, at byte {offset}"
            )
        };
        let layout = |array: &Self| (array.shape.clone(), array.byte_strides.clone(), array.offset);
        let has_changed = |found: String| Some(format!("{} has changed: {found}", name(self)));
        if self.path != saved.path || layout(self) != layout(saved) {
            let [found, expected] = [saved, self].map(name_and_layout);
            Some(format!("expected the state for {expected}, found that for {found}"))
        } else if self.file_bytes != saved.file_bytes {
            let [found, expected] = [saved, self].map(|array| array.file_bytes);
            has_changed(format!("it has {expected} bytes, and had {found} bytes"))
        } else if self.file_id != saved.file_id {
            has_changed("it is another file at the same path".into())
        } else if self.version != saved.version {
            has_changed(match self.path {
                Some(_) => "its modification time differs".into(),
                None => "its elements differ".into(),
            })
        } else {
            None
        }
    }
}

/// Writes a state, such that other processes never see a part of it.
pub(super) fn write(path: &Path, subject: &Subject, state: &impl Message) -> Result<()> {
    let mut bytes = MAGIC.to_vec();
    subject.encode_message(&mut bytes);
    state.encode_message(&mut bytes);
    fnv1a(&bytes).encode_message(&mut bytes);
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || {
        // A process that is killed may leave the temporary file, whose name is that of all
        // temporary files of this crate.
        let mut new = Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(directory)?;
        new.write_all(&bytes)?;
        new.as_file().sync_all()?;
        new.persist(path)?;
        Ok(())
    };
    write().map_err(|error| Error::io("save the state", Some(path), error))
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
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
