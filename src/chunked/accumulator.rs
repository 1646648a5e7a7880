//! The trait `Accumulator`: a statistic that can be computed in parts and merged.
#![forbid(unsafe_code)]

#[allow(unused_imports, reason = "for links in the docs")]
use super::lazy::PIECE_LEN;
use crate::error::{ErrorKind, Result};

/// A statistic that is computed from elements one by one, and can be merged with that of other
/// elements.
///
/// [`accumulate`](crate::Chunked::accumulate) computes one from all elements of an array, on all
/// threads. [`merge`](Self::merge) combines partial results of several arrays, files or machines.
/// [`stats`](crate::stats) provides accumulators for common statistics. A tuple of up to six
/// accumulators is an accumulator that computes all of them in one pass.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Accumulator, prelude::*};
///
/// /// The sum of the logarithms.
/// #[derive(Default)]
/// struct LogSum(f64);
///
/// impl Accumulator<f64> for LogSum {
///     fn push(&mut self, &x: &f64) {
///         self.0 += x.ln();
///     }
///
///     fn merge(&mut self, other: Self) {
///         self.0 += other.0;
///     }
/// }
///
/// let table = Array2::from_elem((100, 100), 1.0_f64.exp());
/// let sum = table.chunked().accumulate(LogSum::default)?;
/// assert_eq!(sum.0, 10_000.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not accumulate elements of type `{A}`",
    note = "the closure given to `accumulate` must return an `Accumulator` of the element type, or a tuple of them"
)]
pub trait Accumulator<A>: Sized {
    /// Whether the result is bitwise identical for every order of the elements and every division
    /// of them among accumulators that are merged, as it is for counts, sums of integers, and sets.
    /// The default is `false`.
    ///
    /// If `true`, [`accumulate`](crate::Chunked::accumulate) creates one accumulator for each
    /// thread instead of one for each block of 64 KiB. Set it for accumulators larger than a few
    /// KiB, because merging them takes longer than reading a block. The closure that creates them
    /// must return empty accumulators, because their number depends on the number of threads.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{Accumulator, prelude::*};
    ///
    /// /// How often each value occurs.
    /// struct Counts(Vec<u64>);
    ///
    /// impl Accumulator<u16> for Counts {
    ///     const IS_ORDER_INDEPENDENT: bool = true;
    ///
    ///     fn push(&mut self, &value: &u16) {
    ///         self.0[usize::from(value)] += 1;
    ///     }
    ///
    ///     fn merge(&mut self, other: Self) {
    ///         self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    ///     }
    /// }
    ///
    /// let image = Array2::from_shape_fn((200, 300), |(i, j)| (i * j) as u16);
    /// let counts = image.chunked().accumulate(|| Counts(vec![0; 1 << 16]))?.0;
    /// assert_eq!((counts[0], counts.iter().sum()), (499, 60_000));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    const IS_ORDER_INDEPENDENT: bool = false;

    /// Adds one element.
    fn push(&mut self, element: &A);

    /// Adds several elements in order. The result must equal that of calling [`push`](Self::push)
    /// for each element. Override this method for speed.
    fn push_slice(&mut self, elements: &[A]) {
        elements.iter().for_each(|element| self.push(element));
    }

