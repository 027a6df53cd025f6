//! The oracle: says whether a Kafka broker kept its promises.
//!
//! Producers write every record into a SQLite ledger before they send it and its fate after; consumers write down every record they
//! are served. The judge then compares the two sides of the ledger, with SQL, and names six invariants: completeness, no phantoms, no
//! duplicate offsets, contiguous offsets, per-producer ordering, data integrity; and idempotence where the producers are idempotent.
//!
//! It needs nothing but a broker: no group is joined, partitions are assigned and read from offset 0. The ledger stays after the run,
//! so that a violation can be looked into with the `sqlite3` shell.
//!
//! All functions block; from an async test, call them inside `spawn_blocking`. The [`audit`] does not: it needs no broker, looks at
//! a deployment's index and bucket, and is async throughout.

pub mod audit;
mod client;
mod config;
mod consume;
mod deliveries;
mod in_memory;
mod judge;
mod ledger;
mod log_digest;
mod produce;
mod record;
mod report;
mod topics;

pub use config::{Acks, Compression, OracleConfig, Ordering};
pub use in_memory::{Judgement, MemoryLedger, NamedRecord, RecordName, named_record, sender_of};
pub use judge::{Invariant, Totals, Verdict};
pub use log_digest::LogDigest;
pub use produce::ProduceSummary;
pub use report::Report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering as AtomicOrdering};
use std::time::Instant;

use anyhow::{Context, ensure};
use rand::Rng;

use crate::deliveries::Counters;
use crate::ledger::Ledger;
use crate::record::Target;

/// Where the lines about a long phase go.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// Creates the topics, produces, consumes and judges.
///
/// An error means that the oracle could not do its work, which says nothing about the data.
pub fn run(config: OracleConfig, progress: Progress<'_>) -> anyhow::Result<Report> {
    let oracle = Oracle::open(config)?;
    progress(&format!(
        "run {}, seed {}, ledger {}",
        oracle.run,
        oracle.seed,
        oracle.ledger_path().display()
    ));
    oracle.create_topics()?;
    oracle.produce(progress)?;
    oracle.verify(progress)
}

/// One run, its phases apart: a fault test kills brokers between them or beside them.
#[derive(Debug)]
pub struct Oracle {
    config: OracleConfig,
    run: String,
    seed: u64,
    ledger: Ledger,
    ledger_path: PathBuf,
    next_producer: AtomicU32,
    counters: Arc<Counters>,
    stopped: AtomicBool,
    started: Instant,
}

impl Oracle {
    /// Names the run and opens its ledger under the data directory.
    pub fn open(config: OracleConfig) -> anyhow::Result<Self> {
        config.validate()?;
        let run = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        let seed = config.seed.unwrap_or_else(|| rand::rng().random());
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("could not create the data directory {}", config.data_dir.display()))?;
        let ledger_path = config.data_dir.join(format!("oracle-{run}.sqlite3"));
        let ledger = Ledger::open(&ledger_path)?;
        Ok(Self {
            config,
            run,
            seed,
            ledger,
            ledger_path,
            next_producer: AtomicU32::new(0),
            counters: Arc::default(),
            stopped: AtomicBool::new(false),
            started: Instant::now(),
        })
    }

    /// The topics of this run; nobody else knows them, so whatever lies in them is ours or a phantom.
    pub fn topics(&self) -> Vec<String> {
        (0..self.config.topics)
            .map(|index| format!("{}-{}-{index}", self.config.topic_prefix, self.run))
            .collect()
    }

    /// The SQLite file with every record sent and every record read.
    pub fn ledger_path(&self) -> &Path {
        &self.ledger_path
    }

    /// Creates the topics through the admin API.
    pub fn create_topics(&self) -> anyhow::Result<()> {
        topics::create(&self.config, &self.topics())
    }

    /// Sends the records and waits for the fate of each. May be called again: every call starts new producers.
    pub fn produce(&self, progress: Progress<'_>) -> anyhow::Result<ProduceSummary> {
        let first_producer = self
            .next_producer
            .fetch_add(self.config.producers, AtomicOrdering::Relaxed);
        produce::produce(
            &produce::Job {
                config: &self.config,
                targets: &self.targets(),
                seed: self.seed,
                first_producer,
                counters: Arc::clone(&self.counters),
                stopped: &self.stopped,
            },
            &self.ledger,
            progress,
        )
    }

    /// Lets the producers send no more records, whatever number they were given; they still wait for the fate of each.
    pub fn stop_producing(&self) {
        self.stopped.store(true, AtomicOrdering::Relaxed);
    }

    /// How the records of all calls of `produce` have fared so far; a fault test watches it to strike under load.
    pub fn so_far(&self) -> ProduceSummary {
        self.counters.summary()
    }

    /// Reads every partition to its end and judges.
    pub fn verify(&self, progress: Progress<'_>) -> anyhow::Result<Report> {
        self.ledger.forget_reads()?;
        let consumed = consume::consume(&self.config, &self.run, &self.targets(), &self.ledger, progress)?;
        progress("judging");
        self.ledger.settle()?;
        let reader = self.ledger.reader()?;
        let totals = judge::totals(&reader)?;
        ensure!(
            totals.acked > 0,
            "none of {} records was acked, so there is nothing to judge; the first error was: {}",
            totals.sent,
            totals.first_error.as_deref().unwrap_or("none")
        );
        Ok(Report {
            ledger_path: self.ledger_path.clone(),
            verdicts: judge::judge(
                &reader,
                &Invariant::asked_of(self.config.idempotent, self.config.ordering),
            )?,
            totals,
            unfinished: consumed.unfinished,
            elapsed: self.started.elapsed(),
        })
    }

    /// What the last verification found in a partition below `offset`, to be compared with what another reader was served.
    pub fn log_read(&self, topic: &str, partition: i32, offset: i64) -> anyhow::Result<LogDigest> {
        let reader = self.ledger.reader()?;
        ledger::log_below(&reader, &Target::new(topic, partition), offset).context("could not read the ledger")
    }

    fn targets(&self) -> Vec<Target> {
        let topics = self.topics();
        let partitions = self.config.partitions;
        topics
            .iter()
            .flat_map(|topic| (0..partitions).map(move |partition| Target::new(topic, partition)))
            .collect()
    }
}
