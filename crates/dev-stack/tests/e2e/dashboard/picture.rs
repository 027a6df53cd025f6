//! The dashboard as a picture, from the answers that its panels got.

use std::fmt::Write as _;

use super::Panel;
use super::prometheus::Line;

const COLUMNS: usize = 3;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 150.0;
const GAP: f64 = 8.0;
/// Room around the curves: for the title, for the names, for numbers.
const TOP: f64 = 26.0;
const BOTTOM: f64 = 22.0;
const LEFT: f64 = 52.0;
/// Names of more letters than these would not fit below a panel.
const LETTERS_MAX: usize = 48;
/// Told apart by people who do not tell red from green (Okabe and Ito 2008).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555",
];

pub(super) fn svg(panels: &[(Panel, Vec<Line>)]) -> String {
    let rows = panels.len().div_ceil(COLUMNS) as f64;
    let (width, height) = (COLUMNS as f64 * (WIDTH + GAP) + GAP, rows * (HEIGHT + GAP) + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"10\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#f4f5f5\"/>\n\
         <title>What Prometheus answered to the panels of localstack/grafana/yaks.json during one run</title>\n"
    );
    let points = || panels.iter().flat_map(|(_, lines)| lines).flat_map(|line| &line.points);
    let time = points().fold((f64::MAX, f64::MIN), |(from, to), (at, _)| (from.min(*at), to.max(*at)));
    for (n, (panel, lines)) in panels.iter().enumerate() {
        let (column, row) = ((n % COLUMNS) as f64, (n / COLUMNS) as f64);
        let (x, y) = (GAP + column * (WIDTH + GAP), GAP + row * (HEIGHT + GAP));
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        draw(&mut svg, panel, lines, time);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel, lines: &[Line], (from, to): (f64, f64)) {
    let points = lines.iter().flat_map(|line| &line.points);
    let top = round_up(points.map(|(_, value)| *value).fold(0.0, f64::max));
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - GAP);
    let x = |at: f64| LEFT + (right - LEFT) * (at - from) / (to - from).max(1.0);
    let y = |value: f64| bottom - (bottom - TOP) * value / top;
    let _ = writeln!(
        svg,
        "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"3\" fill=\"white\" stroke=\"#ddd\"/>\
         <text x=\"8\" y=\"16\" font-size=\"11\" font-weight=\"bold\">{}</text>",
        panel.title
    );
    for share in [0.0, 0.5, 1.0] {
        let at = y(top * share);
        let _ = writeln!(
            svg,
            "<path stroke=\"#e5e5e5\" d=\"M{LEFT} {at:.1}H{right}\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{}</text>",
            LEFT - 5.0,
            at + 3.0,
            in_unit(top * share, &panel.unit)
        );
    }
    let (mut names, mut letters, mut left_out) = (String::new(), 0, 0);
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let drawn: Vec<String> = line
            .points
            .iter()
            .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.2\" points=\"{}\"/>",
            drawn.join(" ")
        );
        letters += line.name.len() + 2;
        if letters > LETTERS_MAX {
            left_out += 1;
        } else {
            let _ = write!(names, "<tspan fill=\"{colour}\" dx=\"6\">{}</tspan>", line.name);
        }
    }
    if left_out > 0 {
        let _ = write!(names, "<tspan dx=\"6\">and {left_out} more</tspan>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"2\" y=\"{:.0}\" font-size=\"9\">{names}</text>",
        HEIGHT - 7.0
    );
}

/// The least of 1, 2 and 5 times a power of ten that is not below; 1 for nothing.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

/// As Grafana writes values of its units.
fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        _ if value == 0.0 => "0".to_owned(),
        "s" if value < 1.0 => format!("{} ms", short(value * 1000.0)),
        "s" => format!("{} s", short(value)),
        "percentunit" => format!("{} %", short(value * 100.0)),
        "currencyUSD" => format!("${}", short(value)),
        "Bps" | "bytes" => {
            let per = if unit == "Bps" { "/s" } else { "" };
            match value {
                value if value >= 1e6 => format!("{} MB{per}", short(value / 1e6)),
                value if value >= 1e3 => format!("{} kB{per}", short(value / 1e3)),
                value => format!("{} B{per}", short(value)),
            }
        }
        "reqps" | "ops" => format!("{} /s", short(value)),
        _ => short(value),
    }
}

/// Three digits, and no more noughts than needed.
fn short(value: f64) -> String {
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
