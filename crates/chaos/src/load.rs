//! The load: several kinds of producers at once, each with an oracle of its own.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use oracle::{Acks, Oracle, OracleConfig, Ordering, ProduceSummary};

/// Longer than any fault lasts, so that what is given up is a finding.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(300);
const CONSUME_TIMEOUT: Duration = Duration::from_secs(300);
/// Topics and partitions of each kind.
const TOPICS: u32 = 2;
pub(crate) const PARTITIONS: i32 = 4;
/// The least that the oracle needs for a record's name and checksum.
const RECORD_BYTES: usize = 192;

/// One kind of load and its oracle.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) oracle: Arc<Oracle>,
}

/// What all kinds together have in common.
#[derive(Clone, Debug)]
pub(crate) struct LoadPlan<'a> {
    pub(crate) brokers: Vec<String>,
    /// Records per second of all producers together.
    pub(crate) rate: u32,
    pub(crate) producers: u32,
    pub(crate) seed: u64,
    pub(crate) ledgers: &'a Path,
}

/// How a kind differs from the others.
type Change = fn(&mut OracleConfig);

/// Sets up all kinds and makes their topics.
pub(crate) fn open(plan: &LoadPlan<'_>) -> Result<Vec<Load>> {
    let kinds: [(&str, Change); 3] = [
        ("idempotent", |config| config.idempotent = true),
        // librdkafka sends to a partition's new leader what comes next while the old one still has what came before.
        ("acks=all", |config| config.ordering = Ordering::Acked),
        // A producer that moves between two acks may see them swapped: see "An ack is a promise" in the architecture.
        ("acks=1", |config| {
            config.acks = Acks::One;
            config.ordering = Ordering::Unjudged;
        }),
    ];
    let rate = plan.rate / (u32::try_from(kinds.len()).unwrap_or(1) * plan.producers.max(1));
    let loads = kinds.into_iter().enumerate().map(|(n, (name, change))| {
        let mut config = OracleConfig {
            brokers: plan.brokers.clone(),
            topics: TOPICS,
            partitions: PARTITIONS,
            producers: plan.producers,
            // Until they are told to stop.
            records: u64::MAX,
            record_bytes: RECORD_BYTES,
            rate: rate.max(1),
            delivery_timeout: DELIVERY_TIMEOUT,
            consume_timeout: CONSUME_TIMEOUT,
            seed: Some(plan.seed.wrapping_add(n as u64)),
            topic_prefix: format!("chaos-{}", name.replace('=', "-")),
            data_dir: plan.ledgers.to_owned(),
            ..OracleConfig::default()
        };
        change(&mut config);
        let oracle = Oracle::open(config)?;
        oracle.create_topics()?;
        Ok(Load {
            name,
            oracle: Arc::new(oracle),
        })
    });
    loads.collect()
}

/// The producers of all kinds, at work.
#[derive(Debug)]
pub(crate) struct Producing(Vec<JoinHandle<Result<ProduceSummary>>>);

impl Producing {
    pub(crate) fn start(loads: &[Load]) -> Result<Self> {
        let threads = loads.iter().map(|load| {
            let oracle = Arc::clone(&load.oracle);
            let named = std::thread::Builder::new().name(format!("load {}", load.name));
            named.spawn(move || oracle.produce(&|_| ()))
        });
        let threads: std::io::Result<_> = threads.collect();
        Ok(Self(threads.context("no thread for the load")?))
    }

    /// Whether every producer has heard of all its records.
    pub(crate) fn is_done(&self) -> bool {
        self.0.iter().all(JoinHandle::is_finished)
    }

    /// Waits for them. An error means that a producer could not go on.
    pub(crate) fn join(self) -> Result<()> {
        for thread in self.0 {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    }
}

/// How all kinds together have fared so far.
pub(crate) fn so_far(loads: &[Load]) -> ProduceSummary {
    let mut sum = ProduceSummary::default();
    for load in loads {
        let one = load.oracle.so_far();
        sum.sent += one.sent;
        sum.acked += one.acked;
        sum.failed += one.failed;
    }
    sum
}