    /// Adds rows of elements to one accumulator per column: element `i` of each row to accumulator
    /// `i`.
    ///
    /// The result must equal that of calling [`push`](Self::push) for each element. Override this
    /// method for speed. The number of rows in a call depends on the memory limit, so the result
    /// must not depend on it.
    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        for (i, lane) in lanes.iter_mut().enumerate() {
            rows.iter().for_each(|row| lane.push(&row[i]));
        }
    }

    /// Adds the elements of a block, as [`push_slice`](Self::push_slice) adds all of them at once.
    #[doc(hidden)]
    fn push_block(&mut self, block: &dyn BlockElements<A>) -> Result<()> {
        block.with_all(&mut |elements| self.push_slice(elements))
    }

    /// Adds the elements of `other`, which come after those of `self`.
    fn merge(&mut self, other: Self);

    /// Appends the state to a message for other ranks of an operation
    /// [across ranks](crate::Chunked::across), to a [checkpoint](crate::Chunked::checkpoint) or to
    /// a [part of a job](crate::Chunked::job_part). Only such operations require this method and
    /// [`read_state`](Self::read_state).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{Accumulator, Result, distributed::ThreadCommunicator, prelude::*};
    ///
    /// /// The product of all elements.
    /// struct Product(f64);
    ///
    /// impl Accumulator<f64> for Product {
    ///     fn push(&mut self, &x: &f64) {
    ///         self.0 *= x;
    ///     }
    ///
    ///     fn merge(&mut self, other: Self) {
    ///         self.0 *= other.0;
    ///     }
    ///
    ///     fn write_state(&self, bytes: &mut Vec<u8>) -> Result<()> {
    ///         bytes.extend(self.0.to_le_bytes());
    ///         Ok(())
    ///     }
    ///
    ///     fn read_state(bytes: &mut &[u8]) -> Option<Self> {
    ///         let (state, rest) = bytes.split_first_chunk()?;
    ///         *bytes = rest;
    ///         Some(Self(f64::from_le_bytes(*state)))
    ///     }
    /// }
    ///
    /// let table = Array1::from_elem(20_000, 2.0_f64.powf(0.001));
    /// let products = ThreadCommunicator::run(2, |world| {
    ///     table.chunked().across(world).accumulate(|| Product(1.0))
    /// });
    /// let whole = table.chunked().accumulate(|| Product(1.0))?;
    /// assert!(products.into_iter().all(|product| product.is_ok_and(|x| x.0 == whole.0)));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The default implementation returns
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    fn write_state(&self, bytes: &mut Vec<u8>) -> Result<()> {
        let _ = bytes;
        let reason = "the accumulator cannot be sent to other ranks or saved; implement \
                      `write_state` and `read_state`";
        Err(ErrorKind::Unsupported { reason: reason.into() }.at(None))
    }

    /// Removes a state from the front of a message; `None` if it is malformed. The
    /// [example](Self::write_state) implements both methods.
    fn read_state(bytes: &mut &[u8]) -> Option<Self> {
        let _ = bytes;
        None
    }
}

/// The elements of a block, which may be computed again at each call.
#[doc(hidden)]
pub trait BlockElements<A> {
    /// Calls a closure once with all elements.
    ///
    /// # Errors
    ///
    /// Returns the error of the source if elements cannot be read.
    fn with_all(&self, work: &mut dyn FnMut(&[A])) -> Result<()>;

    /// Calls a closure with the elements in memory order. If they are computed, slices have
    /// [`PIECE_LEN`] elements, of which only the last may be shorter.
    ///
    /// # Errors
    ///
    /// Returns the error of the source if elements cannot be read.
    fn for_each_piece(&self, work: &mut dyn FnMut(&[A])) -> Result<()>;
}

macro_rules! tuples {
    ($($($name:ident $index:tt)+;)*) => {$(
        /// Pushes each element into all accumulators, in one pass.
        impl<Element, $($name: Accumulator<Element>),+> Accumulator<Element> for ($($name,)+) {
            const IS_ORDER_INDEPENDENT: bool = $($name::IS_ORDER_INDEPENDENT)&&+;

            #[inline]
            fn push(&mut self, element: &Element) {
                $(self.$index.push(element);)+
            }

            fn push_slice(&mut self, elements: &[Element]) {
                $(self.$index.push_slice(elements);)+
            }

            fn push_rows(lanes: &mut [&mut Self], rows: &[&[Element]]) {
                $($name::push_rows(&mut lanes.iter_mut().map(|lane| &mut lane.$index).collect::<Vec<_>>(), rows);)+
            }

            fn merge(&mut self, other: Self) {
                $(self.$index.merge(other.$index);)+
            }

            fn write_state(&self, bytes: &mut Vec<u8>) -> Result<()> {
                $(self.$index.write_state(bytes)?;)+
                Ok(())
            }

            fn read_state(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($name::read_state(bytes)?,)+))
            }
        }
    )*};
}
tuples! { A 0; A 0 B 1; A 0 B 1 C 2; A 0 B 1 C 2 D 3; A 0 B 1 C 2 D 3 E 4; A 0 B 1 C 2 D 3 E 4 F 5; }
