//! The mapped array types: a mapped file and the one view that spans it, in one value.
//!
//! Invariants, to which every `SAFETY` comment of this file refers by number:
//!
//! - A1. `view` points at the mapped bytes of `mapping` and stays inside them. If nothing is
//!   mapped, it has no bytes and is an aligned dangling pointer.
//! - A2. `mapping` lives as long as the view: both are private fields of one mapped array, moved
//!   only together, and moving the mapped array does not move the mapped bytes. The view is
//!   dropped, or rebuilt by `methods`, without touching the bytes.
//! - A3. The `'static` view itself is never handed out: every public path to it borrows the mapped
//!   array (`Deref`, and `DerefMut` for the writable types), so views end before the mapped array,
//!   and writing needs a mutable borrow of it. Foreign code, as in implementations of operators, is
//!   only given views of a shorter lifetime.
//! - A4. `A: AnyBitPattern` (for [`MmapArray`]) or `A: Pod` (for the writable types): any bytes are
//!   valid elements, and any elements may be written as bytes. The first element is aligned.
//! - A5. The caller of the `unsafe` function that created the mapped array guarantees how the file
//!   is used. While a borrow of a mapped array is in use, no one changes the bytes that it covers
//!   except through it; between borrows others may, if a lock or a message orders their changes
//!   after the last borrow and before the next borrow. In addition, no one makes the file shorter
//!   while the mapped array lives. The `'static` view is no such borrow: it consists of a pointer
//!   and a marker, and elements are only reached through borrows of the mapped array (A3); neither
//!   moving, flushing nor dropping the mapped array creates a reference to them. The file of a
//!   scratch array meets these conditions by itself, because no other process can open it: it has
//!   no name, and if it ever had one, only this user could open it then (`os::create_unlinked`; on
//!   Windows it has a name, but is opened such that the system refuses to open it again).
//! - A6. The mapping of a writable mapped array is readable and writable, and only its `view`
//!   points into it.
#![allow(unsafe_code, reason = "views of mapped memory can only be made from pointers")]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::UnwindSafe;
use std::ptr::NonNull;

use bytemuck::{AnyBitPattern, Pod};
use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension};

use super::layout::{Element, FileLayout};
use super::mapping::Mapping;
use crate::error::{ErrorKind, Result};

/// A read-only mapped array: NumPy's mode `r`.
///
/// The array owns its mapping, so it can be returned from functions, stored in structs and shared
/// between threads. It dereferences to [`ArrayRef`], so all of ndarray's reading methods, and every
/// extension trait on `ArrayRef` such as those of ndarray-stats, are available. `view()` returns a
/// plain [`ArrayView`], which must not outlive the array.
///
/// Opening is `unsafe`, under the [contract](crate::MmapArrayOptions#safety-contract) on the
/// options.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::MmapArray;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("scan.raw");
/// # std::fs::write(&path, [0u8; 4 * 6])?;
/// // SAFETY: this program alone uses the file.
/// let scan = unsafe { MmapArray::<f32, _>::open(&path, (2, 3)) }?;
/// assert_eq!(scan.slice(s![1, ..]).sum(), 0.0);
/// assert_eq!(scan.mean_axis(Axis(0)).unwrap(), array![0.0, 0.0, 0.0]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "memmap")]
#[must_use = "dropping it unmaps the file"]
pub struct MmapArray<A: 'static, D: Dimension> {
    pub(super) view: ArrayView<'static, A, D>,
    pub(super) mapping: Mapping,
}

/// A writable mapped array, shared with its file: NumPy's modes `r+` and `w+`.
///
/// Like [`MmapArray`], but mutable: stores change the file. They survive the end of the process
/// immediately, and a power failure once [`flush`](Self::flush) has returned `Ok`. Dropping the
/// array neither flushes nor waits; use [`close`](Self::close) to detect write errors.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::MmapArrayMut;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("out.npy");
/// // SAFETY: this program alone uses the file.
/// let mut out = unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (100, 64)) }?;
/// out.slice_mut(s![0, ..]).fill(1.0);
/// out += 0.5;
/// assert_eq!(out.sum(), 100.0 * 64.0 * 0.5 + 64.0);
/// out.close()?;
/// # Ok::<(), std::io::Error>(())
/// ```
// // No `must_use`: creating, saving and committing have an effect on the file, so dropping the
// returned array is not a mistake.
#[doc(alias = "memmap")]
pub struct MmapArrayMut<A: 'static, D: Dimension> {
    pub(super) view: ArrayViewMut<'static, A, D>,
    pub(super) mapping: Mapping,
}

/// A mapped array whose edits stay in this process: NumPy's mode `c`, copy on write.
///
/// Like [`MmapArrayMut`], but the file never changes. A page is copied into memory when it is first
/// written to, and stays there until the array is dropped; all other pages are those of the file.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{MmapArrayCow, MmapArrayMut};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("features.npy");
/// # // SAFETY: this program alone uses the file.
/// # unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (2, 3)) }?.close()?;
/// // SAFETY: this program alone uses the file.
/// let mut what_if = unsafe { MmapArrayCow::<f64, Ix2>::open_npy(&path) }?;
/// what_if.fill(7.0);
/// // SAFETY: as above.
/// let unchanged = unsafe { MmapArrayCow::<f64, Ix2>::open_npy(&path) }?;
/// assert_eq!((what_if.sum(), unchanged.sum()), (42.0, 0.0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "memmap")]
#[must_use = "dropping it discards the edits"]
pub struct MmapArrayCow<A: 'static, D: Dimension> {
    pub(super) view: ArrayViewMut<'static, A, D>,
    pub(super) mapping: Mapping,
}

