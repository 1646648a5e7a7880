//! Tuples of sources, and sources whose chunks include their region.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::PathBuf;

use ndarray::Dimension;

use super::{ChunkSource, IterEnd, Part, ReadOnlySource, Splitter, sealed};
use crate::chunked::region::ChunkRegion;
use crate::distributed::SavedArray;
use crate::error::Result;
use crate::geometry::StridedLayout;

macro_rules! tuples {
    ($($first:ident $($rest:ident)*: $with:ty, $self:ident $other:ident $value:expr;)*) => {$(
        #[allow(non_snake_case)]
        impl<$first: ChunkSource, $($rest: ChunkSource<Dim = $first::Dim>),*> ChunkSource for ($first, $($rest),*) {
            type Dim = $first::Dim;
            type Chunk = ($first::Chunk, $($rest::Chunk),*);
            type Splitter = ($first::Splitter, $($rest::Splitter),*);
            type With<Q: ChunkSource<Dim = Self::Dim>> = $with;

            fn source_shape(&self) -> Self::Dim {
                self.0.source_shape()
            }

            fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
                let ($first, $($rest),*) = self;
                $($rest.restrict_axis(axis, range.clone());)*
                $first.restrict_axis(axis, range);
            }

            fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
                let ($first, $($rest),*) = self;
                $first.layouts(layouts);
                $($rest.layouts(layouts);)*
            }

            fn read_path(&self) -> Option<PathBuf> {
                let ($first, $($rest),*) = self;
                $first.read_path()$(.or_else(|| $rest.read_path()))*
            }

            fn saved_files(&self) -> Result<Vec<SavedArray>> {
                let ($first, $($rest),*) = self;
                let mut files = $first.saved_files()?;
                $(files.append(&mut $rest.saved_files()?);)*
                Ok(files)
            }

            fn splitter(self) -> Self::Splitter {
                let ($first, $($rest),*) = self;
                ($first.splitter(), $($rest.splitter()),*)
            }

            fn zip_source<Q: ChunkSource<Dim = Self::Dim>>($self, $other: Q) -> Self::With<Q> {
                $value
            }
        }

        impl<$first: ReadOnlySource, $($rest: ReadOnlySource<Dim = $first::Dim>),*> ReadOnlySource for ($first, $($rest),*) {}
        impl<$first: sealed::Sealed, $($rest: sealed::Sealed),*> sealed::Sealed for ($first, $($rest),*) {}

        #[allow(non_snake_case)]
        impl<Dim, $first: Splitter<Dim>, $($rest: Splitter<Dim>),*> Splitter<Dim> for ($first, $($rest),*) {
            type Part = ($first::Part, $($rest::Part),*);

            fn take_part(&mut self, region: &ChunkRegion<Dim>, order: &[usize], end: IterEnd) -> Self::Part {
                let ($first, $($rest),*) = self;
                ($first.take_part(region, order, end), $($rest.take_part(region, order, end)),*)
            }
        }

        #[allow(non_snake_case)]
        impl<$first: Part, $($rest: Part),*> Part for ($first, $($rest),*) {
            type Chunk = ($first::Chunk, $($rest::Chunk),*);

            fn load(self) -> Result<Self::Chunk> {
                let ($first, $($rest),*) = self;
                Ok(($first.load()?, $($rest.load()?),*))
            }
        }
    )*};
}
tuples! {
    A B: (A, B, Q), self other (self.0, self.1, other);
    A B C: (A, B, C, Q), self other (self.0, self.1, self.2, other);
    A B C D: (Self, Q), self other (self, other);
}

/// A source whose chunks include their [region](ChunkRegion), created by
/// [`indexed`](crate::Chunked::indexed).
#[derive(Clone, Debug)]
pub struct Indexed<P>(pub(in crate::chunked) P);

impl<P: ChunkSource> ChunkSource for Indexed<P> {
    type Dim = P::Dim;
    type Chunk = (ChunkRegion<P::Dim>, P::Chunk);
    type Splitter = Indexed<P::Splitter>;
    type With<Q: ChunkSource<Dim = Self::Dim>> = (Self, Q);

    fn source_shape(&self) -> P::Dim {
        self.0.source_shape()
    }

    fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
        self.0.restrict_axis(axis, range);
    }

    fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
        self.0.layouts(layouts);
    }

    fn read_path(&self) -> Option<PathBuf> {
        self.0.read_path()
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        self.0.saved_files()
    }

    fn splitter(self) -> Self::Splitter {
        Indexed(self.0.splitter())
    }

    fn zip_source<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> (Self, Q) {
        (self, other)
    }
}

impl<P: ReadOnlySource> ReadOnlySource for Indexed<P> {}

impl<D: Dimension, C: Splitter<D>> Splitter<D> for Indexed<C> {
    type Part = (ChunkRegion<D>, C::Part);

    fn take_part(&mut self, region: &ChunkRegion<D>, order: &[usize], end: IterEnd) -> Self::Part {
        (region.clone(), self.0.take_part(region, order, end))
    }
}

impl<D> Part for ChunkRegion<D> {
    type Chunk = Self;

    fn load(self) -> Result<Self> {
        Ok(self)
    }
}
