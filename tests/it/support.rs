//! Helpers of the tests: temporary files, and functions that open and create files.
use std::fs;
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use ndarray::{Dimension, IntoDimension, RemoveAxis, ShapeBuilder};
use ndarray_mmap::{
    ErrorKind, MmapArray, MmapArrayCow, MmapArrayMut, MmapArrayOptions, MmapArrayPending,
    NpyElement, Result,
};
use tempfile::TempDir;

/// A directory of this test's own.
pub fn dir() -> TempDir {
    // Not every directory for temporary files is open to nobody.
    let elsewhere =
        || ["/tmp", "/var/tmp", "/dev/shm"].iter().find_map(|dir| tempfile::tempdir_in(dir).ok());
    tempfile::tempdir().or_else(|error| elsewhere().ok_or(error)).unwrap()
}

/// Past the test framework, which shows what a test that passes has printed to no one.
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn say_aloud(line: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Calls a closure as a user to whom permissions apply: where the superuser runs the tests, on a thread of its own as nobody.
/// Says so where that is not allowed.
#[cfg(all(unix, not(ndarray_mmap_portable)))]
pub fn as_nobody(work: impl FnOnce() + Send) {
    if !rustix::process::geteuid().is_root() {
        return work();
    }
    #[cfg(target_os = "linux")]
    on_a_thread_of_nobody(work);
    #[cfg(not(target_os = "linux"))]
    say_aloud("skipped: the superuser may do everything");
}

#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn on_a_thread_of_nobody(work: impl FnOnce() + Send) {
    let nobody = rustix::process::Uid::from_raw(65_534);
    let thread = || match rustix::thread::set_thread_res_uid(nobody, nobody, nobody) {
        Ok(()) => work(),
        Err(error) => say_aloud(&format!("skipped: the superuser cannot become nobody: {error}")),
    };
    let outcome = std::thread::scope(|scope| scope.spawn(thread).join());
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Returns KiB of a mapped file, as reported by `/proc/self/smaps`: `Rss:`, `Private_Dirty:`, `Anonymous:`.
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
pub fn kib_of_map(path: &Path, what: &str) -> usize {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let ours = maps.lines().skip_while(|line| !line.ends_with(path.to_str().unwrap())).skip(1);
    let ours = ours.take_while(|line| line.contains(" kB") || line.contains("Flags"));
    let wanted = ours.filter(|line| line.starts_with(what));
    wanted.map(|line| line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()).sum()
}

/// A file with the values 0, 1, 2, ... as `f64` after `offset` bytes.
pub fn counting(dir: &TempDir, offset: usize, len: usize) -> PathBuf {
    let path = dir.path().join("counting.raw");
    let values: Vec<f64> = (0..len).map(|value| value as f64).collect();
    let mut bytes = vec![0xAA; offset];
    bytes.extend_from_slice(bytemuck::cast_slice(&values));
    fs::write(&path, bytes).unwrap();
    path
}

/// The three modes of opening; all calls of the tests go through these traits' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Read,
    Write,
    Cow,
}

pub const MODES: [Mode; 3] = [Mode::Read, Mode::Write, Mode::Cow];

