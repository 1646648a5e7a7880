//! What elements are pushed into.
#![forbid(unsafe_code)]

/// Something that elements are pushed into one after the other, and that can be merged with another one of its kind.
///
/// Partial results of several walks, files or machines are merged with [`merge`](Self::merge).
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
///     type Output = f64;
///
///     fn push(&mut self, &x: &f64) {
///         self.0 += x.ln();
///     }
///
///     fn merge(&mut self, later: Self) {
///         self.0 += later.0;
///     }
///
///     fn finish(self) -> f64 {
///         self.0
///     }
/// }
///
/// let table = Array2::from_elem((100, 100), 1.0_f64.exp());
/// let sum = table.chunked().accumulate(LogSum::default)?;
/// assert_eq!(sum.finish(), 10_000.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
pub trait Accumulator<A>: Sized {
    /// The result.
    type Output;

    /// Whether the result is the same, to the last bit, in whatever order the elements come and however they are divided
    /// among accumulators that are merged: as with counts, sums of integers, and sets. `false` unless set.
    ///
    /// [`accumulate`](crate::Chunked::accumulate) then makes one accumulator for each thread, instead of one for each block of
    /// 64 KiB. Set it for accumulators of more than a few KiB, which are made and merged more slowly than a block is read. What
    /// makes them must make empty ones, as their number depends on the number of threads.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{Accumulator, prelude::*};
    ///
    /// /// How often each value occurs.
    /// struct Counts(Vec<u64>);
    ///
    /// impl Accumulator<u16> for Counts {
    ///     type Output = Vec<u64>;
    ///     const IS_ORDER_INDEPENDENT: bool = true;
    ///
    ///     fn push(&mut self, &value: &u16) {
    ///         self.0[usize::from(value)] += 1;
    ///     }
    ///
    ///     fn merge(&mut self, other: Self) {
    ///         self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    ///     }
    ///
    ///     fn finish(self) -> Vec<u64> {
    ///         self.0
    ///     }
    /// }
    ///
    /// let image = Array2::from_shape_fn((200, 300), |(i, j)| (i * j) as u16);
    /// let counts = image.chunked().accumulate(|| Counts(vec![0; 1 << 16]))?.finish();
    /// assert_eq!((counts[0], counts.iter().sum()), (499, 60_000));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    const IS_ORDER_INDEPENDENT: bool = false;

    /// Takes one element.
    fn push(&mut self, element: &A);

    /// Takes several, in their order. The same as pushing them one by one, unless it is made faster.
    fn push_slice(&mut self, elements: &[A]) {
        elements.iter().for_each(|element| self.push(element));
    }

    /// Takes rows of elements: the first of each row for the first accumulator, and so on; as with the columns of a table.
    /// The same as pushing them one by one, row after row, unless it is made faster; it is called with as many rows at a time
    /// as there is memory for, so that what an accumulator makes of them must not depend on that.
    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        for (number, lane) in lanes.iter_mut().enumerate() {
            rows.iter().for_each(|row| lane.push(&row[number]));
        }
    }

    /// Takes what another one has taken, of elements that come later.
    fn merge(&mut self, later: Self);

    /// The result of all elements taken.
    fn finish(self) -> Self::Output;
}

macro_rules! tuples {
    ($($($name:ident $index:tt)+;)*) => {$(
        /// Several accumulators in one pass.
        impl<Element, $($name: Accumulator<Element>),+> Accumulator<Element> for ($($name,)+) {
            type Output = ($($name::Output,)+);
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

            fn merge(&mut self, later: Self) {
                $(self.$index.merge(later.$index);)+
            }

            fn finish(self) -> Self::Output {
                ($(self.$index.finish(),)+)
            }
        }
    )*};
}
tuples! { A 0; A 0 B 1; A 0 B 1 C 2; A 0 B 1 C 2 D 3; A 0 B 1 C 2 D 3 E 4; A 0 B 1 C 2 D 3 E 4 F 5; }