/// Returns a pointer to the first element of a mapping.
fn base<A>(mapping: &Mapping) -> Result<NonNull<A>> {
    let Some(bytes) = mapping.as_mut_ptr().and_then(NonNull::new) else {
        return Ok(NonNull::dangling());
    };
    let first = bytes.cast::<A>();
    if first.is_aligned() {
        return Ok(first);
    }
    // Reached only for types with an alignment above the page size: `FileLayout` has checked the
    // offset.
    let Element { align, name: element, .. } = Element::of::<A>();
    Err(ErrorKind::Misaligned { offset: first.as_ptr() as u64, align, element }.at(mapping.path()))
}

/// Returns the shape of the view, if `D` has the number of dimensions of the layout.
fn shape<D: Dimension>(mapping: &Mapping) -> Result<ndarray::Shape<D>> {
    let layout: &FileLayout = mapping.layout();
    layout.to_shape().ok_or_else(|| {
        let expected = D::NDIM.unwrap_or_default();
        ErrorKind::DimensionMismatch { expected, shape: layout.shape().to_vec() }.at(mapping.path())
    })
}

impl<A: AnyBitPattern, D: Dimension> MmapArray<A, D> {
    /// # Safety
    ///
    /// `mapping.layout()` is a layout of elements of type `A`, and A5.
    pub(super) unsafe fn new(mapping: Mapping) -> Result<Self> {
        let shape = shape::<D>(&mapping)?;
        let first = base::<A>(&mapping)?;
        // SAFETY: the mapping has the bytes of its whole layout (A1), which `FileLayout` has
        // checked to be addressable: the product of the non-zero lengths times the element size
        // fits isize; strides of C or F order are non-negative. They stay mapped (A2), are aligned
        // and valid as `A` (A4, `base`), and do not change under a borrow (A5).
        let view = unsafe { ArrayView::from_shape_ptr(shape, first.as_ptr()) };
        Ok(Self { view, mapping })
    }
}

macro_rules! new_writable {
    ($($owner:ident)*) => {$(
        impl<A: Pod, D: Dimension> $owner<A, D> {
            /// # Safety
            ///
            /// `mapping.layout()` is a layout of elements of type `A`, the mapping is writable and
            /// no view points into it (A6), and A5.
            pub(super) unsafe fn new(mapping: Mapping) -> Result<Self> {
                let shape = shape::<D>(&mapping)?;
                let first = base::<A>(&mapping)?;
                // SAFETY: as for `MmapArray`, and the bytes are writable and pointed to by this
                // view only (A6).
                let view = unsafe { ArrayViewMut::from_shape_ptr(shape, first.as_ptr()) };
                Ok(Self { view, mapping })
            }
        }

        impl<A, D: Dimension> DerefMut for $owner<A, D> {
            fn deref_mut(&mut self) -> &mut ArrayRef<A, D> {
                &mut self.view
            }
        }

        /// A panic may leave some elements of an operation stored and others not. All of them are
        /// valid elements, as in a `Vec`.
        impl<A: UnwindSafe, D: Dimension + UnwindSafe> UnwindSafe for $owner<A, D> {}
    )*};
}
new_writable! { MmapArrayMut MmapArrayCow }

impl<A, D: Dimension> MmapArrayMut<A, D> {
    /// Converts to a read-only array.
    pub(super) fn into_read_only(self) -> MmapArray<A, D> {
        let Self { view, mapping } = self;
        // SAFETY: the read-only view has the bytes, shape and strides of the writable one, which
        // ends here: aligned, valid (A4) and inside the mapping (A1) that the new mapped array
        // takes over (A2); nothing writes to it under a borrow (A5, A6).
        let view = unsafe { view.raw_view().deref_into_view() };
        MmapArray { view, mapping }
    }
}

macro_rules! owner {
    ($($owner:ident $mode:literal)*) => {$(
        impl<A, D: Dimension> Deref for $owner<A, D> {
            type Target = ArrayRef<A, D>;

            fn deref(&self) -> &ArrayRef<A, D> {
                &self.view
            }
        }

        /// Formats the elements as ndarray formats a view: above 500 elements, only the first and
        /// last along each axis (all with `{:#}`).
        ///
        /// ```
        /// # use ndarray::prelude::*;
        /// # use ndarray_mmap::prelude::*;
        /// let table = array![[1, 2], [3, 4]].to_scratch()?;
        /// assert_eq!(table.to_string(), "[[1, 2],\n [3, 4]]");
        /// # Ok::<(), ndarray_mmap::Error>(())
        /// ```
        impl<A: fmt::Display, D: Dimension> fmt::Display for $owner<A, D> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.view.fmt(f)
            }
        }

        /// Formats shape, order, mode, element type and path, never the data.
        impl<A, D: Dimension> fmt::Debug for $owner<A, D> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut debug = f.debug_struct(stringify!($owner));
                match self.mapping.path() {
                    Some(path) => debug.field("path", &path),
                    None => debug.field("path", &format_args!("(scratch)")),
                };
                debug
                    .field("mode", &format_args!($mode))
                    .field("element", &format_args!("{}", Element::of::<A>().name))
                    .field("shape", &self.view.shape())
                    .field("order", &format_args!("{}", order_name(&self.view)))
                    .field("offset", &self.mapping.layout().offset())
                    .finish()
            }
        }
    )*};
}
owner! { MmapArray "r" MmapArrayMut "r+" MmapArrayCow "c" }

fn order_name<A, D: Dimension>(view: &ArrayRef<A, D>) -> &'static str {
    match (view.is_standard_layout(), view.t().is_standard_layout()) {
        (true, _) => "C",
        (_, true) => "F",
        _ => "strided",
    }
}
