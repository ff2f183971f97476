//! The calls of one job, one row each.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{BLUE, GRAY, GRAY_LIGHT, GREEN, INK, ORANGE, failed, style};
use crate::counted::EMPTY;
use crate::measured::Measured;
use crate::meter::TimedCall;

/// The width, and the height of one row, in pixels.
const WATERFALL: (u32, u32) = (1_000, 18);

/// The height of what is above and below the rows, in pixels.
const AROUND: u32 = 116;

/// The width of the names on the left, in pixels.
const NAMES: u32 = 210;

/// The sizes of the title and of labels, in pixels.
const TEXT: (i32, i32) = (16, 12);

/// What a color means.
const LEGEND: [(&str, RGBColor); 4] =
    [("table: write", BLUE), ("table: read", GREEN), ("queue: send, delete, hide", ORANGE), ("queue: receive", GRAY)];

/// The calls of one job, a row for each, from the submission on.
///
/// # Errors
/// It can't be drawn.
pub fn waterfall(run: &Measured) -> Result<String> {
    // A poll that waits for the next message says nothing about this one.
    let calls: Vec<&TimedCall> = run.waterfall.iter().filter(|call| call.kind != EMPTY).collect();
    let last = calls.iter().map(|call| call.ended_micros).max().unwrap_or(1) as f64 / 1e3;
    let height = WATERFALL.1 * u32::try_from(calls.len())? + AROUND;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WATERFALL.0, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let title = format!("the calls of one job, {}: {:.1} ms", run.way.name(), run.p50_ms);
        let mut chart = ChartBuilder::on(&area)
            .caption(title, style(TEXT.0, INK, HPos::Left, VPos::Top))
            .margin(14)
            .margin_right(26)
            .x_label_area_size(42)
            .y_label_area_size(NAMES)
            .build_cartesian_2d(0.0..last * 1.01, calls.len() as f64..-1.4)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_y_axis()
            .disable_y_mesh()
            .bold_line_style(GRAY_LIGHT)
            .light_line_style(WHITE)
            .axis_style(GRAY)
            .label_style(style(TEXT.1, INK, HPos::Center, VPos::Center))
            .x_labels(12)
            .x_label_formatter(&|ms| format!("{ms}"))
            .x_desc("ms since the submission")
            .draw()
            .map_err(failed)?;
        let text = style(TEXT.1, INK, HPos::Left, VPos::Center);
        for (place, (name, color)) in LEGEND.into_iter().enumerate() {
            let at = EmptyElement::at((last * (0.01 + 0.23 * place as f64), -0.8));
            let key = at + Rectangle::new([(0, -5), (12, 5)], color.filled()) + Text::new(name, (18, 0), text.clone());
            chart.draw_series(std::iter::once(key)).map_err(failed)?;
        }
        let names = style(TEXT.1, INK, HPos::Right, VPos::Center);
        for (row, call) in calls.into_iter().enumerate() {
            let (row, from, to) = (row as f64, call.began_micros as f64 / 1e3, call.ended_micros as f64 / 1e3);
            let bar = [(from, row + 0.15), (to.max(from + last * 0.002), row + 0.85)];
            chart.draw_series([Rectangle::new(bar, color(&call.kind).filled())]).map_err(failed)?;
            let name = Text::new(format!("{} {}", call.kind, call.target), (-8, 0), names.clone());
            let name = EmptyElement::at((0.0, row + 0.5)) + name;
            chart.draw_series(std::iter::once(name)).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg + "\n")
}

fn color(kind: &str) -> RGBColor {
    match kind.split_once('.') {
        Some(("table", kind)) if kind.starts_with("load") => GREEN,
        Some(("table", _)) => BLUE,
        Some(("queues", "receive")) => GRAY,
        _ => ORANGE,
    }
}
