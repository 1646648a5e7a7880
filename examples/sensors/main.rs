//! The large-scale example of the NumPy memory-mapping guide: 50 sensors of 100,000 readings each.
//!
//! The pipeline converts raw readings into a second mapped file, writes statistics to a third, and
//! prints anomalies, correlations and tables. It also draws a chart. Memory use does not grow with the
//! files.
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

/// Memory limit of each step, in bytes.
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
            // A failure to report the error cannot be reported.
            let _ = writeln!(io::stderr(), "sensors: {error}");
            ExitCode::from(code)
        }
    }
}

/// Runs the pipeline. All files are complete before the first line is printed.
fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let sensors = settings.sensors;
    let (paths, raw) = match &settings.source {
        Source::File(path) => {
            // Opened first, so that an invalid input leaves no output directory.
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

    let start = Instant::now();
    let processed = convert::convert(&raw, &paths.processed)?.into_shape_with_order(shape)?;
    let found = statistics::analyse(&processed)?;
    statistics::save(&found, &paths.statistics)?;
    let sample = correlation::sample(sensors);
    let correlation = correlation::correlation(&processed, &sample)?;
    let processed = processed.freeze()?;
    let seconds = start.elapsed().as_secs_f64();

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

/// Prints to standard output. A closed pipe, as with `head`, is not an error.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}").into())
        }
        _ => {
            // Discards the buffer, which `drop` would otherwise write to the broken pipe again.
            drop(out.into_parts());
            Ok(())
        }
    }
}
