//! Arrays of the elements at some indices of an axis.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::AnyBitPattern;
use ndarray::{ArrayViewD, ArrayViewMutD, Axis, Dimension};

use super::mapped_file::positional;
use super::permutation::Permutation;
use super::stored::StoredRows;
use super::{LazyArray, ReadArray, check_len};
use crate::chunked::Chunked;
use crate::chunked::any_array::{AnyArray, with_pages_pinned};
use crate::chunked::config::ChunkConfig;
use crate::chunked::limit::path_of;
use crate::chunked::saved::saved_arrays;
use crate::chunked::source::ArraySource;
use crate::distributed::{SavedArray, fnv1a};
use crate::error::{ErrorKind, Result};
use crate::geometry::{Region, memory_order};
use crate::paging::operands_of;
use crate::storage::{BUFFER_BYTES, MAX_ROW_GAP_BYTES, RowPlace, resize};

/// The maximum number of indices that are sorted at once.
const MAX_PLACES: usize = 1 << 15;

/// The elements of an array at some indices of an axis.
struct Selected<'a, A> {
    array: AnyArray<'a, A>,
    /// True if pages of mapped arrays are accessed when elements of the array are read.
    accesses_pages: bool,
    /// The maximum number of elements that are read at once, unless those at one index are more.
    max_len: usize,
    /// The maximum size of a gap between elements that are read at once, in bytes. It is 0 if elements
    /// in a gap would be computed.
    max_gap: usize,
    axis: usize,
    indices: SelectedIndices<'a>,
    /// The axes from the slowest to the fastest.
    order: Vec<usize>,
    /// The absolute stride of the axis in the array, in bytes.
    byte_stride: usize,
    path: Option<PathBuf>,
}

/// The indices of an axis that are selected.
enum SelectedIndices<'a> {
    List(Cow<'a, [usize]>),
    Shuffled(Permutation),
}

/// A selected index, and its position in the result.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    index: usize,
    position: usize,
}

