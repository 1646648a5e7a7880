//! Room in the header of an existing file, which is copied under a longer one.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::handle::FileHandle;
use crate::storage::layout::{Element, FileLayout};
use crate::storage::npy::{AxisField, MAGIC, NpyHeader, growing_header};
use crate::storage::options::MmapArrayOptions;
use crate::storage::os;

/// # Room for more rows
impl NpyHeader {
    /// Ensures that the header of a file has room for any number of rows, and returns it.
    ///
    /// If the header has no room, the file is replaced by a copy with a longer header: the one that
    /// NumPy has written since version 1.23. The file is copied by the kernel where possible, needs
    /// its own size in free disk space, and is replaced as a whole: a crash leaves the old file or
    /// the new one. Permissions, links and locks are treated [as for a new
    /// file](crate::MmapArrayOptions#creating). Bytes after the array are not copied.
    ///
    /// Afterwards, an [`ArrayAppender`](crate::ArrayAppender) can append rows in place.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayAppender, ArrayFile, ErrorKind, NpyHeader};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// let text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (9,)}"; // no room
    /// std::fs::write(&path, [b"\x93NUMPY\x01\0\x37\0", &text[..], &[7; 9]].concat())?;
    /// let mut table = ArrayAppender::<u8, Ix1>::open_npy(&path)?;
    /// let error = table.push(&arr0(8)).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::HeaderFull { rows: 10, max: 9, .. }));
    /// drop(table);
    ///
    /// NpyHeader::reserve_room(&path)?;
    /// let mut table = ArrayAppender::<u8, Ix1>::open_npy(&path)?;
    /// table.push(&arr0(8))?;
    /// table.close()?;
    /// assert_eq!(ArrayFile::<u8, Ix1>::open_npy(&path)?.read_all()?.sum(), 71);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`read`](Self::read); [`ErrorKind::TooShort`] if elements are missing;
    /// [`ErrorKind::Locked`] or [`ErrorKind::AlreadyMapped`] if the file is in use for writing;
    /// [`ErrorKind::StorageFull`] if the disk is too full for a copy; [`ErrorKind::Io`] if the file
    /// cannot be read or replaced; [`ErrorKind::Unsupported`] if rows cannot be appended to the file
    /// in any case: it has no axes, is in Fortran order, stores Python objects, or continues with
    /// another array. The file is unchanged if an error is returned (except if its directory cannot
    /// be flushed, which the message then says).
    pub fn reserve_room(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let options = MmapArrayOptions::new();
        let (old, header) = open_growing(path, &options)?;
        if AxisField::read_from(old.file(), path, 0, &header)?.max_len() == usize::MAX {
            return Ok(header);
        }
        let at_path = |kind: ErrorKind| kind.at(path);
        let bytes = growing_header(header.dtype(), header.shape(), 1).map_err(at_path)?;
        let layout = relocated(&header, bytes.len() as u64).map_err(at_path)?;
        let (mut new, staged) = options.create_handle(path, &bytes, layout)?;
        copy_data(&old, &new)?;
        new.flush(|| false, |_| new.sync_all())?;
        // The lock on the old file excludes writers until it is replaced, where that is possible.
        let _old = os::REPLACES_OPEN_FILES.then_some(old);
        new.publish(&mut Some(staged))?;
        Self::read_from(new.file(), path, 0)
    }
}

/// Opens a file whose first axis can grow at its end, for reading.
fn open_growing(path: &Path, options: &MmapArrayOptions) -> Result<(FileHandle, NpyHeader)> {
    let mut header = None;
    let handle = FileHandle::open(path, false, options.lock, |file, file_len| {
        let found = NpyHeader::read_from(file, path, 0)?;
        let layout = growing_layout(&found, file_len).map_err(|kind| kind.at(path))?;
        check_nothing_follows(file, path, layout.end())?;
        header = Some(found);
        Ok(layout)
    })?;
    Ok((handle, header.expect("the layout was determined with it")))
}

/// Returns the layout of a file whose first axis can grow.
fn growing_layout(header: &NpyHeader, file_len: u64) -> std::result::Result<FileLayout, ErrorKind> {
    let layout = relocated(header, header.data_offset())?;
    super::opening::check_grows(&layout)?;
    layout.check_fits(file_len, element_of(header)?, true)?;
    Ok(layout)
}

/// Returns the layout of the data of a header at another offset.
fn relocated(header: &NpyHeader, offset: u64) -> std::result::Result<FileLayout, ErrorKind> {
    FileLayout::new(header.shape(), header.order(), offset, element_of(header)?)
}

/// Returns an element of the size that the header states.
fn element_of(header: &NpyHeader) -> std::result::Result<Element, ErrorKind> {
    match header.dtype().item_size() {
        Some(size) => Ok(Element { size, align: 1, name: "bytes" }),
        None => Err(ErrorKind::Unsupported {
            reason: "rows cannot be appended to Python objects, which are pickled; append in NumPy"
                .to_owned(),
        }),
    }
}

/// Copies the data of one file into another.
fn copy_data(from: &FileHandle, to: &FileHandle) -> Result<()> {
    let copy = || {
        let (mut source, mut target): (&File, &File) = (from.file(), to.file());
        source.seek(SeekFrom::Start(from.layout().offset()))?;
        target.seek(SeekFrom::Start(to.layout().offset()))?;
        io::copy(&mut source.take(from.layout().byte_len() as u64), &mut target)
    };
    let copied = copy().map_err(|error| Error::io("copy the array", from.path(), error))?;
    let (expected, found) = (from.layout().end(), from.layout().offset() + copied);
    if found < expected {
        return Err(Error::new(ErrorKind::FileTruncated { expected, found }, from.path()));
    }
    from.check_length()
}

/// Returns an error if another array starts at byte `end` of a file, which appended rows would
/// overwrite.
pub(super) fn check_nothing_follows(file: &File, path: &Path, end: u64) -> Result<()> {
    let mut next = [0; MAGIC.len()];
    let got = os::read_at(file, end, &mut next)
        .map_err(|error| Error::io("read", Some(path), error).at_byte(end))?;
    if got < next.len() || next != *MAGIC {
        return Ok(());
    }
    let reason = format!(
        "another .npy header follows the array at byte {end}, where rows would be appended; save \
         the array to its own file (or append to the last one, with `MmapArrayOptions::offset`)"
    );
    Err(ErrorKind::Unsupported { reason }.at(path))
}
