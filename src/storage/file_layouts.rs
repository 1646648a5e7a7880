//! Layouts of files according to options, and their checks, for mapped files and files that are read.
#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;

use ndarray::{Dimension, IxDyn, ShapeBuilder};

use super::create::{FileSpec, StagedFile};
use super::handle::FileHandle;
use super::layout::{Element, FileLayout, count_rows};
use super::npy::{self, NpyElement};
use super::options::MmapArrayOptions;
use crate::error::{ErrorKind, Result};
use crate::order::Order;

impl MmapArrayOptions {
    /// Returns the layout of a raw file of known shape.
    pub(super) fn layout_of_shape(
        &self,
        path: Option<&Path>,
        shape: impl ShapeBuilder,
        element: Element,
    ) -> Result<FileLayout> {
        FileLayout::of_shape(&shape.into_shape_with_order(), self.offset, element)
            .map_err(|kind| kind.at(path))
    }

    /// Returns the layout of a raw file with all rows that it contains.
    pub(super) fn layout_of_rows(
        &self,
        path: &Path,
        row: &[usize],
        file_len: u64,
        element: Element,
    ) -> Result<FileLayout> {
        count_rows(row, self.offset, file_len, element, self.trailing_bytes)
            .and_then(|rows| {
                let shape: Vec<_> = std::iter::once(rows).chain(row.iter().copied()).collect();
                FileLayout::new(&shape, Order::C, self.offset, element)
            })
            .map_err(|kind| kind.at(path))
    }

    /// Returns an error if an `.npy` header would be read as elements; `method` would open the
    /// file.
    pub(super) fn check_raw(&self, file: &File, path: &Path, method: &'static str) -> Result<()> {
        if self.offset > 0 || self.npy_as_raw {
            return Ok(());
        }
        npy::check_not_npy(file, path, method)
    }

    /// Returns an error if an `.npy` file has too few bytes, or more than permitted.
    pub(super) fn check_npy_length(
        &self,
        layout: &FileLayout,
        file_len: u64,
        element: Element,
    ) -> std::result::Result<(), ErrorKind> {
        layout.check_fits(file_len, element, true)?;
        if self.trailing_bytes { Ok(()) } else { layout.check_ends(file_len) }
    }

    /// Returns the header and the layout of a new `.npy` file.
    pub(super) fn npy_layout<A: NpyElement, Sh: ShapeBuilder>(
        &self,
        shape: Sh,
    ) -> std::result::Result<(Vec<u8>, FileLayout), ErrorKind> {
        let element = Element::of::<A>();
        let dtype = A::dtype();
        if self.offset != 0 {
            return Err(ErrorKind::Unsupported {
                reason: "an .npy file starts with its header; use offset 0".to_owned(),
            });
        }
        if dtype.item_size() != Some(element.size) {
            let found = format!("elements of {} bytes ({})", element.size, element.name);
            let bytes = dtype.item_size().map_or("other".to_owned(), |size| size.to_string());
            let expected =
                format!("elements of {bytes} bytes, as declared by `NpyElement` ({dtype})");
            return Err(ErrorKind::DtypeMismatch { expected, found });
        }
        let shape = shape.into_shape_with_order();
        let plain = FileLayout::of_shape(&shape, 0, element)?;
        let header = npy::header(&dtype, plain.shape(), plain.order(), element.align)?;
        let layout = FileLayout::of_shape(&shape, header.len() as u64, element)?;
        Ok((header, layout))
    }

    /// Creates a file that is not yet renamed to its path.
    pub(super) fn create_handle(
        &self,
        path: &Path,
        header: &[u8],
        layout: FileLayout,
    ) -> Result<(FileHandle, StagedFile)> {
        let (file, staged) = self.file_spec(header, &layout).create(path)?;
        Ok((FileHandle::of_new_file(file, path, layout, self.lock)?, staged))
    }

    pub(super) fn file_spec<'h>(&self, header: &'h [u8], layout: &FileLayout) -> FileSpec<'h> {
        FileSpec { header, len: layout.end(), sparse: self.sparse, create_new: self.create_new }
    }
}

/// Returns the shape of a layout, if `D` has its number of dimensions.
pub(super) fn dimension_of<D: Dimension>(layout: &FileLayout) -> std::result::Result<D, ErrorKind> {
    D::from_dimension(&IxDyn(layout.shape())).ok_or_else(|| ErrorKind::DimensionMismatch {
        expected: D::NDIM.unwrap_or_default(),
        shape: layout.shape().to_vec(),
    })
}

/// Returns an error if `D` has another number of dimensions than a layout.
pub(super) fn check_dimensions<D: Dimension>(
    layout: &FileLayout,
) -> std::result::Result<(), ErrorKind> {
    match D::NDIM {
        Some(expected) if expected != layout.shape().len() => {
            Err(ErrorKind::DimensionMismatch { expected, shape: layout.shape().to_vec() })
        }
        _ => Ok(()),
    }
}