/// Selection of indices.
impl<'a, A, D, P> Chunked<'a, P>
where
    A: AnyBitPattern + Send + Sync,
    D: Dimension,
    P: ArraySource<Elem = A, Dim = D> + 'a,
{
    /// Selects the elements at some indices of an axis lazily, like ndarray's `select`: rows of a
    /// table for axis 0. Indices can have any order, and can be repeated.
    ///
    /// Nothing is read before the elements are needed. [`copy_into`](Self::copy_into) writes them to
    /// another array, [`into_lazy`](Self::into_lazy) and [`read_all`](LazyArray::read_all) read them
    /// into memory, iteration gives chunks of them, and statistics are those of the selected
    /// elements.
    ///
    /// Indices are `usize` and not negative. NumPy stores arrays of indices as `i64`: convert them with
    /// `indices.iter().map(|&index| index as usize).collect::<Vec<_>>()`.
    ///
    /// Elements are read in the order of the file, 32,768 indices of a chunk at a time, and elements
    /// less than 4 KiB apart are read at once. A row that is contiguous in the file takes one system
    /// call; in a file in F order, each element of a row takes one, and a page of 4 KiB. Large chunks
    /// are read faster, since more of their rows are close to each other.
    ///
    /// Mapped arrays are also read with system calls (on Linux, Android, macOS and FreeBSD), and none
    /// of their pages become resident. There are three exceptions: private mappings, broadcast views,
    /// and elements that are [computed](Self::map) from mapped arrays. Their pages become resident,
    /// stay so, and do not count against the [memory limit](Self::memory_limit). Select first and
    /// compute then: `table.chunked().select(..)?.map(..)`.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let table = array![[0_i32, 1], [10, 11], [20, 21], [30, 31]];
    /// let rows = table.chunked().select(Axis(0), &[3, 0, 3])?;
    /// assert_eq!(rows.into_lazy().read_all()?, array![[30, 31], [0, 1], [30, 31]]);
    /// assert_eq!(table.chunked().select(Axis(1), &[1])?.sum()?, 64);
    ///
    /// let error = table.chunked().select(Axis(0), &[2, 4]).unwrap_err();
    /// assert!(error.to_string().contains("index 4 at position 1 of the indices"));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::IndexOutOfBounds`] for the first index that is out of bounds;
    /// [`ErrorKind::TooLarge`] if the result exceeds the address space.
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds.
    #[doc(alias("take", "gather"))]
    #[track_caller]
    pub fn select(
        self,
        axis: Axis,
        indices: impl Into<Cow<'a, [usize]>>,
    ) -> Result<Chunked<'a, LazyArray<'a, A, D>>> {
        self.check_axis(axis);
        let indices = indices.into();
        let len = self.source.source_shape()[axis.index()];
        if let Some(position) = indices.iter().position(|&index| index >= len) {
            let (axis, index) = (axis.index(), indices[position]);
            let kind = ErrorKind::IndexOutOfBounds { axis, len, index, position };
            return Err(kind.at(path_of(&self.source).as_deref()));
        }
        self.with_indices(axis.index(), SelectedIndices::List(indices))
    }

    /// Shuffles an axis lazily: all its indices are [selected](Self::select), in a pseudo-random
    /// order that depends on the seed and the length of the axis.
    ///
    /// The order is the same on every machine, for any number of threads, chunk length and memory limit,
    /// and in later minor versions. It is not suitable for cryptography. The order of up to
    /// 2<sup>20</sup> indices takes 4 bytes for each of them, that of more indices no memory.
    ///
    /// Chunks are split along the shuffled axis, unless [another](Self::axis) was set before, so that
    /// they are mini-batches without replacement. Use another seed for each epoch.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let table = Array2::from_shape_fn((1_000, 8).f(), |(i, j)| (i * 8 + j) as f32);
    /// for epoch in 0..2 {
    ///     for batch in table.chunked().shuffle(Axis(0), epoch)?.chunk_len(64) {
    ///         assert!(batch.nrows() == 64 || batch.nrows() == 1_000 % 64);
    ///     }
    /// }
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] if the array exceeds the address space, as a broadcast view can.
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds.
    #[doc(alias("permutation"))]
    #[track_caller]
    pub fn shuffle(self, axis: Axis, seed: u64) -> Result<Chunked<'a, LazyArray<'a, A, D>>> {
        self.check_axis(axis);
        let len = self.source.source_shape()[axis.index()];
        let indices = SelectedIndices::Shuffled(Permutation::new(len, seed));
        let Chunked { source, config } = self.with_indices(axis.index(), indices)?;
        let config = ChunkConfig { axis: config.axis.or(Some(axis)), ..config };
        Ok(Chunked { source, config })
    }

    fn with_indices(
        self,
        axis: usize,
        indices: SelectedIndices<'a>,
    ) -> Result<Chunked<'a, LazyArray<'a, A, D>>> {
        let Self { source, config } = self;
        let path = path_of(&source);
        let mut shape = source.source_shape();
        let array = match source.into_any() {
            AnyArray::View(view) => {
                let view: ArrayViewD<'a, A> = view;
                positional(view.clone()).map_or(AnyArray::View(view), AnyArray::Lazy)
            }
            lazy => lazy,
        };
        let layout = &array.layouts()[0];
        let byte_stride = layout.byte_strides[axis].unsigned_abs();
        let lens = shape.slice().iter().copied();
        let order = memory_order(lens.zip(layout.byte_strides.iter().copied()));
        shape[axis] = indices.len();
        check_len::<A>(shape.slice(), path.as_deref())?;
        let axes = order.clone();
        let layouts = array.accessed_layouts();
        let accesses_pages = operands_of(&layouts, array.raw_dim().slice()).next().is_some();
        let buffer_len = (BUFFER_BYTES / size_of::<A>().max(1)).max(1);
        let (max_len, max_gap) = match &array {
            AnyArray::View(_) if !accesses_pages => (usize::MAX, usize::MAX),
            AnyArray::Lazy(lazy) if !lazy.is_stored() => (buffer_len, 0),
            _ => (buffer_len, MAX_ROW_GAP_BYTES),
        };
        let selected = Selected {
            array,
            accesses_pages,
            max_len,
            max_gap,
            axis,
            indices,
            order,
            byte_stride,
            path,
        };
        Ok(Chunked { source: LazyArray::new(Arc::new(selected), &shape, &axes), config })
    }
}

