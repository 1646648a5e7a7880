//! Raw files: modes, shapes, orders, offsets, rows.

use std::fs;

use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::{Advice, ErrorKind, MmapArrayOptions, Order};

use crate::support::*;

#[test]
fn every_mode_reads_the_same_elements() {
    let dir = dir();
    let path = counting(&dir, 0, 24);
    for mode in MODES {
        look_raw::<f64, _>(&MmapArrayOptions::new(), mode, &path, (2, 3, 4), |view| {
            assert_eq!(
                view,
                Array::range(0.0, 24.0, 1.0).into_shape_with_order((2, 3, 4)).unwrap()
            );
        })
        .unwrap();
    }
}

#[test]
fn every_ndarray_shape_type_is_accepted() {
    let dir = dir();
    let path = counting(&dir, 0, 24);
    assert_eq!(read::<f64, _>(&path, 24).unwrap()[23], 23.0);
    assert_eq!(read::<f64, _>(&path, [4, 6]).unwrap()[[3, 5]], 23.0);
    assert_eq!(read::<f64, _>(&path, IxDyn(&[2, 2, 2, 3])).unwrap()[[1, 1, 1, 2]], 23.0);
    assert_eq!(read::<f64, _>(&path, (1, 2, 3, 4, 1, 1)).unwrap()[[0, 1, 2, 3, 0, 0]], 23.0);
    assert_eq!(read::<f64, _>(&path, ()).unwrap()[()], 0.0);
    let zeros: Array2<f64> = Array2::zeros((4, 6));
    assert_eq!(read::<f64, _>(&path, zeros.raw_dim()).unwrap().dim(), (4, 6));
}

