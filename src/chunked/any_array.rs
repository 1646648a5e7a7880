//! One read-only array of any kind and of dynamic dimension.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::Path;

use ndarray::{ArrayBase, ArrayD, ArrayViewD, Axis, Dimension, IxDyn, Slice, ViewRepr};

use super::elements::MemoryOrder;
use super::lazy::{Computed, LazyArray, LoadedBuffer, Operand};
use super::source::{ArraySource, operand, owned_chunks, slice};
use crate::distributed::SavedArray;
use crate::error::Result;
use crate::geometry::{ChunkGrid, Region, StridedLayout};
use crate::paging::{MemoryLimit, ResidencyPlan, operands_of};
use crate::system;

/// A read-only array: a view, or an array whose elements are read into buffers. The dimension is
/// dynamic, so that statistics are compiled once for each element type.
#[derive(Clone)]
pub enum AnyArray<'v, A> {
    // The alias `ArrayViewD` would make the lifetime invariant.
    View(ArrayBase<ViewRepr<&'v A>, IxDyn, A>),
    Lazy(LazyArray<'v, A, IxDyn>),
}

/// Elements that can be accessed in memory.
pub enum Loaded<'l, A> {
    View(ArrayViewD<'l, A>),
    Buffer(LoadedBuffer<'l, A>),
}

impl<A> Loaded<'_, A> {
    /// Returns the elements in memory order, if they are contiguous.
    pub(super) fn as_slice_memory_order(&self) -> Option<&[A]> {
        match self {
            Self::View(view) => view.as_slice_memory_order(),
            Self::Buffer(buffer) => Some(buffer.elements()),
        }
    }

    pub(super) fn view(&self) -> ArrayViewD<'_, A> {
        match self {
            Self::View(view) => view.view(),
            Self::Buffer(buffer) => buffer.view(),
        }
    }
}

/// Calls a closure, with the region of a whole array whose mapped pages are pinned meanwhile. Returns
/// `Ok` only if no mapped file was truncated.
pub(super) fn with_pages_pinned<A, R>(
    array: &AnyArray<'_, A>,
    work: impl FnOnce(&Region) -> Result<R>,
) -> Result<R> {
    let shape = array.raw_dim();
    let whole = [Region::whole(shape.slice())];
    let layouts = array.accessed_layouts();
    if operands_of(&layouts, shape.slice()).next().is_none() {
        return work(&whole[0]);
    }
    let order = (0..shape.ndim()).collect();
    let grid = ChunkGrid::new(shape.clone(), shape, order);
    let memory = MemoryLimit::Soft(system::ram_bytes_or_default());
    let plan = ResidencyPlan::new(&layouts, &grid, (1, 0), memory, 1)?;
    let pinned = plan.pin(&whole)?;
    let result = work(&whole[0])?;
    drop(pinned);
    plan.check()?;
    Ok(result)
}

impl<'v, A> AnyArray<'v, A> {
    pub(crate) fn raw_dim(&self) -> IxDyn {
        match self {
            Self::View(view) => view.raw_dim(),
            Self::Lazy(lazy) => lazy.raw_dim(),
        }
    }

    pub(crate) fn len_of(&self, axis: Axis) -> usize {
        match self {
            Self::View(view) => view.len_of(axis),
            Self::Lazy(lazy) => lazy.len_of(axis.index()),
        }
    }

    /// Returns the number of elements.
    pub(crate) fn len(&self) -> usize {
        self.raw_dim().size()
    }

    /// Returns the strides in elements. Elements that are read into a buffer have the strides of a
    /// contiguous array.
    pub(crate) fn strides(&self) -> Vec<isize> {
        let lazy = match self {
            Self::View(view) => return view.strides().to_vec(),
            Self::Lazy(lazy) => lazy,
        };
        let layout = &lazy.layouts()[0];
        let strides = layout.byte_strides.iter().enumerate();
        let item = layout.item.max(1) as isize;
        strides.map(|(axis, &bytes)| if lazy.len_of(axis) < 2 { 1 } else { bytes / item }).collect()
    }

    /// Returns the layout of the array, and those of arrays from which its elements are computed.
    pub(crate) fn layouts(&self) -> Vec<StridedLayout> {
        match self {
            Self::View(view) => vec![StridedLayout::of(view, false)],
            Self::Lazy(lazy) => lazy.layouts().to_vec(),
        }
    }

    /// Returns the layouts of the arrays in memory and the mapped arrays that are accessed when the
    /// elements are loaded.
    pub(crate) fn accessed_layouts(&self) -> Vec<StridedLayout> {
        match self {
            Self::View(view) => vec![StridedLayout::of(view, false)],
            Self::Lazy(lazy) => lazy.layouts()[1..].to_vec(),
        }
    }

