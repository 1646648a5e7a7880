//! The conversion to `std::io::Error`.
#![forbid(unsafe_code)]

use std::io;

use super::{Error, ErrorKind};

/// Preserves the message and, if there is one, the operating system's error kind.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match (&error.0.source, &error.0.kind) {
            (Some(source), _) => source.kind(),
            (None, ErrorKind::TooShort { .. } | ErrorKind::FileTruncated { .. }) => {
                io::ErrorKind::UnexpectedEof
            }
            (None, ErrorKind::Locked { .. }) => io::ErrorKind::WouldBlock,
            (None, ErrorKind::AlreadyMapped { .. }) => io::ErrorKind::ResourceBusy,
            (None, ErrorKind::HeaderFull { .. }) => io::ErrorKind::FileTooLarge,
            (None, ErrorKind::StorageFull { .. }) => io::ErrorKind::StorageFull,
            (None, ErrorKind::FileSizeLimit { .. }) => io::ErrorKind::FileTooLarge,
            (
                None,
                ErrorKind::MemoryLimitExceeded { .. } | ErrorKind::InsufficientMemory { .. },
            ) => io::ErrorKind::OutOfMemory,
            (None, ErrorKind::Unsupported { .. }) => io::ErrorKind::Unsupported,
            (
                None,
                ErrorKind::TrailingBytes { .. }
                | ErrorKind::PartialRow { .. }
                | ErrorKind::Misaligned { .. }
                | ErrorKind::InvalidHeader { .. }
                | ErrorKind::InvalidIndex { .. }
                | ErrorKind::InvalidArchive { .. }
                | ErrorKind::NpyHeaderInRawFile { .. }
                | ErrorKind::DtypeMismatch { .. }
                | ErrorKind::ByteOrderMismatch { .. }
                | ErrorKind::DimensionMismatch { .. }
                | ErrorKind::UndefinedOrder {},
            ) => io::ErrorKind::InvalidData,
            (None, ErrorKind::NoSuchMember { .. }) => io::ErrorKind::NotFound,
            (
                None,
                ErrorKind::TooLarge { .. }
                | ErrorKind::InvalidDtype { .. }
                | ErrorKind::IndexOutOfBounds { .. }
                | ErrorKind::ConcatenationMismatch { .. }
                | ErrorKind::ShapeMismatch { .. }
                | ErrorKind::OrderMismatch { .. }
                | ErrorKind::NotRegularFile { .. }
                | ErrorKind::EmptyInput {}
                | ErrorKind::InvalidQuantile { .. }
                | ErrorKind::InvalidBins { .. }
                | ErrorKind::RanksDisagree { .. }
                | ErrorKind::InvalidState { .. }
                | ErrorKind::ForeignView {},
            ) => io::ErrorKind::InvalidInput,
            (
                None,
                ErrorKind::Io { .. }
                | ErrorKind::RankFailed { .. }
                | ErrorKind::PartsMissing { .. }
                | ErrorKind::FileReplaced {}
                | ErrorKind::FileModified {}
                | ErrorKind::PreviousFlushFailed {},
            ) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
