//! Millions of random headers: no panic, little memory and time, and every array that opens is inside
//! its file.
//!
//! `NDARRAY_MMAP_FUZZ_SECONDS` sets the duration, `NDARRAY_MMAP_FUZZ_HEADERS` the number of headers,
//! `NDARRAY_MMAP_FUZZ_SEED` the seed; the default is a few thousand with a fixed seed.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytemuck::Pod;
use ndarray::IxDyn;
use ndarray_mmap::{ErrorKind, LockPolicy, MmapArrayOptions, NpyElement, NpyHeader};

use crate::counting::most_held;
use crate::generator::{Header, Random, header};

const MAX_HELD: usize = 128 << 10;

/// Where processors' time cannot be told apart from waiting, not looked at.
const MAX_TIME: Duration = Duration::from_millis(10);

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[derive(Debug, Default)]
struct Found {
    headers: u64,
    readable: u64,
    opened: u64,
    held: usize,
    longest: Duration,
}

#[test]
fn random_headers_never_panic_or_exhaust_memory() {
    let seconds = number("NDARRAY_MMAP_FUZZ_SECONDS").map(Duration::from_secs);
    let headers = number("NDARRAY_MMAP_FUZZ_HEADERS").unwrap_or(if seconds.is_some() {
        u64::MAX
    } else {
        20_000
    });
    let seed = number("NDARRAY_MMAP_FUZZ_SEED").unwrap_or(1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let begin = Instant::now();
    let all = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let all = &all;
            scope.spawn(move || {
                let dir = tempfile::tempdir().unwrap();
                let mut random = Random::new(seed.wrapping_mul(1_000).wrapping_add(thread));
                let mut found = Found::default();
                let path = dir.path().join("header.npy");
                let mut file = Scratch::new(&path);
                while found.headers < headers / threads + 1 {
                    if found.headers.is_multiple_of(1_000)
                        && seconds.is_some_and(|limit| begin.elapsed() > limit)
                    {
                        break;
                    }
                    let header = header(&mut random);
                    file.look(&header, &mut random, &mut found);
                }
                let mut all = all.lock().unwrap();
                all.headers += found.headers;
                all.readable += found.readable;
                all.opened += found.opened;
                all.held = all.held.max(found.held);
                all.longest = all.longest.max(found.longest);
            });
        }
    });
    let all = all.into_inner().unwrap();
    println!("{all:?} in {:.0?}", begin.elapsed());
    // Or it would be a test of one error.
    assert!(all.readable > all.headers / 5 && all.readable < all.headers * 4 / 5, "{all:?}");
    assert!(all.opened > all.headers / 50, "{all:?}");
    assert!(all.held <= MAX_HELD, "{all:?}");
    // Only where one asks for long runs, on a machine that does nothing else.
    assert!(seconds.is_none() || all.longest <= MAX_TIME, "{all:?}");
}

/// One file that is written over and over.
struct Scratch<'p> {
    path: &'p Path,
    file: File,
}

impl<'p> Scratch<'p> {
    fn new(path: &'p Path) -> Self {
        Self { path, file: fs::File::create(path).unwrap() }
    }

    fn look(&mut self, header: &Header, random: &mut Random, found: &mut Found) {
        self.file.set_len(0).unwrap();
        self.file.seek(SeekFrom::Start(0)).unwrap();
        self.file.write_all(&header.bytes).unwrap();
        // Holes, of which a page or two are touched.
        let data = header.data_len.filter(|&len| len < 1 << 40).unwrap_or(100) as u64;
        let data = match random.below(10) {
            0 => data.saturating_sub(1),
            1 => data + 1,
            2 => 0,
            _ => data,
        };
        self.file.set_len(header.bytes.len() as u64 + data).unwrap();

        found.headers += 1;
        let begin = processor_time();
        let (read, held) = most_held(|| NpyHeader::read(self.path));
        found.held = found.held.max(held);
        match &read {
            Ok(_) => found.readable += 1,
            Err(error) => assert!(
                error.to_string().len() < 1_000
                    && matches!(
                        error.kind(),
                        ErrorKind::InvalidHeader { .. } | ErrorKind::TooLarge { .. }
                    ),
                "{error}"
            ),
        }
        let ready = match read.ok().and_then(|header| header.dtype().item_size()) {
            Some(1) => self.open::<u8>(),
            Some(2) => self.open::<i16>(),
            Some(4) => self.open::<f32>(),
            Some(8) => self.open::<f64>(),
            Some(5) => self.open::<[u8; 5]>(),
            Some(6) => self.open::<[u8; 6]>(),
            Some(12) => self.open::<[u8; 12]>(),
            Some(3) => self.open::<[u8; 3]>(),
            _ => self.open::<f64>(),
        };
        found.opened += u64::from(ready.0);
        found.held = found.held.max(ready.1);
        found.longest = found.longest.max(processor_time() - begin);
    }

    /// Whether it opens, and what that held. Touching the first and the last element shows whether they lie in the file.
    fn open<A: Pod + NpyElement>(&self) -> (bool, usize) {
        let options = MmapArrayOptions::new().lock(LockPolicy::Off);
        // SAFETY: this thread alone uses the file.
        let (array, held) = most_held(|| unsafe { options.open_npy::<A, IxDyn>(self.path) });
        let Ok(array) = array else { return (false, held) };
        if let (Some(first), Some(last)) = (array.first(), array.last()) {
            std::hint::black_box((first, last));
        }
        (true, held)
    }
}

/// What this thread has spent, where that can be told.
fn processor_time() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}
