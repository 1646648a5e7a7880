//! Ranks that fail, end early, disagree, or send malformed messages.

use std::fmt::Debug;
use std::io;
use std::panic::AssertUnwindSafe;

use ndarray::Slice;
use ndarray::prelude::*;

use super::table;
use crate::distributed::{Communicator, ThreadCommunicator, all_ok};
use crate::prelude::*;
use crate::{Accumulator, ErrorKind, Result};

/// Returns the messages of the errors of all ranks.
#[track_caller]
fn errors<R: Debug>(results: Vec<Result<R>>) -> Vec<String> {
    results.into_iter().map(|result| result.unwrap_err().to_string()).collect()
}

#[test]
fn different_operations_and_arrays_are_errors_on_all_ranks() {
    let table = table((3_000, 4));
    let other = Array2::<f64>::zeros((3_000, 5));
    let run = |work: &(dyn Fn(&dyn Communicator) -> Result<f64> + Sync)| {
        let results = ThreadCommunicator::run(3, work);
        for result in &results {
            let kind = result.as_ref().unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::RanksDisagree { rank: 1, .. }), "{kind:?}");
        }
        let errors = errors(results);
        assert!(errors.windows(2).all(|pair| pair[0] == pair[1]));
        errors[0].clone()
    };
    let operation = run(&|world| match world.rank() {
        1 => table.chunked().across(world).max(),
        _ => table.chunked().across(world).mean(),
    });
    assert!(
        operation.contains("`sum` or `mean`") && operation.contains("`min` or `max`"),
        "{operation}"
    );
    let shape = run(&|world| {
        let table = if world.rank() == 1 { &other } else { &table };
        table.chunked().across(world).sum()
    });
    assert!(shape.contains("(3000, 4)") && shape.contains("(3000, 5)"), "{shape}");
    let axis = run(&|world| {
        let axis = Axis(usize::from(world.rank() == 1));
        table.chunked().across(world).sum_axis(axis).map(|sums| sums[0])
    });
    assert!(axis.contains("Axis(0)") && axis.contains("Axis(1)"), "{axis}");
    let nan = run(&|world| {
        let chunked = table.chunked().across(world);
        if world.rank() == 1 { chunked.skipnan().sum() } else { chunked.sum() }
    });
    assert!(nan.contains("without NaN"), "{nan}");
    let order = run(&|world| {
        let square = table.slice_axis(Axis(0), Slice::from(0..4));
        let square = if world.rank() == 1 { square.reversed_axes() } else { square };
        square.chunked().across(world).sum()
    });
    assert!(order.contains("[0, 1]") && order.contains("[1, 0]"), "{order}");
    let element = run(&|world| match world.rank() {
        1 => table.mapv(|x| x as i16).chunked().across(world).mean(),
        _ => table.chunked().across(world).mean(),
    });
    assert!(element.contains("f64") && element.contains("i16"), "{element}");
    let concatenated = run(&|world| match world.rank() {
        1 => table.chunked().concatenate_across(Axis(0), world).mean(),
        _ => table.chunked().across(world).mean(),
    });
    assert!(concatenated.contains("(_, 4)"), "{concatenated}");
}

#[test]
fn failure_of_one_rank_fails_all() {
    let table = table((3_000, 4));
    let limit = errors(ThreadCommunicator::run(3, |world| {
        let weights = Array2::<f64>::zeros((3_000 + world.rank() / 2, 4));
        table.chunked().across(world).weighted_mean(&weights)
    }));
    assert!(limit[2].contains("expected shape"), "{}", limit[2]);
    for rank in 0..2 {
        assert_eq!(limit[rank], format!("rank 2 failed: {}", limit[2]));
    }
    let shared = errors(ThreadCommunicator::run(2, |world| {
        let own = match world.rank() {
            0 => Ok(1),
            _ => Err(ErrorKind::EmptyInput {}.at(None)),
        };
        all_ok(world, own)
    }));
    assert_eq!(shared[0], format!("rank 1 failed: {}", shared[1]));
    assert_eq!(ThreadCommunicator::run(2, |world| all_ok(world, Ok(7)).unwrap()), [7, 7]);
}

#[test]
fn panic_of_one_rank_fails_all() {
    let table = table((3_000, 4));
    let results = ThreadCommunicator::run(3, |world| {
        std::panic::catch_unwind(AssertUnwindSafe(|| {
            let chunked = table.chunked().across(world);
            chunked.count_where(|_| if world.rank() == 1 { panic!("no element") } else { true })
        }))
    });
    assert!(results[1].is_err());
    for rank in [0, 2] {
        let error = results[rank].as_ref().unwrap().as_ref().unwrap_err();
        assert_eq!(error.to_string(), "rank 1 failed: it panicked");
    }
}

#[test]
fn rank_that_ends_early_fails_all() {
    let table = table((3_000, 4));
    let errors = errors(ThreadCommunicator::run(3, |world| {
        table.chunked().across(world).mean()?;
        if world.rank() == 1 {
            return Err::<f64, _>(ErrorKind::EmptyInput {}.at(None));
        }
        table.chunked().across(world).mean()
    }));
    for rank in [0, 2] {
        assert!(errors[rank].contains("rank 1 has ended"), "{}", errors[rank]);
    }
}

#[test]
fn accumulators_without_state_are_refused() {
    #[derive(Debug)]
    struct Count(usize);

    impl Accumulator<f64> for Count {
        fn push(&mut self, _: &f64) {
            self.0 += 1;
        }

        fn merge(&mut self, other: Self) {
            self.0 += other.0;
        }
    }

    let table = table((3_000, 4));
    for error in errors(ThreadCommunicator::run(2, |world| {
        table.chunked().across(world).accumulate(|| Count(0))
    })) {
        assert!(error.contains("`write_state`"), "{error}");
    }
    for error in errors(ThreadCommunicator::run(2, |world| {
        table.chunked().across(world).argwhere(1, |_| true)
    })) {
        assert!(error.contains("`argwhere`"), "{error}");
    }
}

#[test]
fn malformed_messages_are_errors() {
    /// Returns wrong messages.
    struct Faulty(Vec<Vec<u8>>);

    impl Communicator for Faulty {
        fn rank(&self) -> usize {
            0
        }

        fn size(&self) -> usize {
            2
        }

        fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
            Ok([&[message.to_vec()], &self.0[..]].concat())
        }
    }

    let values = array![1.0, 2.0];
    for others in [vec![], vec![vec![]], vec![vec![9; 30]], vec![vec![1]], vec![vec![1; 3], vec![]]]
    {
        let error = values.chunked().across(&Faulty(others)).sum().unwrap_err();
        assert!(error.io_error().is_some(), "{error}");
    }
}
