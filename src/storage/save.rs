//! Arrays onto disk.
#![allow(unsafe_code, reason = "declares unsafe methods; has no unsafe block")]

use std::path::Path;

use bytemuck::Pod;
use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension, Shape, ShapeBuilder};

use super::array::MmapArrayMut;
use super::npy::NpyElement;
#[allow(unused_imports, reason = "for links in the docs")]
use super::options::MmapArrayOptions;
use crate::chunked::{check_file_of, make_resident};
use crate::error::Result;

/// How much is copied before its write-back is started and its pages are let go.
const STEP_BYTES: usize = 16 << 20;

/// Saving any array in a file, and going on with the file.
///
/// The copy streams: whatever the size of the array, little memory is taken beyond it. It lies in F order if the
/// array does, else in C order. Implemented for every `ArrayRef`, thus for all arrays, views and mapped arrays; sealed.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::prelude::*;
///
/// let table = Array2::from_shape_fn((100, 4), |(i, j)| (i * j) as f64);
/// let spilled = table.to_scratch()?;
/// drop(table); // the memory is free, the data are on disk
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
    /// let column = table.column(1).to_scratch()?; // views as well
    /// assert_eq!(column, array![2.0, 4.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayOptions::scratch`], and if this array lies in a mapped file, which has become shorter or cannot be read.
    fn to_scratch(&self) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod;

    /// Copies the array into a new raw file, replacing one of that name. Durable after a
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
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayOptions::create`], and if this array lies in a mapped file, which has become shorter or cannot be read;
    /// no file is made or replaced then.
    unsafe fn to_mmap(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod;

    /// Copies the array into a new `.npy` file, replacing one of that name. Durable after a
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
    /// assert_eq!((header.shape(), header.order()), (&[3, 2][..], Order::F)); // as the view lies
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayOptions::create_npy`], and if this array lies in a mapped file, which has become shorter or cannot be
    /// read; no file is made or replaced then.
    unsafe fn to_mmap_npy(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + NpyElement;
}

/// The shape of a copy: in F order if the array lies in it, else in C order.
pub(super) fn shape_of_copy<A, D: Dimension>(array: &ArrayRef<A, D>) -> Shape<D> {
    array.raw_dim().set_f(!array.is_standard_layout() && array.t().is_standard_layout())
}

impl<A: Copy, D: Dimension> MmapArrayMut<A, D> {
    /// Copies all elements from an array of the same shape, in file order, without keeping them in memory.
    pub(super) fn fill_from(&mut self, source: &ArrayRef<A, D>) -> Result<()> {
        let mapping = &self.mapping;
        copy(source.view(), self.view.view_mut(), &mut |written| {
            // Both only save memory, so what they report changes nothing.
            if let Ok(range) = mapping.range_of(written) {
                let _ = mapping.start_writeback(range.clone());
                let _ = mapping.release(range);
            }
        })?;
        // What was copied was there.
        check_file_of(source)
    }
}

/// Halves the slowest axis of the target until a part is small enough to copy.
fn copy<A: Copy, D: Dimension>(
    source: ArrayView<'_, A, D>,
    mut target: ArrayViewMut<'_, A, D>,
    done: &mut impl FnMut(&ArrayRef<A, D>),
) -> Result<()> {
    let slowest = target.axes().filter(|axis| axis.len > 1).max_by_key(|axis| axis.stride.unsigned_abs());
    match slowest {
        Some(slowest) if target.len() > STEP_BYTES / size_of::<A>().max(1) => {
            let (axis, middle) = (slowest.axis, slowest.len / 2);
            let (first_source, second_source) = source.split_at(axis, middle);
            let (first_target, second_target) = target.split_at(axis, middle);
            copy(first_source, first_target, done)?;
            copy(second_source, second_target, done)
        }
        _ => {
            make_resident(&source)?;
            target.assign(&source);
            done(&target);
            Ok(())
        }
    }
}

pub(super) mod sealed {
    pub trait Sealed {}
    impl<A, D> Sealed for ndarray::ArrayRef<A, D> {}
}
