//! What a run has measured: as JSON, and as a table for people. Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::latency::LatencySummary;
use crate::probe::{Costs, per_gib, s3};
use crate::units::MIB;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Which load.
    pub load: String,
    /// Against whom.
    pub brokers: String,
    /// On which topic.
    pub topic: String,
    /// What was measured, part by part.
    pub phases: Vec<Phase>,
    /// Records that were not acked, or not read though they were acked.
    pub failed: u64,
    /// What went wrong and how often, whether it cost records or not.
    pub errors: BTreeMap<String, u64>,
}

/// A part of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
    /// What was acked.
    pub produced: Option<Flow>,
    /// What was read, by all readers together.
    pub consumed: Option<Flow>,
    /// From when a record was due to its ack.
    pub ack: Option<LatencySummary>,
    /// From when a record was due until a reader had it.
    pub end_to_end: Option<LatencySummary>,
    /// Produce requests waiting for their answers, on average.
    pub requests_in_flight: Option<f64>,
    /// What it cost.
    pub costs: Costs,
}

/// Records and the bytes of their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Count {
    pub records: u64,
    pub bytes: u64,
}

/// Records that moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Flow {
    pub records: u64,
    pub bytes: u64,
    pub records_per_s: f64,
    pub mib_per_s: f64,
}

impl Flow {
    /// What came between two counts.
    pub fn between(before: Count, after: Count, time: Duration) -> Self {
        let records = after.records.saturating_sub(before.records);
        let bytes = after.bytes.saturating_sub(before.bytes);
        let seconds = time.as_secs_f64().max(1e-9);
        Self {
            records,
            bytes,
            records_per_s: records as f64 / seconds,
            mib_per_s: bytes as f64 / MIB / seconds,
        }
    }
}

impl Phase {
    /// The bytes that costs are told by: those produced, or where nothing was, those read.
    pub fn bytes(&self) -> u64 {
        self.produced.or(self.consumed).map_or(0, |flow| flow.bytes)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = if self.topic.is_empty() {
            String::new()
        } else {
            format!(", topic {}", self.topic)
        };
        writeln!(f, "{} on {}{on}", self.load, self.brokers)?;
        for phase in &self.phases {
            writeln!(f, "\n{}: {:.1} s", phase.name, phase.seconds)?;
            f.write_str(&table(&phase_lines(phase)))?;
        }
        if self.failed > 0 {
            writeln!(f, "\nFAILED: {} records", self.failed)?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "  {count} x {error}")?;
        }
        Ok(())
    }
}

type Line = Vec<String>;

fn phase_lines(phase: &Phase) -> Vec<Vec<Line>> {
    vec![
        flows(phase),
        latencies(phase),
        processes(phase),
        s3_counts(phase),
        postgres_counts(phase),
    ]
}

