//! The directory of an archive, and its checks.
#![forbid(unsafe_code)]

use rawzip::{
    CompressionMethod, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive, ZipArchiveEntryWayfinder,
    ZipLocator,
};

use super::file::ArchiveFile;
use crate::error::{DisplayName, Result};

/// A file in the archive, as listed in the directory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) method: CompressionMethod,
    pub(super) is_encrypted: bool,
    /// The position and the sizes.
    pub(super) record: ZipArchiveEntryWayfinder,
    /// The end of the space of the entry: the start of the next one, or of the directory.
    pub(super) limit: u64,
    start: u64,
}

/// Reads the directory of an archive, in at most 256 KiB and eight times its size of memory.
pub(super) fn read(file: ArchiveFile) -> Result<(ZipArchive<ArchiveFile>, Vec<Entry>)> {
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive = locate(file, &mut buffer)?;
    let file = archive.get_ref();
    let mut entries = Vec::new();
    let mut records = archive.entries(&mut buffer);
    while let Some(record) = records.next_entry().map_err(|error| file.error(error))? {
        entries.push(Entry {
            name: String::from_utf8_lossy(record.file_path().as_ref()).into_owned(),
            method: record.compression_method(),
            is_encrypted: record.flags().is_encrypted(),
            record: record.wayfinder(),
            limit: archive.directory_offset(),
            start: record.local_header_offset(),
        });
    }
    // Without the records of zip64, the count has 16 bits.
    let count = archive.entries_hint();
    if entries.len() as u16 != count as u16 {
        return Err(file.invalid(format!(
            "the end record counts {count} files, the directory lists {}; copy or save the file \
             again",
            entries.len()
        )));
    }
    set_limits(&mut entries, file)?;
    Ok((archive, entries))
}

/// Finds the end record, which a comment may follow.
fn locate(file: ArchiveFile, buffer: &mut [u8]) -> Result<ZipArchive<ArchiveFile>> {
    const END_RECORD_LEN: u64 = 22;
    const MAX_COMMENT_LEN: u64 = u16::MAX as u64;
    let earliest = file.len().saturating_sub(END_RECORD_LEN + MAX_COMMENT_LEN);
    let mut locate = |file: ArchiveFile, end| {
        let locator = ZipLocator::new().max_search_space(end - earliest);
        locator.locate_in_reader(file, buffer, end)
    };
    let len = file.len();
    let (mut file, first_error) = match locate(file, len) {
        Ok(archive) => return Ok(archive),
        Err(failure) => failure,
    };
    // A comment may contain the signature of an end record.
    let mut position = first_error.eocd_offset();
    while let Some(end) = position.filter(|&end| end > earliest) {
        let failure = match locate(file, end) {
            Ok(archive) => return Ok(archive),
            Err(failure) => failure,
        };
        file = failure.0;
        position = failure.1.eocd_offset();
    }
    Err(file.error(first_error))
}

/// Sets the limit of each entry, and returns an error if an entry exceeds it.
fn set_limits(entries: &mut [Entry], file: &ArchiveFile) -> Result<()> {
    /// The length of the record in front of the data, without names.
    const LOCAL_HEADER_LEN: u64 = 30;
    let mut order: Vec<_> = (0..entries.len()).collect();
    order.sort_by_key(|&index| entries[index].start);
    for pair in order.windows(2) {
        entries[pair[0]].limit = entries[pair[0]].limit.min(entries[pair[1]].start);
    }
    for entry in entries {
        let least_len = LOCAL_HEADER_LEN.checked_add(entry.record.compressed_size_hint());
        let end = least_len.and_then(|len| entry.start.checked_add(len));
        if end.is_none_or(|end| end > entry.limit) {
            return Err(file.invalid(format!(
                "{} at byte {} has {} bytes, and extends past the start of the next file or of \
                 the directory at byte {}; copy or save the file again",
                DisplayName(&entry.name),
                entry.start,
                entry.record.compressed_size_hint(),
                entry.limit
            )));
        }
    }
    Ok(())
}
