//! The judges: the oracle on each kind of load, and the audit of index against bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args as _, FromArgMatches as _};
use dev_stack::Stack;
use oracle::Report;
use oracle::audit::{self, AuditConfig, AuditState, Check, Ended, Finding, Listener};

use crate::load::Load;
use crate::say::Diary;
use crate::tail::Log;

/// Findings of the audit that are quoted.
const FINDINGS_MAX: usize = 20;

/// Reads everything back and judges it, one kind of load after the other: the machine is small.
pub(crate) async fn verdicts(loads: &[Load], diary: &Diary) -> Result<Vec<(&'static str, Report)>> {
    let mut reports = Vec::new();
    for load in loads {
        let oracle = Arc::clone(&load.oracle);
        let report = tokio::task::spawn_blocking(move || oracle.verify(&|_| ())).await?;
        let report = report.with_context(|| format!("the load {} cannot be judged", load.name))?;
        diary.note(format!("{}\n{report}", load.name));
        for verdict in report.verdicts.iter().filter(|verdict| !verdict.passed()) {
            let (invariant, violations) = (verdict.invariant, verdict.violations);
            let samples = verdict.samples.join("; ");
            diary.violation(format!(
                "{}: {invariant} broken {violations} times: {samples}",
                load.name
            ));
        }
        // Longer than any fault lasts, a client tries; what it gave up all the same was refused for good.
        if report.totals.failed > 0 {
            let (failed, error) = (report.totals.failed, report.totals.first_error.as_deref());
            let error = error.unwrap_or("without a reason");
            diary.violation(format!("{}: {failed} records given up: {error}", load.name));
        }
        for partition in &report.unfinished {
            diary.violation(format!("{}: not read to its end: {partition}", load.name));
        }
        reports.push((load.name, report));
    }
    Ok(reports)
}

/// Compares what the live readers were served with what was read back.
pub(crate) fn live_readers(loads: &[Load], served: &BTreeMap<(String, i32), Log>, diary: &Diary) -> Result<()> {
    for ((topic, partition), log) in served {
        let of_load = loads.iter().find(|load| load.oracle.topics().contains(topic));
        let load = of_load.with_context(|| format!("{topic} is of no load"))?;
        let there = load.oracle.log_read(topic, *partition, log.next_offset)?;
        if let Some(offsets) = there.first_difference(&log.digest) {
            diary.violation(format!(
                "{topic}/{partition}: a live reader was served something else than lies there, from offset {} or one of the {} after it on",
                offsets.start,
                offsets.end - offsets.start
            ));
        }
    }
    Ok(())
}

/// Audits the deployment; returns what was looked at, in words.
pub(crate) async fn audit(stack: &Stack, diary: &Diary) -> Result<Vec<String>> {
    let mut found = Found::default();
    let ended = audit::run(&settings(stack), &mut found, std::future::pending()).await?;
    let (Ended::Done(state) | Ended::Stopped(state)) = ended;
    for finding in found.0 {
        diary.note(format!("audit: {finding}"));
    }
    let failures = state.tally.failures();
    if failures > 0 {
        diary.violation(format!("the audit found {failures} failures"));
    }
    let lines = Check::ALL.iter().map(|check| {
        let (name, things) = check.name();
        let checked = state.tally.checked.get(check).copied().unwrap_or_default();
        let (failures, notes) = state.tally.of(*check);
        format!("{name}: {checked} {things}, {failures} failures, {notes} notes")
    });
    Ok(lines.collect())
}

fn settings(stack: &Stack) -> AuditConfig {
    let postgres = stack.postgres();
    let command = AuditConfig::augment_args(clap::Command::new("audit"));
    let matches = command.get_matches_from([
        "audit".to_owned(),
        format!("--db-host={}", postgres.host()),
        format!("--db-port={}", postgres.port()),
        format!("--db-user={}", postgres.user()),
        format!("--db-password={}", postgres.password().expose()),
        "--db-name=testdb".to_owned(),
        format!("--s3-endpoint={}", stack.s3_endpoint()),
        "--s3-access-key=test".to_owned(),
        "--s3-secret-key=test".to_owned(),
        format!("--s3-bucket={}", stack.bucket()),
        // All faults are over and all is drained: what is not indexed now never will be.
        "--unsequenced-max-age=10s".to_owned(),
    ]);
    AuditConfig::from_arg_matches(&matches).expect("all that has no default is given")
}

#[derive(Default)]
struct Found(Vec<String>);

impl Listener for Found {
    fn found(&mut self, finding: &Finding) {
        if self.0.len() < FINDINGS_MAX {
            self.0.push(finding.to_string());
        }
    }

    fn progress(&mut self, _: &AuditState, _: u64) {}

    fn keep(&mut self, _: &AuditState) -> Result<()> {
        Ok(())
    }
}
