//! The cases that measure a part of yaks by itself.

use std::time::Duration;

use anyhow::Result;

use super::Suite;
use super::cases::{found, settings, start};
use super::targets::Findings;
use crate::commits::{Amount as CommitAmount, Choice, Commits, Compared};
use crate::function::{self, Amount as FunctionAmount, Package};
use crate::latency::LatencySummary;
use crate::planning::{self, Amount as PlanningAmount};
use crate::units::MIB;

/// A hundred slots a second from ten agents, a thousand slots of each kind.
const COMMITS: CommitAmount = CommitAmount {
    partitions: 1000,
    slots_per_s: 100.0,
    turns: 5,
    turn: Duration::from_secs(2),
};

const PLANS: PlanningAmount = PlanningAmount {
    index_rows: 10_000_000,
    plans: 2000,
};

const INVOCATIONS: FunctionAmount = FunctionAmount {
    starts: 20,
    warm_up: 20,
    slots: 300,
};

/// Commits and bare transactions, turn by turn; then as many commits as there can be.
pub(super) fn commit(suite: &mut Suite<'_>) -> Result<Findings> {
    let commits = Commits::start(&suite.data_dir.join("commit"), COMMITS, suite.seed)?;
    let mut all = Findings::new();
    for (name, choice) in [("random", Choice::Random), ("same", Choice::Same)] {
        let Compared { commit, bare } = commits.compare(choice)?;
        say(suite, &format!("commit, {name} partitions"), &commit);
        say(suite, &format!("bare transaction, {name} partitions"), &bare);
        all.extend([
            (format!("commit.{name}_p50_ratio"), commit.p50_ms / bare.p50_ms),
            (format!("commit.{name}_p99_ratio"), commit.p99_ms / bare.p99_ms),
            (format!("commit.{name}_p50"), commit.p50_ms),
            (format!("commit.{name}_p99"), commit.p99_ms),
        ]);
    }
    all.extend(found([("commit.slots_per_s", Some(commits.full_rate()?))]));
    Ok(all)
}

pub(super) fn plan(suite: &mut Suite<'_>) -> Result<Findings> {
    let planned = planning::measure(&suite.data_dir.join("plan"), PLANS, suite.seed)?;
    (suite.say)(&format!(
        "{} index rows were written in {:.0} s",
        PLANS.index_rows, planned.filled_s
    ));
    say(suite, "plan of 100 partitions", &planned.plan);
    Ok(found([
        ("plan.p50", Some(planned.plan.p50_ms)),
        ("plan.p99", Some(planned.plan.p99_ms)),
    ]))
}

/// Only the S3 of the stack is used.
pub(super) fn function(suite: &mut Suite<'_>) -> Result<Findings> {
    let stack = start(suite, "function", 1, "none", settings([]))?;
    // What is uploaded here is of another cluster.
    stack.switch("function/stop")?;
    let directory = suite.data_dir.join("function/by-itself");
    let package = match &suite.flags.zip {
        Some(zip) => Package::unpack(zip, &directory)?,
        None => Package::none(&suite.binaries),
    };
    let handled = function::measure(&package, &stack.s3_endpoint(), &directory, INVOCATIONS)?;
    stack.stop()?;
    say(suite, "start of the function to its first poll", &handled.start);
    say(suite, "warm invocation, a slot of 100 batches", &handled.invocation);
    Ok(found([
        ("function.zip", handled.zip_bytes.map(|bytes| bytes as f64 / MIB)),
        ("function.start", Some(handled.start.p50_ms)),
        ("function.handling", Some(handled.cpu.as_secs_f64() * 1e3)),
        ("function.invocation", Some(handled.invocation.p50_ms)),
    ]))
}

fn say(suite: &Suite<'_>, what: &str, told: &LatencySummary) {
    (suite.say)(&format!(
        "{what}: p50 {:.2}, p90 {:.2}, p99 {:.2}, max {:.2} ms of {}",
        told.p50_ms, told.p90_ms, told.p99_ms, told.max_ms, told.count
    ));
}
