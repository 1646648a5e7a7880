//! A custom extension trait for `ArrayRef`, which works on arrays in memory, on views, and on mapped
//! arrays of every mode.

use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

/// Root mean square and normalization.
trait RootMeanSquare {
    /// Returns the root mean square; `None` for an empty array.
    fn rms(&self) -> Option<f64>;
    /// Divides by the root mean square unless it is 0 or the array is empty.
    fn normalize(&mut self);
}

impl<D: Dimension> RootMeanSquare for ArrayRef<f64, D> {
    fn rms(&self) -> Option<f64> {
        let sum = self.fold(0.0, |sum, x| sum + x * x);
        (!self.is_empty()).then(|| (sum / self.len() as f64).sqrt())
    }

    fn normalize(&mut self) {
        if let Some(rms) = self.rms().filter(|&rms| rms != 0.0) {
            self.mapv_inplace(|x| x / rms);
        }
    }
}

/// Prints the root mean square of any array. `ArrayRef` is not `Sized`, hence the bound `?Sized`.
fn report(name: &str, array: &(impl RootMeanSquare + ?Sized)) {
    println!("{name}: {:.6?}", array.rms());
}

fn main() -> Result<(), ndarray_mmap::Error> {
    let memory = Array2::from_shape_fn((1_000, 8), |(i, j)| ((i * 8 + j) as f64).sin());
    let mut mapped = memory.to_scratch()?; // on disk, in an unlinked file
    report("in memory", &*memory);
    report("mapped", &*mapped);
    report("one column", &*mapped.column(3));
    mapped.normalize();
    report("normalized", &*mapped);
    Ok(())
}
