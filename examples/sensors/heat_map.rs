//! The correlation matrix as a heat map, with its values and a scale.

use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::picture::{Area, Drawn, INK, caption, text};
use crate::report::decimal;

const LEFT: i32 = 110;
const TOP: i32 = 50;
const SIDE: i32 = 330;
const SCALE_WIDTH: i32 = 18;

/// Draws the correlations of the sensors named.
pub(crate) fn draw(area: &Area<'_>, sample: &[usize], correlation: &Array2<f64>) -> Drawn {
    let middle = LEFT + SIDE / 2;
    let anchor = |text: TextStyle<'static>| TextStyle { pos: centred(), ..text };
    area.draw(&Text::new("Correlation of sensors (Pearson)", (middle, 26), anchor(caption())))?;
    let cell = SIDE / sample.len().max(1) as i32;
    for ((row, column), &value) in correlation.indexed_iter() {
        let (x, y) = (LEFT + column as i32 * cell, TOP + row as i32 * cell);
        area.draw(&Rectangle::new([(x, y), (x + cell - 2, y + cell - 2)], colour(value).filled()))?;
        let ink = if value.abs() > 0.6 { WHITE } else { INK };
        let style = text(15, HPos::Center, VPos::Center).color(&ink);
        area.draw(&Text::new(decimal(value, 3), (x + cell / 2, y + cell / 2), style))?;
    }
    for (place, sensor) in sample.iter().enumerate() {
        let at = place as i32 * cell + cell / 2;
        let below = text(15, HPos::Center, VPos::Center);
        area.draw(&Text::new(sensor.to_string(), (LEFT + at, TOP + SIDE + 12), below))?;
        let beside = text(15, HPos::Right, VPos::Center);
        area.draw(&Text::new(sensor.to_string(), (LEFT - 10, TOP + at), beside))?;
    }
    area.draw(&Text::new("sensor (number)", (middle, TOP + SIDE + 36), text(16, HPos::Center, VPos::Center)))?;
    let upright = text(16, HPos::Center, VPos::Center).transform(FontTransform::Rotate270);
    area.draw(&Text::new("sensor (number)", (LEFT - 60, TOP + SIDE / 2), upright))?;
    scale(area)
}

/// Which colour is which correlation, from 1 above to -1 below.
fn scale(area: &Area<'_>) -> Drawn {
    let x = LEFT + SIDE + 24;
    for y in 0..SIDE {
        let value = 1.0 - 2.0 * f64::from(y) / f64::from(SIDE - 1);
        area.draw(&Rectangle::new([(x, TOP + y), (x + SCALE_WIDTH, TOP + y + 1)], colour(value).filled()))?;
    }
    for (step, name) in ["1.0", "0.5", "0.0", "-0.5", "-1.0"].into_iter().enumerate() {
        let y = TOP + step as i32 * (SIDE - 1) / 4;
        area.draw(&Text::new(name, (x + SCALE_WIDTH + 8, y), text(14, HPos::Left, VPos::Center)))?;
    }
    Ok(())
}

fn centred() -> plotters::style::text_anchor::Pos {
    plotters::style::text_anchor::Pos::new(HPos::Center, VPos::Center)
}

/// Blue for -1, white for 0, red for 1, grey for NaN.
fn colour(value: f64) -> RGBColor {
    if value.is_nan() {
        return RGBColor(200, 200, 200);
    }
    let (strong, share) = if value < 0.0 { ((33, 102, 172), -value) } else { ((178, 24, 43), value) };
    let blend = |end: u8| (255.0 + (f64::from(end) - 255.0) * share.min(1.0)).round() as u8;
    RGBColor(blend(strong.0), blend(strong.1), blend(strong.2))
}
