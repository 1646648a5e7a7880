//! Bar chart of NumPy's time divided by this crate's for each operation, on a logarithmic axis.
#![forbid(unsafe_code)]

use std::fmt::Write;

use super::report::Row;

const LEFT: f64 = 130.0;
const WIDTH: f64 = 560.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 84.0;
const STEP: f64 = 27.0;
const BOTTOM: f64 = 66.0;

const OURS: &str = "#3b6ea8";
const BOUNDED: &str = "#a9c4e2";
const INK: &str = "#262626";
const PALE: &str = "#6b6b6b";
const GRID: &str = "#e6e6e6";
const TARGET: &str = "#d1495b";

/// Returns an SVG chart of the rows that have a NumPy measurement.
pub(crate) fn draw(rows: &[Row], title: &str) -> String {
    let rows: Vec<_> = rows.iter().filter(|row| row.times(row.ours).is_some()).collect();
    let axis = Axis::over(rows.iter().flat_map(|row| {
        [row.times(row.ours), row.times(row.bounded), Some(row.target())].into_iter().flatten()
    }));
    let (width, bottom) = (LEFT + WIDTH + RIGHT, TOP + STEP * rows.len() as f64);
    let height = bottom + BOTTOM;
    let mut svg = Svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\">\n"
    ));
    svg.rect((0.0, 0.0), (width, height), "#ffffff");
    svg.text(
        (20.0, 30.0),
        "start",
        (INK, "font-size=\"17\" font-weight=\"bold\""),
        "Times as fast as NumPy",
    );
    svg.text((20.0, 51.0), "start", (PALE, ""), title);
    svg.text((width - 104.0, TOP - 12.0), "end", (PALE, ""), "NumPy");
    svg.text((width - 24.0, TOP - 12.0), "end", (PALE, ""), "this crate");

    for tick in axis.ticks() {
        let x = axis.x(tick);
        svg.line((x, TOP), (x, bottom), (GRID, 1.0));
        svg.text((x, bottom + 18.0), "middle", (PALE, ""), &format!("{tick}×"));
    }
    for (row, top) in rows.iter().zip((0_u8..).map(|number| TOP + STEP * f64::from(number))) {
        let middle = top + STEP / 2.0;
        svg.text((LEFT - 10.0, middle + 4.5), "end", (INK, ""), &row.name);
        let mut bar = |times: f64, (above, height): (f64, f64), colour| {
            let (from, to) = (axis.x(1.0).min(axis.x(times)), axis.x(1.0).max(axis.x(times)));
            svg.rect((from, top + above), (to - from, height), colour);
            to
        };
        let mut end = LEFT;
        if let Some(times) = row.times(row.ours) {
            end = bar(times, (4.0, 12.0), OURS);
        }
        if let Some(times) = row.times(row.bounded) {
            end = end.max(bar(times, (17.0, 6.0), BOUNDED));
        }
        if row.target() != 1.0 {
            let x = axis.x(row.target());
            svg.line((x, top + 2.0), (x, top + STEP - 2.0), (TARGET, 2.5));
            end = end.max(x);
        }
        let times = row.times(row.ours).unwrap_or(f64::NAN);
        let digits = usize::from(times < 9.95);
        svg.text(
            (end + 7.0, middle + 4.5),
            "start",
            (INK, "font-weight=\"bold\""),
            &format!("{times:.digits$}×"),
        );
        for (measured, before) in [(row.numpy, 104.0), (row.ours, 24.0)] {
            let seconds = measured.map_or(String::new(), |measured| seconds(measured.seconds));
            svg.text((width - before, middle + 4.5), "end", (INK, ""), &seconds);
        }
    }
    svg.line((axis.x(1.0), TOP - 4.0), (axis.x(1.0), bottom), (INK, 1.5));

    let (mut x, y) = (LEFT, bottom + 46.0);
    for (colour, length, label) in [
        (OURS, 18.0, "as much memory as there is"),
        (BOUNDED, 18.0, "within 64 MiB"),
        (TARGET, 3.0, "aim"),
    ] {
        svg.rect((x, y - 9.0), (length, 11.0), colour);
        svg.text((x + length + 7.0, y + 1.5), "start", (PALE, ""), label);
        x += length + 40.0 + 6.6 * label.len() as f64;
    }
    svg.0 + "</svg>\n"
}

/// Formats a time in seconds or milliseconds with three digits.
fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 10.0 => format!("{s:.2} s"),
        s => format!("{s:.1} s"),
    }
}

/// A logarithmic axis that starts and ends at a tick.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values
            .fold((1.0_f64, 10.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        // Leaves room for the label after the longest bar.
        Self { from: (least * 0.9).min(0.8), to: most * 1.5 }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + WIDTH * (value / self.from).ln() / (self.to / self.from).ln()
    }

    /// Returns the ticks 1, 2, 5, 10, 20, ...
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let powers = (-3..6).map(|power| 10_f64.powi(power));
        let ticks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power));
        ticks.filter(|tick| (self.from..=self.to).contains(tick))
    }
}

struct Svg(String);

impl Svg {
    fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        self.element(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
        ));
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), (stroke, width): (&str, f64)) {
        self.element(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\" \
             stroke-width=\"{width}\"/>"
        ));
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, (fill, style): (&str, &str), text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.element(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{fill}\" {style}>{text}</text>"
        ));
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("a string takes all");
    }
}
