//! The decision.

use std::collections::BTreeSet;

use object_format::{Footer, FooterBatch, Kind};
use types::{
    ByteRange, Offset, PartitionIndex, ProducerId, Slot, SlotSeq, StreamId, TimestampMs, TopicId, TopicNumber,
};

use crate::producer::{Candidate, refusal};
use crate::{BatchOutcome, LockedState, ProducerState, SlotFooter};

/// What became of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotVerdict {
    /// It commits now, with one outcome per batch.
    Committed(Vec<BatchOutcome>),
    /// An earlier commit has it; its outcomes are in the object's row.
    AlreadyCommitted,
    /// A slot before it is missing: the stream's gate stands here.
    Pending(SlotSeq),
    /// It lies past the stream's end and never commits.
    Orphan,
    /// The stream has no row: not of this database.
    UnknownStream,
}

/// A row of the object table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// Its slot.
    pub slot: Slot,
    /// Data or tombstone.
    pub kind: Kind,
    /// Size of the whole object.
    pub object_bytes: u64,
    /// Index rows that refer to it.
    pub live_rows: i32,
    /// One per batch, in the order of the footer.
    pub outcomes: Vec<BatchOutcome>,
}

/// A row of the log index: batches of one partition that lie side by side in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    /// The slot whose object holds the bytes.
    pub slot: Slot,
    /// The topic's short number.
    pub topic: TopicNumber,
    /// The partition.
    pub partition: PartitionIndex,
    /// Offset of the first record.
    pub base_offset: Offset,
    /// One past the offset of the last record.
    pub next_offset: Offset,
    /// Where the bytes lie.
    pub range: ByteRange,
    /// Largest timestamp of the partition up to and including these records.
    pub max_timestamp: TimestampMs,
}

/// What is to be written, besides the changed rows that [`decide`] left in the locked state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// One verdict per slot, in (stream, seq) order.
    pub verdicts: Vec<(Slot, SlotVerdict)>,
    /// New object rows, in (stream, seq) order.
    pub objects: Vec<NewObject>,
    /// New index rows.
    pub rows: Vec<IndexRow>,
    /// Streams whose row changed.
    pub streams: BTreeSet<StreamId>,
    /// Partitions whose row changed.
    pub partitions: BTreeSet<(TopicId, PartitionIndex)>,
    /// Producers whose state changed.
    pub producers: BTreeSet<(TopicNumber, PartitionIndex, ProducerId)>,
}

/// Decides every slot against `state`, which becomes the state after the commit. The slots may come in any order and
/// more than once.
pub fn decide(state: &mut LockedState, slots: &[SlotFooter]) -> Decision {
    let mut ordered: Vec<&SlotFooter> = slots.iter().collect();
    ordered.sort_by_key(|slot| slot.slot());
    ordered.dedup_by_key(|slot| slot.slot());

    let mut decision = Decision::default();
    for slot_footer in ordered {
        let slot = slot_footer.slot();
        let verdict = match gate(state, slot) {
            Gate::Closed(verdict) => verdict,
            Gate::Open => SlotVerdict::Committed(commit_slot(state, slot_footer, &mut decision)),
        };
        decision.verdicts.push((slot, verdict));
    }
    decision
}

enum Gate {
    Open,
    Closed(SlotVerdict),
}

fn gate(state: &LockedState, slot: Slot) -> Gate {
    let Some(stream) = state.streams.get(&slot.stream) else {
        return Gate::Closed(SlotVerdict::UnknownStream);
    };
    // Past the end before below the gate: the gate of an ended stream stands one past its tombstone.
    if stream.end_seq.is_some_and(|end| slot.seq > end) {
        Gate::Closed(SlotVerdict::Orphan)
    } else if slot.seq < stream.next_seq {
        Gate::Closed(SlotVerdict::AlreadyCommitted)
    } else if slot.seq > stream.next_seq {
        Gate::Closed(SlotVerdict::Pending(stream.next_seq))
    } else {
        Gate::Open
    }
}

fn commit_slot(state: &mut LockedState, slot_footer: &SlotFooter, decision: &mut Decision) -> Vec<BatchOutcome> {
    let footer = &slot_footer.footer;
    let slot = footer.slot;
    let stream = state.streams.get_mut(&slot.stream).expect("the gate was open");
    stream.next_seq = slot.seq.next();
    if footer.kind == Kind::Tombstone {
        stream.end_seq = Some(slot.seq);
    }
    decision.streams.insert(slot.stream);

    let first_row = decision.rows.len();
    let outcomes: Vec<BatchOutcome> = footer
        .batches
        .iter()
        .map(|batch| commit_batch(state, footer, batch, first_row, decision))
        .collect();
    decision.objects.push(NewObject {
        slot,
        kind: footer.kind,
        object_bytes: slot_footer.object_bytes,
        live_rows: i32::try_from(decision.rows.len() - first_row).expect("a footer has fewer than 2^31 batches"),
        outcomes: outcomes.clone(),
    });
    outcomes
}

fn commit_batch(
    state: &mut LockedState,
    footer: &Footer,
    batch: &FooterBatch,
    first_row: usize,
    decision: &mut Decision,
) -> BatchOutcome {
    let topic_id = footer.topics[batch.topic as usize].id;
    let key = (topic_id, batch.partition);
    let Some(partition) = state.partitions.get_mut(&key) else {
        return BatchOutcome::TopicDeleted;
    };
    let base_offset = partition.next_offset;
    if batch.producer_id.is_some() {
        let producer_key = (partition.topic, batch.partition, batch.producer_id);
        let candidate = Candidate {
            epoch: batch.producer_epoch,
            base_sequence: batch.base_sequence,
            record_count: batch.record_count,
        };
        let known = state.producers.get(&producer_key);
        if let Some(refused) = refusal(known, candidate, state.now, state.producer_expiry_ms) {
            return refused;
        }
        let after = ProducerState::after(known, candidate, base_offset, state.now);
        state.producers.insert(producer_key, after);
        decision.producers.insert(producer_key);
    }
    partition.next_offset = Offset(base_offset.0 + batch.offset_span());
    partition.max_timestamp = partition.max_timestamp.max(batch.max_timestamp);
    decision.partitions.insert(key);
    let row = IndexRow {
        slot: footer.slot,
        topic: partition.topic,
        partition: batch.partition,
        base_offset,
        next_offset: partition.next_offset,
        range: batch.range,
        max_timestamp: partition.max_timestamp,
    };
    push_row(&mut decision.rows, first_row, row);
    BatchOutcome::Appended(base_offset)
}

/// Adds a row, or extends the one before it when the bytes lie side by side: a refused batch between them, whose bytes
/// must never be served, keeps them apart.
fn push_row(rows: &mut Vec<IndexRow>, first_row: usize, row: IndexRow) {
    if let Some(last) = rows[first_row..].last_mut() {
        let same_partition = last.topic == row.topic && last.partition == row.partition;
        if same_partition && last.range.end == row.range.start && last.next_offset == row.base_offset {
            last.range.end = row.range.end;
            last.next_offset = row.next_offset;
            last.max_timestamp = row.max_timestamp;
            return;
        }
    }
    rows.push(row);
}
