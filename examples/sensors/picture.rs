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
use crate::report::grouped;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

const SIZE: (u32, u32) = (1200, 940);
const HEADER: u32 = 56;
const COURSE_HEIGHT: u32 = 430;
const PANEL_TOP: u32 = 46;
const PANEL_LEFT: u32 = 84;

pub(crate) const INK: RGBColor = RGBColor(38, 38, 38);
const GRID: RGBColor = RGBColor(232, 232, 232);
const AXIS: RGBColor = RGBColor(120, 120, 120);
const COURSE: RGBColor = RGBColor(76, 120, 168);
const ANOMALY: RGBColor = RGBColor(214, 39, 40);
const LIMIT: RGBColor = RGBColor(245, 133, 24);

pub(crate) const LEFT: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Center };

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
    header.draw(&Text::new(title, (PANEL_LEFT as i32, 34), text(27).pos(LEFT)))?;
    let (upper, lower) = panels.split_vertically(COURSE_HEIGHT);
    course(&upper, portrait)?;
    let (left, right) = lower.split_horizontally(SIZE.0 / 2);
    distribution(&left, portrait)?;
    heat_map::draw(&right, sample, correlation)?;
    root.present()
}

/// Reading by reading, with the limits and what lies beyond them.
fn course(area: &Area<'_>, portrait: &Portrait) -> Drawn {
    heading(area, "Course, and anomalies beyond three standard deviations")?;
    let temperatures = padded(portrait.range);
    let mut chart = ChartBuilder::on(area)
        .margin_top(PANEL_TOP)
        .margin_right(30)
        .x_label_area_size(50)
        .y_label_area_size(PANEL_LEFT)
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
        .x_label_formatter(&|&reading| tick(reading, portrait.readings as f64))
        .y_label_formatter(&|&temperature| tick(temperature, temperatures.end - temperatures.start))
        .draw()?;

    let points = portrait.course.iter().flat_map(|column| {
        let [first, second] =
            if column.low.0 < column.high.0 { [column.low, column.high] } else { [column.high, column.low] };
        [point(first), point(second)]
    });
    chart.draw_series(LineSeries::new(points, COURSE))?;
    for limit in limits(portrait).filter(|limit| temperatures.contains(limit)) {
        let line = [(0.0, limit), (portrait.readings as f64, limit)];
        chart.draw_series(DashedLineSeries::new(line, 8, 5, LIMIT.stroke_width(2)))?;
    }
    chart.draw_series(portrait.anomalies().map(|mark| Circle::new(point(mark), 3, ANOMALY.filled())))?;

    let (right, line) = (SIZE.0 as i32 - 30, |from, to| [(from, 26), (to, 26)]);
    area.draw(&PathElement::new(line(right - 390, right - 366), COURSE.stroke_width(2)))?;
    area.draw(&Text::new("readings", (right - 360, 26), text(15).pos(LEFT)))?;
    area.draw(&PathElement::new(line(right - 276, right - 266), LIMIT.stroke_width(2)))?;
    area.draw(&PathElement::new(line(right - 261, right - 251), LIMIT.stroke_width(2)))?;
    area.draw(&Text::new("mean ± 3 std", (right - 245, 26), text(15).pos(LEFT)))?;
    area.draw(&Circle::new((right - 122, 26), 3, ANOMALY.filled()))?;
    area.draw(&Text::new("anomalies", (right - 112, 26), text(15).pos(LEFT)))
}

/// How often which temperature was read.
fn distribution(area: &Area<'_>, portrait: &Portrait) -> Drawn {
    heading(area, "Distribution")?;
    let (low, high) = portrait.range.unwrap_or((0.0, 1.0));
    let temperatures = padded(portrait.range);
    let most = portrait.bars.iter().copied().max().unwrap_or(0).max(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin_top(PANEL_TOP)
        .margin_right(20)
        .margin_bottom(14)
        .x_label_area_size(50)
        .y_label_area_size(PANEL_LEFT)
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
        .y_label_formatter(&|&count| tick(count, most))
        .draw()?;

    // Readings that are all the same have a bar all the same.
    let (low, width) = if high > low {
        (low, (high - low) / portrait.bars.len() as f64)
    } else {
        (low - (temperatures.end - temperatures.start) / 100.0, (temperatures.end - temperatures.start) / 50.0)
    };
    let bars = portrait.bars.iter().enumerate().filter(|&(_, &count)| count > 0);
    chart.draw_series(bars.map(|(bar, &count)| {
        let from = low + bar as f64 * width;
        Rectangle::new([(from, 0.0), (from + width, count as f64)], COURSE.filled())
    }))?;
    for limit in limits(portrait).filter(|limit| temperatures.contains(limit)) {
        chart.draw_series(DashedLineSeries::new([(limit, 0.0), (limit, most * 1.08)], 8, 5, LIMIT.stroke_width(2)))?;
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
    area.draw(&Text::new(title.to_owned(), (PANEL_LEFT as i32, 26), text(19).pos(LEFT)))
}

pub(crate) fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// A range with some air, never empty.
fn padded(range: Option<(f64, f64)>) -> Range<f64> {
    let Some((low, high)) = range else { return 0.0..1.0 };
    // Less than this, and the ticks could not be told apart.
    let least = (low.abs().max(high.abs()) * 1e-5).max(1e-3);
    let air = ((high - low) * 0.06).max(least);
    low - air..high + air
}

/// The label of a tick, as exact as the length of its axis asks for.
fn tick(value: f64, length: f64) -> String {
    if length >= 1e7 {
        return format!("{value:.1e}");
    }
    let digits = (1.0 - length.log10().floor()).max(0.0) as usize;
    match value {
        _ if value >= 1000.0 && digits == 0 => grouped(value as u64),
        _ => format!("{value:.digits$}"),
    }
}
