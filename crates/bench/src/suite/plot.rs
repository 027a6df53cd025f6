//! Latency percentiles as SVG: nines to the right, so that the tail has as much room as the rest. Pure.

use std::fmt::Write as _;

/// A name, and pairs of percentile and latency in ms.
pub type Curve = (String, Vec<(f64, f64)>);

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 48.0;
/// 99.99 is where a run of some hundred thousand records still has something to say.
const NINES_MAX: f64 = 4.0;
const PERCENTILES: [f64; 6] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99];
/// Told apart by people who do not tell red from green (Okabe and Ito 2008).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// 0 for 0 %, 1 for 90 %, 2 for 99 %.
fn nines(percentile: f64) -> f64 {
    (-(1.0 - percentile / 100.0).max(1e-9).log10()).clamp(0.0, NINES_MAX)
}

fn x(percentile: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * nines(percentile) / NINES_MAX
}

fn y(ms: f64, top_ms: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (ms / top_ms).min(1.0)
}

/// The least of 1, 2 and 5 times a power of ten that is not below.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-3).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

/// One picture with all curves.
pub fn svg(title: &str, curves: &[Curve]) -> String {
    let highest = curves
        .iter()
        .flat_map(|(_, points)| points)
        .map(|(_, ms)| *ms)
        .fold(1.0, f64::max);
    let top_ms = round_up(highest);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<title>{title}</title>\n"
    );
    grid(&mut svg, top_ms);
    for ((name, points), (number, colour)) in curves.iter().zip(COLOURS.iter().cycle().enumerate()) {
        let line: Vec<String> = points
            .iter()
            .filter(|(percentile, _)| nines(*percentile) <= NINES_MAX)
            .map(|(percentile, ms)| format!("{:.1},{:.1}", x(*percentile), y(*ms, top_ms)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            line.join(" ")
        );
        let at = TOP + 16.0 * (number as f64 + 1.0);
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{at:.0}\" fill=\"{colour}\">{name}</text>",
            LEFT + 12.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn grid(svg: &mut String, top_ms: f64) {
    const LINES: u32 = 5;
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for line in 0..=LINES {
        let ms = top_ms * f64::from(line) / f64::from(LINES);
        let at = y(ms, top_ms);
        let _ = writeln!(
            svg,
            "<path stroke=\"#ddd\" d=\"M{LEFT} {at:.1}H{right}\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{ms}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    for percentile in PERCENTILES {
        let at = x(percentile);
        let _ = writeln!(
            svg,
            "<path stroke=\"#ddd\" d=\"M{at:.1} {TOP}V{bottom}\"/><text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{percentile}</text>",
            bottom + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">percentile of acks</text><text x=\"8\" y=\"16\">ms</text>",
        f64::midpoint(LEFT, right),
        HEIGHT - 10.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_has_the_same_room() {
        let step = x(99.0) - x(90.0);
        assert!((x(90.0) - x(0.0) - step).abs() < 0.01 && (x(99.9) - x(99.0) - step).abs() < 0.01);
        assert!((x(99.999) - x(99.99)).abs() < 0.01, "what lies further is at the edge");
    }

    #[test]
    fn the_highest_point_fits_below_a_round_number() {
        assert_eq!(
            [0.7, 12.0, 200.0, 450.0, 600.0].map(round_up),
            [1.0, 20.0, 200.0, 500.0, 1000.0]
        );
    }

    #[test]
    fn every_curve_has_a_line_and_a_name() {
        let points = vec![(0.0, 1.0), (99.0, 40.0)];
        let picture = svg(
            "acks",
            &[("one".to_owned(), points.clone()), ("two".to_owned(), points)],
        );
        assert_eq!(picture.matches("<polyline").count(), 2);
        assert!(picture.contains(">one</text>") && picture.contains(">two</text>") && picture.ends_with("</svg>\n"));
    }
}
