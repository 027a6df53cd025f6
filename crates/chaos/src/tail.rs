//! Readers that follow the load while everything goes wrong: what they are served must be contiguous, sent by the load, and what lies
//! there in the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use oracle::LogDigest;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::load::{Load, PARTITIONS};

/// How long one question for a watermark may take.
const WATERMARK_TIMEOUT: Duration = Duration::from_secs(10);
/// Findings that are kept.
const FINDINGS_MAX: usize = 20;

/// One reader per kind of load.
#[derive(Debug)]
pub(crate) struct Tails {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Followed>>>,
}

#[derive(Debug, Default)]
struct Shared {
    finish: AtomicBool,
    read: AtomicU64,
    findings: Mutex<Vec<String>>,
}

/// What a reader was served of each topic's partitions.
type Followed = BTreeMap<(String, i32), Log>;

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) next_offset: i64,
    pub(crate) digest: LogDigest,
}

/// What all readers were served, and what was wrong with it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) records: u64,
    pub(crate) logs: Followed,
    pub(crate) findings: Vec<String>,
}

impl Tails {
    pub(crate) fn start(loads: &[Load], bootstrap: &str) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let threads = loads.iter().map(|load| {
            let (shared, bootstrap, topics) = (Arc::clone(&shared), bootstrap.to_owned(), load.oracle.topics());
            let named = std::thread::Builder::new().name(format!("tail {}", load.name));
            named.spawn(move || follow(&shared, &bootstrap, &topics))
        });
        let threads: std::io::Result<_> = threads.collect();
        Ok(Self {
            shared,
            threads: threads.context("no thread for a reader")?,
        })
    }

    /// Reads to the end, for `patience` at most.
    pub(crate) fn finish(self, patience: Duration) -> Result<Served> {
        self.shared.finish.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + patience;
        while !self.threads.iter().all(JoinHandle::is_finished) {
            if Instant::now() > deadline {
                self.shared
                    .found("a reader did not come to the end of its partitions".to_owned());
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut logs = Followed::new();
        for thread in self.threads.into_iter().filter(JoinHandle::is_finished) {
            logs.append(&mut thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        let findings = self
            .shared
            .findings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(Served {
            records: self.shared.read.load(Ordering::SeqCst),
            logs,
            findings,
        })
    }
}

impl Shared {
    fn found(&self, what: String) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.len() < FINDINGS_MAX {
            findings.push(what);
        }
    }
}

fn follow(shared: &Shared, bootstrap: &str, topics: &[String]) -> Result<Followed> {
    let consumer = consumer(bootstrap, topics)?;
    let mut followed = Followed::new();
    for topic in topics {
        followed.extend((0..PARTITIONS).map(|partition| ((topic.clone(), partition), Log::default())));
    }
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => look_at(shared, &mut followed, &message),
            Some(Err(error)) => note_if_final(shared, &error),
            None if shared.finish.load(Ordering::SeqCst) && at_the_end(&consumer, &followed) => return Ok(followed),
            None => {}
        }
    }
}

fn consumer(bootstrap: &str, topics: &[String]) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "chaos-tail")
        .set("group.id", "chaos-tail")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("reconnect.backoff.max.ms", "1000")
        .set("queued.max.messages.kbytes", "16384")
        .create()
        .context("could not set up a reader")?;
    let mut assignment = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..PARTITIONS {
            assignment.add_partition_offset(topic, partition, Offset::Offset(0))?;
        }
    }
    consumer.assign(&assignment).context("could not assign partitions")?;
    Ok(consumer)
}

fn look_at(shared: &Shared, followed: &mut Followed, message: &BorrowedMessage<'_>) {
    shared.read.fetch_add(1, Ordering::Relaxed);
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    let log = followed.entry((topic.to_owned(), partition)).or_default();
    if offset != log.next_offset {
        shared.found(format!(
            "{topic}/{partition}: offset {offset} was served after {}",
            log.next_offset - 1
        ));
    }
    log.next_offset = offset + 1;
    let sender = oracle::sender_of(topic, partition, message.key().unwrap_or_default());
    log.digest.add(sender);
    if sender.is_none() {
        shared.found(format!(
            "{topic}/{partition}: offset {offset} holds a record that nobody sent there"
        ));
    }
}

/// An agent that is away, or cannot read now, is what this run is about; a wrong "there is nothing" is not.
fn note_if_final(shared: &Shared, error: &KafkaError) {
    let code = error.rdkafka_error_code();
    let wrong = matches!(
        code,
        Some(
            RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    );
    if wrong {
        shared.found(format!("a reader was told: {error}"));
    }
}

fn at_the_end(consumer: &BaseConsumer, followed: &Followed) -> bool {
    followed.iter().all(|((topic, partition), log)| {
        let watermarks = consumer.fetch_watermarks(topic, *partition, WATERMARK_TIMEOUT);
        watermarks.is_ok_and(|(_, high)| log.next_offset >= high)
    })
}
