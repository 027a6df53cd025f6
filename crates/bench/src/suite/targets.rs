//! What is aimed at, and what was found. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What one run of the suite found, by the targets' keys.
pub type Findings = BTreeMap<String, f64>;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// Not above.
    AtMost(f64),
    /// Not below.
    AtLeast(f64),
    /// Told, not judged.
    Told,
}

use Aim::{AtLeast, AtMost, Told};

/// Something that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name in findings.
    pub key: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it is to be.
    pub aim: Aim,
}

const fn target(key: &'static str, what: &'static str, unit: &'static str, aim: Aim) -> Target {
    Target { key, what, unit, aim }
}

/// 1 KiB records in batches of 64 KiB, 100 partitions, `acks=all`, TLS off, S3 latency none unless it is said.
#[rustfmt::skip]
pub const TARGETS: &[Target] = &[
    target("produce.agent_cpu", "agent CPU per GiB produced, inline", "core-s", AtMost(1.0)),
    target("produce.mib_per_s", "produced at full rate, inline", "MiB/s", Told),
    target("produce.generator_cpu", "the generator's own CPU per GiB", "core-s", Told),
    target("fetch.cpu", "agent + sidecar CPU per GiB fetched, warm memory", "core-s", AtMost(1.5)),
    target("fetch.mib_per_s", "fetched at full rate, warm memory", "MiB/s", Told),
    target("event.put", "PUTs per GiB produced, 8 MiB flush, event", "", AtMost(140.0)),
    target("event.get", "GETs of the function per GiB produced, event", "", AtMost(140.0)),
    target("event.list", "LISTs per GiB produced, event", "", AtMost(0.0)),
    target("invoke.put", "PUTs per GiB produced, 8 MiB flush, invoke", "", AtMost(140.0)),
    target("invoke.get", "GETs of the function per GiB produced, invoke", "", AtMost(0.0)),
    target("invoke.list", "LISTs per GiB produced, invoke", "", AtMost(0.0)),
    target("inline.put", "PUTs per GiB produced, 8 MiB flush, inline", "", AtMost(140.0)),
    target("inline.get", "GETs of the function per GiB produced, inline", "", AtMost(0.0)),
    target("inline.list", "LISTs per GiB produced, inline", "", AtMost(0.0)),
    target("tail.get", "GETs per GiB consumed at the tail, 10 groups, 2 agents", "", AtMost(0.0)),
    target("cold.get_per_page", "GETs per page, cold scan, 4 readers", "", AtMost(1.0)),
    target("light.ack_p50", "ack p50, a request each 400 ms, inline", "ms", AtMost(15.0)),
    target("light.end_to_end_p50", "end to end p50, the same", "ms", AtMost(25.0)),
    target("standard.ack_p50", "ack p50, 20 MiB/s, S3 standard, flush 250 ms, inline", "ms", AtMost(250.0)),
    target("standard.ack_p99", "ack p99, the same", "ms", AtMost(600.0)),
    target("express.ack_p50", "ack p50, 20 MiB/s, S3 express, flush 25 ms, inline", "ms", AtMost(25.0)),
    target("express.ack_p99", "ack p99, the same", "ms", AtMost(70.0)),
    target("mixed.p99_ratio", "produce p99 beside a reader of cold data, to that without", "", AtMost(1.25)),
    target("mixed.reader_mib_per_s", "that reader", "MiB/s", Told),
    target("one.in_flight", "requests in flight of one default producer (of 5), S3 standard", "", AtLeast(4.5)),
    target("one.mib_per_s", "produced by it", "MiB/s", Told),
    target("idle.rss", "agent's memory with 10,000 idle connections", "MiB", AtMost(150.0)),
    target("idle.cores", "agent's share of a core meanwhile", "", AtMost(0.01)),
    target("busy.rss", "agent's memory at most, 1,000 connections that each fetch 64 KiB a second, `YAKS_MEMORY_MB=768`", "MiB", AtMost(918.0)),
    target("slow.rss", "agent's memory at most, 1,000 readers that want 50 MiB each and take nothing, the same", "MiB", AtMost(918.0)),
    target("commit.random_p50_ratio", "commit p50 to that of a bare transaction, 100 slots/s, a random 100 of 1,000 partitions", "", AtMost(2.0)),
    target("commit.random_p99_ratio", "commit p99, the same", "", AtMost(2.0)),
    target("commit.random_p50", "that commit, p50", "ms", Told),
    target("commit.random_p99", "that commit, p99", "ms", Told),
    target("commit.same_p50_ratio", "commit p50 to that of a bare transaction, 100 slots/s, always the same 100 partitions", "", AtMost(2.0)),
    target("commit.same_p99_ratio", "commit p99, the same", "", AtMost(2.0)),
    target("commit.same_p50", "that commit, p50", "ms", Told),
    target("commit.same_p99", "that commit, p99", "ms", Told),
    target("commit.slots_per_s", "commits at full rate, 10 slots of 100 partitions a transaction", "slots/s", AtLeast(300.0)),
    target("plan.p99", "fetch planning p99, 100 partitions anywhere, 10 million index rows", "ms", AtMost(2.0)),
    target("plan.p50", "the same, p50", "ms", Told),
    target("function.zip", "zip of the function", "MiB", AtMost(5.0)),
    target("function.start", "the function's start to its first poll", "ms", AtMost(15.0)),
    target("function.handling", "warm handling of one slot, without S3 and Postgres", "ms", AtMost(3.0)),
    target("function.invocation", "that invocation, S3 and Postgres included, p50", "ms", Told),
];

