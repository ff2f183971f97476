//! The plots, as SVG.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::measure::Measured;
use crate::meter::TimedCall;
use crate::report::{Results, load};

const BLUE_DARK: RGBColor = RGBColor(31, 87, 148);
const ORANGE: RGBColor = RGBColor(217, 119, 6);
const GREEN_DARK: RGBColor = RGBColor(22, 128, 92);
const GRAY: RGBColor = RGBColor(110, 110, 110);

/// The size of the plot of a stack, in pixels.
const SIZE: (u32, u32) = (900, 360);

/// The width of a waterfall, and the height of one of its rows, in pixels.
const WATERFALL: (u32, u32) = (900, 18);

/// Throughput on the left, latency on the right, a bar for each run.
///
/// # Errors
/// It can't be drawn.
pub fn throughput(results: &Results) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let (left, right) = area.split_horizontally(SIZE.0 / 2);
        bars(&left, &format!("jobs/s ({})", results.stack), results, BLUE_DARK, &Measured::jobs_per_second)?;
        bars(&right, "p50 from submission to the last step, ms", results, ORANGE, &|run| run.p50_ms)?;
        area.present().map_err(failed)?;
    }
    Ok(svg + "\n")
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn bars(
    area: &Area<'_>,
    title: &str,
    results: &Results,
    color: RGBColor,
    value: &dyn Fn(&Measured) -> f64,
) -> Result<()> {
    let runs: Vec<&Measured> = results.runs.iter().filter(|run| !run.is_queued).collect();
    let most = runs.iter().map(|run| value(run)).fold(1.0, f64::max) * 1.15;
    let count = runs.len();
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..count as f64, 0.0..most)
        .map_err(failed)?;
    chart.configure_mesh().disable_x_mesh().disable_x_axis().light_line_style(WHITE).draw().map_err(failed)?;
    for (index, run) in runs.into_iter().enumerate() {
        let (at, height) = (index as f64, value(run));
        let bar = Rectangle::new([(at + 0.15, 0.0), (at + 0.85, height)], color.filled());
        chart.draw_series(std::iter::once(bar)).map_err(failed)?;
        let middle = |y: f64, dy: i32, text: String| {
            let style = ("sans-serif", 13).into_text_style(area).pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Bottom,
            ));
            EmptyElement::at((at + 0.5, y)) + Text::new(text, (0, dy), style)
        };
        chart.draw_series(std::iter::once(middle(height, -3, format!("{height:.1}")))).map_err(failed)?;
        chart.draw_series(std::iter::once(middle(0.0, 18, load(run)))).map_err(failed)?;
    }
    Ok(())
}

/// The calls of one job, a row for each, from the submission on.
///
/// # Errors
/// It can't be drawn.
pub fn waterfall(run: &Measured) -> Result<String> {
    // A poll that waits for the next message says nothing about this one.
    let calls: Vec<&TimedCall> = run.waterfall.iter().filter(|call| call.kind != "queues.receive-empty").collect();
    let last = calls.iter().map(|call| call.ended_micros).max().unwrap_or(1) as f64 / 1e3;
    let height = WATERFALL.1 * (u32::try_from(calls.len())? + 4);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WATERFALL.0, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("the calls of one job of {:.1} ms", run.p50_ms), ("sans-serif", 15))
            .margin(10)
            .x_label_area_size(24)
            .build_cartesian_2d(-last * 0.3..last * 1.02, calls.len() as f64..0.0)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_y_axis()
            .disable_y_mesh()
            .x_labels(12)
            .x_label_formatter(&|ms| if *ms < 0.0 { String::new() } else { format!("{ms:.1} ms") })
            .draw()
            .map_err(failed)?;
        for (row, call) in calls.into_iter().enumerate() {
            let (row, from, to) = (row as f64, call.began_micros as f64 / 1e3, call.ended_micros as f64 / 1e3);
            let color = match call.kind.split_once('.') {
                Some(("table", kind)) if kind.starts_with("load") => GREEN_DARK,
                Some(("table", _)) => BLUE_DARK,
                Some(("queues", "receive")) => GRAY,
                _ => ORANGE,
            };
            let bar = Rectangle::new([(from, row + 0.2), (to.max(from + last * 0.002), row + 0.85)], color.filled());
            let name = format!("{} {}", call.kind, call.target);
            let text = Text::new(name, (-last * 0.3, row + 0.2), ("sans-serif", 12));
            chart.draw_series(std::iter::once(bar)).map_err(failed)?;
            chart.draw_series(std::iter::once(text)).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg + "\n")
}

fn failed(error: impl core::fmt::Debug) -> anyhow::Error {
    anyhow!("the plot can't be drawn: {error:?}")
}
