//! Options for opening and creating arrays in files.
#![forbid(unsafe_code)]

use super::lock::LockPolicy;
use super::map::Advice;
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;

/// Options for opening or creating an array in a file, mapped or [read](crate::ArrayFile): offset,
/// lock policy, trailing bytes, `.npy` files as raw files, sparse files, access pattern.
///
/// The short forms on the array types ([`MmapArray::open`](crate::MmapArray::open),
/// [`ArrayFile::open`](crate::ArrayFile::open) and so on) use the default options. An option that
/// does not apply to a call has no effect on it: `sparse` and `create_new` apply to creation,
/// `trailing_bytes` to files opened without a given shape.
///
/// ```
/// use ndarray_mmap::{Advice, MmapArrayOptions};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("scan.raw");
/// # std::fs::write(&path, vec![0u8; 512 + 4 * 6])?;
/// let options = MmapArrayOptions::new().offset(512).advise(Advice::Sequential);
/// // SAFETY: this program alone uses the file.
/// let scan = unsafe { options.open::<f32, _>(&path, (2, 3)) }?;
/// assert_eq!((scan.shape(), scan.offset()), (&[2, 3][..], 512));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Safety contract
///
/// Every function that maps a file with a name is `unsafe`, because neither the language nor the
/// operating system prevents other changes to the file. One contract covers all of them.
///
/// **Your guarantees**, from the call until the array (or, for
/// [`MmapArrayPending`](crate::MmapArrayPending), the array that it was converted to) is dropped:
///
/// 1. While a borrow of a mapped array is in use, no one changes the bytes that it covers except
///    through it; between borrows others may, if a lock or a message orders their changes after the
///    last borrow and before the next borrow.
/// 2. No one makes the file shorter than the array.
///
/// Only borrows lead to elements: the `&ArrayRef` to which the array dereferences, a view, an
/// iterator, a chunk, a reference to an element, and a call that takes one of these until it
/// returns, such as a statistic in several passes. A borrow is in use from its creation until its
/// last use, and covers the elements that can be reached through it. The array itself is not a
/// borrow: it contains a pointer, so an array that is only stored, in a struct, an `Arc` or another
/// thread, forbids nothing.
///
/// "No one" means no other process, and nothing else in this process: no `std::fs`, and no other
/// mapping of the file. For borrows of other arrays that map the same bytes, a store through a
/// mutable borrow is a change by someone else; programs that are not written in Rust may see values
/// half written in the meantime. Copy-on-write arrays are no exception: a page not yet written to
/// is the file's, and may or may not show its changes.
///
/// Breaking 1 is undefined behaviour, as for any `&[T]` that changes during a read. Breaking 2
/// raises `SIGBUS` at the next access, which terminates the process. Removing the file or renaming
/// another one over it is harmless: the array keeps the old file.
///
/// **Checks by the crate**: it checks shape, element type, byte order, alignment and file size
/// before it maps; accepts only element types for which all bytes are valid; never changes a file
/// by opening it; acquires an advisory lock, which other users of this crate and of `flock` see
/// ([`LockPolicy`]); refuses a second writable mapping in this process; allocates the disk space of
/// new files, so that a full disk is an error and not a signal; replaces existing files by rename,
/// so that readers keep the old file, and refuses to replace a file that is mapped for writing; and
/// [`flush`](crate::MmapArrayMut::flush) reports a file that was truncated, removed or replaced.
/// These checks lower the risk, but the guarantees remain yours.
///
/// **Not guaranteed**: that stores reach the disk in any order, or before a flush has returned
/// `Ok`; that any of this applies to network file systems; that the array is usable in a forked
/// child.
///
/// [`scratch`](Self::scratch) is safe: its file is unlinked, so nothing else can open it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct MmapArrayOptions {
    pub(super) offset: u64,
    pub(super) lock: LockPolicy,
    pub(super) trailing_bytes: bool,
    pub(super) npy_as_raw: bool,
    pub(super) sparse: bool,
    pub(super) create_new: bool,
    pub(super) advice: Advice,
}

