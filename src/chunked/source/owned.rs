//! Read-only sources whose chunks are read into owned arrays.
#![forbid(unsafe_code)]

/// Implements the traits of a read-only source whose chunks are read into owned arrays.
macro_rules! owned_chunks {
    ([$($generics:tt)*] $array:ty, $dim:ty) => {
        const _: () = {
            use std::ops::Range;
            use std::path::{Path, PathBuf};

            use ndarray::{Array, Axis};

            use crate::chunked::region::ChunkRegion;
            use crate::chunked::source::{ChunkSource, IterEnd, Part, ReadOnlySource, Splitter};
            use crate::distributed::SavedArray;
            use crate::geometry::StridedLayout;

            impl<A: Copy, $($generics)*> ChunkSource for $array {
                type Dim = $dim;
                type Chunk = Array<A, $dim>;
                type Splitter = Self;
                type With<Q: ChunkSource<Dim = $dim>> = (Self, Q);

                fn source_shape(&self) -> $dim {
                    self.raw_dim()
                }

                fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
                    self.slice_axis_inplace(Axis(axis), range);
                }

                fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
                    layouts.extend_from_slice(&self.layouts());
                }

                fn read_path(&self) -> Option<PathBuf> {
                    self.path().map(Path::to_path_buf)
                }

                fn saved_files(&self) -> Result<Vec<SavedArray>> {
                    self.saved_files()
                }

                fn splitter(self) -> Self {
                    self
                }

                fn zip_source<Q: ChunkSource<Dim = $dim>>(self, other: Q) -> (Self, Q) {
                    (self, other)
                }
            }

            impl<A: Copy, $($generics)*> ReadOnlySource for $array {}

            impl<A: Copy, $($generics)*> Splitter<$dim> for $array {
                type Part = Self;

                fn take_part(
                    &mut self,
                    region: &ChunkRegion<$dim>,
                    _order: &[usize],
                    _end: IterEnd,
                ) -> Self {
                    self.slice_region(region.region_with_halo())
                }
            }

            impl<A: Copy, $($generics)*> Part for $array {
                type Chunk = Array<A, $dim>;

                fn load(self) -> Result<Array<A, $dim>> {
                    self.to_array()
                }
            }
        };
    };
}
pub(in crate::chunked) use owned_chunks;