#[test]
fn fortran_order_is_column_major() {
    let dir = dir();
    let path = counting(&dir, 0, 6);
    let array = read::<f64, _>(&path, (2, 3).f()).unwrap();
    assert_eq!(array, array![[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]);
    assert_eq!((array.layout().order(), array.strides()), (Order::F, &[1, 2][..]));
}

#[test]
fn offsets_need_not_be_multiples_of_pages() {
    let dir = dir();
    for offset in [8, 512, 4096, 4104, 3 * 4096 + 16] {
        let path = counting(&dir, offset, 1000);
        for mode in MODES {
            look_raw::<f64, _>(
                &MmapArrayOptions::new().offset(offset as u64),
                mode,
                &path,
                1000,
                |view| {
                    assert_eq!(view.sum(), 499_500.0, "offset {offset}");
                },
            )
            .unwrap();
        }
    }
}

#[test]
fn file_may_be_longer_but_not_shorter_than_array() {
    let dir = dir();
    let path = counting(&dir, 16, 10);
    let before = fs::read(&path).unwrap();
    for mode in MODES {
        let open = |len, offset| {
            look_raw::<f64, _>(&MmapArrayOptions::new().offset(offset), mode, &path, len, |_| {})
        };
        open(9, 16).unwrap();
        open(10, 16).unwrap();
        open(0, 96).unwrap();
        refused(open(11, 16), &path, |kind| {
            matches!(kind, ErrorKind::TooShort { needed: 88, found: 96, .. })
        });
        refused(open(1, 96), &path, |kind| {
            matches!(kind, ErrorKind::TooShort { needed: 8, offset: 96, .. })
        });
        refused(open(0, 104), &path, |kind| {
            matches!(kind, ErrorKind::TooShort { needed: 0, found: 96, .. })
        });
        refused(open(1, 1 << 40), &path, |kind| matches!(kind, ErrorKind::TooShort { .. }));
        refused(open(1, u64::MAX - 7), &path, |kind| matches!(kind, ErrorKind::TooLarge { .. }));
        refused(open(usize::MAX, 0), &path, |kind| matches!(kind, ErrorKind::TooLarge { .. }));
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn misaligned_offsets_are_errors() {
    let dir = dir();
    let path = counting(&dir, 64, 10);
    for offset in 0..64 {
        let options = MmapArrayOptions::new().offset(offset);
        for mode in MODES {
            let result = look_raw::<f64, _>(&options, mode, &path, 1, |_| {});
            assert_eq!(result.is_ok(), offset % align_of::<f64>() as u64 == 0, "{offset}");
            let result = look_raw::<u16, _>(&options, mode, &path, 1, |_| {});
            assert_eq!(result.is_ok(), offset % 2 == 0, "{offset}");
            look_raw::<[u8; 8], _>(&options, mode, &path, 1, |_| {}).unwrap();
        }
    }
    let error = read_with::<f64, _>(&MmapArrayOptions::new().offset(3), &path, 1).unwrap_err();
    let expected = format!(
        "misaligned data: f64 needs {}-byte alignment, but the array starts at 3 (3 bytes past a \
         multiple)",
        align_of::<f64>()
    );
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn arrays_of_zero_size_or_zero_dimensions_open() {
    let dir = dir();
    let empty = dir.path().join("empty.raw");
    fs::write(&empty, []).unwrap();
    let one = counting(&dir, 0, 1);
    for mode in MODES {
        let options = MmapArrayOptions::new();
        look_raw::<f64, _>(&options, mode, &empty, 0, |view| assert_eq!(view.len(), 0)).unwrap();
        look_raw::<f64, _>(&options, mode, &empty, (0, 5), |view| assert_eq!(view.sum(), 0.0))
            .unwrap();
        look_raw::<f64, _>(&options, mode, &empty, (5, 0, 3), |view| {
            assert_eq!(view.dim(), (5, 0, 3))
        })
        .unwrap();
        look_raw::<f64, _>(&options, mode, &empty, (5, 0).f(), |view| assert!(view.is_empty()))
            .unwrap();
        look_raw::<f64, _>(&options, mode, &empty, IxDyn(&[0; 10]), |view| {
            assert_eq!(view.ndim(), 10)
        })
        .unwrap();
        look_raw::<f64, _>(&options, mode, &one, (), |view| assert_eq!(view.sum(), 0.0)).unwrap();
        look_raw::<f64, _>(&options, mode, &one, IxDyn(&[]), |view| assert_eq!(view.len(), 1))
            .unwrap();
        refused(look_raw::<f64, _>(&options, mode, &empty, (), |_| {}), &empty, |kind| {
            matches!(kind, ErrorKind::TooShort { needed: 8, found: 0, .. })
        });
    }
    assert_eq!(fs::metadata(&empty).unwrap().len(), 0);
}

#[test]
fn open_rows_infers_the_row_count() {
    let dir = dir();
    let path = counting(&dir, 0, 12);
    let rows = |options: &MmapArrayOptions| rows_with::<f64, Ix2>(options, &path, 5);
    let plain = MmapArrayOptions::new();
    assert_eq!(rows_with::<f64, Ix2>(&plain, &path, 4).unwrap().dim(), (3, 4));
    assert_eq!(rows_with::<f64, Ix1>(&plain, &path, ()).unwrap().len(), 12);
    assert_eq!(rows_with::<f64, Ix3>(&plain, &path, (2, 3)).unwrap()[[1, 1, 2]], 11.0);
    assert_eq!(rows_with::<f64, IxDyn>(&plain, &path, IxDyn(&[6])).unwrap().shape(), [2, 6]);
    assert_eq!(rows(&MmapArrayOptions::new().trailing_bytes(true)).unwrap().dim(), (2, 5));
    refused(rows(&plain), &path, |kind| {
        matches!(kind, ErrorKind::PartialRow { row_bytes: 40, found: 96, .. })
    });
    refused(rows_with::<f64, Ix2>(&plain, &path, 0), &path, |kind| {
        matches!(kind, ErrorKind::PartialRow { row_bytes: 0, .. })
    });
    refused(rows_with::<f64, Ix2>(&MmapArrayOptions::new().offset(104), &path, 1), &path, |kind| {
        matches!(kind, ErrorKind::PartialRow { row_bytes: 8, offset: 104, found: 96, .. })
    });
    fs::write(&path, []).unwrap();
    assert_eq!(rows(&plain).unwrap().dim(), (0, 5));
}

#[test]
fn every_pod_type_is_an_element_type() {
    #[derive(Clone, Copy, bytemuck::AnyBitPattern)]
    #[repr(C)]
    struct Padded {
        flag: u8,
        value: u32,
    }
    let dir = dir();
    let path = dir.path().join("bytes.raw");
    fs::write(&path, (0..=255).collect::<Vec<u8>>()).unwrap();
    let options = MmapArrayOptions::new();
    assert_eq!(read::<num_complex::Complex<f32>, _>(&path, 32).unwrap().len(), 32);
    assert_eq!(
        read::<u128, _>(&path, 16).unwrap()[0],
        u128::from_ne_bytes(std::array::from_fn(|i| i as u8))
    );
    assert_eq!(read::<[u8; 3], _>(&path, 85).unwrap()[84], [252, 253, 254]);
    let padded = read_with::<Padded, _>(&options, &path, 32).unwrap();
    assert_eq!((padded[1].flag, padded[1].value), (8, u32::from_ne_bytes([12, 13, 14, 15])));
}

#[test]
fn advise_prefetch_and_release_keep_the_elements() {
    let dir = dir();
    let path = counting(&dir, 8, 10_000);
    for advice in [Advice::Normal, Advice::Sequential, Advice::Random] {
        let options = MmapArrayOptions::new().offset(8).advise(advice);
        let table = read_with::<f64, _>(&options, &path, (100, 100)).unwrap();
        table.prefetch().unwrap();
        table.prefetch_view(&table.slice(s![10..20, ..])).unwrap();
        assert_eq!(table.sum(), 49_995_000.0);
        table.release().unwrap();
        table.release_view(&table.slice(s![.., 3])).unwrap();
        table.advise_view(&table.slice(s![..;-1, ..;-1]), advice).unwrap();
        assert_eq!(table.sum(), 49_995_000.0);
    }
}

#[test]
fn views_of_other_arrays_are_foreign() {
    let dir = dir();
    let path = counting(&dir, 0, 100);
    let options = MmapArrayOptions::new().offset(80);
    let table = read_with::<f64, _>(&options, &path, (9, 10)).unwrap();
    refused(table.release_view(&array![1.0]), &path, |kind| {
        matches!(kind, ErrorKind::ForeignView { .. })
    });
    let whole = read::<f64, _>(&path, 100).unwrap();
    refused(table.prefetch_view(&whole), &path, |kind| {
        matches!(kind, ErrorKind::ForeignView { .. })
    });
    table.prefetch_view(&table).unwrap();
    table.prefetch_view(&table.slice(s![.., 0..0])).unwrap();
}

#[test]
fn release_keeps_edits_of_copy_on_write_array() {
    let dir = dir();
    let path = counting(&dir, 0, 10_000);
    let before = fs::read(&path).unwrap();
    let mut what_if = cow::<f64, _>(&path, 10_000).unwrap();
    what_if.fill(1.0);
    what_if.release().unwrap();
    what_if.release_view(&what_if.slice(s![5_000..])).unwrap();
    assert_eq!(what_if.sum(), 10_000.0);
    drop(what_if);
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// 200 GiB of holes: memory is taken for the pages that are edited only.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn copy_on_write_array_may_be_larger_than_memory() {
    let dir = dir();
    let path = dir.path().join("sparse.raw");
    fs::File::create(&path).unwrap().set_len(200 << 30).unwrap();
    let mut huge = cow::<u8, _>(&path, 200 << 30).unwrap();
    huge[199 << 30] = 7;
    assert_eq!((huge[199 << 30], huge[(199 << 30) + 1]), (7, 0));
}

#[test]
fn views_share_one_mapping() {
    let dir = dir();
    let path = counting(&dir, 0, 1000);
    let array = read::<f64, _>(&path, 1000).unwrap();
    let views: Vec<_> = array.axis_chunks_iter(Axis(0), 1).collect();
    #[cfg(target_os = "linux")]
    {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let name = path.canonicalize().unwrap();
        assert_eq!(maps.lines().filter(|line| line.ends_with(name.to_str().unwrap())).count(), 1);
    }
    assert_eq!(views.iter().map(|view| view[0]).sum::<f64>(), 499_500.0);
}