/// Opens a file in some mode, calls `look` with a view of the array, and says how it went.
pub fn look_raw<A: Pod, Sh: ShapeBuilder>(
    options: &MmapArrayOptions,
    mode: Mode,
    path: &Path,
    shape: Sh,
    look: impl FnOnce(ndarray::ArrayView<'_, A, Sh::Dim>),
) -> Result<()> {
    match mode {
        Mode::Read => look(read_with(options, path, shape)?.view()),
        Mode::Write => look(write_with(options, path, shape)?.view()),
        Mode::Cow => look(cow_with(options, path, shape)?.view()),
    }
    Ok(())
}

macro_rules! doors {
    ($($name:ident ( $options:ident, $path:ident $(, $argument:ident: $type:ty)? ) -> $owner:ident [$($generics:tt)*] $dim:ty = $call:expr;)*) => {$(
        pub fn $name<$($generics)*>($options: &MmapArrayOptions, $path: &Path $(, $argument: $type)?) -> Result<$owner<A, $dim>> {
            // SAFETY: each test has a directory of its own, and changes files only where that is what it tests.
            unsafe { $call }
        }
    )*};
}
doors! {
    read_with(options, path, shape: Sh) -> MmapArray [A: bytemuck::AnyBitPattern, Sh: ShapeBuilder] Sh::Dim = options.open(path, shape);
    write_with(options, path, shape: Sh) -> MmapArrayMut [A: Pod, Sh: ShapeBuilder] Sh::Dim = options.open_mut(path, shape);
    cow_with(options, path, shape: Sh) -> MmapArrayCow [A: Pod, Sh: ShapeBuilder] Sh::Dim = options.open_cow(path, shape);
    rows_with(options, path, row: impl IntoDimension<Dim = D::Smaller>) -> MmapArray [A: Pod, D: RemoveAxis] D = options.open_rows(path, row);
    read_npy_with(options, path) -> MmapArray [A: Pod + NpyElement, D: Dimension] D = options.open_npy(path);
    write_npy_with(options, path) -> MmapArrayMut [A: Pod + NpyElement, D: Dimension] D = options.open_npy_mut(path);
    cow_npy_with(options, path) -> MmapArrayCow [A: Pod + NpyElement, D: Dimension] D = options.open_npy_cow(path);
    create_with(options, path, shape: Sh) -> MmapArrayMut [A: Pod, Sh: ShapeBuilder] Sh::Dim = options.create(path, shape);
    create_npy_with(options, path, shape: Sh) -> MmapArrayMut [A: Pod + NpyElement, Sh: ShapeBuilder] Sh::Dim = options.create_npy(path, shape);
    atomic_with(options, path, shape: Sh) -> MmapArrayPending [A: Pod, Sh: ShapeBuilder] Sh::Dim = options.create_atomic(path, shape);
    atomic_npy_with(options, path, shape: Sh) -> MmapArrayPending [A: Pod + NpyElement, Sh: ShapeBuilder] Sh::Dim = options.create_npy_atomic(path, shape);
}

/// Opens with the short form, for reading.
pub fn read<A: Pod, D: Dimension>(
    path: &Path,
    shape: impl ShapeBuilder<Dim = D>,
) -> Result<MmapArray<A, D>> {
    read_with(&MmapArrayOptions::new(), path, shape)
}

pub fn write<A: Pod, D: Dimension>(
    path: &Path,
    shape: impl ShapeBuilder<Dim = D>,
) -> Result<MmapArrayMut<A, D>> {
    write_with(&MmapArrayOptions::new(), path, shape)
}

pub fn cow<A: Pod, D: Dimension>(
    path: &Path,
    shape: impl ShapeBuilder<Dim = D>,
) -> Result<MmapArrayCow<A, D>> {
    cow_with(&MmapArrayOptions::new(), path, shape)
}

pub fn create<A: Pod, D: Dimension>(
    path: &Path,
    shape: impl ShapeBuilder<Dim = D>,
) -> Result<MmapArrayMut<A, D>> {
    create_with(&MmapArrayOptions::new(), path, shape)
}

/// Asserts on the kind of an error, and that the message names the file.
#[track_caller]
pub fn refused<T>(result: Result<T>, path: &Path, is: impl FnOnce(&ErrorKind) -> bool) {
    let Err(error) = result else { panic!("accepted") };
    assert!(is(error.kind()), "{error:?}");
    assert_eq!(error.path(), Some(path));
    assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
}

/// The names in a directory, hidden ones included.
pub fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs a closure on a pool of the given number of threads; without rayon, on this thread.
pub fn on_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    #[cfg(feature = "rayon")]
    return rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
    #[cfg(not(feature = "rayon"))]
    {
        let _ = threads;
        run()
    }
}
