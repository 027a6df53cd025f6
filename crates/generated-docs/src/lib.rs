//! Keeps tables in documents equal to the code they are about. For tests only: each deployable's test hands over what
//! the code says; the test fails where a document says something else, and `make docs` writes the document anew.

use std::fmt::Write as _;
use std::path::Path;

use types::{Metric, MetricLabel};

/// The variable that turns the check into a rewrite.
const UPDATE: &str = "YAKS_UPDATE_DOCS";

/// A Markdown table of a program's settings: variable, default, what it does.
pub fn settings_table(command: &clap::Command) -> String {
    let mut table = String::from("| variable | default | what it does |\n| --- | --- | --- |\n");
    let settings = command
        .get_arguments()
        .filter_map(|arg| Some((arg, arg.get_env()?.to_str()?)));
    for (arg, variable) in settings {
        let default = arg
            .get_default_values()
            .first()
            .map(|value| value.to_string_lossy())
            .unwrap_or_default();
        let help = arg
            .get_long_help()
            .or_else(|| arg.get_help())
            .map(ToString::to_string)
            .unwrap_or_default();
        let default = if default.is_empty() {
            "empty".to_owned()
        } else {
            format!("`{default}`")
        };
        let help = help
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|");
        writeln!(table, "| `{variable}` | {default} | {help} |").expect("a String takes all");
    }
    table
}

/// A Markdown table of metrics: name, type, unit, labels, what it says.
pub fn metrics_table(metrics: &[Metric]) -> String {
    let mut table = String::from("| metric | type | unit | labels | what it says |\n| --- | --- | --- | --- | --- |\n");
    for metric in metrics {
        let labels: Vec<String> = metric.labels.iter().map(label_cell).collect();
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind.name(),
            metric.unit.name(),
            labels.join("; "),
            metric.help
        )
        .expect("a String takes all");
    }
    table
}

/// A label and its values; a long list of names is left to the code.
fn label_cell(label: &MetricLabel) -> String {
    const NAMED_MAX: usize = 9;
    let named = label.at_start.iter().take(NAMED_MAX).map(|value| format!("`{value}`"));
    let mut values: Vec<String> = named.collect();
    match label.at_start.len().saturating_sub(NAMED_MAX) {
        0 => {}
        more => values.push(format!("{more} more")),
    }
    values.extend(label.later.map(|bound| format!("then {bound}")));
    format!("`{}`: {}", label.name, values.join(", "))
}

/// Checks that the part of `document` between `<!-- section:begin -->` and `<!-- section:end -->` is `expected`.
/// `document` is a path from the workspace's root.
///
/// # Panics
/// Where it is not, with what to do about it.
#[track_caller]
pub fn check(document: &str, section: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
    let (begin, end) = (format!("<!-- {section}:begin -->\n"), format!("<!-- {section}:end -->"));
    let start = text.find(&begin).unwrap_or_else(|| panic!("{document} has no {begin}")) + begin.len();
    let stop = start
        + text[start..]
            .find(&end)
            .unwrap_or_else(|| panic!("{document} has no {end}"));
    if &text[start..stop] == expected {
        return;
    }
    assert!(
        std::env::var_os(UPDATE).is_some(),
        "{document} is out of date in section `{section}`: run `make docs`"
    );
    let updated = format!("{}{expected}{}", &text[..start], &text[stop..]);
    std::fs::write(&path, updated).unwrap_or_else(|error| panic!("{document}: {error}"));
}
