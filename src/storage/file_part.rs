//! New files that are mapped in parts, by several processes or threads.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use std::fmt;
use std::fs::File;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;
use std::result::Result as StdResult;

use bytemuck::Pod;
use ndarray::{Axis, Dimension, ShapeBuilder};

use super::array::MmapArrayMut;
use super::create::{StagedFile, directory_of};
use super::file;
use super::handle::FileHandle;
use super::layout::{Element, FileLayout};
use super::lock::LockPolicy;
use super::map::MapKind;
use super::mapping::Mapping;
use super::npy::NpyElement;
use super::options::MmapArrayOptions;
use super::os;
use super::pending::MmapArrayPending;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::partition_start;
use crate::order::Order;

/// One of the parts into which a new file is divided along its slowest axis. Each part is
/// contiguous in the file.
pub(crate) struct FilePart<'p, A, D> {
    options: &'p MmapArrayOptions,
    path: &'p Path,
    /// The bytes at the start of the file.
    header: Vec<u8>,
    /// The layout of the whole array.
    whole: FileLayout,
    /// The layout of the part.
    layout: FileLayout,
    axis: Axis,
    range: Range<usize>,
    /// The number of parts of the file.
    count: usize,
    /// The layouts are those of arrays of this type.
    array: PhantomData<fn() -> (A, D)>,
}

impl<'p, A: Pod, D: Dimension> FilePart<'p, A, D> {
    /// Returns a part of a raw file. `partition` is its number and the number of parts.
    pub(crate) fn raw(
        options: &'p MmapArrayOptions,
        path: &'p Path,
        shape: impl ShapeBuilder<Dim = D>,
        partition: (usize, usize),
    ) -> Result<Self> {
        let layout = options.layout_of_shape(Some(path), shape, Element::of::<A>())?;
        Self::new(options, path, Vec::new(), layout, partition)
    }

    /// Returns a part of an `.npy` file.
    pub(crate) fn npy(
        options: &'p MmapArrayOptions,
        path: &'p Path,
        shape: impl ShapeBuilder<Dim = D>,
        partition: (usize, usize),
    ) -> Result<Self>
    where
        A: NpyElement,
    {
        let (header, layout) = options.npy_layout::<A, _>(shape).map_err(|kind| kind.at(path))?;
        Self::new(options, path, header, layout, partition)
    }

    fn new(
        options: &'p MmapArrayOptions,
        path: &'p Path,
        header: Vec<u8>,
        whole: FileLayout,
        partition: (usize, usize),
    ) -> Result<Self> {
        let (axis, range) = part_of(&whole, partition).map_err(|kind| kind.at(path))?;
        let mut shape = whole.shape().to_vec();
        let slice_bytes = whole.byte_len().checked_div(shape[axis]).unwrap_or(0);
        shape[axis] = range.len();
        let offset = whole.offset() + (range.start * slice_bytes) as u64;
        let layout = FileLayout::new(&shape, whole.order(), offset, Element::of::<A>())
            .map_err(|kind| kind.at(path))?;
        Ok(Self {
            options,
            path,
            header,
            whole,
            layout,
            axis: Axis(axis),
            range,
            count: partition.1,
            array: PhantomData,
        })
    }

    /// Returns the axis along which the file is divided.
    pub(crate) fn axis(&self) -> Axis {
        self.axis
    }

