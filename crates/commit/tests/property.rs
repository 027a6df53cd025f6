//! What must hold of the decision whatever comes: random histories of several streams and idempotent producers, their
//! slots handed over late, twice, in any order and any grouping.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use commit::{
    BatchOutcome, Decision, IndexRow, LockedState, PartitionState, SlotFooter, SlotVerdict, StreamState, decide,
};
use object_format::{Footer, FooterBatch, FooterTopic, Kind, Tags};
use proptest::prelude::*;
use proptest::sample::Index;
use types::{
    ByteRange, ClusterId, ContentId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot, SlotSeq,
    StreamId, TimestampMs, TopicId, TopicName, TopicNumber,
};
use uuid::Uuid;

const STREAMS: u128 = 3;
const PARTITIONS: i32 = 3;
/// The last one is not in the state: its topic was deleted.
const DELETED: i32 = PARTITIONS - 1;

/// A batch as drawn: partition, records, timestamp, and who sent it.
#[derive(Clone, Debug)]
struct Drawn {
    partition: i32,
    records: i32,
    timestamp: i64,
    producer: Option<(i64, i16, i32)>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    // Few producers and small sequences, so that duplicates, gaps and old epochs all come up.
    let producer = prop::option::of((0..2i64, 0..3i16, prop::sample::select(vec![0, 2, 4, 6])));
    (0..PARTITIONS, prop_oneof![3 => Just(2), 1 => 1..4], 0..50i64, producer).prop_map(
        |(partition, records, timestamp, producer)| Drawn {
            partition,
            records,
            timestamp,
            producer,
        },
    )
}

/// Slots of every stream; one stream may end with a tombstone before its last slot.
#[derive(Clone, Debug)]
struct History {
    slots: Vec<SlotFooter>,
    ends: BTreeMap<StreamId, SlotSeq>,
}

fn history() -> impl Strategy<Value = History> {
    let stream = prop::collection::vec(prop::collection::vec(drawn(), 0..5), 1..8);
    let streams = prop::collection::vec((stream, prop::option::of(any::<Index>())), STREAMS as usize);
    streams.prop_map(|streams| {
        let mut history = History {
            slots: Vec::new(),
            ends: BTreeMap::new(),
        };
        for (n, (slots, end)) in streams.into_iter().enumerate() {
            let stream = StreamId(Uuid::from_u128(n as u128));
            let end = end.map(|end| end.index(slots.len()));
            for (seq, batches) in slots.into_iter().enumerate() {
                let slot = Slot {
                    stream,
                    seq: SlotSeq(seq as u64),
                };
                if end == Some(seq) {
                    history.ends.insert(stream, slot.seq);
                    history.slots.push(slot_footer(slot, Kind::Tombstone, &[]));
                } else {
                    history.slots.push(slot_footer(slot, Kind::Data, &batches));
                }
            }
        }
        history
    })
}

/// A history, and the deliveries of its slots: each slot at least once, some more often, in any order and grouping.
fn delivered() -> impl Strategy<Value = (History, Vec<Vec<SlotFooter>>)> {
    history()
        .prop_flat_map(|history| {
            let slots = history.slots.clone();
            let again = prop::collection::vec(prop::sample::select(slots.clone()), 0..10);
            let order = again.prop_flat_map(move |again| Just([slots.clone(), again].concat()).prop_shuffle());
            (Just(history), order, prop::collection::vec(1..6usize, 40))
        })
        .prop_map(|(history, order, sizes)| {
            let mut deliveries = Vec::new();
            let mut rest = order.as_slice();
            for size in sizes {
                let (now, later) = rest.split_at(size.min(rest.len()));
                deliveries.push(now.to_vec());
                rest = later;
            }
            deliveries.push(rest.to_vec());
            (history, deliveries)
        })
}

fn topic_id() -> TopicId {
    TopicId(Uuid::from_u128(77))
}

