//! The producing side: many clients at once, each writing down what it is about to send and what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::Progress;
use crate::client;
use crate::config::OracleConfig;
use crate::deliveries::{Counters, Deliveries};
use crate::ledger::{Entry, Ledger, LedgerSender};
use crate::record::{self, RecordId, Target};

/// How often a long phase says how far it is.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// How long after the delivery timeout a client may take to report the last record.
const REPORT_GRACE: Duration = Duration::from_secs(30);

/// How the records of one call fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProduceSummary {
    /// Records that were handed to a client.
    pub sent: u64,
    /// Records that were acked.
    pub acked: u64,
    /// Records the clients gave up; they may be there or not.
    pub failed: u64,
}

impl ProduceSummary {
    /// Records whose fate is not known yet.
    pub fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.acked + self.failed)
    }
}

/// What the producers of one call share.
pub(crate) struct Job<'a> {
    pub(crate) config: &'a OracleConfig,
    pub(crate) targets: &'a [Target],
    pub(crate) seed: u64,
    pub(crate) first_producer: u32,
    /// Of all calls together.
    pub(crate) counters: Arc<Counters>,
    /// Whether no more records are to be sent.
    pub(crate) stopped: &'a AtomicBool,
}

/// Runs all producers to their end.
pub(crate) fn produce(job: &Job<'_>, ledger: &Ledger, progress: Progress<'_>) -> anyhow::Result<ProduceSummary> {
    let counters = Arc::clone(&job.counters);
    let before = counters.summary();
    let (running, all_done) = channel::<()>();
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..job.config.producers)
            .map(|index| {
                let (running, sender, counters) = (running.clone(), ledger.sender(), Arc::clone(&counters));
                scope.spawn(move || {
                    let _running = running;
                    run_producer(job, index, sender, counters)
                })
            })
            .collect();
        drop(running);
        let total = u64::from(job.config.producers).saturating_mul(job.config.records);
        while all_done.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let ProduceSummary { acked, failed, .. } = counters.since(before);
            progress(&format!(
                "producing: {acked} of {total} records acked, {failed} given up"
            ));
        }
        producers
            .into_iter()
            .try_for_each(|producer| producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let summary = counters.since(before);
    progress(&format!(
        "produced: {} records acked, {} given up",
        summary.acked, summary.failed
    ));
    Ok(summary)
}

fn run_producer(job: &Job<'_>, index: u32, ledger: LedgerSender, counters: Arc<Counters>) -> anyhow::Result<()> {
    let producer_id = job.first_producer + index;
    let mut rng = StdRng::seed_from_u64(job.seed.wrapping_add(u64::from(producer_id)));
    let deliveries = Deliveries::new(ledger.clone(), Arc::clone(&counters));
    let client = create_client(job.config, index, producer_id, deliveries)?;
    let mut sequences = vec![0u64; job.targets.len()];
    let mut pace = Pace::new(job.config.rate);
    for _ in 0..job.config.records {
        if job.stopped.load(Ordering::Relaxed) {
            break;
        }
        let at = rng.random_range(0..job.targets.len());
        let id = RecordId {
            target: job.targets[at].clone(),
            producer: producer_id,
            sequence: sequences[at],
        };
        sequences[at] += 1;
        counters.sending();
        send(&client, &ledger, &id, job.config.record_bytes, &mut rng)?;
        client.poll(pace.until_next());
    }
    // The client itself gives a record up at the delivery timeout; the rest is time for that report to arrive.
    client
        .flush(job.config.delivery_timeout + REPORT_GRACE)
        .with_context(|| format!("producer {producer_id} did not hear of all its records"))
}

fn create_client(
    config: &OracleConfig,
    index: u32,
    producer_id: u32,
    deliveries: Deliveries,
) -> anyhow::Result<BaseProducer<Deliveries>> {
    client::settings(config, index as usize, &format!("oracle-producer-{producer_id}"))
        .set("acks", config.acks.as_str())
        .set("enable.idempotence", config.idempotent.to_string())
        .set("compression.type", config.compression.of_producer(index))
        .set(
            "max.in.flight.requests.per.connection",
            config.max_in_flight().to_string(),
        )
        .set("message.timeout.ms", config.delivery_timeout.as_millis().to_string())
        // With 50 producers in one process, librdkafka's own bound of 1 GiB each would be none.
        .set("queue.buffering.max.messages", "5000")
        .set("queue.buffering.max.kbytes", "16384")
        .create_with_context(deliveries)
        .with_context(|| format!("could not set up producer {producer_id}"))
}

/// Writes the intent down, then sends; waits while the client's queue is full.
fn send(
    client: &BaseProducer<Deliveries>,
    ledger: &LedgerSender,
    id: &RecordId,
    record_bytes: usize,
    rng: &mut StdRng,
) -> anyhow::Result<()> {
    let encoded = record::encode(id, record_bytes, rng);
    ledger.add(Entry::Sent {
        id: id.clone(),
        checksum: encoded.checksum,
    })?;
    let mut record = BaseRecord::with_opaque_to(&id.target.topic, Box::new(id.clone()))
        .partition(id.target.partition)
        .key(&encoded.key)
        .payload(&encoded.value);
    loop {
        match client.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                client.poll(Duration::from_millis(100));
                record = unsent;
            }
            // A fatal error of an idempotent producer, for example: nothing more can be sent, and that is a finding, not a crash.
            Err((error, unsent)) => return client.context().failed(*unsent.delivery_opaque, &error),
        }
    }
}

/// Spreads the records of a producer over time.
struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    fn new(records_per_second: u32) -> Self {
        let interval = Duration::from_secs(1)
            .checked_div(records_per_second)
            .unwrap_or_default();
        Self {
            interval,
            next: Instant::now(),
        }
    }

    fn until_next(&mut self) -> Duration {
        self.next += self.interval;
        self.next.saturating_duration_since(Instant::now())
    }
}
