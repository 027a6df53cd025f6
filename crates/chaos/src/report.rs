//! The final report: as text for people, as JSON for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use oracle::{Report as Judgement, Totals};
use serde::Serialize;

use crate::census::Count;
use crate::fault::Fault;

/// Everything that is told about a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) passed: bool,
    pub(crate) seed: u64,
    pub(crate) minutes: u64,
    /// The command that brings the same faults about.
    pub(crate) again: String,
    pub(crate) seconds: f64,
    pub(crate) loads: Vec<LoadReport>,
    pub(crate) records_checked: u64,
    pub(crate) tail_records: u64,
    pub(crate) faults: BTreeMap<Fault, Count>,
    pub(crate) audit: Vec<String>,
    pub(crate) streams: String,
    pub(crate) violations: Vec<String>,
}

/// One kind of load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LoadReport {
    name: &'static str,
    sent: u64,
    acked: u64,
    failed: u64,
    read: u64,
    extra_copies: u64,
    first_error: Option<String>,
    /// Invariants and how often each was broken.
    verdicts: BTreeMap<String, u64>,
}

impl LoadReport {
    pub(crate) fn new(name: &'static str, judgement: &Judgement) -> Self {
        let Totals {
            sent,
            acked,
            failed,
            read,
            extra_copies,
            ref first_error,
            ..
        } = judgement.totals;
        let verdicts = judgement.verdicts.iter();
        Self {
            name,
            sent,
            acked,
            failed,
            read,
            extra_copies,
            first_error: first_error.clone(),
            verdicts: verdicts
                .map(|verdict| (verdict.invariant.to_string(), verdict.violations))
                .collect(),
        }
    }

    /// Records that the oracle looked for: those that were acked.
    pub(crate) fn checked(&self) -> u64 {
        self.acked
    }
}

impl Report {
    /// Writes `report.md` and `report.json`.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let unwritable = || format!("cannot write the report to {}", directory.display());
        std::fs::write(directory.join("report.md"), self.markdown()).with_context(unwritable)?;
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(directory.join("report.json"), json).with_context(unwritable)
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let verdict = if self.passed { "PASS" } else { "FAIL" };
        let _ = writeln!(text, "# Chaos: {verdict}, seed {}\n", self.seed);
        let _ = writeln!(
            text,
            "{} records checked in {:.0} s; followed live: {}. Again: `{}`\n",
            self.records_checked, self.seconds, self.tail_records, self.again
        );
        self.write_loads(&mut text);
        self.write_faults(&mut text);
        let _ = writeln!(text, "{}\n", self.streams);
        for line in &self.audit {
            let _ = writeln!(text, "- audit, {line}");
        }
        for violation in &self.violations {
            let _ = writeln!(text, "- VIOLATION: {violation}");
        }
        text
    }

    fn write_loads(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "| load | sent | acked | given up | read | extra copies | broken invariants |"
        );
        let _ = writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: | --- |");
        for load in &self.loads {
            let broken = load.verdicts.iter().filter(|(_, violations)| **violations > 0);
            let broken: Vec<String> = broken
                .map(|(name, violations)| format!("{name} ({violations})"))
                .collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                load.name,
                load.sent,
                load.acked,
                load.failed,
                load.read,
                load.extra_copies,
                if broken.is_empty() {
                    format!("none of {}", load.verdicts.len())
                } else {
                    broken.join(", ")
                }
            );
        }
        text.push('\n');
    }

    fn write_faults(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "| fault | strikes | with writes in flight | hits | most in flight | acked meanwhile | seconds |"
        );
        let _ = writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
        for (fault, count) in &self.faults {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {:.0} |",
                fault.name(),
                count.strikes,
                count.with_writes_in_flight,
                count.hits,
                count.in_flight_max,
                count.acked_meanwhile,
                count.seconds
            );
        }
        text.push('\n');
    }
}
