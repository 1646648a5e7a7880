//! The bytes of elements, into which the contents of files are read.
#![allow(unsafe_code, reason = "elements with padding have no safe view of their bytes")]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytemuck::AnyBitPattern;

use super::byte_order::ByteOrder;
use crate::storage::os;

/// The bytes of a slice of elements, which can be overwritten but not read: those of padding may be
/// uninitialized.
///
/// Invariant: every method leaves initialized bytes wherever it writes, and writes nowhere else.
/// So the slice has valid elements at all times, of which any bytes are valid.
pub(super) struct ElementBytes<'e>(&'e mut [MaybeUninit<u8>]);

impl<'e> ElementBytes<'e> {
    pub(super) fn of<A: AnyBitPattern>(elements: &'e mut [A]) -> Self {
        let len = size_of_val(elements);
        let first = elements.as_mut_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: the pointer and the length are those of the borrowed slice. Its bytes may have
        // any contents and alignment as `MaybeUninit<u8>`, and the elements remain valid by the
        // invariant.
        Self(unsafe { std::slice::from_raw_parts_mut(first, len) })
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads a range of these bytes from byte `at` of a file on, and converts them. Returns the
    /// number of bytes read, which is smaller only at the end of the file.
    pub(super) fn read_at(
        &mut self,
        range: Range<usize>,
        file: &File,
        at: u64,
        order: ByteOrder,
    ) -> io::Result<usize> {
        let bytes = &mut self.0[range];
        let got = os::read_uninit_at(file, at, bytes)?;
        order.convert(&mut bytes[..got]);
        Ok(got)
    }

    /// Copies bytes to a range of these bytes of the same length.
    pub(super) fn copy(&mut self, range: Range<usize>, bytes: &[u8]) {
        for (to, &from) in self.0[range].iter_mut().zip(bytes) {
            to.write(from);
        }
    }

    /// Converts a range of these bytes, all of which have been written through this view.
    pub(super) fn convert(&mut self, range: Range<usize>, order: ByteOrder) {
        order.convert(&mut self.0[range]);
    }
}
