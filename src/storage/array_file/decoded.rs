//! Arrays in files whose numbers are converted to another type while they are read.
#![forbid(unsafe_code)]

use std::path::Path;

use ndarray::Dimension;

use super::byte_order::ByteOrder;
use super::element_reader::resize;
use super::reading::StoredArray;
use crate::error::Result;
use crate::geometry::{Region, Selection};
use crate::paging::FileVersion;
use crate::storage::file::file_version;
use crate::storage::file_layouts::check_dimensions;
use crate::storage::handle::FileHandle;
use crate::storage::layout::FileLayout;
use crate::storage::npy::{Conversion, Decoder, NpyHeader, NumericElement, StoredNumber};
use crate::storage::options::MmapArrayOptions;

/// An array in a file, one number of each element of which is converted to `A`.
#[derive(Debug)]
pub(crate) struct DecodedFile<A> {
    stored: StoredArray,
    number: StoredNumber,
    decoder: Decoder<A>,
}

impl<A: NumericElement> DecodedFile<A> {
    /// Opens an `.npy` file of numbers, or of records with a field of numbers.
    pub(crate) fn open<D: Dimension>(
        options: &MmapArrayOptions,
        path: &Path,
        field: Option<&str>,
        conversion: Conversion,
    ) -> Result<Self> {
        let mut number = None;
        let handle = FileHandle::open(path, false, options.lock, |file, file_len| {
            let header = NpyHeader::read_from(file, path, options.offset)?;
            let found = header.number::<A>(field, conversion).map_err(|kind| kind.at(path))?;
            let layout = header.layout_of(found.element).and_then(|layout| {
                check_dimensions::<D>(&layout)?;
                options.check_npy_length(&layout, file_len, found.element)?;
                Ok(layout)
            });
            number = Some(found);
            layout.map_err(|kind| kind.at(path))
        })?;
        let number = number.expect("the layout was determined from the number");
        let byte_order = match number.bytes.len() {
            width @ 2.. if number.is_swapped => ByteOrder::Swapped { width },
            _ => ByteOrder::Native,
        };
        Ok(Self {
            stored: StoredArray { handle, item: number.element.size, byte_order, has_header: true },
            decoder: A::decoder(number.kind),
            number,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.stored.handle.path().unwrap_or(Path::new(""))
    }

    pub(crate) fn layout(&self) -> &FileLayout {
        self.stored.handle.layout()
    }

    /// Returns the offset of the first number, in bytes from the start of the file.
    pub(crate) fn offset(&self) -> u64 {
        self.layout().offset() + self.number.bytes.start as u64
    }

    /// Returns the size of an element in the file, in bytes.
    pub(crate) fn item(&self) -> usize {
        self.stored.item
    }

    /// Returns the identity and the version of the file.
    pub(crate) fn file_version(&self) -> Result<FileVersion> {
        file_version(self.stored.handle.file(), self.path(), true)
    }

    /// Returns the number of bytes of buffers for each element that is decoded.
    pub(crate) fn encoded_bytes(&self) -> usize {
        if self.number.is_stored_as::<A>() { 0 } else { self.number.bytes.len() }
    }

    /// Replaces the contents of `elements` by the elements of a region, in the memory order of the
    /// file. After an error, the elements are unspecified.
    pub(crate) fn read_region(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        let selection = Selection::of_region(region);
        if self.number.is_stored_as::<A>() {
            return self.stored.read_elements(&selection, elements);
        }
        resize(elements, selection.len(), Some(self.path()))?;
        elements.clear();
        let decode = |bytes: &[u8]| (self.decoder)(bytes, elements);
        self.stored.read_numbers(&selection, &self.number.bytes, decode)
    }
}
