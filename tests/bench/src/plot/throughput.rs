//! Jobs per second and latency over the jobs in flight, a series for each way.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Area, BLUE, GRAY, GRAY_LIGHT, GREEN, INK, ORANGE, PURPLE, failed, style};
use crate::measured::Measured;
use crate::report::Results;
use crate::way::Way;

/// The size of the plot of a stack, in pixels.
const SIZE: (u32, u32) = (1_000, 400);

/// The sizes of titles, of labels and of the numbers at bars and points, in pixels.
const TEXT: (i32, i32, i32) = (16, 13, 12);

/// The color of each way, by its place among them; more ways than colors share them.
const COLORS: [RGBColor; 4] = [BLUE, ORANGE, GREEN, PURPLE];

/// How much of the width of a group of bars is left free.
const GAP: f64 = 0.24;

/// Throughput on the left, latency on the right, over the jobs in flight; a series for each way.
///
/// # Errors
/// It can't be drawn.
pub fn throughput(results: &Results) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let (left, right) = area.split_horizontally(SIZE.0 / 2);
        let series = Series::of(results);
        paces(&left, &series)?;
        latencies(&right, &series)?;
        area.present().map_err(failed)?;
    }
    Ok(svg + "\n")
}

/// The runs with jobs in flight, by way.
struct Series<'a> {
    runs: Vec<&'a Measured>,
    ways: Vec<Way>,
    loads: Vec<usize>,
}

impl<'a> Series<'a> {
    fn of(results: &'a Results) -> Self {
        let runs = results.in_flight();
        let mut ways: Vec<Way> = runs.iter().map(|run| run.way).collect();
        let mut loads: Vec<usize> = runs.iter().map(|run| run.in_flight).collect();
        ways.sort_unstable();
        ways.dedup();
        loads.sort_unstable();
        loads.dedup();
        Self { runs, ways, loads }
    }

    fn run(&self, way: Way, load: usize) -> Option<&'a Measured> {
        self.runs.iter().find(|run| run.way == way && run.in_flight == load).copied()
    }

    fn color(&self, way: Way) -> RGBColor {
        let place = self.ways.iter().position(|known| *known == way).unwrap_or_default();
        COLORS[place % COLORS.len()]
    }

    fn load_at(&self, x: f64) -> String {
        let is_middle = (x.fract() - 0.5).abs() < 0.01;
        let load = is_middle.then(|| self.loads.get(x as usize)).flatten();
        load.map_or_else(String::new, ToString::to_string)
    }
}