impl SelectedIndices<'_> {
    fn len(&self) -> usize {
        match self {
            Self::List(indices) => indices.len(),
            Self::Shuffled(permutation) => permutation.len(),
        }
    }

    fn get(&self, position: usize) -> usize {
        match self {
            Self::List(indices) => indices[position],
            Self::Shuffled(permutation) => permutation.get(position),
        }
    }

    /// Returns the indices at some positions, in ascending order.
    fn sorted(&self, positions: Range<usize>) -> Vec<Place> {
        let first = positions.start;
        let place = |position| Place { index: self.get(position), position: position - first };
        let mut places: Vec<_> = positions.map(place).collect();
        if !places.is_sorted() {
            places.sort_unstable();
        }
        places
    }

    /// Describes the indices in a saved state.
    fn describe(&self) -> String {
        match self {
            Self::List(indices) => {
                let bytes: Vec<u8> =
                    indices.iter().flat_map(|&index| (index as u64).to_le_bytes()).collect();
                format!("{} indices with the hash {:016x}", indices.len(), fnv1a(&bytes))
            }
            Self::Shuffled(permutation) => format!("shuffled by seed {}", permutation.seed()),
        }
    }
}

impl<A: AnyBitPattern + Send + Sync> Selected<'_, A> {
    /// Returns the position of the axis in the order.
    fn position(&self) -> Axis {
        let position = self.order.iter().position(|&axis| axis == self.axis);
        Axis(position.expect("the order contains all axes"))
    }

    /// Returns the slowest axis of a region with several indices, and its position in the order;
    /// `None` if it is the one along which elements are selected.
    fn slower_axis(&self, region: &Region) -> Option<(usize, usize)> {
        let slower = self.order.iter().copied().take_while(|&axis| axis != self.axis);
        slower.enumerate().find(|&(_, axis)| region.range(axis).len() > 1)
    }

    /// Reads rows of a file along the slowest axis if they are contiguous; returns false if they are
    /// not.
    fn read_rows(&self, region: &Region, places: &[Place], elements: &mut [A]) -> Result<bool> {
        let AnyArray::Lazy(lazy) = &self.array else { return Ok(false) };
        let mut first = region.clone();
        (first.start[self.axis], first.end[self.axis]) = (0, 1);
        let rows = lazy.stored_rows(&first, self.axis, &self.order);
        let Some(StoredRows { reader, first, step }) = rows else { return Ok(false) };
        let len = elements.len() / places.len();
        let rows = places
            .iter()
            .map(|place| RowPlace { from: first + place.index * step, to: place.position * len });
        reader.read_rows(rows, len, elements)?;
        Ok(true)
    }

    /// Copies the elements of a region to an array with the axes from the slowest to the fastest.
    fn copy(
        &self,
        region: &Region,
        places: &[Place],
        mut target: ArrayViewMutD<'_, A>,
    ) -> Result<()> {
        let [first, last] = [places[0].index, places[places.len() - 1].index];
        // The elements at one index of the axis.
        let lane = region.len() / region.range(self.axis).len();
        let spanned = lane.saturating_mul(last - first + 1);
        if let Some((position, slow)) = self.slower_axis(region)
            && spanned > self.max_len
        {
            // All indices of a part are read at once, instead of a few indices of all.
            let range = region.range(slow);
            let step = (self.max_len / (spanned / range.len()).max(1)).max(1);
            for start in range.clone().step_by(step) {
                let end = range.end.min(start + step);
                let mut part = region.clone();
                (part.start[slow], part.end[slow]) = (start, end);
                let slice = start - range.start..end - range.start;
                let target = target.slice_axis_mut(Axis(position), slice.into());
                self.copy(&part, places, target)?;
            }
            return Ok(());
        }
        let is_near = |first: usize, last: usize, next: usize| {
            let gap = (next - last).saturating_sub(1).saturating_mul(self.byte_stride);
            gap <= self.max_gap && lane.saturating_mul(next - first + 1) <= self.max_len
        };
        let mut rest = places;
        while let Some(first) = rest.first() {
            let ends = rest
                .windows(2)
                .take_while(|places| is_near(first.index, places[0].index, places[1].index));
            let group;
            (group, rest) = rest.split_at(1 + ends.count());
            self.copy_group(region, group, &mut target)?;
        }
        Ok(())
    }

    /// Copies the elements at indices that are read at once.
    fn copy_group(
        &self,
        region: &Region,
        group: &[Place],
        target: &mut ArrayViewMutD<'_, A>,
    ) -> Result<()> {
        let (first, last) = (group[0].index, group[group.len() - 1].index);
        let mut inside = region.clone();
        (inside.start[self.axis], inside.end[self.axis]) = (first, last + 1);
        let axis = self.position();
        let mut copy = |array: &AnyArray<'_, A>, bounds: &Region| {
            let loaded = array.load(bounds)?;
            let view = loaded.view().permuted_axes(&self.order[..]);
            if view.len() / view.len_of(axis) < group.len() {
                let lanes = target.lanes_mut(axis).into_iter().zip(view.lanes(axis));
                for (mut target, lane) in lanes {
                    group
                        .iter()
                        .for_each(|place| target[place.position] = lane[place.index - first]);
                }
                return Ok(());
            }
            for place in group {
                target
                    .index_axis_mut(axis, place.position)
                    .assign(&view.index_axis(axis, place.index - first));
            }
            Ok(())
        };
        if !self.accesses_pages {
            return copy(&self.array, &inside);
        }
        let part = self.array.slice_region(&inside);
        with_pages_pinned(&part, |whole| copy(&part, whole))
    }
}

