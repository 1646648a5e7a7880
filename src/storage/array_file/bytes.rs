//! The bytes of elements, into which the contents of files are read.
#![allow(unsafe_code, reason = "elements with padding have no safe view of their bytes")]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytemuck::AnyBitPattern;

use crate::storage::os;

/// The bytes of a slice of elements, which can be overwritten but not read: those of padding may be
/// uninitialized.
///
/// Invariant: every method leaves initialized bytes wherever it writes, and writes nowhere else.
/// Elements of which any bytes are valid therefore remain valid.
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

    /// Reads a range of these bytes from byte `at` of a file on, and returns those read, which are
    /// fewer only at the end of the file.
    pub(super) fn read_at(
        &mut self,
        range: Range<usize>,
        file: &File,
        at: u64,
    ) -> io::Result<&mut [u8]> {
        let bytes = &mut self.0[range];
        let len = os::read_uninit_at(file, at, bytes)?;
        let read = &mut bytes[..len];
        // SAFETY: the call has written to the first `len` bytes, so these are initialized; the
        // pointer and the length are those of their borrowed slice.
        Ok(unsafe { std::slice::from_raw_parts_mut(read.as_mut_ptr().cast::<u8>(), read.len()) })
    }

    /// Copies runs of `len` bytes from these offsets of a buffer, one after another from byte
    /// `start` on.
    pub(super) fn gather(
        &mut self,
        start: usize,
        len: usize,
        offsets: impl Iterator<Item = usize>,
        buffer: &[u8],
    ) {
        let target = &mut self.0[start..];
        // Copies of a constant length take one instruction.
        match len {
            1 => gather(target, 1, offsets, buffer),
            2 => gather(target, 2, offsets, buffer),
            4 => gather(target, 4, offsets, buffer),
            8 => gather(target, 8, offsets, buffer),
            16 => gather(target, 16, offsets, buffer),
            _ => gather(target, len, offsets, buffer),
        }
    }
}

#[inline(always)]
fn gather(
    target: &mut [MaybeUninit<u8>],
    len: usize,
    offsets: impl Iterator<Item = usize>,
    buffer: &[u8],
) {
    for (run, offset) in target.chunks_exact_mut(len).zip(offsets) {
        for (to, &from) in run.iter_mut().zip(&buffer[offset..offset + len]) {
            to.write(from);
        }
    }
}
