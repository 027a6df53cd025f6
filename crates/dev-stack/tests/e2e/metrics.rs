//! What docs/metrics.md says is what the programs serve.

use std::collections::{BTreeMap, BTreeSet};

use crate::running::Running;

/// A metric as the page or the program has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    kind: String,
    help: String,
}

/// The metrics of one section of docs/metrics.md, by name.
pub(crate) fn documented(section: &str) -> BTreeMap<String, Described> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once(&format!("<!-- {section}:begin -->")).unwrap();
    let (table, _) = table.split_once(&format!("<!-- {section}:end -->")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let metric = |row: &str| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let described = Described {
            kind: cells[1].to_owned(),
            help: cells[4].trim_end_matches(" |").to_owned(),
        };
        (cells[0].trim_end_matches('`').to_owned(), described)
    };
    rows.map(metric).collect()
}

/// What a program serves: the metrics of which there is a line, as they are described there.
fn served(text: &str) -> BTreeMap<String, Described> {
    let told = |word: &str| -> BTreeMap<&str, &str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(word));
        lines.filter_map(|line| line.trim().split_once(' ')).collect()
    };
    let (kinds, helps) = (told("# TYPE"), told("# HELP"));
    let values = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let names: BTreeSet<&str> = values.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let served = kinds.iter().filter(|(name, kind)| match **kind {
        "histogram" => names.contains(format!("{name}_bucket").as_str()),
        _ => names.contains(*name),
    });
    let described = served.map(|(name, kind)| {
        let described = Described {
            kind: (*kind).to_owned(),
            help: helps.get(name).copied().unwrap_or_default().to_owned(),
        };
        ((*name).to_owned(), described)
    });
    described.collect()
}

#[test]
fn programs_serve_from_the_start_the_metrics_that_the_page_lists_and_no_others() {
    let running = Running::start(1, |_| ());
    let ports = running.stack().config().agents[0];
    for (program, port, sections) in [
        (
            "agent",
            ports.admin,
            [
                "metrics:agent",
                "metrics:metastore",
                "metrics:storage",
                "metrics:process",
            ]
            .as_slice(),
        ),
        (
            "sidecar",
            ports.sidecar,
            ["metrics:cache", "metrics:storage", "metrics:process"].as_slice(),
        ),
    ] {
        let expected: BTreeMap<_, _> = sections.iter().flat_map(|section| documented(section)).collect();
        let mut served = served(&running.scrape(port));
        served.retain(|name, _| name.starts_with("yaks_"));
        let names = |metrics: &BTreeMap<String, Described>| metrics.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&served), names(&expected), "of the {program}");
        assert_eq!(served, expected, "of the {program}");
    }
}