fn slot_footer(slot: Slot, kind: Kind, batches: &[Drawn]) -> SlotFooter {
    let mut end = 0;
    let batches = batches.iter().map(|drawn| {
        let start = end;
        end += drawn.records as u64 * 10;
        footer_batch(drawn, ByteRange { start, end })
    });
    let footer = Footer {
        kind,
        required_features: 0,
        optional_features: 0,
        cluster: ClusterId(Uuid::nil()),
        slot,
        content: ContentId(Uuid::nil()),
        batches: batches.collect(),
        topics: vec![FooterTopic {
            id: topic_id(),
            name: TopicName::new("t").expect("a legal name"),
            tags: Tags::new(),
        }],
        tags: Tags::new(),
    };
    SlotFooter {
        footer: Arc::new(footer),
        tail: Bytes::new(),
        object_bytes: end + 100,
    }
}

fn footer_batch(drawn: &Drawn, range: ByteRange) -> FooterBatch {
    let (producer, epoch, sequence) = drawn.producer.unwrap_or((-1, -1, -1));
    FooterBatch {
        topic: 0,
        partition: PartitionIndex(drawn.partition),
        range,
        crc: 0,
        attributes: 0,
        record_count: drawn.records,
        last_offset_delta: drawn.records - 1,
        base_timestamp: TimestampMs(drawn.timestamp),
        max_timestamp: TimestampMs(drawn.timestamp),
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
        base_offset: Offset::UNKNOWN,
        tags: Tags::new(),
    }
}

fn fresh_state() -> LockedState {
    let stream = StreamState {
        next_seq: SlotSeq(0),
        end_seq: None,
    };
    let partition = PartitionState {
        topic: TopicNumber(5),
        next_offset: Offset(0),
        max_timestamp: TimestampMs(-1),
    };
    LockedState {
        now: TimestampMs(1_000),
        producer_expiry_ms: 1_000_000,
        streams: (0..STREAMS).map(|n| (StreamId(Uuid::from_u128(n)), stream)).collect(),
        partitions: (0..DELETED)
            .map(|n| ((topic_id(), PartitionIndex(n)), partition))
            .collect(),
        producers: BTreeMap::new(),
    }
}

/// A database that keeps what the decisions say, and gives pending slots another try as the commit does.
struct Database {
    state: LockedState,
    outcomes: BTreeMap<Slot, Vec<BatchOutcome>>,
    rows: Vec<IndexRow>,
    pending: BTreeMap<Slot, SlotFooter>,
    /// In the order of their commits.
    committed: Vec<SlotFooter>,
}

impl Database {
    fn new() -> Self {
        Self {
            state: fresh_state(),
            outcomes: BTreeMap::new(),
            rows: Vec::new(),
            pending: BTreeMap::new(),
            committed: Vec::new(),
        }
    }

    /// Decides until nothing moves any more.
    fn deliver(&mut self, slots: Vec<SlotFooter>) -> Result<(), TestCaseError> {
        let mut work = slots;
        loop {
            let before = self.state.clone();
            let decision = decide(&mut self.state, &work);
            self.check_named(&before, &decision)?;
            self.check_twice(&work)?;
            self.take(&decision, &work)?;
            work = self.pending.values().cloned().collect();
            if decision.objects.is_empty() {
                return Ok(());
            }
        }
    }

    /// The rows that are to be written are those that changed.
    fn check_named(&self, before: &LockedState, decision: &Decision) -> Result<(), TestCaseError> {
        let after = &self.state;
        prop_assert_eq!(&decision.streams, &changed(&before.streams, &after.streams));
        prop_assert_eq!(&decision.partitions, &changed(&before.partitions, &after.partitions));
        prop_assert_eq!(&decision.producers, &changed(&before.producers, &after.producers));
        Ok(())
    }

