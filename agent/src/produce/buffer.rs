//! Batches on their way into the next object, and when that object is to be sealed. Pure: time comes in.
//!
//! An object is sealed when it is full, or one interval after the last one was; after a longer silence the first batch
//! waits only a short linger for company. So light traffic gets the latency of a PUT, and the PUT rate stays bounded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_format::footer_bytes_upper_bound;
use record_batch::BatchHeader;
use telemetry::TraceContext;
use tokio::time::Instant;
use types::limits::FOOTER_BYTES_MAX;
use types::{PartitionIndex, TopicId, TopicName};

use crate::frame::BytePermit;
use crate::produce::ack::PendingAck;

/// One batch in the write path.
#[derive(Debug)]
pub struct Entry {
    /// Its topic.
    pub topic: TopicId,
    /// The topic's name, for the footer.
    pub topic_name: TopicName,
    /// Its partition.
    pub partition: PartitionIndex,
    /// Its header.
    pub header: BatchHeader,
    /// The whole batch, as the producer sent it; empty once the slot is safe.
    pub bytes: Bytes,
    /// What its producer waits for.
    pub ack: PendingAck,
    /// Keeps its bytes counted until they are safe.
    pub permit: Option<Arc<BytePermit>>,
    /// The request that brought it, if that is traced.
    pub trace: Option<TraceContext>,
}

/// When an object is sealed.
#[derive(Clone, Copy, Debug)]
pub struct SealRules {
    /// Bytes at which it is full.
    pub bytes: usize,
    /// Shortest time between two objects that are not full.
    pub interval: Duration,
    /// Wait of the first batch after a silence.
    pub linger: Duration,
}

/// Why an object was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealReason {
    /// Enough bytes.
    Bytes,
    /// No more room in the footer.
    Footer,
    /// The interval, or the linger after a silence, is over.
    Time,
    /// The agent stops.
    Stop,
}

impl SealReason {
    /// The metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Footer => "footer",
            Self::Time => "time",
            Self::Stop => "stop",
        }
    }
}

/// The batches of the next object, in arrival order.
#[derive(Debug)]
pub struct Buffer {
    rules: SealRules,
    entries: VecDeque<Entry>,
    bytes: usize,
    first_at: Option<Instant>,
    last_seal: Option<Instant>,
}

impl Buffer {
    /// An empty buffer.
    pub fn new(rules: SealRules) -> Self {
        Self {
            rules,
            entries: VecDeque::new(),
            bytes: 0,
            first_at: None,
            last_seal: None,
        }
    }

    /// Adds a batch at the end.
    pub fn push(&mut self, entry: Entry, now: Instant) {
        self.first_at.get_or_insert(now);
        self.bytes += entry.bytes.len();
        self.entries.push_back(entry);
    }

    /// Puts batches that lost their slot before everything newer, to be sealed at once.
    pub fn push_front(&mut self, lost: Vec<Entry>, now: Instant) {
        if lost.is_empty() {
            return;
        }
        self.bytes += lost.iter().map(|entry| entry.bytes.len()).sum::<usize>();
        for entry in lost.into_iter().rev() {
            self.entries.push_front(entry);
        }
        self.first_at = Some(self.first_at.unwrap_or(now));
        self.last_seal = None;
    }

    /// Drops everything: whoever waits for it is told to send it again.
    pub fn clear(&mut self) {
        self.entries.clear();
        (self.bytes, self.first_at) = (0, None);
    }

    /// Batches that wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Since when the first batch waits.
    pub fn first_at(&self) -> Option<Instant> {
        self.first_at
    }

    /// When the next object is to be sealed and why; `None` while there is nothing to seal.
    pub fn seal_at(&self) -> Option<(Instant, SealReason)> {
        let first_at = self.first_at?;
        if self.bytes >= self.rules.bytes {
            return Some((first_at, SealReason::Bytes));
        }
        let lingered = first_at + self.rules.linger;
        let at = self
            .last_seal
            .map_or(lingered, |last| lingered.max(last + self.rules.interval));
        Some((at, SealReason::Time))
    }

    /// Takes the batches of one object: until it is full, or its footer has no more room. The work follows what is taken, not what
    /// stays: while S3 is away that may be a million times as much.
    pub fn take(&mut self, now: Instant) -> Vec<Entry> {
        let count = fitting(&self.entries).min(filling(&self.entries, self.rules.bytes));
        let taken: Vec<Entry> = self.entries.drain(..count).collect();
        self.bytes -= taken.iter().map(|entry| entry.bytes.len()).sum::<usize>();
        self.first_at = (!self.entries.is_empty()).then_some(now);
        // What did not fit has waited long enough.
        self.last_seal = self.entries.is_empty().then_some(now);
        taken
    }
}

/// How many of `entries`, from the first on, make an object of `bytes`; all of them if they are fewer bytes.
fn filling(entries: &VecDeque<Entry>, bytes: usize) -> usize {
    let mut sum = 0;
    let full = entries.iter().position(|entry| {
        sum += entry.bytes.len();
        sum >= bytes
    });
    full.map_or(entries.len(), |last| last + 1)
}

