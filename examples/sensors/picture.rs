//! The picture: the course of one sensor, its distribution, and the correlation of a few.

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
use crate::report::{decimal, grouped};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

const SIZE: (u32, u32) = (1200, 940);
const HEADER: u32 = 56;
const COURSE_HEIGHT: u32 = 420;

pub(crate) const INK: RGBColor = RGBColor(38, 38, 38);
const GRID: RGBColor = RGBColor(232, 232, 232);
const AXIS: RGBColor = RGBColor(120, 120, 120);
const READINGS: RGBColor = RGBColor(76, 120, 168);
const ANOMALIES: RGBColor = RGBColor(214, 39, 40);
const LIMITS: RGBColor = RGBColor(245, 133, 24);

/// Draws the picture of the first sensor. An older picture stays until the new one is complete.
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
        // What it held is of no use to anyone.
        let _ = fs::remove_file(&part);
        files::at("write the picture", path)(error).into()
    })
}

fn draw(root: &Area<'_>, portrait: &Portrait, sample: &[usize], correlation: &Array2<f64>) -> Drawn {
    root.fill(&WHITE)?;
    let (header, panels) = root.split_vertically(HEADER);
    let title = format!("Sensor readings, calibrated: sensor 0, {} readings", grouped(portrait.readings as u64));
    header.draw(&Text::new(title, (24, 32), text(26, HPos::Left, VPos::Center)))?;
    let (upper, lower) = panels.split_vertically(COURSE_HEIGHT);
    course(&upper, portrait)?;
    let (left, right) = lower.split_horizontally(SIZE.0 / 2);
    distribution(&left, portrait)?;
    heat_map::draw(&right, sample, correlation)?;
    root.present()
}

/// Reading by reading, with the limits and what lies beyond them.
fn course(area: &Area<'_>, portrait: &Portrait) -> Drawn {
    let (low, high) = portrait.range.unwrap_or((0.0, 1.0));
    let temperatures = padded(low, high);
    let mut chart = ChartBuilder::on(area)
        .caption("Course and anomalies", caption())
        .margin_left(14)
        .margin_right(28)
        .x_label_area_size(48)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..portrait.readings as f64, temperatures.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .label_style(text(15, HPos::Left, VPos::Top))
        .axis_desc_style(text(16, HPos::Left, VPos::Top))
        .x_desc("reading (number)")
        .y_desc("temperature (°F)")
        .x_label_formatter(&|&reading| grouped(reading as u64))
        .y_label_formatter(&|&temperature| tick(temperature, &temperatures))
        .draw()?;

    let points = portrait.course.iter().flat_map(|column| {
        let (low, high) = (column.low, column.high);
        let (first, second) = if low.0 < high.0 { (low, high) } else { (high, low) };
        [first, second].map(|(reading, temperature)| (reading as f64, f64::from(temperature)))
    });
    chart.draw_series(LineSeries::new(points, READINGS))?;
    for limit in limits(portrait).into_iter().filter(|limit| temperatures.contains(limit)) {
        let line = [(0.0, limit), (portrait.readings as f64, limit)];
        chart.draw_series(DashedLineSeries::new(line, 8, 5, LIMITS.stroke_width(2)))?;
    }
    let marks = portrait.anomalies().map(|(reading, temperature)| (reading as f64, f64::from(temperature)));
    chart.draw_series(marks.map(|mark| Circle::new(mark, 3, ANOMALIES.filled())))?;
    legend(area)
}

/// What the lines and marks of the course are.
fn legend(area: &Area<'_>) -> Drawn {
    let entries = [("readings", READINGS), ("anomalies", ANOMALIES), ("mean ± 3 std", LIMITS)];
    for (place, (name, colour)) in entries.into_iter().enumerate() {
        let x = SIZE.0 as i32 - 440 + 140 * place as i32;
        area.draw(&Rectangle::new([(x, 18), (x + 14, 26)], colour.filled()))?;
        area.draw(&Text::new(name, (x + 20, 22), text(15, HPos::Left, VPos::Center)))?;
    }
    Ok(())
}

/// How often each temperature occurs.
fn distribution(area: &Area<'_>, portrait: &Portrait) -> Drawn {
    let (low, high) = portrait.range.unwrap_or((0.0, 1.0));
    let temperatures = padded(low, high);
    let width = (high - low) / portrait.bars.len() as f64;
    // If all readings are the same, their one bar still has to be seen.
    let width = if width > 0.0 { width } else { (temperatures.end - temperatures.start) / 20.0 };
    let highest = portrait.bars.iter().copied().max().unwrap_or(0).max(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption("Distribution", caption())
        .margin_left(14)
        .margin_right(20)
        .margin_bottom(10)
        .x_label_area_size(48)
        .y_label_area_size(70)
        .build_cartesian_2d(temperatures.clone(), 0.0..highest * 1.05)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(8)
        .label_style(text(15, HPos::Left, VPos::Top))
        .axis_desc_style(text(16, HPos::Left, VPos::Top))
        .x_desc("temperature (°F)")
        .y_desc("readings (count)")
        .x_label_formatter(&|&temperature| tick(temperature, &temperatures))
        .y_label_formatter(&|&count| grouped(count as u64))
        .draw()?;
    let bars = portrait.bars.iter().enumerate().map(|(number, &count)| {
        let left = low + number as f64 * width;
        Rectangle::new([(left, 0.0), (left + width * 0.9, count as f64)], READINGS.filled())
    });
    chart.draw_series(bars)?;
    for limit in limits(portrait).into_iter().filter(|limit| temperatures.contains(limit)) {
        chart.draw_series(DashedLineSeries::new([(limit, 0.0), (limit, highest)], 8, 5, LIMITS.stroke_width(2)))?;
    }
    Ok(())
}

/// The limits beyond which readings are anomalies.
fn limits(portrait: &Portrait) -> [f64; 2] {
    let limits = portrait.limits;
    [limits.mean - limits.three_std, limits.mean + limits.three_std]
}

/// A range with some room around it, never empty.
fn padded(low: f64, high: f64) -> Range<f64> {
    let room = ((high - low) * 0.05).max(low.abs().max(high.abs()) * 1e-3).max(1e-3);
    low - room..high + room
}

/// The label of a tick, with as many digits as tell it from its neighbours.
fn tick(value: f64, range: &Range<f64>) -> String {
    let step = (range.end - range.start) / 10.0;
    decimal(value, (-step.log10()).ceil().clamp(0.0, 6.0) as usize)
}

pub(crate) fn caption() -> TextStyle<'static> {
    text(19, HPos::Left, VPos::Top)
}

pub(crate) fn text(size: i32, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size)).color(&INK).pos(Pos::new(horizontal, vertical))
}
