//! Arrays in files that are read by positional reads.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use bytemuck::AnyBitPattern;
use ndarray::Dimension;

use super::computed::Computed;
use super::stored::StoredElements;
use super::{LazyArray, ReadArray};
use crate::distributed::SavedArray;
use crate::error::{Error, Result};
use crate::geometry::{Region, StridedLayout};
use crate::order::Order;
use crate::paging::FileVersion;
use crate::storage::{ArrayFile, BUFFER_BYTES, FileLayout};

impl<A: AnyBitPattern, D: Dimension> ReadArray<A> for ArrayFile<A, D> {
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        self.read_region(region, elements)
    }

    fn stored(&self) -> Option<StoredElements<'_>> {
        let layout = StridedLayout::of_order(self.shape(), &axes_of(self.layout()), 1, 0);
        let strides = layout.byte_strides.iter().map(|stride| stride.unsigned_abs()).collect();
        Some(StoredElements { reader: self.reader(), strides })
    }

    fn scratch_bytes(&self) -> usize {
        BUFFER_BYTES
    }

    fn path(&self) -> Option<&Path> {
        Some(self.path())
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        let mut version = self.file_version()?;
        if self.is_swapped() {
            version.id += ", numbers in the other byte order";
        }
        Ok(vec![saved_file(self.path(), self.layout(), size_of::<A>(), version)?])
    }
}

/// Describes an array in a file, whose elements have `item` bytes.
pub(super) fn saved_file(
    path: &Path,
    layout: &FileLayout,
    item: usize,
    version: FileVersion,
) -> Result<SavedArray> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::io("find the absolute path of", Some(path), error))?;
    let strides = StridedLayout::of_order(layout.shape(), &axes_of(layout), item, 0);
    Ok(SavedArray {
        path: Some(absolute.to_string_lossy().into_owned()),
        shape: layout.shape().to_vec(),
        byte_strides: strides.byte_strides,
        offset: layout.offset(),
        file_id: version.id,
        file_bytes: version.bytes,
        version: version.modified,
    })
}

impl<A, R: ReadArray<A> + ?Sized> ReadArray<A> for &R {
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        (**self).read(region, elements)
    }

    fn stored(&self) -> Option<StoredElements<'_>> {
        (**self).stored()
    }

    fn is_computed_in_memory(&self) -> bool {
        (**self).is_computed_in_memory()
    }

    fn computed(&self, region: &Region) -> Result<Option<Box<dyn Computed<A> + '_>>> {
        (**self).computed(region)
    }

    fn extra_bytes(&self) -> usize {
        (**self).extra_bytes()
    }

    fn scratch_bytes(&self) -> usize {
        (**self).scratch_bytes()
    }

    fn layouts(&self) -> Vec<StridedLayout> {
        (**self).layouts()
    }

    fn path(&self) -> Option<&Path> {
        (**self).path()
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        (**self).saved_files()
    }
}

/// Returns the axes of an array in a file from the slowest to the fastest.
pub(in crate::chunked) fn axes_of(layout: &FileLayout) -> Vec<usize> {
    let axes = 0..layout.shape().len();
    match layout.order() {
        Order::C => axes.collect(),
        Order::F => axes.rev().collect(),
    }
}

impl<'a, A: AnyBitPattern, D: Dimension> LazyArray<'a, A, D> {
    /// Returns the array in a file that remains borrowed.
    pub(crate) fn of_file(file: &'a ArrayFile<A, D>) -> Self {
        let order = axes_of(file.layout());
        Self::new(Arc::new(file), &file.raw_dim(), &order)
    }
}

/// Keeps the file open as long as the array exists.
impl<A: AnyBitPattern, D: Dimension + 'static> From<ArrayFile<A, D>> for LazyArray<'static, A, D> {
    fn from(file: ArrayFile<A, D>) -> Self {
        let (shape, order) = (file.raw_dim(), axes_of(file.layout()));
        Self::new(Arc::new(file), &shape, &order)
    }
}
