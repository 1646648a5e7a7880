//! Abbreviation of long lists in debug output.
#![forbid(unsafe_code)]

use std::fmt::{self, Debug};

/// Formats the first and last few items of a list on one line, and the number of items omitted
/// between them.
pub(super) struct Abbreviated<'a, T>(pub(super) &'a [T]);

/// The number of items shown at either end.
const SHOWN: usize = 3;

impl<T: Debug> Debug for Abbreviated<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(items) = self;
        if items.len() <= 2 * SHOWN + 1 {
            return write!(f, "{items:?}");
        }
        let first = &items[..SHOWN];
        let last = &items[items.len() - SHOWN..];
        f.write_str("[")?;
        first.iter().try_for_each(|item| write!(f, "{item:?}, "))?;
        write!(f, "... {} more ...", items.len() - 2 * SHOWN)?;
        last.iter().try_for_each(|item| write!(f, ", {item:?}"))?;
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_abbreviated() {
        let numbers: Vec<_> = (0..10).collect();
        let shown = |count: usize| format!("{:?}", Abbreviated(&numbers[..count]));
        assert_eq!(shown(0), "[]");
        assert_eq!(shown(7), "[0, 1, 2, 3, 4, 5, 6]");
        assert_eq!(shown(8), "[0, 1, 2, ... 2 more ..., 5, 6, 7]");
        assert_eq!(format!("{:#?}", Abbreviated(&numbers)), "[0, 1, 2, ... 4 more ..., 7, 8, 9]");
    }
}
