//! Partitions: where each log starts and ends.

use std::collections::BTreeMap;

use async_trait::async_trait;
use types::{Offset, PartitionIndex, TimestampMs, TopicNumber};

use crate::MetastoreError;

/// Where a partition's log starts and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// First offset still there.
    pub log_start: Offset,
    /// One past the last committed record.
    pub end: Offset,
    /// Largest timestamp of a committed record, -1 before the first.
    pub max_timestamp: TimestampMs,
}

/// Where a log is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewLogStart {
    /// At this offset.
    At(Offset),
    /// At its end, wherever that is by then.
    End,
}

/// What became of a log that was to start later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStartMove {
    /// It starts here now. It never moves back: this may be later than what was asked for.
    StartsAt(Offset),
    /// There is no such offset in it.
    OutOfRange,
}

/// The table of partitions.
#[async_trait]
pub trait Partitions {
    /// Ends of the named partitions; one that is not there is missing from the answer.
    async fn log_ends(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), LogEnds>, MetastoreError>;

    /// Lets logs start later, so that what lies before is not read any more; a partition that is not there is missing from the
    /// answer. Index rows and objects stay until they are cleaned up.
    async fn move_log_starts(
        &self,
        to: &BTreeMap<(TopicNumber, PartitionIndex), NewLogStart>,
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), LogStartMove>, MetastoreError>;

    /// How many bytes of objects the index names for each partition; one that is not there is missing from the answer.
    async fn log_bytes(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), u64>, MetastoreError>;

    /// The same for whole topics, all there are. Work is proportional to the partitions, not to the index.
    async fn topic_bytes(&self) -> Result<BTreeMap<TopicNumber, u64>, MetastoreError>;
}