fn line<const N: usize>(cells: [&str; N]) -> Line {
    cells.map(str::to_owned).to_vec()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

fn flows(phase: &Phase) -> Vec<Line> {
    let of = |name: &str, flow: Option<Flow>| {
        let rate = |pick: fn(Flow) -> f64, digits| number(flow.map(pick), digits);
        line([
            name,
            &rate(|flow| flow.mib_per_s, 2),
            &rate(|flow| flow.records_per_s, 0),
        ])
    };
    vec![
        line(["", "MiB/s", "records/s"]),
        of("produced", phase.produced),
        of("consumed", phase.consumed),
    ]
}

fn latencies(phase: &Phase) -> Vec<Line> {
    let of = |name: &str, told: &Option<LatencySummary>| {
        let at = |pick: fn(&LatencySummary) -> f64| number(told.as_ref().map(pick), 1);
        let percentiles = [
            at(|told| told.p50_ms),
            at(|told| told.p90_ms),
            at(|told| told.p99_ms),
            at(|told| told.p999_ms),
            at(|told| told.max_ms),
        ];
        std::iter::once(name.to_owned()).chain(percentiles).collect()
    };
    let mut lines = vec![
        line(["latency, ms", "p50", "p90", "p99", "p99.9", "max"]),
        of("ack", &phase.ack),
        of("end to end", &phase.end_to_end),
    ];
    if let Some(in_flight) = phase.requests_in_flight {
        lines.push(vec!["requests in flight".to_owned(), number(Some(in_flight), 1)]);
    }
    lines
}

fn processes(phase: &Phase) -> Vec<Line> {
    let mut lines = vec![line([
        "process",
        "CPU s/GiB",
        "cores",
        "RSS MiB",
        "peak MiB",
        "switches",
    ])];
    for (name, cost) in &phase.costs.processes {
        lines.push(line([
            name,
            &number(cost.cpu_s_per_gib, 2),
            &number(Some(cost.cores), 2),
            &number(Some(cost.rss_mib), 0),
            &number(Some(cost.rss_peak_mib), 0),
            &cost.context_switches.to_string(),
        ]));
    }
    lines
}

fn s3_counts(phase: &Phase) -> Vec<Line> {
    let of_gib = |amount: u64| number((phase.bytes() > 0).then(|| per_gib(amount as f64, phase.bytes())), 1);
    let mut lines = vec![line(["S3", "requests", "per GiB", "MiB per GiB"])];
    for kind in s3::KINDS {
        let count = phase
            .costs
            .s3
            .as_ref()
            .map(|counts| counts.get(kind).copied().unwrap_or_default());
        let cells = match count {
            None => [kind.to_owned(), "-".to_owned(), "-".to_owned(), "-".to_owned()],
            Some(count) => [
                kind.to_owned(),
                count.requests.to_string(),
                of_gib(count.requests),
                of_gib(count.bytes / MIB as u64),
            ],
        };
        lines.push(cells.to_vec());
    }
    lines
}

fn postgres_counts(phase: &Phase) -> Vec<Line> {
    let of_gib = |amount: u64| number((phase.bytes() > 0).then(|| per_gib(amount as f64, phase.bytes())), 0);
    let counts = phase.costs.postgres;
    let cell = |pick: fn(crate::probe::postgres::PostgresCounts) -> u64| {
        counts.map_or("-".to_owned(), |counts| of_gib(pick(counts)))
    };
    vec![
        line(["Postgres", "commits", "inserted", "updated", "fetched"]),
        vec![
            "per GiB".to_owned(),
            cell(|counts| counts.transactions),
            cell(|counts| counts.inserted),
            cell(|counts| counts.updated),
            cell(|counts| counts.fetched),
        ],
    ]
}

/// Columns as wide as they need to be: names to the left, numbers to the right.
pub fn table(blocks: &[Vec<Line>]) -> String {
    let mut text = String::new();
    for block in blocks {
        for line in block {
            let (name, cells) = line
                .split_first()
                .map_or(("", &[][..]), |(name, cells)| (name.as_str(), cells));
            let _ = write!(text, "  {name:<22}");
            for cell in cells {
                let _ = write!(text, " {cell:>11}");
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::s3::S3Count;

    fn count(records: u64, bytes: u64) -> Count {
        Count { records, bytes }
    }

    fn phase() -> Phase {
        Phase {
            name: "measured".to_owned(),
            seconds: 2.0,
            produced: Some(Flow::between(
                count(10, 0),
                count(2058, 2 << 20),
                Duration::from_secs(2),
            )),
            consumed: None,
            ack: None,
            end_to_end: None,
            requests_in_flight: None,
            costs: Costs {
                s3: Some(
                    [(
                        "PUT".to_owned(),
                        S3Count {
                            requests: 1,
                            bytes: 2 << 20,
                        },
                    )]
                    .into(),
                ),
                ..Costs::default()
            },
        }
    }

    #[test]
    fn what_was_not_measured_is_a_dash_and_what_did_not_happen_is_a_zero() {
        let report = Report {
            load: "produce".to_owned(),
            brokers: "b:1".to_owned(),
            topic: "t".to_owned(),
            phases: vec![phase()],
            failed: 3,
            errors: [("timed out".to_owned(), 3)].into(),
        };
        let text = report.to_string();
        let row = |name: &str| {
            let found = text.lines().find(|line| line.trim_start().starts_with(name));
            found
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(row("produced"), ["produced", "1.00", "1024"]);
        assert_eq!(row("consumed"), ["consumed", "-", "-"]);
        assert_eq!(row("PUT"), ["PUT", "1", "512.0", "1024.0"]);
        assert_eq!(row("LIST"), ["LIST", "0", "0.0", "0.0"]);
        assert_eq!(row("per GiB"), ["per", "GiB", "-", "-", "-", "-"]);
        assert!(
            text.contains("FAILED: 3 records") && text.contains("3 x timed out"),
            "{text}"
        );
    }

    #[test]
    fn a_report_can_be_read_back() {
        let text = serde_json::to_string(&phase()).unwrap();
        let back: Phase = serde_json::from_str(&text).unwrap();
        assert_eq!(back.costs, phase().costs);
    }
}
