//! What an audit reads: tables in the order of their keys, a page at a time, so that it can stop anywhere and go on
//! later. Every page is one statement: what it shows was true at one moment.

use ::commit::{BatchOutcome, StreamState};
use async_trait::async_trait;
use object_format::Kind;
use types::{ByteRange, ObjectId, ObjectKey, Offset, PartitionIndex, Slot, SlotSeq, StreamId, TopicId, TopicNumber};

use crate::MetastoreError;

/// An object as its row describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedObject {
    /// Its number.
    pub id: ObjectId,
    /// Its key.
    pub key: ObjectKey,
    /// Its slot; merged objects have none.
    pub slot: Option<Slot>,
    /// What it is.
    pub kind: Kind,
    /// Whether it is about to be deleted.
    pub is_doomed: bool,
    /// Size of the whole object.
    pub object_bytes: u64,
    /// Index rows that refer to it.
    pub live_rows: i32,
    /// One per batch of its footer, in order.
    pub outcomes: Vec<BatchOutcome>,
    /// Where its stream ends, if it has ended.
    pub stream_end: Option<SlotSeq>,
}

/// A partition of a live topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedPartition {
    /// The topic's short number.
    pub topic: TopicNumber,
    /// The topic's name.
    pub topic_name: String,
    /// The partition.
    pub partition: PartitionIndex,
}

/// Index rows of one partition, and its ends at the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedRows {
    /// First offset of the log.
    pub log_start: Offset,
    /// One past the last offset of the log.
    pub end: Offset,
    /// The row that holds the offset asked for, and those after it.
    pub rows: Vec<AuditedRow>,
}

/// An index row, and what the object it refers to says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedRow {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// One past the offset of its last record.
    pub next_offset: Offset,
    /// The object.
    pub object: ObjectId,
    /// Where the bytes lie in it.
    pub range: ByteRange,
    /// The object's key; `None`: there is no such object.
    pub key: Option<ObjectKey>,
    /// Whether the object's own outcomes say that a batch was appended at `base_offset`.
    pub is_backed: bool,
}

/// The index row at one base offset of a live partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowThere {
    /// The topic's name.
    pub topic_name: String,
    /// First offset of the log: rows below it may be gone.
    pub log_start: Offset,
    /// One past its last record, its object and where its bytes lie; `None`: there is no row.
    pub row: Option<(Offset, ObjectId, ByteRange)>,
}

/// What the tables know of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditedSlot {
    /// Its stream's row.
    pub stream: Option<StreamState>,
    /// Kind and size of the committed object.
    pub object: Option<(Kind, u64)>,
}

/// A stream's row, and what the objects say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditedStream {
    /// The stream.
    pub stream: StreamId,
    /// Its row.
    pub state: StreamState,
    /// The last of its slots that has an object.
    pub last_seq: Option<SlotSeq>,
    /// Kind of the object in the slot where it ends.
    pub end_kind: Option<Kind>,
}

/// The tables as an audit walks through them.
#[async_trait]
pub trait Audits {
    /// The highest object number so far: an audit's horizon, beyond which it does not look.
    async fn last_object(&self) -> Result<ObjectId, MetastoreError>;

    /// Objects with a number in `after+1..=to`, in order.
    async fn audited_objects(
        &self,
        after: ObjectId,
        to: ObjectId,
        objects_max: i64,
    ) -> Result<Vec<AuditedObject>, MetastoreError>;

    /// Partitions of live topics after the given one, in order.
    async fn audited_partitions(
        &self,
        after: Option<(TopicNumber, PartitionIndex)>,
        partitions_max: i64,
    ) -> Result<Vec<AuditedPartition>, MetastoreError>;

    /// The row that holds `from`, and those after it; `None` `from`: the log's start. `None`: no such partition.
    async fn audited_rows(
        &self,
        topic: TopicNumber,
        partition: PartitionIndex,
        from: Option<Offset>,
        rows_max: i64,
    ) -> Result<Option<AuditedRows>, MetastoreError>;

    /// The rows that begin at the given offsets, one answer each; `None` where the partition is gone.
    async fn rows_there(
        &self,
        at: &[(TopicId, PartitionIndex, Offset)],
    ) -> Result<Vec<Option<RowThere>>, MetastoreError>;

    /// What is known of `slots`, one answer each.
    async fn audited_slots(&self, slots: &[Slot]) -> Result<Vec<AuditedSlot>, MetastoreError>;

    /// Streams after the given one, in order.
    async fn audited_streams(
        &self,
        after: Option<StreamId>,
        streams_max: i64,
    ) -> Result<Vec<AuditedStream>, MetastoreError>;
}
