//! Mapped arrays that are read from their files by positional reads, so that no pages become
//! resident.
#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;
use std::slice::from_ref;
use std::sync::Arc;

use bytemuck::AnyBitPattern;
use ndarray::{ArrayViewD, Axis};

use super::stored::StoredElements;
use super::{LazyArray, ReadArray};
use crate::chunked::saved::saved_array;
use crate::distributed::SavedArray;
use crate::error::Result;
use crate::geometry::{Region, Runs, StridedLayout, memory_order};
use crate::paging::{Pager, operands_of};
use crate::storage::{BUFFER_BYTES, ElementReader};

/// A mapped array without negative strides, and its file.
struct MappedFile {
    file: Arc<File>,
    pager: Arc<dyn Pager>,
    layout: StridedLayout,
    shape: Vec<usize>,
    /// The axes from the slowest to the fastest.
    order: Vec<usize>,
}

/// Returns an array that reads the elements of a mapped array from the file; `None` if the array is
/// not mapped, or the file may not contain its elements.
pub(super) fn positional<'a, A: AnyBitPattern>(
    mut view: ArrayViewD<'a, A>,
) -> Option<LazyArray<'a, A, ndarray::IxDyn>> {
    let mut inverted = Vec::new();
    for axis in (0..view.ndim()).map(Axis) {
        if view.len_of(axis) > 1 && view.stride_of(axis) < 0 {
            view.invert_axis(axis);
            inverted.push(axis.index());
        }
    }
    let layout = StridedLayout::of(&view, false);
    let operand = operands_of(from_ref(&layout), view.shape()).next()?;
    let is_repeated = |(&len, &stride): (&usize, &isize)| len > 1 && stride == 0;
    if view.shape().iter().zip(&layout.byte_strides).any(is_repeated)
        || !layout.footprint(&Region::whole(view.shape())).is_nested()
    {
        return None;
    }
    let file = operand.pager.file()?;
    let lens = view.shape().iter().copied();
    let order = memory_order(lens.zip(layout.byte_strides.iter().copied()));
    let axes = order.clone();
    let shape = view.shape().to_vec();
    let reader = MappedFile { file, pager: operand.pager, layout, shape, order };
    let mut array = LazyArray::new(Arc::new(reader), &view.raw_dim(), &axes);
    inverted.into_iter().for_each(|axis| array.invert_axis(axis));
    Some(array)
}

impl MappedFile {
    fn reader(&self) -> ElementReader<'_> {
        let origin = self.pager.file_origin();
        let [start, end] = [self.layout.base, self.pager.addresses().end]
            .map(|address| address.wrapping_sub(origin) as u64);
        ElementReader::of_mapped_file(&self.file, self.pager.path(), (start, end), self.layout.item)
    }

    /// Returns the stride of each axis, in elements.
    fn strides(&self) -> Vec<usize> {
        let strides = self.layout.byte_strides.iter();
        strides.map(|stride| stride.unsigned_abs() / self.layout.item).collect()
    }

    /// Returns the runs of the elements of a region, as offsets from the first element of the array.
    fn runs(&self, region: &Region) -> Runs {
        let strides = self.strides();
        let first = region.start.iter().zip(&strides).map(|(start, stride)| start * stride).sum();
        let fastest_first = self.order.iter().rev();
        Runs::of_axes(first, fastest_first.map(|&axis| (region.range(axis).len(), strides[axis])))
    }
}

impl<A: AnyBitPattern> ReadArray<A> for MappedFile {
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        self.reader().read_elements(self.runs(region), region.len(), elements)
    }

    fn stored(&self) -> Option<StoredElements<'_>> {
        Some(StoredElements { reader: self.reader(), strides: self.strides() })
    }

    fn scratch_bytes(&self) -> usize {
        BUFFER_BYTES
    }

    fn path(&self) -> Option<&Path> {
        self.pager.path()
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        Ok(vec![saved_array(self.layout.clone(), &self.shape)?])
    }
}