    /// Returns the number of bytes of buffers for each element that is loaded.
    pub(crate) fn buffered_bytes(&self) -> usize {
        match self {
            Self::View(_) => 0,
            Self::Lazy(lazy) => lazy.layouts()[0].buffered,
        }
    }

    /// Returns the number of bytes of other buffers that a thread uses while elements are loaded.
    pub(crate) fn scratch_bytes(&self) -> usize {
        match self {
            Self::View(_) => 0,
            Self::Lazy(lazy) => lazy.layouts()[0].scratch,
        }
    }

    pub(crate) fn permuted_axes(self, axes: Vec<usize>) -> Self {
        match self {
            Self::View(view) => Self::View(view.permuted_axes(axes)),
            Self::Lazy(mut lazy) => {
                lazy.permute_axes(&axes);
                Self::Lazy(lazy)
            }
        }
    }

    /// Inserts an axis of length 1.
    pub(crate) fn insert_axis(self, axis: Axis) -> Self {
        match self {
            Self::View(view) => Self::View(view.insert_axis(axis)),
            Self::Lazy(mut lazy) => {
                lazy.insert_axis(axis.index());
                Self::Lazy(lazy)
            }
        }
    }

    pub(crate) fn invert_axis(&mut self, axis: Axis) {
        match self {
            Self::View(view) => view.invert_axis(axis),
            Self::Lazy(lazy) => lazy.invert_axis(axis.index()),
        }
    }

    pub(crate) fn slice_axis_inplace(&mut self, axis: Axis, range: Range<usize>) {
        match self {
            Self::View(view) => view.slice_axis_inplace(axis, Slice::from(range)),
            Self::Lazy(lazy) => lazy.slice_axis_inplace(axis, range),
        }
    }

    /// Removes an axis at an index.
    pub(crate) fn index_axis(mut self, axis: Axis, index: usize) -> Self {
        self.slice_axis_inplace(axis, index..index + 1);
        match self {
            Self::View(view) => Self::View(view.index_axis_move(axis, 0)),
            Self::Lazy(mut lazy) => {
                lazy.remove_axis(axis.index());
                Self::Lazy(lazy)
            }
        }
    }

    /// Returns the part inside a region.
    pub(crate) fn slice_region(&self, bounds: &Region) -> Self {
        match self {
            Self::View(view) => Self::View(slice(view.clone(), bounds)),
            Self::Lazy(lazy) => Self::Lazy(lazy.slice_region(bounds)),
        }
    }
}

impl<A: Copy> AnyArray<'_, A> {
    /// Reads the elements inside a region, unless they are in memory.
    pub(super) fn load(&self, bounds: &Region) -> Result<Loaded<'_, A>> {
        match self {
            Self::View(view) => Ok(Loaded::View(slice(view.view(), bounds))),
            Self::Lazy(lazy) => lazy.load_region(bounds).map(Loaded::Buffer),
        }
    }
}

/// Methods that a source of owned chunks needs. Statistics only load regions.
impl<A: Copy> AnyArray<'_, A> {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::View(_) => None,
            Self::Lazy(lazy) => lazy.path(),
        }
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        match self {
            Self::View(_) => Ok(Vec::new()),
            Self::Lazy(lazy) => lazy.saved_files(),
        }
    }

    fn to_array(&self) -> Result<ArrayD<A>> {
        match self {
            Self::View(view) => Ok(view.to_owned()),
            Self::Lazy(lazy) => lazy.to_array(),
        }
    }
}

owned_chunks! { [] AnyArray<'_, A>, IxDyn }

impl<A: Copy + Send + Sync> ArraySource for AnyArray<'_, A> {
    type Elem = A;

    fn into_any<'v>(self) -> AnyArray<'v, A>
    where
        Self: 'v,
    {
        self
    }

    fn invert_axis(&mut self, axis: usize) {
        self.invert_axis(Axis(axis));
    }

    fn is_read_in_batches(&self) -> bool {
        match self {
            Self::View(_) => false,
            Self::Lazy(lazy) => lazy.is_read_in_batches(),
        }
    }

    fn load(&self, bounds: &Region) -> Result<Loaded<'_, A>> {
        self.load(bounds)
    }

    fn computed(&self, bounds: &Region) -> Result<Option<Box<dyn Computed<A> + '_>>> {
        match self {
            Self::View(_) => Ok(None),
            Self::Lazy(lazy) => lazy.computed(bounds),
        }
    }

    fn operand(&self, bounds: &Region, order: &MemoryOrder) -> Result<Option<Operand<'_, A>>> {
        match self {
            Self::View(view) => Ok(operand(view.view(), bounds, order)),
            Self::Lazy(lazy) => lazy.operand(bounds, order),
        }
    }
}
