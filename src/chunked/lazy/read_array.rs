//! The interface of arrays whose elements are read or computed region by region.
#![forbid(unsafe_code)]

use std::path::Path;

use super::computed::Computed;
use super::stored::StoredElements;
use crate::distributed::SavedArray;
use crate::error::Result;
use crate::geometry::{Region, StridedLayout};

/// An array whose elements are read from a file, decoded or computed, one region at a time.
pub(crate) trait ReadArray<A>: Send + Sync {
    /// Replaces the contents of a buffer with the elements of a region that is not empty, in memory
    /// order: with the axes from the slowest to the fastest, by ascending indices.
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()>;

    /// Returns how the elements are stored; `None` if they are not those of one file.
    fn stored(&self) -> Option<StoredElements<'_>> {
        None
    }

    /// Returns whether elements are computed from arrays in memory. Small regions are then read as
    /// fast as large ones.
    fn is_computed_in_memory(&self) -> bool {
        false
    }

    /// Prepares the computation of the elements of a region; `None` if they are not computed from
    /// contiguous slices in memory.
    fn computed(&self, _region: &Region) -> Result<Option<Box<dyn Computed<A> + '_>>> {
        Ok(None)
    }

    /// Returns the number of bytes of temporary memory that reading takes for each element, in
    /// addition to the element.
    fn extra_bytes(&self) -> usize {
        0
    }

    /// Returns the number of bytes of temporary memory that reading takes for a region of any size.
    fn scratch_bytes(&self) -> usize {
        0
    }

    /// Returns the layouts of the arrays in memory and the mapped arrays that are accessed at the
    /// same indices. A chunked operation pins their pages.
    fn layouts(&self) -> Vec<StridedLayout> {
        Vec::new()
    }

    /// Returns the path that errors contain.
    fn path(&self) -> Option<&Path>;

    /// Describes the files that are read by positional reads, for saved states.
    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        Ok(Vec::new())
    }
}
