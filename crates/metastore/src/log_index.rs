//! The log index: which bytes of which object hold which offsets of a partition.

use async_trait::async_trait;
use types::{ByteRange, ObjectId, ObjectKey, Offset, PartitionIndex, TimestampMs, TopicNumber};

use crate::MetastoreError;

/// What a fetch wants of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedRange {
    /// The topic.
    pub topic: TopicNumber,
    /// The partition.
    pub partition: PartitionIndex,
    /// The first offset wanted.
    pub from: Offset,
    /// Rows are named until they cover so many bytes.
    pub bytes_max: u64,
    /// So many rows are named at most, and one at least: each is one range to read.
    pub rows_max: u32,
}

/// Batches of one partition that lie side by side in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedRange {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// One past the offset of the last record.
    pub next_offset: Offset,
    /// The object.
    pub object: ObjectId,
    /// Its key.
    pub key: ObjectKey,
    /// Where the bytes lie in it.
    pub range: ByteRange,
}

/// A partition's log as a reader may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPartition {
    /// First offset still there.
    pub log_start: Offset,
    /// One past the last committed record: the high watermark.
    pub end: Offset,
    /// What holds the wanted offset and what follows it; empty when it lies outside `log_start..end`.
    pub ranges: Vec<IndexedRange>,
}

/// The table of index rows.
#[async_trait]
pub trait LogIndex {
    /// Plans a fetch of several partitions in one statement; `None` for a partition that is not there.
    async fn plan_fetch(&self, wanted: &[WantedRange]) -> Result<Vec<Option<PlannedPartition>>, MetastoreError>;

    /// The first range that may hold a record at or after `timestamp`; `None` when all records are older.
    async fn range_at_or_after(
        &self,
        topic: TopicNumber,
        partition: PartitionIndex,
        timestamp: TimestampMs,
    ) -> Result<Option<IndexedRange>, MetastoreError>;
}
