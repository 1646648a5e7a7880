//! Mapping of files according to options: the safe part of opening and creating mapped arrays.
#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;

use ndarray::{Dimension, IntoDimension, ShapeBuilder};

use super::file_layouts::check_dimensions;
use super::handle::FileHandle;
use super::layout::{Element, FileLayout};
use super::map::{Advice, MapKind};
use super::mapping::Mapping;
use super::npy::{NpyElement, NpyHeader};
use super::options::MmapArrayOptions;
use super::pending::NewMapping;
use crate::error::Result;

impl MmapArrayOptions {
    /// Maps a raw file with a given shape.
    pub(super) fn map_raw<A, Sh: ShapeBuilder>(
        &self,
        path: &Path,
        shape: Sh,
        kind: MapKind,
    ) -> Result<Mapping> {
        let element = Element::of::<A>();
        let layout = self.layout_of_shape(Some(path), shape, element)?;
        self.map(path, kind, |file, file_len| {
            self.check_raw(file, path, open_npy_of(kind))?;
            layout.check_fits(file_len, element, false).map_err(|kind| kind.at(path))?;
            Ok(layout)
        })
    }

    /// Maps a raw file with all rows that it contains.
    pub(super) fn map_rows<A, I: IntoDimension>(
        &self,
        path: &Path,
        row: I,
        kind: MapKind,
    ) -> Result<Mapping> {
        let row = row.into_dimension();
        self.map(path, kind, |file, file_len| {
            self.check_raw(file, path, open_npy_of(kind))?;
            self.layout_of_rows(path, row.slice(), file_len, Element::of::<A>())
        })
    }

    /// Maps the array of an `.npy` file.
    pub(super) fn map_npy<A: NpyElement, D: Dimension>(
        &self,
        path: &Path,
        kind: MapKind,
    ) -> Result<Mapping> {
        self.map_npy_until::<A, D>(path, kind, |_, file_len| Ok(file_len))
    }

    /// Maps the array of an `.npy` file that may be a part of another file. `end` returns its end,
    /// and is passed the open file and its length.
    pub(super) fn map_npy_until<A: NpyElement, D: Dimension>(
        &self,
        path: &Path,
        kind: MapKind,
        end: impl FnOnce(&File, u64) -> Result<u64>,
    ) -> Result<Mapping> {
        self.map(path, kind, |file, file_len| {
            let end = end(file, file_len)?;
            let header = NpyHeader::read_from(file, path, self.offset)?;
            let layout = header.layout::<A>().and_then(|layout| {
                check_dimensions::<D>(&layout)?;
                if kind == MapKind::Write {
                    header.check_writable::<A>()?;
                }
                self.check_npy_length(&layout, end, Element::of::<A>())?;
                Ok(layout)
            });
            layout.map_err(|kind| kind.at(path))
        })
    }

    /// Maps a file whose layout is determined from the open file and its length.
    fn map(
        &self,
        path: &Path,
        kind: MapKind,
        layout: impl FnOnce(&File, u64) -> Result<FileLayout>,
    ) -> Result<Mapping> {
        let handle = FileHandle::open(path, kind == MapKind::Write, self.lock, layout)?;
        let mapping = Mapping::new(handle, kind, false)?;
        self.give_advice(&mapping);
        Ok(mapping)
    }

    /// Creates and maps a raw file that is not yet renamed to its path.
    pub(super) fn map_new_raw<A, Sh: ShapeBuilder>(
        &self,
        path: &Path,
        shape: Sh,
    ) -> Result<NewMapping> {
        let layout = self.layout_of_shape(Some(path), shape, Element::of::<A>())?;
        self.create_and_map(path, &[], layout)
    }

    /// Creates and maps an `.npy` file that is not yet renamed to its path.
    pub(super) fn map_new_npy<A: NpyElement, Sh: ShapeBuilder>(
        &self,
        path: &Path,
        shape: Sh,
    ) -> Result<NewMapping> {
        let (header, layout) = self.npy_layout::<A, _>(shape).map_err(|kind| kind.at(path))?;
        self.create_and_map(path, &header, layout)
    }

    fn create_and_map(&self, path: &Path, header: &[u8], layout: FileLayout) -> Result<NewMapping> {
        let (handle, staged) = self.create_handle(path, header, layout)?;
        let mapping = Mapping::new(handle, MapKind::Write, true)?;
        self.give_advice(&mapping);
        Ok(NewMapping { mapping, staged })
    }

    /// Creates and maps an unlinked file.
    pub(super) fn map_scratch<A, Sh: ShapeBuilder>(
        &self,
        directory: &Path,
        shape: Sh,
    ) -> Result<Mapping> {
        let layout = self.layout_of_shape(None, shape, Element::of::<A>())?;
        let file = self.file_spec(&[], &layout).create_unlinked(directory)?;
        let handle = FileHandle::of_unlinked_file(file, layout, self.lock);
        let mapping = Mapping::new(handle, MapKind::Write, true)?;
        self.give_advice(&mapping);
        Ok(mapping)
    }

    pub(super) fn give_advice(&self, mapping: &Mapping) {
        if self.advice != Advice::Normal {
            // Ignored, because a rejected hint changes no result.
            let _ = mapping.advise(self.advice, mapping.whole());
        }
    }
}

/// Returns the method that maps an `.npy` file in this way.
fn open_npy_of(kind: MapKind) -> &'static str {
    match kind {
        MapKind::Read => "MmapArray::open_npy",
        MapKind::Write => "MmapArrayMut::open_npy",
        MapKind::Private => "MmapArrayCow::open_npy",
    }
}
