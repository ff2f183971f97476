//! The plots, as SVG.

mod throughput;
mod waterfall;

use anyhow::anyhow;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use throughput::throughput;
pub use waterfall::waterfall;

const BLUE: RGBColor = RGBColor(31, 87, 148);
const ORANGE: RGBColor = RGBColor(217, 119, 6);
const GREEN: RGBColor = RGBColor(22, 128, 92);
const PURPLE: RGBColor = RGBColor(126, 58, 142);
const GRAY: RGBColor = RGBColor(120, 120, 120);
const GRAY_LIGHT: RGBColor = RGBColor(228, 228, 228);
const INK: RGBColor = RGBColor(40, 40, 40);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Text of this size, placed by this corner or edge.
fn style(size: i32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color).pos(Pos::new(h, v))
}

fn failed(error: impl core::fmt::Debug) -> anyhow::Error {
    anyhow!("the plot can't be drawn: {error:?}")
}
