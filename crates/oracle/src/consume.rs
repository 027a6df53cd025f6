//! The consuming side: reads every partition from 0 to its end and writes down what is there.
//!
//! A partition is done when its high watermark is reached and every acked record of it was seen: an `acks=1` ack may come before the
//! record is readable, so the watermark alone does not tell. What is not done at the timeout is named in the report.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::Progress;
use crate::client;
use crate::config::OracleConfig;
use crate::ledger::{self, Entry, Ledger, LedgerSender};
use crate::produce::PROGRESS_INTERVAL;
use crate::record::{self, Target};

/// A partition that gave nothing for so long is asked for its high watermark.
const QUIET: Duration = Duration::from_millis(300);
/// How long one question for a watermark may take.
const WATERMARK_TIMEOUT: Duration = Duration::from_secs(5);

/// How far the consumers came.
pub(crate) struct Consumed {
    /// Partitions that were not read to their end, with the reason.
    pub(crate) unfinished: Vec<String>,
}

/// Reads all `targets`, shared out among the consumers.
pub(crate) fn consume(
    config: &OracleConfig,
    run: &str,
    targets: &[Target],
    ledger: &Ledger,
    progress: Progress<'_>,
) -> anyhow::Result<Consumed> {
    let deadline = Instant::now() + config.consume_timeout;
    let read = AtomicU64::new(0);
    let (running, all_done) = channel::<()>();
    let consumers = config.consumers.min(targets.len());
    let unfinished = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..consumers)
            .map(|index| {
                let share = targets.iter().skip(index).step_by(consumers).cloned().collect();
                let (running, read) = (running.clone(), &read);
                scope.spawn(move || {
                    let _running = running;
                    Reader::open(config, run, index, share, ledger)?.read_all(deadline, read)
                })
            })
            .collect();
        drop(running);
        while all_done.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            progress(&format!("consuming: {} records read", read.load(Ordering::Relaxed)));
        }
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    progress(&format!("consumed: {} records read", read.load(Ordering::Relaxed)));
    Ok(Consumed {
        unfinished: unfinished.concat(),
    })
}

/// One consumer and the partitions it has not finished.
struct Reader<'a> {
    client: BaseConsumer,
    ledger: &'a Ledger,
    sender: LedgerSender,
    next_offsets: HashMap<Target, i64>,
    last_error: Option<KafkaError>,
}

impl<'a> Reader<'a> {
    fn open(
        config: &OracleConfig,
        run: &str,
        index: usize,
        targets: Vec<Target>,
        ledger: &'a Ledger,
    ) -> anyhow::Result<Self> {
        let client: BaseConsumer = client::settings(config, index, &format!("oracle-consumer-{index}"))
            // librdkafka wants a group's name to hand out messages at all; nobody joins it and nothing is committed to it.
            .set("group.id", format!("oracle-{run}"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            // Bounds what is fetched ahead of the ledger.
            .set("queued.max.messages.kbytes", "16384")
            .create()
            .with_context(|| format!("could not set up consumer {index}"))?;
        let mut assignment = TopicPartitionList::new();
        for target in &targets {
            assignment.add_partition_offset(&target.topic, target.partition, Offset::Offset(0))?;
        }
        client
            .assign(&assignment)
            .with_context(|| format!("could not assign the partitions of consumer {index}"))?;
        let next_offsets = targets.into_iter().map(|target| (target, 0)).collect();
        Ok(Self {
            client,
            ledger,
            sender: ledger.sender(),
            next_offsets,
            last_error: None,
        })
    }

    /// Reads until every partition is done or the time is up; returns those that are not done.
    fn read_all(mut self, deadline: Instant, read: &AtomicU64) -> anyhow::Result<Vec<String>> {
        let mut quiet_since = Instant::now();
        while Instant::now() < deadline {
            match self.client.poll(QUIET) {
                Some(Ok(message)) => {
                    note(&self.sender, &mut self.next_offsets, &message)?;
                    read.fetch_add(1, Ordering::Relaxed);
                    quiet_since = Instant::now();
                }
                Some(Err(error)) => self.last_error = Some(fatal_or_later(error)?),
                None => {}
            }
            if quiet_since.elapsed() >= QUIET {
                if self.all_done()? {
                    return Ok(Vec::new());
                }
                quiet_since = Instant::now();
            }
        }
        self.unfinished()
    }

    fn all_done(&mut self) -> anyhow::Result<bool> {
        self.ledger.settle()?;
        let reader = self.ledger.reader()?;
        for (target, next_offset) in &self.next_offsets {
            match self
                .client
                .fetch_watermarks(&target.topic, target.partition, WATERMARK_TIMEOUT)
            {
                Ok((_, high)) if *next_offset >= high => {}
                Ok(_) => return Ok(false),
                Err(error) => {
                    self.last_error = Some(error);
                    return Ok(false);
                }
            }
            if ledger::missing(&reader, target)? > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What may hold anything is not judged, so it counts, whether something that was acked is missing or not.
    fn unfinished(self) -> anyhow::Result<Vec<String>> {
        self.ledger.settle()?;
        let reader = self.ledger.reader()?;
        let error = self
            .last_error
            .map(|error| format!(", last error: {error}"))
            .unwrap_or_default();
        let mut unfinished = Vec::new();
        for (target, next_offset) in &self.next_offsets {
            let missing = ledger::missing(&reader, target)?;
            let end = self
                .client
                .fetch_watermarks(&target.topic, target.partition, WATERMARK_TIMEOUT);
            let end = end.map(|(_, high)| high);
            if missing > 0 || !end.as_ref().is_ok_and(|high| next_offset >= high) {
                let end = end.map_or_else(|_| "unknown".to_owned(), |high| high.to_string());
                unfinished.push(format!(
                    "{}/{} at offset {next_offset} of {end} ({missing} acked records not seen{error})",
                    target.topic, target.partition
                ));
            }
        }
        Ok(unfinished)
    }
}

fn note(
    ledger: &LedgerSender,
    next_offsets: &mut HashMap<Target, i64>,
    message: &BorrowedMessage<'_>,
) -> anyhow::Result<()> {
    let target = Target::new(message.topic(), message.partition());
    let record = record::decode(
        &target,
        message.key().unwrap_or_default(),
        message.payload().unwrap_or_default(),
    );
    if let Some(next_offset) = next_offsets.get_mut(&target) {
        *next_offset = message.offset() + 1;
    }
    ledger.add(Entry::Read {
        target,
        offset: message.offset(),
        record,
    })
}

/// Most errors pass, such as a broker that is just being restarted; a fatal one does not.
fn fatal_or_later(error: KafkaError) -> anyhow::Result<KafkaError> {
    match error {
        KafkaError::MessageConsumptionFatal(code) => bail!("a consumer cannot go on: {code}"),
        error => Ok(error),
    }
}
