//! What a footer says, as plain values.

use std::collections::BTreeMap;

use bytes::Bytes;
use types::{
    ByteRange, ClusterId, ContentId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot, TimestampMs,
    TopicId, TopicName,
};

/// Tagged fields: skipped when unknown. On the footer's level tag 0 is the W3C trace context.
pub type Tags = BTreeMap<u32, Bytes>;

/// The footer's tag for the trace that its object belongs to: the text of a W3C `traceparent`.
pub const TRACE_CONTEXT_TAG: u32 = 0;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Batches as an agent took them in; base offsets are -1.
    Data,
    /// "This stream ends here"; holds no batches.
    Tombstone,
    /// Batches of other objects, rewritten; base offsets are final.
    Merged,
}

/// Everything the commit has to know about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// What the object is.
    pub kind: Kind,
    /// Feature bits a reader must know; an unknown one means "newer version".
    pub required_features: u64,
    /// Feature bits a reader may ignore.
    pub optional_features: u64,
    /// The cluster the object belongs to.
    pub cluster: ClusterId,
    /// The slot it was written for.
    pub slot: Slot,
    /// Drawn once per sealed object.
    pub content: ContentId,
    /// Topics the batches refer to by index.
    pub topics: Vec<FooterTopic>,
    /// The batches, in the order of their bytes.
    pub batches: Vec<FooterBatch>,
    /// Tagged fields of the whole footer.
    pub tags: Tags,
}

/// A topic named by an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FooterTopic {
    /// The id decides which topic is meant.
    pub id: TopicId,
    /// The name at the time of writing, for people and for recovery without Postgres.
    pub name: TopicName,
    /// Tagged fields of this topic.
    pub tags: Tags,
}

/// One Kafka RecordBatch within an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FooterBatch {
    /// Index into `Footer::topics`.
    pub topic: u32,
    /// Partition of that topic.
    pub partition: PartitionIndex,
    /// Where the batch's bytes lie in the object (whole batch, header included).
    pub range: ByteRange,
    /// The CRC-32C in the batch's own header.
    pub crc: u32,
    /// All 16 attribute bits of the batch.
    pub attributes: i16,
    /// Records in the batch, > 0.
    pub record_count: i32,
    /// Offset of the last record relative to the first (inclusive).
    pub last_offset_delta: i32,
    /// Timestamp of the first record.
    pub base_timestamp: TimestampMs,
    /// Largest timestamp in the batch.
    pub max_timestamp: TimestampMs,
    /// The producer's id, or `ProducerId::NONE`.
    pub producer_id: ProducerId,
    /// The producer's epoch, or -1.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record, or -1.
    pub base_sequence: Sequence,
    /// -1 in data objects.
    pub base_offset: Offset,
    /// Tagged fields of this batch.
    pub tags: Tags,
}

impl FooterBatch {
    /// Offsets the batch takes up (more than its records only if it was compacted by its producer).
    pub fn offset_span(&self) -> i64 {
        i64::from(self.last_offset_delta) + 1
    }
}
