//! The tables, as plain values. Columns that nothing reads are left out; otherwise they are those of `migrations/`.

use std::collections::BTreeMap;

use ::commit::{BatchOutcome, ProducerState, SlotFooter, StreamState};
use object_format::Kind;
use types::{
    ByteRange, NodeId, ObjectId, Offset, PartitionIndex, ProducerId, Slot, SlotSeq, StreamId, TimestampMs, TopicNumber,
};
use uuid::Uuid;

use crate::{CommittedOffset, CoordinatorEpoch, GroupState, LiveAgent, LogEnds, TopicInfo, TopicPartition};

/// Everything the metastore holds.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Topics, deleted ones too: their numbers are never used again.
    pub topics: BTreeMap<TopicNumber, Topic>,
    /// Partitions of live topics.
    pub partitions: BTreeMap<(TopicNumber, PartitionIndex), LogEnds>,
    /// Streams, for ever.
    pub streams: BTreeMap<StreamId, Stream>,
    /// Footers that wait for a slot before them.
    pub pending_slots: BTreeMap<Slot, SlotFooter>,
    /// Since when they do.
    pub pending_since: BTreeMap<Slot, TimestampMs>,
    /// Slots past their streams' ends, and when each was found.
    pub orphans: BTreeMap<Slot, TimestampMs>,
    /// Objects of committed slots.
    pub objects: BTreeMap<ObjectId, Object>,
    /// The unique key behind the gate: which object a slot has.
    pub objects_by_slot: BTreeMap<Slot, ObjectId>,
    /// The log index, by base offset.
    pub log_index: BTreeMap<(TopicNumber, PartitionIndex, Offset), IndexEntry>,
    /// How many producer ids were handed out; they are 1, 2, 3, ...
    pub producer_ids: i64,
    /// What partitions remember of producers.
    pub producer_state: BTreeMap<(TopicNumber, PartitionIndex, ProducerId), ProducerState>,
    /// Offsets of groups.
    pub group_offsets: BTreeMap<(String, TopicNumber, PartitionIndex), StoredOffset>,
    /// Consumer groups.
    pub consumer_groups: BTreeMap<String, ConsumerGroup>,
    /// The last coordinator epoch that was drawn.
    pub coordinator_epochs: i64,
    /// Leases, those that have run out too.
    pub agents: BTreeMap<NodeId, Lease>,
}

/// A row of `topics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The topic.
    pub info: TopicInfo,
    /// Whether it is deleted.
    pub deleted: bool,
}

/// A row of `streams`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The agent that opened it.
    pub node: NodeId,
    /// Gate and end.
    pub state: StreamState,
    /// When it was opened.
    pub opened_at: TimestampMs,
    /// Where the last sweep saw the gate, and when a sweep first saw it there.
    pub swept: Option<(SlotSeq, TimestampMs)>,
    /// When its tombstone was committed.
    pub ended_at: Option<TimestampMs>,
    /// Whether it was searched for orphans.
    pub searched: bool,
}

/// A row of `objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its slot.
    pub slot: Slot,
    /// Data or tombstone.
    pub kind: Kind,
    /// Its size.
    pub object_bytes: u64,
    /// Index rows that refer to it.
    pub live_rows: i32,
    /// What became of each batch.
    pub outcomes: Vec<BatchOutcome>,
}

/// A row of `log_index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// One past the offset of the last record.
    pub next_offset: Offset,
    /// The object.
    pub object: ObjectId,
    /// Where the bytes lie in it.
    pub range: ByteRange,
    /// Largest timestamp of this and all earlier rows of the partition.
    pub max_timestamp: TimestampMs,
}

/// A row of `group_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOffset {
    /// What was committed.
    pub committed: CommittedOffset,
    /// When.
    pub at: TimestampMs,
}

/// A row of `consumer_groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// Drawn by who took it last.
    pub epoch: CoordinatorEpoch,
    /// Who that was.
    pub coordinator: NodeId,
    /// What its coordinator wrote.
    pub state: GroupState,
    /// Since when it has no members.
    pub empty_since: Option<TimestampMs>,
}

/// A row of `agents`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The agent, as others see it.
    pub agent: LiveAgent,
    /// Which process.
    pub incarnation: Uuid,
    /// Its open stream.
    pub stream: Option<StreamId>,
    /// When it ends.
    pub expires_at: TimestampMs,
}

impl Lease {
    /// Whether it has not run out at `now`.
    pub fn is_live(&self, now: TimestampMs) -> bool {
        self.expires_at > now
    }
}

impl Tables {
    /// Number of the topic of a partition that exists.
    pub(super) fn number_of(&self, at: &TopicPartition) -> Option<TopicNumber> {
        let topic = self.live_topics().find(|topic| topic.name == at.topic)?;
        topic.has_partition(at.partition).then_some(topic.number)
    }

    /// Topics that are not deleted.
    pub fn live_topics(&self) -> impl Iterator<Item = &TopicInfo> {
        self.topics
            .values()
            .filter(|topic| !topic.deleted)
            .map(|topic| &topic.info)
    }
}