impl<A: AnyBitPattern + Send + Sync> ReadArray<A> for Selected<'_, A> {
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        resize(elements, region.len(), self.path())?;
        if size_of::<A>() == 0 {
            return Ok(());
        }
        let wanted = region.range(self.axis);
        let lane = region.len() / wanted.len();
        let lens: Vec<_> = self.order.iter().map(|&axis| region.range(axis).len()).collect();
        for start in wanted.clone().step_by(MAX_PLACES) {
            let end = wanted.end.min(start + MAX_PLACES);
            let within = start - wanted.start..end - wanted.start;
            let places = self.indices.sorted(start..end);
            let mut part = region.clone();
            (part.start[self.axis], part.end[self.axis]) = (start, end);
            let rows = &mut elements[within.start * lane..within.end * lane];
            if self.slower_axis(region).is_none() && self.read_rows(&part, &places, rows)? {
                continue;
            }
            let target = ArrayViewMutD::from_shape(&lens[..], &mut elements[..]);
            let mut target = target.expect("an element for each index");
            target.slice_axis_inplace(self.position(), within.into());
            self.copy(&part, &places, target)?;
        }
        Ok(())
    }

    fn extra_bytes(&self) -> usize {
        // Elements that are read at once and exceed a buffer are those at one index.
        size_of::<A>() + self.array.buffered_bytes()
    }

    fn scratch_bytes(&self) -> usize {
        MAX_PLACES * size_of::<Place>() + BUFFER_BYTES + self.array.scratch_bytes()
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        let mut files = saved_arrays(&self.array)?;
        let indices = self.indices.describe();
        for file in &mut files {
            file.file_id += &format!(", {indices} of axis {}", self.axis);
        }
        Ok(files)
    }
}
