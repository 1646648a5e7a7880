//! `.npy` and raw files that are exchanged with NumPy without being mapped.

use std::process::Command;

use ndarray::prelude::*;
use ndarray_mmap::{ArrayFile, ArrayFileMut, LazyArray, MmapArrayOptions, prelude::*};

use super::Script;

#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn files_of_numpy_are_read_without_mapping() {
    let script = Script::run(
        "import numpy as np\n\
         x = np.arange(1, 601).reshape(20, 30) % 97\n\
         for dtype in ('?', 'i1', 'u1', '<i2', '>i2', '<u4', '>u4', '<f2', '>f2', '<f4', '>f4', '>f8'):\n\
         \x20   np.save(f'{dtype}.npy'.replace('?', 'b1'), x.astype(dtype))\n\
         np.save('fortran.npy', np.asfortranarray(x.astype('>f4')))\n\
         x.astype('>i4').tofile('raw')\n\
         records = np.zeros(20, [('name', 'S3'), ('x', '>f4'), ('in', [('k', '<i2')])])\n\
         records['x'] = x[:, 0]\n\
         records['in']['k'] = x[:, 1]\n\
         np.save('records.npy', records)\n\
         print(x.mean(), np.median(x))",
    );
    let x = Array2::from_shape_fn((20, 30), |(i, j)| ((30 * i + j + 1) % 97) as f64);
    for dtype in ["i1", "u1", "<i2", ">i2", "<u4", ">u4", "<f2", ">f2", "<f4", ">f4", ">f8"] {
        let path = script.path(&format!("{dtype}.npy"));
        let lazy = LazyArray::<f64, Ix2>::open_npy(path).unwrap();
        assert_eq!(lazy.read_all().unwrap(), x, "{dtype}");
        let median = lazy.chunked().quantile(0.5, Default::default()).unwrap();
        script.check((lazy.chunked().mean().unwrap(), median));
    }
    let bools = LazyArray::<u8, Ix2>::open_npy(script.path("b1.npy")).unwrap();
    let nonzero = x.iter().filter(|&&x| x != 0.0).count();
    assert_eq!(bools.chunked().sum().unwrap(), nonzero as i128);

    let fortran = ArrayFile::<f32, Ix2>::open_npy(script.path("fortran.npy")).unwrap();
    assert_eq!(fortran.read(s![..;3, 5]).unwrap(), x.slice(s![..;3, 5]).mapv(|x| x as f32));
    let raw = MmapArrayOptions::new().open_file::<i32, _>(script.path("raw"), (20, 30)).unwrap();
    assert_eq!(raw.big_endian().read_all().unwrap(), x.mapv(|x| x as i32));
    let field = |name| LazyArray::<f64, Ix1>::open_npy_field(script.path("records.npy"), name);
    assert_eq!(field("x").unwrap().read_all().unwrap(), x.column(0));
    assert_eq!(field("in.k").unwrap().read_all().unwrap(), x.column(1));
}

#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn numpy_reads_files_that_are_written_without_mapping() {
    let dir = tempfile::tempdir().unwrap();
    let x = Array2::from_shape_fn((20, 30), |(i, j)| (30 * i + j) as f64);
    let c = ArrayFileMut::<f64, _>::create_npy(dir.path().join("c.npy"), (20, 30)).unwrap();
    c.write(s![.., ..10], &x.slice(s![.., ..10])).unwrap();
    c.write(s![.., 10..], &x.slice(s![.., 10..])).unwrap();
    let mut f = ArrayFileMut::<f32, _>::create_npy(dir.path().join("f.npy"), (20, 30).f()).unwrap();
    c.chunked().map_into(&mut f, |&x| x as f32).unwrap();
    let raw = ArrayFileMut::<i16, _>::create(dir.path().join("raw"), (20, 30)).unwrap();
    let raw = raw.big_endian();
    raw.write_all(&x.mapv(|x| x as i16)).unwrap();
    for closed in [c.close(), f.close(), raw.close()] {
        closed.unwrap();
    }
    let python = std::env::var_os("NDARRAY_MMAP_PYTHON").unwrap_or_else(|| "python3".into());
    let script = "import numpy as np\n\
         x = np.arange(600).reshape(20, 30)\n\
         assert (np.load('c.npy') == x).all() and np.load('c.npy').flags.c_contiguous\n\
         f = np.load('f.npy')\n\
         assert (f == x).all() and f.flags.f_contiguous and f.dtype == np.float32\n\
         assert (np.fromfile('raw', '>i2').reshape(20, 30) == x).all()";
    let output = Command::new(python).args(["-c", script]).current_dir(&dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
