//! The conversion of the bytes in a file to the bytes of elements.
#![forbid(unsafe_code)]

/// The byte order of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// The native one: the bytes are those of the elements.
    Native,
    /// The other one, for numbers of this many bytes: 2, 4, 8 or 16.
    Swapped { width: usize },
}

impl ByteOrder {
    /// Converts whole elements between the file and memory, in either direction.
    pub(super) fn convert<B: Copy>(self, bytes: &mut [B]) {
        match self {
            Self::Native => {}
            Self::Swapped { width: 2 } => swap::<B, 2>(bytes),
            Self::Swapped { width: 4 } => swap::<B, 4>(bytes),
            Self::Swapped { width: 8 } => swap::<B, 8>(bytes),
            Self::Swapped { width } => bytes.chunks_exact_mut(width).for_each(<[B]>::reverse),
        }
    }
}

/// Reverses the bytes of each number.
fn swap<B: Copy, const WIDTH: usize>(bytes: &mut [B]) {
    for number in bytes.as_chunks_mut::<WIDTH>().0 {
        number.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_each_number_are_reversed() {
        let bytes: Vec<u8> = (0..48).collect();
        for width in [1, 2, 3, 4, 8, 16] {
            let mut swapped = bytes.clone();
            ByteOrder::Swapped { width }.convert(&mut swapped);
            for (index, &byte) in swapped.iter().enumerate() {
                let number = index / width * width;
                assert_eq!(usize::from(byte), number + width - 1 - index % width, "{width}");
            }
            ByteOrder::Swapped { width }.convert(&mut swapped);
            assert_eq!(swapped, bytes);
        }
        let mut native = bytes.clone();
        ByteOrder::Native.convert(&mut native);
        assert_eq!(native, bytes);
    }
}
