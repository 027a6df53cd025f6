//! `yaks-bench`: loads, a standard set of them, and what they cost.

mod cli;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::config::{ProduceFlags, TargetFlags};
use bench::cost::{self, CostFlags};
use bench::load::{self, Lagging, Plan};
use bench::report::Report;
use bench::suite;
use clap::Parser as _;
use prices::Prices;

use crate::cli::{Cli, Command, CrowdCommand};

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("could not run: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Whether all went well.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Produce(flags) => told(&flags.target, || {
            load::produce(&plan("produce", &flags.target, &flags.produce))
        }),
        Command::Consume(flags) => told(&flags.target, || load::consume(&flags.target, &flags.consume)),
        Command::E2e(flags) => told(&flags.target, || {
            load::produce(&Plan {
                tail_groups: 1,
                ..plan("e2e", &flags.target, &flags.produce)
            })
        }),
        Command::Mixed(flags) => told(&flags.target, || {
            let old = flags.old_topic.clone().or_else(|| flags.produce.topic.clone());
            let topic = old.context("which data are old? --old-topic, or --topic with some in it")?;
            load::produce(&Plan {
                lagging: Some(Lagging { topic }),
                ..plan("mixed", &flags.target, &flags.produce)
            })
        }),
        Command::Fanout(flags) => told(&flags.target, || {
            load::produce(&Plan {
                tail_groups: flags.groups,
                ..plan("fanout", &flags.target, &flags.produce)
            })
        }),
        Command::Idle(flags) => told(&flags.target, || {
            load::idle::idle(&flags.target, flags.connections, flags.duration)
        }),
        Command::Busy(flags) => told(&flags.target, || crowd(&flags, load::crowd::busy)),
        Command::Slow(flags) => told(&flags.target, || crowd(&flags, load::crowd::slow)),
        Command::Suite(flags) => suite::run(&flags, &say),
        Command::Cost(flags) => cost(&flags).map(|()| true),
    }
}

type Crowd = fn(&TargetFlags, &str, i32, u64, Duration) -> Result<Report>;

fn crowd(flags: &CrowdCommand, load: Crowd) -> Result<Report> {
    load(
        &flags.target,
        &flags.topic,
        flags.partitions,
        flags.connections,
        flags.duration,
    )
}

fn plan(name: &str, target: &TargetFlags, produce: &ProduceFlags) -> Plan {
    Plan {
        name: name.to_owned(),
        target: target.clone(),
        produce: produce.clone(),
        tail_groups: 0,
        lagging: None,
    }
}

fn cost(flags: &CostFlags) -> Result<()> {
    let text = match &flags.prices {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => prices::BUILT_IN.to_owned(),
    };
    let prices = Prices::parse(&text).context("the price file is not understood")?;
    if flags.json {
        say(&cost::json(flags, &prices).to_string());
    } else {
        say(&cost::text(flags, &prices));
    }
    Ok(())
}

fn told(target: &TargetFlags, load: impl FnOnce() -> Result<Report>) -> Result<bool> {
    let report = load()?;
    say(&report.to_string());
    if let Some(file) = &target.json {
        write_json(file, &report)?;
    }
    Ok(report.failed == 0)
}

fn write_json(file: &Path, report: &Report) -> Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    std::fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))
}

/// A closed pipe is no reason to fail.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
