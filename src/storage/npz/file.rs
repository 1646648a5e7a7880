//! Positional reading of the archive, and errors of the zip format.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rawzip::ReaderAt;

use crate::error::{Error, ErrorKind, Result};
use crate::paging::FileVersion;
use crate::storage::file::{self, open_regular};
use crate::storage::os;

/// The opened file of an archive.
#[derive(Debug)]
pub(super) struct ArchiveFile {
    file: File,
    path: PathBuf,
    /// The version at the time of opening.
    version: FileVersion,
}

impl ArchiveFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = open_regular(path, false)?;
        let version = file::file_version(&file, path, true)?;
        Ok(Self { file, path: path.to_path_buf(), version })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the length in bytes at the time of opening.
    pub(super) fn len(&self) -> u64 {
        self.version.bytes
    }

    /// Returns an error if another handle does not refer to this file, or if the file was modified
    /// since it was opened, so that positions in it may be wrong.
    pub(super) fn check_same(&self, other: &File) -> Result<()> {
        if file::file_version(other, &self.path, true)? == self.version {
            return Ok(());
        }
        let reason = "the path refers to another file than when the archive was opened, or the file \
                      was modified; open the archive again";
        Err(ErrorKind::Unsupported { reason: reason.to_owned() }.at(&*self.path))
    }

    pub(super) fn invalid(&self, reason: impl Into<String>) -> Error {
        ErrorKind::InvalidArchive { reason: reason.into() }.at(&*self.path)
    }

    /// Converts an error of reading the records of the archive.
    pub(super) fn error(&self, error: rawzip::Error) -> Error {
        use rawzip::ErrorKind as Zip;
        let reason = match error.into_kind() {
            Zip::IO(error) => return self.read_error(error),
            Zip::MissingEndOfCentralDirectory => {
                "no directory at the end of the file, which is not a zip archive or was truncated; \
                 copy or save it again"
                    .to_owned()
            }
            Zip::Eof => TRUNCATED.to_owned(),
            Zip::InvalidEndOfCentralDirectory => {
                "the end record refers to a directory past itself; copy or save the file again"
                    .to_owned()
            }
            Zip::InvalidSignature { expected, actual } => format!(
                "expected a record with signature {expected:#010x}, found {actual:#010x}; copy or \
                 save the file again"
            ),
            Zip::InvalidSize { expected, actual } => format!(
                "the directory lists {expected} bytes, the data has {}; copy or save the file \
                 again",
                // The rest of a longer member is not decoded.
                if actual > expected { "more".to_owned() } else { actual.to_string() }
            ),
            Zip::InvalidChecksum { expected, actual } => format!(
                "the directory lists CRC-32 {expected:#010x}, the data has {actual:#010x}; copy or \
                 save the file again"
            ),
            other => format!("{other}; copy or save the file again"),
        };
        self.invalid(reason)
    }

    /// Converts an error of reading or decoding.
    pub(super) fn read_error(&self, error: io::Error) -> Error {
        if error.raw_os_error().is_some() {
            return Error::io("read the archive", Some(&self.path), error);
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.invalid(TRUNCATED);
        }
        match error.downcast::<rawzip::Error>() {
            Ok(error) => self.error(error),
            Err(error) => self.invalid(format!("{error}; copy or save the file again")),
        }
    }
}

const TRUNCATED: &str =
    "a record extends past the end of the file or of the directory; copy or save the file again";

impl ReaderAt for ArchiveFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // Offsets in records may exceed those that the system accepts.
        if offset >= self.len() { Ok(0) } else { os::read_at(&self.file, offset, buffer) }
    }
}
