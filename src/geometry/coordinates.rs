//! Indices into arrays of any number of axes.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};

/// The number of axes up to which coordinates are stored inline.
const INLINE_AXES: usize = 4;

/// One index for each axis, as a slice. Up to four are stored without an allocation.
///
/// `IxDyn` does the same, but its methods are not inlined. An iterator over small chunks would
/// spend most of its time in them.
#[derive(Clone)]
pub(crate) struct Coordinates(Storage);

#[derive(Clone)]
enum Storage {
    Inline { len: u32, values: [usize; INLINE_AXES] },
    Allocated(Box<[usize]>),
}

impl Coordinates {
    #[inline]
    pub(crate) fn zeros(len: usize) -> Self {
        if len <= INLINE_AXES {
            Self(Storage::Inline { len: len as u32, values: [0; INLINE_AXES] })
        } else {
            Self(Storage::Allocated(vec![0; len].into()))
        }
    }
}

impl From<&[usize]> for Coordinates {
    #[inline]
    fn from(values: &[usize]) -> Self {
        let mut coordinates = Self::zeros(values.len());
        coordinates.copy_from_slice(values);
        coordinates
    }
}

impl Deref for Coordinates {
    type Target = [usize];

    #[inline]
    fn deref(&self) -> &[usize] {
        match &self.0 {
            Storage::Inline { len, values } => &values[..*len as usize],
            Storage::Allocated(values) => values,
        }
    }
}

impl DerefMut for Coordinates {
    #[inline]
    fn deref_mut(&mut self) -> &mut [usize] {
        match &mut self.0 {
            Storage::Inline { len, values } => &mut values[..*len as usize],
            Storage::Allocated(values) => values,
        }
    }
}

impl PartialEq for Coordinates {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Coordinates {}

impl fmt::Debug for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_the_slice_they_were_created_from() {
        for len in 0..8 {
            let values: Vec<usize> = (5..5 + len).collect();
            let mut coordinates = Coordinates::from(&values[..]);
            assert_eq!(*coordinates, *values);
            assert_eq!(coordinates.clone(), coordinates);
            coordinates.iter_mut().for_each(|value| *value = 0);
            assert_eq!(coordinates, Coordinates::zeros(len));
            assert_eq!(format!("{coordinates:?}"), format!("{:?}", vec![0; len]));
        }
    }
}
