//! Extraction of a member to a file.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::member::NpzMember;
use super::stream::BUFFER_LEN;
use crate::error::{Error, Result};
use crate::storage::create::FileSpec;
use crate::storage::lock::{Lock, LockPolicy};

impl NpzMember<'_> {
    /// Copies the `.npy` file out of the archive, in at most 256 KiB of memory. The file is durable
    /// when the call returns `Ok`.
    ///
    /// The file appears under its path only when it is complete and its checksum is right, and
    /// replaces an existing file as a [new array](crate::MmapArrayOptions#creating) does. The path is
    /// used as it is: the name of the member is no part of it.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{MmapArray, NpzArchive};
    ///
    #[doc = example_archive!()]
    /// let target = dir.path().join("y.npy");
    /// NpzArchive::open(&path)?.member("y")?.extract(&target)?;
    /// // SAFETY: this program alone uses the file.
    /// let y = unsafe { MmapArray::<f64, Ix1>::open_npy(&target) }?;
    /// assert_eq!(y, array![1.5, 2.5]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArchive`](crate::ErrorKind::InvalidArchive) if the member cannot be
    /// decoded, or its length or its checksum is not the one that the directory lists; the errors of
    /// [`MmapArrayOptions::create`](crate::MmapArrayOptions::create). The latter, and errors of
    /// writing, name the path of the new file.
    pub fn extract(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let io_error = |action| move |error| Error::io(action, Some(path), error);
        let len = self.decoded_len();
        let spec = FileSpec { header: &[], len, sparse: false, create_new: false };
        let (file, staged) = spec.create(path)?;
        let file = Arc::new(file);
        let policy = LockPolicy::BestEffort;
        // Shows that the temporary file is in use.
        let _lock = Lock::acquire(&file, path, true, policy)?;
        let mut stream = self.stream();
        let mut buffer = vec![0; BUFFER_LEN];
        loop {
            match stream.read(&mut buffer).map_err(|error| self.named(error))? {
                0 => break,
                len => (&*file).write_all(&buffer[..len]).map_err(io_error("write"))?,
            }
        }
        file.sync_all().map_err(io_error("flush"))?;
        let (directory, _guard) =
            staged.persist(&file, path, policy).map_err(|(error, _staged)| error)?;
        directory.sync(&file).map_err(io_error("flush the directory of the new file"))
    }
}
