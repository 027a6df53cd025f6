//! What a load costs besides time: read before and after, told per GiB.

pub mod postgres;
pub mod process;
pub mod s3;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::units::{GIB, MIB};
use postgres::PostgresCounts;
use process::{Process, Usage};
use s3::S3Counts;

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    /// Processes, this one first.
    pub processes: Vec<Process>,
    /// URL of an S3's counters.
    pub s3: Option<String>,
    /// `postgres://...`.
    pub postgres: Option<String>,
}

/// What was seen at one time.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    processes: Vec<(String, Usage)>,
    s3: Option<S3Counts>,
    postgres: Option<PostgresCounts>,
}

/// What a process used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessCost {
    /// Seconds of a core.
    pub cpu_s: f64,
    /// The same for a GiB; nothing where no bytes were moved.
    pub cpu_s_per_gib: Option<f64>,
    /// Share of one core.
    pub cores: f64,
    /// Memory at the end.
    pub rss_mib: f64,
    /// Memory at most.
    pub rss_peak_mib: f64,
    /// Of the threads that lived at the end.
    pub context_switches: u64,
}

/// What a load cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// By name.
    pub processes: BTreeMap<String, ProcessCost>,
    /// By kind of request, where S3 counts them.
    pub s3: Option<S3Counts>,
    /// Where it was asked for.
    pub postgres: Option<PostgresCounts>,
}

impl Probes {
    /// The first reading: peaks of memory count from here.
    pub fn begin(&self) -> Result<Reading> {
        self.processes.iter().for_each(Process::forget_peak);
        self.read()
    }

    /// Reads everything.
    pub fn read(&self) -> Result<Reading> {
        let usage = |process: &Process| Ok((process.name.clone(), process.usage()?));
        Ok(Reading {
            s3: self.s3.as_deref().map(s3::read).transpose()?,
            postgres: self.postgres.as_deref().map(postgres::read).transpose()?,
            processes: self.processes.iter().map(usage).collect::<Result<_>>()?,
            at: Instant::now(),
        })
    }
}

impl Reading {
    /// The time between this and a later reading.
    pub fn until(&self, after: &Self) -> Duration {
        after.at.saturating_duration_since(self.at)
    }

    /// What was used from this reading to a later one, in which `bytes` were moved.
    pub fn costs(&self, after: &Self, bytes: u64) -> Costs {
        let mut processes = BTreeMap::new();
        for ((name, then), (_, now)) in self.processes.iter().zip(&after.processes) {
            let cost = process_cost(then, now, self.until(after), bytes);
            processes
                .entry(name.clone())
                .and_modify(|sum| add(sum, &cost))
                .or_insert(cost);
        }
        let both = |one: &Option<S3Counts>, two: &Option<S3Counts>| Some(s3::between(one.as_ref()?, two.as_ref()?));
        Costs {
            processes,
            s3: both(&self.s3, &after.s3),
            postgres: self
                .postgres
                .zip(after.postgres)
                .map(|(before, after)| postgres::between(&before, &after)),
        }
    }
}

fn process_cost(before: &Usage, after: &Usage, time: Duration, bytes: u64) -> ProcessCost {
    let cpu_s = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    ProcessCost {
        cpu_s,
        cpu_s_per_gib: (bytes > 0).then(|| per_gib(cpu_s, bytes)),
        cores: cpu_s / time.as_secs_f64().max(1e-9),
        rss_mib: after.rss_bytes as f64 / MIB,
        rss_peak_mib: after.rss_bytes_peak as f64 / MIB,
        context_switches: after.context_switches.saturating_sub(before.context_switches),
    }
}

fn add(sum: &mut ProcessCost, other: &ProcessCost) {
    sum.cpu_s += other.cpu_s;
    sum.cpu_s_per_gib = sum.cpu_s_per_gib.zip(other.cpu_s_per_gib).map(|(one, two)| one + two);
    sum.cores += other.cores;
    sum.rss_mib += other.rss_mib;
    sum.rss_peak_mib += other.rss_peak_mib;
    sum.context_switches += other.context_switches;
}

/// `amount` for each GiB of `bytes`.
pub fn per_gib(amount: f64, bytes: u64) -> f64 {
    amount * GIB / bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Instant, cpu_s: u64, context_switches: u64) -> Reading {
        let usage = Usage {
            cpu: Duration::from_secs(cpu_s),
            rss_bytes: 1 << 20,
            rss_bytes_peak: 2 << 20,
            context_switches,
        };
        Reading {
            at,
            processes: vec![("agent".to_owned(), usage), ("agent".to_owned(), usage)],
            s3: None,
            postgres: None,
        }
    }

    #[test]
    fn costs_are_told_per_gib_and_processes_of_one_name_together() {
        let start = Instant::now();
        let before = reading(start, 10, 100);
        let after = reading(start + Duration::from_secs(4), 12, 150);
        let costs = before.costs(&after, 2 << 30);
        let agent = &costs.processes["agent"];
        assert_eq!((agent.cpu_s, agent.cpu_s_per_gib, agent.cores), (4.0, Some(2.0), 1.0));
        assert_eq!(
            (agent.rss_mib, agent.rss_peak_mib, agent.context_switches),
            (2.0, 4.0, 100)
        );
        assert_eq!((costs.s3, costs.postgres), (None, None));
        assert_eq!(before.costs(&after, 0).processes["agent"].cpu_s_per_gib, None);
    }
}
