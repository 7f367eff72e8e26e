//! The overload curve as a drawing: text stays text, so no font is needed here and none is embedded.

use std::path::Path;

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::measure::Curves;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const SIZE: (u32, u32) = (840, 760);
const FONT: &str = "sans-serif";
const DONE: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const REFUSED: RGBColor = RGBColor(0xd6, 0x27, 0x28);
const IDEAL: RGBColor = RGBColor(0x8c, 0x8c, 0x8c);

/// What is done, and how long answers take, by what is offered. Draws nothing when that was not measured.
pub(crate) fn overload(curves: &Curves, path: &Path) -> anyhow::Result<()> {
    let Some(done) = curves.get("overload") else { return Ok(()) };
    let refused = curves.get("overload_refused").map_or(&[][..], Vec::as_slice);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(1.0, f64::max) * 1.08;
    let offered = most(&mut done.iter().map(|point| point.0));
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(SIZE.1 / 2);

    let rate = most(&mut done.iter().chain(refused).map(|point| point.1));
    let mut chart = axes(&above, "Offered against done", (offered, "orders/s offered"), (rate, "orders/s"))?;
    let ideal = rate.min(offered);
    chart
        .draw_series(LineSeries::new([(0.0, 0.0), (ideal, ideal)], IDEAL))?
        .label("all that is offered")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], IDEAL));
    line(&mut chart, done.iter().map(|point| (point.0, point.1)).collect(), DONE, "accepted")?;
    line(&mut chart, refused.iter().map(|point| (point.0, point.1)).collect(), REFUSED, "refused with 503")?;
    legend(&mut chart)?;

    let latency = most(&mut done.iter().chain(refused).map(|point| point.2));
    let mut chart = axes(&below, "99 of 100 answers come within", (offered, "orders/s offered"), (latency, "ms"))?;
    line(&mut chart, done.iter().map(|point| (point.0, point.2)).collect(), DONE, "accepted")?;
    line(&mut chart, refused.iter().map(|point| (point.0, point.2)).collect(), REFUSED, "refused with 503")?;
    legend(&mut chart)?;
    root.present()?;
    Ok(())
}

fn axes<'a, 'b>(area: &'a Area<'b>, caption: &str, x: (f64, &str), y: (f64, &str)) -> anyhow::Result<Chart<'a, 'b>> {
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption(caption, (FONT, 18))
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..x.0, 0.0..y.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(x.1)
        .y_desc(y.1)
        .x_label_formatter(&|value| thousands(*value))
        .y_label_formatter(&|value| thousands(*value))
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    Ok(chart)
}

fn line(chart: &mut Chart<'_, '_>, points: Vec<(f64, f64)>, colour: RGBColor, label: &str) -> anyhow::Result<()> {
    chart
        .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
        .label(label)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    Ok(())
}

fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>) -> anyhow::Result<()> {
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).label_font((FONT, 13));
    labels.background_style(WHITE).border_style(IDEAL).draw()?;
    Ok(())
}

/// A number on an axis.
fn thousands(value: f64) -> String {
    if value >= 1_000.0 { crate::report::number(value) } else { format!("{value}") }
}
