//! The measured operations.

use ndarray::prelude::*;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{Chunked, MmapArray, MmapArrayMut, Result, prelude::*};

use super::bare::read;

pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Table) -> Result<f64>,
}

/// The input of an operation, and its memory limit.
pub(crate) struct Table {
    pub(crate) file: MmapArray<f64, Ix2>,
    pub(crate) memory: Option<usize>,
    /// Path of the file that an operation creates.
    pub(crate) target: String,
}

pub(crate) const OPERATIONS: &[Operation] = &[
    of("read", |table| Ok(read(table.file.as_slice().expect("C order")) as f64)),
    of("sum", |table| table.chunked().sum()),
    of("mean", |table| table.chunked().mean()),
    of("min", |table| table.chunked().min()),
    of("max", |table| table.chunked().max()),
    of("std", |table| table.chunked().std(0.0)),
    of("var", |table| table.chunked().var(0.0)),
    of("summary", |table| Ok(table.chunked().summary()?.std)),
    of("mean_axis0", |table| Ok(table.chunked().mean_axis(Axis(0))?[0])),
    of("mean_axis1", |table| Ok(table.chunked().mean_axis(Axis(1))?[0])),
    of("std_axis0", |table| Ok(table.chunked().std_axis(Axis(0), 0.0)?[0])),
    of("std_axis1", |table| Ok(table.chunked().std_axis(Axis(1), 0.0)?[0])),
    of("median", |table| table.chunked().quantile(0.5, Linear)),
    of("quantiles5", |table| {
        Ok(table.chunked().quantiles(&[0.01, 0.25, 0.5, 0.75, 0.99], Linear)?[4])
    }),
    of("quantiles10000", |table| {
        let fractions: Vec<_> = (0..10_000).map(|part| (f64::from(part) + 0.5) / 1e4).collect();
        Ok(table.chunked().quantiles(&fractions, Linear)?[9_900])
    }),
    of("median_axis0", |table| Ok(table.chunked().quantile_axis(Axis(0), 0.5, Linear)?[0])),
    of("median_axis1", |table| Ok(table.chunked().quantile_axis(Axis(1), 0.5, Linear)?[0])),
    of("histogram100", |table| Ok(table.chunked().histogram(100)?.counts()[50] as f64)),
    of("corrcoef64", |table| {
        let rows = table.file.slice(s![..64.min(table.file.nrows()), ..]);
        Ok(table.within(rows.chunked()).pearson_correlation()?[[0, 1]])
    }),
    of("argmin", |table| {
        let (row, column) = table.chunked().argmin()?;
        Ok((row * table.file.ncols() + column) as f64)
    }),
    of("map", |table| {
        // SAFETY: the script alone uses the directory.
        let mut out = unsafe { MmapArrayMut::create(&table.target, table.file.raw_dim()) }?;
        table.chunked().map_into(&mut out, |&x| (x * 9.0 / 5.0 + 32.0) * 1.02)?;
        Ok(out.last().copied().unwrap_or(0.0))
    }),
    of("transpose", |table| {
        let columns = table.file.t();
        // SAFETY: as above.
        let mut out = unsafe { MmapArrayMut::create(&table.target, columns.raw_dim()) }?;
        table.within(columns.chunked()).copy_into(&mut out)?;
        Ok(out[[1, 0]])
    }),
    // A tenth of all rows of 1 KiB, in an arbitrary order.
    of("take_rows", |table| {
        let elements = table.file.as_slice().expect("C order");
        let rows = elements.len() / 128;
        let all = ArrayView2::from_shape((rows, 128), &elements[..rows * 128]).expect("rows");
        let indices: Vec<_> = (0..rows / 10).map(|i| i * 2_654_435_761 % rows).collect();
        // SAFETY: as above.
        let mut out = unsafe { MmapArrayMut::create(&table.target, (indices.len(), 128)) }?;
        table.within(all.chunked()).select(Axis(0), &indices)?.copy_into(&mut out)?;
        Ok(out.last().copied().unwrap_or(0.0))
    }),
];

const fn of(name: &'static str, run: fn(&Table) -> Result<f64>) -> Operation {
    Operation { name, run }
}

impl Table {
    fn chunked(&self) -> Chunked<'_, ArrayView2<'_, f64>> {
        self.within(self.file.chunked())
    }

    fn within<'t>(
        &self,
        chunked: Chunked<'t, ArrayView2<'t, f64>>,
    ) -> Chunked<'t, ArrayView2<'t, f64>> {
        match self.memory {
            Some(bytes) => chunked.memory_limit(bytes),
            None => chunked,
        }
    }
}
