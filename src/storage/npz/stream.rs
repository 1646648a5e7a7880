//! Decoding of a member.
#![forbid(unsafe_code)]

use std::io::{self, Read};

use bytemuck::AnyBitPattern;
use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, ZipEntry, ZipVerifier};

use super::file::ArchiveFile;
use crate::error::{ErrorKind, Result};
use crate::storage::array_file::ByteOrder;
use crate::storage::npy::{MAGIC, NpyHeader};
use crate::system::ram_bytes_or_max;

/// The length of the buffer through which bytes are copied.
pub(super) const BUFFER_LEN: usize = 64 << 10;

/// The decoded bytes of a member. Reading the last byte checks the length and the checksum.
pub(super) struct Stream<'a> {
    file: &'a ArchiveFile,
    decoder: ZipVerifier<Box<dyn Read + 'a>>,
    /// Bytes that were decoded with the header, and follow it.
    decoded: Vec<u8>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(
        entry: &ZipEntry<'a, ArchiveFile>,
        method: CompressionMethod,
        file: &'a ArchiveFile,
    ) -> Self {
        let decoder: Box<dyn Read + 'a> = match method {
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(entry.reader())),
            _ => Box::new(entry.reader()),
        };
        Self { file, decoder: entry.verifying_reader(decoder), decoded: Vec::new() }
    }

    /// Reads the header at the start of the member.
    pub(super) fn read_header(&mut self) -> Result<NpyHeader> {
        let Self { file, decoder, decoded } = self;
        let read = |at: u64, buffer: &mut [u8]| {
            // Headers are limited to 10,000 bytes.
            let at = at as usize;
            let missing = (at + buffer.len()).saturating_sub(decoded.len());
            let result = decoder.by_ref().take(missing as u64).read_to_end(decoded);
            result.map_err(|error| file.read_error(error))?;
            let available = decoded.get(at..).unwrap_or_default();
            let len = available.len().min(buffer.len());
            buffer[..len].copy_from_slice(&available[..len]);
            Ok(len)
        };
        match NpyHeader::read_with(read, file.path(), 0) {
            Ok(header) => {
                decoded.drain(..decoded.len().min(header.data_offset() as usize));
                Ok(header)
            }
            Err(error) => match error.kind() {
                ErrorKind::InvalidHeader { .. } if !decoded.starts_with(MAGIC) => {
                    let reason = "not an .npy file, which starts with \\x93NUMPY; unpack the \
                                  archive with another program";
                    let kind = ErrorKind::InvalidHeader { position: 0, reason: reason.to_owned() };
                    Err(kind.at(file.path()))
                }
                _ => Err(error),
            },
        }
    }

    /// Reads the elements that follow the header, to the end of the member. Elements have at least
    /// one byte.
    pub(super) fn read_elements<A: AnyBitPattern>(
        self,
        len: usize,
        byte_order: ByteOrder,
    ) -> Result<Vec<A>> {
        let size = size_of::<A>();
        let mut elements = Vec::new();
        let (needed, available) = (len.saturating_mul(size), ram_bytes_or_max());
        if needed > available || elements.try_reserve_exact(len).is_err() {
            let remedy = "copy it to a file with `NpzMember::extract`, and map the file";
            let kind = ErrorKind::InsufficientMemory { needed, available, remedy };
            return Err(kind.at(self.file.path()));
        }
        let file = self.file;
        let mut buffer = vec![0; (BUFFER_LEN / size).clamp(1, len.max(1)) * size];
        let mut reader = io::Cursor::new(self.decoded).chain(self.decoder);
        while elements.len() < len {
            let part = buffer.len().min((len - elements.len()) * size);
            let bytes = &mut buffer[..part];
            reader.read_exact(bytes).map_err(|error| file.read_error(error))?;
            byte_order.convert(bytes);
            elements.extend(bytes.chunks_exact(size).map(bytemuck::pod_read_unaligned::<A>));
        }
        // At the end, the decoder checks that there are no more bytes.
        io::copy(&mut reader, &mut io::sink()).map_err(|error| file.read_error(error))?;
        Ok(elements)
    }

    /// Reads bytes from the start of the member; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.decoder.read(buffer).map_err(|error| self.file.read_error(error))
    }
}
