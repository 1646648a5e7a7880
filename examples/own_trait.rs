//! An extension trait of one's own, written once for `ArrayRef`: it works on arrays in memory, on views, and on mapped
//! arrays of every mode.

use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

/// The root mean square, and scaling to it.
trait RootMeanSquare {
    /// The root of the mean of the squares; `None` without elements.
    fn rms(&self) -> Option<f64>;
    /// Divides by the root mean square, if there is one and it is not 0.
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

/// Takes either kind of array. Both stand behind a dereference, as values without a known size: hence `?Sized`.
fn report(name: &str, array: &(impl RootMeanSquare + ?Sized)) {
    println!("{name}: {:.6?}", array.rms());
}

fn main() -> Result<(), ndarray_mmap::Error> {
    let memory = Array2::from_shape_fn((1_000, 8), |(i, j)| ((i * 8 + j) as f64).sin());
    let mut mapped = memory.to_scratch()?; // on disk, without a name
    report("in memory", &*memory);
    report("mapped", &*mapped);
    report("one column", &*mapped.column(3));
    mapped.normalize();
    report("normalized", &*mapped);
    Ok(())
}
