//! Mapping of members that are not compressed.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use ndarray::Dimension;

use super::member::NpzMember;
use crate::error::Result;
use crate::storage::array::MmapArray;
use crate::storage::map::MapKind;
use crate::storage::npy::NpyElement;

impl NpzMember<'_> {
    /// Maps the array in the archive, without a copy, with the default options and a shared lock on
    /// the archive. The checksum is not checked.
    ///
    /// The mapped array does not borrow the archive.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::NpzArchive;
    ///
    #[doc = example_archive!()]
    /// let archive = NpzArchive::open(&path)?;
    /// // SAFETY: this program alone uses the file.
    /// let x = unsafe { archive.member("x")?.open_mmap::<f64, Ix1>() }?;
    /// assert_eq!(x, array![1.5, 2.5]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](crate::MmapArrayOptions#safety-contract): While a borrow of a mapped array is in
    /// use, no one changes the bytes that it covers except through it; between borrows others may,
    /// if a lock or a message orders their changes after the last borrow and before the next
    /// borrow. And no one makes the file shorter while the array lives.
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_npy`](crate::MmapArrayOptions::open_npy), and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the array is compressed, or if
    /// the path refers to another file than when the archive was opened, or it was modified. Elements that are not at
    /// multiples of their alignment ([`ErrorKind::Misaligned`](crate::ErrorKind::Misaligned)) can be
    /// read with [`open_file`](Self::open_file) or [`read`](Self::read).
    pub unsafe fn open_mmap<A: NpyElement, D: Dimension>(&self) -> Result<MmapArray<A, D>> {
        let mapping = self.stored().and_then(|(options, end)| {
            options.map_npy_until::<A, D>(self.path(), MapKind::Read, end)
        });
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
        unsafe { MmapArray::new(mapping.map_err(|error| self.named(error))?) }
    }
}
