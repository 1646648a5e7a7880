//! Heat map of the correlations, with a colour scale.
#![forbid(unsafe_code)]

use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::picture::{Area, CENTER, Drawn, INK, LEFT, heading, text};
use crate::report::decimal;

const RIGHT: Pos = Pos { h_pos: HPos::Right, v_pos: VPos::Center };

/// Colours of -1, 0 and 1.
const SCALE: [(f64, f64, f64); 3] =
    [(33.0, 102.0, 172.0), (247.0, 247.0, 247.0), (178.0, 24.0, 43.0)];
const UNKNOWN: RGBColor = RGBColor(217, 217, 217);

/// Position and size of the cells and the scale in the panel, in pixels.
const CELLS: (i32, i32) = (84, 46);
const SIDE: i32 = 340;
const BAR: (i32, i32) = (CELLS.0 + SIDE + 36, 20);
const STEPS: i32 = 100;

pub(crate) fn draw(area: &Area<'_>, sample: &[usize], correlation: &Array2<f64>) -> Drawn {
    heading(area, "Pearson correlation of sensors")?;
    let edge = |cell: usize| SIDE * cell as i32 / sample.len() as i32;
    let middle = |cell: usize| (edge(cell) + edge(cell + 1)) / 2;
    for ((row, column), &value) in correlation.indexed_iter() {
        let corners = [
            (CELLS.0 + edge(column), CELLS.1 + edge(row)),
            (CELLS.0 + edge(column + 1) - 2, CELLS.1 + edge(row + 1) - 2),
        ];
        area.draw(&Rectangle::new(corners, color(value).filled()))?;
        let ink = if value.abs() > 0.6 { WHITE } else { INK };
        let at = (CELLS.0 + middle(column) - 1, CELLS.1 + middle(row) - 1);
        area.draw(&Text::new(decimal(value, 3), at, text(16).color(&ink).pos(CENTER)))?;
    }
    for (cell, sensor) in sample.iter().enumerate() {
        let (left, below) = (CELLS.0 - 8, CELLS.1 + SIDE + 14);
        area.draw(&Text::new(
            sensor.to_string(),
            (left, CELLS.1 + middle(cell)),
            text(15).pos(RIGHT),
        ))?;
        area.draw(&Text::new(
            sensor.to_string(),
            (CELLS.0 + middle(cell), below),
            text(15).pos(CENTER),
        ))?;
    }
    let upright = text(16).transform(FontTransform::Rotate270).pos(CENTER);
    area.draw(&Text::new(
        "sensor (number)",
        (CELLS.0 + SIDE / 2, CELLS.1 + SIDE + 38),
        text(16).pos(CENTER),
    ))?;
    area.draw(&Text::new("sensor (number)", (CELLS.0 - 46, CELLS.1 + SIDE / 2), upright.clone()))?;
    scale(area)?;
    area.draw(&Text::new(
        "correlation (no unit)",
        (BAR.0 + BAR.1 + 62, CELLS.1 + SIDE / 2),
        upright,
    ))
}

/// Draws the colour scale, from 1 at the top to -1.
fn scale(area: &Area<'_>) -> Drawn {
    let height = |value: f64| CELLS.1 + ((1.0 - value) / 2.0 * f64::from(SIDE)) as i32;
    for step in 0..STEPS {
        let value = |step: i32| 1.0 - 2.0 * f64::from(step) / f64::from(STEPS);
        let corners = [(BAR.0, height(value(step))), (BAR.0 + BAR.1, height(value(step + 1)))];
        area.draw(&Rectangle::new(corners, color(value(step)).filled()))?;
    }
    for value in [1.0, 0.5, 0.0, -0.5, -1.0] {
        let (end, height) = (BAR.0 + BAR.1, height(value));
        area.draw(&PathElement::new([(end, height), (end + 5, height)], INK))?;
        area.draw(&Text::new(format!("{value:.1}"), (end + 9, height), text(15).pos(LEFT)))?;
    }
    Ok(())
}

fn color(value: f64) -> RGBColor {
    if value.is_nan() {
        return UNKNOWN;
    }
    let [negative, none, positive] = SCALE;
    let ((r, g, b), share) = (if value < 0.0 { negative } else { positive }, value.abs().min(1.0));
    let blend = |from: f64, to: f64| (from + (to - from) * share).round() as u8;
    RGBColor(blend(none.0, r), blend(none.1, g), blend(none.2, b))
}