    /// A commit whose answer was lost is decided again: nothing may change.
    fn check_twice(&self, work: &[SlotFooter]) -> Result<(), TestCaseError> {
        let mut again = self.state.clone();
        let decision = decide(&mut again, work);
        prop_assert!(decision.objects.is_empty() && decision.rows.is_empty());
        prop_assert!(decision.streams.is_empty() && decision.partitions.is_empty() && decision.producers.is_empty());
        prop_assert_eq!(format!("{:?}", again), format!("{:?}", self.state));
        Ok(())
    }

    fn take(&mut self, decision: &Decision, work: &[SlotFooter]) -> Result<(), TestCaseError> {
        let by_slot: BTreeMap<Slot, &SlotFooter> = work.iter().map(|slot| (slot.slot(), slot)).collect();
        prop_assert_eq!(decision.verdicts.len(), by_slot.len(), "one verdict per slot");
        for (slot, verdict) in &decision.verdicts {
            match verdict {
                SlotVerdict::Committed(outcomes) => {
                    prop_assert!(
                        self.outcomes.insert(*slot, outcomes.clone()).is_none(),
                        "{} twice",
                        slot
                    );
                    self.pending.remove(slot);
                    self.committed.push(by_slot[slot].clone());
                }
                SlotVerdict::AlreadyCommitted => prop_assert!(self.outcomes.contains_key(slot)),
                SlotVerdict::Pending(gate) => {
                    prop_assert!(*gate < slot.seq && !self.outcomes.contains_key(slot));
                    self.pending.insert(*slot, by_slot[slot].clone());
                }
                SlotVerdict::Orphan => {
                    self.pending.remove(slot);
                }
                SlotVerdict::UnknownStream => prop_assert!(false, "every stream has a row"),
            }
        }
        for object in &decision.objects {
            let rows = decision.rows.iter().filter(|row| row.slot == object.slot).count();
            prop_assert_eq!(object.live_rows as usize, rows);
            prop_assert_eq!(&object.outcomes, &self.outcomes[&object.slot]);
        }
        self.rows.extend(decision.rows.iter().cloned());
        Ok(())
    }

    /// Offsets of each partition are contiguous: the appended batches follow each other in the order of their commits.
    fn check_offsets(&self) -> Result<(), TestCaseError> {
        let mut ends: BTreeMap<PartitionIndex, i64> = (0..DELETED).map(|n| (PartitionIndex(n), 0)).collect();
        for slot in &self.committed {
            for (batch, outcome) in slot.footer.batches.iter().zip(&self.outcomes[&slot.slot()]) {
                if let BatchOutcome::Appended(offset) = outcome {
                    let end = ends.get_mut(&batch.partition).expect("only partitions that are there");
                    prop_assert_eq!(offset.0, *end);
                    *end += i64::from(batch.record_count);
                }
                let is_deleted = batch.partition.0 == DELETED;
                prop_assert_eq!(is_deleted, *outcome == BatchOutcome::TopicDeleted);
            }
        }
        for (partition, end) in ends {
            prop_assert_eq!(self.state.partitions[&(topic_id(), partition)].next_offset, Offset(end));
        }
        Ok(())
    }

