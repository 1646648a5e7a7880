//! Saving arrays to files.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use std::path::Path;

use bytemuck::Pod;
use ndarray::{ArrayRef, Dimension, Shape, ShapeBuilder};

use crate::chunked::ChunkedExt;
use crate::error::{ErrorKind, Result};
use crate::storage::{MmapArrayMut, MmapArrayOptions, NpyElement};

/// The maximum resident memory of a copy, over both files.
const COPY_BYTES: usize = 64 << 20;

/// Saves any array to a file and maps the file.
///
/// The copy is chunked and runs on all threads: at most 64 MiB of the copy, and of this array if it
/// is mapped, are resident at once (more only if a single element is larger). The copy is in F order
/// if the array is, otherwise in C order. The trait is sealed and implemented for every `ArrayRef`,
/// and so for all arrays, views and mapped arrays.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::prelude::*;
///
/// let table = Array2::from_shape_fn((100, 4), |(i, j)| (i * j) as f64);
/// let spilled = table.to_scratch()?;
/// drop(table); // frees the memory; the data is on disk
/// assert_eq!(spilled[[99, 3]], 297.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
pub trait ToMmap<A: 'static, D: Dimension>: sealed::Sealed {
    /// Copies the array into a [scratch array](MmapArrayOptions::scratch).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let table = array![[1.0, 2.0], [3.0, 4.0]];
    /// let column = table.column(1).to_scratch()?; // works for views as well
    /// assert_eq!(column, array![2.0, 4.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::scratch`]; also fails if this array is stored in a mapped
    /// file that was truncated or cannot be read.
    fn to_scratch(&self) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + Send + Sync;

    /// Copies the array into a new raw file, replacing an existing one. Durable after a
    /// [`flush`](MmapArrayMut::flush).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.raw");
    /// // SAFETY: this program alone uses the file.
    /// let table = unsafe { array![[1_u8, 2, 3], [4, 5, 6]].to_mmap(&path) }?;
    /// table.close()?;
    /// assert_eq!(std::fs::read(&path)?, [1, 2, 3, 4, 5, 6]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract): While a borrow of a mapped array is in
    /// use, no one changes the bytes that it covers except through it; between borrows others may,
    /// if a lock or a message orders their changes after the last borrow and before the next
    /// borrow.
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create`]; also fails if this array is stored in a mapped
    /// file that was truncated or cannot be read. No file is created or replaced then.
    #[doc(alias = "tofile")]
    unsafe fn to_mmap(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + Send + Sync;

    /// Copies the array into a new `.npy` file, replacing an existing one. Durable after a
    /// [`flush`](MmapArrayMut::flush).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{NpyHeader, Order, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// // SAFETY: this program alone uses the file.
    /// unsafe { array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].t().to_mmap_npy(&path) }?.close()?;
    /// let header = NpyHeader::read(&path)?;
    /// assert_eq!((header.shape(), header.order()), (&[3, 2][..], Order::F)); // as in the view
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract): While a borrow of a mapped array is in
    /// use, no one changes the bytes that it covers except through it; between borrows others may,
    /// if a lock or a message orders their changes after the last borrow and before the next
    /// borrow.
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create_npy`]; also fails if this array is stored in a
    /// mapped file that was truncated or cannot be read. No file is created or replaced then.
    #[doc(alias = "save")]
    unsafe fn to_mmap_npy(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + NpyElement + Send + Sync;
}

impl<A: 'static, D: Dimension> ToMmap<A, D> for ArrayRef<A, D> {
    fn to_scratch(&self) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + Send + Sync,
    {
        let mut copy = MmapArrayMut::scratch(shape_of_copy(self))?;
        copy_within(COPY_BYTES, self, &mut copy)?;
        Ok(copy)
    }

    unsafe fn to_mmap(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + Send + Sync,
    {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        let mut copy = unsafe { MmapArrayOptions::new().create_atomic(path, shape_of_copy(self)) }?;
        copy_within(COPY_BYTES, self, &mut copy)?;
        copy.persist()
    }

    unsafe fn to_mmap_npy(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + NpyElement + Send + Sync,
    {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        let mut copy =
            unsafe { MmapArrayOptions::new().create_npy_atomic(path, shape_of_copy(self)) }?;
        copy_within(COPY_BYTES, self, &mut copy)?;
        copy.persist()
    }
}

/// Returns the shape of a copy: in F order if the array is in F order, otherwise in C order.
fn shape_of_copy<A, D: Dimension>(array: &ArrayRef<A, D>) -> Shape<D> {
    array.raw_dim().set_f(!array.is_standard_layout() && array.t().is_standard_layout())
}

/// Copies all elements to an array of the same shape, on all threads, within a memory limit, or
/// within the smallest limit that suffices: single elements, and pages on some machines, can be
/// larger.
fn copy_within<A: Copy + Send + Sync, D: Dimension>(
    mut memory: usize,
    source: &ArrayRef<A, D>,
    target: &mut ArrayRef<A, D>,
) -> Result<()> {
    loop {
        match source.chunked().memory_limit(memory).map_into(target, |&element| element) {
            Err(error) => match *error.kind() {
                ErrorKind::MemoryLimitExceeded { needed, .. } if needed > memory => memory = needed,
                _ => return Err(error),
            },
            Ok(()) => return Ok(()),
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl<A, D> Sealed for ndarray::ArrayRef<A, D> {}
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// A limit that is too small is raised and does not fail.
    #[test]
    fn copies_raise_too_small_limits() {
        let source =
            Array2::from_shape_fn((300, 200), |(i, j)| (i * 200 + j) as u32).to_scratch().unwrap();
        for memory in [0, 1, 4096, 1 << 20] {
            let mut transposed = MmapArrayMut::<u32, _>::scratch((300, 200).f()).unwrap();
            copy_within(memory, &source, &mut transposed).unwrap();
            assert_eq!(transposed, source);
        }
    }
}
