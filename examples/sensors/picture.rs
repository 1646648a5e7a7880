//! Chart of the readings of one sensor, their distribution, and the correlation of some sensors.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use ndarray::Array2;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::files;
use crate::heat_map;
use crate::portrait::Portrait;
use crate::report::grouped;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

const SIZE: (u32, u32) = (1200, 940);
const HEADER: u32 = 56;
const COURSE_HEIGHT: u32 = 430;

/// Margins of the charts and their headings in their panels.
const PANEL_TOP: i32 = 46;
const PANEL_LEFT: i32 = 84;
const PANEL_RIGHT: i32 = 40;
const AIR: i32 = 14;
const HEADING: i32 = 26;

/// Largest number of columns whose readings are also drawn as dots.
const MAX_DOTS: usize = 100;

pub(crate) const INK: RGBColor = RGBColor(38, 38, 38);
const GRID: RGBColor = RGBColor(232, 232, 232);
const AXIS: RGBColor = RGBColor(120, 120, 120);
const COURSE: RGBColor = RGBColor(76, 120, 168);
const ANOMALY: RGBColor = RGBColor(214, 39, 40);
const LIMIT: RGBColor = RGBColor(245, 133, 24);

pub(crate) const CENTER: Pos = Pos { h_pos: HPos::Center, v_pos: VPos::Center };
pub(crate) const LEFT: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Center };

/// Draws the chart of the first sensor. An existing file is replaced by rename.
pub(crate) fn save(
    path: &Path,
    portrait: &Portrait,
    sample: &[usize],
    correlation: &Array2<f64>,
) -> Result<(), Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&root, portrait, sample, correlation)
            .map_err(|error| format!("{}: cannot draw: {error}", path.display()))?;
    }
    let part = path.with_extension("svg.part");
    fs::write(&part, svg).and_then(|()| fs::rename(&part, path)).map_err(|error| {
        // Removes the incomplete file; an error is not reported.
        let _ = fs::remove_file(&part);
        files::at("write the picture", path)(error).into()
    })
}

fn draw(
    root: &Area<'_>,
    portrait: &Portrait,
    sample: &[usize],
    correlation: &Array2<f64>,
) -> Drawn {
    root.fill(&WHITE)?;
    let (header, panels) = root.split_vertically(HEADER);
    header.draw(&Text::new("Calibrated sensor readings", (PANEL_LEFT, 34), text(27).pos(LEFT)))?;
    let (upper, lower) = panels.split_vertically(COURSE_HEIGHT);
    course(&upper, portrait)?;
    let (left, right) = lower.split_horizontally(SIZE.0 / 2);
    distribution(&left, portrait)?;
    heat_map::draw(&right, sample, correlation)?;
    root.present()
}

/// Draws the readings, the limits and the anomalies.
fn course(area: &Area<'_>, portrait: &Portrait) -> Drawn {
    heading(area, "Sensor 0: course and anomalies")?;
    let temperatures = padded(portrait.range);
    let mut chart = ChartBuilder::on(area)
        .margin_top(PANEL_TOP)
        .margin_left(AIR)
        .margin_right(PANEL_RIGHT)
        .x_label_area_size(50)
        .y_label_area_size(PANEL_LEFT - AIR)
        .build_cartesian_2d(0.0..portrait.readings as f64, temperatures.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .label_style(text(15))
        .axis_desc_style(text(16))
        .x_desc("reading (number)")
        .y_desc("temperature (°F)")
        .x_label_formatter(&|&reading| count_tick(reading))
        .y_label_formatter(&|&temperature| tick(temperature, temperatures.end - temperatures.start))
        .draw()?;

    // A polygon along the minima and back along the maxima. If no reading is omitted, it is a line.
    let (lowest, highest) = (
        portrait.course.iter().map(|column| column.low),
        portrait.course.iter().map(|column| column.high),
    );
    let outline: Vec<_> = lowest.chain(highest.rev()).map(point).collect();
    chart.draw_series([Polygon::new(outline.clone(), COURSE.mix(0.4))])?;
    chart.draw_series([PathElement::new(outline.clone(), COURSE)])?;
    if portrait.course.len() <= MAX_DOTS {
        chart.draw_series(outline.into_iter().map(|dot| Circle::new(dot, 2, COURSE.filled())))?;
    }
    for limit in limits(portrait).filter(|limit| temperatures.contains(limit)) {
        let line = [(0.0, limit), (portrait.readings as f64, limit)];
        chart.draw_series(DashedLineSeries::new(line, 8, 5, LIMIT.stroke_width(2)))?;
    }
    chart.draw_series(
        portrait.anomalies().map(|mark| Circle::new(point(mark), 3, ANOMALY.filled())),
    )?;

    if portrait.range.is_none() {
        let middle = (SIZE.0 as i32 / 2, COURSE_HEIGHT as i32 / 2);
        area.draw(&Text::new("no finite readings", middle, text(19).pos(CENTER)))?;
    }
    legend(area)
}

/// Draws the legend above the readings.
fn legend(area: &Area<'_>) -> Drawn {
    let right = SIZE.0 as i32 - PANEL_RIGHT;
    let label = |words: &'static str, from: i32| {
        area.draw(&Text::new(words, (right - from, HEADING), text(15).pos(LEFT)))
    };
    let dash = |from: i32| [(right - from, HEADING), (right - from + 10, HEADING)];
    area.draw(&Rectangle::new(
        [(right - 432, HEADING - 5), (right - 412, HEADING + 5)],
        COURSE.mix(0.4).filled(),
    ))?;
    area.draw(&Rectangle::new([(right - 432, HEADING - 5), (right - 412, HEADING + 5)], COURSE))?;
    label("readings, lowest to highest", 404)?;
    area.draw(&PathElement::new(dash(218), LIMIT.stroke_width(2)))?;
    area.draw(&PathElement::new(dash(203), LIMIT.stroke_width(2)))?;
    label("mean ± 3 std", 186)?;
    area.draw(&Circle::new((right - 80, HEADING), 3, ANOMALY.filled()))?;
    label("anomalies", 70)
}

