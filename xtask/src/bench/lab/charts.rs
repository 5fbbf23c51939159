//! Pictures of the figures, as SVG: one line a contender.
//!
//! They have no background, and colours that stand out from white and from black alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use plotters::prelude::*;
use plotters::series::LineSeries;

use super::run::Run;
use super::scenarios::{CAPACITY_STEPS, Contender, Group, group};
use super::summary::Cell;
use crate::bench::statistics::median;

const SIZE: (u32, u32) = (760, 400);
const TEXT: RGBColor = RGBColor(0x7a, 0x7a, 0x7a);
const GRID: RGBAColor = RGBAColor(0x7a, 0x7a, 0x7a, 0.35);
/// Told apart by people who are colour-blind too (ColorBrewer's Dark2).
const fn colour(contender: Contender) -> RGBColor {
    match contender {
        Contender::Native => RGBColor(0x1b, 0x9e, 0x77),
        Contender::Mixed => RGBColor(0x75, 0x70, 0xb3),
        Contender::Chromium => RGBColor(0xd9, 0x5f, 0x02),
    }
}
/// Of delay over time: a median of each piece.
const PIECE_S: f64 = 0.5;

/// What a chart shows.
struct Chart {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    lines: Vec<Line>,
    /// Where something changes: from then on, what.
    marks: Vec<(f64, &'static str)>,
    /// Whether each point is one that was measured, and is shown as such.
    has_points: bool,
}

struct Line {
    contender: Contender,
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// Draws the charts of a group that has any, where there is something to draw.
///
/// # Errors
/// Where a file cannot be written.
pub(super) fn write(runs: &[Run], group: &Group, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (name, chart) = match group.name {
        "capacity" => ("delay-over-time.svg", delay_over_time(runs)),
        "loss" => ("frozen-by-loss.svg", by_place(runs, group, "frozen_share", 100.0, FROZEN)),
        "mesh" => ("cpu-by-peers.svg", by_place(runs, group, "process_cpu_cores", 1.0, CPU)),
        _ => return Ok(Vec::new()),
    };
    if chart.lines.is_empty() {
        return Ok(Vec::new());
    }
    std::fs::create_dir_all(folder)?;
    let path = folder.join(name);
    std::fs::write(&path, draw(&chart)?)?;
    Ok(vec![path])
}

const FROZEN: [&str; 3] = ["Time frozen while packets are lost at random", "packets lost, %", "of the time frozen, %"];
const CPU: [&str; 3] = ["Processor of one member in a room", "members", "cores"];

fn delay_over_time(runs: &[Run]) -> Chart {
    let title = "Picture delay on a link of 1, then 2.8, then 0.6 Mbit/s";
    let mut chart =
        Chart { title, x: "time, s", y: "delay, ms", lines: Vec::new(), marks: Vec::new(), has_points: false };
    let Some(group) = group("capacity") else { return chart };
    for contender in Contender::ALL {
        let cell = Cell::of(runs, group, CAPACITY_STEPS, contender);
        // Those of both ends, whose series differ in their names' endings.
        let series = cell.valid().iter().flat_map(|run| &run.series);
        let points =
            in_pieces(series.filter(|(name, _)| name.starts_with("video_delay_ms")).flat_map(|(_, points)| points));
        if !points.is_empty() {
            chart.lines.push(Line { contender, name: (group.word)(contender), points });
        }
    }
    // Steps are those of the runs, which may be shorter than the table's.
    let wanted = runs.iter().find(|run| run.scenario == CAPACITY_STEPS).map(|run| run.wanted()["steps"].clone());
    let words = ["2.8 Mbit/s", "0.6 Mbit/s"];
    let times = wanted.iter().filter_map(|steps| steps.as_array()).flatten().filter_map(|step| step[0].as_f64());
    chart.marks = times.zip(words).collect();
    chart
}

fn in_pieces<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Vec<(f64, f64)> {
    let mut pieces: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (at, value) in points {
        pieces.entry((at / PIECE_S).floor() as i64).or_default().push(*value);
    }
    let point = |(piece, values): (i64, Vec<f64>)| Some(((piece as f64 + 0.5) * PIECE_S, median(values)?));
    pieces.into_iter().filter_map(point).collect()
}

fn by_place(runs: &[Run], group: &Group, metric: &str, scale: f64, [title, x, y]: [&'static str; 3]) -> Chart {
    let line = |contender: &Contender| {
        let point = |scenario: &super::scenarios::Scenario| {
            let estimate = Cell::of(runs, group, scenario.name, *contender).estimate(metric)?;
            Some((scenario.place?, estimate.median * scale))
        };
        let points: Vec<_> = group.scenarios.iter().filter_map(point).collect();
        (!points.is_empty()).then_some(Line { contender: *contender, name: (group.word)(*contender), points })
    };
    let lines = Contender::ALL.iter().filter_map(line).collect();
    Chart { title, x, y, lines, marks: Vec::new(), has_points: true }
}

fn draw(chart: &Chart) -> anyhow::Result<String> {
    let mut svg = String::new();
    // The errors of a backend that writes into a string have no cause worth keeping.
    draw_into(&mut svg, chart).map_err(|error| anyhow!("“{}” could not be drawn: {error}", chart.title))?;
    Ok(svg)
}

fn draw_into(svg: &mut String, chart: &Chart) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    let (right, top) = (most(|point| point.0).ceil().max(1.0), most(|point| point.1).max(1e-3) * 1.1);
    let left = points().map(|point| point.0).fold(right, f64::min).floor().max(0.0).min(right - 1.0);
    let text = |size: i32| ("sans-serif", size).into_font().color(&TEXT);
    let mut context = ChartBuilder::on(&area)
        .caption(chart.title, text(17))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(left..right, 0.0..top)?;
    context
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(TEXT)
        .label_style(text(14))
        .axis_desc_style(text(15))
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .x_desc(chart.x)
        .y_desc(chart.y)
        .draw()?;
    for (at, words) in chart.marks.iter().filter(|(at, _)| (left..right).contains(at)) {
        context.draw_series(LineSeries::new([(*at, 0.0), (*at, top)], GRID))?;
        context.draw_series([Text::new(*words, (at + (right - left) * 0.008, top * 0.99), text(13))])?;
    }
    for line in &chart.lines {
        let colour = colour(line.contender);
        let drawn = context.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?;
        drawn.label(line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
        if chart.has_points {
            context.draw_series(line.points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
        }
    }
    context.configure_series_labels().label_font(text(15)).position(SeriesLabelPosition::UpperLeft).draw()?;
    area.present()?;
    Ok(())
}

/// As many digits as it takes.
fn short(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::lab::summary::tests::{late, run};

    fn lossy(contender: &str, scenario: &str, share: f64) -> Run {
        run("loss", scenario, contender, json!({"frozen_share": [share]}))
    }

    #[test]
    fn each_contender_has_a_line_through_what_was_measured() {
        let runs = [
            lossy("native-native", "no loss", 0.0),
            lossy("native-native", "30 % at random", 0.25),
            late(lossy("native-native", "10 % at random", 0.9)),
            lossy("chromium-chromium", "30 % at random", 0.5),
            lossy("chromium-chromium", "30 % in bursts of 3", 0.9),
        ];
        let chart = by_place(&runs, group("loss").unwrap(), "frozen_share", 100.0, FROZEN);
        let lines: Vec<_> = chart.lines.iter().map(|line| (line.name, line.points.clone())).collect();
        let native = vec![(0.0, 0.0), (30.0, 25.0)];
        assert_eq!(lines, [("native-native", native), ("chromium-chromium", vec![(30.0, 50.0)])]);
        let svg = draw(&chart).unwrap();
        for wanted in ["native-native", "chromium-chromium", "packets lost, %", "of the time frozen, %", "#1B9E77"] {
            assert!(svg.contains(wanted), "{wanted}: {svg}");
        }
        assert!(!svg.contains("#FFFFFF") && !svg.contains("#000000"), "readable on light and on dark");
    }

    #[test]
    fn delay_over_time_is_a_median_of_each_half_second() {
        let mut steps = run("capacity", CAPACITY_STEPS, "native-native", json!({}));
        steps.whole["result"]["series"] = json!({"video_delay_ms": [[0.1, 10], [0.2, 30], [1.1, 90]], "video_delay_ms_second": [[0.4, 20]], "arrived_kbps": [[0.1, 900]]});
        steps.whole["wanted"]["steps"] = json!([[0.5, "up rate=2.8Mbps"], [1.0, "up rate=600kbps"]]);
        let chart = delay_over_time(&[Run::read(steps.whole)]);
        assert_eq!(chart.lines[0].points, [(0.25, 20.0), (1.25, 90.0)]);
        assert_eq!(chart.marks, [(0.5, "2.8 Mbit/s"), (1.0, "0.6 Mbit/s")]);
        assert!(draw(&chart).unwrap().contains("0.6 Mbit/s"));
    }

    #[test]
    fn nothing_measured_draws_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for group in &super::super::scenarios::GROUPS {
            assert!(write(&[], group, folder.path()).unwrap().is_empty());
        }
        let runs = [lossy("native-native", "no loss", 0.0)];
        let written = write(&runs, group("loss").unwrap(), folder.path()).unwrap();
        assert!(written[0].ends_with("frozen-by-loss.svg") && written[0].exists(), "one point is a chart too");
    }
}