/// How a finding stands to what was aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it is to be.
    Met,
    /// Not so.
    Missed,
    /// Nothing was aimed at.
    Told,
    /// It was not found.
    Unknown,
}

/// A line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What it is to be, with its unit.
    pub target: String,
    /// The median of all runs, with its unit; a dash where it was not measured.
    pub measured: String,
    /// The same as a number.
    pub value: Option<f64>,
    /// How it stands.
    pub verdict: Verdict,
}

impl Target {
    /// How `value` stands.
    pub fn judge(&self, value: Option<f64>) -> Verdict {
        match (value, self.aim) {
            (None, _) => Verdict::Unknown,
            (Some(_), Told) => Verdict::Told,
            (Some(value), AtMost(limit)) if value <= limit => Verdict::Met,
            (Some(value), AtLeast(limit)) if value >= limit => Verdict::Met,
            (Some(_), AtMost(_) | AtLeast(_)) => Verdict::Missed,
        }
    }

    fn row(&self, value: Option<f64>) -> Row {
        let with_unit = |number: String| format!("{number} {}", self.unit).trim_end().to_owned();
        Row {
            what: self.what.to_owned(),
            target: match self.aim {
                AtMost(limit) => with_unit(format!("<= {limit}")),
                AtLeast(limit) => with_unit(format!(">= {limit}")),
                Told => String::new(),
            },
            measured: value.map_or("-".to_owned(), |value| with_unit(rounded(value))),
            value,
            verdict: self.judge(value),
        }
    }
}

/// Three digits, and whole numbers as they are.
fn rounded(value: f64) -> String {
    match value {
        whole if whole.fract() == 0.0 => format!("{whole:.0}"),
        large if large.abs() >= 100.0 => format!("{large:.0}"),
        middle if middle.abs() >= 10.0 => format!("{middle:.1}"),
        small if small.abs() >= 0.1 => format!("{small:.2}"),
        tiny => format!("{tiny:.4}"),
    }
}

/// A row per target, each with the median of what the runs found.
pub fn rows(runs: &[Findings]) -> Vec<Row> {
    let of = |target: &Target| {
        let mut found: Vec<f64> = runs.iter().filter_map(|run| run.get(target.key).copied()).collect();
        target.row(median(&mut found))
    };
    TARGETS.iter().map(of).collect()
}

/// The middle one; of an even number, that above the middle: no better than what was seen.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// As a table in Markdown, which terminals can show too.
pub fn markdown(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.what.len()).max().unwrap_or_default();
    let mut text = format!(
        "| {:<width$} | target | measured | |\n| --- | --- | --- | --- |\n",
        "what"
    );
    for row in rows {
        let verdict = match row.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "**missed**",
            Verdict::Told => "",
            Verdict::Unknown => "not measured",
        };
        let _ = writeln!(
            text,
            "| {:<width$} | {} | {} | {verdict} |",
            row.what, row.target, row.measured
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(key: &str, value: f64) -> Findings {
        [(key.to_owned(), value)].into()
    }

    #[test]
    fn a_row_has_the_median_of_all_runs_and_is_judged_by_it() {
        let runs: Vec<_> = [0.9, 5.0, 0.8, 1.2, 0.7]
            .map(|value| finding("produce.agent_cpu", value))
            .into();
        let row = &rows(&runs)[0];
        assert_eq!((row.measured.as_str(), row.verdict), ("0.90 core-s", Verdict::Met));
        let row = &rows(&[finding("produce.agent_cpu", 1.01)])[0];
        assert_eq!((row.target.as_str(), row.verdict), ("<= 1 core-s", Verdict::Missed));
    }

    #[test]
    fn what_was_not_measured_is_told_as_such() {
        let all = rows(&[Findings::new()]);
        assert_eq!(all.len(), TARGETS.len());
        assert!(
            all.iter()
                .all(|row| row.measured == "-" && row.verdict == Verdict::Unknown)
        );
        assert!(markdown(&all).contains("| - | not measured |"));
    }

    #[test]
    fn keys_are_unique() {
        let keys: std::collections::BTreeSet<_> = TARGETS.iter().map(|target| target.key).collect();
        assert_eq!(keys.len(), TARGETS.len());
    }

    #[test]
    fn at_least_is_met_from_there_on() {
        let target = TARGETS.iter().find(|target| target.key == "one.in_flight").unwrap();
        assert_eq!(target.judge(Some(4.5)), Verdict::Met);
        assert_eq!(target.judge(Some(4.4)), Verdict::Missed);
    }
}
