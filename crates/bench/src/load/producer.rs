//! One client that produces.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientConfig, ClientContext};

use super::client;
use super::run_clock::RunClock;
use super::tally::Tallies;
use crate::config::{ProduceFlags, TargetFlags};
use crate::payload::{Payloads, Stamp};
use crate::schedule::Schedule;

/// How long a record may stay unacked before it has failed.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// Records that are due within this are sent together: sleeping for less costs more than it is exact.
const TICK: Duration = Duration::from_millis(1);
/// A wait that is slept, and not spent listening.
const SHORT: Duration = Duration::from_millis(5);
/// How long to wait at once, so that the end of the run is seen.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// Bytes that a client keeps to itself, so that a run that is faster than its brokers does not measure its own queue alone.
const QUEUE_KIB: u64 = 32 << 10;
/// With `--client-stats`.
const STATS_INTERVAL_MS: u64 = 100;

/// Hears of acks.
#[derive(Debug)]
pub(super) struct Acks {
    clock: Arc<RunClock>,
    record_bytes: usize,
    heard: Mutex<Heard>,
}

/// What became of a producer's records.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) acks: Tallies,
    /// Requests in flight, added up, and how often they were counted; by phase.
    pub(super) in_flight: [(f64, u32); super::tally::PHASES],
}

impl ClientContext for Acks {
    fn stats(&self, statistics: Statistics) {
        let waiting: i64 = statistics.brokers.values().map(|broker| broker.waitresp_cnt).sum();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sum, count)) = heard.in_flight.get_mut(usize::from(self.clock.phase())) {
            *sum += waiting as f64;
            *count += 1;
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.clock.error(format!("{error}: {reason}"), 0);
    }
}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, packed: usize) {
        match result {
            Ok(_) => {
                let stamp = Stamp::unpack(packed as u64);
                let latency = self.clock.elapsed().saturating_sub(stamp.due);
                self.clock.acked.add(self.record_bytes);
                let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.acks.record(stamp.phase, latency);
            }
            Err((error, _)) => self.clock.error(error.to_string(), 1),
        }
    }
}

/// A producer and what it sends.
pub(super) struct Producer {
    client: BaseProducer<Acks>,
    clock: Arc<RunClock>,
    schedule: Schedule,
    payloads: Payloads,
    topic: String,
    partitions: i32,
    partition: i32,
    records_per_batch: u64,
}

impl Producer {
    pub(super) fn new(
        target: &TargetFlags,
        flags: &ProduceFlags,
        (topic, partitions): (&str, i32),
        index: u32,
        clock: &Arc<RunClock>,
    ) -> Result<Self> {
        let acks = Acks {
            clock: Arc::clone(clock),
            record_bytes: flags.record_bytes(),
            heard: Mutex::default(),
        };
        let settings = client_settings(target, flags, index);
        let rate = flags.rate.map(|rate| rate.records_per_s(flags.record_bytes()));
        Ok(Self {
            client: settings
                .create_with_context(acks)
                .context("could not set up a producer")?,
            clock: Arc::clone(clock),
            schedule: Schedule::new(rate, index, flags.producers),
            payloads: Payloads::new(flags.seed.wrapping_add(index.into()), clock.run, flags.record_bytes()),
            topic: topic.to_owned(),
            partitions,
            partition: i32::try_from(i64::from(index) * i64::from(partitions) / i64::from(flags.producers))
                .unwrap_or(0),
            records_per_batch: flags.records_per_batch(),
        })
    }

    /// Sends until it is told to stop, and waits for the last ack.
    pub(super) fn run(mut self) -> Heard {
        while self.clock.sends() {
            let allowed = self.clock.allow(self.records_per_batch);
            if allowed == 0 {
                break;
            }
            for _ in 0..allowed {
                self.wait_until_due();
                if !self.clock.sends() || !self.send() {
                    break;
                }
            }
            self.partition = (self.partition + 1) % self.partitions;
            self.client.poll(Duration::ZERO);
        }
        self.clock.leave();
        if let Err(error) = self.client.flush(DELIVERY_TIMEOUT + WAIT_MAX) {
            self.clock.error(format!("not all acks came: {error}"), 0);
        }
        let context = Arc::clone(self.client.context());
        drop(self);
        let mut heard = context.heard.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut heard)
    }

    fn wait_until_due(&self) {
        loop {
            let now = self.clock.elapsed();
            let wait = self.schedule.due(now).saturating_sub(now);
            if wait.is_zero() || !self.clock.sends() {
                return;
            }
            rest(&self.client, wait);
        }
    }

    /// False when the client cannot go on.
    fn send(&mut self) -> bool {
        let stamp = self.clock.stamp(self.schedule.due(self.clock.elapsed()));
        self.schedule.advance();
        let packed = usize::try_from(stamp.pack()).unwrap_or(usize::MAX);
        let mut record = BaseRecord::<(), [u8], usize>::with_opaque_to(&self.topic, packed)
            .partition(self.partition)
            .payload(self.payloads.stamped(stamp));
        loop {
            match self.client.send(record) {
                Ok(()) => return true,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    rest(&self.client, TICK);
                    record = unsent;
                }
                Err((error, _)) => {
                    self.clock.error(error.to_string(), 1);
                    self.clock.stop_sending();
                    return false;
                }
            }
        }
    }
}

/// Acks are heard of meanwhile. librdkafka counts in milliseconds and is asked again and again for the rest of one, which takes a
/// core when there are many short waits.
fn rest(client: &BaseProducer<Acks>, wait: Duration) {
    if wait > SHORT {
        client.poll(wait.min(WAIT_MAX));
    } else {
        client.poll(Duration::ZERO);
        std::thread::sleep(wait.max(TICK));
    }
}

fn client_settings(target: &TargetFlags, flags: &ProduceFlags, index: u32) -> ClientConfig {
    let mut client = client::settings(target, &format!("yaks-bench-producer-{index}"));
    client
        .set("acks", &flags.acks)
        .set("compression.type", &flags.compression)
        .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string())
        .set("queue.buffering.max.messages", "10000000")
        .set(
            "queue.buffering.max.kbytes",
            QUEUE_KIB.max(2 * flags.record_size / 1024).to_string(),
        );
    if let Some(batch_bytes) = flags.batch_size {
        let records = flags.records_per_batch();
        // Room for what the protocol adds, so that the last record of a batch is not left to one of its own.
        client
            .set(
                "batch.size",
                (batch_bytes + flags.record_size + 100 * records + 1024).to_string(),
            )
            .set("batch.num.messages", records.to_string());
    }
    if let Some(linger_ms) = flags.linger_ms {
        client.set("linger.ms", linger_ms.to_string());
    }
    if flags.client_stats {
        client.set("statistics.interval.ms", STATS_INTERVAL_MS.to_string());
    }
    client::finish(target, client)
}
