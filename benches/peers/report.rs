//! Parses measurements into rows and prints them as a table.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt::Write;

/// Least acceptable ratio of NumPy's time to this crate's; 1 for operations that are not listed.
const TARGETS: &[(&str, f64)] = &[
    ("std", 8.0),
    ("var", 8.0),
    ("summary", 12.0),
    ("std_axis0", 6.0),
    ("std_axis1", 6.0),
    ("median", 25.0),
    ("quantiles5", 25.0),
    ("median_axis0", 10.0),
    ("median_axis1", 8.0),
    ("histogram100", 15.0),
    ("map", 5.0),
    ("transpose", 2.0),
    ("take_rows", 2.0),
    ("sensors", 8.0),
];

/// Operations that must also reach `MIN_SHARE` of the speed of a bare read.
const AT_READING_SPEED: &[&str] = &["sum", "mean", "min", "max"];
const MIN_SHARE: f64 = 0.8;

/// Operations whose time and memory are judged with a memory limit.
const IN_BOUNDED_MEMORY: &[&str] = &["median", "quantiles5", "quantiles10000"];
const MAX_MIB: f64 = 64.0;
const MAX_MIB_OF_SENSORS: f64 = 100.0;

/// The best time and the largest memory of all rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    mib: f64,
    result: f64,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) numpy: Option<Measured>,
    /// Measured without a memory limit.
    pub(crate) ours: Option<Measured>,
    pub(crate) bounded: Option<Measured>,
}

/// Returns the rows in the order of their first lines, or an error if results differ.
pub(crate) fn rows(text: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::<Row>::new();
    for line in text.lines() {
        let [program, name, seconds, mib, result] = line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            return Err(format!("not a measurement: {line:?}").into());
        };
        let new =
            Measured { seconds: seconds.parse()?, mib: mib.parse()?, result: result.parse()? };
        let at = rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            rows.push(Row { name: name.into(), numpy: None, ours: None, bounded: None });
            rows.len() - 1
        });
        let before = match program {
            "numpy" => &mut rows[at].numpy,
            "ours" => &mut rows[at].ours,
            "bounded" => &mut rows[at].bounded,
            _ => return Err(format!("unknown program: {line:?}").into()),
        };
        *before = Some(before.map_or(new, |old| Measured {
            seconds: old.seconds.min(new.seconds),
            mib: old.mib.max(new.mib),
            result: new.result,
        }));
        rows[at].compare()?;
    }
    Ok(rows)
}

impl Row {
    fn compare(&self) -> Result<(), String> {
        let mut results = [self.numpy, self.ours, self.bounded]
            .into_iter()
            .flatten()
            .map(|measured| measured.result);
        let first = results.next().unwrap_or(0.0);
        let agrees = |result: f64| (result - first).abs() <= 1e-9 * first.abs();
        match results.find(|&result| !agrees(result)) {
            Some(other) => Err(format!("{}: the results are {first} and {other}", self.name)),
            None => Ok(()),
        }
    }

    /// Returns the measurement by which NumPy's time is divided.
    fn judged(&self) -> Option<Measured> {
        if IN_BOUNDED_MEMORY.contains(&&*self.name) { self.bounded } else { self.ours }
    }

    pub(crate) fn target(&self) -> f64 {
        TARGETS.iter().find(|(name, _)| *name == self.name).map_or(1.0, |&(_, target)| target)
    }

    pub(crate) fn times(&self, of: Option<Measured>) -> Option<f64> {
        Some(self.numpy?.seconds / of?.seconds)
    }

    fn share(&self, read: Option<Measured>) -> Option<f64> {
        Some(read?.seconds / self.ours?.seconds)
    }

    fn verdict(&self, read: Option<Measured>) -> Option<bool> {
        let most_mib = match &*self.name {
            "sensors" => MAX_MIB_OF_SENSORS,
            name if IN_BOUNDED_MEMORY.contains(&name) => MAX_MIB,
            _ => f64::INFINITY,
        };
        let fast = self.times(self.judged())? >= self.target();
        let small = self.judged()?.mib <= most_mib;
        let at_speed = !AT_READING_SPEED.contains(&&*self.name)
            || self.share(read).is_none_or(|s| s >= MIN_SHARE);
        Some(fast && small && at_speed)
    }
}

/// Formats the rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let read = rows.iter().find(|row| row.name == "read").and_then(|row| row.ours);
    let mut table = String::new();
    let mut line = |cells: [String; 11]| {
        let [name, cells @ ..] = cells;
        write!(table, "| {name:12} |").expect("a string takes all");
        cells.iter().for_each(|cell| write!(table, " {cell:>8} |").expect("a string takes all"));
        table.push('\n');
    };
    let heads = [
        "operation",
        "NumPy, s",
        "MiB",
        "ours, s",
        "MiB",
        "64 MiB, s",
        "MiB",
        "ratio",
        "target",
        "",
        "of a read",
    ];
    line(heads.map(String::from));
    line(["---"; 11].map(String::from));
    for row in rows {
        let cells = |measured: Option<Measured>| match measured {
            Some(Measured { seconds, mib, .. }) => [format!("{seconds:.4}"), format!("{mib:.0}")],
            None => [(); 2].map(|()| "-".into()),
        };
        let [[numpy, numpy_mib], [ours, mib], [bounded, bounded_mib]] =
            [row.numpy, row.ours, row.bounded].map(cells);
        let number = |number: Option<f64>, digits| {
            number.map_or("-".into(), |number| format!("{number:.digits$}"))
        };
        let ratio = number(row.times(row.judged()), 1);
        let target = number(row.numpy.map(|_| row.target()), 0);
        let verdict = row.verdict(read).map_or("-", |ok| if ok { "ok" } else { "short" });
        let share = number(row.share(read), 2);
        line([
            row.name.clone(),
            numpy,
            numpy_mib,
            ours,
            mib,
            bounded,
            bounded_mib,
            ratio,
            target,
            verdict.into(),
            share,
        ]);
    }
    table
}