impl MmapArrayOptions {
    /// Returns the default options: offset 0, best-effort lock, no trailing bytes in `.npy` files,
    /// no `.npy` files as raw files, disk space allocated, existing files replaced, the kernel's
    /// default read-ahead.
    ///
    /// ```
    /// use ndarray_mmap::{LockPolicy, MmapArrayOptions};
    ///
    /// let explicit = MmapArrayOptions::new().offset(0).lock(LockPolicy::BestEffort).sparse(false);
    /// assert_eq!(MmapArrayOptions::new(), explicit);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the offset of the array, in bytes from the start of the file; 0 by default. NumPy's
    /// `offset`.
    ///
    /// For raw files this is the offset of the first element: any multiple of the element's
    /// alignment, not only of pages, and any offset at all if the file is not mapped. When a raw
    /// file is created, the bytes before it are zero. For `.npy` files that are opened, it is the
    /// offset of the header, as in files that contain several arrays.
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// let mut bytes = b"8 bytes!".to_vec(); // the header of another program
    /// bytes.extend([0.5_f32, 1.5].iter().flat_map(|value| value.to_ne_bytes()));
    /// std::fs::write(&path, bytes)?;
    /// // SAFETY: this program alone uses the file.
    /// let scan = unsafe { MmapArrayOptions::new().offset(8).open::<f32, _>(&path, 2) }?;
    /// assert_eq!(scan.sum(), 2.0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn offset(self, bytes: u64) -> Self {
        Self { offset: bytes, ..self }
    }

    /// Sets the lock policy of the file; [`LockPolicy::BestEffort`] by default.
    ///
    /// ```
    /// use ndarray_mmap::{ErrorKind, LockPolicy, MmapArrayOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// # std::fs::write(&path, [7; 12])?;
    /// let recorder = std::fs::File::open(&path)?;
    /// recorder.lock()?; // like another process
    /// let options = MmapArrayOptions::new().lock(LockPolicy::Required);
    /// // SAFETY: the recorder no longer writes to the first 8 bytes, only to those after them.
    /// let error = unsafe { options.open::<u8, _>(&path, 8) }.unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::Locked { exclusive: false, .. }));
    /// // SAFETY: as above.
    /// let log = unsafe { options.lock(LockPolicy::Off).open::<u8, _>(&path, 8) }?;
    /// assert_eq!(log.sum(), 56);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn lock(self, policy: LockPolicy) -> Self {
        Self { lock: policy, ..self }
    }

    /// Sets whether an `.npy` file may continue after its array, and a file opened by rows may end
    /// with an incomplete row; neither by default. Raw files opened with a shape may always be
    /// longer. An [`ArrayAppender`](crate::ArrayAppender#after-a-crash) removes these bytes.
    ///
    /// ```
    /// use ndarray::Ix2;
    /// use ndarray_mmap::{ErrorKind, MmapArrayOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// std::fs::write(&path, [1; 10])?; // two rows of four, and an incomplete one
    /// let options = MmapArrayOptions::new();
    /// // SAFETY: this program alone uses the file.
    /// let error = unsafe { options.open_rows::<u8, Ix2>(&path, 4) }.unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::PartialRow { row_bytes: 4, found: 10, .. }));
    /// // SAFETY: as above.
    /// let rows = unsafe { options.trailing_bytes(true).open_rows::<u8, Ix2>(&path, 4) }?;
    /// assert_eq!(rows.dim(), (2, 4));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn trailing_bytes(self, allow: bool) -> Self {
        Self { trailing_bytes: allow, ..self }
    }

    /// Sets whether [`open`](Self::open) and [`open_rows`](Self::open_rows) accept a file that
    /// starts with an `.npy` header, and read the header as elements; not by default, in any mode.
    /// No effect with an [`offset`](Self::offset) other than 0.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ErrorKind, MmapArrayOptions, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// // SAFETY (for all): this program alone uses the file.
    /// unsafe { array![1.5, 2.5].to_mmap_npy(&path) }?.close()?;
    /// let options = MmapArrayOptions::new();
    /// let error = unsafe { options.open_rows::<f64, Ix1>(&path, ()) }.unwrap_err();
    /// assert!(matches!(
    ///     error.kind(),
    ///     ErrorKind::NpyHeaderInRawFile { data_offset: Some(128), .. }
    /// ));
    /// let data = unsafe { options.clone().offset(128).open_rows::<f64, Ix1>(&path, ()) }?;
    /// assert_eq!(data, array![1.5, 2.5]);
    /// let all = unsafe { options.npy_as_raw(true).open_rows::<u8, Ix1>(&path, ()) }?;
    /// assert_eq!((&all.as_slice().unwrap()[1..6], all.len()), (&b"NUMPY"[..], 144));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn npy_as_raw(self, accept: bool) -> Self {
        Self { npy_as_raw: accept, ..self }
    }

    /// Sets whether a new file is sparse: disk space is allocated only when it is written to. Not
    /// by default.
    ///
    /// Sparse files save space if much of the array stays zero. The price: when the disk is full, a
    /// store raises `SIGBUS`, which terminates the process, while a non-sparse file would have been
    /// refused at creation. A mutable chunked operation allocates the space of every chunk it
    /// processes, written to or not, because only then can a full disk be reported as an error.
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("counts.raw");
    /// // SAFETY: this program alone uses the file.
    /// let options = MmapArrayOptions::new().sparse(true);
    /// let mut counts = unsafe { options.create::<u32, _>(&path, (4096, 4096)) }?;
    /// counts[[1234, 567]] += 1;
    /// let metadata = std::fs::metadata(&path)?;
    /// assert_eq!(metadata.len(), 64 << 20); // 64 MiB, with one page on disk
    /// # #[cfg(target_os = "linux")]
    /// # assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 < 1 << 20);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn sparse(self, sparse: bool) -> Self {
        Self { sparse, ..self }
    }

    /// Sets whether creation fails if the file exists, instead of replacing it. A symbolic link
    /// counts as an existing file, whatever its target. Not by default.
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("results.raw");
    /// std::fs::write(&path, "years of work")?;
    /// // SAFETY: this program alone uses the file.
    /// let options = MmapArrayOptions::new().create_new(true);
    /// let error = unsafe { options.create::<f64, _>(&path, 3) }.unwrap_err();
    /// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::AlreadyExists);
    /// assert_eq!(std::fs::read(&path)?, b"years of work");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create_new(self, create_new: bool) -> Self {
        Self { create_new, ..self }
    }

    /// Sets the access pattern of the pages, or of the file if it is not mapped; [`Advice::Normal`]
    /// by default. This is only a hint, and has no effect on Windows.
    ///
    /// ```
    /// use ndarray_mmap::{Advice, MmapArrayOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("index.raw");
    /// # std::fs::write(&path, [3; 4096])?;
    /// let options = MmapArrayOptions::new().advise(Advice::Random); // random access
    /// // SAFETY: this program alone uses the file.
    /// let index = unsafe { options.open::<u8, _>(&path, (64, 64)) }?;
    /// assert_eq!(index[[17, 4]], 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn advise(self, advice: Advice) -> Self {
        Self { advice, ..self }
    }
}