    /// Index rows hold exactly the bytes and offsets of the appended batches, each once, in as few rows as can be, with the
    /// largest timestamp so far.
    fn check_rows(&self) -> Result<(), TestCaseError> {
        let mut batches = BTreeSet::new();
        for slot in &self.committed {
            for (batch, outcome) in slot.footer.batches.iter().zip(&self.outcomes[&slot.slot()]) {
                if let BatchOutcome::Appended(offset) = outcome {
                    batches.insert((
                        slot.slot(),
                        batch.range.start,
                        batch.range.end,
                        batch.partition,
                        offset.0,
                        batch.max_timestamp.0,
                    ));
                }
            }
        }
        let mut tiled = BTreeSet::new();
        let mut newest: BTreeMap<PartitionIndex, i64> = BTreeMap::new();
        for row in &self.rows {
            let newest = newest.entry(row.partition).or_insert(-1);
            let (mut start, mut offset) = (row.range.start, row.base_offset.0);
            while start < row.range.end {
                let from = (row.slot, start, 0, PartitionIndex(0), 0, 0);
                let batch = batches.range(from..).next().copied();
                let (slot, at, end, partition, base, timestamp) = batch.expect("a row holds batches");
                prop_assert_eq!((slot, at, partition, base), (row.slot, start, row.partition, offset));
                prop_assert!(tiled.insert((slot, at)), "a batch lies in one row");
                offset += (end - at) as i64 / 10;
                start = end;
                *newest = timestamp.max(*newest);
            }
            prop_assert_eq!(row.max_timestamp.0, *newest, "largest up to and including the row");
            prop_assert_eq!((start, offset), (row.range.end, row.next_offset.0));
        }
        prop_assert_eq!(tiled.len(), batches.len());
        for pair in self.rows.windows(2) {
            let touch = pair[0].slot == pair[1].slot
                && pair[0].partition == pair[1].partition
                && pair[0].range.end == pair[1].range.start;
            prop_assert!(!touch, "neighbours share a row");
        }
        Ok(())
    }

    /// No two appended batches of a producer's epoch have the same sequence: nothing is there twice.
    fn check_producers(&self) -> Result<(), TestCaseError> {
        let mut seen = BTreeMap::new();
        for slot in &self.committed {
            for (batch, outcome) in slot.footer.batches.iter().zip(&self.outcomes[&slot.slot()]) {
                let name = (
                    batch.partition,
                    batch.producer_id,
                    batch.producer_epoch,
                    batch.base_sequence,
                );
                match outcome {
                    BatchOutcome::Appended(offset) if batch.producer_id.is_some() => {
                        prop_assert_eq!(seen.insert(name, (*offset, batch.record_count)), None);
                    }
                    BatchOutcome::Duplicate(offset) => {
                        prop_assert_eq!(seen.get(&name), Some(&(*offset, batch.record_count)));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn changed<K: Ord + Copy, V: PartialEq>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> BTreeSet<K> {
    let changed = after.iter().filter(|(key, value)| before.get(key) != Some(value));
    changed.map(|(key, _)| *key).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_commits_in_order_once_and_without_gaps((history, deliveries) in delivered()) {
        let mut database = Database::new();
        for delivery in deliveries {
            database.deliver(delivery)?;
        }
        for slot in &history.slots {
            let end = history.ends.get(&slot.slot().stream);
            let past_the_end = end.is_some_and(|end| slot.slot().seq > *end);
            prop_assert_eq!(database.outcomes.contains_key(&slot.slot()), !past_the_end);
        }
        for (stream, end) in &history.ends {
            prop_assert_eq!(database.state.streams[stream].end_seq, Some(*end));
        }
        let mut gates: BTreeMap<StreamId, u64> = BTreeMap::new();
        for slot in database.committed.iter().map(SlotFooter::slot) {
            let gate = gates.entry(slot.stream).or_default();
            prop_assert_eq!(slot.seq.0, *gate, "slots of a stream commit in order");
            *gate += 1;
        }
        database.check_offsets()?;
        database.check_rows()?;
        database.check_producers()?;
    }

    #[test]
    fn the_order_within_one_commit_does_not_matter(history in history(), seed in any::<u64>()) {
        let mut shuffled = history.slots.clone();
        // A fixed permutation per seed is all that is needed here.
        shuffled.sort_by_key(|slot| {
            let seq = slot.slot().seq.0.wrapping_add(slot.slot().stream.0.as_u128() as u64 * 31);
            seq.wrapping_add(1).wrapping_mul(seed | 1).rotate_left(17)
        });
        shuffled.extend(history.slots.first().cloned());
        let (mut a, mut b) = (fresh_state(), fresh_state());
        prop_assert_eq!(decide(&mut a, &history.slots), decide(&mut b, &shuffled));
        prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
    }
}