/// How many of `entries`, from the first on, one footer has room for; at least one.
fn fitting(entries: &VecDeque<Entry>) -> usize {
    let mut topics: BTreeMap<TopicId, usize> = BTreeMap::new();
    let mut name_bytes = 0;
    for (n, entry) in entries.iter().enumerate() {
        if topics.insert(entry.topic, n).is_none() {
            name_bytes += entry.topic_name.as_str().len();
        }
        if footer_bytes_upper_bound(n + 1, topics.len(), name_bytes) > FOOTER_BYTES_MAX {
            return n.max(1);
        }
    }
    entries.len()
}

#[cfg(test)]
pub(crate) mod tests {
    use types::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};
    use uuid::Uuid;

    use super::*;
    use crate::produce::ack::AckLevel;

    const RULES: SealRules = SealRules {
        bytes: 1000,
        interval: Duration::from_millis(250),
        linger: Duration::from_millis(5),
    };

    pub(crate) fn entry(topic: u128, partition: i32, bytes: usize) -> Entry {
        let header = BatchHeader {
            base_offset: Offset(0),
            batch_bytes: bytes,
            leader_epoch: 0,
            crc: 7,
            attributes: 0,
            last_offset_delta: 0,
            base_timestamp: TimestampMs(1),
            max_timestamp: TimestampMs(1),
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: Sequence(-1),
            record_count: 1,
        };
        Entry {
            topic: TopicId(Uuid::from_u128(topic)),
            topic_name: TopicName::new(&format!("topic-{topic}")).unwrap(),
            partition: PartitionIndex(partition),
            header,
            bytes: vec![partition as u8; bytes].into(),
            ack: PendingAck::new(AckLevel::Durable).0,
            permit: None,
            trace: None,
        }
    }

    #[test]
    fn after_a_silence_the_first_batch_waits_only_the_linger() {
        let start = Instant::now();
        let mut buffer = Buffer::new(RULES);
        assert_eq!(buffer.seal_at(), None);
        buffer.push(entry(1, 0, 10), start);
        assert_eq!(buffer.seal_at(), Some((start + RULES.linger, SealReason::Time)));
    }

    #[test]
    fn two_objects_that_are_not_full_are_an_interval_apart() {
        let start = Instant::now();
        let mut buffer = Buffer::new(RULES);
        buffer.push(entry(1, 0, 10), start);
        buffer.take(start);
        let next = start + Duration::from_millis(1);
        buffer.push(entry(1, 0, 10), next);
        assert_eq!(buffer.seal_at(), Some((start + RULES.interval, SealReason::Time)));
    }

    #[test]
    fn a_full_object_does_not_wait() {
        let start = Instant::now();
        let mut buffer = Buffer::new(RULES);
        buffer.push(entry(1, 0, 999), start);
        buffer.take(start);
        buffer.push(entry(1, 0, 999), start);
        buffer.push(entry(1, 0, 1), start);
        assert_eq!(buffer.seal_at(), Some((start, SealReason::Bytes)));
        assert_eq!(buffer.take(start).len(), 2);
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_piled_up_becomes_several_objects_none_much_larger_than_full() {
        let now = Instant::now();
        let mut buffer = Buffer::new(RULES);
        for _ in 0..25 {
            buffer.push(entry(1, 0, 300), now);
        }
        let mut sizes = Vec::new();
        while let Some((at, _)) = buffer.seal_at() {
            assert!(at <= now + RULES.linger, "what is left has waited long enough");
            sizes.push(buffer.take(now).iter().map(|entry| entry.bytes.len()).sum::<usize>());
        }
        assert_eq!(sizes, [1200, 1200, 1200, 1200, 1200, 1200, 300]);
    }

    #[test]
    fn an_object_never_takes_more_batches_than_its_footer_has_room_for() {
        let now = Instant::now();
        let mut buffer = Buffer::new(RULES);
        for n in 0..20_000 {
            buffer.push(entry(n, 0, 1), now);
        }
        let mut taken = 0;
        while !buffer.is_empty() {
            let entries = buffer.take(now);
            let names = entries.iter().map(|entry| entry.topic_name.as_str().len()).sum();
            assert!(footer_bytes_upper_bound(entries.len(), entries.len(), names) <= FOOTER_BYTES_MAX);
            taken += entries.len();
        }
        assert_eq!(taken, 20_000);
    }

    #[test]
    fn batches_that_lost_their_slot_come_before_newer_ones() {
        let now = Instant::now();
        let mut buffer = Buffer::new(RULES);
        buffer.push(entry(3, 0, 1), now);
        buffer.push_front(vec![entry(1, 0, 1), entry(2, 0, 1)], now);
        let order: Vec<_> = buffer
            .take(now)
            .iter()
            .map(|entry| entry.topic_name.to_string())
            .collect();
        assert_eq!(order, ["topic-1", "topic-2", "topic-3"]);
    }
}
