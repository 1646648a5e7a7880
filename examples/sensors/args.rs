//! Command-line arguments.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

/// Output of `--help`.
pub(crate) const HELP: &str = "\
Converts, analyses and draws the readings of many sensors, in memory-mapped files.

Usage: sensors [OPTIONS]                             generates readings and processes them
       sensors --input FILE --sensors N [OPTIONS]    processes the readings of a file

Options:
  --sensors N     number of sensors (default 50)
  --readings N    readings of each sensor to generate (default 100000)
  --seed N        seed of the generated readings (default 1)
  --input FILE    raw file of readings in °C: f32 in native byte order, sensor after sensor, no header
  --out DIR       output directory, created if missing (default `out`):
                  raw.f32 (generated readings), processed.f32 (°F), statistics.f64, sensors.svg
  --json          print one JSON object as the last line
  --no-plot       do not draw sensors.svg
  --help          print this text
";

/// A parsed command.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Run(Settings),
}

/// Source of the readings.
#[derive(Debug)]
pub(crate) enum Source {
    Generated { readings: usize, seed: u64 },
    File(PathBuf),
}

/// Settings of a run.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) source: Source,
    pub(crate) sensors: usize,
    pub(crate) out: PathBuf,
    pub(crate) json: bool,
    pub(crate) plot: bool,
}

/// Parses the arguments after the program's name. Errors are one line.
pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let (mut input, mut sensors, mut readings, mut seed) = (None, None, None, None);
    let (mut out, mut json, mut plot) = (PathBuf::from("out"), false, true);
    while let Some(arg) = args.next() {
        let option = arg.to_string_lossy();
        let mut value = || value(&option, args.next());
        match &*option {
            "--help" | "-h" => return Ok(Command::Help),
            "--input" => input = Some(PathBuf::from(value()?)),
            "--out" => out = PathBuf::from(value()?),
            "--sensors" => sensors = Some(number(&option, &value()?, 1)?),
            "--readings" => readings = Some(number(&option, &value()?, 1)?),
            "--seed" => seed = Some(number(&option, &value()?, 0)?),
            "--json" => json = true,
            "--no-plot" => plot = false,
            _ if option.starts_with('-') => return Err(format!("unknown option {arg:?}")),
            _ => {
                return Err(format!(
                    "unexpected argument {arg:?}; a file of readings is named by --input"
                ));
            }
        }
    }
    let source = match input {
        None => {
            Source::Generated { readings: readings.unwrap_or(100_000), seed: seed.unwrap_or(1) }
        }
        Some(_) if readings.is_some() => {
            return Err("--readings is for generating; with --input their number follows from the file's size".into());
        }
        Some(_) if seed.is_some() => {
            return Err("--seed is for generating and has no use with --input".into());
        }
        // The number of sensors is required, because a wrong default could fit the file size.
        Some(_) if sensors.is_none() => {
            return Err("--input needs --sensors, the file does not tell their number".into());
        }
        Some(path) => Source::File(path),
    };
    Ok(Command::Run(Settings { source, sensors: sensors.unwrap_or(50), out, json, plot }))
}

/// Returns the value of an option, or an error if it is missing, empty or another option.
fn value(option: &str, value: Option<OsString>) -> Result<OsString, String> {
    match value {
        Some(value) if !value.is_empty() && !value.to_string_lossy().starts_with("--") => Ok(value),
        _ => Err(format!("{option} needs a value")),
    }
}

fn number<T: FromStr + PartialOrd + From<u8>>(
    option: &str,
    value: &OsStr,
    least: u8,
) -> Result<T, String> {
    let number = value
        .to_str()
        .and_then(|value| value.parse().ok())
        .filter(|number| *number >= T::from(least));
    number.ok_or_else(|| {
        format!("{option} needs a whole number from {least} to {}, not {value:?}", u64::MAX)
    })
}
