//! What becomes of the records one producer sent: librdkafka's delivery reports, on their way to the ledger.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::ledger::{Entry, LedgerSender};
use crate::produce::ProduceSummary;
use crate::record::{RecordId, Target};

/// What all producers have been told so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent: AtomicU64,
    acked: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    /// A record is about to be handed to a client.
    pub(crate) fn sending(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn summary(&self) -> ProduceSummary {
        // In this order: what is settled in between looks as if it were still under way, not as if it had never been sent.
        let acked = self.acked.load(Ordering::SeqCst);
        let failed = self.failed.load(Ordering::SeqCst);
        let sent = self.sent.load(Ordering::SeqCst);
        ProduceSummary { sent, acked, failed }
    }

    /// What came after `before` was taken.
    pub(crate) fn since(&self, before: ProduceSummary) -> ProduceSummary {
        let now = self.summary();
        ProduceSummary {
            sent: now.sent - before.sent,
            acked: now.acked - before.acked,
            failed: now.failed - before.failed,
        }
    }
}

/// Receives the delivery reports of one producer.
pub(crate) struct Deliveries {
    ledger: LedgerSender,
    counters: Arc<Counters>,
    offsets: Mutex<HashMap<Target, AckedOffsets>>,
}

impl Deliveries {
    pub(crate) fn new(ledger: LedgerSender, counters: Arc<Counters>) -> Self {
        Self {
            ledger,
            counters,
            offsets: Mutex::default(),
        }
    }

    /// Writes down that `id` was given up.
    pub(crate) fn failed(&self, id: RecordId, error: &KafkaError) -> anyhow::Result<()> {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.ledger.add(Entry::Failed {
            id,
            error: error.to_string(),
        })
    }

    fn acked(&self, id: RecordId, offset: i64) -> anyhow::Result<()> {
        let offset = {
            let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
            offsets.entry(id.target.clone()).or_default().next(offset)
        };
        self.counters.acked.fetch_add(1, Ordering::Relaxed);
        self.ledger.add(Entry::Acked { id, offset })
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<RecordId>;

    fn delivery(&self, report: &DeliveryResult<'_>, id: Box<RecordId>) {
        let written = match report {
            Ok(message) => self.acked(*id, message.offset()),
            Err((error, _)) => self.failed(*id, error),
        };
        // The ledger stopped: the next record's intent fails for the same reason and ends the producer.
        drop(written);
    }
}

/// Tells offsets that an ack knew from those that librdkafka made up.
///
/// An ack without an offset says -1 for the batch, and librdkafka counts on from there: its records get -1, 0, 1, 2. So whatever
/// continues a count that began below zero is as unknown as its beginning.
#[derive(Default)]
struct AckedOffsets {
    last_unknown: Option<i64>,
}

impl AckedOffsets {
    fn next(&mut self, offset: i64) -> Option<i64> {
        let unknown = offset < 0 || self.last_unknown == Some(offset - 1);
        self.last_unknown = unknown.then_some(offset);
        (!unknown).then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_began_at_minus_1_stays_unknown() {
        let mut offsets = AckedOffsets::default();
        let known: Vec<_> = [-1, 0, 1, -1, -1, 0, 7, 8, -1001, -1000]
            .map(|offset| offsets.next(offset))
            .to_vec();
        assert_eq!(
            known,
            [None, None, None, None, None, None, Some(7), Some(8), None, None]
        );
    }

    #[test]
    fn offsets_from_0_are_known() {
        let mut offsets = AckedOffsets::default();
        assert_eq!(
            [0, 1, 2].map(|offset| offsets.next(offset)),
            [Some(0), Some(1), Some(2)]
        );
    }
}
