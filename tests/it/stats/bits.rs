//! The same bits for any number of threads, any chunks and any memory, for every statistic.

use ndarray::prelude::*;
use ndarray_mmap::{MmapArrayMut, prelude::*};

use super::all::all;
use super::noise;

#[test]
fn bits_do_not_depend_on_threads_chunks_or_limit() {
    // Rows of 23 KiB: several segments of rows, and more pages than the minimum limit has room for.
    // Once with NaNs, which are skipped.
    let mut data = MmapArrayMut::<f64, _>::scratch((700, 3_001)).unwrap();
    let mut noise = noise(3);
    data.iter_mut().for_each(|x| *x = noise() * 10.0);
    let mut holes = data.to_owned();
    holes.iter_mut().step_by(997).for_each(|x| *x = f64::NAN);
    // Enough of each for several stretches of observations.
    let long = Array2::from_shape_simple_fn((30, 20_000), || noise() - 0.3);
    let tall = Array2::from_shape_fn((20_000, 9), |(i, j)| long[[j, i]]);
    let mut deep = MmapArrayMut::<f64, _>::scratch((9_000, 600)).unwrap();
    deep.iter_mut().for_each(|x| *x = noise() * 10.0);
    let views = [
        data.slice(s![..60, ..]),
        data.t().slice_move(s![..50, ..]),
        data.slice(s![..;-7, ..;3]),
        holes.slice(s![..90, ..]),
        long.view(),
        tall.t(),
        // A column and two, whose blocks touch more pages than there is room for.
        deep.slice(s![.., 7..8]).reversed_axes(),
        deep.slice(s![..;-1, 3..5]).reversed_axes(),
    ];
    for view in views {
        let weights = view.mapv(|x| (x * 3.0).floor());
        let expected = all(|| view.chunked().skipnan(), &weights).unwrap();
        for (memory, threads, chunk) in [
            (usize::MAX, 2, 1),
            (64 << 20, 7, 100),
            (16 << 20, 1, 3_000),
            (8 << 20, 2, 1),
            (8 << 20, 7, 3_000),
        ] {
            let run = || {
                all(|| view.chunked().memory_limit(memory).chunk_len(chunk).skipnan(), &weights)
                    .unwrap()
            };
            #[cfg(feature = "rayon")]
            let found =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
            #[cfg(not(feature = "rayon"))]
            let found = (threads, run()).1;
            let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(&expected));
        }
    }
}

/// Returns a digest of all statistics of a table that need all digits.
fn digest() -> String {
    let mut noise = noise(5);
    let table = Array2::from_shape_simple_fn((200, 300), || 17.0 + noise().powi(3));
    digest_of(table.view())
}

fn digest_of(table: ArrayView2<'_, f64>) -> String {
    let weights = table.mapv(|x| (x * 3.0).floor());
    let numbers = all(|| table.chunked(), &weights).unwrap();
    numbers
        .iter()
        .fold(0_u64, |digest, x| (digest ^ x.to_bits()).wrapping_mul(0x0100_0000_01b3))
        .to_string()
}

/// The digests were taken before the code was divided into layers.
#[test]
fn bits_do_not_change_with_the_structure_of_the_code() {
    let mut noise = noise(7);
    let table = Array2::from_shape_simple_fn((20_000, 9), || 17.0 + noise().powi(3));
    let found = [table.view(), table.t(), table.slice(s![..;-3, 2..7])].map(digest_of);
    assert_eq!(digest(), "16813676231376999665");
    assert_eq!(found, ["13306746013857242213", "12211558507023326145", "2561566088060864309"]);
}

/// With and without fused multiplication, glibc's functions of floats (`pow`, `exp`, ...) differ in their last bits.
#[test]
fn bits_do_not_depend_on_the_c_library() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["stats::bits::child_prints_digest", "--exact", "--ignored", "--nocapture"])
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2,-AVX2_Usable,-FMA_Usable")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let expected = format!("digest {}", digest());
    assert!(output.status.success() && printed.contains(&expected), "not {expected}:\n{printed}");
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_prints_digest() {
    println!("digest {}", digest());
}