    /// Returns the range of the part along the axis.
    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Creates the file, and maps this part. Returns the temporary name of the file as well, by
    /// which the other parts are [opened](Self::open).
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract), for the bytes of this part.
    pub(crate) unsafe fn create(&self) -> Result<(MmapArrayPending<A, D>, String)> {
        self.check_caches(&directory_of(self.path)?)?;
        let (file, staged) = self.options.file_spec(&self.header, &self.whole).create(self.path)?;
        // Allocation may have written zeros, which must not reach the disk after the data of other
        // parts.
        file.sync_all().map_err(|error| Error::io("flush", Some(self.path), error))?;
        let name = staged.temporary_name();
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        let array = unsafe { self.map(file, self.options.lock, Some(staged)) }?;
        Ok((array, name))
    }

    /// Maps this part of the file that another part has created, with the lock of the other part.
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract), for the bytes of this part.
    pub(crate) unsafe fn open(&self, temporary_name: &str) -> Result<MmapArrayPending<A, D>> {
        let path = directory_of(self.path)?.join(temporary_name);
        let action = "open the new file that another rank created (all ranks need access to its \
                      directory)";
        let file =
            os::open(&path, true).map_err(|error| Error::io(action, Some(self.path), error))?;
        self.check_caches(&directory_of(self.path)?)?;
        let file_len = file::len(&file, Some(self.path))?;
        let fits = self.whole.check_fits(file_len, Element::of::<A>(), false);
        fits.map_err(|kind| kind.at(self.path))?;
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { self.map(file, LockPolicy::Off, None) }
    }

    /// Checks that several machines can write to different parts of a page.
    fn check_caches(&self, directory: &Path) -> Result<()> {
        // A directory that cannot be opened is reported where the file is created or opened.
        let is_coherent =
            File::open(directory).map_or(true, |directory| os::has_coherent_cache(&directory));
        if self.count == 1 || is_coherent {
            return Ok(());
        }
        let reason = "clients of this network file system write back whole pages, so that two of \
                      them could overwrite each other's elements; write a file on each rank";
        Err(ErrorKind::Unsupported { reason: reason.to_owned() }.at(self.path))
    }

    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract), for the bytes of this part.
    unsafe fn map(
        &self,
        file: File,
        policy: LockPolicy,
        staged: Option<StagedFile>,
    ) -> Result<MmapArrayPending<A, D>> {
        let handle = FileHandle::of_new_file(file, self.path, self.layout.clone(), policy)?;
        let mapping = Mapping::new(handle, MapKind::Write, true)?;
        self.options.give_advice(&mapping);
        // SAFETY: the layout is one of `A`, the mapping is new and writable, and the caller vouches
        // for the bytes of the file.
        let array = unsafe { MmapArrayMut::new(mapping) }?;
        Ok(MmapArrayPending::new(array, staged))
    }
}

/// Formats the properties of the whole file that all parts have in common.
impl<A, D> fmt::Display for FilePart<'_, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, whole, count, .. } = self;
        let name = self.path.file_name().unwrap_or_default();
        let format = if header.is_empty() { "raw" } else { ".npy" };
        let (shape, order, offset) = (whole.shape(), whole.order(), whole.offset());
        let element = std::any::type_name::<A>();
        write!(
            f,
            "{format} file {name:?} of {element} elements, shape {shape:?} in {order} order at byte \
             {offset}, in {count} parts"
        )
    }
}

/// Returns the slowest axis, and the range of a part along it.
fn part_of(
    whole: &FileLayout,
    (index, count): (usize, usize),
) -> StdResult<(usize, Range<usize>), ErrorKind> {
    let shape = whole.shape();
    let is_divisible = |&axis: &usize| shape[axis] != 1;
    let slowest = match whole.order() {
        Order::C => (0..shape.len()).find(is_divisible),
        Order::F => (0..shape.len()).rfind(is_divisible),
    };
    // One part has the only element, if all axes have length 1.
    let axis = slowest.unwrap_or(0);
    let Some(&len) = shape.get(axis) else {
        let reason = "an array without axes cannot be divided; use shape 1".to_owned();
        return Err(ErrorKind::Unsupported { reason });
    };
    let start = |index| partition_start(len, index, count);
    Ok((axis, start(index)..start(index + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_slowest_axis() {
        let cases: [(&[usize], Order, usize); 7] = [
            (&[10_000, 25], Order::C, 0),
            (&[1, 10_000, 3], Order::C, 1),
            (&[25, 10_000, 1], Order::F, 1),
            (&[7, 2_000_000], Order::C, 0),
            (&[0, 5], Order::C, 0),
            (&[5, 0], Order::C, 0),
            (&[1, 1], Order::C, 0),
        ];
        for (shape, order, expected) in cases {
            let element = Element { size: 4, align: 4, name: "f32" };
            let whole = FileLayout::new(shape, order, 128, element).unwrap();
            for count in [1, 2, 3, 7, 64] {
                let mut end = 0;
                for index in 0..count {
                    let (axis, range) = part_of(&whole, (index, count)).unwrap();
                    assert_eq!((axis, range.start), (expected, end), "{shape:?}");
                    end = range.end;
                }
                assert_eq!(end, shape[expected], "{shape:?}");
            }
        }
    }
}