/// Draws the histogram of the readings.
fn distribution(area: &Area<'_>, portrait: &Portrait) -> Drawn {
    heading(area, "Sensor 0: distribution")?;
    let (low, high) = portrait.range.unwrap_or((0.0, 1.0));
    let temperatures = padded(portrait.range);
    let most = portrait.bars.iter().copied().max().unwrap_or(0).max(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin_top(PANEL_TOP)
        .margin_left(AIR)
        .margin_right(20)
        .margin_bottom(AIR)
        .x_label_area_size(50)
        .y_label_area_size(PANEL_LEFT - AIR)
        .build_cartesian_2d(temperatures.clone(), 0.0..most * 1.08)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .label_style(text(15))
        .axis_desc_style(text(16))
        .x_labels(7)
        .y_labels(7)
        .x_desc("temperature (°F)")
        .y_desc("readings (count)")
        .x_label_formatter(&|&temperature| tick(temperature, temperatures.end - temperatures.start))
        .y_label_formatter(&|&count| count_tick(count))
        .draw()?;

    // Constant readings have an empty range, so their bar gets an explicit width.
    let (low, width) = if high > low {
        (low, (high - low) / portrait.bars.len() as f64)
    } else {
        (
            low - (temperatures.end - temperatures.start) / 100.0,
            (temperatures.end - temperatures.start) / 50.0,
        )
    };
    let bars = portrait.bars.iter().enumerate().filter(|&(_, &count)| count > 0);
    chart.draw_series(bars.map(|(bar, &count)| {
        let from = low + bar as f64 * width;
        Rectangle::new([(from, 0.0), (from + width, count as f64)], COURSE.filled())
    }))?;
    for limit in limits(portrait).filter(|limit| temperatures.contains(limit)) {
        chart.draw_series(DashedLineSeries::new(
            [(limit, 0.0), (limit, most * 1.08)],
            8,
            5,
            LIMIT.stroke_width(2),
        ))?;
    }
    Ok(())
}

fn point((reading, temperature): (usize, f32)) -> (f64, f64) {
    (reading as f64, temperature.into())
}

fn limits(portrait: &Portrait) -> impl Iterator<Item = f64> {
    let limits = portrait.limits;
    [limits.mean - limits.three_std, limits.mean + limits.three_std].into_iter()
}

pub(crate) fn heading(area: &Area<'_>, title: &str) -> Drawn {
    area.draw(&Text::new(title.to_owned(), (PANEL_LEFT, HEADING), text(19).pos(LEFT)))
}

pub(crate) fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// Returns the range with a margin; never empty.
fn padded(range: Option<(f64, f64)>) -> Range<f64> {
    let Some((low, high)) = range else { return 0.0..1.0 };
    // A smaller range would need more digits in the tick labels than fit.
    let least = (low.abs().max(high.abs()) * 1e-3).max(0.1);
    let air = ((high - low) * 0.06).max(least);
    low - air..high + air
}

/// Formats a tick label with a precision that suits the length of the axis.
fn tick(value: f64, length: f64) -> String {
    // Rounding errors can move the tick at zero.
    let value = if value.abs() < length * 1e-9 { 0.0 } else { value };
    let digits = (1.0 - length.log10().floor()).max(0.0) as usize;
    if value.abs() < 1e6 { format!("{value:.digits$}") } else { format!("{value:.1e}") }
}

/// Formats the tick label of a count; empty for fractions.
fn count_tick(value: f64) -> String {
    match value {
        _ if value.fract() != 0.0 => String::new(),
        _ if value >= 1e6 => format!("{}M", value / 1e6),
        _ if value >= 1e4 => format!("{}k", value / 1e3),
        _ => grouped(value as u64),
    }
}
