//! Fifty sensors, a hundred thousand readings each: the large-scale example of the NumPy memory-mapping guide.
//!
//! Raw readings become calibrated ones in a second mapped file, those become statistics in a third; then anomalies,
//! correlations, tables and a picture. However long the files, only the stretch at work is in memory.
//!
//! ```text
//! cargo run --release --example sensors -- --help
//! ```

mod args;
mod convert;
mod correlation;
mod files;
mod generate;
mod heat_map;
mod json;
mod picture;
mod portrait;
mod progress;
mod report;
mod statistics;

use std::error::Error;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Instant;

use self::args::{Command, Settings, Source};
use self::files::Paths;
use self::report::{Cost, Report};

/// What the steps keep resident of their files, in bytes, however long these are.
const MEMORY: usize = 32 << 20;

fn main() -> ExitCode {
    let (result, code) = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => (print(|out| out.write_all(args::HELP.as_bytes())), 1),
        Ok(Command::Run(settings)) => (run(&settings), 1),
        Err(mistake) => (Err(format!("{mistake} (see --help)").into()), 2),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails as well.
            let _ = writeln!(io::stderr(), "sensors: {error}");
            ExitCode::from(code)
        }
    }
}

/// The whole pipeline. All files are complete before the first line is printed.
fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let sensors = settings.sensors;
    let (paths, raw) = match &settings.source {
        Source::File(path) => {
            // Before anything is made, so that a mistake leaves nothing behind.
            let raw = files::open_readings(path, sensors)?;
            (Paths::new(settings)?, raw)
        }
        &Source::Generated { readings, seed } => {
            let paths = Paths::new(settings)?;
            let raw = generate::generate(&paths.raw, (sensors, readings), seed)?;
            (paths, raw)
        }
    };
    let shape = (sensors, raw.len() / sensors);

    let begin = Instant::now();
    let processed = convert::convert(&raw, &paths.processed)?.into_shape_with_order(shape)?;
    let found = statistics::analyse(&processed)?;
    statistics::save(&found, &paths.statistics)?;
    let sample = correlation::sample(sensors);
    let correlation = correlation::correlation(&processed, &sample)?;
    let processed = processed.freeze()?;
    let seconds = begin.elapsed().as_secs_f64();

    if settings.plot {
        let (row, limits) = (processed.row(0), found[0].limits);
        let portrait = portrait::Portrait::new(row, limits)?;
        picture::save(&paths.picture, &portrait, &sample, &correlation)?;
    }
    let files =
        [("raw", &paths.raw), ("processed", &paths.processed), ("statistics", &paths.statistics)];
    let mut sizes = Vec::new();
    for (name, path) in files {
        sizes.push((
            name,
            path,
            fs::metadata(path).map_err(files::at("read the size of", path))?.len(),
        ));
    }
    let report =
        Report { shape, found: &found, sample: &sample, correlation: &correlation, sizes: &sizes };
    let cost = Cost { seconds, peak_mib: report::peak_mib() };
    print(|out| {
        report.write(out)?;
        writeln!(out, "{cost}")?;
        if settings.json { json::write(out, &report, &cost) } else { Ok(()) }
    })
}

/// Prints on standard output. A reader that has seen enough, as `head` has, is no failure.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}").into())
        }
        _ => {
            // What is left in the buffer after a broken pipe must not be tried again.
            drop(out.into_parts());
            Ok(())
        }
    }
}