fn paces(area: &Area<'_>, series: &Series<'_>) -> Result<()> {
    // Room for the legend above the bars, a line for each way.
    let room = 1.2 + 0.12 * series.ways.len() as f64;
    let most = series.runs.iter().map(|run| run.jobs_per_second()).fold(1.0, f64::max) * room;
    let mut chart = ChartBuilder::on(area)
        .caption("jobs per second", style(TEXT.0, INK, HPos::Left, VPos::Top))
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(46)
        .build_cartesian_2d(0.0..series.loads.len().max(1) as f64, 0.0..most)
        .map_err(failed)?;
    axes(&mut chart, series, &|y| format!("{y:.0}"))?;
    let width = (1.0 - GAP) / series.ways.len().max(1) as f64;
    for (place, way) in series.ways.iter().enumerate() {
        let color = series.color(*way);
        let runs = series.loads.iter().enumerate().filter_map(|(at, load)| Some((at, series.run(*way, *load)?)));
        let bars = runs.map(|(at, run)| {
            let from = at as f64 + GAP / 2.0 + width * place as f64;
            ((from, from + width * 0.94), run.jobs_per_second())
        });
        let bars: Vec<_> = bars.collect();
        let drawn =
            bars.iter().map(|((from, to), height)| Rectangle::new([(*from, 0.0), (*to, *height)], color.filled()));
        let series = chart.draw_series(drawn).map_err(failed)?;
        series.label(way.name()).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        let numbers = bars.iter().map(|((from, to), height)| {
            let text = style(TEXT.2, INK, HPos::Center, VPos::Bottom);
            let number = if *height < 10.0 { format!("{height:.1}") } else { format!("{height:.0}") };
            EmptyElement::at((f64::midpoint(*from, *to), *height)) + Text::new(number, (0, -3), text)
        });
        chart.draw_series(numbers).map_err(failed)?;
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

fn latencies(area: &Area<'_>, series: &Series<'_>) -> Result<()> {
    let all = || series.runs.iter().flat_map(|run| [run.p50_ms, run.p99_ms]).filter(|ms| *ms > 0.0);
    let (least, most) = (all().fold(f64::MAX, f64::min).min(1e6), all().fold(1.0, f64::max));
    let mut chart = ChartBuilder::on(area)
        .caption("ms from submission to the last step", style(TEXT.0, INK, HPos::Left, VPos::Top))
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(54)
        .build_cartesian_2d(0.0..series.loads.len().max(1) as f64, (least * 0.25..most * 1.6).log_scale())
        .map_err(failed)?;
    axes(&mut chart, series, &|y| if *y < 1.0 { format!("{y:.1}") } else { format!("{y:.0}") })?;
    type Of = fn(&Measured) -> f64;
    let quantiles: [(&str, Of, bool); 2] = [("p50", |run| run.p50_ms, true), ("p99", |run| run.p99_ms, false)];
    for way in &series.ways {
        let color = series.color(*way);
        for (name, of, is_filled) in quantiles {
            let runs = series.loads.iter().enumerate().filter_map(|(at, load)| Some((at, series.run(*way, *load)?)));
            let points: Vec<(f64, f64)> = runs.map(|(at, run)| (at as f64 + 0.5, of(run))).collect();
            let fill = if is_filled { color.filled() } else { WHITE.filled() };
            let line = if is_filled { color.stroke_width(2) } else { color.mix(0.55).stroke_width(1) };
            let drawn = chart.draw_series([PathElement::new(points.clone(), line)]).map_err(failed)?;
            drawn.label(format!("{name} {}", way.name())).legend(move |(x, y)| {
                EmptyElement::at((x, y))
                    + PathElement::new([(0, 0), (18, 0)], line)
                    + Circle::new((9, 0), 4, fill)
                    + Circle::new((9, 0), 4, color.stroke_width(1))
            });
            let dots = points.iter().map(|at| EmptyElement::at(*at) + Circle::new((0, 0), 4, fill));
            chart.draw_series(dots).map_err(failed)?;
            let rims = points.iter().map(|at| EmptyElement::at(*at) + Circle::new((0, 0), 4, color.stroke_width(1)));
            chart.draw_series(rims).map_err(failed)?;
        }
    }
    // Latency grows with the load: below the curves on the right there is room.
    legend(&mut chart, SeriesLabelPosition::LowerRight)
}

type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>;

fn axes<Y>(chart: &mut Chart<'_, '_, Y>, series: &Series<'_>, y: &dyn Fn(&f64) -> String) -> Result<()>
where
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRAY_LIGHT)
        .light_line_style(WHITE)
        .axis_style(GRAY)
        .label_style(style(TEXT.1, INK, HPos::Center, VPos::Center))
        // A label in the middle of each group.
        .x_labels(series.loads.len() * 2 + 1)
        .x_label_formatter(&|x| series.load_at(*x))
        .x_desc("jobs in flight")
        .y_label_formatter(y)
        .axis_desc_style(style(TEXT.1, INK, HPos::Center, VPos::Center))
        .draw()
        .map_err(failed)
}

fn legend<'a, 'b: 'a, Y>(chart: &mut Chart<'a, 'b, Y>, position: SeriesLabelPosition) -> Result<()>
where
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(position)
        .margin(6)
        .legend_area_size(22)
        .background_style(WHITE.mix(0.85))
        .label_font(style(TEXT.1, INK, HPos::Left, VPos::Center))
        .draw()
        .map_err(failed)
}
